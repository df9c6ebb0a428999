# SPDX-License-Identifier: GPL-2.0-only
"""Repetitions: in each one the contenders take turns, so that ratios are side by side.

A noisy machine disturbs neighbours alike; the median of their ratios hardly moves.  The
order of the turns goes round, and each turn has a fresh allocator.  A last turn takes the
time of every call.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from itertools import count
from typing import TYPE_CHECKING

from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.results import ExpectedResult, Figures, PhaseResult, WorkloadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_ffi.bench.contenders import Contender
    from percpu_ffi.bench.workload import Workload

__all__ = ["measure", "turns"]

ENOUGH = 1000  # repetitions, however short: each one's figures are kept


def turns(contenders: int, repeat: int) -> int:
    """Tell how many turns :func:`measure` takes at least."""
    return contenders * (repeat + 1)


def measure(
    workload: Workload,
    contenders: Sequence[str],
    repeat: int,
    seconds: float = 0,
    progress: Callable[[int], object] | None = None,
) -> WorkloadResult:
    """Run a workload through all contenders, again and again, and once for the latencies.

    Args:
        workload: what to run.
        contenders: keys of :data:`CONTENDERS`.
        repeat: repetitions at least, from 1.
        seconds: repeat for so long at least: short workloads need more of it.
        progress: called with the number of turns done since its last call, of those that
            :func:`turns` tells.

    Returns: figures for the timed phases.  When it is interrupted, those of the whole
        repetitions, perhaps none, and ``partial`` is set.

    """
    chosen = [CONTENDERS[name] for name in contenders]
    result = _blank(workload, contenders)
    end = time.monotonic() + seconds
    try:
        for i in count():
            if i >= repeat and (time.monotonic() >= end or i >= ENOUGH):
                break
            at = i % len(chosen)
            for contender in chosen[at:] + chosen[:at]:
                _take_turn(workload, contender, result)
                if progress and i < repeat:
                    progress(1)
        for contender in chosen:
            _take_latencies(workload, contender, result)
            if progress:
                progress(1)
    except KeyboardInterrupt:
        _keep_whole_repetitions(result)
    work = {phase.name: phase.work for phase in result.phases}
    result.expected = [
        ExpectedResult(*row, counted=(work[row.phase] or {}).get(row.counter))
        for row in workload.expected
    ]
    return result


def _blank(workload: Workload, contenders: Sequence[str]) -> WorkloadResult:
    operations = Counter[str]()  # phases of one name are added up
    for phase in workload.phases:
        if phase.timed:
            operations[phase.name] += len(phase)
    phases = [
        PhaseResult(name, n, None, {contender: Figures() for contender in contenders})
        for name, n in operations.items()
    ]
    return WorkloadResult(workload.name, workload.what, phases)


def _keep_whole_repetitions(result: WorkloadResult) -> None:
    figures = [figures for phase in result.phases for figures in phase.contenders.values()]
    whole = min(len(each.ns) for each in figures)
    for each in figures:
        del each.ns[whole:]
    result.partial = True


def _take_turn(workload: Workload, contender: Contender, result: WorkloadResult) -> None:
    ns, failures = Counter[str](), Counter[str]()
    work: dict[str, Counter[str]] = {}
    with contender.open(workload) as session:
        for phase in workload.phases:
            failed, worked = session.failures, session.work()
            spent = session.run(phase.ops)
            if not phase.timed:
                continue
            ns[phase.name] += spent
            failures[phase.name] += session.failures - failed
            if worked is not None:
                done = Counter(asdict((session.work() - worked).total))
                work.setdefault(phase.name, Counter()).update(done)
    for measured in result.phases:
        figures = measured.contenders[contender.name]
        # a coarse clock may stand still
        figures.ns.append(max(ns[measured.name], 1) / measured.operations)
        figures.failures = failures[measured.name]
        if measured.name in work:
            measured.work = dict(work[measured.name])  # the same for all who count


def _take_latencies(workload: Workload, contender: Contender, result: WorkloadResult) -> None:
    phases = {phase.name: phase.contenders[contender.name] for phase in result.phases}
    with contender.open(workload) as session:
        for phase in workload.phases:
            taken = session.run_timed(phase.ops)
            if phase.timed and taken is not None:
                figures = phases[phase.name]
                figures.alloc = figures.alloc + taken.alloc if figures.alloc else taken.alloc
                figures.free = figures.free + taken.free if figures.free else taken.free
