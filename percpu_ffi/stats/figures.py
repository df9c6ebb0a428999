# SPDX-License-Identifier: GPL-2.0-only
"""The figures of ``percpu_stats``, taken from an allocator.

docs/stats.md explains each.  Most follow from the maps:

    |##########|..|###|.....|##|..................|
     static     8  -16  20   -8   4000

    nr_alloc 2, cur_min_alloc 8, cur_max_alloc 16; fragments, the free ranges before
    the last area: sum_frag 28, max_frag 20; free_bytes 4028

With bitmaps the hints are those of the kernel, and the first and the reserved chunk hide what they
do not serve of their first and last page.
"""

from __future__ import annotations

from collections.abc import Iterator

from percpu_ffi.config import BITMAP, GRANULE
from percpu_ffi.errors import check_type
from percpu_ffi.interface import PerCpu
from percpu_ffi.state import ChunkState, State
from percpu_ffi.stats.dump import DEPOPULATE, FIRST, OTHER, RESERVED, SIDELINED, Chunk, Dump

LARGE_PAGE = 2 << 20  # bytes: today's x86 allocates the first chunk in these
FIRST_CHUNK, RESERVED_CHUNK = 0, -1  # their ids
TITLES = {"sidelined": SIDELINED, "depopulate": DEPOPULATE}  # of the slots that have their own


def figures(allocator: PerCpu) -> Dump:
    """Return the dump of an allocator.

    Raises:
        ClosedError: the allocator is closed.
        ConfigError: it is not an allocator.

    """
    check_type("allocator", allocator, PerCpu, "an allocator")
    state, freed, peaks = allocator.state(), allocator.work().free.operations, allocator._peaks()
    chunks = [
        Chunk(title, _chunk(allocator, chunk, peaks.by_chunk[chunk.id]))
        for title, chunk in _listed(state)
    ]
    live = sum(chunk.fields["nr_alloc"] for chunk in chunks)
    bitmap = allocator.policy == BITMAP
    return Dump(
        allocation=_allocation(allocator),
        totals={
            "nr_alloc": live + freed,
            "nr_dealloc": freed,
            "nr_cur_alloc": live,
            "nr_max_alloc": peaks.areas,
            "nr_chunks": sum(chunk.id != RESERVED_CHUNK for chunk in state.chunks),
            "nr_max_chunks": peaks.chunks,
            "min_alloc_size": peaks.smallest or allocator.unit_size,
            "max_alloc_size": peaks.largest,
            "empty_pop_pages": state.empty_pages
            if bitmap
            else sum(chunk.fields["empty_pop_pages"] for chunk in chunks),
        },
        chunks=tuple(chunks),
    )


def _allocation(allocator: PerCpu) -> dict[str, int]:
    config, unit_size = allocator._config, allocator.unit_size
    if allocator.policy == BITMAP:
        atom_size = LARGE_PAGE
    else:  # remap puts each unit into a large page of its own
        atom_size = unit_size if config.first_chunk == "remap" else allocator.page_size
    return {
        "unit_size": unit_size,
        "static_size": allocator.static_size,
        "reserved_size": config.reserved_size,
        "dyn_size": allocator._free_size,
        "atom_size": atom_size,
        # with bitmaps several units are in one large page
        "alloc_size": max(unit_size, atom_size),
    }


def _listed(state: State) -> Iterator[tuple[str, ChunkState]]:
    """Yield title and chunk: the reserved one, which is in no slot, then slot after slot."""
    by_id = {chunk.id: chunk for chunk in state.chunks}
    if RESERVED_CHUNK in by_id:
        yield RESERVED, by_id[RESERVED_CHUNK]
    for slot, ids in enumerate(state.slots):
        title = TITLES.get(state.kinds[slot], OTHER) if state.kinds else OTHER
        for number in ids:
            yield FIRST if number == FIRST_CHUNK else title, by_id[number]


def _served(allocator: PerCpu, chunk: ChunkState) -> tuple[int, int]:
    """Return what areas may take of a unit, or of the chunk's part of it: from, to."""
    static, reserved = allocator.static_size, allocator._config.reserved_size
    if allocator.policy == BITMAP:
        static = -(-static // GRANULE) * GRANULE
        if chunk.id == RESERVED_CHUNK:
            start = static % allocator.page_size
            return start, start + reserved
        if chunk.id == FIRST_CHUNK:
            start = (static + reserved) % allocator.page_size
            return start, start + allocator._free_size
        return 0, allocator.unit_size
    entries = chunk.entries(static)
    return static if chunk.id == FIRST_CHUNK else 0, sum(map(abs, entries))


def _chunk(allocator: PerCpu, chunk: ChunkState, largest: int) -> dict[str, int]:
    start, end = _served(allocator, chunk)
    areas: list[int] = []
    free: list[tuple[int, int]] = []  # offset and size
    offset = 0
    for size in chunk.entries(allocator.static_size):
        if start <= offset < end:
            if size > 0:
                free.append((offset, size))
            else:
                areas.append(-size)
        offset += abs(size)
    # the free range after the last area is not a fragment
    fragments = [size for at, size in free if at + size < end]
    areas.sort()
    if chunk.hints:
        first_bit, empty_pages = chunk.hints.first_free, chunk.empty_pages
    else:
        first_bit = (free[0][0] if free else end) // GRANULE
        empty_pages = _empty_pages(chunk, free, allocator.page_size)
    return {
        "nr_alloc": len(areas),
        "max_alloc_size": largest,
        "empty_pop_pages": empty_pages,
        "first_bit": first_bit,
        "free_bytes": chunk.free_size,
        "contig_bytes": chunk.contig_hint,
        "sum_frag": sum(fragments),
        "max_frag": max(fragments, default=0),
        "cur_min_alloc": areas[0] if areas else 0,
        "cur_med_alloc": areas[(len(areas) - 1) // 2] if areas else 0,
        "cur_max_alloc": areas[-1] if areas else 0,
    }


def _empty_pages(chunk: ChunkState, free: list[tuple[int, int]], page_size: int) -> int:
    """Count the populated pages that are in free ranges."""
    return sum(
        1
        for at, size in free
        for cpus in chunk.populated[-(-at // page_size) : (at + size) // page_size]
        if cpus
    )
