# SPDX-License-Identifier: GPL-2.0-only
"""The distribution of sizes and alignments: allocated, and live at the peak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.analysis.lifetimes import lives_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_ffi.trace import Trace

__all__ = ["Bucket", "Distribution", "Request", "SizeRow", "sizes", "total"]

DIGITS = 6  # of shares


class Request(NamedTuple):
    """Size and alignment of an allocation, bytes."""

    size: int
    align: int


@dataclass(frozen=True)
class SizeRow:
    """Allocations of one size and alignment; bytes are those of one CPU's copies."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    allocs: int
    """Allocations."""
    share: float
    """Share of all allocations, 0 to 1."""
    cumulative: float
    """Share of all allocations in this row and those above."""
    bytes: int
    """Bytes of these allocations."""
    peak_areas: int
    """Live areas at the peak."""
    peak_share: float
    """Share of all live areas at the peak."""
    peak_bytes: int
    """Live bytes at the peak."""


@dataclass(frozen=True)
class Bucket:
    """Allocations with sizes above one power of two, up to the next one."""

    from_size: int
    """Lowest size, bytes."""
    to_size: int
    """Highest size, bytes: a power of two."""
    allocs: int
    """This and all that follow: as in :class:`SizeRow`."""
    share: float
    bytes: int
    peak_areas: int
    peak_share: float
    peak_bytes: int


@dataclass(frozen=True)
class Distribution:
    """The requests of one trace, or of several."""

    allocated: Counter[Request]
    """All allocations."""
    at_peak: Counter[Request]
    """Areas live at the peak; of several traces, each at its own peak."""

    def rows(self) -> list[SizeRow]:
        """Return one row for each size and alignment, the smallest first."""
        areas, peak_areas = self.allocated.total(), self.at_peak.total()
        rows = []
        so_far = 0
        for request in sorted(self.allocated):
            count, at_peak = self.allocated[request], self.at_peak[request]
            so_far += count
            rows.append(
                SizeRow(
                    *request,
                    allocs=count,
                    share=round(count / areas, DIGITS),
                    cumulative=round(so_far / areas, DIGITS),
                    bytes=count * request.size,
                    peak_areas=at_peak,
                    peak_share=round(at_peak / peak_areas, DIGITS),
                    peak_bytes=at_peak * request.size,
                )
            )
        return rows

    def histogram(self) -> list[Bucket]:
        """Return one bucket for each power of two from the smallest size to the largest."""
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
    """Count the requests of a trace; a size below 1, which no allocator grants, counts as 0.

    Raises:
        TraceError: the trace is damaged.

    """
    lives = lives_of(trace)
    requests = [Request(max(kind.size, 0), kind.align) for kind in trace.kinds]

    def count(kinds: list[int]) -> Counter[Request]:
        return Counter(requests[kind] for kind in kinds)

    return Distribution(count(lives.kinds), count(lives.kinds_at_peak()))


def total(distributions: Iterable[Distribution]) -> Distribution:
    """Add up distributions."""
    found = Distribution(Counter(), Counter())
    for each in distributions:
        found.allocated.update(each.allocated)
        found.at_peak.update(each.at_peak)
    return found


def _power(size: int) -> int:
    """Return the exponent of the power of two that is at least ``size``; -1 for 0."""
    return (size - 1).bit_length() if size else -1
