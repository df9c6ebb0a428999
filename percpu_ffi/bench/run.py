# SPDX-License-Identifier: GPL-2.0-only
"""A whole run: workloads one after the other, then the bounds."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from percpu_ffi.bench.bounds import BOUNDS
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.measure import measure, turns
from percpu_ffi.bench.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from percpu_ffi.bench.results import WorkloadResult
    from percpu_ffi.bench.workload import Workload
    from percpu_ffi.bench.workloads import Options

    Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object] | None]]

__all__ = ["Plan", "run", "start"]


@dataclass(frozen=True)
class Plan:
    """What to run."""

    workloads: Sequence[Callable[[], Workload]]
    """Each is made when its turn comes, so that one is in memory."""
    contenders: Sequence[str]
    """Names; none: those that a workload names itself, as far as they can be had."""
    options: Options
    repeat: int
    """Repetitions of each workload, at least."""
    seconds: float
    """How long to repeat each, at least."""
    bounds: bool
    """Look at the bounds at the end."""


def start(plan: Plan) -> Results:
    """Make the results of a run that has yet to come; they are partial until it is over."""
    return Results(
        describe_machine(),
        {**asdict(plan.options), "repeat": plan.repeat, "seconds": plan.seconds},
        notes=_left_out(plan),
        partial=True,
    )


def run(
    plan: Plan,
    results: Results,
    bar: Bar = lambda _what, _total, _unit: nullcontext(),
    done: Callable[[WorkloadResult], object] = lambda _result: None,
) -> None:
    """Run a plan; whatever ends it, what is whole is kept.  An interrupt ends it quietly.

    Args:
        plan: what to run.
        results: where the figures go, from :func:`start`.
        bar: makes a progress bar, as ``percpu_ffi.cli.progress.progress_bar``.
        done: called with each workload's figures as soon as they are there.

    """
    try:
        for make in plan.workloads:
            result = _measured(make(), plan, bar)
            if result.whole_repetitions:
                results.workloads.append(result)
                done(result)
            if result.partial:
                return
        if plan.bounds:
            with bar("bounds", len(BOUNDS), "bound") as progress:
                for bound in BOUNDS:
                    results.bounds += bound(results)
                    if progress:
                        progress(1)
        results.partial = False
    except KeyboardInterrupt:
        return


def _measured(workload: Workload, plan: Plan, bar: Bar) -> WorkloadResult:
    contenders = list(plan.contenders) or [
        name for name in workload.contenders if not CONTENDERS[name].missing()
    ]
    with bar(workload.name, turns(len(contenders), plan.repeat), "turn") as progress:
        return measure(workload, contenders, plan.repeat, plan.seconds, progress)


def _left_out(plan: Plan) -> list[str]:
    if plan.contenders:
        return []
    why = [(contender.name, contender.missing()) for contender in CONTENDERS.values()]
    return [
        *(f"{name}: {reason}" for name, reason in why if reason),
        "model: takes part when it is named, best with --objects 2000 --repeat 3",
    ]
