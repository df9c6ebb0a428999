# SPDX-License-Identifier: GPL-2.0-only
"""The areas of a timeline by origin and by size, and the call sites that pin chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from percpu_ffi.analysis.origins import Origin
from percpu_ffi.analysis.timeline import Patch, Timeline


@dataclass
class Row:
    """Areas of one origin or of one range of sizes; bytes are those of one CPU's copies."""

    name: str
    """The call site, caller or task, empty if it is unknown; or the largest size, bytes."""
    allocs: int = 0
    """Allocations that succeeded."""
    bytes: int = 0
    """Bytes that they requested."""
    at_peak: int = 0
    """Live bytes at the peak."""
    left: int = 0
    """Live bytes at the end."""
    areas_at_peak: int = 0
    """Live areas at the peak."""


@dataclass
class ChunkUser:
    """A call site with live areas at one moment."""

    name: str
    """The call site, empty if the trace has none."""
    chunks: int = 0
    """Chunks in which it has areas."""
    alone: int = 0
    """Those in which no other call site has areas, without ``Timeline.kept``."""
    areas: int = 0
    """Areas in all chunks."""
    bytes: int = 0
    """Bytes that they take, in one CPU's copies."""


def chunk_users(timeline: Timeline, patches: Iterable[Patch]) -> list[ChunkUser]:
    """Return one row for each call site in ``patches``, that in the most chunks first."""
    rows: dict[str, ChunkUser] = {}
    sites: dict[int, set[str]] = {}  # by chunk
    for patch in patches:
        if patch.kind >= 0:
            name = timeline.trace.kinds[patch.kind].site
            row = rows.setdefault(name, ChunkUser(name))
            row.areas += 1
            row.bytes += patch.end - patch.start
            sites.setdefault(patch.chunk, set()).add(name)
    for chunk, names in sites.items():
        for name in names:
            rows[name].chunks += 1
            rows[name].alone += chunk not in timeline.kept and len(names) == 1
    return sorted(rows.values(), key=lambda row: (-row.chunks, -row.bytes, row.name))


def by_site(timeline: Timeline) -> list[Row]:
    """Return one row for each call site, that with the most bytes at the peak first."""
    return _by_origin(timeline, lambda origin: origin.kind.site)


def by_caller(timeline: Timeline) -> list[Row]:
    """Return one row for each caller, likewise."""
    return _by_origin(timeline, lambda origin: origin.caller)


def by_task(timeline: Timeline) -> list[Row]:
    """Return one row for each name of a task, likewise."""
    return _by_origin(timeline, lambda origin: origin.task)


def _by_origin(timeline: Timeline, name_of: Callable[[Origin], str]) -> list[Row]:
    rows = _rows(timeline, name_of).values()
    return sorted(rows, key=lambda row: (-row.at_peak, -row.bytes, row.name))


def by_size(timeline: Timeline) -> list[Row]:
    """Return one row for each power of two from the smallest area up to the largest."""
    rows = _rows(timeline, lambda origin: str(1 << (origin.kind.size - 1).bit_length()))
    powers = [int(name).bit_length() - 1 for name in rows]
    names = [str(1 << power) for power in range(min(powers), max(powers) + 1)] if rows else []
    return [rows.get(name, Row(name)) for name in names]


def _rows(timeline: Timeline, name_of: Callable[[Origin], str]) -> dict[str, Row]:
    """Return one row for each name of origins."""
    rows: dict[str, Row] = {}
    for origin, counts in zip(timeline.origins, timeline.counts, strict=True):
        name, size = name_of(origin), origin.kind.size
        row = rows.setdefault(name, Row(name))
        row.allocs += counts.all
        row.bytes += size * counts.all
        row.at_peak += size * counts.at_peak
        row.left += size * counts.left
        row.areas_at_peak += counts.at_peak
    return rows
