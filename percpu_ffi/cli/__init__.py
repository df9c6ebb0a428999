# SPDX-License-Identifier: GPL-2.0-only
"""The command ``percpu-ffi``: one module for each subcommand.

A subcommand's module has ``add_parser(subparsers)``, which sets ``run``, a function of
the parsed arguments that returns the exit status.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING

from percpu_ffi import __version__
from percpu_ffi.cli import bench, check, compare, record, replay, report, sizes, stats, who
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
    record.add_parser(commands)
    replay.add_parser(commands)
    who.add_parser(commands)
    sizes.add_parser(commands)
    compare.add_parser(commands)
    stats.add_parser(commands)
    check.add_parser(commands)
    report.add_parser(commands)
    bench.add_parser(commands)
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = args.run(args)
        if sys.stdout:  # None when the shell closed it
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()  # the reader has gone
        return BROKEN_PIPE
    except (PercpuError, OSError, MemoryError) as error:
        print(f"percpu-ffi: {str(error) or 'out of memory'}", file=sys.stderr)
        try:
            if sys.stdout:
                sys.stdout.flush()
        except OSError:
            _forget_output()  # a disk is full, say
        return TROUBLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _forget_output() -> None:
    """Write nothing more, also not at exit: that would end with a status of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
