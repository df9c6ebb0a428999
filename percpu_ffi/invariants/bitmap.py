# SPDX-License-Identifier: GPL-2.0-only
r"""What must hold of a state with bitmaps.

Hints may forget a free run, but never claim what is in use:

    ....####...###........####..###########.........
    \__/    \_/   \______/                 \_______/
    left    scan  contig                   right

That is so for places that the policy chose.  In an allocator that follows a kernel to other
places a left hint may claim too much: see ``left_free`` in ``percpu_ffi/model/bitmap``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.config import GRANULE
from percpu_ffi.invariants.areas import missing_pages, partly_held

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import Block, ChunkState, State

FAIL_SLOTS = range(3)  # where a chunk in slot 0 may belong: a fit failed in 1 or 2


def violations(state: State, allocator: PerCpu) -> Iterator[str]:
    """Yield a sentence for each broken invariant."""
    for chunk in state.chunks:
        yield from (f"chunk {chunk.id}: {what}" for what in _chunk(chunk, allocator))
        for slot, ids in enumerate(state.slots):
            if chunk.id in ids:
                yield from _place(chunk, slot, state, allocator)
    counted = [chunk for chunk in state.chunks if chunk.id >= 0 and not chunk.isolated]
    empty = sum(chunk.empty_pages for chunk in counted)
    if state.empty_pages != empty:
        yield f"{state.empty_pages} pages are empty in all, the chunks have {empty}"
    held = -(-_dynamic(allocator).stop // allocator.page_size)
    held += sum(1 for chunk in state.chunks if chunk.id > 0 for cpus in chunk.populated if cpus)
    if state.populated_pages != held:
        yield f"{plural(state.populated_pages, 'page')} populated, the chunks hold {held}"


def areas(chunk: ChunkState, allocator: PerCpu) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each area, the static one included; hidden bytes are none."""
    served = _served(chunk, allocator)
    if not chunk.id:
        base = _dynamic(allocator).start // allocator.page_size * allocator.page_size
        yield -base, _granules(allocator.static_size)
    offset = 0
    for size in chunk.map:
        if size < 0 and offset in served:
            yield offset, -size
        offset += abs(size)


def fits(size: int, held: int) -> bool:
    """Return whether an area of so many bytes in the map was requested with ``size``."""
    return held == _granules(size)


def _granules(size: int) -> int:
    return -(-size // GRANULE) * GRANULE


def _dynamic(allocator: PerCpu) -> range:
    """Return the bytes of the first units that the first chunk serves."""
    start = _granules(allocator.static_size) + allocator._config.reserved_size
    return range(start, start + allocator._free_size)


def _served(chunk: ChunkState, allocator: PerCpu) -> range:
    """Return the bytes that a chunk serves; the first and the reserved one hide some."""
    dynamic, page = _dynamic(allocator), allocator.page_size
    if chunk.id > 0:
        return range(allocator.unit_size)
    start, end = dynamic.start, dynamic.stop
    if chunk.id < 0:
        start, end = _granules(allocator.static_size), dynamic.start
    return range(start % page, start % page + end - start)


def _chunk(chunk: ChunkState, allocator: PerCpu) -> Iterator[str]:
    """One chunk by itself: its map, its hints, its pages."""
    served, page = _served(chunk, allocator), allocator.page_size
    pages = -(-served.stop // page)
    covered = sum(map(abs, chunk.map))
    if covered != pages * page or len(chunk.blocks) != pages:
        yield (
            f"the map covers {plural(covered, 'byte', '')} and {plural(len(chunk.blocks), 'block')}"
            f", of {pages * page} and {pages}"
        )
        return
    if any(not size or size % GRANULE for size in chunk.map):
        yield f"the map has an entry that is 0 or no multiple of {GRANULE}"
    if any(left > 0 and right > 0 for left, right in pairwise(chunk.map)):
        yield "two free entries of the map are neighbours"
    free = sum(size for size in chunk.map if size > 0)
    if free != chunk.free_size:
        yield f"free_size is {chunk.free_size}, the free entries sum up to {free}"
    if chunk.immutable != (chunk.id <= 0):
        yield f"immutable is {chunk.immutable}"
    if chunk.isolated and chunk.id <= 0:
        yield "it is isolated, which only later chunks are"
    yield from _hints(chunk)
    yield from _pages(chunk, allocator)


def _hints(chunk: ChunkState) -> Iterator[str]:
    """Compare the hints with the map."""
    ends = [*accumulate(abs(size) // GRANULE for size in chunk.map)]
    free = FreeRuns(
        [end - size // GRANULE for end, size in zip(ends, chunk.map, strict=True) if size > 0],
        [end for end, size in zip(ends, chunk.map, strict=True) if size > 0],
    )
    hints, bits = chunk.hints, ends[-1]
    if hints is None or hints.nr_bits != bits:
        yield f"its hints are {hints}, for {bits} granules"
        return
    if chunk.contig_hint != hints.contig_hint * GRANULE:
        yield f"contig_hint is {chunk.contig_hint}, its hints have {hints.contig_hint} granules"
    # left_free and right_free of a chunk are not used
    yield from _claims(hints._replace(left_free=0, right_free=0), 0, free, "the chunk")
    bits //= len(chunk.blocks)
    for number, block in enumerate(chunk.blocks):
        if block.nr_bits != bits:
            yield f"block {number} has {block.nr_bits} granules of {bits}"
        yield from _claims(block, number * bits, free, f"block {number}")


class FreeRuns:
    """The free ranges of a map, in granules."""

    def __init__(self, starts: list[int], ends: list[int]) -> None:
        self.starts, self.ends = starts, ends

    def has(self, start: int, length: int) -> bool:
        """Return whether all granules of a range are free."""
        at = bisect_right(self.starts, start) - 1
        return length <= 0 or (at >= 0 and start + length <= self.ends[at])

    def first(self, start: int) -> int | None:
        """Return the first free granule from one on."""
        at = bisect_right(self.ends, start)
        return max(start, self.starts[at]) if at < len(self.ends) else None


def _claims(hints: Block, base: int, free: FreeRuns, whose: str) -> Iterator[str]:
    """Check what hints claim; ``base`` is where their block starts."""
    end = hints.nr_bits
    claims = {
        "contig": (hints.contig_hint_start, hints.contig_hint),
        "scan": (hints.scan_hint_start, hints.scan_hint),
        "left": (0, hints.left_free),
        "right": (end - hints.right_free, hints.right_free),
    }
    for name, (start, length) in claims.items():
        if not 0 <= start <= start + length <= end or not free.has(base + start, length):
            yield f"the {name} hint of {whose} claims {length} granules at {start}, some in use"
    first = free.first(base)
    if first is not None and first < base + min(hints.first_free, end):
        yield f"granule {first} is free, before first_free of {whose}, {hints.first_free}"


def _pages(chunk: ChunkState, allocator: PerCpu) -> Iterator[str]:
    pages = allocator.unit_size // allocator.page_size
    if len(chunk.populated) != pages:
        yield f"the state has {plural(len(chunk.populated), 'page', '')} of {pages}"
        return
    yield from partly_held(chunk, allocator)
    for offset, size in areas(chunk, allocator):
        what = f"the area at {offset}"
        yield from missing_pages(chunk, what, offset, size, allocator.page_size)
    is_free = [block.contig_hint == block.nr_bits for block in chunk.blocks]
    held = zip(is_free, chunk.populated, strict=False)
    empty = sum(1 for is_free, cpus in held if is_free and cpus)
    if chunk.empty_pages != empty:
        yield f"{plural(chunk.empty_pages, 'page')} counted as empty, {empty} are"


def _place(chunk: ChunkState, slot: int, state: State, allocator: PerCpu) -> Iterator[str]:
    """Check the slot of a chunk."""
    kind, due = state.kinds[slot], _slot_of(chunk, state, allocator)
    if chunk.isolated:
        fits_slot = kind in ("sidelined", "depopulate")
        where = "sidelined or to be depopulated"
    else:
        fits_slot = slot == due or (slot == 0 and due in FAIL_SLOTS)
        where = f"in slot {due}"
    if not fits_slot:
        yield (
            f"chunk {chunk.id} with {plural(chunk.contig_hint, 'byte', '')} as contig hint is in "
            f"slot {slot} ({kind}) instead of {where}"
        )


def _slot_of(chunk: ChunkState, state: State, allocator: PerCpu) -> int:
    """Return the slot of a chunk that is not isolated (``pcpu_chunk_slot``)."""
    if not chunk.contig_hint or not chunk.free_size:
        return 0
    if chunk.contig_hint == allocator.unit_size:
        return state.kinds.index("free")
    return max(chunk.contig_hint.bit_length() - 3, 1)
