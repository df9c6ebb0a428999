# SPDX-License-Identifier: GPL-2.0-only
"""A trace, run through an allocator."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.trace.operations import FREE, OP

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_ffi.trace import Op, Trace

__all__ = ["Failure", "Replay"]

# operations between two calls of progress: some milliseconds
STEP = 1 << 16


@dataclass(frozen=True)
class Failure:
    """An operation of a trace that failed."""

    index: int
    """Which operation of the trace, from 0."""
    op: Op
    """The operation itself."""
    error: Exception
    """What a single call would have raised."""


@dataclass(frozen=True)
class Replay:
    """What a replay did.  Bytes are those of one CPU's copy, pages those of all CPUs."""

    pointers: array[int]
    """For each operation, the pointer that was got or given back; 0: failed or skipped."""
    failures: tuple[Failure, ...]
    """Operations that failed, in order."""
    elapsed_ns: int
    """Time in the allocator, nanoseconds."""
    live_bytes: int
    """Bytes asked for by areas that still live."""
    peak_live_bytes: int
    """The most bytes asked for by areas that lived at one time."""
    pages_at_peak: int
    """Page frames that the chunks held then, static ones included."""
    peak_populated_pages: int
    """The most page frames that the chunks held at one time."""
    chunks_created: int
    """Chunks made during the run."""
    chunks_destroyed: int
    """Chunks given back during the run."""
    chunks: int
    """Chunks at the end, the first one included."""


def replay(
    pcpu: Any,
    trace: Trace,
    to_error: Callable[..., Exception],
    progress: Callable[[int], object] | None,
) -> Replay:
    """Run ``trace`` through the C allocator ``pcpu``."""
    ops = ffi.from_buffer("struct pcpu_op[]", trace.ops)  # its length is the buffer's own
    n, slots = len(ops), trace.slots
    pointers = array("q", bytes(8 * n))
    sizes_and_aligns = [(kind.size, kind.align) for kind in trace.kinds]
    inputs = {  # alive as long as C looks at them
        "ops": ops,
        "kinds": ffi.new("struct pcpu_kind[]", sizes_and_aligns),
        "slots": ffi.new("struct pcpu_replay_slot[]", slots),
        "pointers": ffi.from_buffer("int64_t[]", pointers),
        "nr_kinds": len(sizes_and_aligns),
        "nr_slots": slots,
    }
    run = ffi.new("struct pcpu_replay *", inputs)
    before = _info(pcpu, to_error)

    step = STEP if progress else max(n, 1)
    for start in range(0, n, step):
        end = min(start + step, n)
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
        pages_at_peak=run.pages_at_peak,
        peak_populated_pages=max(run.peak_pages, before.pages),
        chunks_created=after.chunks_created - before.chunks_created,
        chunks_destroyed=after.chunks_destroyed - before.chunks_destroyed,
        chunks=after.chunks,
    )


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
        elif kind != FREE:
            held[slot] = ptr
    return tuple(found)
