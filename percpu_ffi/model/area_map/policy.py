# SPDX-License-Identifier: GPL-2.0-only
"""Requests under the policy of 2009, and its slots.

Slots sort the chunks by free size, in powers of two: allocation first tries the fullest chunk
that may have room, so that the others drain and can be released.  Slot 0 holds full chunks,
the last slot empty ones:

    slot    0      1      2       3       ...   14       15
    free    none   4-15   16-31   32-63   ...   64 KiB-  all of a unit
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi.model.area_map.chunk import DEFAULT_MAP_ALLOC, SMALL, MapChunk
from percpu_ffi.model.area_map.first_chunk import first_chunk
from percpu_ffi.model.kernel import ServiceFailed
from percpu_ffi.model.pages import map_pages, pages_of, populate
from percpu_ffi.model.policy import Emit, Found, Policy, Request
from percpu_ffi.model.tally import ENTRY
from percpu_ffi.state import ChunkState

if TYPE_CHECKING:
    from percpu_ffi.config import Config


class AreaMap(Policy[MapChunk]):
    """Decisions of the 2009 file."""

    def __init__(self, config: Config, emit: Emit) -> None:
        """Set up the first chunk (``pcpu_setup_first_chunk`` of the 2009 file).

        Raises:
            ConfigError: the sizes do not fit together.

        """
        unit_size, free_size, present = first_chunk(config)
        super().__init__(
            config, emit, unit_size=unit_size, free_size=free_size, boot_pages=len(present)
        )
        memory = self.new_memory(config.static_image)
        first = MapChunk(0, unit_size // config.page_size, memory, free_size)
        self.first = first
        if config.first_chunk == "4k":
            first.addr = self.kernel.vm_area_register_early(self.chunk_size)
        else:
            first.addr = config.page_size  # a block that the caller mapped
        first.immutable = config.first_chunk != "4k"
        for page in present:
            first.populated[page] = config.cpus
        if not first.immutable:
            map_pages(self.kernel, first, present)
        self.chunks.insert(first.addr, first)
        self.relocate(first, None)

    # --- slots

    def _nr_slots(self) -> int:
        """A list for each size, one below for full chunks, one above for empty ones."""
        return self._size_to_slot(self.unit_size, empty=False) + 2

    def _size_to_slot(self, size: int, *, empty: bool = True) -> int:
        """Return the list of chunks with a number of free bytes (``pcpu_size_to_slot``)."""
        if empty and size == self.unit_size:
            return len(self.slots) - 1
        return max(size.bit_length() - 3, 1)

    def slot_of(self, chunk: MapChunk) -> int:
        """Return the list where a chunk belongs (``pcpu_chunk_slot``)."""
        if chunk.free_size < SMALL or chunk.contig_hint < SMALL:
            return 0
        return self._size_to_slot(chunk.free_size)

    # --- allocation

    def alloc(self, request: Request) -> tuple[MapChunk, int]:
        """Take an area, then populate it (``__alloc_percpu`` of the 2009 file)."""
        chunk, offset = self._find_area(request.size, request.align)
        try:
            pages = pages_of(offset, request.size, self.page_size)
            populate(self.kernel, chunk, pages, "rollback" not in self.config.quirks)
        except ServiceFailed:
            self._free_area(chunk, offset)
            raise
        return chunk, offset

    def _find_area(self, size: int, align: int) -> tuple[MapChunk, int]:
        """Take an area from the fullest chunk that has room, or from a new one."""
        work = self.kernel.work
        for slot in self.slots[self._size_to_slot(size) :]:
            work.slots_visited += 1
            # a chunk without room may move to another list: walk over a copy.  The walk of the
            # 2009 file followed it
            for chunk in list(slot):
                work.chunks_visited += 1
                if size > chunk.contig_hint:
                    continue
                offset = self._alloc_area(chunk, size, align)
                if offset is not None:
                    return chunk, offset
        chunk = self.create_chunk()
        offset = self._alloc_area(chunk, size, align)
        assert offset is not None, "an empty chunk has room for any request"
        return chunk, offset

    def _alloc_area(self, chunk: MapChunk, size: int, align: int) -> int | None:
        """Take an area from one chunk; return its offset, or None where none fits."""
        old_slot = self.slot_of(chunk)
        if not chunk.map:
            # the first chunk is made before kmalloc works: its map comes with the first request
            self._resize_map(chunk, DEFAULT_MAP_ALLOC)
            chunk.map = [-self.config.static_size, chunk.free_size]

        def grow(entries: int) -> None:
            room = chunk.map_alloc
            while room < entries:
                room *= 2
            if room == chunk.map_alloc:
                return
            try:
                self._resize_map(chunk, room)
            except ServiceFailed:
                self.partial_failures += chunk.free_size != free_size
                raise

        free_size = chunk.free_size
        offset = chunk.alloc_area(size, align, grow, self.kernel.work)
        self.relocate(chunk, old_slot)
        return offset

    # --- free

    def free(self, chunk: MapChunk, offset: int) -> None:
        """Free an area, and release another chunk when this one is empty (``free_percpu``)."""
        self._free_area(chunk, offset)
        if chunk.free_size == self.unit_size:
            self._release_another(chunk)

    def _release_another(self, empty: MapChunk) -> None:
        """Release an empty chunk other than ``empty``, if there is one."""
        self.kernel.work.slots_visited += 1
        for chunk in self.slots[-1]:
            self.kernel.work.chunks_visited += 1
            if chunk is not empty:
                self.kill_chunk(chunk)
                return

    def _free_area(self, chunk: MapChunk, offset: int) -> None:
        old_slot = self.slot_of(chunk)
        chunk.free_area(offset, self.kernel.work)
        self.relocate(chunk, old_slot)

    def find(self, ptr: int) -> Found:
        """Find an area by the entry that covers its pointer."""
        chunk = self.chunk_at(ptr)
        steps, offset = self.chunks.steps, ptr - chunk.addr
        if offset >= self.unit_size:
            raise errors.OtherUnitPointer.of(ptr)
        if chunk is self.first and offset < self.config.static_size:
            if offset:
                raise errors.StaticPointer.of(ptr)
            return Found(chunk, 0, self.config.static_size, steps)

        found = chunk.find(offset)
        if found is None and chunk.map:  # of a first chunk that ends before its unit does
            raise errors.WildPointer.of(ptr)
        if found is None or chunk.map[found[0]] > 0:
            raise errors.DoubleFree.of(ptr)
        entry, start = found
        if offset != start:
            raise errors.InteriorPointer.of(ptr)
        return Found(chunk, offset, -chunk.map[entry], steps)

    # --- chunks

    def _new_chunk(self, number: int) -> MapChunk:
        pages = self.unit_size // self.page_size
        return MapChunk(number, pages, self.new_memory(), self.unit_size)

    def _init_chunk(self, chunk: MapChunk) -> None:
        self._resize_map(chunk, DEFAULT_MAP_ALLOC)
        chunk.map = [self.unit_size]

    def _exit_chunk(self, chunk: MapChunk) -> None:
        if chunk.map_alloc:
            self._resize_map(chunk, 0)

    def _resize_map(self, chunk: MapChunk, entries: int) -> None:
        """Change the room of a map to a number of entries (``pcpu_realloc``).

        A new block is taken and the old one released: from kmalloc up to a page, from vmalloc
        above.
        """
        new, old = entries * ENTRY, chunk.map_alloc * ENTRY
        if new <= self.page_size:
            self.kernel.kmalloc(new)
        else:
            self.kernel.ask("vmalloc")
        if old <= self.page_size:
            self.kernel.kfree(old)
        else:
            self.kernel.count("vfree")
        if old and new:
            self.kernel.work.map_reallocations += 1
            self.kernel.work.bytes_moved += old
        chunk.map_alloc = entries

    def describe(self, chunk: MapChunk) -> ChunkState:
        """Return a chunk as plain values."""
        return ChunkState(
            id=chunk.id,
            free_size=chunk.free_size,
            contig_hint=chunk.contig_hint,
            map=tuple(chunk.map),
            map_alloc=chunk.map_alloc,
            immutable=chunk.immutable,
            populated=tuple(chunk.populated),
        )
