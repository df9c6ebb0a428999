# SPDX-License-Identifier: GPL-2.0-only
"""A request that a kernel has served: what the policy chooses, and what the kernel chose.

The policy's choice is noted; the kernel's is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi.config import GRANULE
from percpu_ffi.model.bitmap.chunk import NOTHING, BitmapChunk, Run
from percpu_ffi.model.bitmap.policy import Bitmap, Place
from percpu_ffi.model.kernel import NoPlace, ServiceFailed
from percpu_ffi.state import Choice, Location

if TYPE_CHECKING:
    from percpu_ffi.model.policy import Request


class Follower:
    """Serves one request at the place that a kernel chose."""

    def __init__(self, policy: Bitmap, kernel: Location | None, *, learn: bool) -> None:
        """Note where the kernel placed the area, None: nowhere; see :meth:`PerCpu.follow`.

        Raises:
            WildPointer: no unit has this offset.

        """
        if kernel is not None and not 0 <= kernel.offset < policy.unit_size:
            raise errors.WildPointer.of(0)
        self.policy, self.kernel, self.learn = policy, kernel, learn
        self.chosen: Location | None = None
        self.offset: int | None = None  # the policy's choice in the kernel's chunk
        self.learnt = False

    def choice(self, ptr: int) -> Choice:
        """Return what the policy chose."""
        return Choice(ptr, self.chosen, self.offset, self.learnt)

    def alloc(self, request: Request) -> tuple[BitmapChunk, int]:
        """Serve the request.

        Raises:
            NoPlace: the kernel found no place, or its place is not free.
            WildPointer: there is no such chunk.
            ServiceFailed: a service failed.

        """
        try:
            return self._take(request)
        except (ServiceFailed, errors.WildPointer):
            if request.atomic:
                self.policy.atomic_failed = self.policy.balance_requested = True
            raise

    def _take(self, request: Request) -> tuple[BitmapChunk, int]:
        policy, kernel = self.policy, self.kernel
        try:
            place = policy.choose(request)
            self.chosen = Location(place.chunk.id, place.start * GRANULE)
        except ServiceFailed:
            place = None
        if kernel is None:
            raise NoPlace
        chunk = self._chunk(kernel.chunk)
        other = place and place.chunk
        if self.learn and other and other is not chunk and other.id > 0 and not other.isolated:
            self.learnt = True
            policy.learn_sidelined(other)
        start, skipped = _search(chunk, request)
        self.offset = None if start is None else start * GRANULE

        start, inside = divmod(kernel.offset, GRANULE)
        end = start + request.size // GRANULE
        served = chunk.served
        is_inside = served.start <= start and end <= served.stop
        if inside or not is_inside or chunk.used.next_set(start, end) < end:
            raise NoPlace
        # where a kernel places it, the pages are populated, also for an atomic request
        policy.populate_area(chunk, kernel.offset, request.size)
        return policy.take(request, Place(chunk, start, skipped))

    def _chunk(self, number: int) -> BitmapChunk:
        """Return the kernel's chunk; the one after the last is made.

        Raises:
            WildPointer: there is none.
            ServiceFailed: it cannot be made.

        """
        for chunk in self.policy.chunks:
            if chunk.id == number:
                return chunk
        if number != self.policy.created + 1:
            raise errors.WildPointer.of(0)
        return self.policy.create_chunk()


def _search(chunk: BitmapChunk, request: Request) -> tuple[int | None, Run]:
    """Search the kernel's chunk as it did: for the place, and for what the search learns."""
    bits, align = request.size // GRANULE, request.align // GRANULE
    at = chunk.find_fit(bits, align, populated_only=request.atomic)
    return (None, NOTHING) if at is None else chunk.find_place(at, bits, align)
