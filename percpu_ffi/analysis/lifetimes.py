# SPDX-License-Identifier: GPL-2.0-only
"""The lifetime of each area in a trace, and the peak of live bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from percpu_ffi.analysis.life_columns import NO_SPAN, LifeColumns
from percpu_ffi.errors import check_type, damaged_trace
from percpu_ffi.trace import Trace

# how a life ends: KEPT, not before the end of the trace; FREED, by a recorded free; REALLOCATED, by
# a free that was not recorded, since the pointer was allocated again
KEPT, FREED, REALLOCATED = range(3)


class Lives(NamedTuple):
    """The lives of all areas, in order of allocation; each list has one item for each area.

    An area is live after operation ``i`` if ``born <= i < died``.
    """

    kinds: list[int]
    """Size, alignment and call site: an index into ``trace.kinds``."""
    born: list[int]
    """Index of the operation that allocated the area."""
    died: list[int]
    """Index of the operation that ended it; the number of operations if none did."""
    fates: list[int]
    """How it ended: ``KEPT``, ``FREED`` or ``REALLOCATED``."""
    peak: int
    """The first operation after which most bytes were live; -1: there was no allocation."""
    peak_bytes: int
    """Live bytes at the peak, in one CPU's copies."""

    def at_peak(self, areas: Iterable[int]) -> list[int]:
        """Return those of some areas that were live at the peak."""
        born, peak, died = self.born, self.peak, self.died
        return [area for area in areas if born[area] <= peak < died[area]]


def columns_of(trace: Trace) -> LifeColumns:
    """Find the lives of all areas, in columns.

    Orphan frees end no life.  A size below 1 counts no bytes: no allocator grants it, and only
    a trace made by hand can request it.

    Raises:
        TraceError: operations name handles or kinds that the trace does not have.
        ConfigError: it is not a trace.

    """
    check_type("trace", trace, Trace, "a Trace")
    try:
        return LifeColumns(trace)
    except IndexError:
        raise damaged_trace() from None


def lives_of(trace: Trace) -> Lives:
    """Find the lives of all areas, as :func:`columns_of` does, in lists."""
    found = columns_of(trace)
    n = len(found)
    kinds, born, died = (column[:n].tolist() for column in (found.kinds, found.born, found.died))
    return Lives(kinds, born, died, [*found.fates[:n]], found.peak, found.peak_bytes)


def uncertain(trace: Trace, lives: Lives) -> list[bool]:
    """Return for each area whether events were lost between its allocation and its recorded free.

    The free that ended it may be among them, and the recorded one be that of a later area.
    """
    return [bool(lost) for lost in columns_of(trace).uncertain[: len(lives.born)]]


def lifetimes(trace: Trace, lives: Lives) -> list[int | None]:
    """Return the lifetime of each area whose free was recorded, else None.

    The unit is nanoseconds, or operations if the trace has no times.  None also if the lifetime
    is :func:`uncertain`, if one of the two times is unknown, or if the free is timed before the
    allocation: the clocks of two CPUs may disagree.
    """
    spans = columns_of(trace).spans[: len(lives.born)]
    return [None if span == NO_SPAN else span for span in spans]
