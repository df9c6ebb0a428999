# SPDX-License-Identifier: GPL-2.0-only
"""Where objects of one size come to lie, when they fill empty chunks one after the other.

First fit in chunks that are filled one by one: the first chunk holds the static area and
what fits behind it, each later one a whole unit.

    chunk 0  |SSSS|0|1|2|...            chunk 1  |n0|n0+1|...
"""

from __future__ import annotations

from percpu_ffi.bench.workload import SETUP

__all__ = ["CPUS", "PAGE", "STATIC", "UNIT", "first_objects", "per_chunk", "whole_chunks"]

CPUS: int = SETUP["cpus"]
PAGE: int = SETUP["page_size"]
STATIC: int = SETUP["static_size"]
UNIT = 16 * PAGE


def per_chunk(size: int) -> tuple[int, int]:
    """Tell how many objects fit the first chunk, and how many each later one."""
    return (UNIT - STATIC) // size, UNIT // size


def whole_chunks(objects: int, size: int) -> int:
    """Round down to objects that fill whole chunks; the first and another one at least."""
    first, later = per_chunk(size)
    return first + later * max((objects - first) // later, 1)


def first_objects(objects: int, size: int, share: int) -> list[int]:
    """Tell the objects that lie in the first half (third, ...) of their chunk's unit."""
    first, later = per_chunk(size)
    below = UNIT // share
    chosen = list(range((below - STATIC) // size))
    for start in range(first, objects, later):
        chosen += range(start, start + below // size)
    return chosen
