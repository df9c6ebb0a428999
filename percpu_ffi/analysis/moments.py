# SPDX-License-Identifier: GPL-2.0-only
"""The moments of a timeline: which are taken, how patches stay, which are dropped."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import accumulate, compress, cycle

from percpu_ffi.analysis.timeline import Lives, Moment, Patch, Timeline
from percpu_ffi.trace import Trace

MOMENTS = 400
MOST_AREAS_SEEN = 1_200_000  # in all moments together: each takes some microseconds
MOST_PATCHES = 300_000  # a page with more is large and slow


def live_bytes(trace: Trace, lives: Lives) -> array[int]:
    """Return the live bytes after each operation; item 0 is before the first one."""
    changes = array("q", [0]) * (len(trace) + 2)
    sizes = [kind.size for kind in trace.kinds]
    for kind, born, died in zip(*lives, strict=True):
        changes[born + 1] += sizes[kind]
        changes[died + 1] -= sizes[kind]  # the last item is not used
    return array("q", accumulate(changes[:-1]))


def choose_moments(timeline: Timeline, moments: int, special: set[int]) -> set[int]:
    """Choose how many operations are done at each moment: evenly spread ones, and ``special``.

    Args:
        timeline: the timeline.
        moments: the number of moments, fewer if many areas are live.
        special: moments that are added.

    """
    n, lives = len(timeline.trace), timeline.lives
    spans = sum(lives.died) - sum(lives.born)
    moments = max(min(moments, MOST_AREAS_SEEN * n // max(spans, 1)), 1)
    return {round(n * i / moments) for i in range(moments)} | special


class Stays:
    """Collects the patches of a timeline, moment after moment."""

    def __init__(self, timeline: Timeline) -> None:
        """Begin without moments."""
        self._timeline = timeline
        self._staying: dict[Patch, int] = {}  # first moment of each current patch

    def take(self, moment: Moment, patches: Iterable[Patch]) -> None:
        """Add a moment, with all its patches."""
        number = len(self._timeline.moments)
        seen = {patch: self._staying.pop(patch, number) for patch in patches}
        self.end()
        self._timeline.moments.append(moment)
        self._staying = seen

    def end(self) -> None:
        """End the stays of the current patches with the last moment."""
        last = len(self._timeline.moments) - 1
        for patch, first in self._staying.items():
            self._timeline.patches.setdefault(patch, []).append((first, last))


def drop_moments(timeline: Timeline, most_patches: int, special: set[int]) -> None:
    """Drop every second moment that is not special, until there are few enough patches."""
    while len(timeline.patches) > most_patches and len(timeline.moments) > len(special):
        _thin(timeline, special)


def _thin(timeline: Timeline, special: set[int]) -> None:
    """Drop every second moment that is not special, and patches that only these show."""
    moments = timeline.moments
    turn = cycle((False, True))  # drops the first, so a single one left is dropped too
    kept = [moment.done in special or next(turn) for moment in moments]
    before = [0, *accumulate(map(int, kept))]  # for each moment, how many kept ones
    patches = {}
    for patch, stays in timeline.patches.items():
        moved = [(before[first], before[last + 1] - 1) for first, last in stays]
        if found := [(first, last) for first, last in moved if first <= last]:
            patches[patch] = found
    timeline.moments, timeline.patches = list(compress(moments, kept)), patches
