# SPDX-License-Identifier: GPL-2.0-only
"""Reduce the curves of a timeline to few points that look the same."""

from __future__ import annotations

from itertools import groupby

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
    stranded = [timeline.stranded(done) for done in range(n)]
    scale = buckets / (x[-1] or 1)
    hidden = [timeline.curves.hidden] if timeline.curves.hidden else []
    chosen: set[int] = set()
    for _, bucket in groupby(range(n), lambda item: int(x[item] * scale)):
        items = list(bucket)
        chosen |= {items[0], items[-1]}
        for values in (timeline.curves.live, stranded, timeline.curves.chunks, *hidden):
            chosen |= {min(items, key=values.__getitem__), max(items, key=values.__getitem__)}
    return sorted(chosen)
