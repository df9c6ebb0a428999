# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi who TRACE``: which call sites hold the memory."""

from __future__ import annotations

import argparse

from percpu_ffi.analysis.call_sites import CULL, DEFAULT_SORT, FIGURES, who
from percpu_ffi.cli.arguments import add_formats, add_trace, load_trace, print_report, short_name
from percpu_ffi.errors import ConfigError
from percpu_ffi.reports.call_sites import CallSiteReport

# short options of page_owner_sort
SORT_OPTIONS = {
    "-m": ("memory", DEFAULT_SORT),
    "-s": ("call site", "site"),
    "-t": ("number of allocations", "-times"),
    "-a": ("time of the first allocation", "alloc_ts"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Show which call sites hold the memory: live bytes and areas at the peak and at the end, "
        "allocations, lifetimes, sizes. Options have the names that the kernel's page_owner_sort "
        "uses."
    )
    add_trace(parser)
    text = (
        f"merge allocations with equal keys into one row: {', '.join(CULL)}, or txt for all that "
        "the trace has of an allocation (site)"
    )
    parser.add_argument("--cull", type=str, default="site", metavar="KEY,...", help=text)
    text = (
        f"order of the rows, - for descending: a key of --cull, {', '.join(FIGURES)} "
        f"(-memory, which is -peak_bytes); write --sort=-KEY"
    )
    parser.add_argument("--sort", type=str, default=DEFAULT_SORT, metavar="[+|-]KEY,...", help=text)
    for option, (what, order) in SORT_OPTIONS.items():
        text = f"sort by {what}: --sort={order}"
        parser.add_argument(option, dest="sort", action="store_const", const=order, help=text)
    text = "show only these call sites, with or without offset; * and ? match any characters"
    parser.add_argument("--site", type=str, dest="sites", metavar="SITE,...", help=text)
    parser.add_argument("--limit", type=int, metavar="N", help="print the first N rows only")
    add_formats(parser)


def run(args: argparse.Namespace) -> int:
    """Read the trace, compute the figures, print them."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: from 1; leave it out for all rows")
    trace = load_trace(args.trace, strict=args.strict)
    sites = [site for site in (args.sites or "").split(",") if site]
    if args.sites is not None and not sites:
        raise ConfigError(f"--site {args.sites!r}: give the names of call sites, or leave it out")
    found = who(trace, args.cull, args.sort, sites)
    print_report(args, CallSiteReport(short_name(args.trace), trace, found, args.limit))
    return 0
