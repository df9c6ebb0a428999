# SPDX-License-Identifier: GPL-2.0-only
"""The background work: keep few free chunks, and about four empty pages.

    1  destroy the free chunks, except the first of the slot
    2  depopulate the empty pages of isolated chunks
    3  populate pages until four are empty
    4  destroy the free chunks that have no empty page, except the first

A kernel runs it in a worker, some time after an operation requested it.  Here it runs at the end
of that operation, or when the user says so.

Source: ``pcpu_balance_workfn`` of Linux 5.14 to 6.x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi.model.bitmap.slots import EMPTY_HIGH
from percpu_ffi.model.kernel import ServiceFailed
from percpu_ffi.model.pages import depopulate, populate, runs

if TYPE_CHECKING:
    from percpu_ffi.model.bitmap.chunk import BitmapChunk
    from percpu_ffi.model.bitmap.slots import Slots


def run_steps(slots: Slots, first: int, last: int) -> None:
    """Run some of the steps; the first one begins a run."""
    steps = (_destroy_free, _depopulate_isolated, _populate_empty, _destroy_unpopulated)
    if first == 1:
        slots.balance_requested = False
    for step in steps[first - 1 : last]:
        step(slots)


def _destroy_free(slots: Slots) -> None:
    """Step 1 (``pcpu_balance_free(false)``)."""
    for chunk in slots.slots[slots.free_slot][1:]:
        slots.rules.note("work: chunk destroyed in step 1")
        _destroy(slots, chunk)


def _destroy_unpopulated(slots: Slots) -> None:
    """Step 4 (``pcpu_balance_free(true)``)."""
    for chunk in slots.slots[slots.free_slot][1:]:
        if not chunk.empty_pages:
            slots.rules.note("work: chunk destroyed in step 4")
            _destroy(slots, chunk)


def _destroy(slots: Slots, chunk: BitmapChunk) -> None:
    slots.add_empty(chunk, -chunk.empty_pages)
    slots.kill_chunk(chunk)


def _depopulate_isolated(slots: Slots) -> None:
    """Step 2 (``pcpu_reclaim_populated``)."""
    while waiting := slots.slots[slots.to_depopulate]:
        chunk = waiting[0]
        if not _depopulate(slots, chunk):
            slots.rules.note("work: chunk reintegrated, too few empty pages")
            slots.reintegrate(chunk)
        elif slots.is_free(chunk):
            slots.rules.note("work: chunk reintegrated, all free")
            slots.reintegrate(chunk)
        else:
            slots.rules.note("work: chunk sidelined")
            slots.move(chunk, slots.sidelined, head=False)


def _depopulate(slots: Slots, chunk: BitmapChunk) -> bool:
    """Depopulate a chunk's empty pages, the last ones first.

    Returns: False, if the other chunks have too few, so that it must keep the rest.

    """
    page = len(chunk.blocks)
    while chunk.empty_pages:
        if slots.empty_pages < EMPTY_HIGH:
            return False
        end = page
        while page > 0 and chunk.populated[page - 1] and chunk.blocks[page - 1].is_free:
            page -= 1
        if page < end:
            slots.rules.note("work: empty pages depopulated")
            depopulate(slots.kernel, chunk, range(page, end), flush=True)
            slots.add_empty(chunk, page - end)
        page -= 1  # this one is not empty
    return True


def _populate_empty(slots: Slots) -> None:
    """Step 3, for atomic requests (``pcpu_balance_populated``).

    In each slot only the first chunk that has unpopulated pages gives some.
    """
    while True:
        missing = max(EMPTY_HIGH - slots.empty_pages, 0)
        if slots.atomic_failed:
            slots.rules.note("work: pages for a failed atomic request")
            slots.atomic_failed, missing = False, EMPTY_HIGH
        try:
            for slot in range(slots.size_to_slot(slots.page_size), slots.to_depopulate):
                for chunk in slots.slots[slot]:
                    if missing and not all(chunk.populated):
                        missing -= _populate(slots, chunk, missing)
                        break
            if not missing:
                return
            slots.create_chunk()
            slots.rules.note("work: chunk made")
        except ServiceFailed:
            slots.rules.note("work: a service failed")
            return


def _populate(slots: Slots, chunk: BitmapChunk, most: int) -> int:
    """Populate pages of a chunk, the lowest first; return how many."""
    unpopulated = [page for page, cpus in enumerate(chunk.populated) if not cpus][:most]
    for run in runs(unpopulated):
        slots.rules.note("work: pages populated")
        populate(slots.kernel, chunk, run)
        slots.add_empty(chunk, len(run))
    return len(unpopulated)
