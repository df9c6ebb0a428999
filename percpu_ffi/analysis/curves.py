# SPDX-License-Identifier: GPL-2.0-only
"""Reduce the curves of a timeline to few points that look the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Timeline

__all__ = ["thinned"]

BUCKETS = 1000  # about the columns of a screen


def thinned(timeline: Timeline, buckets: int = BUCKETS) -> list[int]:
    """Choose items of the curves: the first, the last and the extremes of each bucket.

    The extremes are those of live bytes, stranded bytes and chunks, so no peak is lost.
    """
    n = len(timeline.curves.live)
    if n <= 4 * buckets:
        return list(range(n))
    x = timeline.seconds or range(n)
    stranded = [timeline.stranded(done) for done in range(n)]
    scale = buckets / (x[-1] or 1)
    chosen = {0, n - 1}
    start = 0
    while start < n:
        bucket = int(x[start] * scale)
        end = start + 1
        while end < n and int(x[end] * scale) == bucket:
            end += 1
        chosen |= {start, end - 1}
        for values in (timeline.curves.live, stranded, timeline.curves.chunks):
            chosen.add(min(range(start, end), key=values.__getitem__))
            chosen.add(max(range(start, end), key=values.__getitem__))
        start = end
    return sorted(chosen)
