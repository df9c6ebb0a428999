# SPDX-License-Identifier: GPL-2.0-only
"""A chunk's map as a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.state import ChunkState

__all__ = ["LEGEND", "map_bar"]

STATIC, USED, MIXED, FREE, NOTHING = "S#+. "
LEGEND = "S static   # in use   + in part   . free"


def map_bar(chunk: ChunkState, unit_size: int, static_size: int, width: int) -> str:
    """Draw one unit of a chunk on ``width`` characters.

    Args:
        chunk: its state.
        unit_size: bytes of a unit.
        static_size: bytes of the static area, which the first chunk starts with.
        width: characters, from 1.

    Returns: S static, # in use, + in part, . free, blank where the map says nothing.

    """
    sizes = chunk.map
    if not sizes:  # the first chunk before its first request
        sizes = (-static_size, chunk.free_size) if chunk.free_size else (-static_size,)

    used = [0.0] * width
    covered = [0.0] * width
    offset = 0
    for size in sizes:
        end = offset + abs(size)
        _spread(covered, offset, end, unit_size)
        if size < 0:
            _spread(used, offset, end, unit_size)
        offset = end

    static_cells = width * static_size / unit_size if chunk.id == 0 else 0.0
    return "".join(
        STATIC if i + 0.5 < static_cells else _cell(used[i], covered[i]) for i in range(width)
    )


def _spread(cells: list[float], start: int, end: int, unit_size: int) -> None:
    """Add the bytes from ``start`` to ``end`` to the cells that they fall into."""
    scale = len(cells) / unit_size
    first, last = start * scale, end * scale
    for i in range(int(first), min(int(last) + 1, len(cells))):
        cells[i] += max(0.0, min(last, i + 1) - max(first, i))


def _cell(used: float, covered: float) -> str:
    if covered < 0.5:
        return NOTHING
    # a sliver of either kind is not shown: a cell is one character
    if used > 0.95 * covered:
        return USED
    return MIXED if used > 0.05 * covered else FREE
