# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi who TRACE``: which call sites hold the memory."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import csv_text, duration, plural, printable, table
from percpu_ffi.analysis.call_sites import CULL, FIGURES, SORT, who
from percpu_ffi.cli.arguments import add_forms, add_trace, load_trace
from percpu_ffi.errors import ConfigError
from percpu_ffi.reports.recording import gaps, recorded_on

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from percpu_ffi.analysis.call_sites import Figures, Moment, Who
    from percpu_ffi.trace import Trace

__all__ = ["add_parser"]

TITLES = {"site": "call site"}
NO_SITES = (
    "the trace has no call sites, which kernels before 5.19 do not print: all callers are together"
)
SHORT = {
    "m": ("memory", SORT),
    "s": ("call site", "site"),
    "t": ("number of allocations", "-times"),
    "a": ("time of the first allocation", "alloc_ts"),
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "who",
        help="tell which call sites hold the memory in a trace",
        description="Tell which call sites hold the memory: bytes and areas when most bytes were "
        "alive and at the end, allocations, lifetimes, sizes. Options are named as those of the "
        "kernel's page_owner_sort.",
    )
    add_trace(parser)
    parser.add_argument(
        "--cull",
        default="site",
        metavar="KEY,...",
        help=f"what is the same in a row: {', '.join(CULL)}, or txt for all that an allocation "
        "tells (site)",
    )
    parser.add_argument(
        "--sort",
        default=SORT,
        metavar="[+|-]KEY,...",
        help=f"order of the rows, - for the highest first: a key of --cull, {', '.join(FIGURES)} "
        f"(-memory, which is -peak_bytes); write --sort=-KEY",
    )
    for letter, (what, order) in SHORT.items():
        parser.add_argument(f"-{letter}", dest="sort", action="store_const", const=order,
                            help=f"sort by {what}: --sort={order}")  # fmt: skip
    parser.add_argument(
        "--site",
        dest="sites",
        default="",
        metavar="SITE,...",
        help="these call sites only, with or without offset; * and ? stand for any characters",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="print the first N rows only")
    add_forms(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the trace, sum it up, print it."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: from 1; leave it out for all rows")
    trace = load_trace(args.trace)
    found = who(trace, args.cull, args.sort, [site for site in args.sites.split(",") if site])
    name = Path(args.trace).name
    if args.json:
        print(json.dumps(_to_json(name, trace, found, args.limit), indent=2))
    elif args.csv:
        rows = ((*owner.key, *astuple(owner.figures)) for owner in found.owners[: args.limit])
        print(csv_text((*found.culled_by, *FIGURES), rows))
    else:
        print("\n".join(_to_text(name, trace, found, args.limit)))
    return 0


def _to_json(name: str, trace: Trace, found: Who, limit: int | None) -> dict[str, Any]:
    """The report as one object; the keys are documented in docs/sight.md."""
    return {
        "trace": name,
        "cpus": trace.stats.cpus,
        "orphan_frees": trace.stats.orphan_frees,
        "reallocs": trace.stats.reallocs,
        "lost_events": trace.stats.lost,
        "sites_told": found.sites_told,
        "times_in": "ns" if found.timed else "operations",
        "peak": asdict(found.peak),
        "end": asdict(found.end),
        "culled_by": found.culled_by,
        "rows": [
            dict(zip(found.culled_by, owner.key, strict=True)) | asdict(owner.figures)
            for owner in found.owners[:limit]
        ],
        "rows_left_out": len(found.owners[limit:]) if limit else 0,
        "all": asdict(found.all) if found.all else None,
    }


def _to_text(name: str, trace: Trace, found: Who, limit: int | None) -> list[str]:
    stats = trace.stats
    unit = "time" if found.timed else "operations: the trace tells no times"
    lines = [
        f"{printable(name)}{recorded_on(stats)}: "
        f"{plural(stats.allocs, 'allocation')}, {plural(stats.frees, 'free')}",
        *(_moment(what, trace, moment) for what, moment in
          (("peak", found.peak), ("end", found.end))),
        f"bytes are those of one CPU's copies; lifetimes are in {unit}",
        *gaps(stats),
    ]  # fmt: skip
    if not found.sites_told and {"site", "function"} & {*found.culled_by}:
        lines.append(NO_SITES)
    if found.all is None:
        return [*lines, "", "  nothing was allocated"]

    titles = [TITLES.get(key, key) for key in found.culled_by]
    blank = [""] * (len(titles) - 1)
    rows: list[Sequence[str]] = [
        (*[""] * len(titles), "at peak", "", "at end", "never", "", "", "lived", "", ""),
        (*titles, "bytes", "areas", "bytes", "freed", "allocs", "frees", "p50", "p99", "sizes"),
        *((*_cells(owner.key), *_figures(owner.figures, found.timed))
          for owner in found.owners[:limit]),
        ("all", *blank, *_figures(found.all, found.timed)),
    ]  # fmt: skip
    lines += ["", *table(rows)]
    if limit and found.owners[limit:]:
        lines.append(f"  {plural(len(found.owners[limit:]), 'row')} left out, but in 'all'")
    return lines


def _moment(what: str, trace: Trace, moment: Moment) -> str:
    when = f"after operation {moment.operation + 1:,} of {len(trace):,}"
    times = trace.times
    if moment.time is not None and times and times[0] <= moment.time:
        when += f", {duration(moment.time - times[0])} after the first"
    return f"{what:<5} {moment.bytes:,} bytes in {plural(moment.areas, 'area')}, {when}"


def _cells(key: tuple[str | int, ...]) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else printable(value) or "(not told)"
            for value in key]  # fmt: skip


def _figures(figures: Figures, timed: bool) -> list[str]:
    sizes = dict.fromkeys((figures.min_size, figures.max_size))
    return [
        f"{figures.peak_bytes:,}",
        f"{figures.peak_areas:,}",
        f"{figures.end_bytes:,}",
        f"{figures.never_freed:,}",
        f"{figures.allocs:,}",
        f"{figures.frees:,}",
        _span(figures.life_p50, timed),
        _span(figures.life_p99, timed),
        "-".join(f"{size:,}" for size in sizes),
    ]


def _span(value: int | None, timed: bool) -> str:
    if value is None:
        return "-"
    return duration(value) if timed else f"{value:,}"
