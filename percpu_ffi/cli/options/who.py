# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi who``."""

from __future__ import annotations

import argparse

from percpu_ffi.analysis.keys import CULL, DEFAULT_SORT, FIGURES
from percpu_ffi.cli.arguments import (
    add_formats,
    add_machine,
    add_repeatable,
    add_trace,
)

# short options of page_owner_sort
SORT_OPTIONS = {
    "-m": ("memory", DEFAULT_SORT),
    "-s": ("call site", "site"),
    "-t": ("number of allocations", "-times"),
    "-a": ("time of the first allocation", "alloc_ts"),
    "-p": ("id of the task", "pid"),
    "-n": ("name of the task", "name"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Show which call sites, callers or tasks hold the memory: live bytes and areas at the peak "
        "and at the end, allocations, lifetimes, sizes. Options have the names that the kernel's "
        "page_owner_sort uses."
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
    text = "show only allocations by the tasks with these ids"
    parser.add_argument("--pid", type=str, dest="pids", metavar="PID,...", help=text)
    text = "show only allocations by the tasks with these names; * and ? match any characters"
    parser.add_argument("--name", type=str, dest="names", metavar="NAME,...", help=text)
    text = (
        "a function that allocates for its caller, * and ? match any characters, for --cull caller"
    )
    add_repeatable(parser, "--helper", "helpers", "NAME", text)
    parser.add_argument("--limit", type=int, metavar="N", help="print the first N rows only")
    add_machine(parser)
    text = (
        "print the bytes live at the peak by stack instead, in the format of flame graphs: "
        "frame;frame;frame bytes, the outermost frame first; without stacks task;site bytes"
    )
    add_formats(parser).add_argument("--folded", action="store_true", help=text)
