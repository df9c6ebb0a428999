# SPDX-License-Identifier: GPL-2.0-only
"""Render the figures of call sites as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from percpu_ffi._util.text import cell, csv_text, duration, plural, printable, table
from percpu_ffi.analysis.call_sites import FIGURES, CallSites, Figures, Moment
from percpu_ffi.reports.recording import caveats, missing_events, recorded_on, recording_figures
from percpu_ffi.trace import Trace

TITLES = {"site": "call site"}
COUNTS = ("peak_bytes", "peak_areas", "end_bytes", "never_freed", "allocs", "frees")
NO_SITES = (
    "the trace has no call sites (kernels before 5.19 do not print them): all allocations are in "
    "one row"
)


@dataclass(frozen=True)
class CallSiteReport:
    """The report of ``percpu-ffi who``."""

    name: str
    """Of the trace."""
    trace: Trace
    found: CallSites
    limit: int | None
    """The most rows to show; None: all."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values; docs/analysis.md documents the keys."""
        found = self.found
        return {
            "trace": self.name,
            "cpus": self.trace.stats.cpus,
            **missing_events(self.trace.stats),
            "sites_told": found.sites_told,
            "times_in": "ns" if found.timed else "operations",
            "peak": asdict(found.peak),
            "end": asdict(found.end),
            "culled_by": found.culled_by,
            "rows": [
                dict(zip(found.culled_by, row.key, strict=True)) | asdict(row.figures)
                for row in found.rows[: self.limit]
            ],
            "rows_left_out": self._left_out,
            "all": asdict(found.all) if found.all else None,
            "recording": recording_figures(self.trace),
        }

    def to_csv(self) -> str:
        """Return the rows: their keys, then their figures."""
        rows = ((*row.key, *astuple(row.figures)) for row in self.found.rows[: self.limit])
        return csv_text((*self.found.culled_by, *FIGURES), rows)

    def to_text(self) -> str:
        """Return a table with a heading."""
        found, stats = self.found, self.trace.stats
        lines = [
            f"{printable(self.name)}{recorded_on(stats)}: "
            f"{plural(stats.allocs, 'allocation')}, {plural(stats.frees, 'free')}",
            f"peak  {self._moment(found.peak)}",
            f"end   {self._moment(found.end)}",
            "bytes are those of one CPU's copies; "
            + (
                "lifetimes are in time"
                if found.timed
                else "without times, lifetimes are in operations"
            ),
            *caveats(stats),
        ]
        if not found.sites_told and {"site", "function"} & {*found.culled_by}:
            lines.append(NO_SITES)
        lines.append("")
        if found.all is None:
            return "\n".join([*lines, "  there are no allocations"])
        lines += table(self._rows(found.all))
        if self._left_out:
            lines.append(f"  {plural(self._left_out, 'row')} not shown, but included in 'all'")
        return "\n".join(lines)

    @property
    def _left_out(self) -> int:
        return 0 if self.limit is None else len(self.found.rows[self.limit :])

    def _moment(self, moment: Moment) -> str:
        when = f"after operation {moment.operation + 1:,} of {len(self.trace):,}"
        times = self.trace.times
        if moment.time is not None and times and times[0] <= moment.time:
            when += f", {duration(moment.time - times[0])} after the first"
        return f"{plural(moment.bytes, 'byte')} in {plural(moment.areas, 'area')}, {when}"

    def _rows(self, everything: Figures) -> list[Sequence[str]]:
        found = self.found
        titles = [TITLES.get(key, key) for key in found.culled_by]
        blank = [""] * len(titles)
        return [
            (*blank, "at peak", "", "at end", "never", "", "", "lifetime", "", ""),
            (*titles, "bytes", "areas", "bytes", "freed", "allocs", "frees", "p50", "p99", "sizes"),
            *((*map(_key, row.key), *_figures(row.figures, found.timed))
              for row in found.rows[: self.limit]),
            ("all", *blank[1:], *_figures(everything, found.timed)),
        ]  # fmt: skip


def _key(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else cell(value) or "(unknown)"


def _figures(figures: Figures, timed: bool) -> list[str]:
    counts = (f"{getattr(figures, name):,}" for name in COUNTS)
    lifetimes = (_lifetime(span, timed) for span in (figures.life_p50, figures.life_p99))
    sizes = dict.fromkeys((figures.min_size, figures.max_size))
    return [*counts, *lifetimes, "-".join(f"{size:,}" for size in sizes)]


def _lifetime(value: int | None, timed: bool) -> str:
    if value is None:
        return "-"
    return duration(value) if timed else f"{value:,}"
