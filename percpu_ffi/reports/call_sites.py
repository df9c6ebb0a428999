# SPDX-License-Identifier: GPL-2.0-only
"""Render the figures of call sites as text, JSON and CSV."""

from __future__ import annotations

from typing import Any, NamedTuple

from percpu_ffi._util.text import csv_text, duration, plural, printable, table
from percpu_ffi.analysis.call_sites import CallSites, Moment
from percpu_ffi.analysis.callers import ADDRESS
from percpu_ffi.analysis.keys import Figures
from percpu_ffi.analysis.tables import call_site_table, in_a_line
from percpu_ffi.reports.recording import (
    caveats,
    failure_lines,
    missing_events,
    possible_cpus,
    recorded_on,
    recording_figures,
    whose_bytes,
)
from percpu_ffi.trace import Trace

BY_SITE = {"site", "function", "caller"}
NO_SITES = (
    "the trace has no call sites (kernels before 5.19 do not print them): all allocations are in "
    "one row"
)
ADDRESSES = (
    "call sites that begin with 0x are addresses, not names: `perf trace` prints no names; use "
    "`perf record` and `perf script`, or look them up in /proc/kallsyms of the same boot"
)


class CallSiteReport(NamedTuple):
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
            "possible_cpus": possible_cpus(self.trace),
            **missing_events(self.trace.stats),
            "sites_told": found.sites_told,
            "times_in": "ns" if found.timed else "operations",
            "peak": found.peak._asdict(),
            "end": found.end._asdict(),
            "culled_by": found.culled_by,
            "rows": [
                dict(zip(found.culled_by, row.key, strict=True)) | row.figures._asdict()
                for row in found.rows[: self.limit]
            ],
            "rows_left_out": self._left_out,
            "all": found.all._asdict() if found.all else None,
            "recording": recording_figures(self.trace),
        }

    def to_csv(self) -> str:
        """Return the rows: their keys, then their figures."""
        columns = self._shown.columns()
        if "stacktrace" in columns:
            columns["stacktrace"] = [in_a_line(stack or "") for stack in columns["stacktrace"]]
        return csv_text([*columns], zip(*columns.values(), strict=True))

    def to_text(self) -> str:
        """Return a table with a heading."""
        found, stats = self.found, self.trace.stats
        lines = [
            f"{printable(self.name)}{recorded_on(stats)}: "
            f"{plural(stats.allocs, 'allocation')}, {plural(stats.frees, 'free')}",
            f"peak  {self._moment(found.peak)}",
            f"end   {self._moment(found.end)}",
            f"bytes are those of {whose_bytes(found.copies)}; "
            + (
                "lifetimes are in time"
                if found.timed
                else "without times, lifetimes are in operations"
            ),
            *caveats(stats),
            *failure_lines(self.trace),
        ]
        if found.all is None:
            return "\n".join([*lines, "", "  there are no allocations"])
        lines += _lifetime_notes(found.all)
        sites = [i for i, key in enumerate(found.culled_by) if key in BY_SITE]
        if sites and not found.sites_told and not any(r.key[i] for r in found.rows for i in sites):
            lines.append(NO_SITES)
        if any(ADDRESS.fullmatch(str(row.key[i])) for row in found.rows for i in sites):
            lines.append(ADDRESSES)
        stacks = self._stacks()
        lines += ["", *table(call_site_table(self._shown, stacks).lines())]
        if self._left_out:
            lines.append(f"  {plural(self._left_out, 'row')} not shown, but included in 'all'")
        for stack, number in stacks.items():
            lines += ["", f"  {number}", *(f"    {printable(line)}" for line in stack.splitlines())]
        return "\n".join(lines)

    @property
    def _shown(self) -> CallSites:
        return self.found._replace(rows=self.found.rows[: self.limit])

    @property
    def _left_out(self) -> int:
        return 0 if self.limit is None else len(self.found.rows[self.limit :])

    def _stacks(self) -> dict[str, str]:
        """Return numbers for the stacks in the rows, which have no room for them."""
        keys = (zip(self.found.culled_by, row.key, strict=True)
                for row in self.found.rows[: self.limit])  # fmt: skip
        stacks = (value for key in keys for name, value in key if name == "stacktrace")
        return {str(s): f"#{i}" for i, s in enumerate(dict.fromkeys(filter(None, stacks)), 1)}

    def _moment(self, moment: Moment) -> str:
        when = f"after operation {moment.operation + 1:,} of {len(self.trace):,}"
        times = self.trace.times
        if moment.time is not None and times and times[0] <= moment.time:
            when += f", {duration(moment.time - times[0])} after the first"
        return f"{plural(moment.bytes, 'byte')} in {plural(moment.areas, 'area')}, {when}"


def _lifetime_notes(figures: Figures) -> list[str]:
    """Return a sentence for each reason why lifetimes of freed areas are missing."""
    notes = []
    if count := figures.life_unknown:
        notes.append(
            f"{plural(count, 'lifetime')} unknown: the free is timed before its allocation, or a "
            "time is missing; not in p50 and p99"
        )
    if count := figures.life_uncertain:
        notes.append(
            f"{plural(count, 'lifetime')} uncertain: events were lost between allocation and free; "
            "not in p50 and p99"
        )
    return notes
