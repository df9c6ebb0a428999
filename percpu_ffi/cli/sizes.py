# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi sizes TRACE...``: the distribution of sizes and alignments."""

from __future__ import annotations

import argparse
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial

from percpu_ffi.analysis.sizes import Distribution, sizes, sizes_of_file, total
from percpu_ffi.cli.arguments import (
    copies_of,
    load_trace,
    print_report,
    report_skipped,
)
from percpu_ffi.cli.executors import chosen_executor, is_long, is_worthwhile
from percpu_ffi.cli.objects import files_of
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError
from percpu_ffi.executors import Task, run_in_order
from percpu_ffi.reports.size_chart import plot_sizes
from percpu_ffi.reports.sizes import Part, SizeReport
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import STDIN, source_name

TOTAL = "total"


def other_inputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the file of the user's own executor."""
    return files_of((), args.executor)


def run(args: argparse.Namespace) -> int:
    """Read the traces, count, draw, print."""
    parts = []
    with closing(_distributions(args)) as counted:
        for path, (found, trace) in zip(args.traces, counted, strict=True):
            copies = copies_of(args, trace)
            parts.append(Part(source_name(path), found.of_copies(copies or 1), trace, copies))
    if len(parts) > 1:
        parts.append(Part(TOTAL, total(part.distribution for part in parts), None))
    if args.plot:
        plot_sizes({part.name: part.distribution for part in parts}, args.plot)
    print_report(args, SizeReport(parts, args.summary, args.callers))
    return 0


def _distributions(args: argparse.Namespace) -> Generator[tuple[Distribution, Trace]]:
    """Count the requests of each trace, and report what was not used of it."""
    paths = args.traces
    if STDIN in paths or not is_worthwhile(args, len(paths), is_long(paths)):
        if args.executor is not None or args.dask is not None:
            raise ConfigError("workers cannot read standard input; give a file")
        for path in paths:
            trace = load_trace(path, f"reading {source_name(path)}", strict=args.strict)
            yield sizes(trace, callers=args.callers), trace
        return
    places = map(os.path.abspath, paths)  # workers may run in another folder
    arguments = ((place, args.strict, args.callers) for place in places)
    with (
        chosen_executor(args) as executor,
        progress_bar("reading", len(paths), "trace") as progress,
    ):
        for found, trace in run_in_order(executor, sizes_of_file, arguments, partial(_task, paths)):
            if progress:
                progress(1)
            report_skipped(trace)
            yield found, trace


def _task(paths: list[str], number: int) -> Task:
    return Task(f"the reading of {paths[number]}", "read it in this process with --jobs 1")
