# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi sizes TRACE...``: the distribution of sizes and alignments."""

from __future__ import annotations

import argparse

from percpu_ffi.analysis.sizes import sizes, total
from percpu_ffi.cli.arguments import (
    TRACE,
    add_formats,
    add_machine,
    add_plot,
    add_strict,
    copies_of,
    load_trace,
    print_report,
)
from percpu_ffi.cli.files import InputFile
from percpu_ffi.reports.size_chart import plot_sizes
from percpu_ffi.reports.sizes import Part, SizeReport
from percpu_ffi.trace.source import source_name

TOTAL = "total"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Count the allocations of each size and alignment, and those live at the peak, for each "
        "trace and for all traces together."
    )
    parser.add_argument("traces", type=InputFile(), metavar="TRACE", nargs="+", help=TRACE)
    add_strict(parser)
    text = (
        "print one line for each trace, and the histogram of all together, instead of all tables; "
        "with --csv one row for each trace"
    )
    parser.add_argument("--summary", action="store_true", help=text)
    text = "count each caller separately, and name in the histogram those with most areas"
    parser.add_argument("--callers", action="store_true", help=text)
    add_machine(parser)
    add_formats(parser)
    add_plot(parser)


def run(args: argparse.Namespace) -> int:
    """Read the traces, count, draw, print."""
    parts = []
    for path in args.traces:
        name = source_name(path)
        trace = load_trace(path, f"reading {name}", strict=args.strict)
        copies = copies_of(args, trace)
        found = sizes(trace, copies or 1, callers=args.callers)
        parts.append(Part(name, found, trace, copies))
    if len(parts) > 1:
        parts.append(Part(TOTAL, total(part.distribution for part in parts), None))
    if args.plot:
        plot_sizes({part.name: part.distribution for part in parts}, args.plot)
    print_report(args, SizeReport(parts, args.summary, args.callers))
    return 0
