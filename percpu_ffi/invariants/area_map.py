# SPDX-License-Identifier: GPL-2.0-only
"""What must hold of a state under the policy of 2009.

A chunk's map, for example, looks like this, and its slot follows from it:

    |##########|.....|###|..............|      static size, free bytes and areas cover the unit
     -8192      +256  -64  +57024              no 0, no two free neighbours, hint >= 57024
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.invariants.areas import missing_pages, partly_held

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import ChunkState, State

SMALL = 4  # sizeof(int): fewer bytes are not kept as a free range
FIRST_MAP_ALLOC = 16  # PCPU_DFL_MAP_ALLOC of the 2009 file

# bytes that an area may be longer than requested: a tail too small to be kept, and later a head
# before its neighbour
MAX_ROUNDING = 2 * (SMALL - 1)


def violations(state: State, allocator: PerCpu) -> Iterator[str]:
    """Yield a sentence for each broken invariant."""
    if len(state.slots[-1]) > 1:
        yield f"the chunks {state.slots[-1]} are all empty: only one may be kept"
    for chunk in state.chunks:
        yield from (f"chunk {chunk.id}: {what}" for what in _chunk(chunk, allocator))
        for slot, ids in enumerate(state.slots):
            if chunk.id in ids:
                yield from _place(chunk, slot, len(state.slots), allocator)


def areas(chunk: ChunkState, allocator: PerCpu) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each area in a map, the static one included."""
    offset = 0
    for size in chunk.entries(allocator.static_size):
        if size < 0:
            yield offset, -size
        offset += abs(size)


def fits(size: int, held: int) -> bool:
    """Return whether an area of so many bytes in the map was requested with ``size``."""
    return size <= held <= size + MAX_ROUNDING


def slot_of(free_size: int, contig_hint: int, unit_size: int, nr_slots: int) -> int:
    """Return the slot of a chunk (``pcpu_chunk_slot`` of the 2009 file)."""
    if free_size < SMALL or contig_hint < SMALL:
        return 0
    if free_size == unit_size:
        return nr_slots - 1
    return max(free_size.bit_length() - 3, 1)


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
    yield from partly_held(chunk, allocator)
    if "rollback" in allocator._config.quirks:
        return  # pages of live areas may have been released
    # pages come in order: an area starts at the end of the one before, or less than a page later
    if 0 in chunk.populated and any(chunk.populated[chunk.populated.index(0) :]):
        yield f"pages are held after one that is not: {chunk.populated}"
    for offset, size in areas(chunk, allocator):
        least = size if not offset and not chunk.id else max(size - MAX_ROUNDING, 1)
        yield from missing_pages(chunk, f"the area at {offset}", offset, least, page_size)


def _place(chunk: ChunkState, slot: int, nr_slots: int, allocator: PerCpu) -> Iterator[str]:
    due = slot_of(chunk.free_size, chunk.contig_hint, allocator.unit_size, nr_slots)
    # a request that failed half-way leaves a chunk in the slot of its former size
    if slot < due or (slot > due and not allocator._partial_failure_count()):
        yield (
            f"chunk {chunk.id} with {plural(chunk.free_size, 'byte', '')} free is in slot {slot} "
            f"instead of {due}"
        )
