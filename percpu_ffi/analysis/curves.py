# SPDX-License-Identifier: GPL-2.0-only
"""Curves of a timeline with few points that look like those with all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Timeline

__all__ = ["thinned"]

BUCKETS = 1000  # about as many as a screen has columns


def thinned(timeline: Timeline, buckets: int = BUCKETS) -> list[int]:
    """Choose items of the curves: of each short time the first, and those that stand out.

    These are the lowest and the highest of live bytes, stranded bytes and chunks: no peak is
    lost, whatever the number of operations.
    """
    n = len(timeline.curves.live)
    if n <= 4 * buckets:
        return list(range(n))
    along = timeline.seconds or range(n)
    stranded = [timeline.stranded(done) for done in range(n)]
    scale = buckets / (along[-1] or 1)
    chosen = {0, n - 1}
    start = 0
    while start < n:
        bucket = int(along[start] * scale)
        end = start + 1
        while end < n and int(along[end] * scale) == bucket:
            end += 1
        chosen |= {start, end - 1}
        for values in (timeline.curves.live, stranded, timeline.curves.chunks):
            chosen.add(min(range(start, end), key=values.__getitem__))
            chosen.add(max(range(start, end), key=values.__getitem__))
        start = end
    return sorted(chosen)
