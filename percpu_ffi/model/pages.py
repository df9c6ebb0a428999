# SPDX-License-Identifier: GPL-2.0-only
"""A chunk's pages: populated when an area needs them, given back with the chunk.

The units of a chunk grow in unison: a page is held by all CPUs or, between two calls, by
none.  Pages are mapped in runs, since each mapping and each flush has its price:

    page     0     1     2     3     4
           |#####|     |     |#####|     |      # held
                  <--------->       <--->       an area from 1 to 4: two runs to be mapped
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from percpu_ffi.model.kernel import ServiceFailed

if TYPE_CHECKING:
    from percpu_ffi.model.chunk import Chunk
    from percpu_ffi.model.kernel import Kernel

__all__ = ["depopulate", "map_pages", "pages_of", "populate"]


def pages_of(offset: int, size: int, page_size: int) -> range:
    """Tell which pages of a unit some bytes lie in."""
    return range(offset // page_size, -(-(offset + size) // page_size))


def populate(kernel: Kernel, chunk: Chunk, pages: range, keep_neighbours: bool) -> None:
    """Take page frames for the pages that lack them, and map these.

    Args:
        kernel: where they come from.
        chunk: the chunk.
        pages: pages of a unit.
        keep_neighbours: when it fails, give back what was added alone.  The 2009 file gave
            back all these pages, also those that were there before.

    Raises:
        ServiceFailed: with what was added given back.

    Source: ``pcpu_populate_chunk`` of the 2009 file.

    """
    missing = [page for page in pages if not chunk.populated[page]]
    reached: list[int] = []
    try:
        for run in runs(missing):
            for page in run:
                reached.append(page)
                for cpu in range(kernel.cpus):
                    kernel.alloc_page(cpu)
                    chunk.populated[page] += 1
            # a run is mapped when the next page turns out to be there already
            map_pages(kernel, chunk, run)
    except ServiceFailed:
        for run in runs(reached) if keep_neighbours else [pages]:
            depopulate(kernel, chunk, run, flush=True)
        raise


def depopulate(kernel: Kernel, chunk: Chunk, pages: range, *, flush: bool) -> None:
    """Give page frames back and unmap them, from the first that was held to the last.

    Source: ``pcpu_depopulate_chunk`` and ``pcpu_unmap`` of the 2009 file.
    """
    held = [page for page in pages if chunk.populated[page]]
    for page in held:
        for cpu in range(chunk.populated[page]):
            kernel.free_page(cpu)
        chunk.populated[page] = 0
    if not held:
        return
    if flush:
        kernel.count("flush_cache_vunmap")
    for _cpu in range(kernel.cpus):
        kernel.count("unmap")
    if flush:
        kernel.count("flush_tlb")


def map_pages(kernel: Kernel, chunk: Chunk, pages: range) -> None:
    """Map pages that are held, for each CPU, and flush once for all of them.

    Raises:
        ServiceFailed: some CPUs may have them mapped.

    Source: ``pcpu_map`` of the 2009 file.

    """
    assert all(chunk.populated[page] == kernel.cpus for page in pages), "nothing to map"
    for _cpu in range(kernel.cpus):
        kernel.ask("map")
    kernel.count("flush_cache_vmap")


def runs(pages: list[int]) -> list[range]:
    """Cut ascending page numbers into runs without gaps."""
    # in a run, page and position grow together: their difference is the same
    groups = groupby(enumerate(pages), lambda pair: pair[1] - pair[0])
    return [range(run[0][1], run[-1][1] + 1) for run in (list(group) for _, group in groups)]
