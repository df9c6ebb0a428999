# SPDX-License-Identifier: GPL-2.0-only
"""What reading a file does for each operation, in C: see csrc/analysis/columns.h.

:mod:`percpu_ffi.trace.slow_rows` is the same in Python, and explains the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi._core import ffi, lib

if TYPE_CHECKING:
    from percpu_ffi.trace.operations import Column
    from percpu_ffi.trace.slow_rows import Range


def join(items: memoryview, stride: int, data: bytearray, size: int) -> None:
    """Put the bytes of items together."""
    lib.pcpu_columns_join(
        ffi.from_buffer(items), stride, ffi.from_buffer("uint8_t[]", data), size, len(data) // size
    )


def sum_times(times: Column, tick: int) -> None:
    """Turn differences into times, in place."""
    if lib.pcpu_columns_sum(ffi.from_buffer("uint64_t[]", times), len(times), tick):
        raise OverflowError("int too big to convert")  # as Python says it


def used(column: Column) -> int:
    """Return how many rows of a table a column uses."""
    n: int = lib.pcpu_columns_used(ffi.from_buffer("uint32_t[]", column), len(column))
    return n


def range_of(ops: bytes | bytearray | memoryview) -> Range:
    """Return what operations use."""
    found = ffi.new("struct pcpu_ops_range *")
    lib.pcpu_columns_range(ffi.from_buffer("struct pcpu_op[]", ops), len(ops) // 16, found)
    return found.handles, found.kinds, found.faults, found.allocs, found.frees
