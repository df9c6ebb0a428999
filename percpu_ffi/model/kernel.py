# SPDX-License-Identifier: GPL-2.0-only
"""The kernel services that the model calls: counted, and made to fail on request.

Nothing is allocated here: the model only needs to know whether a kernel could have.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi.config import AREA_MAP, SERVICES

if TYPE_CHECKING:
    from percpu_ffi.config import Config, FaultPlan
    from percpu_ffi.model.tally import Tally

MASK = (1 << 64) - 1

# bounds of the address space, as in the port: with real memory, and without
MAX_AREAS = 32768
MIN_AREAS = 4
MAX_RESERVED = 1 << 40
UNMAPPED_END = 1 << 62


class ServiceFailed(Exception):
    """A kernel service failed; ``service`` is its name."""

    def __init__(self, service: str) -> None:
        self.service = service

    def error(self, size: int, align: int) -> errors.PercpuMemoryError:
        """Return the error for the caller of a request."""
        return errors.out_of_memory(self.service, size, align)


class NoPlace(ServiceFailed):
    """No chunk has a place, and the request is not allowed to make one."""

    def __init__(self) -> None:
        super().__init__("place")

    def error(self, size: int, align: int) -> errors.PercpuMemoryError:
        """Return the error for the caller of a request."""
        return errors.no_place(size, align)


class Fault:
    """A plan in action: which calls to one service fail.

    Source of the names: the kernel's ``lib/fault-inject.c``; of the random numbers:
    splitmix64 (Steele, Lea, Flood 2014).
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.wait = plan.nth - 1  # calls that pass before the next one may fail
        self.left = plan.times
        self.random = plan.seed
        self.threshold = max(int(plan.probability * (1 << 32)), 1)

    def hits(self) -> bool:
        """Return whether this call fails."""
        if not self.left:
            return False
        if self.wait:
            self.wait -= 1
            return False
        self.wait = self.plan.interval - 1
        if self._next_random() >> 32 >= self.threshold:
            return False
        if self.left > 0:
            self.left -= 1
        return True

    def _next_random(self) -> int:
        self.random = z = (self.random + 0x9E3779B97F4A7C15) & MASK
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return z ^ z >> 31


class Kernel:
    """Slab, vmalloc, page frames and page tables, as the 2009 file uses them."""

    def __init__(self, config: Config, chunk_size: int) -> None:
        """Set up an address space for chunks of ``chunk_size`` bytes."""
        self.calls = dict.fromkeys(SERVICES, 0)
        self.faults: dict[str, Fault] = {}
        self.work: Tally  # of the call that runs
        self.page_size = config.page_size
        self.cpus, self.nodes = config.cpus, config.nodes
        self.page_limit = config.page_limit
        self.frames = [0] * config.nodes  # taken on each node
        self.areas: list[tuple[int, int]] = []  # start and end, lowest first
        self.packed = 0  # number of them without a gap before the next

        # a block that the caller of the set-up mapped is below all areas
        block = chunk_size
        if config.policy == AREA_MAP and config.first_chunk == "4k":
            block = 0
        self.start = config.page_size + block
        self.end = UNMAPPED_END
        if config.memory == "mapped":
            area = chunk_size + config.page_size
            self.end = self.start + area * min(max(MAX_RESERVED // area, MIN_AREAS), MAX_AREAS)

    def count(self, service: str) -> None:
        """Count a call that cannot fail."""
        self.calls[service] += 1

    def ask(self, service: str) -> None:
        """Count a call that can fail.

        Raises:
            ServiceFailed: it does.

        """
        self.calls[service] += 1
        fault = self.faults.get(service)
        if fault and fault.hits():
            raise ServiceFailed(service)

    def kmalloc(self, size: int) -> None:
        """Take heap memory; 0 bytes are a token and not counted."""
        if size:
            self.ask("kmalloc")

    def kfree(self, size: int) -> None:
        """Release what ``kmalloc(size)`` returned."""
        if size:
            self.count("kfree")

    def get_vm_area(self, size: int) -> int:
        """Take address space at the lowest address with room for it and a guard page."""
        self.ask("get_vm_area")
        size += self.page_size
        areas = [*self.areas[self.packed :], (self.end, self.end)]
        start = self.areas[self.packed - 1][1] if self.packed else self.start
        for i, (area_start, area_end) in enumerate(areas, self.packed):
            if area_start - start >= size:
                self.areas.insert(i, (start, start + size))
                self.packed = i + 1
                return start
            start = area_end
        raise ServiceFailed("get_vm_area")

    def vm_area_register_early(self, size: int) -> int:
        """Take the first address space, without a guard page."""
        self.areas.append((self.start, self.start + size))
        return self.start

    def free_vm_area(self, start: int) -> None:
        """Release address space."""
        self.count("free_vm_area")
        i = bisect_left(self.areas, (start,))
        del self.areas[i]
        self.packed = min(self.packed, i)

    def alloc_page(self, cpu: int) -> None:
        """Take a page frame from a CPU's node; there is no fallback to another."""
        self.ask("alloc_page")
        node = self.node_of(cpu)
        if self.page_limit and self.frames[node] >= self.page_limit:
            raise ServiceFailed("alloc_page")
        self.frames[node] += 1
        self.work.pages_populated += 1

    def free_page(self, cpu: int) -> None:
        """Release a page frame."""
        self.count("free_page")
        self.frames[self.node_of(cpu)] -= 1
        self.work.pages_depopulated += 1

    def node_of(self, cpu: int) -> int:
        """Return the node of a CPU: nodes have even blocks of CPUs."""
        return cpu * self.nodes // self.cpus
