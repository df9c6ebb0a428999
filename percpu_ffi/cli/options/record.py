# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi record``."""

from __future__ import annotations

import argparse
import math
from contextlib import suppress

from percpu_ffi.cli.files import InputFolder, OutputFile

OUTPUT = "percpu.trace"
BUFFER_KB = 4096  # for each CPU: about 40,000 events between two reads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.usage = (
        "%(prog)s [-h] [-o FILE] [--force] [--stacks] [--seconds N]\n"
        "                         [--buffer-kb KIB] [--tracefs DIR] [-- COMMAND ...]"
    )
    parser.description = (
        "Record the percpu events of the whole machine while COMMAND runs, for N seconds, or until "
        "Ctrl-C. The file is for `percpu-ffi replay`, `check` and other commands. Requires root. "
        "Other tracing is not disturbed."
    )
    parser.epilog = (
        "The exit status is that of COMMAND; without one 0, or 128 plus the number of the signal "
        "that ended the recording; 2 if nothing could be recorded or saved."
    )
    text = "the file (%(default)s)"
    parser.add_argument(
        "-o", dest="output", type=OutputFile(), metavar="FILE", default=OUTPUT, help=text
    )
    text = "replace FILE if it exists"
    parser.add_argument("--force", action="store_true", help=text)
    text = "record the stack of each event, for `who --cull caller`"
    parser.add_argument("--stacks", action="store_true", help=text)
    text = "end the recording after N seconds, even if COMMAND still runs"
    parser.add_argument("--seconds", type=_seconds, metavar="N", help=text)
    text = "size of the kernel's buffer for each CPU (%(default)s)"
    parser.add_argument("--buffer-kb", type=_kib, default=BUFFER_KB, metavar="KIB", help=text)
    text = "where tracefs is mounted, if not in the usual place"
    parser.add_argument("--tracefs", type=InputFolder(), metavar="DIR", help=text)
    text = "what to run, with arguments"
    parser.add_argument("command", type=str, nargs=argparse.REMAINDER, metavar="COMMAND", help=text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)) and seconds > 0:
            return seconds
    raise argparse.ArgumentTypeError(f"{text}: give seconds as a number above 0")


def _kib(text: str) -> int:
    with suppress(ValueError):
        if (size := int(text)) > 0:
            return size
    raise argparse.ArgumentTypeError(f"{text}: give KiB as a whole number from 1")
