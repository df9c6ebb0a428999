# SPDX-License-Identifier: GPL-2.0-only
"""Which call sites, callers or tasks hold the memory of a trace.

Keys have the names of the kernel's tools/mm/page_owner_sort.c: allocations with equal keys are
*culled* into one row, and rows are sorted by keys with ``+`` or ``-`` before them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Any, NamedTuple

from percpu_ffi._util.columns import columns_of_rows
from percpu_ffi._util.text import plural
from percpu_ffi.analysis.keys import (
    CULL,
    CULL_NAMES,
    DEFAULT_SORT,
    FIGURES,
    NEEDS,
    NOT_RECORDED,
    SORT_NAMES,
    TEXT,
    TEXT_NAMES,
    Figures,
    Value,
)
from percpu_ffi.analysis.life_columns import NO_ROW, LifeColumns
from percpu_ffi.analysis.lifetimes import columns_of
from percpu_ffi.analysis.origins import Selection, origins
from percpu_ffi.analysis.tables import call_site_table
from percpu_ffi.errors import ConfigError, check_type
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import NO_TIME


class Row(NamedTuple):
    """The values of the keys that the row was culled by, and its figures."""

    key: tuple[Value, ...]
    figures: Figures


class Moment(NamedTuple):
    """What was live after an operation."""

    operation: int
    """Index of the operation; -1: before the first."""
    time: int | None
    """Nanoseconds by the recorder's clock; None: unknown."""
    bytes: int
    """Live bytes, likewise."""
    areas: int
    """Live areas."""


class CallSites(NamedTuple):
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

    def columns(self) -> dict[str, list[Any]]:
        """Return a column for each key and each of ``FIGURES``, as ``who --csv`` prints them.

        They are equally long, with an item for each row.  None: unknown.
        """
        rows = (
            (*(None if value == "" else value for value in row.key), *row.figures)
            for row in self.rows
        )
        return columns_of_rows((*self.culled_by, *FIGURES), rows)

    def __repr__(self) -> str:
        return f"<CallSites, {self._title()}>"

    def _repr_html_(self) -> str:
        return call_site_table(self).html(self._title())

    def _title(self) -> str:
        rows = f"{plural(len(self.rows), 'row')} by {', '.join(self.culled_by)}"
        copies = f"{self.copies:,} copies" if (self.copies or 1) > 1 else "one CPU's copies"
        lifetimes = "" if self.timed else ", lifetimes in operations"
        return (
            f"{rows}, bytes of {copies}{lifetimes}: {plural(self.peak.bytes, 'byte')} in "
            f"{plural(self.peak.areas, 'area')} at the peak, {self.end.bytes:,} in "
            f"{self.end.areas:,} at the end"
        )


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

    lives = columns_of(trace)
    born = lives.born[: len(lives)]
    if born:
        _check_recorded(trace, cull, culled_by)
    columns = {NEEDS[key][0] for key in culled_by if key in NEEDS}
    columns |= {"stack"} if "caller" in culled_by else set()
    columns |= {*(["pid"] if pids else []), *(["task"] if names else [])}
    wanted = helpers if "caller" in culled_by else None
    found, numbers = origins(trace, born, wanted, columns)
    groups: dict[tuple[Value, ...], list[int]] = {}
    for number, origin in enumerate(found):
        if selection.includes(origin):
            key = tuple(CULL[name](origin) for name in culled_by)
            groups.setdefault(key, []).append(number)
    if found and not groups:
        raise selection.nothing(trace)

    figures = _Figures(trace, lives, [origin.kind.size for origin in found], numbers, copies or 1)
    ordered = sorted(groups.items(), key=lambda group: list(map(_rank, group[0])))
    all_figures = figures.of([group for _, group in ordered])
    rows = [Row(key, row) for (key, _), row in zip(ordered, all_figures, strict=False)]
    for name, descending in reversed(order):
        _sort(rows, name, descending, culled_by)
    return CallSites(
        culled_by,
        timed=bool(trace.times),
        sites_told=any(kind.site for kind in trace.kinds),
        peak=figures.moment(lives.peak, [count.at_peak for count in figures.counts]),
        end=figures.moment(len(trace) - 1, [count.kept for count in figures.counts]),
        rows=rows,
        all=all_figures[-1] if groups else None,
        copies=copies,
    )


class _Figures:
    """Figures of groups of lives that have one origin each."""

    def __init__(
        self,
        trace: Trace,
        lives: LifeColumns,
        sizes: Sequence[int],
        origin_of: array[int],
        copies: int,
    ) -> None:
        """Count the lives of each origin, of which these are the sizes."""
        self.times = trace.times
        self.lives = lives
        self.sizes = sizes
        self.origin_of = origin_of
        self.copies = copies
        self.counts = lives.count(origin_of, len(sizes))

    def of(self, rows: Sequence[Sequence[int]]) -> list[Figures]:
        """Return the figures of rows, which are lists of origins, and of all rows as one."""
        row_of = array("I", [NO_ROW]) * len(self.sizes)
        for row, numbers in enumerate(rows):
            for number in numbers:
                row_of[number] = row
        known = [sum(self.counts[number].known for number in numbers) for numbers in rows]
        spans, starts = self.lives.sorted_spans(self.origin_of, row_of, known)
        parts = zip(rows, starts, known, strict=True)
        everything = [number for numbers in rows for number in numbers]
        return [
            self._of(numbers, *(spans.percentile(share, start, n) for share in (50, 99)))
            for numbers, start, n in (*parts, (everything, 0, sum(known)))
            if numbers
        ]

    def _of(self, numbers: Sequence[int], life_p50: int | None, life_p99: int | None) -> Figures:
        counts = [self.counts[number] for number in numbers]
        sizes: Counter[int] = Counter()
        for number, count in zip(numbers, counts, strict=True):
            sizes[self.sizes[number]] += count.allocs
        at_peak, kept, allocs, frees, known, gaps = (
            [getattr(count, name) for count in counts]
            for name in ("at_peak", "kept", "allocs", "frees", "known", "uncertain")
        )
        return Figures(
            peak_bytes=self._bytes(at_peak, numbers),
            peak_areas=sum(at_peak),
            end_bytes=self._bytes(kept, numbers),
            never_freed=sum(kept),
            allocs=sum(allocs),
            frees=sum(frees),
            reallocs=sum(count.reallocs for count in counts),
            bytes=self._bytes(allocs, numbers),
            life_p50=life_p50,
            life_p99=life_p99,
            min_size=min(sizes),
            max_size=max(sizes),
            common_size=min(sizes, key=lambda size: (-sizes[size], size)),
            first_alloc=self._when(min(count.first for count in counts)),
            last_free=self._when(max(count.last_free for count in counts)) if sum(frees) else None,
            life_unknown=sum(frees) - sum(known) - sum(gaps),
            life_uncertain=sum(gaps),
        )

    def moment(self, operation: int, live: Sequence[int]) -> Moment:
        """Describe a moment at which so many areas of each origin are live."""
        time = self._when(operation) if self.times and operation >= 0 else None
        return Moment(operation, time, self._bytes(live, range(len(live))), sum(live))

    def _bytes(self, areas: Sequence[int], numbers: Sequence[int]) -> int:
        """Return the bytes of so many areas of each of some origins."""
        sizes = (max(self.sizes[number], 0) for number in numbers)
        total: int = sum(map(mul, areas, sizes))
        return self.copies * total

    def _when(self, operation: int) -> int | None:
        """Return the time of an operation; its index if the trace has no times."""
        if not self.times:
            return operation
        time: int = self.times[operation]
        return None if time == NO_TIME else time


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
