# SPDX-License-Identifier: GPL-2.0-only
"""The slots of chunks, and their empty pages.

A chunk is on the slot of its contig hint; three slots are above those.  Requests walk upwards
and up to the free ones:

    slot    0          1      2      ...  sidelined  free     to depopulate
    contig  0, or a    4-15   16-31  ...  isolated   a whole  isolated, with
            fit failed                               unit     empty pages

An empty page is populated and all free: an atomic request can use it at once.  The total leaves
out the reserved chunk and the isolated ones.  Below 2 background work is requested, which makes
them 4 again; a chunk that has a quarter of its pages empty while the others have more than 4 is
isolated, so that the work may depopulate them.

Source: Linux 5.14 to 6.x, by Dennis Zhou and Roman Gushchin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percpu_ffi.config import GRANULE
from percpu_ffi.model.bitmap.chunk import BitmapChunk
from percpu_ffi.model.bitmap.first_chunk import first_unit
from percpu_ffi.model.policy import Emit, Policy
from percpu_ffi.state import ChunkState, slot_kinds

if TYPE_CHECKING:
    from percpu_ffi.config import Config

EMPTY_LOW, EMPTY_HIGH = 2, 4  # PCPU_EMPTY_POP_PAGES_LOW and _HIGH
RESERVED_CHUNK = -1  # id


class Slots(Policy[BitmapChunk]):
    """Chunks on slots, with counts of their empty pages."""

    def __init__(self, config: Config, emit: Emit) -> None:
        """Set up the first chunk, and the reserved one if there is one.

        Raises:
            ConfigError: the sizes do not fit together.

        """
        self.unit = unit = first_unit(config)
        super().__init__(
            config,
            emit,
            unit_size=unit.unit_size,
            free_size=unit.end - unit.dynamic,
            boot_pages=-(-unit.end // config.page_size),
        )
        self.empty_pages = 0  # of all chunks, except isolated ones and the reserved one
        self.atomic_failed = False  # the background work populates more pages
        self.first_addr = config.page_size  # a block that the caller of the set-up mapped
        memory = self.new_memory(config.static_image)
        self.reserved: BitmapChunk | None = None
        if config.reserved_size:
            self.reserved = self._boot_chunk(RESERVED_CHUNK, memory, unit.reserved, unit.dynamic)
        self.first = self._boot_chunk(0, memory, unit.dynamic, unit.end)
        self._count_empty(self.first, self.first.empty_pages)
        self.relocate(self.first, None)

    def _boot_chunk(self, number: int, memory: Any, start: int, end: int) -> BitmapChunk:
        """Make a chunk that serves a part of the first units."""
        pages = range(start // self.page_size, -(-end // self.page_size))
        chunk = self._chunk(number, len(pages), memory)
        chunk.base = pages.start * self.page_size
        chunk.addr = self.first_addr + chunk.base
        chunk.immutable = True
        chunk.populated = [self.cpus] * len(pages)
        chunk.empty_pages = len(pages)
        chunk.served = range((start - chunk.base) // GRANULE, (end - chunk.base) // GRANULE)
        for hidden in (
            range(chunk.served.start),
            range(chunk.served.stop, chunk.nr_bits),
        ):
            if hidden:
                chunk.empty_pages -= chunk.take(hidden.start, len(hidden))
        chunk.read = 0  # creation takes no work
        self.chunks.insert(chunk.addr, chunk)
        return chunk

    def _new_chunk(self, number: int) -> BitmapChunk:
        return self._chunk(number, self.unit_size // self.page_size, self.new_memory())

    def _chunk(self, number: int, pages: int, memory: Any) -> BitmapChunk:
        return BitmapChunk(
            number,
            pages,
            memory,
            page_size=self.page_size,
            mended="chunk-hint" in self.config.fixes,
            rules=self.rules,
        )

    # --- slots

    def _nr_slots(self) -> int:
        return size_slot(self.unit_size) + 4

    @property
    def sidelined(self) -> int:
        """The slot of isolated chunks that have few empty pages or none."""
        return len(self.slots) - 3

    @property
    def free_slot(self) -> int:
        """The slot of chunks in which all is free."""
        return len(self.slots) - 2

    @property
    def to_depopulate(self) -> int:
        """The slot of isolated chunks whose empty pages the background work depopulates."""
        return len(self.slots) - 1

    def size_to_slot(self, size: int) -> int:
        """Return the slot of a number of bytes in a row (``pcpu_size_to_slot``)."""
        return self.free_slot if size == self.unit_size else size_slot(size)

    def slot_of(self, chunk: BitmapChunk) -> int:
        """Return the slot where a chunk belongs, unless isolated (``pcpu_chunk_slot``)."""
        contig = chunk.hints.contig_hint
        return self.size_to_slot(contig * GRANULE) if contig and chunk.free_bits else 0

    def relocate(self, chunk: BitmapChunk, old_slot: int | None) -> None:
        """Move a chunk where it belongs, if that is another slot than before.

        Which slot it is on does not matter: one that was moved to slot 0 since a fit failed stays
        there until its contig hint belongs to another slot.
        """
        if not chunk.isolated:
            super().relocate(chunk, old_slot)

    def move(self, chunk: BitmapChunk, slot: int, *, head: bool) -> None:
        """Move a chunk to a slot; the reserved one is on none."""
        if chunk is not self.reserved:
            super().move(chunk, slot, head=head)

    def is_free(self, chunk: BitmapChunk) -> bool:
        """Return whether all of a unit is free; never so in the first chunk, which is smaller."""
        return chunk.free_bits * GRANULE == self.unit_size

    @property
    def hidden_bytes(self) -> int:
        """See :attr:`PerCpu.hidden_bytes`."""
        return sum(chunk.hidden for chunk in self.chunks)

    # --- empty pages

    def add_empty(self, chunk: BitmapChunk, pages: int) -> None:
        """Count pages of a chunk that are empty now, or with a negative number not any more."""
        chunk.empty_pages += pages
        self._count_empty(chunk, pages)

    def _count_empty(self, chunk: BitmapChunk, pages: int) -> None:
        if not chunk.isolated and chunk is not self.reserved:
            self.empty_pages += pages

    def isolate(self, chunk: BitmapChunk) -> None:
        """Let requests avoid a chunk, and the work depopulate it (``pcpu_isolate_chunk``)."""
        self.rules.note("chunk isolated again" if chunk.isolated else "chunk isolated")
        if not chunk.isolated:
            self._count_empty(chunk, -chunk.empty_pages)
            chunk.isolated = True
        self.move(chunk, self.to_depopulate, head=True)

    def reintegrate(self, chunk: BitmapChunk) -> None:
        """Use an isolated chunk again (``pcpu_reintegrate_chunk``)."""
        chunk.isolated = False
        self._count_empty(chunk, chunk.empty_pages)
        self.relocate(chunk, None)

    def check_low(self) -> None:
        """Request background work after an allocation, if few empty pages are left."""
        if self.empty_pages < EMPTY_LOW:
            self.rules.note("work requested: few empty pages")
            self.balance_requested = True

    def check_high(self, chunk: BitmapChunk) -> None:
        """Request background work after a free in a chunk, if it or its pages are too many."""
        if not chunk.isolated and self.is_free(chunk):
            if any(other is not chunk for other in self.slots[self.free_slot]):
                self.rules.note("work requested: another free chunk")
                self.balance_requested = True
        elif chunk is not self.first and chunk is not self.reserved and self._has_many(chunk):
            self.isolate(chunk)
            self.balance_requested = True

    def _has_many(self, chunk: BitmapChunk) -> bool:
        own = chunk.empty_pages
        if chunk.isolated:
            return own > 0
        return self.empty_pages > EMPTY_HIGH + own and own >= len(chunk.blocks) // 4

    # --- state

    def describe(self, chunk: BitmapChunk) -> ChunkState:
        """Return a chunk as plain values; the first one may have fewer pages than a unit."""
        missing = self.unit_size // self.page_size - len(chunk.populated)
        return ChunkState(
            id=chunk.id,
            free_size=chunk.free_bits * GRANULE,
            contig_hint=chunk.hints.contig_hint * GRANULE,
            map=tuple(chunk.sizes()),
            map_alloc=0,
            immutable=chunk.immutable,
            populated=(*chunk.populated, *[0] * missing),
            hints=chunk.hints.describe(),
            blocks=tuple(block.describe() for block in chunk.blocks),
            empty_pages=chunk.empty_pages,
            isolated=chunk.isolated,
        )

    def _figures(self) -> dict[str, Any]:
        return {
            "kinds": slot_kinds(len(self.slots)),
            "populated_pages": self.pages // self.cpus,
            "empty_pages": self.empty_pages,
            "balance_requested": self.balance_requested,
            "atomic_failed": self.atomic_failed,
        }


def size_slot(size: int) -> int:
    """Return the slot of a size below that of a unit: a power of two each, but 1 to 15 bytes."""
    return max(size.bit_length() - 3, 1)
