# SPDX-License-Identifier: GPL-2.0-only
"""docs/notebook.ipynb: its outputs are those of a fresh kernel, and of no machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from conftest import SANITIZED

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs/notebook.ipynb"
PNG = b"\x89PNG\r\n\x1a\n"


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return notebook


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Execute a copy of the notebook, next to the samples."""
    if SANITIZED:
        pytest.skip("the sanitizer's library is not for the kernel's threads")
    for library in ("nbclient", "ipykernel", "pandas", "matplotlib"):
        pytest.importorskip(library, reason=f"{library} is not installed, or not for this Python")
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "docs").mkdir()
    (folder / "samples").symlink_to(ROOT / "samples")
    copy = Path(shutil.copy(NOTEBOOK, folder / "docs"))
    # a process of its own, where warnings of the libraries are no errors
    command = [sys.executable, str(ROOT / "tools/notebook.py"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read(copy)


def test_outputs_are_those_of_a_fresh_kernel(executed: dict[str, Any]) -> None:
    """`make notebook` writes them; a picture depends on the version of matplotlib."""
    for wanted, cell in zip(read(NOTEBOOK)["cells"], executed["cells"], strict=True):
        for output in (*wanted.get("outputs", ()), *cell.get("outputs", ())):
            if picture := output.get("data", {}).pop("image/png", None):
                assert b64decode(picture).startswith(PNG)
                output["data"]["picture"] = True
        assert cell == wanted, wanted["id"]


def test_nothing_else_differs(executed: dict[str, Any]) -> None:
    wanted = read(NOTEBOOK)
    assert {**executed, "cells": []} == {**wanted, "cells": []}
    assert wanted["metadata"]["language_info"] == {"name": "python"}  # no version


def test_cells_have_run_in_order_without_errors() -> None:
    cells = [cell for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"execute_result", "display_data"}
    assert all(cell["outputs"] for cell in cells)


def test_results_are_shown_as_tables() -> None:
    tables = [
        "".join(output["data"]["text/html"])
        for cell in read(NOTEBOOK)["cells"]
        for output in cell.get("outputs", ())
        if "text/html" in output["data"]
    ]
    assert sum("<caption" in table for table in tables) == 3
    assert sum("dataframe" in table for table in tables) == 2
    assert sum("<svg" in table for table in tables) == 2


def test_it_names_no_machine_and_links_to_documents_that_exist() -> None:
    text = NOTEBOOK.read_text("utf-8")
    assert not re.search(r"/(home|root|tmp|usr)/|https?:|0x[0-9a-f]{6}", text)
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)
