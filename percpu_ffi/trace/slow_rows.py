# SPDX-License-Identifier: GPL-2.0-only
"""What reading a file does for each operation, in Python: for where nothing is compiled.

:mod:`percpu_ffi.trace.rows` is the same in C; tests compare them.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING

from percpu_ffi.trace.operations import FAULT, FREE, NO_INDEX, ORPHAN, SPECIAL

if TYPE_CHECKING:
    from percpu_ffi.trace.operations import Column

Range = tuple[int, int, int, int, int]
"""How many handles, kinds and faults operations use; how many allocate, how many free."""


def join(items: memoryview, stride: int, data: bytearray, size: int) -> None:
    """Put the bytes of items together.

    Args:
        items: the bytes from the first item on.
        stride: bytes from one item to the next.
        data: all lowest bytes, then all second ones, and so on.
        size: bytes of an item: 2, 4 or 8.

    """
    n = len(data) // size
    for i in range(size):
        place = i if sys.byteorder == "little" else size - 1 - i
        items[place::stride] = data[i * n : (i + 1) * n]


def sum_times(times: Column, tick: int) -> None:
    """Turn differences into times, in place.

    Raises:
        OverflowError: a time has more than 64 bits.

    """
    for i, ticks in enumerate(accumulate(times)):
        times[i] = ticks % (1 << 64) * tick


def used(column: Column) -> int:
    """Return how many rows of a table a column uses, from the first to the highest."""
    return max({*column} - {NO_INDEX}, default=-1) + 1


def range_of(ops: bytes | bytearray | memoryview) -> Range:
    """Return what operations use."""
    words = memoryview(ops).cast("I")
    rows = Counter(zip(words[2::4].tolist(), words[3::4].tolist(), strict=True))
    allocs = {row: n for row, n in rows.items() if row[1] < SPECIAL}
    frees = {row: n for row, n in rows.items() if row[1] == FREE}
    handles = [handle for handle, _ in allocs]
    handles += [handle for handle, _ in frees if handle != ORPHAN]
    return (
        max(handles, default=-1) + 1,
        max((kind for _, kind in allocs), default=-1) + 1,
        max((handle for handle, kind in rows if kind == FAULT), default=-1) + 1,
        sum(allocs.values()),
        sum(frees.values()),
    )
