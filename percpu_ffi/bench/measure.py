# SPDX-License-Identifier: GPL-2.0-only
"""Repeat a workload; in each repetition the contenders take turns, one run each.

A noisy machine disturbs neighbouring runs alike, so the median of their ratios is stable.
The order of the turns rotates, and each run has a fresh allocator.  A last run of each
contender times every call.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING

from percpu_ffi.bench.contenders import CONTENDERS, Contender
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.results import Figures, PhaseResult, WorkloadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_ffi.bench.workload import Workload

MAX_REPETITIONS = 1000  # however short: the figures of each one are kept


def measure(
    workload: Workload,
    contenders: Sequence[str],
    repeat: int,
    seconds: float = 0,
    progress: Callable[[int], object] | None = None,
) -> WorkloadResult:
    """Run a workload through all contenders, again and again, and once for the latencies.

    Args:
        workload: its phases run in order.
        contenders: keys of :data:`CONTENDERS`.
        repeat: smallest number of repetitions, from 1.
        seconds: shortest time to repeat; short workloads need more repetitions.
        progress: called with the number of runs done since its last call, up to
            ``repeat + 1`` runs of each contender.

    Returns: figures for the timed phases.  After Ctrl-C those of the complete repetitions,
        perhaps none, and ``partial`` is set.

    """
    chosen = [CONTENDERS[name] for name in contenders]
    result = _empty_result(workload, contenders)
    end = time.monotonic() + seconds
    try:
        for i in count():
            if i >= repeat and (time.monotonic() >= end or i >= MAX_REPETITIONS):
                break
            first = i % len(chosen)
            for contender in chosen[first:] + chosen[:first]:
                _run(workload, contender, result)
                if progress and i < repeat:
                    progress(1)
        for contender in chosen:
            _run_timed(workload, contender, result)
            if progress:
                progress(1)
    except KeyboardInterrupt:
        repetitions = result.whole_repetitions
        for phase in result.phases:
            for figures in phase.contenders.values():
                del figures.ns[repetitions:]
        result.partial = True
    work = {phase.name: phase.work for phase in result.phases}
    result.expected = [
        replace(row, counted=(work[row.phase] or {}).get(row.counter)) for row in workload.expected
    ]
    return result


def _empty_result(workload: Workload, contenders: Sequence[str]) -> WorkloadResult:
    phases: dict[str, PhaseResult] = {}  # phases with the same name are added
    for phase in workload.phases:
        if phase.timed:
            empty = PhaseResult(phase.name, 0, None, {name: Figures() for name in contenders})
            phases.setdefault(phase.name, empty).operations += len(phase)
    return WorkloadResult(workload.name, workload.what, list(phases.values()))


def _run(workload: Workload, contender: Contender, result: WorkloadResult) -> None:
    """Run once; add the times and, where it is counted, the work."""
    ns, failures = Counter[str](), Counter[str]()
    work: dict[str, Counter[str]] = {}
    with contender.open(workload) as session:
        for phase in workload.phases:
            failures_before, work_before = session.failures, session.work()
            spent = session.run(phase.ops)
            if not phase.timed:
                continue
            ns[phase.name] += spent
            failures[phase.name] += session.failures - failures_before
            if work_before is not None:
                done = Counter(asdict((session.work() - work_before).total))
                work.setdefault(phase.name, Counter()).update(done)
    for measured in result.phases:
        figures = measured.contenders[contender.name]
        # a coarse clock may stand still
        figures.ns.append(max(ns[measured.name], 1) / measured.operations)
        figures.failures = failures[measured.name]
        if measured.name in work:
            measured.work = dict(work[measured.name])  # the same for all that count


def _run_timed(workload: Workload, contender: Contender, result: WorkloadResult) -> None:
    """Run once; add the latencies."""
    with contender.open(workload) as session:
        for phase in workload.phases:
            taken = session.run_timed(phase.ops)
            if phase.timed and taken is not None:
                figures = result.phase(phase.name).contenders[contender.name]
                figures.alloc = taken.alloc + (figures.alloc or Histogram())
                figures.free = taken.free + (figures.free or Histogram())
