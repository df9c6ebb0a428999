# SPDX-License-Identifier: GPL-2.0-only
"""One chunk: its map, and how areas are found in it, split off and merged.

A chunk has a unit for each CPU; an area has the same offset in each of them.  The map is the
use of a unit as signed sizes from offset 0: negative in use, positive free.  A first chunk
with a static area of 8192 bytes, after areas of 64, 256 and 64 bytes of which the second was
freed again:

    offset 0          8192  8256   8512  8576             65536
           |##########|#####|......|#####|................|
    entry   -8192      -64   +256   -64   +56960

An area is taken from the first free entry that is large enough.  The head before it and the
tail after it become free entries of their own, unless they have less than 4 bytes: such a head
goes to the area before it, such a tail stays with the area.  So odd alignments and sizes leave
no unusable bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from percpu_ffi.model.chunk import Chunk
from percpu_ffi.model.tally import ENTRY

if TYPE_CHECKING:
    from percpu_ffi.model.memory import Memory
    from percpu_ffi.model.tally import Tally

SMALL = ENTRY  # bytes of the smallest free range that is kept: sizeof(int) in 2009 too
DEFAULT_MAP_ALLOC = 16  # entries that a map has room for at first


class MapChunk(Chunk):
    """A chunk with its map."""

    def __init__(self, number: int, pages: int, memory: Memory, free_size: int) -> None:
        """Start without a map."""
        super().__init__(number, pages, memory)
        self.free_size = free_size  # sum of the free entries
        self.contig_hint = free_size  # no free entry is larger
        self.map: list[int] = []
        self.map_alloc = 0  # entries that there is room for

    def find(self, offset: int) -> tuple[int, int] | None:
        """Return the index and the start of the entry that covers an offset."""
        end = 0
        for i, size in enumerate(self.map):
            start, end = end, end + abs(size)
            if offset < end:
                return i, start
        return None

    def alloc_area(
        self, size: int, align: int, grow: Callable[[int], None], work: Tally
    ) -> int | None:
        """Take an area; return its offset, or None where none fits.

        Args:
            size: bytes.
            align: a power of two, bytes.
            grow: makes room in the map for a number of entries, or raises.
            work: counts the entries.

        Source: ``pcpu_alloc_area`` and ``pcpu_split_block`` of the 2009 file.

        """
        largest = 0  # free entry passed so far
        offset = 0
        for i, block in enumerate(self.map):  # noqa: B007 - i is used after the loop
            head = -offset % align  # up to the next aligned offset
            if block >= head + size:
                break
            largest = max(largest, block)
            offset += abs(block)
        else:
            work.entries_scanned += len(self.map)
            self.contig_hint = largest  # all entries were scanned: the hint is exact now
            return None

        work.entries_scanned += i + 1

        # a head too small to be kept goes to the area before it; there is one, since offset 0
        # has no head and no two free entries are neighbours.  This stays if growing fails.
        if 0 < head < SMALL:
            self.map[i - 1] -= head
            self.map[i] -= head
            self.free_size -= head
            offset += head
            head = 0
        tail = self.map[i] - head - size
        if tail < SMALL:
            tail = 0  # stays with the area
        used = self.map[i] - head - tail

        was_last = i == len(self.map) - 1
        entries = [entry for entry in (head, -used, tail) if entry]
        grow(len(self.map) - 1 + len(entries))
        if len(entries) > 1:
            work.move(len(self.map) - i)  # this entry too: a head may come before it
        self.map[i : i + 1] = entries
        self.free_size -= used

        # an entry that was not scanned may be as large as the hint
        largest = max(largest, head, tail)
        self.contig_hint = largest if was_last else max(largest, self.contig_hint)
        return offset + head

    def free_area(self, offset: int, work: Tally) -> None:
        """Free the area at an offset, and merge it with free neighbours.

        Args:
            offset: bytes from the start of a unit.
            work: counts the entries.

        Source: ``pcpu_free_area`` of the 2009 file.

        """
        found = self.find(offset)
        assert found, "the caller has found it"
        i, _start = found
        work.entries_scanned += i + 1
        freed = -self.map[i]
        self.free_size += freed

        first, last = i, i + 1
        if first > 0 and self.map[first - 1] > 0:
            first -= 1
            work.move(len(self.map) - last)  # the entries after it close up, once for each merge
        if last < len(self.map) and self.map[last] > 0:
            last += 1
            work.move(len(self.map) - last)
        merged = sum(map(abs, self.map[first:last]))
        self.map[first:last] = [merged]
        self.contig_hint = max(self.contig_hint, merged)
