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
    rows: dict[str, Row] = {}
    for kind, born, died in timeline.areas():
        name = name_of(timeline.origins[born])
        _add(rows.setdefault(name, Row(name)), timeline, kind.size, born, died)
    return sorted(rows.values(), key=lambda row: (-row.at_peak, -row.bytes, row.name))


def by_size(timeline: Timeline) -> list[Row]:
    """Return one row for each power of two from the smallest area up to the largest."""
    rows: dict[int, Row] = {}
    for kind, born, died in timeline.areas():
        power = (kind.size - 1).bit_length()
        _add(rows.setdefault(power, Row(str(1 << power))), timeline, kind.size, born, died)
    powers = range(min(rows), max(rows) + 1) if rows else ()
    return [rows.get(power, Row(str(1 << power))) for power in powers]


def _add(row: Row, timeline: Timeline, size: int, born: int, died: int) -> None:
    row.allocs += 1
    row.bytes += size
    row.left += size * (died == len(timeline.trace))
    row.at_peak += size * (born < timeline.peak <= died)
    row.areas_at_peak += born < timeline.peak <= died
