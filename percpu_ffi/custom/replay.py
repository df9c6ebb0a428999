# SPDX-License-Identifier: GPL-2.0-only
"""Replays through a policy of the user, with the figures that an allocator's replay has."""

from __future__ import annotations

import time
import traceback
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from percpu_ffi.custom.chunks import Chunks, Tally, Units
from percpu_ffi.custom.policy import CustomPolicy
from percpu_ffi.errors import (
    ConfigError,
    InvalidRequest,
    PercpuMemoryError,
    PolicyError,
    bad_request,
    check_progress,
    check_type,
    describe_error,
    wrong_type,
)
from percpu_ffi.replay import Failure, Replay, parts
from percpu_ffi.trace import Trace
from percpu_ffi.work import Work, WorkByCall

if TYPE_CHECKING:
    from percpu_ffi.trace import Key, Op

T = TypeVar("T")

# whatever a policy raises is its defect; Ctrl-C is the user's
DEFECTS = (Exception, SystemExit, GeneratorExit)
REFUSALS = (PercpuMemoryError, InvalidRequest)


def replay_custom(
    policy: type[CustomPolicy],
    trace: Trace,
    units: Units,
    progress: Callable[[int], object] | None = None,
) -> tuple[Replay, WorkByCall]:
    """Run a trace through a policy.

    Flags of requests, faults and background work have no effect.  A key that is allocated again
    without a free frees its old area first.

    Args:
        policy: the user's class.
        trace: the operations.
        units: the geometry.
        progress: called with the number of operations done since its last call.

    Returns: the figures, and the steps that the policy reports, as scanned entries.  A pointer is
        ``(chunk + 1) * unit_size + offset``.

    Raises:
        PolicyError: the policy broke a promise, or raised another error.
        ConfigError: the policy is not possible with this geometry, or an argument is of a wrong
            type.
        TraceError: the trace is damaged.

    """
    check_policy(policy)
    check_type("trace", trace, Trace, "a Trace")
    check_type("units", units, Units, "a percpu_ffi.custom.Units")
    check_progress(progress)
    started = time.perf_counter_ns()
    run = Run(policy, trace, units)
    ops = enumerate(trace)
    for start, end in parts(len(trace), ()):
        for index, op in islice(ops, end - start):
            run.step(index, op)
        if progress:
            progress(end - start)
    chunks, cpus = run.chunks, units.cpus
    result = Replay(
        pointers=run.pointers,
        failures=tuple(run.failures),
        elapsed_ns=time.perf_counter_ns() - started,
        live_bytes=run.live_bytes,
        peak_live_bytes=run.peak_live_bytes,
        pages_at_peak=run.pages_at_peak * cpus,
        peak_populated_pages=chunks.most_pages * cpus,
        populated_pages=chunks.pages * cpus,
        chunks_created=chunks.created,
        chunks_destroyed=chunks.destroyed,
        chunks=len(chunks.chunks),
        peak_chunks=chunks.most_chunks,
        ignored_flags=run.ignored_flags,
    )
    return result, WorkByCall(_work(run.allocs, cpus), _work(run.frees, cpus))


def check_policy(policy: Any) -> None:
    """Check that a policy is a class over the base.

    Raises:
        ConfigError: it is another one, or no class.

    """
    if not (isinstance(policy, type) and issubclass(policy, CustomPolicy)):
        raise wrong_type("policy", policy, "a subclass of percpu_ffi.CustomPolicy")


def _work(tally: Tally, cpus: int) -> Work:
    return Work(
        operations=tally.calls,
        entries_scanned=tally.steps,
        pages_populated=tally.populated * cpus,
        pages_depopulated=tally.depopulated * cpus,
    )


class Run:
    """A replay under way."""

    def __init__(self, policy: type[CustomPolicy], trace: Trace, units: Units) -> None:
        self.name, self.operations = policy.__name__, len(trace)
        self.chunks = Chunks(units)
        self.policy = self._call("()", policy, self.chunks)
        if getattr(self.policy, "_CustomPolicy__chunks", None) is not self.chunks:
            raise PolicyError(
                f"{self.name}() does not call the constructor of CustomPolicy; leave it as it is, "
                "and prepare what the policy needs in start()"
            )
        self._call(".start()", self.policy.start, allowed=(ConfigError,))
        self.live: dict[Key, tuple[int, int, int]] = {}  # chunk, offset and size
        self.allocs, self.frees = Tally(), Tally()
        self.pointers = array("q")
        self.failures: list[Failure] = []
        self.live_bytes = self.peak_live_bytes = self.ignored_flags = 0
        self.pages_at_peak = self.chunks.pages

    def step(self, index: int, op: Op) -> None:
        """Do one operation and note its failure."""
        pointer = 0
        match op:
            case ("alloc", key, size, align, *flags):
                self.ignored_flags += bool(flags)
                self.free(index, key)  # an area whose free was lost
                try:
                    pointer = self.alloc(index, key, size, align)
                except REFUSALS as error:
                    self.failures.append(Failure(index, op, error))
            case ("free", key):
                pointer = self.free(index, key)
        self.pointers.append(pointer)

    def alloc(self, index: int, key: Key, size: int, align: int) -> int:
        """Allocate the area of a key; return its pointer."""
        units, chunks = self.chunks.units, self.chunks
        if not 1 <= size <= units.unit_size or not _is_alignment(align, units.page_size):
            raise bad_request(size, align, units.unit_size, units.page_size)
        self.allocs.calls += 1
        chunks.tally = self.allocs
        where = f".alloc({size}, {align})"
        place = self._call(where, self.policy.alloc, size, align, index=index, allowed=REFUSALS)
        chunk, offset = self._call(where, chunks.take, place, size, align, index=index)
        self.live[key] = chunk, offset, size
        self.live_bytes += size
        if self.live_bytes > self.peak_live_bytes:
            self.peak_live_bytes, self.pages_at_peak = self.live_bytes, chunks.pages
        return self._pointer(chunk, offset)

    def free(self, index: int, key: Key) -> int:
        """Free the area of a key; return its pointer, or 0 if there is none."""
        if key not in self.live:
            return 0
        chunk, offset, size = self.live.pop(key)
        self.chunks.release(chunk, offset)
        self.live_bytes -= size
        self.frees.calls += 1
        self.chunks.tally = self.frees
        self._call(f".free({chunk}, {offset})", self.policy.free, chunk, offset, index=index)
        return self._pointer(chunk, offset)

    def _pointer(self, chunk: int, offset: int) -> int:
        return (chunk + 1) * self.chunks.units.unit_size + offset

    def _call(
        self,
        where: str,
        function: Callable[..., T],
        *args: Any,
        index: int | None = None,
        allowed: tuple[type[Exception], ...] = (),
    ) -> T:
        """Call the policy, or check what it returned; it may raise the errors that are allowed."""
        raised: BaseException | None = None
        try:
            result = function(*args)
        except DEFECTS as error:
            raised = error
        if self.chunks.broken:
            what = str(self.chunks.broken)
        elif raised is None:
            return result
        elif isinstance(raised, allowed):
            raise raised
        else:
            what = f"raised {describe_error(raised)}{_line(raised)}"
        at = "" if index is None else f" at operation {index + 1:,} of {self.operations:,}"
        raise PolicyError(f"{self.name}{where}{at} {what}") from raised


def _is_alignment(align: int, most: int) -> bool:
    return 1 <= align <= most and align & (align - 1) == 0


def _line(error: BaseException) -> str:
    """Return the line of the user's file that raised an error, if one did."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    return "" if file == __file__ else f" (line {line} of {Path(file).name})"
