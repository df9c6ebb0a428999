# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a timeline at a moment: their names and their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.analysis.timeline import Timeline


class Figure(NamedTuple):
    """A figure of a timeline; what it is of depends on where it is listed."""

    key: str
    """Its name in scripts and as a column."""
    name: str
    unit: str
    """``"bytes"``, ``"share"``, or empty: a number."""
    value: Callable[[Any], float]

    def text(self, of: Any) -> str:
        """Return the value as text, without its unit."""
        value = self.value(of)
        return f"{value:.1%}" if self.unit == "share" else f"{value:,}"


def curve_figures(timeline: Timeline) -> list[Figure]:
    """Return the figures that are known after each operation; values take their number."""
    curves = timeline.curves
    live = Figure("live", "live", "bytes", curves.live.__getitem__)
    chunks = Figure("chunks", "chunks", "", curves.chunks.__getitem__)
    if isinstance(timeline, KernelTimeline):
        held = Figure("held", "pages with recorded areas", "bytes", timeline.held)
        runs = timeline.runs
        work = [Figure("runs", "background runs so far", "", runs.__getitem__)] if runs else []
        return [live, held, chunks, *work]
    hidden = curves.hidden
    return [
        live,
        Figure("held", "populated", "bytes", timeline.held),
        Figure("stranded", "stranded", "bytes", timeline.stranded),
        *([Figure("hidden", "hidden", "bytes", hidden.__getitem__)] if hidden else []),
        Figure("share", "fragmentation", "share", timeline.fragmentation),
        chunks,
    ]


def moment_figures(timeline: Timeline) -> list[Figure]:
    """Return the figures that are known at the slider's moments only; values take a Moment."""
    if not isinstance(timeline, ReplayTimeline):
        return []
    return [
        Figure("free_ranges", "free ranges", "", lambda moment: moment.free_ranges),
        Figure("largest", "largest", "bytes", lambda moment: moment.largest_free),
    ]
