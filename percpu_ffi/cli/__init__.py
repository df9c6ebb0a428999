# SPDX-License-Identifier: GPL-2.0-only
"""The command ``percpu-ffi``: one module for each subcommand.

A subcommand's module has ``add_parser(subparsers)``, which sets ``run``, a function of
the parsed arguments that returns the exit status.
"""

from __future__ import annotations

import argparse
import errno
import io
import sys
from itertools import takewhile
from typing import TYPE_CHECKING

from percpu_ffi import __version__
from percpu_ffi.cli import bench, check, compare, record, replay, report, sizes, stats, who
from percpu_ffi.cli.messages import silence, tell
from percpu_ffi.errors import PercpuError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

TROUBLE = 2  # as diff and grep: 1 is left for "they differ"
INTERRUPTED = 130  # what shells use for SIGINT
BROKEN_PIPE = 141  # and for SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors become one sentence and a status of 2."""
    parser = argparse.ArgumentParser(
        prog="percpu-ffi",
        description="The first dynamic per-CPU allocator of Linux, in userspace.",
    )
    parser.add_argument("--version", action="version", version=f"percpu-ffi {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (record, replay, who, sizes, compare, stats, check, report, bench):
        command.add_parser(commands)
    words = sys.argv[1:] if argv is None else argv
    for word in takewhile("--".__ne__, words):
        if word.startswith("--") and word.endswith("=--"):  # an empty list before Python 3.13
            parser.error(f"{word}: -- is no value; it ends the options and stands alone")
    args = parser.parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = sys.stdout or _Closed()
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)  # the reader has gone
        return BROKEN_PIPE
    except (PercpuError, OSError, MemoryError) as error:
        tell(_sentence(error))
        try:
            sys.stdout.flush()
        except OSError:
            silence(sys.stdout)  # a disk is full, say
        return TROUBLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _sentence(error: BaseException) -> str:
    """Say which file and why, as other commands do; not the error's number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or "out of memory"


class _Closed(io.StringIO):
    """Standard output that the shell closed; Python would drop what is printed, and say nothing."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed; leave it open, or give it a file")
