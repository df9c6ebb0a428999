# SPDX-License-Identifier: GPL-2.0-only
"""Results of the benchmark, in memory and as JSON.

The file is one object: ``format`` and ``version`` identify it, the rest are the fields of
:class:`Results`, one level for each class below it.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.workload import Expected  # get_type_hints() needs it
from percpu_ffi.errors import PercpuError, shown

FORMAT = "percpu-ffi bench"
VERSION = 2
SINCE_2 = {"since": 2}  # a field that files of version 1 do not have


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
    pairs: list[list[int]] = field(default_factory=list, metadata=SINCE_2)
    """With threads: pairs of an allocation and a free, in each second, by each thread."""

    @property
    def median(self) -> float:
        """Median of ``ns``."""
        return statistics.median(self.ns)

    def ratios(self, to: Figures) -> list[float]:
        """Return how many times longer it took than another one, for each repetition."""
        return [own / other for own, other in zip(self.ns, to.ns, strict=True)]

    @property
    def least_share(self) -> float:
        """The least share of a thread in the pairs of all threads, in any second."""
        return min(min(second) / max(sum(second), 1) for second in self.pairs)


@dataclass
class PhaseResult:
    """A timed phase of a workload."""

    name: str
    operations: int
    """Of one repetition."""
    work: dict[str, int] | None
    """Work of the 2009 file, by the fields of ``Work``; None: not counted."""
    contenders: dict[str, Figures]


@dataclass
class MemoryFigures:
    """Memory of one contender, bytes; one figure for each process."""

    resident: list[int] = field(default_factory=list)
    """In page frames."""
    address_space: list[int] = field(default_factory=list)
    """Mapped or reserved."""


@dataclass
class MemoryResult:
    """The memory for the live areas at the peak of a workload."""

    areas: int
    live_bytes: int
    """Requested bytes, of all CPUs."""
    contenders: dict[str, MemoryFigures]


@dataclass
class WorkloadResult:
    """A workload."""

    name: str
    what: str
    phases: list[PhaseResult]
    expected: list[Expected] = field(default_factory=list)
    partial: bool = False
    """It was interrupted: repetitions are missing, or the latencies, or the memory."""
    memory: MemoryResult | None = field(default=None, metadata=SINCE_2)
    """None: not measured."""

    @property
    def whole_repetitions(self) -> int:
        """Repetitions that all contenders completed."""
        return min(len(f.ns) for phase in self.phases for f in phase.contenders.values())

    def phase(self, name: str) -> PhaseResult:
        """Return the phase with a name."""
        return next(phase for phase in self.phases if phase.name == name)


@dataclass
class BoundResult:
    """A figure and its limit."""

    what: str
    limit: float
    at_most: bool
    """Whether the limit is an upper one."""
    values: list[float] = field(default_factory=list)
    """One for each round; none: not measured."""
    why: str = ""
    """Why it was not measured."""

    @property
    def holds(self) -> bool | None:
        """Whether the median is within the limit; None: not measured."""
        if not self.values:
            return None
        middle = statistics.median(self.values)
        return middle <= self.limit if self.at_most else middle >= self.limit


@dataclass
class Results:
    """All results of one run."""

    machine: dict[str, str]
    options: dict[str, float]
    workloads: list[WorkloadResult] = field(default_factory=list)
    bounds: list[BoundResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    partial: bool = False
    """The run was interrupted: workloads or bounds are missing."""

    def workload(self, name: str) -> WorkloadResult | None:
        """Return the workload with a name; None: it was not measured."""
        return next((each for each in self.workloads if each.name == name), None)

    @property
    def missed(self) -> bool:
        """Whether a bound was missed."""
        return any(bound.holds is False for bound in self.bounds)


def save(results: Results, path: str | Path) -> None:
    """Write results to a file.

    Raises:
        OSError: it cannot be written.

    """
    data = {"format": FORMAT, "version": VERSION, **asdict(results)}
    write_whole(path, f"{json.dumps(data, indent=1)}\n".encode())


def load(path: str | Path) -> Results:
    """Read results that :func:`save` wrote.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it has no results, is damaged, or has another version.

    """
    try:
        data = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"no JSON: {error}") from None
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise _damaged(path, f"no results of '{FORMAT}'")
    version = data.pop("version", None)
    if version not in range(1, VERSION + 1):
        raise ResultsError(
            f"{path}: version {shown(version)} of the format, this program reads 1 to {VERSION}; "
            "measure again, or compare with the percpu_ffi that wrote it"
        )
    try:
        results: Results = _from_json(Results, data, version)
    except (TypeError, ValueError, OverflowError) as error:
        raise _damaged(path, f"damaged: {error}") from None
    phases = (phase for workload in results.workloads for phase in workload.phases)
    for figures in (figures for phase in phases for figures in phase.contenders.values()):
        if not figures.ns or not all(0 < ns < math.inf for ns in figures.ns):
            raise _damaged(path, "damaged: figures that are not times")
    return results


def _damaged(path: str | Path, why: str) -> ResultsError:
    return ResultsError(f"{path}: {why}; a file that bench --json wrote is needed")


def _from_json(kind: Any, value: Any, version: int) -> Any:
    """Build a value of a type, with exactly the fields of each dataclass in a version.

    Raises:
        TypeError, ValueError, OverflowError: the value is not of that type.

    """
    args = get_args(kind)
    if isinstance(kind, UnionType):  # optional
        return None if value is None else _from_json(args[0], value, version)
    plain: Any = get_origin(kind) or kind
    if plain is Histogram:
        return Histogram({int(bucket): int(count) for bucket, count in dict(value).items()})
    if is_dataclass(plain):
        hints = get_type_hints(kind)
        names = [f.name for f in fields(plain) if f.metadata.get("since", 1) <= version]
        if dict(value).keys() != set(names):
            raise ValueError(f"{kind.__name__} has the fields {', '.join(names)}")
        return kind(**{name: _from_json(hints[name], value[name], version) for name in names})
    allowed: Any = (int, float) if plain is float else plain
    if not isinstance(value, allowed):
        raise TypeError(f"{plain.__name__} is needed, not {shown(value)}")
    if plain is list:
        return [_from_json(args[0], item, version) for item in value]
    if plain is dict:
        return {
            _from_json(args[0], key, version): _from_json(args[1], item, version)
            for key, item in value.items()
        }
    return value
