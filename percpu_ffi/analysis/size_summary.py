# SPDX-License-Identifier: GPL-2.0-only
"""A distribution of sizes in a few figures: how many are small, and what rounding costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from percpu_ffi._util.columns import columns_of_rows
from percpu_ffi.analysis.sizes import DIGITS, Distribution, Request

UP_TO = (8, 16, 64, 256, 1024)  # bytes
SHARES = ("up_to", "bytes_up_to")  # of a spread, for each of these
UNIT = 4  # bytes, to a multiple of which Linux 4.14 and later round: PCPU_MIN_ALLOC_SIZE


@dataclass(frozen=True)
class Spread:
    """The sizes of some areas."""

    areas: int
    """Their number."""
    bytes: int
    """Their bytes, as in :class:`~percpu_ffi.analysis.sizes.Distribution`.

    Sizes are those of one CPU's copy.
    """
    sizes: int
    """How many distinct sizes there are."""
    mean: float | None
    """Bytes; None, as all that follow: there is no area."""
    median: int | None
    """Bytes: the smallest size such that half of the areas are not larger."""
    largest: int | None
    """Bytes."""
    up_to: dict[int, float] | None
    """Share of the areas that are at most so large, 0 to 1, for the sizes of ``UP_TO``."""
    bytes_up_to: dict[int, float] | None
    """Share of the bytes in these areas."""
    rounded: float | None
    """Bytes with each size rounded up to a multiple of ``UNIT``, divided by bytes."""
    in_powers: float | None
    """The same with objects whose size is a power of two, from ``UNIT`` on, not below the
    alignment: a slab aligns each object to its size."""

    def figures(self) -> dict[str, Any]:
        """Return all figures by name, with a name for each share."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in SHARES:
            shares = found.pop(name) or dict.fromkeys(UP_TO)
            found |= {f"{name}_{limit}": share for limit, share in shares.items()}
        return found


@dataclass(frozen=True)
class Summary:
    """The figures of one trace, or of several."""

    allocated: Spread
    """All allocations."""
    at_peak: Spread
    """The areas live at the peak; of several traces, each at its own peak."""
    atomic: float | None
    """Share of the allocations that must not sleep, 0 to 1; None: unknown."""

    def columns(self) -> dict[str, list[Any]]:
        """Return a column of one item for each figure, as ``sizes --summary --csv`` prints them.

        None: unknown.
        """
        figures = {"atomic": self.atomic}
        for kind, spread in (("alloc", self.allocated), ("peak", self.at_peak)):
            figures |= {f"{kind}_{name}": value for name, value in spread.figures().items()}
        return columns_of_rows([*figures], [[*figures.values()]])


def summarise(found: Distribution) -> Summary:
    """Compute the figures of a distribution."""
    allocs = found.allocated.total()
    known = allocs and found.atomic is not None
    return Summary(
        _spread(found.allocated, found.bytes.total()),
        _spread(found.at_peak, found.peak_bytes.total()),
        round((found.atomic or 0) / allocs, DIGITS) if known else None,
    )


def power_of_two(request: Request) -> int:
    """Return the size of an object of a slab of powers of two that serves a request."""
    return 1 << (max(request.size, request.align, UNIT) - 1).bit_length()


def _spread(counted: Counter[Request], all_bytes: int) -> Spread:
    sizes: Counter[int] = Counter()
    for request, count in counted.items():
        sizes[request.size] += count
    areas = counted.total()
    total = _sum(counted, lambda request: request.size)
    if not total:
        return Spread(areas, 0, len(sizes), None, None, None, None, None, None, None)

    def up_to(limit: int) -> int:
        return sum(count for size, count in sizes.items() if size <= limit)

    def bytes_up_to(limit: int) -> int:
        return sum(size * count for size, count in sizes.items() if size <= limit)

    return Spread(
        areas,
        all_bytes,
        len(sizes),
        mean=round(total / areas, 1),
        median=min(size for size in sizes if 2 * up_to(size) >= areas),
        largest=max(sizes),
        up_to={limit: round(up_to(limit) / areas, DIGITS) for limit in UP_TO},
        bytes_up_to={limit: round(bytes_up_to(limit) / total, DIGITS) for limit in UP_TO},
        rounded=round(_sum(counted, lambda request: -(-request.size // UNIT) * UNIT) / total, 3),
        in_powers=round(_sum(counted, power_of_two) / total, 3),
    )


def _sum(counted: Counter[Request], size_of: Callable[[Request], int]) -> int:
    return sum(size_of(request) * count for request, count in counted.items())
