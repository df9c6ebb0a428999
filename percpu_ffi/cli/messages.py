# SPDX-License-Identifier: GPL-2.0-only
"""Say something beside a command's output: on standard error, as far as that is heard."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from percpu_ffi._util.text import printable

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["silence", "tell"]


def tell(text: str) -> None:
    """Print lines; what is being done counts more than that somebody hears of it."""
    if not sys.stderr:  # the shell closed it
        return
    try:
        lines = map(printable, text.split("\n"))  # names of files may hold anything
        print("percpu-ffi:", "\n".join(lines), file=sys.stderr, flush=True)
    except OSError:  # the terminal is gone, the disk is full
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Write nothing more, also not at exit: that would end with a status of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
