# SPDX-License-Identifier: GPL-2.0-only
"""One chunk: its map, and how areas are found in it, split off and merged.

A chunk has a unit for each CPU; an area lies at the same offset in each of them.  The map
tells how a unit is used, as a row of signed sizes from offset 0: negative in use, positive
free.  A first chunk with a static area of 8192 bytes, after areas of 64, 256 and 64 bytes
of which the second was freed again:

    offset 0          8192  8256   8512  8576             65536
           |##########|#####|......|#####|................|
    entry   -8192      -64   +256   -64   +56960

An area is taken from the first free entry that is large enough.  What is left before and
behind it become free entries of their own, unless they have less than 4 bytes: such a gap
goes to the area before it, such a rest stays with the area.  So an odd alignment or size
never leaves dust behind that nobody can use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi.model.tally import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_ffi.model.memory import Memory
    from percpu_ffi.model.tally import Tally

__all__ = ["DEFAULT_MAP_ALLOC", "SMALL", "Chunk"]

SMALL = ENTRY  # the smallest free block worth keeping: the same sizeof in 2009
DEFAULT_MAP_ALLOC = 16  # entries that a map has room for at first


class Chunk:
    """A chunk: where it lies, how it is used, which pages it holds."""

    __slots__ = (
        "addr",
        "contig_hint",
        "free_size",
        "id",
        "immutable",
        "map",
        "map_alloc",
        "max_size",
        "memory",
        "populated",
        "slot",
    )

    def __init__(self, number: int, addr: int, free_size: int, unit_pages: int) -> None:
        """Describe a chunk without a map, with nothing populated."""
        self.id = number
        self.addr = addr  # of CPU 0's unit: per-CPU pointers count from here
        self.free_size = free_size  # sum of the free entries
        self.contig_hint = free_size  # no free entry is larger
        self.map: list[int] = []
        self.map_alloc = 0  # entries that there is room for
        self.max_size = 0  # largest area it ever gave, as asked
        self.slot: int | None = None  # where it stands
        self.immutable = False  # pages never come or go
        self.populated = [0] * unit_pages  # for each page, how many CPUs hold it
        self.memory: Memory | None = None  # contents, once somebody looks at them

    def find(self, offset: int) -> int | None:
        """Find the entry that starts at an offset: its index."""
        start = 0
        for i, size in enumerate(self.map):
            if start >= offset:
                return i if start == offset else None
            start += abs(size)
        return None

    def alloc_area(
        self, size: int, align: int, grow: Callable[[int], None], work: Tally
    ) -> int | None:
        """Take an area of a size and alignment: its offset, or None where none fits.

        Args:
            size: bytes.
            align: a power of two, bytes.
            grow: makes room for so many entries in the map, or raises.
            work: where entries are counted.

        Source: ``pcpu_alloc_area`` and ``pcpu_split_block`` of the 2009 file.

        """
        largest = 0  # free entry that was passed
        offset = 0
        for i, block in enumerate(self.map):  # noqa: B007 - i is read behind the loop
            gap = -offset % align  # up to the next aligned offset
            if block >= gap + size:
                break
            largest = max(largest, block)
            offset += abs(block)
        else:
            work.entries_scanned += len(self.map)
            self.contig_hint = largest  # all was seen: the hint is exact now
            return None

        work.entries_scanned += i + 1

        # a gap too small to be kept goes to the area before it; there is one, since offset 0
        # has no gap and no two free entries are neighbours.  This stays if growing fails.
        if 0 < gap < SMALL:
            self.map[i - 1] -= gap
            self.map[i] -= gap
            self.free_size -= gap
            offset += gap
            gap = 0
        rest = self.map[i] - gap - size
        if rest < SMALL:
            rest = 0  # stays with the area
        used = self.map[i] - gap - rest

        was_last = i == len(self.map) - 1
        grow(len(self.map) + (gap > 0) + (rest > 0))
        if gap or rest:
            work.move(len(self.map) - i)  # this entry too: a new one may come before it
        self.map[i : i + 1] = [entry for entry in (gap, -used, rest) if entry]
        self.free_size -= used

        # what was not seen may be as large as the hint says
        largest = max(largest, gap, rest)
        self.contig_hint = largest if was_last else max(largest, self.contig_hint)
        return offset + gap

    def free_area(self, offset: int, work: Tally) -> None:
        """Free the area at an offset, and merge it with free neighbours.

        Args:
            offset: bytes from the start of a unit.
            work: where entries are counted.

        Source: ``pcpu_free_area`` of the 2009 file.

        """
        i = self.find(offset)
        assert i is not None, "the caller has looked it up"
        work.entries_scanned += i + 1
        freed = -self.map[i]
        self.free_size += freed

        first, last = i, i + 1
        if first > 0 and self.map[first - 1] > 0:
            first -= 1
            work.move(len(self.map) - last)  # all behind close up: once for each merge
        if last < len(self.map) and self.map[last] > 0:
            last += 1
            work.move(len(self.map) - last)
        merged = sum(map(abs, self.map[first:last]))
        self.map[first:last] = [merged]
        self.contig_hint = max(self.contig_hint, merged)
