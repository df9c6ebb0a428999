# SPDX-License-Identifier: GPL-2.0-only
"""A complete run: the workloads one after the other, then the bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from percpu_ffi.bench.bounds import BOUNDS
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.results import Results, WorkloadResult
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
            result = _measure(make(), plan, progress_bar)
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


def _measure(workload: Workload, plan: Plan, progress_bar: ProgressBar) -> WorkloadResult:
    contenders = list(plan.contenders) or [
        name for name in workload.contenders if not CONTENDERS[name].missing()
    ]
    runs = (plan.repeat + 1) * len(contenders)
    with progress_bar(workload.name, runs, "run") as progress:
        return measure(workload, contenders, plan.repeat, plan.seconds, progress)
