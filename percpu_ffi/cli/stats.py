# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi stats``: statistics in the format of the kernel's ``percpu_stats``."""

from __future__ import annotations

import argparse
import json

from percpu_ffi._util.text import plural, printable
from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.arguments import (
    open_input,
    report_skipped,
    setup_of,
)
from percpu_ffi.cli.messages import notify
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import StatsError
from percpu_ffi.stats import Dump, diff, diff_text, differ, figures
from percpu_ffi.stats.source import is_dump, read_dumps
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import STDIN

DIFFERENT = 1  # exit status, as of diff


def run(args: argparse.Namespace) -> int:
    """Print the statistics of a replay, a dump, or the difference of two."""
    if args.diff:
        return _compare(*_two_dumps(args.diff), as_json=args.json)
    with open_input(args.trace) as blocks:
        dumped = is_dump(blocks.head)
        found = read_dumps(blocks) if dumped else Trace.read(blocks, strict=args.strict)
    if isinstance(found, Trace):
        report_skipped(found)
        dump = _after_replay(args, found)
    else:
        dump = _only_one(found, blocks.name)
    print(json.dumps(dump.to_json(), indent=2) if args.json else str(dump))
    return 0


def _after_replay(args: argparse.Namespace, trace: Trace) -> Dump:
    with Allocator(**setup_of(args, trace)) as allocator:
        with progress_bar("replaying", len(trace), "op") as progress:
            allocator.replay(trace, progress)
        return figures(allocator)


def _compare(a: Dump, b: Dump, *, as_json: bool) -> int:
    print(json.dumps(diff(a, b), indent=2) if as_json else diff_text(a, b))
    return DIFFERENT if differ(a, b) else 0


def _two_dumps(paths: list[str]) -> list[Dump]:
    """Read the dumps to compare: one of each of two files, or two of one.

    Raises:
        StatsError: there are more or fewer.

    """
    if len(paths) > 2:
        raise StatsError(f"--diff {' '.join(paths)}: one or two files are compared")
    if paths.count(STDIN) > 1:
        raise StatsError("standard input can be read only once; give a file for the other one")
    if len(paths) == 2:
        return [_only_one(*_read(path)) for path in paths]
    dumps, name = _read(paths[0])
    if len(dumps) != 2:
        raise StatsError(
            f"{plural(len(dumps), 'dump')} in the file, and --diff of one file compares two: "
            + ("give the other file, too" if len(dumps) == 1 else "save the two that are meant"),
            name,
        )
    for number, dump in enumerate(dumps, 1):
        _report_cut(dump, f"{name}, dump {number}")
    return dumps


def _read(path: str) -> tuple[list[Dump], str]:
    with open_input(path) as blocks:
        return read_dumps(blocks), blocks.name


def _only_one(dumps: list[Dump], name: str) -> Dump:
    if len(dumps) > 1:
        raise StatsError(
            f"{plural(len(dumps), 'dump')} in the file, and one is needed: save it alone"
            + ("; --diff with this file alone compares the two" if len(dumps) == 2 else ""),
            name,
        )
    _report_cut(dumps[0], name)
    return dumps[0]


def _report_cut(dump: Dump, name: str) -> None:
    if dump.missing_chunks:
        notify(
            f"{printable(name)}: the dump is probably cut (truncated): its totals count "
            f"{plural(dump.missing_chunks, 'chunk')} more than it has"
        )
