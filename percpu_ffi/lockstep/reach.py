# SPDX-License-Identifier: GPL-2.0-only
"""What a run reached: operations of each class, counted from what was compared anyway."""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi.config import FAULT_SITES, FIRST_CHUNKS
from percpu_ffi.lockstep.random_traces import PAGE_SIZES
from percpu_ffi.state import State
from percpu_ffi.work import WorkByCall

if TYPE_CHECKING:
    from percpu_ffi.lockstep.answer import Answer
    from percpu_ffi.trace import Op

ENTRY = 4  # bytes of a map entry
DEFAULT_ROOM = 16  # entries of a new map
LARGE_MAP = 8192  # entries
MANY = 1000  # areas of a batch
SMALL = (1, 2, 3)  # sizes that leave free ranges too small for a map entry

# in the order of the table; a set-up is counted once, everything else by operation
CLASSES = (
    *(f"first chunk {name}" for name in FIRST_CHUNKS),
    "free size below the rest of the unit",
    *(f"pages of {size:,} B" for size in sorted(set(PAGE_SIZES))),
    "several NUMA nodes",
    *(f"size {size}" for size in SMALL),
    "size of 16 pages",
    "alignment above 64",
    "alignment of a page",
    "request refused",
    "map grows in kmalloc",
    "map moves from kmalloc to vmalloc",
    "the same with pages of 4,096 B",
    "map grows in vmalloc, pages of 4,096 B",
    "a map of over 8,192 entries",
    "chunk killed",
    "spare chunk kept",
    "over 100 chunks",
    "over 1,000 chunks",
    *(f"{site} failed" for site in FAULT_SITES),
    "failed by an interval with a probability",
    "page limit reached",
    "failed after some pages were populated",
    "failed after some CPUs were mapped",
    "failed after a head was given away",
    "rollback, default",
    "rollback of 2009",
    "alloc_many",
    "alloc_many of over 1,000 areas",
    "alloc_many undone",
    "free_many",
    "replay",
    "replay with failures",
    "contents verified",
)

Reach = Counter[str]  # operations, or set-ups, by class

FAILED = re.compile(r"PercpuMemoryError: out of memory: (\w+) failed")


class Counts(NamedTuple):
    """What an allocator showed after a call."""

    state: State
    counters: dict[str, int]
    work: WorkByCall

    def calls(self, service: str) -> int:
        """Return the calls of a service so far."""
        return self.counters.get(service, 0)


def missed(reach: Reach, classes: Sequence[str] = CLASSES) -> list[str]:
    """Return the classes that were not reached."""
    return [name for name in classes if not reach[name]]


class Observer:
    """Counts what a run reaches, from the answers and results of one allocator."""

    def __init__(self, setup: Mapping[str, Any], calls: str) -> None:
        self.reach: Reach = Counter()
        self.setup = setup
        self.calls = calls
        self.page = setup.get("page_size") or mmap.PAGESIZE
        self.plans: dict[str, Mapping[str, Any]] = {}  # faults that are set, by site
        self.room: dict[int, int] = {}  # entries, by chunk
        self.before: Counts | None = None

    def see(self, ops: Sequence[Op], answer: Answer, results: Mapping[str, Any]) -> None:
        """Count a call; the first one is the set-up.

        Nothing is counted without ``state``, ``counters`` and ``work`` of this package's types.
        """
        state, counters, work = (results.get(name) for name in Counts._fields)
        if not isinstance(state, State) or not state.chunks or not state.slots:
            return
        if not isinstance(counters, dict) or not isinstance(work, WorkByCall):
            return
        now = Counts(state, counters, work)
        if self.before is None:
            self._see_set_up(now.state)
        else:
            self._see_operations(ops, dict(answer.errors))
            self._see_changes(ops, answer, self.before, now)
        self.before = now

    def see_rules(self, rules: Mapping[str, int]) -> None:
        """Count how often rules of the policy applied, which an allocator counted itself."""
        self.reach.update(rules)

    def _see_changes(self, ops: Sequence[Op], answer: Answer, before: Counts, now: Counts) -> None:
        """Count what changed in the state and the services."""
        self._see_chunks(ops, before, now)
        self._see_maps(ops, now)
        if answer.errors and self.calls != "replay":
            self._see_failure(ops, answer.errors[0][1], before, now)

    def _see_set_up(self, state: State) -> None:
        first = state.chunks[0]
        unit = len(first.populated) * self.page
        rest = unit - self.setup.get("static_size", 8192)
        self.reach[f"first chunk {self.setup.get('first_chunk', '4k')}"] = 1
        self.reach[f"pages of {self.page:,} B"] = 1
        self.reach["several NUMA nodes"] = int(self.setup.get("nodes", 1) > 1)
        self.reach["free size below the rest of the unit"] = int(first.free_size < rest)

    def _see_operations(self, ops: Sequence[Op], errors: Mapping[int, str]) -> None:
        """Count requests and failures; a batch is all done, or fails as a whole."""
        reach, undone = self.reach, self.calls == "many" and bool(errors)
        if self.calls == "replay":
            reach["replay"] += len(ops)
            reach["replay with failures"] += len(errors)
        elif self.calls == "many" and ops[0][0] in ("alloc", "free"):
            reach[f"{ops[0][0]}_many"] += len(ops)
            large = ops[0][0] == "alloc" and len(ops) > MANY
            reach["alloc_many of over 1,000 areas"] += len(ops) if large else 0
        for at, op in enumerate(ops):
            if op[0] == "inject":
                self.plans[op[1]] = op[2]
            elif at in errors:
                self._see_error(errors[at])
            elif op[0] == "alloc" and not undone:
                self._see_request(op)

    def _see_request(self, op: Any) -> None:
        """Count an allocation by its size and its alignment."""
        size, align = op[2:4]
        if size in SMALL:
            self.reach[f"size {size}"] += 1
        if size == 16 * self.page:
            self.reach["size of 16 pages"] += 1
        self._see_alignment(align)

    def _see_alignment(self, align: int) -> None:
        self.reach["alignment above 64"] += align > 64
        self.reach["alignment of a page"] += align == self.page

    def _see_error(self, error: str) -> None:
        self.reach["request refused"] += "InvalidRequest: " in error
        if found := FAILED.search(error):
            site = found[1]
            plan = self.plans.get(site, {})
            interval, probability = plan.get("interval"), plan.get("probability")
            both = interval and interval > 1 and probability and probability < 1
            self.reach[f"{site} failed"] += 1
            self.reach["failed by an interval with a probability"] += bool(both)
            self.reach["page limit reached"] += site == "alloc_page" and not plan

    def _see_chunks(self, ops: Sequence[Op], before: Counts, now: Counts) -> None:
        self.reach["chunk killed"] += now.calls("free_vm_area") - before.calls("free_vm_area")
        if len(now.state.slots[-1]) > len(before.state.slots[-1]) and ops[-1][0] == "free":
            self.reach["spare chunk kept"] += 1
        chunks = len(now.state.chunks)
        if chunks > 100:
            self.reach["over 100 chunks"] += len(ops)
        if chunks > 1000:
            self.reach["over 1,000 chunks"] += len(ops)

    def _see_maps(self, ops: Sequence[Op], now: Counts) -> None:
        room = {chunk.id: chunk.map_alloc for chunk in now.state.chunks}
        for chunk, entries in room.items():
            old = self.room.get(chunk) or DEFAULT_ROOM
            while old < entries:
                old *= 2
                self._see_growth(old * ENTRY)
        self.room = room
        if any(len(chunk.map) > LARGE_MAP for chunk in now.state.chunks):
            self.reach["a map of over 8,192 entries"] += len(ops)

    def _see_growth(self, size: int) -> None:
        """Count a map that has grown to a size, twice that before."""
        real = self.page == 4096
        if size <= self.page:
            self.reach["map grows in kmalloc"] += 1
        elif size == 2 * self.page:
            self.reach["map moves from kmalloc to vmalloc"] += 1
            self.reach["the same with pages of 4,096 B"] += real
        else:
            self.reach["map grows in vmalloc, pages of 4,096 B"] += real

    def _see_failure(self, ops: Sequence[Op], error: str, before: Counts, now: Counts) -> None:
        """Count what a failed call left, or took back."""
        found = FAILED.search(error)
        if not found:
            return
        reach, site = self.reach, found[1]
        if self.calls == "many":
            self._see_undone(ops, before, now)
            return
        work, old = now.work.alloc, before.work.alloc
        added = work.pages_populated - old.pages_populated
        released = work.pages_depopulated - old.pages_depopulated
        if site in ("alloc_page", "map"):
            mapped = now.calls("map") - before.calls("map")
            reach["failed after some pages were populated"] += site == "alloc_page" and added > 0
            reach["failed after some CPUs were mapped"] += site == "map" and mapped > 1
            if "rollback" in self.setup.get("quirks", ()):
                reach["rollback of 2009"] += released > added
            else:
                reach["rollback, default"] += released > 0
        elif len(now.state.chunks) == len(before.state.chunks):
            free = [sum(chunk.free_size for chunk in each.state.chunks) for each in (before, now)]
            reach["failed after a head was given away"] += free[1] < free[0]

    def _see_undone(self, ops: Sequence[Op], before: Counts, now: Counts) -> None:
        """Count a batch that failed half-way: what was allocated is freed again."""
        undone = now.work.free.operations > before.work.free.operations
        self.reach["alloc_many undone"] += len(ops) if undone else 0

    def verified(self, areas: int) -> None:
        """Count areas whose contents were verified."""
        self.reach["contents verified"] = areas
