# SPDX-License-Identifier: GPL-2.0-only
"""A chunk's pages: populated when an area needs them, released with the chunk.

The units of a chunk grow in unison: a page is held by all CPUs or, between two calls, by
none.  Neighbouring pages are mapped as one run, with one flush for all:

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


def pages_of(offset: int, size: int, page_size: int) -> range:
    """Return the pages of a unit that a range of bytes touches."""
    return range(offset // page_size, -(-(offset + size) // page_size))


def populate(kernel: Kernel, chunk: Chunk, pages: range, keep_neighbours: bool = True) -> None:
    """Take page frames for the pages without, and map these.

    Args:
        kernel: its services.
        chunk: the chunk.
        pages: pages of a unit.
        keep_neighbours: on failure, release only the added pages.  The 2009 file released
            all of ``pages``, also those that were populated before.

    Raises:
        ServiceFailed: the added pages have been released.

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
            # mapped before the page frames of the next run are taken
            map_pages(kernel, chunk, run)
    except ServiceFailed:
        for run in runs(reached) if keep_neighbours else [pages]:
            depopulate(kernel, chunk, run, flush=True)
        raise


def depopulate(kernel: Kernel, chunk: Chunk, pages: range, *, flush: bool) -> None:
    """Release page frames and unmap them, from the first held page to the last.

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
    """Map held pages for each CPU, and flush once.

    Raises:
        ServiceFailed: some CPUs may have mapped them.

    Source: ``pcpu_map`` of the 2009 file.

    """
    assert all(chunk.populated[page] == kernel.cpus for page in pages), "nothing to map"
    for _cpu in range(kernel.cpus):
        kernel.ask("map")
    kernel.count("flush_cache_vmap")


def runs(pages: list[int]) -> list[range]:
    """Split ascending page numbers into runs without gaps."""
    # within a run the difference of page and position is constant
    groups = groupby(enumerate(pages), lambda pair: pair[1] - pair[0])
    return [range(run[0][1], run[-1][1] + 1) for run in (list(group) for _, group in groups)]
