# SPDX-License-Identifier: GPL-2.0-only
"""A complete run: the workloads one after the other, then the bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from percpu_ffi.bench.bounds import BOUNDS
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.fresh import ProcessFailed
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.memory import PROCESSES, measure_memory
from percpu_ffi.bench.results import Results, WorkloadResult
from percpu_ffi.bench.threads import ROUNDS, measure_threads
from percpu_ffi.config import AREA_MAP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from percpu_ffi.bench.workload import Options, Workload

    ProgressBar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object] | None]]


@dataclass(frozen=True)
class Plan:
    """What to run."""

    workloads: Sequence[Callable[[], Workload]]
    """Each is made when it is run, so that only one is in memory."""
    contenders: Sequence[str]
    """Names; none: the default contenders of each workload that are available."""
    options: Options
    repeat: int
    """Smallest number of repetitions of each workload."""
    seconds: float
    """Shortest time to repeat each."""
    bounds: bool
    """Whether to measure the bounds at the end."""
    memory: bool | None = None
    """Whether to measure the memory of each workload; None: of steady states and recordings."""


def new_results(plan: Plan) -> Results:
    """Return the results of a run that has not begun; they are partial until it ends."""
    notes = []
    if not plan.contenders:
        notes = [f"{c.name}: {why}" for c in CONTENDERS.values() if (why := c.missing())]
        notes.append("model: only with --contender model, best with --objects 2000 --repeat 3")
    options = {**asdict(plan.options), "repeat": plan.repeat, "seconds": plan.seconds}
    policy = options.pop("policy")
    about = describe_machine() | ({} if policy == AREA_MAP else {"policy": policy})
    return Results(about, options, notes=notes, partial=True)


def run(
    plan: Plan,
    results: Results,
    progress_bar: ProgressBar,
    done: Callable[[WorkloadResult], object],
) -> None:
    """Run a plan and add the figures to ``results``; Ctrl-C ends it without an error.

    ``progress_bar`` takes a title, the number of steps and their name; ``done`` is called with
    each workload's figures when it has ended.
    """
    try:
        for make in plan.workloads:
            result = _measure(make(), plan, results.notes, progress_bar)
            if result is None:
                continue
            if result.whole_repetitions:
                results.workloads.append(result)
                done(result)
            if result.partial:
                return
        if plan.bounds:
            with progress_bar("bounds", len(BOUNDS), "bound") as progress:
                for bound in BOUNDS:
                    results.bounds += bound(results)
                    if progress:
                        progress(1)
        results.partial = False
    except KeyboardInterrupt:
        return


def _measure(
    workload: Workload, plan: Plan, notes: list[str], progress_bar: ProgressBar
) -> WorkloadResult | None:
    """Measure one workload; None: no contender can run it."""
    contenders = list(plan.contenders) or [
        name for name in workload.contenders if not CONTENDERS[name].missing()
    ]
    if workload.threads:
        unable = [name for name in contenders if not CONTENDERS[name].threads]
        notes += [f"{name} in {workload.name}: threads cannot share it" for name in unable]
        contenders = [name for name in contenders if name not in unable]
        if not contenders:
            return None
        runs = ROUNDS * len(contenders) * len(workload.threads)
        with progress_bar(workload.name, runs, "run") as progress:
            return measure_threads(workload, contenders, plan.seconds, progress)
    runs = (plan.repeat + 1) * len(contenders)
    with progress_bar(workload.name, runs, "run") as progress:
        result = measure(workload, contenders, plan.repeat, plan.seconds, progress)
    if (workload.steady if plan.memory is None else plan.memory) and not result.partial:
        _add_memory(result, workload, contenders, notes, progress_bar)
    return result


def _add_memory(
    result: WorkloadResult,
    workload: Workload,
    contenders: Sequence[str],
    notes: list[str],
    progress_bar: ProgressBar,
) -> None:
    """Measure the memory of those contenders that have some; the times are kept in any case."""
    measurable = [name for name in contenders if CONTENDERS[name].memory]
    if not measurable:
        return
    runs = PROCESSES * (len(measurable) + 1)
    try:
        with progress_bar(f"{workload.name}, memory", runs, "run") as progress:
            result.memory = measure_memory(workload, measurable, PROCESSES, progress)
    except ProcessFailed as error:
        notes.append(f"memory of {workload.name}: {error}")
    except KeyboardInterrupt:
        result.partial = True
