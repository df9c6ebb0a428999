# SPDX-License-Identifier: GPL-2.0-only
"""A chunk's map as a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_ffi.state import ChunkState

__all__ = ["FREE", "LEGEND", "MIXED", "NOTHING", "STATIC", "USED", "map_bar", "map_window"]

STATIC, USED, MIXED, FREE, NOTHING = "S#+. "
ROUNDING = 1e-9  # of a cell
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
    bar = map_window(chunk.entries(static_size), 0, unit_size, width)
    static_cells = width * static_size / unit_size if chunk.id == 0 else 0.0
    return "".join(STATIC if i + 0.5 < static_cells else cell for i, cell in enumerate(bar))


def map_window(sizes: Sequence[int], start: int, end: int, width: int) -> str:
    """Draw the part of a map between two offsets on ``width`` characters, from 1."""
    used = [0.0] * width
    covered = [0.0] * width
    scale = width / (end - start)
    offset = 0
    for size in sizes:
        first, last = (offset - start) * scale, (offset + abs(size) - start) * scale
        if last > 0 and first < width:
            if size < 0:
                _spread(used, first, last)
            _spread(covered, first, last)
        offset += abs(size)
    return "".join(map(_cell, used, covered))


def _spread(cells: list[float], first: float, last: float) -> None:
    """Add a stretch, measured in cells, to those that it falls into."""
    for i in range(max(int(first), 0), min(int(last) + 1, len(cells))):
        cells[i] += max(0.0, min(last, i + 1) - max(first, i))


def _cell(used: float, covered: float) -> str:
    if covered < 0.5:
        return NOTHING
    if used > 0.95 * covered:
        return USED  # but for a sliver
    # the smallest area may be all that pins its chunk
    return MIXED if used > ROUNDING else FREE
