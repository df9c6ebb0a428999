# SPDX-License-Identifier: GPL-2.0-only
"""The state of an allocator as plain values that compare equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

from percpu_ffi._util.text import plural
from percpu_ffi.drawing import map_bar, picture

MOST_ENTRIES = 8  # of a map, in a repr
MOST_RUNS = 4  # of pages
MOST_CHUNKS = 12


class Location(NamedTuple):
    """Chunk and offset of a per-CPU pointer."""

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
    """Bytes; no free range is larger."""
    map: tuple[int, ...]
    """Signed sizes in bytes from offset 0: positive free, negative in use."""
    map_alloc: int
    """Room of the map in entries; 0 while there is no map."""
    immutable: bool
    """Mapped by the caller of the set-up: its pages never change."""
    populated: tuple[int, ...]
    """For each page of a unit, how many CPUs hold it."""

    def bar(self, width: int = 64, unit_size: int | None = None) -> str:
        """Draw the map as a line of text.

        S static, # in use, + in part, . free; blank after the end of the map, and for the
        first chunk before its first request.

        Args:
            width: characters, from 1.
            unit_size: bytes that the line covers; None: those of the map.

        """
        unit, static = self.extent(unit_size)
        return map_bar(self, unit, static, width) if unit and self.map else " " * width

    def entries(self, static_size: int) -> tuple[int, ...]:
        """Return the map, also that of the first chunk before its first request.

        Args:
            static_size: bytes of the static area at the start of the first chunk.

        """
        free = (self.free_size,) if self.free_size else ()
        return self.map or (-static_size, *free)

    def extent(
        self, unit_size: int | None = None, static_size: int | None = None
    ) -> tuple[int, int]:
        """Return bytes of a unit and of the static area, by default those of the map."""
        static = -self.map[0] if self.id == 0 and self.map else 0
        return unit_size or sum(map(abs, self.map)), static_size or static

    def summary(self) -> str:
        """Describe the chunk in one line."""
        areas = sum(size < 0 for size in self.map) - (self.id == 0 and bool(self.map))
        held = sum(1 for cpus in self.populated if cpus)
        fixed = ", immutable" if self.immutable else ""
        return (
            f"chunk {self.id}: {plural(self.free_size, 'byte')} free, largest hole up to "
            f"{self.contig_hint:,}, {plural(areas, 'area')}, "
            f"{held:,} of {len(self.populated):,} pages held{fixed}"
        )

    def __repr__(self) -> str:
        # that of a small chunk can be evaluated; dots shorten others
        return (
            f"ChunkState(id={self.id!r}, free_size={self.free_size!r}, "
            f"contig_hint={self.contig_hint!r}, map={_entries(self.map)}, "
            f"map_alloc={self.map_alloc!r}, immutable={self.immutable!r}, "
            f"populated={_runs(self.populated)})"
        )

    def _repr_html_(self) -> str:
        return picture("", [self], None, None)


@dataclass(frozen=True)
class State:
    """A whole allocator at one moment."""

    slots: tuple[tuple[int, ...], ...]
    """Chunk ids on each slot list, slot 0 first, in list order."""
    chunks: tuple[ChunkState, ...]
    """All chunks, by id."""

    def __repr__(self) -> str:
        most = max((sum(map(abs, chunk.map)) for chunk in self.chunks), default=0)
        lines = [
            f"[{chunk.bar(32, most)}] {chunk.summary()}" for chunk in self.chunks[:MOST_CHUNKS]
        ]
        left = len(self.chunks) - len(lines)
        more = [f"and {left:,} more"] if left else []
        return "\n  ".join([f"<State, {self._title()}", *lines, *more]) + ">"

    def _repr_html_(self) -> str:
        return picture(self._title(), self.chunks, None, None)

    def _title(self) -> str:
        used = sum(1 for ids in self.slots if ids)
        return f"{plural(len(self.chunks), 'chunk')} in {used} of {len(self.slots)} slots"


class Peaks(NamedTuple):
    """Largest numbers and sizes so far."""

    areas: int
    """Most live areas at one time."""
    chunks: int
    """Most chunks at one time."""
    smallest: int
    """Bytes of the smallest area, as requested; 0: none."""
    largest: int
    """Bytes of the largest area, as requested; 0: none."""
    by_chunk: Mapping[int, int]
    """The largest area of each chunk, by its id."""


def _entries(sizes: tuple[int, ...]) -> str:
    if len(sizes) <= MOST_ENTRIES:
        return repr(sizes)
    shown = ", ".join(map(repr, sizes[:MOST_ENTRIES]))
    return f"({shown}, ... {len(sizes) - MOST_ENTRIES:,} more)"


def _runs(populated: tuple[int, ...]) -> str:
    """Write runs of equal pages, which are long, as products."""
    runs = ((len(list(pages)), cpus) for cpus, pages in groupby(populated))
    shown = [f"({cpus},) * {n}" for n, cpus in islice(runs, MOST_RUNS)]
    if next(runs, None):
        shown.append("...")
    return " + ".join(shown) or "()"
