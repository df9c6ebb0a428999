# SPDX-License-Identifier: GPL-2.0-only
"""The distribution of sizes and alignments, and who requests them: allocated, and at the peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields, replace
from itertools import accumulate
from typing import Any, NamedTuple

from percpu_ffi._util.columns import columns_of_rows
from percpu_ffi._util.text import plural
from percpu_ffi.analysis.lifetimes import lives_of
from percpu_ffi.analysis.origins import origins
from percpu_ffi.analysis.tables import size_table
from percpu_ffi.trace import Trace

DIGITS = 6  # of shares
COUNTERS = ("allocated", "at_peak", "bytes", "peak_bytes")  # of a distribution


class Request(NamedTuple):
    """Size and alignment of an allocation, bytes, and who made it."""

    size: int
    align: int
    caller: str = ""
    """As :class:`~percpu_ffi.analysis.callers.Callers` finds it; empty: not counted, or unknown."""


@dataclass(frozen=True)
class SizeRow:
    """Allocations of one size, alignment and caller; bytes as in :class:`Distribution`."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    allocs: int
    """Allocations."""
    share: float
    """Share of all allocations, 0 to 1."""
    cumulative: float
    """Share of all allocations in this row and those above."""
    bytes: int
    """Bytes of these allocations."""
    peak_areas: int
    """Live areas at the peak."""
    peak_share: float
    """Share of all live areas at the peak."""
    peak_bytes: int
    """Live bytes at the peak."""
    caller: str
    """As in :class:`Request`."""


@dataclass(frozen=True)
class Bucket:
    """Allocations with sizes above one power of two, up to the next one."""

    from_size: int
    """Lowest size, bytes."""
    to_size: int
    """Highest size, bytes: a power of two."""
    allocs: int
    """This and all that follow: as in :class:`SizeRow`."""
    share: float
    bytes: int
    peak_areas: int
    peak_share: float
    peak_bytes: int
    callers: dict[str, int]
    """Areas live at the peak by caller, the most first; empty if callers are not counted."""


@dataclass(frozen=True)
class Distribution:
    """The requests of one trace, or of several."""

    allocated: Counter[Request]
    """All allocations."""
    at_peak: Counter[Request]
    """Areas live at the peak; of several traces, each at its own peak."""
    bytes: Counter[Request]
    """Bytes of all allocations, in one CPU's copies or in more."""
    peak_bytes: Counter[Request]
    """Bytes of the areas live at the peak, likewise."""
    atomic: int | None
    """Allocations that must not sleep; None: unknown."""

    def of_copies(self, copies: int) -> Distribution:
        """Return the same with bytes in so many times as many copies."""
        each, at_peak = (
            Counter({request: size * copies for request, size in counts.items()})
            for counts in (self.bytes, self.peak_bytes)
        )
        return replace(self, bytes=each, peak_bytes=at_peak)

    def rows(self) -> list[SizeRow]:
        """Return one row for each size, alignment and caller, the smallest first."""
        requests = sorted(self.allocated)
        so_far = accumulate(self.allocated[request] for request in requests)
        add_up, areas = self._adder(), self.allocated.total()
        return [
            SizeRow(
                **request._asdict(), cumulative=round(count / areas, DIGITS), **add_up([request])
            )
            for request, count in zip(requests, so_far, strict=True)
        ]

    def columns(self) -> dict[str, list[Any]]:
        """Return a column for each field of :class:`SizeRow`, as ``sizes --csv`` prints them.

        They are equally long, with an item for each row.  ``caller`` is there if one is known, and
        None where it is not.
        """
        columns = columns_of_rows(
            [field.name for field in fields(SizeRow)], map(astuple, self.rows())
        )
        callers = [caller or None for caller in columns.pop("caller")]
        return {**columns, "caller": callers} if self._has_callers() else columns

    def __repr__(self) -> str:
        return f"<Distribution, {self._title()}>"

    def _repr_html_(self) -> str:
        return size_table(self.rows(), self._has_callers()).html(self._title())

    def _has_callers(self) -> bool:
        return any(request.caller for request in self.allocated)

    def _title(self) -> str:
        areas = plural(self.at_peak.total(), "area")
        return (
            f"{plural(self.allocated.total(), 'allocation')} of "
            f"{plural(self.bytes.total(), 'byte')}, {areas} of "
            f"{plural(self.peak_bytes.total(), 'byte')} at the peak"
        )

    def histogram(self) -> list[Bucket]:
        """Return one bucket for each power of two from the smallest size to the largest."""
        groups: dict[int, list[Request]] = {}
        for request in self.allocated:
            power = (request.size - 1).bit_length() if request.size else -1
            groups.setdefault(power, []).append(request)
        add_up, buckets = self._adder(), []
        for power in range(min(groups), max(groups) + 1) if groups else ():
            highest = 1 << power if power >= 0 else 0
            lowest = highest // 2 + (power >= 0)
            group = groups.get(power, [])
            buckets.append(Bucket(lowest, highest, **add_up(group), callers=self._callers(group)))
        return buckets

    def _callers(self, requests: list[Request]) -> dict[str, int]:
        """Count the areas live at the peak by caller, the most first."""
        areas: Counter[str] = Counter()
        for request in requests:
            areas[request.caller] += self.at_peak[request]
        ordered = sorted(areas.items(), key=lambda item: (-item[1], item[0]))
        return {caller: count for caller, count in ordered if caller and count}

    def _adder(self) -> Callable[[list[Request]], dict[str, Any]]:
        """Return a function that adds up the figures of some requests."""
        areas, peak_areas = self.allocated.total(), self.at_peak.total()

        def add_up(requests: list[Request]) -> dict[str, Any]:
            allocs = sum(self.allocated[request] for request in requests)
            at_peak = sum(self.at_peak[request] for request in requests)
            return {
                "allocs": allocs,
                "share": round(allocs / areas, DIGITS),
                "bytes": sum(self.bytes[request] for request in requests),
                "peak_areas": at_peak,
                "peak_share": round(at_peak / peak_areas, DIGITS),
                "peak_bytes": sum(self.peak_bytes[request] for request in requests),
            }

        return add_up


def sizes(trace: Trace, copies: int = 1, *, callers: bool = False) -> Distribution:
    """Count the requests of a trace; a size below 1, which no allocator grants, counts as 0.

    Args:
        trace: the trace.
        copies: by how many the bytes of one CPU's copies are multiplied.
        callers: count the requests of each caller separately.

    Raises:
        TraceError: the trace is damaged.
        ConfigError: it is not a trace.

    """
    lives = lives_of(trace)
    helpers, columns = ((), ["stack"]) if callers else (None, [])
    found, numbers = origins(trace, lives.born, helpers, columns)
    kinds = [
        Request(max(kind.size, 0), kind.align, caller if callers else "")
        for kind, *_, caller in found
    ]
    requests = [kinds[number] for number in numbers]
    at_peak = Counter(requests[area] for area in lives.at_peak(range(len(requests))))
    allocated = Counter(requests)
    atomic = sum("atomic" in found[number].kind.flags for number in numbers)
    return Distribution(
        allocated,
        at_peak,
        _bytes(allocated, copies),
        _bytes(at_peak, copies),
        atomic if "atomic" in trace.columns() else None,
    )


def sizes_of_file(path: str, strict: bool, callers: bool) -> tuple[Distribution, Trace]:
    """Read a trace and count its requests, for :func:`~percpu_ffi.executors.run_in_order`.

    Returns: the distribution, and the trace without its operations.

    Raises: as :meth:`percpu_ffi.Trace.load` and :func:`sizes`.

    """
    trace = Trace.load(path, strict=strict)
    return sizes(trace, callers=callers), trace.without_operations()


def total(distributions: Iterable[Distribution]) -> Distribution:
    """Add up distributions."""
    parts = list(distributions)
    atomic = [each.atomic for each in parts if each.atomic is not None]
    known = len(atomic) == len(parts)
    found = Distribution(Counter(), Counter(), Counter(), Counter(), sum(atomic) if known else None)
    for each in parts:
        for name in COUNTERS:
            getattr(found, name).update(getattr(each, name))
    return found


def _bytes(areas: Counter[Request], copies: int) -> Counter[Request]:
    return Counter({request: count * request.size * copies for request, count in areas.items()})
