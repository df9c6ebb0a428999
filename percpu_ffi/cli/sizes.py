# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi sizes TRACE...``: which sizes and alignments are asked for, and how often."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import csv_text, plural, printable, table
from percpu_ffi.analysis.sizes import Distribution, SizeRow, sizes, total
from percpu_ffi.cli.arguments import TRACE, add_forms, load_trace
from percpu_ffi.outputs import check_plot
from percpu_ffi.reports.recording import gaps
from percpu_ffi.reports.size_chart import plot_sizes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from percpu_ffi.analysis.sizes import Bucket
    from percpu_ffi.trace import TraceStats

__all__ = ["add_parser"]

BAR = 30  # characters for the highest share
TOTAL = "total"
NOTE = (
    "bytes are those of one CPU's copies; at peak: alive when most bytes of the trace were; "
    "to here: share of allocations so far down"
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "sizes",
        help="tell which sizes and alignments are asked for in traces",
        description="Tell how often each size and alignment is asked for, and how many of them "
        "are alive when most bytes are, for each trace and for all together.",
    )
    parser.add_argument("traces", metavar="TRACE", nargs="+", help=TRACE)
    add_forms(parser)
    parser.add_argument(
        "--plot",
        metavar="OUT.svg",
        help="draw a chart, also .png or .pdf; needs the extra 'plot' (matplotlib)",
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Part:
    """One trace, or all together."""

    name: str
    distribution: Distribution
    stats: TraceStats | None  # None: all together


def run(args: argparse.Namespace) -> int:
    """Read the traces, count, draw, print."""
    if args.plot:
        check_plot(args.plot)
    parts = [_read(path) for path in args.traces]
    if len(parts) > 1:
        parts.append(Part(TOTAL, total(part.distribution for part in parts), None))
    if args.plot:
        plot_sizes({part.name: part.distribution for part in parts}, args.plot)
    if args.json:
        print(json.dumps({"parts": [_to_json(part) for part in parts]}, indent=2))
    elif args.csv:
        header = ("trace", *(field.name for field in fields(SizeRow)))
        rows = ((part.name, *astuple(row)) for part in parts for row in part.distribution.rows())
        print(csv_text(header, rows))
    else:
        print("\n".join([NOTE, *(line for part in parts for line in ["", *_to_text(part)])]))
    return 0


def _read(path: str) -> Part:
    """Read one trace; of its operations nothing is kept."""
    trace = load_trace(path, f"reading {path}")
    return Part(path, sizes(trace), trace.stats)


def _to_json(part: Part) -> dict[str, Any]:
    """One trace as an object; the keys are documented in docs/sight.md."""
    found, stats = part.distribution, part.stats
    rows = found.rows()
    return {
        "trace": part.name if stats else None,
        "cpus": stats.cpus if stats else None,
        "allocs": found.allocated.total(),
        "bytes": sum(row.bytes for row in rows),
        "peak_areas": found.at_peak.total(),
        "peak_bytes": sum(row.peak_bytes for row in rows),
        "orphan_frees": stats.orphan_frees if stats else None,
        "reallocs": stats.reallocs if stats else None,
        "lost_events": stats.lost if stats else None,
        "sizes": [asdict(row) for row in rows],
        "histogram": [asdict(bucket) for bucket in found.histogram()],
    }


def _to_text(part: Part) -> list[str]:
    found = part.distribution
    rows = found.rows()
    allocated = sum(row.bytes for row in rows)
    at_peak = sum(row.peak_bytes for row in rows)
    lines = [
        f"{printable(part.name)}: "
        f"{plural(found.allocated.total(), 'allocation')} of {allocated:,} bytes, "
        f"{plural(found.at_peak.total(), 'area')} of {at_peak:,} bytes at "
        f"{'peak' if part.stats else 'the peaks'}",
        *(gaps(part.stats) if part.stats else ()),
    ]
    if not rows:
        return lines
    return [*lines, "", *_size_table(rows), "", *_histogram(found.histogram())]


def _size_table(rows: Sequence[SizeRow]) -> list[str]:
    lines: list[Sequence[str]] = [
        ("", "", "", "", "", "", "at peak", "", ""),
        ("size", "align", "allocs", "share", "to here", "bytes", "areas", "share", "bytes"),
    ]
    lines += [
        (
            f"{row.size:,}",
            f"{row.align:,}",
            f"{row.allocs:,}",
            f"{row.share:.1%}",
            f"{row.cumulative:.1%}",
            f"{row.bytes:,}",
            f"{row.peak_areas:,}",
            f"{row.peak_share:.1%}",
            f"{row.peak_bytes:,}",
        )
        for row in rows
    ]
    width = max(len(line[0]) for line in lines)  # its first column is to the left else
    return table((line[0].rjust(width), *line[1:]) for line in lines)


def _histogram(buckets: Sequence[Bucket]) -> list[str]:
    """Two columns of bars, drawn to the same scale."""
    highest = max(share for bucket in buckets for share in (bucket.share, bucket.peak_share))
    names = [
        f"{bucket.from_size:,}-{bucket.to_size:,}"
        if bucket.from_size < bucket.to_size
        else f"{bucket.to_size:,}"
        for bucket in buckets
    ]
    width = max(map(len, ["sizes", *names]))
    lines = [f"  {'sizes':<{width}}  {'allocs':>7}  {'':<{BAR}}  at peak"]
    for name, bucket in zip(names, buckets, strict=True):
        cells = (
            f"{share:>7.1%}  {'#' * round(BAR * share / highest):<{BAR}}"
            for share in (bucket.share, bucket.peak_share)
        )
        lines.append(f"  {name:<{width}}  {'  '.join(cells)}".rstrip())
    return lines
