# SPDX-License-Identifier: GPL-2.0-only
"""Work: the steps of the kernel's code for the same requests, counted.

``counters()`` has the calls to kernel services, work the allocator's own steps: the lists and
maps that it walks, the entries that it moves.  The counts do not depend on the machine, and
are the same for every faithful implementation, however fast it is.

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


@dataclass(frozen=True)
class Work:
    """Ten counts; ``+`` and ``-`` work on each."""

    operations: int = 0
    """Requests that passed the checks, including those that then failed for lack of memory."""
    slots_visited: int = 0
    """Slot lists that an allocation starts to walk, empty ones included; for a free, the list
    of empty chunks when it looks for another one."""
    chunks_visited: int = 0
    """Chunks met on these lists, including those that their contig hint rules out."""
    entries_scanned: int = 0
    """Map entries scanned for room, or for the area to be freed; with bitmaps, what a search or
    the update of a hint reads: blocks, and words of 64 granules of the map."""
    entries_moved: int = 0
    """Map entries moved to make room for new ones, or to close up after merged ones."""
    bytes_moved: int = 0
    """4 for each of these, and the bytes of each map that was copied to grow."""
    map_reallocations: int = 0
    """Maps that grew."""
    tree_steps: int = 0
    """Chunks compared with an address on the way down the address tree."""
    pages_populated: int = 0
    """Page frames taken for areas, one for each CPU, including those released on failure."""
    pages_depopulated: int = 0
    """Page frames released, on failure and with a chunk."""

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Work) -> Work:
        return Work(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def per_operation(self) -> dict[str, float]:
        """Return each count except the first per operation; without operations all are 0."""
        by = self.operations or 1
        return {f.name: getattr(self, f.name) / by for f in fields(self)[1:]}


@dataclass(frozen=True)
class WorkByCall:
    """Work of allocations and of frees."""

    alloc: Work
    """Of allocations; for a failing one, including the rollback."""
    free: Work
    """Of frees, including those that undo a failed batch."""

    @property
    def total(self) -> Work:
        """Both together."""
        return self.alloc + self.free

    def __sub__(self, before: WorkByCall) -> WorkByCall:
        return WorkByCall(self.alloc - before.alloc, self.free - before.free)
