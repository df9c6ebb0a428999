# SPDX-License-Identifier: GPL-2.0-only
"""What holds of every allocator between two calls, checked on its state.

A chunk's map, for example, has to look like this, and its slot to follow from it:

    |##########|.....|###|..............|      static size, free bytes and areas cover the unit
     -8192      +256  -64  +57024              no 0, no two free neighbours, hint >= 57024
"""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import TYPE_CHECKING

from percpu_ffi.errors import ConfigError, PercpuError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from percpu_ffi.config import Buffer, Config
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import ChunkState, State

__all__ = ["violations"]

SMALL = 4  # sizeof(int): less is not kept as a free block
FIRST_MAP_ALLOC = 16  # PCPU_DFL_MAP_ALLOC of the 2009 file

# what an area may be longer than it was asked for: a rest behind it that is too small to be
# kept, and later, before a neighbour, a gap up to the next multiple of 4
MOST_ROUNDED_IN = 2 * (SMALL - 1)


def violations(
    allocator: PerCpu, live: Mapping[int, int | Sequence[Buffer]] | None = None
) -> list[str]:
    """List in sentences what does not hold; ``live`` is as for :meth:`PerCpu.validate`."""
    state, config = allocator.state(), allocator._config
    found = list(_lists(state))
    lags = allocator._half_done() > 0
    for chunk in state.chunks:
        found += (f"chunk {chunk.id}: {what}" for what in _chunk(chunk, config))
        for slot, ids in enumerate(state.slots):
            if chunk.id in ids:
                found += _place(chunk, slot, len(state.slots), config, lags)
    if live is not None:
        found += _areas(allocator, state, live)
    return found


def slot_of(free_size: int, contig_hint: int, unit_size: int, nr_slots: int) -> int:
    """Tell the slot where a chunk belongs (``pcpu_chunk_slot`` of the 2009 file)."""
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
        yield f"the chunks {state.slots[-1]} are all empty: one is kept, the others are given back"


def _chunk(chunk: ChunkState, config: Config) -> Iterator[str]:
    """One chunk by itself: its map, what it knows of the map, its pages."""
    holes = [size for size in chunk.map if size > 0]
    covered = config.unit_size if chunk.id else config.static_size + config.free_size
    if chunk.map or chunk.id:
        if sum(map(abs, chunk.map)) != covered:
            yield f"the map covers {sum(map(abs, chunk.map))} bytes of {covered}"
        if 0 in chunk.map:
            yield "the map has an entry of 0"
        if any(left > 0 and right > 0 for left, right in pairwise(chunk.map)):
            yield "two free entries of the map are neighbours"
        if sum(holes) != chunk.free_size:
            yield f"free_size is {chunk.free_size}, the free entries sum up to {sum(holes)}"
        if max(holes, default=0) > chunk.contig_hint:
            yield f"the hint of {chunk.contig_hint} is below the largest hole of {max(holes)}"
        capacity = chunk.map_alloc
        if capacity < max(len(chunk.map), FIRST_MAP_ALLOC) or capacity & (capacity - 1):
            yield f"a map of {len(chunk.map)} entries has room for {capacity}"
    elif chunk.free_size != config.free_size:
        yield f"free_size is {chunk.free_size} of {config.free_size} before the first request"
    if chunk.contig_hint > covered:
        yield f"the hint of {chunk.contig_hint} is above the {covered} bytes that there are"
    if chunk.immutable != (chunk.id == 0 and config.first_chunk != "4k"):
        yield f"immutable is {chunk.immutable}"
    yield from _pages(chunk, config)


def _pages(chunk: ChunkState, config: Config) -> Iterator[str]:
    pages = config.unit_size // config.page_size
    if len(chunk.populated) != pages:
        yield f"{len(chunk.populated)} pages are known of {pages}"
        return
    if not set(chunk.populated) <= {0, config.cpus}:
        yield f"some pages are held by some CPUs only: {chunk.populated}"
    if "rollback" in config.quirks:
        return  # live pages may have been taken away
    # pages come in order: an area starts where the one before it ends, or less than a page behind
    if 0 in chunk.populated and any(chunk.populated[chunk.populated.index(0) :]):
        yield f"pages are held behind one that is not: {chunk.populated}"
    for offset, size in _used(chunk, config):
        least = size if not offset and not chunk.id else max(size - MOST_ROUNDED_IN, 1)
        missing = _missing_pages(chunk, offset, least, config.page_size)
        if missing:
            yield f"the area at {offset} lies in pages {missing}, which nobody holds"


def _used(chunk: ChunkState, config: Config) -> Iterator[tuple[int, int]]:
    """Offset and size of each area in a map, the static one included."""
    offset = 0
    for size in chunk.map or (() if chunk.id else (-config.static_size,)):
        if size < 0:
            yield offset, -size
        offset += abs(size)


def _missing_pages(chunk: ChunkState, offset: int, size: int, page_size: int) -> list[int]:
    pages = range(offset // page_size, -(-(offset + size) // page_size))
    return [page for page in pages if not chunk.populated[page]]


def _place(
    chunk: ChunkState, slot: int, nr_slots: int, config: Config, lags: bool
) -> Iterator[str]:
    belongs = slot_of(chunk.free_size, chunk.contig_hint, config.unit_size, nr_slots)
    # a request that failed half-way leaves a chunk in the slot of its former size
    if slot != belongs and not (lags and slot > belongs):
        yield (
            f"chunk {chunk.id} with {chunk.free_size} bytes free stands in slot {slot}, "
            f"it belongs in {belongs}"
        )


def _areas(
    allocator: PerCpu, state: State, live: Mapping[int, int | Sequence[Buffer]]
) -> Iterator[str]:
    """What the caller knows of the live areas."""
    config = allocator._config
    chunks = {chunk.id: chunk for chunk in state.chunks}
    unknown = {
        (chunk.id, offset): size
        for chunk in state.chunks
        for offset, size in _used(chunk, config)
        if chunk.id or offset
    }
    for ptr, size, copies in _known(live, config.cpus):
        try:
            place = allocator.locate(ptr)
        except PercpuError as error:
            yield f"the area at {ptr:#x} is gone: {error}"
            continue
        static = config.static_size if ptr == allocator.static_ptr else 0
        held = unknown.pop((place.chunk, place.offset), static)
        if not size <= held <= size + MOST_ROUNDED_IN:
            yield f"the area at {ptr:#x} has {held} bytes in the map, {size} were asked for"
        if "rollback" in config.quirks:
            continue
        missing = _missing_pages(chunks[place.chunk], place.offset, size, config.page_size)
        if missing:
            yield f"the area at {ptr:#x} lies in pages {missing}, which nobody holds"
        else:
            yield from _contents(allocator, ptr, copies)
    for (chunk_id, offset), size in unknown.items():
        yield f"{size} bytes at offset {offset} of chunk {chunk_id} are in use and nobody's: a leak"


def _known(
    live: Mapping[int, int | Sequence[Buffer]], cpus: int
) -> Iterator[tuple[int, int, Sequence[Buffer]]]:
    """Pointer, size and contents of what the caller knows."""
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
            f"sequences of {cpus} bytes-like objects, what each CPU's copy contains"
        ) from None


def _contents(allocator: PerCpu, ptr: int, copies: Sequence[Buffer]) -> Iterator[str]:
    for cpu, copy in enumerate(copies):
        with allocator.view(ptr, cpu) as view, view[: len(copy)] as seen:
            if seen != copy:
                yield f"CPU {cpu}'s copy of the area at {ptr:#x} has changed"
