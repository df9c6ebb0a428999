# SPDX-License-Identifier: GPL-2.0-only
"""What the charts of the page show, as sentences and as tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from percpu_ffi._util.text import duration, plural, printable
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.analysis.timeline import Timeline
from percpu_ffi.analysis.totals import Row, by_size
from percpu_ffi.reports.page.figures import curve_figures

BUCKETS = 12  # of a table of curves; each has a few rows
MOST_ORIGINS = 12


class Table(NamedTuple):
    """A chart in words."""

    label: str
    """A sentence that stands for the chart, or that follows the table."""
    caption: str
    """What the rows are."""
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    """Cells below ``heads``; the first one is the row's own heading."""


def curves_table(timeline: Timeline) -> Table:
    """Return the curves at some moments, with the peak and the worst one."""
    seconds, figures = timeline.seconds, curve_figures(timeline)
    is_replay = isinstance(timeline, ReplayTimeline)
    notes = {timeline.peak: "peak"}
    if is_replay:
        both = timeline.worst == timeline.peak
        notes[timeline.worst] = "peak, worst moment" if both else "worst moment"
    names = (f"{figure.name} bytes" if figure.key == "live" else figure.name for figure in figures)
    return Table(
        _curves_sentence(timeline, is_replay=is_replay),
        "The curves at their extremes",
        ("operations done", *(["seconds"] if seconds is not None else []), *names, "note"),
        [
            (
                f"{done:,}",
                *([f"{seconds[done]:,.6f}"] if seconds is not None else []),
                *(figure.text(done) for figure in figures),
                notes.get(done, ""),
            )
            for done in thinned(timeline, BUCKETS)
        ],
    )


def _curves_sentence(timeline: Timeline, *, is_replay: bool) -> str:
    curves, seconds = timeline.curves, timeline.seconds
    long = plural(len(timeline.trace), "operation")
    if seconds is not None:
        long = f"{duration(round(seconds[-1] * 1e9))}, {long}"
    what = "Bytes, fragmentation and chunks" if is_replay else "Bytes and chunks"
    text = f"{what} over {long}: {curves.live[timeline.peak]:,} live bytes at the peak"
    if is_replay:
        text += f", {timeline.stranded(timeline.worst):,} stranded bytes at the worst moment"
    if hidden := max(curves.hidden or [0]):
        text += f", at most {plural(hidden, 'hidden byte')}"
    return f"{text}, at most {plural(max(curves.chunks), 'chunk')}."


def sizes_table(timeline: Timeline) -> Table:
    """Return the distribution of sizes of at least one area."""
    rows = by_size(timeline)
    allocs, at_peak = sum(row.allocs for row in rows), sum(row.at_peak for row in rows)

    def highest(column: str) -> str:
        return f"{int(max(rows, key=lambda row: getattr(row, column)).name):,}"

    return Table(
        f"Allocations and live bytes at the peak by size: up to {highest('allocs')} bytes is the "
        f"most frequent, up to {highest('at_peak')} bytes takes the most.",
        "Allocations and live bytes by size",
        ("bytes, up to", "allocations", "share", "live bytes at the peak", "share of them"),
        [
            (
                f"{int(row.name):,}",
                *(f"{row.allocs:,}", f"{row.allocs / allocs:.1%}"),
                *(f"{row.at_peak:,}", f"{row.at_peak / at_peak:.1%}"),
            )
            for row in rows
        ],
    )


def origins_table(what: str, rows: Sequence[Row]) -> Table:
    """Return the callers or the tasks with the most bytes at the peak."""
    left_out = len(rows) - MOST_ORIGINS
    return Table(
        f"and {left_out:,} more." if left_out > 0 else "",
        f"The {what}s with the most bytes at the peak",
        (what, "bytes at peak", "areas"),
        [
            (printable(row.name) or "unknown", f"{row.at_peak:,}", f"{row.areas_at_peak:,}")
            for row in rows[:MOST_ORIGINS]
        ],
    )
