# SPDX-License-Identifier: GPL-2.0-only
"""The part of a chunk that any policy needs: its address, its slot, its pages, its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.model.memory import Memory


class Chunk:
    """A chunk: address space with one unit for each CPU."""

    def __init__(self, number: int, pages: int, memory: Memory) -> None:
        """Start without an address, on no slot, and with no page populated."""
        self.id = number
        self.addr = 0  # of CPU 0's unit; a per-CPU pointer is this plus an offset
        self.base = 0  # bytes from the start of a unit to offset 0: not 0 for bitmaps' first ones
        self.max_size = 0  # bytes of its largest area so far, as requested
        self.slot: int | None = None  # the list that it is on
        self.immutable = False  # pages never come or go
        self.populated = [0] * pages  # for each page, how many CPUs hold it
        self.memory = memory  # contents
