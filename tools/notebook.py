# SPDX-License-Identifier: GPL-2.0-only
"""Execute a notebook in a fresh kernel, and write it with its outputs.

Usage: notebook.py NOTEBOOK [OUTPUT]

The kernel runs in the notebook's folder, as Jupyter's do.  Without OUTPUT the notebook is written
in place.  What depends on the machine, or on when it ran, is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
TIMEOUT = 60  # seconds, of a cell


def execute(path: Path, output: Path) -> None:
    """Execute the notebook; an error in a cell is raised."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources=resources, record_timing=False
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    nbformat.validate(notebook)
    nbformat.write(notebook, output)


def main(paths: list[str]) -> None:
    """Execute it without the user's profile of IPython, and leave no history there."""
    notebook, output = Path(paths[0]).resolve(), Path(paths[-1])
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["IPYTHONDIR"] = os.environ["JUPYTER_RUNTIME_DIR"] = scratch
        execute(notebook, output)


if __name__ == "__main__":
    main(sys.argv[1:])
