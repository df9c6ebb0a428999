# SPDX-License-Identifier: GPL-2.0-only
"""Which call sites hold the memory of a trace.

Keys have the names of the kernel's tools/mm/page_owner_sort.c: allocations with equal keys are
*culled* into one row, and rows are sorted by keys with ``+`` or ``-`` before them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from percpu_ffi.analysis.lifetimes import FREED, KEPT, REALLOCATED, lifetimes, lives_of
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace.operations import NO_TIME, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from percpu_ffi.analysis.lifetimes import Lives
    from percpu_ffi.trace import Trace

__all__ = ["CULL", "DEFAULT_SORT", "FIGURES", "CallSites", "Figures", "Moment", "Row", "who"]


def function(site: str) -> str:
    """Return a call site without its offset."""
    return site.partition("+")[0]


CULL: dict[str, Callable[[Kind], str | int]] = {
    "site": lambda kind: kind.site,
    "function": lambda kind: function(kind.site),
    "size": lambda kind: kind.size,
    "align": lambda kind: kind.align,
}
TEXT = ("site", "size", "align")  # what "txt" means: all that a trace has of an allocation

# other names, most of them of page_owner_sort; our stack trace is the one call site
CULL_NAMES = {"stacktrace": "site", "st": "site", "fn": "function"}
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
NOT_RECORDED = ("pid", "p", "tgid", "tg", "name", "n", "allocator", "ator")
DEFAULT_SORT = "-memory"


@dataclass(frozen=True)
class Figures:
    """Figures of the areas in a row; bytes are those of one CPU's copies."""

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
    """Median lifetime of the areas whose free was recorded, ns or operations."""
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


FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True)
class Row:
    """The values of the keys that the row was culled by, and its figures."""

    key: tuple[str | int, ...]
    figures: Figures


@dataclass(frozen=True)
class Moment:
    """What was live after an operation."""

    operation: int
    """Index of the operation; -1: before the first."""
    time: int | None
    """Nanoseconds by the recorder's clock; None: unknown."""
    bytes: int
    """Live bytes, in one CPU's copies."""
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


def who(
    trace: Trace, cull: str = "site", sort: str = DEFAULT_SORT, sites: Sequence[str] = ()
) -> CallSites:
    """Compute figures for each call site, or for other keys.

    Args:
        trace: the trace.
        cull: keys of ``CULL`` or ``txt``, separated by commas; a row has equal keys.
        sort: keys of the row or names of ``FIGURES``, separated by commas, each with ``-``
            before it for descending order.
        sites: the call sites to include, with or without offset, ``*`` and ``?`` match any
            characters; empty: all.  The peak remains that of the whole trace.

    Raises:
        ConfigError: unknown key, or no call site matches.
        TraceError: the trace is damaged.

    """
    culled_by = _cull_keys(cull)
    order = _sort_keys(sort, culled_by)

    lives = lives_of(trace)
    counts = _Counts(trace, lives)
    kinds = [index for index in counts.allocs if _matches(trace.kinds[index].site, sites)]
    has_sites = any(kind.site for kind in trace.kinds)
    if sites and not kinds:
        problem = (
            "no call site of the trace matches" if has_sites else "the trace has no call sites"
        )
        raise ConfigError(f"--site {','.join(sites)}: {problem}")
    groups: dict[tuple[str | int, ...], list[int]] = {}
    for index in kinds:
        key = tuple(CULL[name](trace.kinds[index]) for name in culled_by)
        groups.setdefault(key, []).append(index)

    rows = [Row(key, counts.figures(group)) for key, group in sorted(groups.items())]
    for name, descending in reversed(order):
        _sort(rows, name, descending, culled_by)
    return CallSites(
        culled_by,
        timed=bool(trace.times),
        sites_told=has_sites,
        peak=counts.moment(lives.peak, counts.at_peak),
        end=counts.moment(len(trace) - 1, counts.kept),
        rows=rows,
        all=counts.figures(kinds) if kinds else None,
    )


class _Counts:
    """Counts for each kind of allocation; a row adds up some kinds."""

    def __init__(self, trace: Trace, lives: Lives) -> None:
        self.kinds = trace.kinds
        self.times = trace.times
        self.allocs = Counter(lives.kinds)
        self.frees = Counter(lives.kinds_of(FREED))
        self.reallocs = Counter(lives.kinds_of(REALLOCATED))
        self.kept = Counter(lives.kinds_of(KEPT))
        self.at_peak = Counter(lives.kinds_at_peak())
        self.lifetimes: dict[int, list[int]] = {}
        self.first: dict[int, int] = {}  # operations
        self.last: dict[int, int] = {}
        rows = zip(
            lives.kinds, lives.born, lives.died, lives.fates, lifetimes(trace, lives), strict=True
        )
        for kind, born, died, fate, lifetime in rows:
            self.first.setdefault(kind, born)
            if fate == FREED:
                self.last[kind] = max(died, self.last.get(kind, 0))
            if lifetime is not None:
                self.lifetimes.setdefault(kind, []).append(lifetime)

    def figures(self, group: Sequence[int]) -> Figures:
        """Add up the kinds of a row."""
        spans = sorted(span for kind in group for span in self.lifetimes.get(kind, ()))
        sizes: Counter[int] = Counter()
        for kind in group:
            sizes[self.kinds[kind].size] += self.allocs[kind]
        freed = [self.last[kind] for kind in group if kind in self.last]

        def total(counts: Counter[int]) -> int:
            return sum(counts[kind] for kind in group)

        return Figures(
            peak_bytes=self._bytes(self.at_peak, group),
            peak_areas=total(self.at_peak),
            end_bytes=self._bytes(self.kept, group),
            never_freed=total(self.kept),
            allocs=total(self.allocs),
            frees=total(self.frees),
            reallocs=total(self.reallocs),
            bytes=self._bytes(self.allocs, group),
            life_p50=_percentile(spans, 50),
            life_p99=_percentile(spans, 99),
            min_size=min(sizes),
            max_size=max(sizes),
            common_size=min(sizes, key=lambda size: (-sizes[size], size)),
            first_alloc=self._when(min(self.first[kind] for kind in group)),
            last_free=self._when(max(freed)) if freed else None,
        )

    def moment(self, operation: int, live: Counter[int]) -> Moment:
        """Describe a moment from the kinds of the live areas."""
        time = self._when(operation) if self.times and operation >= 0 else None
        return Moment(operation, time, self._bytes(live, live), live.total())

    def _bytes(self, counts: Counter[int], group: Iterable[int]) -> int:
        return sum(counts[kind] * max(self.kinds[kind].size, 0) for kind in group)

    def _when(self, operation: int) -> int | None:
        """Return the time of an operation; its index if the trace has no times."""
        if not self.times:
            return operation
        time: int = self.times[operation]
        return None if time == NO_TIME else time


def _percentile(values: Sequence[int], share: int) -> int | None:
    """Return the percentile of sorted values by nearest rank."""
    return values[-(-share * len(values) // 100) - 1] if values else None


def _matches(site: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        fnmatchcase(name, pattern) for pattern in patterns for name in (site, function(site))
    )


def _cull_keys(cull: str) -> tuple[str, ...]:
    keys: list[str] = []
    for name in cull.split(","):
        keys += TEXT if name in TEXT_NAMES else [CULL_NAMES.get(name, name)]
    for key in keys:
        if key not in CULL:
            raise _bad_key("--cull", cull, key, [*CULL, "txt"])
    return tuple(dict.fromkeys(keys))


def _sort_keys(sort: str, culled_by: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the names in order, each with whether the order is descending."""
    order = []
    for word in sort.split(","):
        descending = word.startswith("-")
        name = word[1:] if word.startswith(("-", "+")) else word
        keys = culled_by if name in TEXT_NAMES else [SORT_NAMES.get(name, name)]
        for key in keys:
            if key not in culled_by and key not in FIGURES:
                raise _bad_key("--sort", sort, name, ["txt", *culled_by, *FIGURES])
            order.append((key, descending))
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
    """Sort by one key; rows without the figure come last in both directions."""

    def value(row: Row) -> tuple[bool, Any]:
        if name in culled_by:
            return descending, row.key[culled_by.index(name)]
        figure = getattr(row.figures, name)
        return (figure is None) != descending, figure or 0

    rows.sort(key=value, reverse=descending)
