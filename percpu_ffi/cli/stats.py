# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi stats``: statistics in the format of the kernel's ``percpu_stats``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.arguments import (
    TRACE,
    add_json,
    add_memory,
    add_setup,
    add_strict,
    load_trace,
    setup_of,
)
from percpu_ffi.cli.files import InputFile
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import StatsError
from percpu_ffi.stats import Dump, diff, diff_text, figures

STDIN = "-"
DIFFERENT = 1  # exit status, as of diff


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Replay a trace and print the allocator's statistics in the format of "
        "/sys/kernel/debug/percpu_stats; or compare two files of this format."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("trace", type=InputFile(), metavar="TRACE", nargs="?", help=TRACE)
    text = "two files to compare, - for standard input; exit status 1 if they differ"
    what.add_argument("--diff", type=InputFile(), nargs=2, metavar=("A", "B"), help=text)
    add_strict(parser)
    add_memory(add_setup(parser))
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the statistics of a replay, or the difference of two files."""
    if args.diff:
        return _compare(*args.diff, as_json=args.json)
    trace = load_trace(args.trace, strict=args.strict)
    with Allocator(**setup_of(args, trace)) as allocator:
        with progress_bar("replaying", len(trace), "op") as progress:
            allocator.replay(trace, progress)
        dump = figures(allocator)
    print(json.dumps(dump.to_json(), indent=2) if args.json else str(dump))
    return 0


def _compare(a: str, b: str, *, as_json: bool) -> int:
    if a == b == STDIN:
        raise StatsError("standard input can be read only once; give a file for the other one")
    left, right = _read(a), _read(b)
    print(json.dumps(diff(left, right), indent=2) if as_json else diff_text(left, right))
    return DIFFERENT if left != right else 0


def _read(name: str) -> Dump:
    if name == STDIN:
        if not sys.stdin:
            raise StatsError("standard input is closed; give a file instead of -")
        return Dump.parse(sys.stdin.buffer.read().decode(errors="replace"), "standard input")
    return Dump.parse(Path(name).read_text(encoding="utf-8", errors="replace"), name)
