# SPDX-License-Identifier: GPL-2.0-only
"""Replays on a witness: written from the documentation of ``percpu_ffi.replay.Replay``."""

from __future__ import annotations

import time
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from percpu_ffi.errors import PercpuError, PercpuMemoryError
from percpu_ffi.replay import Failure, Replay, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from percpu_ffi import PerCpu
    from percpu_ffi.trace import Trace


class Run:
    """A replay under way, through the public methods of an allocator."""

    def __init__(self, allocator: PerCpu) -> None:
        self.allocator = allocator
        self.live: dict[Any, tuple[int, int]] = {}  # pointer and size of an area, by key
        self.live_bytes = self.most_live = 0
        self.chunks = self.most_chunks = allocator.chunks
        self.pages = self.most_pages = self.pages_at_peak = allocator.pages
        self.created = self.destroyed = 0

    def replay(
        self, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
    ) -> Replay:
        """Run a trace; see :meth:`PerCpu.replay`."""
        pointers, failures = array("q"), []
        started = time.perf_counter_ns()
        for start, end in parts(len(trace), stops):
            for index in range(start, end):
                try:
                    pointers.append(self.step(trace[index]))
                except PercpuError as error:
                    failures.append(Failure(index, trace[index], error))
                    pointers.append(0)
            part_done(end - start)
        return Replay(
            pointers=pointers,
            failures=tuple(failures),
            elapsed_ns=time.perf_counter_ns() - started,
            live_bytes=self.live_bytes,
            peak_live_bytes=self.most_live,
            pages_at_peak=self.pages_at_peak,
            peak_populated_pages=self.most_pages,
            populated_pages=self.pages,
            chunks_created=self.created,
            chunks_destroyed=self.destroyed,
            chunks=self.chunks,
            peak_chunks=self.most_chunks,
        )

    def step(self, op: Any) -> int:
        """Do an operation; return the pointer that it allocated or freed, or 0."""
        match op:
            case ("inject", site, plan):
                self.allocator.inject(site, **plan)
                return 0
            case ("free", key):
                return self.free(key)
            case (_alloc, key, size, align):
                self.free(key)
                return self.alloc(key, size, align)
        raise AssertionError(op)

    def free(self, key: Any) -> int:
        """Free an area, if it is live."""
        ptr, size = self.live.pop(key, (0, 0))
        with self.counted():
            self.allocator.free(ptr)
        self.live_bytes -= size
        return ptr

    def alloc(self, key: Any, size: int, align: int) -> int:
        """Allocate an area, and note the peaks."""
        with self.counted():
            ptr = self.allocator.alloc(size, align)
        self.live[key] = ptr, size
        self.live_bytes += size
        self.most_pages = max(self.most_pages, self.pages)
        if self.live_bytes > self.most_live:
            self.most_live, self.pages_at_peak = self.live_bytes, self.pages
        return ptr

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Follow chunks and pages during a call, by its services and its work."""
        calls, work = self.allocator.counters(), self.allocator.work().total
        refused = 0
        try:
            yield
        except PercpuMemoryError as error:
            refused = error.service == "get_vm_area"
            raise
        finally:
            services, done = self.allocator.counters(), self.allocator.work().total - work
            created = services["get_vm_area"] - calls["get_vm_area"] - refused
            destroyed = services["free_vm_area"] - calls["free_vm_area"]
            self.created += created
            self.destroyed += destroyed
            self.chunks += created - destroyed
            self.most_chunks = max(self.most_chunks, self.chunks)
            self.pages += done.pages_populated - done.pages_depopulated
