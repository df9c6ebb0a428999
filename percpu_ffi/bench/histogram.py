# SPDX-License-Identifier: GPL-2.0-only
"""Histograms of latencies, in log-linear buckets that C counts.

The layout is that of ``csrc/bench/measure.h``: 16 buckets to an octave, so that a value is
known to one part in 16.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def bucket_end(index: int) -> int:
    """Return the highest value of a bucket, nanoseconds."""
    shift = max(index // 16 - 1, 0)
    return ((index - 16 * shift + 1) << shift) - 1


class Histogram(dict[int, int]):
    """How many calls took how long: calls by bucket, without the empty ones."""

    @classmethod
    def of_all(cls, counts: Iterable[int]) -> Histogram:
        """Build one from the counts of all buckets, as C leaves them."""
        return cls((index, count) for index, count in enumerate(counts) if count)

    @property
    def calls(self) -> int:
        """Number of calls."""
        return sum(self.values())

    def percentile(self, percent: float) -> int | None:
        """Return the nanoseconds within which so many per cent of the calls ended.

        As in ``HdrHistogram`` it is the highest value of the bucket: never too low, and too
        high by a sixteenth at most.  None without calls.
        """
        # the rank of the call, from 1, as in the nearest-rank method
        rank = max(-(-percent * self.calls // 100), 1)
        for index, count in sorted(self.items()):
            rank -= count
            if rank <= 0:
                return bucket_end(index)
        return None

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(Counter(self) + Counter(other))
