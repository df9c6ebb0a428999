# SPDX-License-Identifier: GPL-2.0-only
"""What was in use before a recording began.

Only at boot is that known exactly: areas at the start of the first chunk, made before tracing
began and never freed::

    0      2208  2304     4352                     28672
    |#######|.....|########|........................|      # never allocated by the recording
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.config import GRANULE
from percpu_ffi.trace.steps import Alloc, Created, Free, Step

if TYPE_CHECKING:
    from percpu_ffi.geometry import Geometry
    from percpu_ffi.stats import Dump

MOST_EARLY = 8  # runs of early areas to try


class Sizes(NamedTuple):
    """The chunks of a geometry, in bytes from the start of a chunk."""

    first: tuple[int, int]
    """What the first chunk serves: from, to."""
    unit: int
    """Any other chunk: to."""

    @classmethod
    def of(cls, geometry: Geometry, page_size: int) -> Sizes:
        """Return those of a machine."""
        hidden = (geometry.static_size + geometry.reserved_size) % page_size
        return cls((hidden, hidden + geometry.dyn_size), geometry.unit_size)


@dataclass(frozen=True)
class Start:
    """Chunks and areas before the first step."""

    name: str
    """``"boot"``, ``"stats"`` or ``"inferred"``."""
    rule: str
    """How it was found, as a sentence."""
    chunks: tuple[int, ...]
    """Chunks of the recording that exist, by the policy's number; the first chunk first.

    -1: one that the recording does not name.
    """
    used: tuple[tuple[int, int, int], ...] = ()
    """Areas: the policy's chunk, first byte, byte after the last."""


def boot_starts(steps: Sequence[Step], sizes: Sizes) -> Iterator[Start]:
    """Return what may have been in use at boot, the least first."""
    first = next((step.place.chunk for step in steps if isinstance(step, Alloc)), 0)
    runs = list(_unknown_runs(steps, first, *sizes.first))[:MOST_EARLY]
    for n in range(len(runs) + 1):
        used = tuple((0, start, end) for start, end in runs[:n])
        shown = ", ".join(f"[{start}, {end})" for _, start, end in used) or "nothing"
        rule = f"at boot, with {shown} of the first chunk in use"
        yield Start("boot", rule, (first,), used)


def inferred_start(steps: Sequence[Step], sizes: Sizes, dump: Dump | None = None) -> Start:
    """Return a guess for a kernel that was running; ``dump`` is its ``percpu_stats`` then."""
    order = _old_chunks(steps, sizes)
    unknown = {
        number: list(_unknown_runs(steps, chunk, *(sizes.first if not number else (0, sizes.unit))))
        for number, chunk in enumerate(order)
    }
    rule = (
        "what the recording allocates is free at first, all else of its old chunks is in use; the "
        "chunk whose places are the lowest is the first one, if they fit into it, else that is full"
    )
    if dump:
        _add_free(unknown, sizes, dump)
        rule += "; the last contig_bytes of a chunk are free, as the dump has them"
    used = tuple((number, *run) for number, runs in unknown.items() for run in runs)
    return Start("stats" if dump else "inferred", rule, tuple(order), used)


def _old_chunks(steps: Sequence[Step], sizes: Sizes) -> list[int]:
    """Return the chunks that exist at the start, the first chunk first."""
    born = {step.chunk for step in steps if isinstance(step, Created)}
    ends: dict[int, int] = {}
    for step in steps:
        if isinstance(step, Alloc | Free) and step.place.chunk not in born:
            size = step.kind.size if isinstance(step, Alloc) else GRANULE
            ends[step.place.chunk] = max(ends.get(step.place.chunk, 0), step.place.offset + size)
    first = min(ends, key=lambda chunk: ends[chunk], default=-1)
    if first >= 0 and ends[first] > sizes.first[1]:
        first = -1
    return [first, *(chunk for chunk in ends if chunk != first)]


def _add_free(unknown: dict[int, list[tuple[int, int]]], sizes: Sizes, dump: Dump) -> None:
    """Take away the runs in the largest free range of each of a dump's chunks.

    Requests are served from the start of a chunk on, so that this range is taken to be at its end.
    The dump does not say which chunk of the recording is which: the one with the most free bytes is
    taken for the one of which most is allocated later.
    """
    first = [chunk.fields for chunk in dump.chunks if "First" in chunk.mark]
    others = [
        chunk.fields
        for chunk in dump.chunks
        if "First" not in chunk.mark and "Reserved" not in chunk.mark
    ]
    others.sort(key=lambda fields: -fields.get("free_bytes", 0))
    later = [number for number in unknown if number]
    later.sort(key=lambda number: sum(end - start for start, end in unknown[number]))
    for numbers, chunks, size in (([0], first, sizes.first[1]), (later, others, sizes.unit)):
        for number, fields in zip(numbers, chunks, strict=False):
            free = size - fields.get("contig_bytes", 0)
            runs = unknown[number]
            unknown[number] = [(start, min(end, free)) for start, end in runs if start < free]


def _unknown_runs(
    steps: Sequence[Step], chunk: int, start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Return the runs of a chunk that the recording never allocates, in bytes: from, to."""
    used = bytearray(end // GRANULE) + b"x"  # as if an area came after the last granule
    for step in steps:
        if isinstance(step, Alloc) and step.place.chunk == chunk:
            at = step.place.offset // GRANULE
            n = -(-step.kind.size // GRANULE)
            used[at : at + n] = b"x" * n
    at = start // GRANULE
    while (at := used.find(0, at)) >= 0:
        after = used.find(b"x", at)
        yield at * GRANULE, after * GRANULE
        at = after
