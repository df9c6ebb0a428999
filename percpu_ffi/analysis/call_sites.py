# SPDX-License-Identifier: GPL-2.0-only
"""Who holds the memory: the lives in a trace, summed up by call site.

The words are those of the kernel's tools/mm/page_owner_sort.c: rows are *culled* by keys,
then sorted by keys with ``+`` or ``-`` before them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from percpu_ffi.analysis.lifetimes import FREED, KEPT, LOST, lifetimes, lives_of
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace.operations import NO_TIME, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from percpu_ffi.analysis.lifetimes import Lives
    from percpu_ffi.trace import Trace

__all__ = ["CULL", "FIGURES", "SORT", "Figures", "Moment", "Owner", "Who", "who"]


def function(site: str) -> str:
    """Leave the offset of a call site out."""
    return site.partition("+")[0]


# what rows can be culled by
CULL: dict[str, Callable[[Kind], str | int]] = {
    "site": lambda kind: kind.site,
    "function": lambda kind: function(kind.site),
    "size": lambda kind: kind.size,
    "align": lambda kind: kind.align,
}
TEXT = ("site", "size", "align")  # all that an allocation tells

# other names, most of them page_owner_sort's: the one call site is our stack trace
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
WHOLE = ("txt", "T")
NOT_TOLD = ("pid", "p", "tgid", "tg", "name", "n", "allocator", "ator")
SORT = "-memory"


@dataclass(frozen=True)
class Figures:
    """What is told of the areas in a row; bytes are those of one CPU's copies."""

    peak_bytes: int
    """Bytes alive when those of the whole trace were most."""
    peak_areas: int
    """Areas alive then."""
    end_bytes: int
    """Bytes alive at the end."""
    never_freed: int
    """Areas alive at the end."""
    allocs: int
    """Allocations: as many as ``frees``, ``reallocs`` and ``never_freed`` together."""
    frees: int
    """Frees that were seen."""
    reallocs: int
    """Areas whose free was not seen, but their pointer allocated again."""
    bytes: int
    """Bytes of all allocations."""
    life_p50: int | None
    """Median of the lifetimes: half of the areas that were seen freed lived so long at most."""
    life_p99: int | None
    """The same for 99 of 100."""
    min_size: int
    """Bytes."""
    max_size: int
    """Bytes."""
    common_size: int
    """The most frequent size, bytes; the smallest if there are several."""
    first_alloc: int | None
    """When the first area was allocated, in the unit of lifetimes; None: not told."""
    last_free: int | None
    """When the last free was seen."""


FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True)
class Owner:
    """A row: the values of the keys that it was culled by, and its figures."""

    key: tuple[str | int, ...]
    figures: Figures


@dataclass(frozen=True)
class Moment:
    """What was alive after an operation."""

    operation: int
    """Index of the operation; -1: before the first."""
    time: int | None
    """Nanoseconds by the recorder's clock; None: not told."""
    bytes: int
    """Bytes alive, in one CPU's copies."""
    areas: int
    """Areas alive."""


@dataclass(frozen=True)
class Who:
    """All that is told about a trace."""

    culled_by: tuple[str, ...]
    """Names of the keys."""
    timed: bool
    """Lifetimes are in nanoseconds; else in operations."""
    sites_told: bool
    """The trace has call sites."""
    peak: Moment
    """When most bytes were alive: the first such moment, of the whole trace."""
    end: Moment
    """The end of the trace."""
    owners: list[Owner]
    """The rows, sorted."""
    all: Figures | None
    """All rows as one; None: there is none."""


def who(trace: Trace, cull: str = "site", sort: str = SORT, sites: Sequence[str] = ()) -> Who:
    """Sum the lives in a trace up by call site, or by other keys.

    Args:
        trace: the trace.
        cull: what is the same in a row: keys from ``CULL`` or ``txt``, with commas between.
        sort: the order: keys of the row or names of ``FIGURES``, with commas between, each
            with ``-`` before it for the highest first.
        sites: leave all call sites out but these: with or without offset, ``*`` and ``?``
            stand for any characters.  The peak is still that of the whole trace.

    Raises:
        ConfigError: no such key, or no call site matches.
        TraceError: the trace is damaged.

    """
    culled_by = _cull_keys(cull)
    order = _sort_keys(sort, culled_by)

    lives = lives_of(trace)
    tally = _Tally(trace, lives)
    kinds = [index for index in tally.allocs if _matches(trace.kinds[index].site, sites)]
    if sites and not kinds:
        have = "matches" if any(kind.site for kind in trace.kinds) else "is told"
        raise ConfigError(f"--site {','.join(sites)}: no call site of the trace {have}")
    groups: dict[tuple[str | int, ...], list[int]] = {}
    for index in kinds:
        key = tuple(CULL[name](trace.kinds[index]) for name in culled_by)
        groups.setdefault(key, []).append(index)

    owners = [Owner(key, tally.figures(group)) for key, group in sorted(groups.items())]
    for name, descending in reversed(order):
        _sort(owners, name, descending, culled_by)
    return Who(
        culled_by,
        timed=bool(trace.times),
        sites_told=any(kind.site for kind in trace.kinds),
        peak=tally.moment(lives.peak, tally.at_peak),
        end=tally.moment(len(trace) - 1, tally.kept),
        owners=owners,
        all=tally.figures(kinds) if kinds else None,
    )


class _Tally:
    """Counts by kind, of which there are few, to be added up by row."""

    def __init__(self, trace: Trace, lives: Lives) -> None:
        self.kinds = trace.kinds
        self.times = trace.times
        self.allocs = Counter(lives.kinds)
        self.frees = Counter(lives.kinds_of(FREED))
        self.lost = Counter(lives.kinds_of(LOST))
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

    def figures(self, group: Iterable[int]) -> Figures:
        """Add the kinds of a row up."""
        group = list(group)
        spans = sorted(span for kind in group for span in self.lifetimes.get(kind, ()))
        sizes: Counter[int] = Counter()
        for kind in group:
            sizes[self.kinds[kind].size] += self.allocs[kind]
        freed = [self.last[kind] for kind in group if kind in self.last]
        return Figures(
            peak_bytes=self._bytes(self.at_peak, group),
            peak_areas=sum(self.at_peak[kind] for kind in group),
            end_bytes=self._bytes(self.kept, group),
            never_freed=sum(self.kept[kind] for kind in group),
            allocs=sum(self.allocs[kind] for kind in group),
            frees=sum(self.frees[kind] for kind in group),
            reallocs=sum(self.lost[kind] for kind in group),
            bytes=self._bytes(self.allocs, group),
            life_p50=_percentile(spans, 50),
            life_p99=_percentile(spans, 99),
            min_size=min(sizes),
            max_size=max(sizes),
            common_size=min(sizes, key=lambda size: (-sizes[size], size)),
            first_alloc=self._when(min(self.first[kind] for kind in group)),
            last_free=self._when(max(freed)) if freed else None,
        )

    def moment(self, operation: int, alive: Counter[int]) -> Moment:
        """Tell about a moment from the kinds that are alive."""
        return Moment(
            operation,
            self._when(operation) if self.times and operation >= 0 else None,
            self._bytes(alive, alive),
            alive.total(),
        )

    def _bytes(self, counts: Counter[int], group: Iterable[int]) -> int:
        return sum(counts[kind] * max(self.kinds[kind].size, 0) for kind in group)

    def _when(self, operation: int) -> int | None:
        """The time of an operation; its index if the trace tells no times."""
        if not self.times:
            return operation
        time: int = self.times[operation]
        return None if time == NO_TIME else time


def _percentile(values: Sequence[int], share: int) -> int | None:
    """The value that so many per cent do not exceed, by nearest rank; they are sorted."""
    return values[-(-share * len(values) // 100) - 1] if values else None


def _matches(site: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        fnmatchcase(name, pattern) for pattern in patterns for name in (site, function(site))
    )


def _cull_keys(cull: str) -> tuple[str, ...]:
    keys: list[str] = []
    for name in cull.split(","):
        keys += TEXT if name in WHOLE else [CULL_NAMES.get(name, name)]
    for key in keys:
        if key not in CULL:
            raise _bad_key("--cull", cull, key, [*CULL, "txt"])
    return tuple(dict.fromkeys(keys))


def _sort_keys(sort: str, culled_by: Sequence[str]) -> list[tuple[str, bool]]:
    """Names in order, and whether the highest comes first."""
    order = []
    for word in sort.split(","):
        descending = word.startswith("-")
        name = word[1:] if word.startswith(("-", "+")) else word
        keys = culled_by if name in WHOLE else [SORT_NAMES.get(name, name)]
        for key in keys:
            if key not in culled_by and key not in FIGURES:
                raise _bad_key("--sort", sort, name, ["txt", *culled_by, *FIGURES])
            order.append((key, descending))
    return order


def _bad_key(option: str, given: str, key: str, allowed: Sequence[str]) -> ConfigError:
    if key in NOT_TOLD:
        why = f"a trace does not keep '{key}'"
    elif key in CULL:
        why = f"rows are not culled by '{key}'; add it to --cull"
    else:
        why = f"there is no key '{key}'"
    return ConfigError(f"{option} {given}: {why}; keys are {', '.join(allowed)}")


def _sort(owners: list[Owner], name: str, descending: bool, culled_by: Sequence[str]) -> None:
    """Sort by one key; rows where it is not told come last in both directions."""

    def value(owner: Owner) -> tuple[bool, Any]:
        if name in culled_by:
            return descending, owner.key[culled_by.index(name)]
        figure = getattr(owner.figures, name)
        return (figure is None) != descending, figure or 0

    owners.sort(key=value, reverse=descending)
