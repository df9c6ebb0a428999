# SPDX-License-Identifier: GPL-2.0-only
"""Render a replay as text and JSON."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from percpu_ffi._util.terminal import columns
from percpu_ffi._util.text import plural
from percpu_ffi.allocator import Allocator
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.drawing import LEGEND, map_bar
from percpu_ffi.replay import Replay
from percpu_ffi.reports.recording import (
    failure_counts,
    missing_events,
    possible_cpus,
    recorded_on,
    recording_figures,
    whose_bytes,
)
from percpu_ffi.state import State
from percpu_ffi.trace import Trace

MOST_REASONS = 5
COPIED = ("live_bytes", "peak_live_bytes", "chunks_created", "chunks_destroyed", "chunks",
          "peak_populated_pages")  # fmt: skip


def geometry_of(allocator: Allocator | ReplayTimeline, setup: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an allocator, with automatic sizes filled in."""
    return {
        "cpus": allocator.cpus,
        "policy": allocator.policy,
        "first_chunk": setup.get("first_chunk"),
        "static_size": allocator.static_size,
        "unit_size": allocator.unit_size,
        "page_size": allocator.page_size,
        "memory": setup["memory"],
    }


@dataclass(frozen=True)
class ReplayReport:
    """The report of ``percpu-ffi replay``."""

    name: str
    """Of the trace."""
    trace: Trace
    geometry: dict[str, Any]
    """See :func:`geometry_of`."""
    result: Replay
    state: State
    counters: dict[str, int]
    copies: int | None = None
    """By how many the text multiplies the bytes of one CPU's copies; None: one."""

    @property
    def utilisation(self) -> float:
        """Static and live bytes as a share of the populated memory, at the peak."""
        used = self.geometry["static_size"] + self.result.peak_live_bytes
        held = self.result.pages_at_peak * self.geometry["page_size"]
        return float(used * self.geometry["cpus"] / held)

    @property
    def reasons(self) -> dict[str, int]:
        """Why operations failed: message -> count, the most frequent first."""
        return dict(Counter(str(failure.error) for failure in self.result.failures).most_common())

    @property
    def operations_per_second(self) -> int:
        """Operations by the time in the allocator."""
        return round(len(self.trace) * 1e9 / max(self.result.elapsed_ns, 1))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values; docs/traces.md documents the keys."""
        stats, result = self.trace.stats, self.result
        return {
            "trace": self.name,
            "geometry": self.geometry,
            "possible_cpus": possible_cpus(self.trace),
            "events": stats.events,
            "allocs": stats.allocs,
            "frees": stats.frees,
            **missing_events(stats),
            "failures": len(result.failures),
            "failure_reasons": self.reasons,
            "ignored_flags": result.ignored_flags,
            **{name: getattr(result, name) for name in COPIED},
            "utilisation_at_peak": round(self.utilisation, 4),
            "operations_per_second": self.operations_per_second,
            "kernel": {
                "chunks": stats.kernel_chunks,
                "pages_per_cpu": stats.kernel_pages,
                "extent": stats.kernel_extent,
                "chunks_created": stats.kernel_created,
                "chunks_destroyed": stats.kernel_destroyed,
                "failures": stats.kernel_failures,
            },
            "counters": self.counters,
            "recording": recording_figures(self.trace),
        }

    def to_text(self) -> str:
        """Return a summary and the chunks' maps, as wide as the terminal."""
        return "\n".join([*self._summary(), "", *self._maps()])

    def _summary(self) -> list[str]:
        stats, result, geometry = self.trace.stats, self.result, self.geometry
        cpus = plural(geometry["cpus"], "CPU")
        chunks = f"{result.chunks_created:,} created, {result.chunks_destroyed:,} destroyed"
        pages = f"of {geometry['page_size']:,} bytes, on {cpus}; utilisation {self.utilisation:.1%}"
        recorded = possible_cpus(self.trace)
        where = f"{plural(recorded, 'CPU')} of the recording" if recorded else "each CPU"
        kernel = (
            f"pages touched on {where}, in {plural(stats.kernel_chunks, 'chunk')}, offsets up to "
            f"{stats.kernel_extent:,}"
        )
        rows = [
            ("events", stats.events, f"{stats.lost:,} lost by the recorder"),
            ("allocations", stats.allocs, f"{stats.reallocs:,} of pointers still in use"),
            ("frees", stats.frees, f"{stats.orphan_frees:,} of unknown pointers"),
            ("failures", len(result.failures), ""),
            *((f"  {count:,} x", None, reason) for reason, count in _most(self.reasons)),
            *self._kernel_failures(),
            *self._ignored_flags(),
            ("peak live bytes", result.peak_live_bytes * (self.copies or 1),
             f"in {whose_bytes(self.copies)}"),
            ("chunks", result.chunks, f"{chunks}, without the first"),
            ("pages at peak", result.peak_populated_pages, pages),
            ("kernel's own", stats.kernel_pages * (recorded or 1), kernel),
            ("speed", self.operations_per_second, "operations per second"),
        ]  # fmt: skip
        cells = ((name, "" if n is None else f"{n:,}", note) for name, n, note in rows)
        return [
            f"{self.name}{recorded_on(stats)}",
            f"replayed on {cpus}, {geometry['first_chunk'] or geometry['policy']}, "
            f"static area of {plural(geometry['static_size'], 'byte')}, "
            f"units of {geometry['unit_size']:,}, memory {geometry['memory']}",
            "",
            *(f"  {name:<16} {value:>12}   {note}".rstrip() for name, value, note in cells),
        ]

    def _ignored_flags(self) -> list[tuple[str, int | None, str]]:
        count = self.result.ignored_flags
        what = "atomic or reserved requests, which this policy serves like others"
        return [("ignored flags", count, what)] if count else []

    def _kernel_failures(self) -> list[tuple[str, int | None, str]]:
        failed = failure_counts(self.trace)
        if not failed:
            return []
        total = sum(count for count, _ in failed)
        return [
            ("kernel failures", total, "while it was recorded; not replayed"),
            *((f"  {count:,} x", None, request) for count, request in failed),
        ]

    def _maps(self) -> list[str]:
        unit_size, static_size = self.geometry["unit_size"], self.geometry["static_size"]
        width = max(columns(sys.stdout) - 2, 1)
        lines = [LEGEND]
        for chunk in self.state.chunks:
            lines += [
                f"chunk {chunk.id}: {chunk.free_size:,} of {unit_size:,} bytes free, contig hint "
                f"{chunk.contig_hint:,}, {sum(map(bool, chunk.populated))} of "
                f"{len(chunk.populated)} pages populated",
                f"[{map_bar(chunk, unit_size, static_size, width)}]",
            ]
        return lines


def _most(reasons: dict[str, int]) -> list[tuple[str, int]]:
    rows = list(reasons.items())
    others = sum(count for _, count in rows[MOST_REASONS:])
    return rows[:MOST_REASONS] + [("other reasons", others)] * (others > 0)


def timeline_figures(timeline: ReplayTimeline, name: str) -> dict[str, Any]:
    """Return the figures of ``replay --json``, without the speed: the replay had to wait."""
    figures = ReplayReport(
        name=name,
        trace=timeline.trace,
        geometry=geometry_of(timeline, timeline.setup),
        result=timeline.result,
        state=timeline.state,
        counters=timeline.counters,
    ).to_json()
    del figures["operations_per_second"]
    return figures
