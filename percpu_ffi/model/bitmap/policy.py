# SPDX-License-Identifier: GPL-2.0-only
"""Requests with bitmaps: which chunk serves them, and where; areas are taken, populated, freed.

    request -> walk the slots -> find_fit, find_place in each chunk -> take -> populate
                  |                    no place in any
                  +-- a new chunk, and again; an atomic or reserved request fails

Source: ``pcpu_alloc`` and ``free_percpu`` of Linux 5.14 to 6.x, by Tejun Heo, Dennis Zhou and
Roman Gushchin.
"""

from __future__ import annotations

from typing import NamedTuple

from percpu_ffi import errors
from percpu_ffi.config import BALANCE_STEPS, GRANULE
from percpu_ffi.model.bitmap.balance import run_steps
from percpu_ffi.model.bitmap.chunk import NOTHING, BitmapChunk, Run
from percpu_ffi.model.bitmap.first_chunk import up
from percpu_ffi.model.bitmap.slots import Slots
from percpu_ffi.model.kernel import NoPlace, ServiceFailed
from percpu_ffi.model.pages import pages_of, populate, runs
from percpu_ffi.model.policy import Found, Request

FAIL_SLOTS = range(1, 3)  # below PCPU_SLOT_FAIL_THRESHOLD


class Place(NamedTuple):
    """A place for an area."""

    chunk: BitmapChunk
    """Its chunk."""
    start: int
    """Its first granule."""
    skipped: Run
    """The longest run that the search found to be too small."""


class Bitmap(Slots):
    """Decisions of Linux 5.14 to 6.x."""

    def rounded(self, size: int, align: int) -> tuple[int, int]:
        """Round a request to granules."""
        return up(size, GRANULE), max(align, GRANULE) if align >= 0 else align

    # --- allocation

    def alloc(self, request: Request) -> tuple[BitmapChunk, int]:
        """Choose a place, then take and populate it (``pcpu_alloc``).

        If an atomic request finds none, the background work will populate pages for the next.
        """
        try:
            return self.take(request, self.choose(request))
        except NoPlace:
            if request.atomic:
                self.rules.note("atomic request failed")
                self.atomic_failed = self.balance_requested = True
            raise

    def choose(self, request: Request) -> Place:
        """Choose a place, perhaps in a new chunk.

        Raises:
            ServiceFailed: no chunk could be made.
            NoPlace: the request is not allowed to make one.

        """
        if request.reserved and self.reserved:
            place = self._place_in(self.reserved, request)
            self.rules.note("reserved request " + ("served" if place else "failed"))
            if not place:
                raise NoPlace
            return place
        while not (place := self._walk(request)):
            if request.atomic:
                raise NoPlace
            self.create_chunk()
            self.rules.note("chunk made by a request")
        return place

    def _walk(self, request: Request) -> Place | None:
        """Return the first place in the slots, from that of the size up to the free ones."""
        work = self.kernel.work
        for slot in range(self.size_to_slot(request.size), self.to_depopulate):
            work.slots_visited += 1
            # a chunk whose hints have no place may move: walk over a copy
            for chunk in list(self.slots[slot]):
                if place := self._place_in(chunk, request):
                    if slot == self.sidelined:
                        self.rules.note("request served by a sidelined chunk")
                    return place
        return None

    def _place_in(self, chunk: BitmapChunk, request: Request) -> Place | None:
        """Return a place in one chunk; one of a low slot is not tried again if hints have none."""
        bits, align = request.size // GRANULE, request.align // GRANULE
        start, skipped = None, NOTHING
        at = chunk.find_fit(bits, align, populated_only=request.atomic)
        if at is not None:
            start, skipped = chunk.find_place(at, bits, align)
        elif chunk.slot in FAIL_SLOTS:
            self.rules.note("chunk moved to slot 0")
            self.move(chunk, 0, head=True)
        self.kernel.work.chunks_visited += 1
        self._count_read(chunk)
        return None if start is None else Place(chunk, start, skipped)

    def _count_read(self, chunk: BitmapChunk) -> None:
        """Count what was read of a chunk as work of this operation."""
        self.kernel.work.entries_scanned += chunk.read
        chunk.read = 0

    def take(self, request: Request, place: Place) -> tuple[BitmapChunk, int]:
        """Take a place, and populate its pages unless the request is atomic.

        Raises:
            ServiceFailed: pages could not be populated; the area is free again.

        """
        chunk, start, skipped = place
        offset = start * GRANULE
        old_slot = self.slot_of(chunk)
        self.add_empty(chunk, -chunk.take(start, request.size // GRANULE, skipped))
        self.relocate(chunk, old_slot)
        self._count_read(chunk)
        if chunk.isolated:
            self.rules.note("chunk reintegrated by a request")
            self.reintegrate(chunk)
        if not request.atomic:
            try:
                self.populate_area(chunk, offset, request.size)
            except ServiceFailed:
                self._free_area(chunk, start)
                raise
        self.check_low()
        return chunk, offset

    def populate_area(self, chunk: BitmapChunk, offset: int, size: int) -> None:
        """Populate what is missing under an area, run by run.

        Raises:
            ServiceFailed: the runs before the one that failed stay.

        """
        pages = pages_of(offset, size, self.page_size)
        missing = [page for page in pages if not chunk.populated[page]]
        for run in runs(missing):
            try:
                populate(self.kernel, chunk, run)
            except ServiceFailed:
                self.rules.note("area not populated")
                if run.start > missing[0]:
                    self.rules.note("area not populated, runs before stay")
                raise
            self.add_empty(chunk, len(run))

    # --- free

    def free(self, chunk: BitmapChunk, offset: int) -> None:
        """Free an area (``free_percpu``)."""
        self._free_area(chunk, offset // GRANULE)
        self.check_high(chunk)

    def _free_area(self, chunk: BitmapChunk, start: int) -> None:
        old_slot = self.slot_of(chunk)
        self.add_empty(chunk, chunk.release(start))
        self.relocate(chunk, old_slot)
        self._count_read(chunk)

    def find(self, ptr: int) -> Found:
        """Find an area by the bound at its pointer.

        The static area is before offset 0 of the first chunk.
        """
        offset = ptr - self.first_addr
        chunk, steps = self.first, 0
        if not 0 <= offset < self.chunk_size:
            chunk = self.chunk_at(ptr)
            offset, steps = ptr - chunk.addr, self.chunks.steps
        elif self.reserved and offset < self.unit.dynamic:
            chunk = self.reserved
        if offset >= self.unit_size:
            raise errors.OtherUnitPointer.of(ptr)
        if steps == 0 and offset < self.config.static_size:
            if offset:
                raise errors.StaticPointer.of(ptr)
            return Found(self.first, -self.first.base, self.config.static_size)

        offset = ptr - chunk.addr
        start, inside = divmod(offset, GRANULE)
        if start not in chunk.served:
            raise errors.WildPointer.of(ptr)
        if not chunk.used[start]:
            raise errors.DoubleFree.of(ptr)
        if inside or not chunk.bounds[start]:
            raise errors.InteriorPointer.of(ptr)
        return Found(chunk, offset, (chunk.area_end(start) - start) * GRANULE, steps)

    # --- background work

    def balance(self, first: int = 1, last: int = BALANCE_STEPS) -> None:
        """Run steps of the background work."""
        run_steps(self, first, last)

    def settle(self) -> None:
        """Run the background work, if the operation requested it."""
        if self.balance_requested and self.config.balance == "auto":
            self.balance()

    # --- a kernel that is followed

    def learn_sidelined(self, chunk: BitmapChunk) -> None:
        """Note that a kernel has a chunk sidelined: it passes it over."""
        self.isolate(chunk)
        self.move(chunk, self.sidelined, head=False)
