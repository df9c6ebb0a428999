# SPDX-License-Identifier: GPL-2.0-only
"""The figures of ``percpu_stats``, taken from an allocator.

docs/stats.md explains each.  Most follow from the maps:

    |##########|..|###|.....|##|..................|
     static     8  -16  20   -8   4000

    nr_alloc 2, cur_min_alloc 8, cur_max_alloc 16; fragments, the free ranges before
    the last area: sum_frag 28, max_frag 20; free_bytes 4028
"""

from __future__ import annotations

from percpu_ffi.errors import check_type
from percpu_ffi.interface import PerCpu
from percpu_ffi.state import ChunkState, Peaks
from percpu_ffi.stats.dump import FIRST, OTHER, Chunk, Dump

WORD = 4  # PCPU_MIN_ALLOC_SIZE of later kernels: bytes of a bit of their bitmap


def figures(allocator: PerCpu) -> Dump:
    """Return the dump of an allocator.

    Raises:
        ClosedError: the allocator is closed.
        ConfigError: it is not an allocator.

    """
    check_type("allocator", allocator, PerCpu, "an allocator")
    state, freed, peaks = allocator.state(), allocator.work().free.operations, allocator._peaks()
    unit_size, page_size = allocator.unit_size, allocator.page_size
    by_id = {chunk.id: chunk for chunk in state.chunks}
    chunks = [
        _chunk(by_id[number], allocator.static_size, page_size, peaks)
        for ids in state.slots
        for number in ids
    ]
    live = sum(chunk.fields["nr_alloc"] for chunk in chunks)
    return Dump(
        allocation={
            "unit_size": unit_size,
            "static_size": allocator.static_size,
            "reserved_size": 0,
            "dyn_size": allocator._free_size,
            # remap puts each unit into a large page of its own
            "atom_size": unit_size if allocator._config.first_chunk == "remap" else page_size,
            "alloc_size": unit_size,
        },
        totals={
            "nr_alloc": live + freed,
            "nr_dealloc": freed,
            "nr_cur_alloc": live,
            "nr_max_alloc": peaks.areas,
            "nr_chunks": len(chunks),
            "nr_max_chunks": peaks.chunks,
            "min_alloc_size": peaks.smallest or unit_size,
            "max_alloc_size": peaks.largest,
            "empty_pop_pages": sum(chunk.fields["empty_pop_pages"] for chunk in chunks),
        },
        chunks=tuple(chunks),
    )


def _chunk(chunk: ChunkState, static_size: int, page_size: int, peaks: Peaks) -> Chunk:
    first = chunk.id == 0
    areas: list[int] = []
    free: list[tuple[int, int]] = []  # offset and size
    offset = 0
    for size in chunk.entries(static_size):
        if size > 0:
            free.append((offset, size))
        elif offset or not first:
            areas.append(-size)
        offset += abs(size)
    end = offset
    # the free range after the last area is not a fragment
    fragments = [size for start, size in free if start + size < end]
    areas.sort()
    return Chunk(
        FIRST if first else OTHER,
        {
            "nr_alloc": len(areas),
            "max_alloc_size": peaks.by_chunk[chunk.id],
            "empty_pop_pages": sum(
                1
                for start, size in free
                for cpus in chunk.populated[-(-start // page_size) : (start + size) // page_size]
                if cpus
            ),
            "first_bit": (free[0][0] if free else end) // WORD,
            "free_bytes": chunk.free_size,
            "contig_bytes": chunk.contig_hint,
            "sum_frag": sum(fragments),
            "max_frag": max(fragments, default=0),
            "cur_min_alloc": areas[0] if areas else 0,
            "cur_med_alloc": areas[(len(areas) - 1) // 2] if areas else 0,
            "cur_max_alloc": areas[-1] if areas else 0,
        },
    )
