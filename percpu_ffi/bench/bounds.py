# SPDX-License-Identifier: GPL-2.0-only
"""Bounds: the speed that the port has to reach.

Most are medians of ratios, each ratio from a round in which both sides take turns.  Some come
from the workloads of the same run, the others are measured here.
"""

from __future__ import annotations

import lzma
import tempfile
import time
from itertools import product
from typing import TYPE_CHECKING, Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.allocator import Allocator
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.results import BoundResult, Results
from percpu_ffi.bench.workload import DEFAULT_GEOMETRY, Options
from percpu_ffi.bench.workloads import PUBLISHED, SIZES, WORKLOADS, load_alone, recording, samples
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 41
CALLS = 1000  # of each contender in a round of single calls
CALL_ROUNDS = 200
LOADS = 7
EVENTS = 500_000  # least number in a text to be loaded
MODEL_ROUNDS = 3
MODEL_OBJECTS = 4000  # of a churn that takes the model about a second

CELLS = ("alloc", "in order", "alternating", "reverse")
HALF = {(size, phase) for size in (4, 16) for phase in ("alloc", "reverse")}
NO_SAMPLES = "the recordings are part of the source, not of a wheel"


def cells(results: Results) -> list[BoundResult]:
    """Compare port and 2009 file on each cell of the published measurement."""
    rows = []
    for phase, size in product(CELLS, SIZES):
        limit = 0.5 if (size, phase) in HALF else 1.0
        bound = BoundResult(f"port / upstream, {phase}, {size} bytes", limit, at_most=True)
        rows.append(_of_workload(results, bound, (f"objects-{size}", phase, "port", "upstream")))
    return rows


def bitmap_cells(results: Results) -> list[BoundResult]:
    """Compare the policies on each cell; next to it what the kernel published for its bitmap."""
    rows = []
    for phase, size in product(CELLS, SIZES):
        alloc, free = PUBLISHED[size]
        published = f"kernel {alloc if phase == 'alloc' else free:,} ns"
        what = f"bitmap / port, {phase}, {size} bytes ({published})"
        bound = BoundResult(what, limit=3, at_most=True)
        rows.append(_of_workload(results, bound, (f"objects-{size}", phase, "bitmap", "port")))
    return rows


def bitmap_replays(_results: Results) -> list[BoundResult]:
    """Compare the policies on recordings, with bookkeeping only."""
    what = "bitmap / port, replay"
    return [
        BoundResult(f"{what} of {name}", 2.5, True, _policy_ratios(path))
        for name, path in samples().items()
    ] or [BoundResult(what, 2.5, True, why=NO_SAMPLES)]


def _policy_ratios(path: Path) -> list[float]:
    trace = load_alone(path)

    def replay_ns(setup: dict[str, Any]) -> int:
        with Allocator(**setup) as a:
            return a.replay(trace).elapsed_ns

    setups = DEFAULT_GEOMETRY.bitmap_setup, DEFAULT_GEOMETRY.setup
    return [replay_ns(setups[0]) / replay_ns(setups[1]) for _ in range(ROUNDS)]


def real_memory(results: Results) -> list[BoundResult]:
    """Compare real memory with bookkeeping alone, once the pages are populated."""
    bound = BoundResult("mapped / port, churn", limit=1.5, at_most=True)
    return [_of_workload(results, bound, ("churn", "churn", "mapped", "port"))]


def two_threads(results: Results) -> list[BoundResult]:
    """Compare two threads that share the port with one, and the threads with each other."""
    speed = BoundResult("port, pairs of two threads / of one", limit=0.8, at_most=False)
    share = BoundResult("port, least share of one of them", limit=0.25, at_most=False)
    workload = results.workload("threads")
    phases = workload.phases if workload else []
    port = {phase.name: phase.contenders.get("port") for phase in phases}
    alone, both = port.get("1 thread"), port.get("2 threads")
    if alone and both:
        speed.values, share.values = alone.ratios(both), [both.least_share]
    else:
        speed.why = share.why = "threads was not run, with the port and two threads"
    return [speed, share]


def _of_workload(
    results: Results, bound: BoundResult, where: tuple[str, str, str, str]
) -> BoundResult:
    """Take the ratios from the figures of a workload, a phase and two contenders."""
    name, phase, above, below = where
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


def single_calls(_results: Results) -> list[BoundResult]:
    """Compare ``Allocator.alloc`` and ``.free`` with empty cffi calls of the same signatures.

    Loops of each take turns; the time of the loop itself is subtracted from both.
    """
    allocs, frees = [], []
    with Allocator(memory="none") as a:
        _port_ns(a)  # populates pages and grows the map
        for _ in range(CALL_ROUNDS):
            loop = _loop_ns()
            empty_alloc, empty_free = _empty_ns()
            port_alloc, port_free = _port_ns(a)
            allocs.append((port_alloc - loop) / (empty_alloc - loop))
            frees.append((port_free - loop) / (empty_free - loop))
    return [
        BoundResult("Allocator.alloc / empty cffi call", 1.3, True, allocs),
        BoundResult("Allocator.free / empty cffi call", 1.3, True, frees),
    ]


def _loop_ns() -> int:
    """Time a loop over pointers that calls nothing."""
    ptrs = [0] * CALLS
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = i
    return time.perf_counter_ns() - start


def _port_ns(a: Allocator) -> tuple[int, int]:
    """Time allocations, and frees in the same order."""
    ptrs = [0] * CALLS
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = a.alloc(64, 8)
    middle = time.perf_counter_ns()
    for i in range(CALLS):
        a.free(ptrs[i])
    return middle - start, time.perf_counter_ns() - middle


def _empty_ns() -> tuple[int, int]:
    """Time functions that do nothing, looked up in ``lib`` as callers do."""
    ptrs, null = [0] * CALLS, ffi.cast("struct pcpu *", 0)
    start = time.perf_counter_ns()
    for i in range(CALLS):
        ptrs[i] = lib.pcpu_empty_alloc(null, 64, 8)
    middle = time.perf_counter_ns()
    for i in range(CALLS):
        lib.pcpu_empty_free(null, ptrs[i])
    return middle - start, time.perf_counter_ns() - middle


def replays(_results: Results) -> list[BoundResult]:
    """Compare ``Allocator.replay`` with the benchmark's plain loop over the public functions."""
    what = "replay / loop in C"
    return [
        BoundResult(f"{what}, {name}", 1.05, True, _replay_ratios(path))
        for name, path in samples().items()
    ] or [BoundResult(what, 1.05, True, why=NO_SAMPLES)]


def _replay_ratios(path: Path) -> list[float]:
    trace, workload = load_alone(path), recording(path.name, path, Options())
    ops = workload.phases[0].ops
    ratios = []
    for _ in range(ROUNDS):
        with Allocator(**workload.geometry.setup) as a:
            replay_ns = a.replay(trace).elapsed_ns
        with CONTENDERS["port"].open(workload) as session:
            ratios.append(replay_ns / session.run(ops))
    return ratios


def model_speed(results: Results) -> list[BoundResult]:
    """Compare the model in Python with the port."""
    options = Options(MODEL_OBJECTS, int(results.options["live"]), int(results.options["seed"]))
    measured = measure(WORKLOADS["churn"](options), ("port", "model"), MODEL_ROUNDS)
    if measured.partial:
        raise KeyboardInterrupt
    figures = measured.phase("churn").contenders
    ratios = figures["model"].ratios(figures["port"])
    return [BoundResult("model / port, churn", 100, False, ratios)]


def trace_reader(_results: Results) -> list[BoundResult]:
    """Measure ``Trace.load`` of plain text, events a second."""
    what = "events a second"
    return [
        BoundResult(f"{what}, text of {name}", 2_000_000, False, _load_rates(path))
        for name, path in samples().items()
    ] or [BoundResult(what, 2_000_000, False, why=NO_SAMPLES)]


def _load_rates(path: Path) -> list[float]:
    text = lzma.decompress(path.read_bytes())
    times = -(-EVENTS // load_alone(path).stats.events)
    rates = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(text * times)
        file.flush()
        for _ in range(LOADS):
            start = time.perf_counter()
            trace = Trace.load(file.name)
            rates.append(trace.stats.events / (time.perf_counter() - start))
    return rates


BOUNDS: tuple[Callable[[Results], list[BoundResult]], ...] = (
    cells,
    bitmap_cells,
    single_calls,
    replays,
    bitmap_replays,
    model_speed,
    real_memory,
    two_threads,
    trace_reader,
)
"""In the order of the table; each returns one or more rows."""
