# SPDX-License-Identifier: GPL-2.0-only
"""Axes of charts: time, and bytes as matplotlib draws them."""

from __future__ import annotations

from typing import Any

AXES = ("seconds from the first operation", "operations done")


def set_byte_ticks(axis: Any, most: int, ticks: int) -> None:
    """Set at most ``ticks`` ticks above 0, up to ``most``; their distance is a power of two."""
    from matplotlib.ticker import MultipleLocator  # noqa: PLC0415

    axis.set_major_locator(MultipleLocator(1 << (max(most - 1, 0) // ticks).bit_length()))
    axis.set_major_formatter(bytes_label)


def bytes_label(value: float, _position: int) -> str:
    """Return the label of a tick; the arguments are those of matplotlib's FuncFormatter."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size:
            return f"{value / size:,.4g} {unit}"
    return f"{value:g}"
