# SPDX-License-Identifier: GPL-2.0-only
"""Reduce the curves of a timeline to few points that look the same."""

from __future__ import annotations

from bisect import bisect_right

from percpu_ffi.analysis.timeline import Timeline

BUCKETS = 1000  # about the columns of a screen


def thinned(timeline: Timeline, buckets: int = BUCKETS) -> list[int]:
    """Choose items of the curves: the first, the last and the extremes of each bucket.

    The extremes are those of live, stranded and hidden bytes, and of chunks, so no peak is lost.
    """
    n = len(timeline.curves.live)
    if n <= 4 * buckets:
        return list(range(n))
    x = timeline.seconds or range(n)
    scale = buckets / (x[-1] or 1)
    curves = timeline.curves
    hidden = [curves.hidden] if curves.hidden else []
    chosen: set[int] = set()
    start = 0
    while start < n:
        end = bisect_right(x, int(x[start] * scale), start, key=lambda at: int(at * scale))
        chosen |= {start, end - 1}
        for curve in (curves.live, timeline.stranded_bytes, curves.chunks, *hidden):
            values = curve[start:end]
            chosen |= {start + values.index(extreme) for extreme in (min(values), max(values))}
        start = end
    return sorted(chosen)
