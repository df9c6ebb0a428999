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
    """Bytes from the start of a unit; with bitmaps from the start of the chunk.

    There the static area is before offset 0 of the first chunk.
    """


class Choice(NamedTuple):
    """What the policy chooses for a request that a kernel has served."""

    ptr: int
    """The pointer of the area where the kernel placed it; 0: the kernel found no place."""
    chosen: Location | None
    """The policy's choice; None: it finds no place."""
    offset: int | None
    """Its choice in the chunk that the kernel chose, in bytes; None likewise."""
    learnt: bool = False
    """Whether the chunk that it chose is taken to be sidelined from now on."""


class Block(NamedTuple):
    """What a chunk, or one of its pages, knows of its free runs; all in granules of 4 bytes.

    The kernel's ``struct pcpu_block_md``.
    """

    scan_hint: int
    """Length of a run before the next one, or 0."""
    scan_hint_start: int
    """Where it starts."""
    contig_hint: int
    """Length of the largest known run."""
    contig_hint_start: int
    """Where it starts."""
    left_free: int
    """Length of the run at the start."""
    right_free: int
    """Length of the run at the end."""
    first_free: int
    """No granule before it is free."""
    nr_bits: int
    """Length of the whole."""


@dataclass(frozen=True)
class ChunkState:
    """One chunk."""

    id: int
    """Ordinal of creation; 0 is the first chunk, -1 the reserved one."""
    free_size: int
    """Free bytes in a unit."""
    contig_hint: int
    """Bytes; no free range is larger.  With bitmaps: the largest known free run."""
    map: tuple[int, ...]
    """Signed sizes in bytes from offset 0: positive free, negative in use."""
    map_alloc: int
    """Room of the map in entries; 0 while there is no map, and with bitmaps."""
    immutable: bool
    """Mapped by the caller of the set-up: its pages never change."""
    populated: tuple[int, ...]
    """For each page of a unit, how many CPUs hold it."""
    hints: Block | None = None
    """With bitmaps: what the chunk knows of its free runs."""
    blocks: tuple[Block, ...] = ()
    """With bitmaps: the same for each page."""
    empty_pages: int = 0
    """With bitmaps: populated pages that are all free."""
    isolated: bool = False
    """With bitmaps: the empty pages are to be depopulated."""

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
        has_static = self.id == 0 and self.map and not self.blocks
        static = -self.map[0] if has_static else 0
        return unit_size or sum(map(abs, self.map)), static_size or static

    @property
    def hidden_bytes(self) -> int:
        """With bitmaps: free bytes, if the contig hint says that there are none; else 0."""
        return 0 if self.hints is None or self.contig_hint else self.free_size

    def summary(self) -> str:
        """Describe the chunk in one line."""
        areas = sum(size < 0 for size in self.map) - (self.extent()[1] > 0)
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
            f"populated={_runs(self.populated)}"
            + (f", blocks=({len(self.blocks):,} of them))" if self.blocks else ")")
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
    kinds: tuple[str, ...] = ()
    """With bitmaps: what each slot is for: "full", "size", "sidelined", "free", "depopulate"."""
    populated_pages: int = 0
    """With bitmaps: populated pages of one CPU, those of the static area included."""
    empty_pages: int = 0
    """With bitmaps: those that are all free, without isolated chunks and the reserved one."""
    balance_requested: bool = False
    """With bitmaps: background work is to run."""
    atomic_failed: bool = False
    """With bitmaps: an atomic request failed, so it populates more pages."""

    @property
    def hidden_bytes(self) -> int:
        """With bitmaps: free bytes in chunks whose contig hint says that there are none."""
        return sum(chunk.hidden_bytes for chunk in self.chunks)

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


def slot_kinds(slots: int) -> tuple[str, ...]:
    """Return what each slot is for, with bitmaps."""
    return ("full", *("size",) * (slots - 4), "sidelined", "free", "depopulate")


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
