# SPDX-License-Identifier: GPL-2.0-only
"""The workload ``threads``: several threads share one allocator, and none may starve.

Each thread allocates an area and frees it, again and again.  What it achieves is counted for each
second by itself.  Each run has a fresh process: once a process has had a second thread, the port
takes its lock at every call, and later workloads would be slower.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi._core import ffi, lib
from percpu_ffi._util.text import plural
from percpu_ffi.bench.contenders import CONTENDERS, CSession
from percpu_ffi.bench.fresh import in_fresh_process
from percpu_ffi.bench.results import Figures, PhaseResult, WorkloadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_ffi.bench.workload import Workload

ROUNDS = 2  # in each of them the contenders and the numbers of threads take turns
INTERVAL_NS = 10**9


class Interval(NamedTuple):
    """What the threads did in one interval."""

    pairs: list[int]
    """An allocation and a free, of each thread."""
    ns: int
    """Its length."""


def numbers_of_threads(cpus: int | None = None) -> tuple[int, ...]:
    """Return 1, 2, 4, ... and the number of CPUs that this process may use."""
    cpus = cpus or len(os.sched_getaffinity(0))
    return (*(1 << i for i in range((cpus - 1).bit_length())), cpus)


def measure_threads(
    workload: Workload,
    contenders: Sequence[str],
    seconds: float,
    progress: Callable[[int], object] | None = None,
) -> WorkloadResult:
    """Run each contender with each number of threads, in turns.

    Args:
        workload: its ``threads`` and the first of its kinds.
        contenders: keys of :data:`CONTENDERS`, of allocators that threads may share.
        seconds: for each contender and number of threads, at least.
        progress: called with 1 after each of ``ROUNDS`` runs of each.

    Returns: a phase for each number of threads.  Its times are those of an operation, half of a
        pair, by all threads together; there is one for each second.  After Ctrl-C those of the
        complete rounds, perhaps none, and ``partial`` is set.

    """
    phases = {
        n: PhaseResult(plural(n, "thread"), 0, None, {name: Figures() for name in contenders})
        for n in workload.threads
    }
    result = WorkloadResult(workload.name, workload.what, list(phases.values()))
    intervals = max(math.ceil(seconds / ROUNDS), 1)
    try:
        for _ in range(ROUNDS):
            for name in contenders:
                for n, phase in phases.items():
                    run = in_fresh_process(run_threads, workload, name, n, intervals, INTERVAL_NS)
                    _add(phase.contenders[name], run)
                    if progress:
                        progress(1)
    except KeyboardInterrupt:
        whole = result.whole_repetitions // intervals * intervals
        for figures in (
            figures for phase in result.phases for figures in phase.contenders.values()
        ):
            del figures.ns[whole:], figures.pairs[whole:]
        result.partial = True
    return result


def _add(figures: Figures, run: tuple[list[Interval], int]) -> None:
    intervals, failures = run
    for pairs, ns in intervals:
        figures.ns.append(ns / max(2 * sum(pairs), 1))
        figures.pairs.append([round(n * 10**9 / ns) for n in pairs])
    figures.failures = failures


def run_threads(
    workload: Workload, name: str, threads: int, intervals: int, interval_ns: int
) -> tuple[list[Interval], int]:
    """Run a contender in this process; return what its threads did, and failed requests.

    Raises:
        OSError: the system does not allow so many threads.

    """
    pairs = ffi.new("uint64_t[]", intervals * threads)
    ns = ffi.new("uint64_t[]", intervals)
    with CONTENDERS[name].open(workload) as session:
        assert isinstance(session, CSession)
        run = ffi.new(
            "struct pcpu_pairs *",
            {
                "contender": session.contender,
                "kind": (*workload.kinds[0], 0),
                "nr_threads": threads,
                "nr_intervals": intervals,
                "interval_ns": interval_ns,
                "pairs": pairs,
                "ns": ns,
            },
        )
        done = lib.pcpu_bench_pairs(run)
        if done < 0:
            raise OSError(-done, f"{plural(threads, 'thread')}: {os.strerror(-done)}")
    starts = range(0, done * threads, threads)
    each = [list(pairs[start : start + threads]) for start in starts]
    return [Interval(*row) for row in zip(each, ns[0:done], strict=True)], run.failures
