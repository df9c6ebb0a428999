# SPDX-License-Identifier: GPL-2.0-only
"""Work: what the file of 2009 has to do for the same requests, counted step by step.

Service calls tell what an allocator asks of its kernel; work tells what it does itself:
lists and maps that it goes through, entries that it moves.  These numbers do not depend on
the machine, and are the same for every faithful implementation, however fast it is.

>>> from percpu_ffi import Allocator
>>> with Allocator(cpus=2) as a:
...     before = a.work()
...     ptrs = a.alloc_many([64] * 100)
...     a.free_many(ptrs)
...     done = a.work() - before
>>> done.alloc.operations, done.free.operations
(100, 100)
>>> done.alloc.per_operation()["entries_scanned"]       # it starts at the front each time
51.5
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

__all__ = ["Work", "WorkByCall"]


@dataclass(frozen=True)
class Work:
    """Ten counts; ``+`` and ``-`` take them one by one."""

    operations: int = 0
    """Requests that passed the checks, those included that then failed for lack of memory."""
    slots_visited: int = 0
    """Slot lists that an allocation begins to walk, empty ones included; for free, the one
    where it looks for another empty chunk."""
    chunks_visited: int = 0
    """Chunks met on these lists, those included that their hint rules out."""
    entries_scanned: int = 0
    """Map entries looked at to find room for an area, or the area to be freed."""
    entries_moved: int = 0
    """Map entries that make room for new ones, or close up behind merged ones."""
    bytes_moved: int = 0
    """4 for each of these, and the bytes of each map that was copied to a larger place."""
    map_reallocations: int = 0
    """Maps that grew."""
    tree_steps: int = 0
    """Chunks whose address was compared on the way down the address tree."""
    pages_populated: int = 0
    """Page frames taken for areas, one for each CPU, also those given back on failure."""
    pages_depopulated: int = 0
    """Page frames given back, on failure and with a chunk."""

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Work) -> Work:
        return Work(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def per_operation(self) -> dict[str, float]:
        """Divide each count but the first by the operations; without any, all are 0."""
        by = self.operations or 1
        return {f.name: getattr(self, f.name) / by for f in fields(self)[1:]}


@dataclass(frozen=True)
class WorkByCall:
    """Work, kept apart by the call that it was done for."""

    alloc: Work
    """For allocations; what a failing one takes back is part of it."""
    free: Work
    """For frees, those included by which a batch that fails is undone."""

    @property
    def total(self) -> Work:
        """Both together."""
        return self.alloc + self.free

    def __sub__(self, before: WorkByCall) -> WorkByCall:
        return WorkByCall(self.alloc - before.alloc, self.free - before.free)
