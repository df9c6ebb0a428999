# SPDX-License-Identifier: GPL-2.0-only
"""A trace, run through the allocator in C: one call, or more if it is long.

Between two calls the interpreter comes to its own: a Ctrl-C is heard, progress is told.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.config import SERVICES, FaultPlan
from percpu_ffi.replay import Failure, Replay, parts
from percpu_ffi.trace.operations import FAULT, FREE, OP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from percpu_ffi.trace import Trace

__all__ = ["replay_in_c"]


def replay_in_c(
    pcpu: Any,
    trace: Trace,
    to_error: Callable[..., Exception],
    progress: Callable[[int], object] | None,
    stops: Iterable[int],
) -> Replay:
    """Run ``trace`` through the C allocator ``pcpu``."""
    ops = ffi.from_buffer("struct pcpu_op[]", trace.ops)  # its length is the buffer's own
    n, slots = len(ops), trace.slots
    pointers = array("q", [0]) * n
    sizes_and_aligns = [(kind.size, kind.align) for kind in trace.kinds]
    faults = [_fault(site, FaultPlan.check(**plan)) for site, plan in trace.faults]
    inputs = {  # alive as long as C looks at them
        "ops": ops,
        "kinds": ffi.new("struct pcpu_kind[]", sizes_and_aligns),
        "faults": ffi.new("struct pcpu_replay_fault[]", faults),
        "handles": ffi.new("struct pcpu_replay_handle[]", slots),
        "pointers": ffi.from_buffer("int64_t[]", pointers),
        "nr_kinds": len(sizes_and_aligns),
        "nr_faults": len(faults),
        "nr_handles": slots,
    }
    run = ffi.new("struct pcpu_replay *", inputs)
    before = _info(pcpu, to_error)
    error = lib.pcpu_replay_check(run, n)
    if error:
        raise to_error(error)

    for start, end in parts(n, stops):
        error = lib.pcpu_replay(pcpu, run, start, end)
        if error:
            raise to_error(error)
        if progress:
            progress(end - start)

    after = _info(pcpu, to_error)
    return Replay(
        pointers=pointers,
        failures=_failures(trace, pointers, to_error) if run.failures else (),
        elapsed_ns=run.elapsed_ns,
        live_bytes=run.live_bytes,
        peak_live_bytes=run.peak_live_bytes,
        pages_at_peak=run.pages_at_peak if run.peak_live_bytes else before.pages,
        peak_populated_pages=max(run.peak_pages, before.pages),
        populated_pages=after.pages,
        chunks_created=after.chunks_created - before.chunks_created,
        chunks_destroyed=after.chunks_destroyed - before.chunks_destroyed,
        chunks=after.chunks,
        peak_chunks=max(run.peak_chunks, before.chunks),
    )


def _fault(site: str, plan: FaultPlan | None) -> dict[str, Any]:
    if plan is None:
        return {"site": SERVICES.index(site), "clear": True}
    return {"site": SERVICES.index(site), "fault": vars(plan)}


def _info(pcpu: Any, to_error: Callable[..., Exception]) -> Any:
    info = ffi.new("struct pcpu_info *")
    error = lib.pcpu_info(pcpu, info)
    if error:
        raise to_error(error)
    return info


def _failures(
    trace: Trace, pointers: array[int], to_error: Callable[..., Exception]
) -> tuple[Failure, ...]:
    """Turn the error codes among the pointers into exceptions, and them into 0."""
    found = []
    held: dict[int, int] = {}  # pointers by slot, for what could not be freed
    for index, (_key, slot, kind) in enumerate(OP.iter_unpack(trace.ops)):
        ptr = pointers[index]
        if ptr < 0:
            op = trace[index]
            details = {"size": op[2], "align": op[3]} if op[0] == "alloc" else {}
            found.append(Failure(index, op, to_error(ptr, ptr=held.get(slot, 0), **details)))
            pointers[index] = 0
        elif kind not in (FREE, FAULT):
            held[slot] = ptr
    return tuple(found)
