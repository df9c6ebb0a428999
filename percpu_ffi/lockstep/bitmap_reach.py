# SPDX-License-Identifier: GPL-2.0-only
"""What a run with bitmaps reached: the set-ups, the requests, and each rule of the policy.

The rules are counted by the model, where they are written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import GRANULE
from percpu_ffi.lockstep.random_bitmaps import PAGE_SIZES, PAGES
from percpu_ffi.lockstep.reach import Counts, Observer

if TYPE_CHECKING:
    from percpu_ffi.lockstep.answer import Answer
    from percpu_ffi.state import State
    from percpu_ffi.trace import Op

SITES = ("kmalloc", "get_vm_area", "alloc_page", "map")  # services that bitmaps need

RULES = (
    # hints learn a run
    "longer run before the contig hint",
    "longer run, contig hint becomes scan hint",
    "longer run before the scan hint",
    "equal run, better aligned",
    "equal run becomes the scan hint",
    "shorter run becomes the scan hint",
    # hints are learnt anew
    "block refreshed from the scan hint's end",
    "block refreshed from its first free granule",
    "promoted scan hint at the right edge",
    "left_free kept in a refresh",
    "chunk refreshed from the scan hint's end",
    "chunk refreshed from first_free",
    "chunk refreshed in full",
    "scan hint kept in a full refresh",
    "chunk does not learn a freed run",
    # search
    "search skips the scan hint",
    "atomic search goes on after unpopulated pages",
    "hints of the blocks have no place, those of the chunk had",
    "skipped run learnt",
    # requests
    "reserved request served",
    "reserved request failed",
    "atomic request failed",
    "chunk made by a request",
    "chunk moved to slot 0",
    "request served by a sidelined chunk",
    "chunk reintegrated by a request",
    "area not populated",
    "area not populated, runs before stay",
    # background work
    "chunk isolated",
    "chunk isolated again",
    "work requested: few empty pages",
    "work requested: another free chunk",
    "work: chunk destroyed in step 1",
    "work: empty pages depopulated",
    "work: chunk sidelined",
    "work: chunk reintegrated, too few empty pages",
    "work: chunk reintegrated, all free",
    "work: pages populated",
    "work: pages for a failed atomic request",
    "work: chunk made",
    "work: a service failed",
    "work: chunk destroyed in step 4",
)

# rules that need hints which claim too much: so only in an allocator that follows a kernel
FOLLOWED = ("map has no place, the hints had", "skipped run crosses pages, not learnt")

# in the order of the table; a set-up is counted once, everything else by operation
CLASSES = (
    *(f"pages of {size:,} B" for size in sorted(set(PAGE_SIZES))),
    "several NUMA nodes",
    "reserved chunk",
    "dynamic size left to the set-up",
    "unit size left to the set-up",
    "fix of the chunk's hint",
    "background work by hand",
    "size of 8 pages",
    "alignment below a granule",
    "alignment above 64",
    "alignment of a page",
    "atomic request",
    "reserved request",
    "request refused",
    "background work run",
    *RULES,
    *(f"{site} failed" for site in SITES),
    "failed by an interval with a probability",
    "page limit reached",
    "alloc_many",
    "alloc_many undone",
    "free_many",
    "replay",
    "replay with failures",
    "contents verified",
)


class BitmapObserver(Observer):
    """Counts what a run with bitmaps reaches."""

    def _see_set_up(self, state: State) -> None:
        given, reach = self.setup.get, self.reach
        reach[f"pages of {self.page:,} B"] = 1
        reach["several NUMA nodes"] = int(given("nodes", 1) > 1)
        reach["reserved chunk"] = int(state.chunks[0].id < 0)
        reach["dynamic size left to the set-up"] = int(not given("dyn_size"))
        reach["unit size left to the set-up"] = int(not given("unit_size"))
        reach["fix of the chunk's hint"] = int("chunk-hint" in given("fixes", ()))
        reach["background work by hand"] = int(given("balance") == "manual")

    def _see_operations(self, ops: Sequence[Op], errors: Mapping[int, str]) -> None:
        super()._see_operations(ops, errors)
        self.reach["background work run"] += sum(op[0] == "balance" for op in ops)

    def _see_request(self, op: Any) -> None:
        size, align = op[2:4]
        self.reach["size of 8 pages"] += size == PAGES * self.page
        self.reach["alignment below a granule"] += align < GRANULE
        self._see_alignment(align)
        for flags in op[4:]:
            for flag in flags:
                self.reach[f"{flag} request"] += 1

    def _see_changes(self, ops: Sequence[Op], answer: Answer, before: Counts, now: Counts) -> None:
        if answer.errors and self.calls == "many":
            self._see_undone(ops, before, now)
