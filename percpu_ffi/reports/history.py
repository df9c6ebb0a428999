# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a recorded kernel's own history."""

from __future__ import annotations

from typing import Any

from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.reports.recording import missing_events, possible_cpus, recording_figures


def history_figures(timeline: KernelTimeline, name: str) -> dict[str, Any]:
    """Return the main figures of a history as plain values; bytes are those of one CPU's copies."""
    stats, curves = timeline.trace.stats, timeline.curves
    return {
        "trace": name,
        "geometry": {"unit_size": timeline.unit_size, "page_size": timeline.page_size},
        "possible_cpus": timeline.possible_cpus or possible_cpus(timeline.trace),
        "events": stats.events,
        "allocs": stats.allocs,
        "frees": stats.frees,
        **missing_events(stats),
        "failures": stats.kernel_failures,
        "peak_live_bytes": max(curves.live),
        "live_bytes": curves.live[-1],
        "chunks_created": stats.kernel_created,
        "chunks_destroyed": stats.kernel_destroyed,
        "chunks": curves.chunks[-1],
        "peak_pages": max(curves.pages),
        "background_runs": timeline.runs[-1] if timeline.runs else None,
        "recording": recording_figures(timeline.trace),
    }
