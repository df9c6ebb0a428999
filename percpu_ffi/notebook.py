# SPDX-License-Identifier: GPL-2.0-only
"""Chunks as pictures for notebooks: HTML that needs nothing, and stays small.

Each chunk is a bar of its unit; below it are the pages that are held.  A long map is drawn
in cells, so a picture has a bounded size, whatever it shows.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from percpu_ffi.draw import FREE, MIXED, NOTHING, STATIC, USED, map_bar
from percpu_ffi.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from percpu_ffi.state import ChunkState

__all__ = ["picture"]

CELLS = 320  # of a bar; each is 2 pixels wide
MOST_CHUNKS = 24
WIDTH, BAR, PAGES = 2 * CELLS, 16, 5  # pixels

# readable on white and on black
COLOURS = {
    STATIC: ("static", "#777777"),
    USED: ("in use", "#3b75af"),
    MIXED: ("in part", "#93b7d9"),
    FREE: ("free", "#e4e4e4"),
}
HELD = ("page held", "#4f9d4f")


def picture(
    title: str, chunks: Sequence[ChunkState], unit_size: int | None, static_size: int | None
) -> str:
    """Draw chunks below each other.

    Args:
        title: a line above them; any text.
        chunks: their states.
        unit_size: bytes of a unit; None: what each map covers.
        static_size: bytes of the static area; None: the first entry of the first chunk's map.

    """
    return "".join(_parts(title, chunks, unit_size, static_size))


def _parts(
    title: str, chunks: Sequence[ChunkState], unit_size: int | None, static_size: int | None
) -> Iterator[str]:
    yield '<div style="font-family:monospace;font-size:12px;line-height:1.5">'
    yield f"<div>{escape(title)}</div>"
    if chunks:
        legend = (
            f'<span style="color:{colour}">&#9632;</span> {name}'
            for name, colour in (*COLOURS.values(), HELD)
        )
        yield f"<div>{' &nbsp; '.join(legend)}</div>"
    for chunk in chunks[:MOST_CHUNKS]:
        yield f"<div>{escape(chunk.summary())}</div>"
        yield from _bar(chunk, unit_size, static_size)
    if len(chunks) > MOST_CHUNKS:
        yield f"<div>and {plural(len(chunks) - MOST_CHUNKS, 'more chunk')}</div>"
    yield "</div>"


def _bar(chunk: ChunkState, unit_size: int | None, static_size: int | None) -> Iterator[str]:
    yield f'<svg width="{WIDTH}" height="{BAR + PAGES + 1}" style="display:block">'
    unit, static = chunk.extent(unit_size, static_size)
    cells = map_bar(chunk, unit, static, CELLS) if unit else NOTHING * CELLS
    yield from _runs(cells, 0, BAR, {kind: colour for kind, (_, colour) in COLOURS.items()})
    yield from _runs(_pages(chunk.populated), BAR + 1, PAGES, {True: HELD[1]})
    yield f'<rect width="{WIDTH}" height="{BAR}" fill="none" stroke="#777777"/></svg>'


def _pages(populated: Sequence[int]) -> Iterable[bool]:
    """Tell for each cell whether a page in it is held."""
    n = len(populated)
    if not n:
        return []
    ends = [
        (i * n // CELLS, max(-(-(i + 1) * n // CELLS), i * n // CELLS + 1)) for i in range(CELLS)
    ]
    return (any(populated[start:end]) for start, end in ends)


def _runs(
    cells: Iterable[str | bool], y: int, height: int, colours: Mapping[str | bool, str]
) -> Iterator[str]:
    """Draw neighbours of one kind as one rectangle."""
    x = 0
    for kind, run in groupby(cells):
        width = 2 * len(list(run))
        colour = colours.get(kind)
        if colour:
            yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'
        x += width
