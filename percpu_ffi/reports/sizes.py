# SPDX-License-Identifier: GPL-2.0-only
"""Render distributions of sizes as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from percpu_ffi._util.text import cell, csv_text, plural, printable, table
from percpu_ffi.analysis.size_summary import Summary, summarise
from percpu_ffi.analysis.sizes import Bucket, Distribution, SizeRow
from percpu_ffi.analysis.tables import size_table
from percpu_ffi.reports.recording import (
    caveats,
    failure_lines,
    missing_events,
    possible_cpus,
    recording_figures,
    whose_bytes,
)
from percpu_ffi.reports.size_summary import summary_csv, summary_lines
from percpu_ffi.trace import Trace

BAR = 30  # characters of the longest bar
SHORT_BAR = 10  # with callers
CALLERS = 3  # in a line of the histogram
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
    """The last is all together if there are several traces."""
    summary: bool = False
    """Text and CSV have one line for each part."""
    callers: bool = False
    """The distributions have callers."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values; docs/analysis.md documents the keys."""
        return {"parts": [_to_json(part, self.callers) for part in self.parts]}

    def to_csv(self) -> str:
        """Return a row for each size, alignment and caller of each part."""
        if self.summary:
            return summary_csv(self._summaries())
        header = ("trace", *(field.name for field in fields(SizeRow)))
        rows = ((p.name, *astuple(row)) for p in self.parts for row in p.distribution.rows())
        width = len(header) - (not self.callers)
        return csv_text(header[:width], (row[:width] for row in rows))

    def to_text(self) -> str:
        """Return a table and a histogram for each part, or the summaries and the last histogram."""
        copies = {part.copies for part in self.parts if part.trace is not None}
        whose = whose_bytes(*copies) if len(copies) == 1 else EACH_MACHINE
        if self.summary:
            lines = summary_lines(self._summaries(), whose)
            notes = [note for part in self.parts for note in _losses(part)]
            histogram = _histogram(self.parts[-1].distribution.histogram())
            return "\n".join([*notes, *lines, *histogram])
        lines = [f"bytes are those of {whose}; {NOTE}"]
        for part in self.parts:
            lines += ["", *_to_text(part, self.callers)]
        return "\n".join(lines)

    def _summaries(self) -> list[tuple[str, Summary]]:
        return [(part.name, summarise(part.distribution)) for part in self.parts]


def _losses(part: Part) -> list[str]:
    """Return sentences about lost events and failed allocations; none if there were none."""
    if part.trace is None:
        return []
    stats = part.trace.stats
    lost = caveats(stats)[:1] if stats.lost else []
    return [f"{printable(part.name)}: {line}" for line in (*lost, *failure_lines(part.trace))]


def _to_json(part: Part, callers: bool) -> dict[str, Any]:
    found, trace = part.distribution, part.trace
    rows = found.rows()
    left_out = () if callers else ("caller", "callers")
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
        "summary": asdict(summarise(found)),
        "sizes": [_without(left_out, asdict(row)) for row in rows],
        "histogram": [_without(left_out, asdict(bucket)) for bucket in found.histogram()],
        "recording": None if trace is None else recording_figures(trace),
    }


def _without(names: Collection[str], figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in names}


def _to_text(part: Part, callers: bool) -> list[str]:
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
    return [*lines, "", *_size_table(rows, callers), "", *_histogram(found.histogram())]


def _size_table(rows: Sequence[SizeRow], callers: bool) -> list[str]:
    lines = size_table(rows, callers).lines()
    if not callers:  # table() aligns the first column to the left
        width = max(len(line[0]) for line in lines)
        lines = [(line[0].rjust(width), *line[1:]) for line in lines]
    return table(lines)


def _histogram(buckets: Sequence[Bucket]) -> list[str]:
    """Draw two columns of bars with one scale; name the callers with most areas at the peak."""
    callers = any(bucket.callers for bucket in buckets)
    bar = SHORT_BAR if callers else BAR
    highest = max((max(bucket.share, bucket.peak_share) for bucket in buckets), default=1)
    ends = ((bucket.from_size, bucket.to_size) for bucket in buckets)
    names = ["-".join(f"{size:,}" for size in dict.fromkeys(pair)) for pair in ends]
    width = max(map(len, ["sizes", *names]))
    heading = f"{'at peak':<{bar + 9}}  of" if callers else "at peak"
    lines = [f"  {'sizes':<{width}}  {'allocs':>7}  {'':<{bar}}  {heading}"]
    for name, bucket in zip(names, buckets, strict=True):
        cells = [
            f"{share:>7.1%}  {'#' * round(bar * share / highest):<{bar}}"
            for share in (bucket.share, bucket.peak_share)
        ]
        most = [*bucket.callers.items()][:CALLERS]
        cells.append(
            ", ".join(f"{cell(who)} {count / bucket.peak_areas:.0%}" for who, count in most)
        )
        lines.append(f"  {name:<{width}}  {'  '.join(cells)}".rstrip())
    return lines
