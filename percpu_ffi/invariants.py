# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of every allocator between two calls, checked on its state.

A chunk's map, for example, looks like this, and its slot follows from it:

    |##########|.....|###|..............|      static size, free bytes and areas cover the unit
     -8192      +256  -64  +57024              no 0, no two free neighbours, hint >= 57024
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.errors import ConfigError, PercpuError, shown

if TYPE_CHECKING:
    from percpu_ffi.config import Buffer
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import ChunkState, State

SMALL = 4  # sizeof(int): fewer bytes are not kept as a free range
FIRST_MAP_ALLOC = 16  # PCPU_DFL_MAP_ALLOC of the 2009 file

# bytes that an area may be longer than requested: a tail too small to be kept, and later a head
# before its neighbour
MAX_ROUNDING = 2 * (SMALL - 1)


def violations(
    allocator: PerCpu, live: Mapping[int, int | Sequence[Buffer]] | None = None
) -> list[str]:
    """Return a sentence for each broken invariant; ``live`` is as for :meth:`PerCpu.validate`."""
    state = allocator.state()
    found = list(_lists(state))
    for chunk in state.chunks:
        found += (f"chunk {chunk.id}: {what}" for what in _chunk(chunk, allocator))
        for slot, ids in enumerate(state.slots):
            if chunk.id in ids:
                found += _place(chunk, slot, len(state.slots), allocator)
    if live is not None:
        found += _areas(allocator, state, live)
    return found


def slot_of(free_size: int, contig_hint: int, unit_size: int, nr_slots: int) -> int:
    """Return the slot of a chunk (``pcpu_chunk_slot`` of the 2009 file)."""
    if free_size < SMALL or contig_hint < SMALL:
        return 0
    if free_size == unit_size:
        return nr_slots - 1
    return max(free_size.bit_length() - 3, 1)


def _lists(state: State) -> Iterator[str]:
    listed = sorted(id for ids in state.slots for id in ids)
    known = [chunk.id for chunk in state.chunks]
    if listed != known:
        yield f"the lists hold the chunks {listed}, the address tree {known}"
    if len(state.slots[-1]) > 1:
        yield f"the chunks {state.slots[-1]} are all empty: only one may be kept"


def _chunk(chunk: ChunkState, allocator: PerCpu) -> Iterator[str]:
    """One chunk by itself: its map, its figures, its pages."""
    free = [size for size in chunk.map if size > 0]
    free_size, covered = allocator._free_size, allocator.unit_size
    if not chunk.id:
        covered = allocator.static_size + free_size
    if chunk.map or chunk.id:
        if sum(map(abs, chunk.map)) != covered:
            yield f"the map covers {plural(sum(map(abs, chunk.map)), 'byte', '')} of {covered}"
        if 0 in chunk.map:
            yield "the map has an entry of 0"
        if any(left > 0 and right > 0 for left, right in pairwise(chunk.map)):
            yield "two free entries of the map are neighbours"
        if sum(free) != chunk.free_size:
            yield f"free_size is {chunk.free_size}, the free entries sum up to {sum(free)}"
        if max(free, default=0) > chunk.contig_hint:
            yield (
                f"the contig hint of {chunk.contig_hint} is below the largest free range of "
                f"{max(free)}"
            )
        capacity = chunk.map_alloc
        if capacity < max(len(chunk.map), FIRST_MAP_ALLOC) or capacity.bit_count() != 1:
            yield f"a map of {plural(len(chunk.map), 'entry', '')} has room for {capacity}"
    elif chunk.free_size != free_size:
        yield f"free_size is {chunk.free_size} of {free_size} before the first request"
    if chunk.contig_hint > covered:
        yield f"the contig hint of {chunk.contig_hint} is above the {covered} bytes of the map"
    if chunk.immutable != (chunk.id == 0 and allocator._config.first_chunk != "4k"):
        yield f"immutable is {chunk.immutable}"
    yield from _pages(chunk, allocator)


def _pages(chunk: ChunkState, allocator: PerCpu) -> Iterator[str]:
    page_size = allocator.page_size
    pages = allocator.unit_size // page_size
    if len(chunk.populated) != pages:
        yield f"the state has {plural(len(chunk.populated), 'page', '')} of {pages}"
        return
    if not set(chunk.populated) <= {0, allocator.cpus}:
        yield f"some pages are held by some CPUs only: {chunk.populated}"
    if "rollback" in allocator._config.quirks:
        return  # pages of live areas may have been released
    # pages come in order: an area starts at the end of the one before, or less than a page later
    if 0 in chunk.populated and any(chunk.populated[chunk.populated.index(0) :]):
        yield f"pages are held after one that is not: {chunk.populated}"
    for offset, size in _used(chunk, allocator.static_size):
        least = size if not offset and not chunk.id else max(size - MAX_ROUNDING, 1)
        yield from _missing_pages(chunk, f"the area at {offset}", offset, least, page_size)


def _used(chunk: ChunkState, static_size: int) -> Iterator[tuple[int, int]]:
    """Offset and size of each area in a map, the static one included."""
    offset = 0
    for size in chunk.entries(static_size):
        if size < 0:
            yield offset, -size
        offset += abs(size)


def _missing_pages(
    chunk: ChunkState, what: str, offset: int, size: int, page_size: int
) -> Iterator[str]:
    pages = range(offset // page_size, -(-(offset + size) // page_size))
    missing = [page for page in pages if not chunk.populated[page]]
    if missing:
        yield f"{what} is in pages {missing}, which are not held"


def _place(chunk: ChunkState, slot: int, nr_slots: int, allocator: PerCpu) -> Iterator[str]:
    due = slot_of(chunk.free_size, chunk.contig_hint, allocator.unit_size, nr_slots)
    # a request that failed half-way leaves a chunk in the slot of its former size
    if slot < due or (slot > due and not allocator._partial_failure_count()):
        yield (
            f"chunk {chunk.id} with {plural(chunk.free_size, 'byte', '')} free is in slot {slot} "
            f"instead of {due}"
        )


def _areas(
    allocator: PerCpu, state: State, live: Mapping[int, int | Sequence[Buffer]]
) -> Iterator[str]:
    """Compare the maps with what the caller knows of the live areas."""
    chunks = {chunk.id: chunk for chunk in state.chunks}
    unknown = {
        (chunk.id, offset): size
        for chunk in state.chunks
        for offset, size in _used(chunk, allocator.static_size)
    }
    for ptr, size, copies in _known(live, allocator.cpus):
        what = f"the area at {ptr:#x}"
        try:
            place = allocator.locate(ptr)
        except PercpuError as error:
            yield f"{what} is gone: {error}"
            continue
        held = unknown.pop(place, 0)
        if not size <= held <= size + MAX_ROUNDING:
            were = "was" if size == 1 else "were"
            yield f"{what} has {plural(held, 'byte', '')} in the map, {size} {were} requested"
        if "rollback" in allocator._config.quirks:
            continue
        missing = list(
            _missing_pages(chunks[place.chunk], what, place.offset, size, allocator.page_size)
        )
        yield from missing or _contents(allocator, ptr, copies)
    unknown.pop((0, 0), None)  # the static area
    for (chunk_id, offset), size in unknown.items():
        yield (
            f"{plural(size, 'byte', '')} at offset {offset} of chunk {chunk_id} in use, but "
            "unknown: a leak"
        )


def _known(
    live: Mapping[int, int | Sequence[Buffer]], cpus: int
) -> Iterator[tuple[int, int, Sequence[Buffer]]]:
    """Pointer, size and contents of each area that the caller knows."""
    try:
        for ptr, known in live.items():
            if hasattr(known, "__index__"):
                yield operator.index(ptr), operator.index(known), ()
            elif isinstance(known, bytes | bytearray | memoryview) or len(known) != cpus:
                raise TypeError
            else:
                yield operator.index(ptr), max(map(len, known)), known
    except (TypeError, AttributeError):
        raise ConfigError(
            f"live={shown(live)}: a mapping from pointers is needed, to sizes in bytes, or to "
            f"sequences of {cpus} bytes-like objects, the contents of each CPU's copy"
        ) from None


def _contents(allocator: PerCpu, ptr: int, copies: Sequence[Buffer]) -> Iterator[str]:
    for cpu, copy in enumerate(copies):
        with allocator.view(ptr, cpu) as view, view[: len(copy)] as seen:
            if seen != copy:
                yield f"CPU {cpu}'s copy of the area at {ptr:#x} has changed"
