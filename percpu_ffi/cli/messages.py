# SPDX-License-Identifier: GPL-2.0-only
"""Messages on standard error."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from percpu_ffi._util.text import printable


def notify(text: str) -> None:
    """Print lines on standard error; a failure to print them does not stop the command."""
    if not sys.stderr:  # the shell closed it
        return
    try:
        lines = map(printable, text.split("\n"))  # file names may hold anything
        print("percpu-ffi:", "\n".join(lines), file=sys.stderr, flush=True)
    except OSError:  # the terminal is gone, the disk is full
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Discard further output, also at exit, where Python would change the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
