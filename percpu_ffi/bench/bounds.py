# SPDX-License-Identifier: GPL-2.0-only
"""What has to be reached: ratios of medians, each from rounds in which both sides take turns.

Some come from the workloads of the same run, the others are measured here.
"""

from __future__ import annotations

import lzma
import tempfile
import time
from typing import TYPE_CHECKING, Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.allocator import Allocator
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.results import BoundResult
from percpu_ffi.bench.workload import Workload
from percpu_ffi.bench.workloads import SIZES, WORKLOADS, Options, samples
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from percpu_ffi.bench.results import Results

__all__ = ["BOUNDS"]

ROUNDS = 41
CALLS = 1000  # of each contender in a round of single calls
CALL_ROUNDS = 200
LOADS = 7
EVENTS = 500_000  # that a plain text to be loaded has at least
MODEL_ROUNDS = 3
MODEL_OBJECTS = 4000  # of a churn that the model can do in a second

CELLS = ("alloc", "in order", "alternating", "reverse")
HALF = {(size, phase) for size in (4, 16) for phase in ("alloc", "reverse")}


def cells(results: Results) -> list[BoundResult]:
    """Port against the 2009 file, on each cell of the published measurement."""
    return [
        _of_workload(
            results,
            f"port / upstream, {phase}, {size} bytes",
            (f"objects-{size}", phase, "port", "upstream"),
            0.5 if (size, phase) in HALF else 1.0,
        )
        for phase in CELLS
        for size in SIZES
    ]


def real_memory(results: Results) -> list[BoundResult]:
    """What populated pages cost once they are there."""
    return [
        _of_workload(results, "mapped / port, churn", ("churn", "churn", "mapped", "port"), 1.5)
    ]


def _of_workload(
    results: Results, what: str, where: tuple[str, str, str, str], limit: float
) -> BoundResult:
    """Find a ratio among the figures of the workloads."""
    name, phase, above, below = where
    bound = BoundResult(what, limit, at_most=True)
    workload = results.workload(name)
    if workload is None:
        bound.why = f"{name} was not run"
        return bound
    figures = workload.phase(phase).contenders
    for contender in (above, below):
        if contender not in figures:
            bound.why = CONTENDERS[contender].missing() or f"{contender} did not take part"
            return bound
    bound.values = figures[above].ratios(figures[below])
    return bound


# --- single calls from Python


def single_calls(_results: Results) -> list[BoundResult]:
    """``Allocator.alloc`` and ``.free`` against empty cffi calls of the same signatures.

    Loops of each take turns; the loop itself is taken off both.
    """
    allocs, frees = [], []
    with Allocator(memory="none") as a:
        _our_ns(a)  # pages and map are there from now on
        for _ in range(CALL_ROUNDS):
            loop = _loop_ns()
            floor_alloc, floor_free = _floor_ns()
            our_alloc, our_free = _our_ns(a)
            allocs.append((our_alloc - loop) / (floor_alloc - loop))
            frees.append((our_free - loop) / (floor_free - loop))
    return [
        BoundResult("Allocator.alloc / empty cffi call", 1.3, True, allocs),
        BoundResult("Allocator.free / empty cffi call", 1.3, True, frees),
    ]


def _loop_ns() -> int:
    """Nanoseconds of a loop over pointers that calls nothing."""
    ptrs = [0] * CALLS
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = i
    return time.perf_counter_ns() - start


def _our_ns(a: Allocator) -> tuple[int, int]:
    """Nanoseconds of allocating some areas, and of freeing them in order."""
    ptrs = [0] * CALLS
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = a.alloc(64, 8)
    middle = time.perf_counter_ns()
    for i in range(CALLS):
        a.free(ptrs[i])
    return middle - start, time.perf_counter_ns() - middle


def _floor_ns() -> tuple[int, int]:
    """The same with functions that do nothing, looked up in ``lib`` as callers do."""
    ptrs, null = [0] * CALLS, ffi.cast("struct pcpu *", 0)
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = lib.pcpu_empty_alloc(null, 64, 8)
    middle = time.perf_counter_ns()
    for i in range(CALLS):
        lib.pcpu_empty_free(null, ptrs[i])
    return middle - start, time.perf_counter_ns() - middle


# --- many in one call


def replays(_results: Results) -> list[BoundResult]:
    """``Allocator.replay`` against the benchmark's plain loop over the public functions."""
    return [_replay(f"replay / loop in C, {name}", path) for name, path in samples().items()] or [
        BoundResult("replay / loop in C", 1.05, True, why=NO_SAMPLES)
    ]


NO_SAMPLES = "the recordings come with the source, not with a wheel"


def _replay(what: str, path: Path) -> BoundResult:
    trace = Trace.load(path)
    ops: Any = memoryview(bytes(trace.ops)).cast("I")
    kinds = tuple((kind.size, kind.align) for kind in trace.kinds)
    workload = Workload("", "", (), kinds, trace.slots)
    ratios = []
    for _ in range(ROUNDS):
        with Allocator(**workload.geometry.setup) as a:
            ours = a.replay(trace).elapsed_ns
        with CONTENDERS["port"].open(workload) as session:
            ratios.append(ours / session.run(ops))
    return BoundResult(what, 1.05, True, ratios)


def model_speed(results: Results) -> list[BoundResult]:
    """How much faster than the model in Python."""
    options = Options(MODEL_OBJECTS, int(results.options["live"]), int(results.options["seed"]))
    measured = measure(WORKLOADS["churn"](options), ("port", "model"), MODEL_ROUNDS)
    if measured.partial:
        raise KeyboardInterrupt
    figures = measured.phase("churn").contenders
    ratios = figures["model"].ratios(figures["port"])
    return [BoundResult("model / port, churn", 100, False, ratios)]


def trace_reader(_results: Results) -> list[BoundResult]:
    """``Trace.load`` of plain text, events a second."""
    return [
        _load(f"events a second, text of {name}", path) for name, path in samples().items()
    ] or [BoundResult("events a second", 2_000_000, False, why=NO_SAMPLES)]


def _load(what: str, path: Path) -> BoundResult:
    text = lzma.decompress(path.read_bytes())
    times = -(-EVENTS // Trace.load(path).stats.events)
    rates = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(text * times)
        file.flush()
        for _ in range(LOADS):
            start = time.perf_counter()
            trace = Trace.load(file.name)
            rates.append(trace.stats.events / (time.perf_counter() - start))
    return BoundResult(what, 2_000_000, False, rates)


BOUNDS: tuple[Callable[[Results], list[BoundResult]], ...] = (
    cells,
    single_calls,
    replays,
    model_speed,
    real_memory,
    trace_reader,
)
"""In the order of the table; each gives one or more rows."""
