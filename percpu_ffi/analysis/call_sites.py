# SPDX-License-Identifier: GPL-2.0-only
"""Which call sites, callers or tasks hold the memory of a trace.

Keys have the names of the kernel's tools/mm/page_owner_sort.c: allocations with equal keys are
*culled* into one row, and rows are sorted by keys with ``+`` or ``-`` before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from percpu_ffi.analysis.callers import function
from percpu_ffi.analysis.lifetimes import (
    FREED,
    KEPT,
    REALLOCATED,
    lifetimes,
    lives_of,
    uncertain,
)
from percpu_ffi.analysis.origins import Origin, Selection, origins
from percpu_ffi.errors import ConfigError, check_type
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import NO_TIME

Value = str | int | bool | None  # of a key; None or an empty text: unknown

CULL: dict[str, Callable[[Origin], Value]] = {
    "site": lambda origin: origin.kind.site,
    "function": lambda origin: function(origin.kind.site),
    "caller": lambda origin: origin.caller,
    "stacktrace": lambda origin: origin.stack,
    "task": lambda origin: origin.task,
    "pid": lambda origin: origin.pid,
    "size": lambda origin: origin.kind.size,
    "align": lambda origin: origin.kind.align,
    "gfp": lambda origin: origin.kind.gfp,
    "atomic": lambda origin: "atomic" in origin.kind.flags,
}
TEXT = ("site", "size", "align")  # what "txt" means: all that every recording has

# keys that a recording may lack: the column, what it is, where it comes from
TASKS = (
    "recordings of ftrace and perf have them, but not files that versions before 0.2 saved: "
    "read the kernel's text again, or `percpu-ffi record`"
)
REQUESTS = "kernels before 5.19 do not print them"
NEEDS = {
    "stacktrace": ("stack", "stacks", "record them: `percpu-ffi record --stacks`, `perf record -g` "
                   "or `trace-cmd record -T`; --cull caller does without"),
    "task": ("task", "tasks", TASKS),
    "pid": ("pid", "ids of tasks", TASKS),
    "gfp": ("gfp", "gfp flags", REQUESTS),
    "atomic": ("atomic", "flags of allocations, whether they are atomic", "files that versions "
               "before 0.2 saved do not: read the kernel's text again, or `percpu-ffi record`"),
}  # fmt: skip

# other names, most of them of page_owner_sort
CULL_NAMES = {"st": "stacktrace", "fn": "function", "p": "pid", "name": "task", "n": "task"}
SORT_NAMES = {
    **CULL_NAMES,
    "memory": "peak_bytes",
    "times": "allocs",
    "alloc_ts": "first_alloc",
    "at": "first_alloc",
    "free_ts": "last_free",
    "ft": "last_free",
}
TEXT_NAMES = ("txt", "T")
NOT_RECORDED = ("tgid", "tg", "allocator", "ator")
DEFAULT_SORT = "-memory"


@dataclass(frozen=True)
class Figures:
    """Figures of the areas in a row; bytes are those of one CPU's copies, or of ``copies``."""

    peak_bytes: int
    """Live bytes at the peak of the whole trace."""
    peak_areas: int
    """Live areas at the peak."""
    end_bytes: int
    """Live bytes at the end."""
    never_freed: int
    """Live areas at the end."""
    allocs: int
    """Allocations: ``frees`` + ``reallocs`` + ``never_freed``."""
    frees: int
    """Areas whose free was recorded."""
    reallocs: int
    """Areas whose free was not recorded, but whose pointer was allocated again."""
    bytes: int
    """Bytes of all allocations."""
    life_p50: int | None
    """Median of the known lifetimes of areas whose free was recorded, ns or operations."""
    life_p99: int | None
    """The 99th percentile."""
    min_size: int
    """Bytes."""
    max_size: int
    """Bytes."""
    common_size: int
    """The most frequent size, bytes; the smallest of several."""
    first_alloc: int | None
    """Time of the first allocation, ns or operations; None: unknown."""
    last_free: int | None
    """Time of the last recorded free."""
    life_unknown: int
    """Areas whose free was recorded, but is timed before the allocation, or a time is unknown."""
    life_uncertain: int
    """Areas with lost events between the allocation and the recorded free."""


FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True)
class Row:
    """The values of the keys that the row was culled by, and its figures."""

    key: tuple[Value, ...]
    figures: Figures


@dataclass(frozen=True)
class Moment:
    """What was live after an operation."""

    operation: int
    """Index of the operation; -1: before the first."""
    time: int | None
    """Nanoseconds by the recorder's clock; None: unknown."""
    bytes: int
    """Live bytes, likewise."""
    areas: int
    """Live areas."""


@dataclass(frozen=True)
class CallSites:
    """The result of :func:`who`."""

    culled_by: tuple[str, ...]
    """Names of the keys."""
    timed: bool
    """Whether lifetimes are in nanoseconds; else they are in operations."""
    sites_told: bool
    """Whether the trace has call sites."""
    peak: Moment
    """The first moment with the most live bytes, of the whole trace."""
    end: Moment
    """The end of the trace."""
    rows: list[Row]
    """The rows, sorted."""
    all: Figures | None
    """All rows as one; None: there is none."""
    copies: int | None = None
    """By how many the bytes of one CPU's copies are multiplied; None: one."""


def who(
    trace: Trace,
    cull: str = "site",
    sort: str = DEFAULT_SORT,
    sites: Sequence[str] = (),
    *,
    pids: Sequence[int] = (),
    names: Sequence[str] = (),
    helpers: Sequence[str] = (),
    copies: int | None = None,
) -> CallSites:
    """Compute figures for each call site, or for other keys.

    Args:
        trace: the trace.
        cull: keys of ``CULL`` or ``txt``, separated by commas; a row has equal keys.
        sort: keys of the row or names of ``FIGURES``, separated by commas, each with ``-``
            before it for descending order.
        sites: the call sites to include, with or without offset, ``*`` and ``?`` match any
            characters; empty: all.  The peak remains that of the whole trace.
        pids: the ids of tasks to include; empty: all.
        names: the names of tasks to include, as in ``sites``.
        helpers: functions that are no callers, in addition to ``callers.HELPERS``.
        copies: multiply the bytes of one CPU's copies by this number of CPUs.

    Raises:
        ConfigError: unknown key, a key that the recording lacks, nothing is included, or an
            argument is of a wrong type.
        TraceError: the trace is damaged.

    """
    check_type("cull", cull, str, "a str")
    check_type("sort", sort, str, "a str")
    check_type("helpers", helpers, Iterable, "a sequence of str")
    for helper in helpers:
        check_type("helper", helper, str, "a str")
    selection = Selection(sites, pids, names)
    selection.check()
    culled_by = _cull_keys(cull)
    order = _sort_keys(sort, culled_by)

    figures = _Figures(trace, copies or 1)
    lives = figures.lives
    if lives.born:
        _check_recorded(trace, cull, culled_by)
    columns = {NEEDS[key][0] for key in culled_by if key in NEEDS}
    columns |= {"stack"} if "caller" in culled_by else set()
    columns |= {*(["pid"] if pids else []), *(["task"] if names else [])}
    found, numbers = origins(trace, lives.born, helpers, columns)
    keys = {
        number: tuple(CULL[name](origin) for name in culled_by)
        for number, origin in enumerate(found)
        if selection.includes(origin)
    }
    chosen = [life for life, number in enumerate(numbers) if number in keys]
    if found and not chosen:
        raise selection.nothing(trace)
    groups: dict[tuple[Value, ...], list[int]] = {}
    for life in chosen:
        groups.setdefault(keys[numbers[life]], []).append(life)

    ordered = sorted(groups.items(), key=lambda group: list(map(_rank, group[0])))
    rows = [Row(key, figures.of(group)) for key, group in ordered]
    for name, descending in reversed(order):
        _sort(rows, name, descending, culled_by)
    everything = range(len(lives.kinds))
    return CallSites(
        culled_by,
        timed=bool(trace.times),
        sites_told=any(kind.site for kind in trace.kinds),
        peak=figures.moment(lives.peak, lives.at_peak(everything)),
        end=figures.moment(len(trace) - 1, figures.kept(everything)),
        rows=rows,
        all=figures.of(chosen) if chosen else None,
        copies=copies,
    )


class _Figures:
    """The figures of some areas, which are indices into the lists of ``lives``."""

    def __init__(self, trace: Trace, copies: int) -> None:
        self.copies = copies
        self.lives = lives_of(trace)
        self.times = trace.times
        self.lifetimes = lifetimes(trace, self.lives)
        self.uncertain = uncertain(trace, self.lives)
        self.sizes = [trace.kinds[kind].size for kind in self.lives.kinds]

    def of(self, areas: Sequence[int]) -> Figures:
        """Return the figures of areas in order of allocation, of at least one."""
        fates = Counter(self.lives.fates[area] for area in areas)
        sizes = Counter(self.sizes[area] for area in areas)
        spans = sorted(span for area in areas if (span := self.lifetimes[area]) is not None)
        freed = (self.lives.died[area] for area in areas if self.lives.fates[area] == FREED)
        at_peak, kept = self.lives.at_peak(areas), self.kept(areas)
        gaps = sum(self.uncertain[area] for area in areas)
        return Figures(
            peak_bytes=self._bytes(at_peak),
            peak_areas=len(at_peak),
            end_bytes=self._bytes(kept),
            never_freed=len(kept),
            allocs=len(areas),
            frees=fates[FREED],
            reallocs=fates[REALLOCATED],
            bytes=self._bytes(areas),
            life_p50=_percentile(spans, 50),
            life_p99=_percentile(spans, 99),
            min_size=min(sizes),
            max_size=max(sizes),
            common_size=min(sizes, key=lambda size: (-sizes[size], size)),
            first_alloc=self._when(self.lives.born[areas[0]]),
            last_free=self._when(max(freed)) if fates[FREED] else None,
            life_unknown=fates[FREED] - len(spans) - gaps,
            life_uncertain=gaps,
        )

    def moment(self, operation: int, live: Sequence[int]) -> Moment:
        """Describe a moment at which these areas are live."""
        time = self._when(operation) if self.times and operation >= 0 else None
        return Moment(operation, time, self._bytes(live), len(live))

    def kept(self, areas: Sequence[int]) -> list[int]:
        """Return the areas that are live at the end."""
        return [area for area in areas if self.lives.fates[area] == KEPT]

    def _bytes(self, areas: Iterable[int]) -> int:
        return self.copies * sum(max(self.sizes[area], 0) for area in areas)

    def _when(self, operation: int) -> int | None:
        """Return the time of an operation; its index if the trace has no times."""
        if not self.times:
            return operation
        time: int = self.times[operation]
        return None if time == NO_TIME else time


def _percentile(values: Sequence[int], share: int) -> int | None:
    """Return the percentile of sorted values by nearest rank."""
    return values[-(-share * len(values) // 100) - 1] if values else None


def _rank(value: Any) -> tuple[bool, Any]:
    """Return what a value is sorted by: unknown ones last."""
    return value is None, 0 if value is None else value


def _cull_keys(cull: str) -> tuple[str, ...]:
    keys: list[str] = []
    for name in cull.split(","):
        keys += TEXT if name in TEXT_NAMES else [CULL_NAMES.get(name, name)]
    for key in keys:
        if key not in CULL:
            raise _bad_key("--cull", cull, key, [*CULL, "txt"])
    return tuple(dict.fromkeys(keys))


def _check_recorded(trace: Trace, cull: str, culled_by: Sequence[str]) -> None:
    """Raise ConfigError if the recording lacks what a key needs."""
    known = {*trace.columns()}
    for key in culled_by:
        column, what, advice = NEEDS.get(key, ("kind", "", ""))
        if column not in known:
            raise ConfigError(f"--cull {cull}: the trace has no {what}; {advice}")


def _sort_keys(sort: str, culled_by: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the names in order, each with whether the order is descending."""
    order = []
    for word in sort.split(","):
        name = word[1:] if word.startswith(("-", "+")) else word
        keys = culled_by if name in TEXT_NAMES else [SORT_NAMES.get(name, name)]
        if keys == ["stacktrace"] and "stacktrace" not in culled_by:
            keys = ["site"]  # the part of it that each recording has
        for key in keys:
            if key not in culled_by and key not in FIGURES:
                raise _bad_key("--sort", sort, key, ["txt", *culled_by, *FIGURES])
            order.append((key, word.startswith("-")))
    return order


def _bad_key(option: str, given: str, key: str, allowed: Sequence[str]) -> ConfigError:
    if key in NOT_RECORDED:
        why = f"a trace has no '{key}'"
    elif key in CULL:
        why = f"rows are not culled by '{key}'; add it to --cull"
    else:
        why = f"unknown key '{key}'"
    return ConfigError(f"{option} {given}: {why}; keys are {', '.join(allowed)}")


def _sort(rows: list[Row], name: str, descending: bool, culled_by: Sequence[str]) -> None:
    """Sort by one key; rows without a value come last in both directions."""

    def value(row: Row) -> tuple[bool, Any]:
        key = name in culled_by
        unknown, known = _rank(
            row.key[culled_by.index(name)] if key else getattr(row.figures, name)
        )
        return unknown != descending, known

    rows.sort(key=value, reverse=descending)
