# SPDX-License-Identifier: GPL-2.0-only
"""Render distributions of sizes as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from percpu_ffi._util.text import csv_text, plural, printable, table
from percpu_ffi.analysis.sizes import Bucket, Distribution, SizeRow
from percpu_ffi.reports.recording import (
    caveats,
    failure_lines,
    missing_events,
    possible_cpus,
    recording_figures,
    whose_bytes,
)
from percpu_ffi.trace import Trace

BAR = 30  # characters of the longest bar
NOTE = (
    "at peak: live at the peak of the trace; to here: share of allocations in this row and those "
    "above"
)
EACH_MACHINE = "the copies of each machine's possible CPUs (--machine)"


@dataclass(frozen=True)
class Part:
    """One trace, or all together."""

    name: str
    distribution: Distribution
    trace: Trace | None
    """None: all together."""
    copies: int | None = None
    """By how many the bytes of one CPU's copies are multiplied; None: one."""


@dataclass(frozen=True)
class SizeReport:
    """The report of ``percpu-ffi sizes``."""

    parts: list[Part]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values; docs/analysis.md documents the keys."""
        return {"parts": [_to_json(part) for part in self.parts]}

    def to_csv(self) -> str:
        """Return a row for each size and alignment of each part."""
        header = ("trace", *(field.name for field in fields(SizeRow)))
        rows = ((p.name, *astuple(row)) for p in self.parts for row in p.distribution.rows())
        return csv_text(header, rows)

    def to_text(self) -> str:
        """Return a table and a histogram for each part."""
        copies = {part.copies for part in self.parts if part.trace is not None}
        whose = whose_bytes(*copies) if len(copies) == 1 else EACH_MACHINE
        note = f"bytes are those of {whose}; {NOTE}"
        return "\n".join([note, *(line for part in self.parts for line in ["", *_to_text(part)])])


def _to_json(part: Part) -> dict[str, Any]:
    found, trace = part.distribution, part.trace
    rows = found.rows()
    stats = None if trace is None else trace.stats
    return {
        "trace": part.name if stats else None,
        "cpus": stats.cpus if stats else None,
        "possible_cpus": None if trace is None else possible_cpus(trace),
        "allocs": found.allocated.total(),
        "bytes": sum(row.bytes for row in rows),
        "peak_areas": found.at_peak.total(),
        "peak_bytes": sum(row.peak_bytes for row in rows),
        **missing_events(stats),
        "sizes": [asdict(row) for row in rows],
        "histogram": [asdict(bucket) for bucket in found.histogram()],
        "recording": None if trace is None else recording_figures(trace),
    }


def _to_text(part: Part) -> list[str]:
    found, trace = part.distribution, part.trace
    rows = found.rows()
    allocated = sum(row.bytes for row in rows)
    at_peak = sum(row.peak_bytes for row in rows)
    lines = [
        f"{printable(part.name)}: "
        f"{plural(found.allocated.total(), 'allocation')} of {plural(allocated, 'byte')}, "
        f"{plural(found.at_peak.total(), 'area')} of {plural(at_peak, 'byte')} at "
        f"{'the peaks' if trace is None else 'peak'}",
    ]
    if trace is not None:
        lines += [*caveats(trace.stats), *failure_lines(trace)]
    if not rows:
        return lines
    return [*lines, "", *_size_table(rows), "", *_histogram(found.histogram())]


def _size_table(rows: Sequence[SizeRow]) -> list[str]:
    lines: list[Sequence[str]] = [
        ("", "", "", "", "", "", "at peak", "", ""),
        ("size", "align", "allocs", "share", "to here", "bytes", "areas", "share", "bytes"),
    ]
    lines += [
        [f"{value:.1%}" if isinstance(value, float) else f"{value:,}" for value in astuple(row)]
        for row in rows
    ]
    width = max(len(line[0]) for line in lines)  # table() aligns the first column to the left
    return table((line[0].rjust(width), *line[1:]) for line in lines)


def _histogram(buckets: Sequence[Bucket]) -> list[str]:
    """Draw two columns of bars with one scale."""
    highest = max(share for bucket in buckets for share in (bucket.share, bucket.peak_share))
    ends = ((bucket.from_size, bucket.to_size) for bucket in buckets)
    names = ["-".join(f"{size:,}" for size in dict.fromkeys(pair)) for pair in ends]
    width = max(map(len, ["sizes", *names]))
    lines = [f"  {'sizes':<{width}}  {'allocs':>7}  {'':<{BAR}}  at peak"]
    for name, bucket in zip(names, buckets, strict=True):
        cells = (
            f"{share:>7.1%}  {'#' * round(BAR * share / highest):<{BAR}}"
            for share in (bucket.share, bucket.peak_share)
        )
        lines.append(f"  {name:<{width}}  {'  '.join(cells)}".rstrip())
    return lines
