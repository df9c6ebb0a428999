# SPDX-License-Identifier: GPL-2.0-only
"""Sums of per-CPU numbers, computed in C."""

# percpu_ffi first: its import loads the library that _sums is linked to
from percpu_ffi import Allocator, Area
from percpu_sums._sums import ffi, lib

__all__ = ["sums"]


def sums(allocator: Allocator, area: Area) -> list[int]:
    """Return the sums over all CPUs' copies of an area of 64-bit integers.

    Raises:
        ValueError: the area was freed, or the allocator closed.

    """
    n = area.size // 8
    totals = ffi.new("int64_t[]", n)
    error = lib.add_copies(allocator.handle, area.ptr, totals, n)
    if error:
        raise ValueError(ffi.string(lib.pcpu_strerror(error)).decode())
    return list(totals)
