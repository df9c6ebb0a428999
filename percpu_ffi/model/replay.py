# SPDX-License-Identifier: GPL-2.0-only
"""Replays in the model."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi.config import AREA_MAP, FaultPlan
from percpu_ffi.replay import Failure, Replay, parts
from percpu_ffi.trace.operations import BALANCE, FAULT, FREE, OP, ORPHAN, Kind

if TYPE_CHECKING:
    from percpu_ffi.model.model import Model
    from percpu_ffi.trace import Trace


def replay_in_model(
    model: Model, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
) -> Replay:
    """Run a trace through a model; see :meth:`PerCpu.replay`."""
    with model._entry:
        run, policy = Run(model, trace), model._policy
    created, destroyed = policy.created, policy.destroyed
    started = time.perf_counter_ns()
    for start, end in parts(len(trace), stops):
        with model._entry:
            for row in OP.iter_unpack(trace.ops[start * OP.size : end * OP.size]):
                run.step(*row)
        part_done(end - start)
    return Replay(
        pointers=run.pointers,
        failures=tuple(run.failures),
        elapsed_ns=time.perf_counter_ns() - started,
        live_bytes=run.live_bytes,
        peak_live_bytes=run.peak_live_bytes,
        pages_at_peak=run.pages_at_peak,
        peak_populated_pages=run.peak_pages,
        populated_pages=policy.pages,
        chunks_created=policy.created - created,
        chunks_destroyed=policy.destroyed - destroyed,
        chunks=policy.count,
        peak_chunks=run.peak_chunks,
        ignored_flags=run.ignored_flags,
        hidden_bytes=policy.hidden_bytes,
        peak_hidden_bytes=run.peak_hidden,
    )


class Run:
    """A replay under way; ``csrc/replay.c`` explains its operations."""

    def __init__(self, model: Model, trace: Trace) -> None:
        self.model = model
        self.trace = trace
        self.kinds = trace.kinds
        self.faults = [(site, FaultPlan.check(**plan)) for site, plan in trace.faults]
        for _key, handle, kind in OP.iter_unpack(trace.ops):
            if kind == FREE:
                fits = handle == ORPHAN or handle < trace.slots
            elif kind == FAULT:
                fits = handle < len(self.faults)
            elif kind == BALANCE:
                fits = True
            else:
                fits = kind < len(self.kinds) and handle < trace.slots
            if not fits:
                raise errors.damaged_trace()
        self.held: dict[int, tuple[int, int]] = {}  # pointer and size, by handle
        self.pointers = array("q")
        self.failures: list[Failure] = []
        self.live_bytes = self.peak_live_bytes = 0
        self.peak_pages = self.pages_at_peak = model._policy.pages
        self.peak_chunks = model._policy.count
        self.ignored_flags = 0
        self.peak_hidden = model._policy.hidden_bytes

    def step(self, _key: int, handle: int, kind: int) -> None:
        """Do one operation and note its failure."""
        ptr, index = 0, len(self.pointers)
        try:
            if kind == FAULT:
                self.model._arm(*self.faults[handle])
            elif kind == FREE:
                ptr = self.free(handle)
            elif kind == BALANCE:
                self.model._policy.balance()
            else:
                self.free(handle)  # an area whose free was lost
                ptr = self.alloc(handle, self.kinds[kind])
        except (errors.PercpuError, BufferError) as error:
            self.failures.append(Failure(index, self.trace[index], error))
        self.peak_hidden = max(self.peak_hidden, self.model._policy.hidden_bytes)
        self.pointers.append(ptr)

    def free(self, handle: int) -> int:
        """Free the area of a handle; return its pointer, or 0 if there is none."""
        if handle not in self.held:
            return 0
        ptr, size = self.held[handle]
        self.model._free_percpu(ptr)
        del self.held[handle]
        self.live_bytes -= size
        return ptr

    def alloc(self, handle: int, kind: Kind) -> int:
        """Allocate the area of a handle; the area map has no flags."""
        policy, flags = self.model._policy, kind.flags
        if flags and self.model.policy == AREA_MAP:
            self.ignored_flags += 1
            flags = ()
        try:
            ptr = self.model._alloc_percpu(
                kind.size, kind.align, atomic="atomic" in flags, reserved="reserved" in flags
            )
        finally:  # a failed one may leave a new chunk
            self.peak_chunks = max(self.peak_chunks, policy.count)
        self.held[handle] = ptr, kind.size
        self.live_bytes += kind.size
        if self.live_bytes > self.peak_live_bytes:
            self.peak_live_bytes, self.pages_at_peak = self.live_bytes, policy.pages
        self.peak_pages = max(self.peak_pages, policy.pages)
        return ptr
