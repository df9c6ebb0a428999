# SPDX-License-Identifier: GPL-2.0-only
"""What was measured, in memory and as JSON.

The file is one object: ``format`` and ``version`` say that it is ours, the rest are the
fields of :class:`Results`, one level for each class below it.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.errors import PercpuError

__all__ = [
    "BoundResult",
    "ExpectedResult",
    "Figures",
    "PhaseResult",
    "Results",
    "ResultsError",
    "WorkloadResult",
    "load",
    "save",
]

FORMAT = "percpu-ffi bench"
VERSION = 1


class ResultsError(PercpuError, ValueError):
    """A file that does not hold results, or those of another version."""


@dataclass
class Figures:
    """One contender in one phase."""

    ns: list[float] = field(default_factory=list)
    """Nanoseconds an operation, one figure for each repetition."""
    failures: int = 0
    """Operations that failed, of one repetition."""
    alloc: Histogram | None = None
    """Latencies of the allocations."""
    free: Histogram | None = None
    """Latencies of the frees."""

    @property
    def median(self) -> float:
        """The figure to be quoted."""
        return statistics.median(self.ns)

    def ratios(self, to: Figures) -> list[float]:
        """Tell how much longer it took than another one, repetition by repetition."""
        return [own / other for own, other in zip(self.ns, to.ns, strict=True)]


@dataclass
class PhaseResult:
    """A timed phase of a workload."""

    name: str
    operations: int
    """Of one repetition."""
    work: dict[str, int] | None = None
    """What the 2009 file has to do, by the names of ``Work``; None: nobody counted."""
    contenders: dict[str, Figures] = field(default_factory=dict)


@dataclass
class ExpectedResult:
    """Work by formula and as counted."""

    phase: str
    counter: str
    formula: str
    value: int
    counted: int | None
    """None: nobody counted."""


@dataclass
class WorkloadResult:
    """A workload."""

    name: str
    what: str
    phases: list[PhaseResult] = field(default_factory=list)
    expected: list[ExpectedResult] = field(default_factory=list)
    partial: bool = False
    """It was interrupted: repetitions are missing, or the latencies."""

    @property
    def whole_repetitions(self) -> int:
        """How often all contenders have run it."""
        return min(len(f.ns) for phase in self.phases for f in phase.contenders.values())

    def phase(self, name: str) -> PhaseResult:
        """Find a phase by its name."""
        return next(phase for phase in self.phases if phase.name == name)


@dataclass
class BoundResult:
    """A figure that has to be reached."""

    what: str
    limit: float
    at_most: bool
    """The limit is an upper one."""
    values: list[float] = field(default_factory=list)
    """One for each round; none: not measured."""
    why: str = ""
    """Why it was not measured."""

    @property
    def holds(self) -> bool | None:
        """Whether the median keeps the limit; None: not measured."""
        if not self.values:
            return None
        middle = statistics.median(self.values)
        return middle <= self.limit if self.at_most else middle >= self.limit


@dataclass
class Results:
    """Everything from one run."""

    machine: dict[str, str]
    options: dict[str, float]
    workloads: list[WorkloadResult] = field(default_factory=list)
    bounds: list[BoundResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    partial: bool = False
    """The run was interrupted: what is here is whole, but not all."""

    def workload(self, name: str) -> WorkloadResult | None:
        """Find a workload by its name; None: it was not measured."""
        return next((each for each in self.workloads if each.name == name), None)

    @property
    def missed(self) -> bool:
        """Whether some bound is."""
        return any(bound.holds is False for bound in self.bounds)


def save(results: Results, path: str | Path) -> None:
    """Write results to a file.

    Raises:
        OSError: it cannot be written.

    """
    data = {"format": FORMAT, "version": VERSION, **asdict(results)}
    text = json.dumps(data, indent=1, default=lambda histogram: histogram.counts)
    write_whole(path, f"{text}\n".encode())


def load(path: str | Path) -> Results:
    """Read results that :func:`save` wrote.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it is something else, damaged, or of another version.

    """
    try:
        data = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON: {error}") from None
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise _damaged(path, f"no results of '{FORMAT}'")
    version = data.pop("version", None)
    if version != VERSION:
        raise ResultsError(
            f"{path}: version {version!r} of the format, this program reads {VERSION}; measure "
            "again, or compare with the percpu_ffi that wrote it"
        )
    try:
        return _results(data)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _damaged(path, f"damaged: {type(error).__name__} {error}") from None


def _damaged(path: str | Path, why: str) -> ResultsError:
    return ResultsError(f"{path}: {why}; a file that bench --json wrote is needed")


def _results(data: dict[str, Any]) -> Results:
    workloads = [
        WorkloadResult(
            **{
                **workload,
                "phases": [_phase(phase) for phase in workload["phases"]],
                "expected": [ExpectedResult(**row) for row in workload["expected"]],
            }
        )
        for workload in data["workloads"]
    ]
    bounds = [BoundResult(**bound) for bound in data["bounds"]]
    results = Results(**{**data, "workloads": workloads, "bounds": bounds})
    texts = [*results.machine.values(), *(name for name, _ in results.options.items())]
    for workload in workloads:
        texts += [workload.name, *(phase.name for phase in workload.phases)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("names that are no text")
    return results


def _phase(data: dict[str, Any]) -> PhaseResult:
    contenders = {name: _figures(figures) for name, figures in data["contenders"].items()}
    return PhaseResult(**{**data, "contenders": contenders})


def _figures(data: dict[str, Any]) -> Figures:
    figures = Figures(**data)
    if not figures.ns or not all(0 < ns < math.inf for ns in figures.ns):
        raise ValueError("figures that are no times")
    for name in ("alloc", "free"):
        if data[name] is not None:
            counts = {int(bucket): int(count) for bucket, count in data[name].items()}
            setattr(figures, name, Histogram(counts))
    return figures
