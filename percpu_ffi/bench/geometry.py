# SPDX-License-Identifier: GPL-2.0-only
"""The machine that workloads run on, and where objects of one size come to lie there.

First fit fills chunks one after the other.  The first holds the static area and what fits
behind it, each later one a whole unit:

    chunk 0  |SSSS|0|1|2|...            chunk 1  |n0|n0+1|...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["USUAL", "Geometry"]


@dataclass(frozen=True)
class Geometry:
    """An allocator's sizes; those given are a small machine of 2009."""

    cpus: int = 4
    """Possible CPUs."""
    page: int = 4096
    """Bytes of a page."""
    static: int = 8192
    """Bytes of the static area."""

    @property
    def unit(self) -> int:
        """Bytes of a unit: 16 pages, the least that the 4k set-up takes."""
        return 16 * self.page

    @property
    def setup(self) -> dict[str, Any]:
        """Arguments of an allocator."""
        return {
            "cpus": self.cpus,
            "static_size": self.static,
            "first_chunk": "4k",
            "page_size": self.page,
            "memory": "none",
        }

    def per_chunk(self, size: int) -> tuple[int, int]:
        """Tell how many objects fit the first chunk, and how many each later one."""
        return (self.unit - self.static) // size, self.unit // size

    def starts(self, objects: int, size: int) -> list[int]:
        """Tell the first object of each chunk."""
        first, later = self.per_chunk(size)
        return [0, *range(first, objects, later)]

    def whole_chunks(self, objects: int, size: int) -> int:
        """Round down to objects that fill whole chunks; the first and another one at least."""
        first, later = self.per_chunk(size)
        return first + later * max((objects - first) // later, 1)

    def first_halves(self, objects: int, size: int) -> list[int]:
        """Tell the objects that lie in the first half of their unit."""
        half = self.unit // 2
        first, *later = self.starts(objects, size)
        chosen = list(range(first, (half - self.static) // size))
        for start in later:
            chosen += range(start, start + half // size)
        return chosen


USUAL = Geometry()
