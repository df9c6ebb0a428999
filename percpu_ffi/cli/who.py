# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi who TRACE``: which call sites, callers or tasks hold the memory."""

from __future__ import annotations

import argparse

from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.folded import folded
from percpu_ffi.analysis.origins import Selection
from percpu_ffi.cli.arguments import (
    copies_of,
    load_trace,
    print_report,
    short_name,
)
from percpu_ffi.errors import ConfigError
from percpu_ffi.reports.call_sites import CallSiteReport

PID_DIGITS = 10  # the kernel's ids have 22 bits


def run(args: argparse.Namespace) -> int:
    """Read the trace, compute the figures, print them."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: from 1; leave it out for all rows")
    sites = _words("--site", args.sites, "the names of call sites")
    names = _words("--name", args.names, "the names of tasks")
    pids = [_pid(word) for word in _words("--pid", args.pids, "the ids of tasks")]
    trace = load_trace(args.trace, strict=args.strict)
    copies = copies_of(args, trace)
    if args.folded:
        for line in folded(trace, Selection(sites, pids, names), copies):
            print(line)
        return 0
    found = who(trace, args.cull, args.sort, sites, pids=pids, names=names, helpers=args.helpers,
                copies=copies)  # fmt: skip
    print_report(args, CallSiteReport(short_name(args.trace), trace, found, args.limit))
    return 0


def _words(option: str, text: str | None, what: str) -> list[str]:
    """Split a list at its commas."""
    words = [word for word in (text or "").split(",") if word]
    if text is not None and not words:
        raise ConfigError(f"{option} {text!r}: give {what}, or leave it out")
    return words


def _pid(word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) <= PID_DIGITS:
        return int(word)
    raise ConfigError(f"--pid {word}: the id of a task is a whole number, such as 4711")
