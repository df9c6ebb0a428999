# SPDX-License-Identifier: GPL-2.0-only
"""Optional libraries: whether they are installed, and how charts are written with matplotlib.

The check does not load them: matplotlib starts threads, and a process with threads makes the
port take its lock.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import printable

EXTRAS = {
    "bokeh": "report",
    "distributed": "cluster",
    "matplotlib": "plot",
}  # the extra that installs each
PLOT_FORMATS = (".svg", ".png", ".pdf")


def missing_extra(library: str) -> str | None:
    """Return the extra that installs a library of ``EXTRAS``, None where it is installed."""
    return EXTRAS[library] if find_spec(library) is None else None


def plain(text: str) -> str:
    """Return text that matplotlib draws literally: a dollar would start a formula."""
    return printable(text).replace("$", r"\$")


def save_plot(figure: Any, path: str | Path, title: str) -> None:
    """Write a figure of matplotlib.

    Args:
        figure: the figure.
        path: the file; its suffix is one of ``PLOT_FORMATS``.
        title: what the figure shows, for readers who do not see it; any text.

    Raises:
        OSError: the file cannot be written.

    """
    drawn = io.BytesIO()
    metadata = {"Title": printable(title)}
    figure.savefig(drawn, format=Path(path).suffix[1:], metadata=metadata)
    write_whole(path, drawn.getvalue())
