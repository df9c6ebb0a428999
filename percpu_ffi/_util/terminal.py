# SPDX-License-Identifier: GPL-2.0-only
"""What the user wants of a terminal: its width, and no colours."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TextIO

USUAL = 80
MOST = 1000  # what fills a line takes memory and time for each column


def columns(stream: TextIO | None) -> int:
    """Return the width to fill: ``COLUMNS``, else that of the stream's terminal, else 80.

    As in :func:`shutil.get_terminal_size`, ``COLUMNS`` counts if it is a number above 0.  The
    result is at most 1000.
    """
    width = 0
    with suppress(OSError, ValueError):  # no terminal; closed
        width = os.get_terminal_size(stream.fileno()).columns if stream else 0
    return min(shutil.get_terminal_size((width or USUAL, 0)).columns, MOST)


def wants_no_colour() -> bool:
    """Return whether ``NO_COLOR`` is set and not empty: https://no-color.org."""
    return bool(os.environ.get("NO_COLOR"))
