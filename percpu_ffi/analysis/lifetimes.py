# SPDX-License-Identifier: GPL-2.0-only
"""The life of each area in a trace, and the peak of live bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from percpu_ffi.analysis.life_columns import LifeColumns
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
