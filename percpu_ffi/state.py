# SPDX-License-Identifier: GPL-2.0-only
"""What an allocator looks like inside, as plain values that compare equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["ChunkState", "Location", "State"]


class Location(NamedTuple):
    """Where a per-CPU pointer lies."""

    chunk: int
    """Ordinal of the chunk's creation; 0 is the first chunk."""
    offset: int
    """Bytes from the start of a unit."""


@dataclass(frozen=True)
class ChunkState:
    """One chunk."""

    id: int
    """Ordinal of creation; 0 is the first chunk."""
    free_size: int
    """Free bytes in a unit."""
    contig_hint: int
    """No free block is larger, in bytes."""
    map: tuple[int, ...]
    """Signed sizes in bytes from offset 0: positive free, negative in use."""
    map_alloc: int
    """Entries that the map has room for; 0 while there is no map."""
    immutable: bool
    """The caller of the set-up mapped it: pages never come or go."""
    populated: tuple[int, ...]
    """For each page of a unit, how many CPUs hold it."""


@dataclass(frozen=True)
class State:
    """A whole allocator at one moment."""

    slots: tuple[tuple[int, ...], ...]
    """Chunk ids on each slot list, slot 0 first, in list order."""
    chunks: tuple[ChunkState, ...]
    """All chunks, by id."""
