# SPDX-License-Identifier: GPL-2.0-only
"""The public functions, and the slot lists of chunks.

Slots sort the chunks by free size, in powers of two: allocation first tries the fullest chunk
that may have room, so that the others drain and can be released.  Slot 0 holds full chunks,
the last slot empty ones:

    slot    0      1      2       3       ...   14       15
    free    none   4-15   16-31   32-63   ...   64 KiB-  all of a unit
"""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi._util.integers import integers
from percpu_ffi.base import BaseAllocator, pointer
from percpu_ffi.model.chunk import DEFAULT_MAP_ALLOC, SMALL, Chunk
from percpu_ffi.model.entry import Entry
from percpu_ffi.model.first_chunk import first_chunk
from percpu_ffi.model.kernel import Fault, Kernel, ServiceFailed
from percpu_ffi.model.memory import Memory
from percpu_ffi.model.pages import depopulate, map_pages, pages_of, populate
from percpu_ffi.model.replay import replay_in_model
from percpu_ffi.model.tally import ENTRY, Tally
from percpu_ffi.model.tree import Tree
from percpu_ffi.state import ChunkState, Location, Peaks, State
from percpu_ffi.tracing.event import ALLOC, ALLOC_FAIL, CREATE_CHUNK, DESTROY_CHUNK, FREE, Record
from percpu_ffi.work import WorkByCall

if TYPE_CHECKING:
    from percpu_ffi.config import Config, FaultPlan
    from percpu_ffi.replay import Replay
    from percpu_ffi.trace import Trace


class Model(BaseAllocator):
    """The allocator in pure Python: same decisions, state and service calls as the port in C.

    It needs no compiled code, and is about a hundred times slower.
    """

    # --- set-up and end

    def _open(self, config: Config) -> None:
        """Set up the first chunk (``pcpu_setup_first_chunk`` of the 2009 file)."""
        self._unit_size, self._free_size, present = first_chunk(config)
        self._entry = Entry()
        self._pins: Counter[int] = Counter()  # views by pointer
        self._created = self._destroyed = self._partial_failures = 0
        self._kernel = Kernel(config, self._chunk_size)
        self._alloc_work, self._free_work = Tally(), Tally()
        self._live = self._most_areas = 0  # areas
        self._most_chunks = 1
        self._sizes = (0, 0)  # smallest and largest area so far, as requested
        self._events: list[Record] | None = None  # events, while a trace is written

        # a list for each size, one below for full chunks, one above for empty ones
        self._slots: list[list[Chunk]] = [
            [] for _ in range(self._size_to_slot(self.unit_size, empty=False) + 2)
        ]
        self._chunks: Tree[Chunk] = Tree()  # by address

        if config.first_chunk == "4k":
            addr = self._kernel.vm_area_register_early(self._chunk_size)
        else:
            addr = config.page_size  # a block that the caller mapped
        self._static_ptr = addr
        self._first = Chunk(0, addr, self._free_size, self.unit_size // config.page_size)
        self._first.immutable = config.first_chunk != "4k"
        for page in present:
            self._first.populated[page] = config.cpus
        self._boot_pages = len(present) * config.cpus
        if not self._first.immutable:
            map_pages(self._kernel, self._first, present)

        self._chunks.insert(addr, self._first)
        self._relocate(self._first, None)

    @property
    def _chunk_size(self) -> int:
        return self.unit_size * self.cpus

    def _close(self) -> None:
        with self._entry.lock:
            if self._entry.closed:
                return
            if self._pins:
                raise errors.viewed_on_close()
            self._entry.closed = True
            self._chunks = Tree()

    # --- allocation

    def _alloc(self, size: int, align: int) -> int:
        with self._entry:
            return self._alloc_percpu(size, align)

    def _check_request(self, size: int, align: int) -> None:
        """Refuse a request that is out of range, with a WARN where the 2009 file has one."""
        page = self.page_size
        size_fits = 1 <= size <= self.max_size
        if not size_fits or align < 0 or align > page:
            self._kernel.count("warn")
            self._entry.warning = "illegal size or align for percpu allocation"
        # the 2009 file took alignments that are not a power of two, and misplaced the areas
        if not size_fits or not 1 <= align <= page or align & (align - 1):
            raise self._bad_request(size, align)

    def _alloc_percpu(self, size: int, align: int) -> int:
        """Take an area, then populate it (``__alloc_percpu`` of the 2009 file)."""
        self._check_request(size, align)
        self._begin(self._alloc_work)
        try:
            chunk, offset = self._find_area(size, align)
            try:
                pages = pages_of(offset, size, self.page_size)
                populate(self._kernel, chunk, pages, "rollback" not in self._config.quirks)
            except ServiceFailed:
                self._free_area(chunk, offset)
                raise
        except ServiceFailed as failure:
            self._emit(ALLOC_FAIL, size=size, align=align)
            raise errors.out_of_memory(failure.service, size, align) from None
        self._count_area(chunk, size)
        self._emit(ALLOC, chunk, offset, size, align)
        if chunk.memory:
            chunk.memory.fill(offset, bytes(size))
        return chunk.addr + offset

    def _count_area(self, chunk: Chunk, size: int) -> None:
        """Update the figures of :class:`Peaks`."""
        self._live += 1
        self._most_areas = max(self._most_areas, self._live)
        smallest, largest = self._sizes
        self._sizes = min(smallest or size, size), max(largest, size)
        chunk.max_size = max(chunk.max_size, size)

    def _begin(self, work: Tally) -> None:
        """Start an operation, whose work is counted in ``work``."""
        self._kernel.work = work
        work.operations += 1

    def _find_area(self, size: int, align: int) -> tuple[Chunk, int]:
        """Take an area from the fullest chunk that has room, or from a new one."""
        work = self._kernel.work
        for slot in self._slots[self._size_to_slot(size) :]:
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
        chunk = self._create_chunk()
        offset = self._alloc_area(chunk, size, align)
        assert offset is not None, "an empty chunk has room for any request"
        return chunk, offset

    def _alloc_area(self, chunk: Chunk, size: int, align: int) -> int | None:
        """Take an area from one chunk; return its offset, or None where none fits."""
        old_slot = self._slot_of(chunk)
        if not chunk.map:
            # the first chunk is made before kmalloc works: its map comes with the first request
            self._resize_map(chunk, DEFAULT_MAP_ALLOC)
            chunk.map = [-self.static_size, chunk.free_size]

        def grow(entries: int) -> None:
            room = chunk.map_alloc
            while room < entries:
                room *= 2
            if room == chunk.map_alloc:
                return
            try:
                self._resize_map(chunk, room)
            except ServiceFailed:
                self._partial_failures += chunk.free_size != free_size
                raise

        free_size = chunk.free_size
        offset = chunk.alloc_area(size, align, grow, self._kernel.work)
        self._relocate(chunk, old_slot)
        return offset

    # --- free

    def _free(self, ptr: int) -> None:
        with self._entry:
            self._free_percpu(ptr)

    def _free_percpu(self, ptr: int) -> None:
        """Free an area, and release another chunk when this one is empty (``free_percpu``)."""
        if not ptr:
            return
        chunk, offset, size = self._find_freeable(ptr)
        self._begin(self._free_work)
        self._free_work.tree_steps += self._chunks.steps
        self._live -= 1
        self._emit(FREE, chunk, offset, size)
        self._free_area(chunk, offset)
        if chunk.free_size == self.unit_size:
            self._release_another(chunk)

    def _release_another(self, empty: Chunk) -> None:
        """Release an empty chunk other than ``empty``, if there is one."""
        self._free_work.slots_visited += 1
        for chunk in self._slots[-1]:
            self._free_work.chunks_visited += 1
            if chunk is not empty:
                self._kill_chunk(chunk)
                return

    def _free_area(self, chunk: Chunk, offset: int) -> None:
        old_slot = self._slot_of(chunk)
        chunk.free_area(offset, self._kernel.work)
        self._relocate(chunk, old_slot)

    def _find(self, ptr: int) -> tuple[Chunk, int, int]:
        """Return the chunk, offset and size in the map of a pointer's area.

        Raises: the error for the pointer; the 2009 file does not check it.
        """
        chunk = self._chunks.find_last(ptr)
        if chunk is None or ptr - chunk.addr >= self._chunk_size:
            raise errors.WildPointer.of(ptr)
        offset = ptr - chunk.addr
        if offset >= self.unit_size:
            raise errors.OtherUnitPointer.of(ptr)
        if chunk is self._first and offset < self.static_size:
            if offset:
                raise errors.StaticPointer.of(ptr)
            return chunk, 0, self.static_size

        found = chunk.find(offset)
        if found is None and chunk.map:  # of a first chunk that ends before its unit does
            raise errors.WildPointer.of(ptr)
        if found is None or chunk.map[found[0]] > 0:
            raise errors.DoubleFree.of(ptr)
        entry, start = found
        if offset != start:
            raise errors.InteriorPointer.of(ptr)
        return chunk, offset, -chunk.map[entry]

    def _find_freeable(self, ptr: int) -> tuple[Chunk, int, int]:
        found = self._find(ptr)
        if ptr == self.static_ptr:
            raise errors.StaticPointer.of(ptr)
        if self._pins[ptr]:
            raise errors.viewed(ptr)
        return found

    # --- chunks

    def _size_to_slot(self, size: int, *, empty: bool = True) -> int:
        """Return the list of chunks with a number of free bytes (``pcpu_size_to_slot``)."""
        if empty and size == self.unit_size:
            return len(self._slots) - 1
        return max(size.bit_length() - 3, 1)

    def _slot_of(self, chunk: Chunk) -> int:
        """Return the list where a chunk belongs (``pcpu_chunk_slot``)."""
        if chunk.free_size < SMALL or chunk.contig_hint < SMALL:
            return 0
        return self._size_to_slot(chunk.free_size)

    def _relocate(self, chunk: Chunk, old_slot: int | None) -> None:
        """Move a chunk to the list where it belongs now (``pcpu_chunk_relocate``).

        To the front of a higher slot, to the back of a lower one.  ``old_slot`` follows from
        its former size: after a partial failure the chunk may be on another list.
        """
        slot = self._slot_of(chunk)
        if slot == old_slot:
            return
        if chunk.slot is not None:
            self._slots[chunk.slot].remove(chunk)
        chunk.slot = slot
        if old_slot is None or slot > old_slot:
            self._slots[slot].insert(0, chunk)
        else:
            self._slots[slot].append(chunk)

    def _resize_map(self, chunk: Chunk, entries: int) -> None:
        """Change the room of a map to a number of entries (``pcpu_realloc``).

        A new block is taken and the old one released: from kmalloc up to a page, from vmalloc
        above.
        """
        new, old = entries * ENTRY, chunk.map_alloc * ENTRY
        if new <= self.page_size:
            self._kernel.kmalloc(new)
        else:
            self._kernel.ask("vmalloc")
        if old <= self.page_size:
            self._kernel.kfree(old)
        else:
            self._kernel.count("vfree")
        if old and new:
            self._kernel.work.map_reallocations += 1
            self._kernel.work.bytes_moved += old
        chunk.map_alloc = entries

    def _create_chunk(self) -> Chunk:
        """Make an empty chunk (``alloc_pcpu_chunk``)."""
        kernel, unit_size = self._kernel, self.unit_size
        chunk = Chunk(self._created + 1, 0, unit_size, unit_size // self.page_size)
        kernel.ask("kmalloc")  # the struct of the chunk
        try:
            self._resize_map(chunk, DEFAULT_MAP_ALLOC)
            chunk.map = [unit_size]
            chunk.addr = kernel.get_vm_area(self._chunk_size)
        except ServiceFailed:
            self._free_chunk(chunk)
            raise
        self._created += 1
        self._relocate(chunk, None)
        self._chunks.insert(chunk.addr, chunk)
        kernel.work.tree_steps += self._chunks.steps
        self._most_chunks = max(self._most_chunks, len(self._chunks))
        self._emit(CREATE_CHUNK, chunk)
        return chunk

    def _free_chunk(self, chunk: Chunk) -> None:
        """Release the map and the struct of a chunk (``free_pcpu_chunk``)."""
        if chunk.addr:
            self._kernel.free_vm_area(chunk.addr)
        if chunk.map_alloc:
            self._resize_map(chunk, 0)
        self._kernel.count("kfree")

    def _kill_chunk(self, chunk: Chunk) -> None:
        """Release a chunk (``pcpu_kill_chunk``)."""
        self._emit(DESTROY_CHUNK, chunk)
        depopulate(self._kernel, chunk, range(len(chunk.populated)), flush=False)
        self._slots[-1].remove(chunk)
        self._chunks.erase(chunk.addr)
        self._free_chunk(chunk)
        self._destroyed += 1

    # --- areas, state and events

    def locate(self, ptr: int) -> Location:
        checked = pointer(ptr)
        with self._entry:
            chunk, offset, _size = self._find(checked)
            return Location(chunk.id, offset)

    def address(self, ptr: int, cpu: int) -> int:
        number, checked = self._checked_cpu(cpu), pointer(ptr)
        with self._entry:
            memory, offset, _size = self._copies(checked)
            return memory.address(offset, number)

    def view(self, ptr: int, cpu: int) -> memoryview:
        number, checked = self._checked_cpu(cpu), pointer(ptr)
        with self._entry:
            memory, offset, size = self._copies(checked)
            if "rollback" in self._config.quirks:
                raise errors.no_view_with_rollback()
            self._pins[checked] += 1
            return memory.view(offset, size, number, lambda: self._unpin(checked))

    def _unpin(self, ptr: int) -> None:
        with self._entry.lock:
            self._pins[ptr] -= 1
            if not self._pins[ptr]:
                del self._pins[ptr]

    def _copies(self, ptr: int) -> tuple[Memory, int, int]:
        """Return the memory of an area, its offset, and its bytes in pages that are held."""
        chunk, offset, size = self._find(ptr)
        if self._config.memory == "none":
            raise errors.nothing_mapped()
        if not chunk.memory:
            chunk.memory = Memory(self.unit_size, self.cpus, self.page_size)
            if chunk is self._first:
                chunk.memory.fill(0, self._config.static_image)
        for page in pages_of(offset, size, self.page_size):
            if not chunk.populated[page]:
                size = page * self.page_size - offset
                break
        return chunk.memory, offset, size

    def state(self) -> State:
        with self._entry:
            chunks = (
                ChunkState(
                    id=chunk.id,
                    free_size=chunk.free_size,
                    contig_hint=chunk.contig_hint,
                    map=tuple(chunk.map),
                    map_alloc=chunk.map_alloc,
                    immutable=chunk.immutable,
                    populated=tuple(chunk.populated),
                )
                for chunk in sorted(self._chunks, key=operator.attrgetter("id"))
            )
            slots = (tuple(chunk.id for chunk in slot) for slot in self._slots)
            return State(tuple(slots), tuple(chunks))

    def counters(self) -> dict[str, int]:
        with self._entry:
            return dict(self._kernel.calls)

    def work(self) -> WorkByCall:
        with self._entry:
            return WorkByCall(self._alloc_work.taken(), self._free_work.taken())

    def _partial_failure_count(self) -> int:
        return self._partial_failures

    def _peaks(self) -> Peaks:
        with self._entry:
            by_chunk = {chunk.id: chunk.max_size for chunk in self._chunks}
            return Peaks(self._most_areas, self._most_chunks, *self._sizes, by_chunk)

    def _record(self, *, on: bool) -> None:
        with self._entry:
            self._events = [] if on else None

    def _recorded(self) -> tuple[Iterable[Record], int]:
        with self._entry:
            events = self._events or []
            if events:
                self._events = []
            return events, 0

    def _emit(
        self, kind: int, chunk: Chunk | None = None, offset: int = 0, size: int = 0, align: int = 0
    ) -> None:
        """Keep an event, while a trace is written."""
        if self._events is not None:
            ptr, number = (chunk.addr + offset, chunk.id) if chunk else (0, 0)
            self._events.append(Record.now(kind, ptr, number, offset, size, align))

    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        with self._entry:
            self._arm(site, plan)

    def _arm(self, site: str, plan: FaultPlan | None) -> None:
        self._kernel.faults.pop(site, None)
        if plan:
            self._kernel.faults[site] = Fault(plan)

    def _pages(self) -> int:
        """Return the page frames that chunks hold, those of the set-up included."""
        return self._boot_pages + sum(self._kernel.frames)

    # --- many at once

    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        asked = integers(sizes)
        with self._entry:
            for size in (1, *asked):  # the alignment first: there may be no size
                self._check_request(size, align)
            ptrs = array("q")
            try:
                for size in asked:
                    ptrs.append(self._alloc_percpu(size, align))
            except errors.PercpuMemoryError:
                for ptr in reversed(ptrs):
                    self._free_percpu(ptr)
                raise
            return ptrs

    def _free_many(self, ptrs: memoryview) -> None:
        pointers = integers(ptrs)
        with self._entry:
            seen: set[int] = set()
            for ptr in pointers:
                if ptr:
                    self._find_freeable(ptr)
                    if ptr in seen:
                        raise errors.DoubleFree.of(ptr)
                    seen.add(ptr)
            for ptr in pointers:
                self._free_percpu(ptr)

    def _replay(
        self, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
    ) -> Replay:
        return replay_in_model(self, trace, part_done, stops)
