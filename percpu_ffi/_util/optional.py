# SPDX-License-Identifier: GPL-2.0-only
"""Libraries that not everybody has: asked for before the work, and used to write charts.

They are not loaded to be asked for: matplotlib starts threads, and among threads the port
takes its lock.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import printable
from percpu_ffi.errors import ConfigError

__all__ = ["check_library", "check_plot", "plain", "save_plot"]

EXTRAS = {"bokeh": "report", "matplotlib": "plot"}  # which extra brings it
FORMATS = (".svg", ".png", ".pdf")


def check_library(option: str, library: str) -> None:
    """Look whether a library is there, so that nobody waits in vain.

    Args:
        option: the option of a command that needs it.
        library: one of ``EXTRAS``.

    Raises:
        ConfigError: it is not installed.

    """
    if find_spec(library) is None:
        extra = EXTRAS[library]
        raise ConfigError(
            f"{option} needs {library}, the extra '{extra}': pip install 'percpu_ffi[{extra}]'"
        )


def check_plot(path: str | Path) -> None:
    """Look whether a chart can be drawn into a file.

    Raises:
        ConfigError: matplotlib is not installed, or the file's suffix is none of ``FORMATS``.

    """
    if Path(path).suffix not in FORMATS:
        raise ConfigError(f"--plot {path}: a file that ends in {', '.join(FORMATS)} is needed")
    check_library("--plot", "matplotlib")


def plain(text: str) -> str:
    """Give text that matplotlib takes as it is: a dollar would begin a formula."""
    return printable(text).replace("$", r"\$")


def save_plot(figure: Any, path: str | Path) -> None:
    """Write a figure of matplotlib to a file that :func:`check_plot` takes.

    Raises:
        OSError: the file cannot be written.

    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format=Path(path).suffix[1:])
    write_whole(path, drawn.getvalue())
