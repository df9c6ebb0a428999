# SPDX-License-Identifier: GPL-2.0-only
"""Latencies in log-linear buckets: counted in C, read here.

The layout is that of ``csrc/bench/measure.h``: 16 buckets to an octave, so that a value is
known to one part in 16.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Histogram", "bucket_end"]


def bucket_end(index: int) -> int:
    """Tell the highest value of a bucket, nanoseconds."""
    shift = max(index // 16 - 1, 0)
    return ((index - 16 * shift + 1) << shift) - 1


class Histogram:
    """How many calls took how long.

    Args:
        counts: calls by bucket, those with none left out.

    """

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.counts = dict(sorted(counts.items()))

    @classmethod
    def of_all(cls, counts: Iterable[int]) -> Histogram:
        """Take the counts of all buckets, as C leaves them."""
        return cls({index: count for index, count in enumerate(counts) if count})

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> int | None:
        """Tell what so many per cent of the calls took at most; None where there were none.

        As ``HdrHistogram`` does, it is the highest value of the bucket in question, so
        never too low, and too high by a sixteenth at most.
        """
        # the rank of the call in question, from 1, as in the nearest-rank method
        rank = max(-(-share * self.calls // 100), 1)
        for index, count in self.counts.items():
            rank -= count
            if rank <= 0:
                return bucket_end(index)
        return None

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(Counter(self.counts) + Counter(other.counts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]
