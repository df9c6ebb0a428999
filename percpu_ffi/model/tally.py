# SPDX-License-Identifier: GPL-2.0-only
"""Work under way: counts that grow where it is done."""

from __future__ import annotations

import operator
from dataclasses import fields

from percpu_ffi.work import Work

__all__ = ["ENTRY", "Tally"]

ENTRY = 4  # sizeof(int): bytes of a map entry
COUNTS = tuple(field.name for field in fields(Work))
_counts = operator.attrgetter(*COUNTS)


class Tally:
    """The counts of :class:`percpu_ffi.Work`, to be added to."""

    __slots__ = COUNTS

    operations: int
    slots_visited: int
    chunks_visited: int
    entries_scanned: int
    entries_moved: int
    bytes_moved: int
    map_reallocations: int
    tree_steps: int
    pages_populated: int
    pages_depopulated: int

    def __init__(self) -> None:
        for name in COUNTS:
            setattr(self, name, 0)

    def move(self, entries: int) -> None:
        """Count entries that move inside a map."""
        self.entries_moved += entries
        self.bytes_moved += entries * ENTRY

    def taken(self) -> Work:
        """Tell what has been counted so far."""
        return Work(*_counts(self))
