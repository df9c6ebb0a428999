# SPDX-License-Identifier: GPL-2.0-only
"""Which call sites hold the memory of a trace.

Keys have the names of the kernel's tools/mm/page_owner_sort.c: allocations with equal keys are
*culled* into one row, and rows are sorted by keys with ``+`` or ``-`` before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from percpu_ffi.analysis.lifetimes import FREED, KEPT, REALLOCATED, lifetimes, lives_of
from percpu_ffi.errors import ConfigError, check_type
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import NO_TIME, Kind


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
        ConfigError: unknown key, or no call site matches, or an argument is of a wrong type.
        TraceError: the trace is damaged.

    """
    check_type("cull", cull, str, "a str")
    check_type("sort", sort, str, "a str")
    check_type("sites", sites, Iterable, "a sequence of str")
    for site in sites:
        check_type("site", site, str, "a str")
    culled_by = _cull_keys(cull)
    order = _sort_keys(sort, culled_by)

    figures = _Figures(trace)
    lives = figures.lives
    keys = {
        index: tuple(CULL[name](kind) for name in culled_by)
        for index, kind in enumerate(trace.kinds)
        if _matches(kind.site, sites)
    }
    chosen = [life for life, kind in enumerate(lives.kinds) if kind in keys]
    has_sites = any(kind.site for kind in trace.kinds)
    if sites and not chosen:
        problem = "no call site matches" if has_sites else "the trace has no call sites"
        raise ConfigError(f"--site {','.join(sites)}: {problem}")
    groups: dict[tuple[str | int, ...], list[int]] = {}
    for life in chosen:
        groups.setdefault(keys[lives.kinds[life]], []).append(life)

    rows = [Row(key, figures.of(group)) for key, group in sorted(groups.items())]
    for name, descending in reversed(order):
        _sort(rows, name, descending, culled_by)
    everything = range(len(lives.kinds))
    return CallSites(
        culled_by,
        timed=bool(trace.times),
        sites_told=has_sites,
        peak=figures.moment(lives.peak, lives.at_peak(everything)),
        end=figures.moment(len(trace) - 1, figures.kept(everything)),
        rows=rows,
        all=figures.of(chosen) if chosen else None,
    )


class _Figures:
    """The figures of some areas, which are indices into the lists of ``lives``."""

    def __init__(self, trace: Trace) -> None:
        self.lives = lives_of(trace)
        self.times = trace.times
        self.lifetimes = lifetimes(trace, self.lives)
        self.sizes = [trace.kinds[kind].size for kind in self.lives.kinds]

    def of(self, areas: Sequence[int]) -> Figures:
        """Return the figures of areas in order of allocation, of at least one."""
        fates = Counter(self.lives.fates[area] for area in areas)
        sizes = Counter(self.sizes[area] for area in areas)
        spans = sorted(span for area in areas if (span := self.lifetimes[area]) is not None)
        freed = (self.lives.died[area] for area in areas if self.lives.fates[area] == FREED)
        at_peak, kept = self.lives.at_peak(areas), self.kept(areas)
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
        )

    def moment(self, operation: int, live: Sequence[int]) -> Moment:
        """Describe a moment at which these areas are live."""
        time = self._when(operation) if self.times and operation >= 0 else None
        return Moment(operation, time, self._bytes(live), len(live))

    def kept(self, areas: Sequence[int]) -> list[int]:
        """Return the areas that are live at the end."""
        return [area for area in areas if self.lives.fates[area] == KEPT]

    def _bytes(self, areas: Iterable[int]) -> int:
        return sum(max(self.sizes[area], 0) for area in areas)

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
        name = word[1:] if word.startswith(("-", "+")) else word
        keys = culled_by if name in TEXT_NAMES else [SORT_NAMES.get(name, name)]
        for key in keys:
            if key not in culled_by and key not in FIGURES:
                raise _bad_key("--sort", sort, name, ["txt", *culled_by, *FIGURES])
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
    """Sort by one key; rows without the figure come last in both directions."""

    def value(row: Row) -> tuple[bool, Any]:
        if name in culled_by:
            return descending, row.key[culled_by.index(name)]
        figure = getattr(row.figures, name)
        return (figure is None) != descending, figure or 0

    rows.sort(key=value, reverse=descending)
