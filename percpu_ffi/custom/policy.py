# SPDX-License-Identifier: GPL-2.0-only
"""The base of a policy of your own: you decide where areas are, it has the chunks and pages.

    class OnePage(CustomPolicy):
        '''Put each area into a chunk of its own.'''

        def alloc(self, size, align):
            chunk = self.create_chunk()
            self.populate(chunk, self.pages_at(0, size))
            return chunk, 0

        def free(self, chunk, offset):
            self.destroy_chunk(chunk)

``percpu-ffi compare TRACE --with mine=MODULE:OnePage`` shows what it holds, next to the kernel's
policies.  docs/analysis.md explains it; examples/policies/ has two to start from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.custom.chunks import Chunks


class CustomPolicy(ABC):
    """The decisions of an allocator: :meth:`alloc` and :meth:`free`, by a subclass.

    A chunk has a unit for each CPU, and all units are used alike: an offset, an area or a page
    is the same in each.  Chunks are numbered in the order of their creation.  Chunk 0, the first
    one, starts with the static area, whose pages are populated.  Every promise is checked:

    * an area is within a unit, is aligned, and overlaps neither a live area nor the static one;
    * its pages are populated before :meth:`alloc` returns;
    * no page of a live area is depopulated, and no chunk with one is destroyed, nor the first one.

    A broken promise, or an exception other than the two that :meth:`alloc` may raise, ends the
    run with a PolicyError that names the operation.
    """

    cpus: int
    """Possible CPUs."""
    page_size: int
    """Bytes of a page, a power of two."""
    unit_size: int
    """Bytes of one CPU's unit in a chunk, whole pages."""
    static_size: int
    """Bytes of the static area, at the start of the first chunk's units."""

    def __init__(self, chunks: Chunks) -> None:
        """Attach the chunks; override :meth:`start` instead."""
        self.__chunks = chunks
        self.cpus, self.page_size, self.unit_size, self.static_size = chunks.units

    # --- what a policy decides

    def start(self) -> None:  # noqa: B027 - not every policy has something to prepare
        """Prepare what the policy needs; called once, before the first request.

        May raise ConfigError if the policy is not possible with these sizes.
        """

    @abstractmethod
    def alloc(self, size: int, align: int) -> tuple[int, int]:
        """Choose a place, populate its pages, and return its chunk and its offset.

        Args:
            size: bytes, from 1 to ``unit_size``.
            align: bytes, a power of two up to ``page_size``.

        Raises:
            PercpuMemoryError: there is no place.  The request counts as failed.
            InvalidRequest: the policy does not serve such sizes.  Likewise.

        """

    @abstractmethod
    def free(self, chunk: int, offset: int) -> None:
        """Note that the area at this place is no longer live.

        As in the kernel, the policy has to know the size itself.
        """

    # --- what it can use

    def create_chunk(self) -> int:
        """Make a chunk without populated pages; return its number."""
        return self.__chunks.create()

    def destroy_chunk(self, chunk: int) -> None:
        """Destroy a chunk without live areas, with its pages."""
        self.__chunks.destroy(chunk)

    def populate(self, chunk: int, pages: range) -> None:
        """Take page frames for the pages of this range that have none."""
        self.__chunks.populate(chunk, pages)

    def depopulate(self, chunk: int, pages: range) -> None:
        """Release the page frames of these pages; none of them may have a live area."""
        self.__chunks.depopulate(chunk, pages)

    def pages_at(self, offset: int, size: int) -> range:
        """Return the pages that a range of bytes of a unit touches."""
        return self.__chunks.pages_at(offset, size)

    def step(self, count: int = 1) -> None:
        """Count steps: what the policy visits, such as lists, chunks and free ranges.

        ``compare`` prints their number for each call, next to what the kernel's code visits.
        """
        self.__chunks.step(count)
