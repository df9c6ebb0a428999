# SPDX-License-Identifier: GPL-2.0-only
"""Drawings of a chunk's map: a line of text, and HTML for notebooks.

The HTML is self-contained.  A map is drawn in cells, so the size of a picture is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural

if TYPE_CHECKING:
    from percpu_ffi.state import ChunkState

STATIC, USED, MIXED, FREE, NOTHING = "S#+. "
ROUNDING = 1e-9  # of a cell
LEGEND = "S static   # in use   + in part   . free"


def map_bar(chunk: ChunkState, unit_size: int, static_size: int, width: int) -> str:
    """Draw one unit of a chunk as text.

    Args:
        chunk: its state.
        unit_size: bytes of a unit.
        static_size: bytes of the static area at the start of the first chunk.
        width: characters, from 1.

    Returns: S static, # in use, + in part, . free, blank after the end of the map.

    """
    bar = map_window(chunk.entries(static_size), 0, unit_size, width)
    static_cells = width * static_size / unit_size if chunk.id == 0 else 0.0
    return "".join(STATIC if i + 0.5 < static_cells else cell for i, cell in enumerate(bar))


def map_window(sizes: Sequence[int], start: int, end: int, width: int) -> str:
    """Draw the part of a map between two offsets as ``width`` characters, from 1."""
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
    """Add to each cell the part of it that a range of cells covers."""
    for i in range(max(int(first), 0), min(int(last) + 1, len(cells))):
        cells[i] += max(0.0, min(last, i + 1) - max(first, i))


def _cell(used: float, covered: float) -> str:
    if covered < 0.5:
        return NOTHING
    if used > 0.95 * covered:
        return USED  # except for a sliver
    # even the smallest area is shown: it may be what pins its chunk
    return MIXED if used > ROUNDING else FREE


CELLS = 320  # of a bar; each is 2 pixels wide
MOST_CHUNKS = 24
WIDTH, BAR, PAGES = 2 * CELLS, 16, 5  # pixels

# readable on white and on black; a free range is transparent
COLOURS = {
    STATIC: ("static", "#777777"),
    USED: ("in use", "#3b75af"),
    MIXED: ("in part", "#93b7d9"),
    FREE: ("free", "#88888840"),
}
HELD = ("page held", "#4f9d4f")


def picture(
    title: str, chunks: Sequence[ChunkState], unit_size: int | None, static_size: int | None
) -> str:
    """Draw chunks as HTML, one below the other.

    Args:
        title: a line above them; any text.
        chunks: their states.
        unit_size: bytes of a unit; None: those of each map.
        static_size: bytes of the static area; None: the first entry of the first chunk's map.

    """
    parts = ['<div style="font-family:monospace;font-size:12px;line-height:1.5">']
    parts.append(f"<div>{escape(title)}</div>")
    if chunks:
        legend = (
            f'<span style="color:{colour}">&#9632;</span> {name}'
            for name, colour in (*COLOURS.values(), HELD)
        )
        parts.append(f"<div>{' &nbsp; '.join(legend)}</div>")
    for chunk in chunks[:MOST_CHUNKS]:
        parts += (f"<div>{escape(chunk.summary())}</div>", *_bar(chunk, unit_size, static_size))
    if len(chunks) > MOST_CHUNKS:
        parts.append(f"<div>and {plural(len(chunks) - MOST_CHUNKS, 'more chunk')}</div>")
    return "".join((*parts, "</div>"))


def _bar(chunk: ChunkState, unit_size: int | None, static_size: int | None) -> Iterator[str]:
    height = BAR + PAGES + 1
    yield (
        f'<svg role="img" aria-label="{escape(chunk.summary())}" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" '
        'style="display:block;max-width:100%">'
    )
    unit, static = chunk.extent(unit_size, static_size)
    cells = map_bar(chunk, unit, static, CELLS) if unit else NOTHING * CELLS
    yield from _runs(cells, 0, BAR, {kind: colour for kind, (_, colour) in COLOURS.items()})
    yield from _runs(_pages(chunk.populated), BAR + 1, PAGES, {True: HELD[1]})
    yield f'<rect width="{WIDTH}" height="{BAR}" fill="none" stroke="#777777"/></svg>'


def _pages(populated: Sequence[int]) -> Iterable[bool]:
    """Return for each cell whether a page in it is held."""
    n = len(populated)
    return (any(populated[i * n // CELLS : -(-(i + 1) * n // CELLS)]) for i in range(CELLS))


def _runs(
    cells: Iterable[str | bool], y: int, height: int, colours: Mapping[str | bool, str]
) -> Iterator[str]:
    """Draw a run of equal cells as one rectangle."""
    x = 0
    for kind, run in groupby(cells):
        width = 2 * len(list(run))
        if colour := colours.get(kind):
            yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'
        x += width
