# SPDX-License-Identifier: GPL-2.0-only
"""How large areas are and how they are aligned: allocated, and alive at the peak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.analysis.lifetimes import lives_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_ffi.trace import Trace

__all__ = ["Ask", "Bucket", "Distribution", "SizeRow", "sizes", "total"]


DIGITS = 6  # of shares


class Ask(NamedTuple):
    """What an allocation asks for, whoever calls."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""


@dataclass(frozen=True)
class SizeRow:
    """How often something was asked for; bytes are those of one CPU's copies."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    allocs: int
    """Allocations."""
    share: float
    """Of all allocations."""
    cumulative: float
    """Share of all allocations in this row and those above."""
    bytes: int
    """Bytes of these allocations."""
    peak_areas: int
    """Areas alive when most bytes of the trace were."""
    peak_share: float
    """Of all areas alive then."""
    peak_bytes: int
    """Their bytes."""


@dataclass(frozen=True)
class Bucket:
    """The same for sizes above one power of two, up to the next one."""

    from_size: int
    """Lowest size, bytes."""
    to_size: int
    """Highest size, bytes: a power of two."""
    allocs: int
    """As in a row."""
    share: float
    bytes: int
    peak_areas: int
    peak_share: float
    peak_bytes: int


@dataclass(frozen=True)
class Distribution:
    """What was asked for in a trace, or in several."""

    allocated: Counter[Ask]
    """Allocations."""
    at_peak: Counter[Ask]
    """Areas alive when most bytes were; of several traces, each at its own peak."""

    def rows(self) -> list[SizeRow]:
        """One row for each size and alignment, the smallest first."""
        areas, peak_areas = self.allocated.total(), self.at_peak.total()
        rows = []
        so_far = 0
        for ask in sorted(self.allocated):
            count, at_peak = self.allocated[ask], self.at_peak[ask]
            so_far += count
            rows.append(
                SizeRow(
                    *ask,
                    allocs=count,
                    share=round(count / areas, DIGITS),
                    cumulative=round(so_far / areas, DIGITS),
                    bytes=count * ask.size,
                    peak_areas=at_peak,
                    peak_share=round(at_peak / peak_areas, DIGITS),
                    peak_bytes=at_peak * ask.size,
                )
            )
        return rows

    def histogram(self) -> list[Bucket]:
        """One bucket for each power of two from the smallest size to the largest."""
        areas, peak_areas = self.allocated.total(), self.at_peak.total()
        groups: dict[int, list[SizeRow]] = {}
        for row in self.rows():
            groups.setdefault(_power(row.size), []).append(row)
        buckets = []
        for power in range(min(groups), max(groups) + 1) if groups else ():
            group = groups.get(power, [])
            highest = 1 << power if power >= 0 else 0
            allocs = sum(row.allocs for row in group)
            at_peak = sum(row.peak_areas for row in group)
            buckets.append(
                Bucket(
                    from_size=highest // 2 + (power >= 0),
                    to_size=highest,
                    allocs=allocs,
                    share=round(allocs / areas, DIGITS),
                    bytes=sum(row.bytes for row in group),
                    peak_areas=at_peak,
                    peak_share=round(at_peak / peak_areas, DIGITS),
                    peak_bytes=sum(row.peak_bytes for row in group),
                )
            )
        return buckets


def sizes(trace: Trace) -> Distribution:
    """Count what was asked for in a trace.

    A size below 1, which no allocator grants, counts as 0.

    Raises:
        TraceError: the trace is damaged.

    """
    lives = lives_of(trace)
    asks = [Ask(max(kind.size, 0), kind.align) for kind in trace.kinds]
    return Distribution(_count(asks, lives.kinds), _count(asks, lives.kinds_at_peak()))


def total(distributions: Iterable[Distribution]) -> Distribution:
    """Add distributions up."""
    allocated: Counter[Ask] = Counter()
    at_peak: Counter[Ask] = Counter()
    for each in distributions:
        allocated += each.allocated
        at_peak += each.at_peak
    return Distribution(allocated, at_peak)


def _count(asks: list[Ask], kinds: list[int]) -> Counter[Ask]:
    counts: Counter[Ask] = Counter()
    for kind, count in Counter(kinds).items():  # the same may be asked for by many
        counts[asks[kind]] += count
    return counts


def _power(size: int) -> int:
    """The power of two that is at least the size; -1 for 0."""
    return (size - 1).bit_length() if size else -1
