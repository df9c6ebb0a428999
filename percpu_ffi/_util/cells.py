# SPDX-License-Identifier: GPL-2.0-only
"""A table of text cells under headings of two lines, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from percpu_ffi._util.text import plural

MOST_ROWS = 20  # in a notebook
# no colours and no fonts: those of the page, light or dark
STYLE = "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
LEFT = ' style="text-align:left"'
SENTENCE = ' style="text-align:left;white-space:normal"'


class Head(NamedTuple):
    """The heading of a column."""

    group: str
    """Its first line, shared by neighbours with the same one; may be empty."""
    name: str
    """Its second line."""


class Cells(NamedTuple):
    """A table; the first columns name the row."""

    heads: Sequence[Head]
    """Of each column."""
    rows: Sequence[Sequence[str]]
    """The last cell of a shorter row also fills the columns that it lacks."""
    foot: Sequence[str] | None = None
    """A row about all others."""
    keys: int = 1
    """How many columns name the row."""

    def lines(self) -> list[Sequence[str]]:
        """Return two lines of headings, and the rows, as :func:`text.table` aligns them."""
        groups = groupby(head.group for head in self.heads)
        return [
            [text for group, same in groups for text in (group, *[""] * (len([*same]) - 1))],
            [head.name for head in self.heads],
            *self.rows,
            *([self.foot] if self.foot else []),
        ]

    def html(self, caption: str) -> str:
        """Return HTML that needs nothing else, with the first ``MOST_ROWS`` rows."""
        left = len(self.rows) - MOST_ROWS
        styles = self._styles()
        more = (
            f"<tr><td{SENTENCE}{_span('col', len(self.heads))}>"
            f"and {plural(left, 'more row')}, which columns() has</td></tr>"
        )
        return "".join((
            f'<div style="overflow-x:auto"><table style="{STYLE}">',
            f"<caption{SENTENCE}>{escape(caption)}</caption><thead>",
            *self._headings(styles),
            "</thead><tbody>",
            *(self._row(row, styles) for row in self.rows[:MOST_ROWS]),
            more if left > 0 else "",
            "</tbody>",
            f"<tfoot>{self._row(self.foot, styles)}</tfoot>" if self.foot else "",
            "</table></div>",
        ))  # fmt: skip

    def _headings(self, styles: Sequence[str]) -> Iterator[str]:
        """Yield the line of groups, and that of the columns in them."""
        grouped = any(head.group for head in self.heads)
        of_keys = iter(styles)
        yield "<tr>"
        for group, heads in groupby(self.heads, lambda head: head.group):
            names = [head.name for head in heads]
            if group:
                span = _span("col", len(names)) + ' style="text-align:center"'
                yield f'<th scope="colgroup"{span}>{escape(group)}</th>'
            else:
                span = _span("row", 1 + grouped)
                yield from (_heading(name, span + next(of_keys, "")) for name in names)
        yield "</tr>"
        if grouped:
            yield f"<tr>{''.join(_heading(head.name) for head in self.heads if head.group)}</tr>"

    def _row(self, cells: Sequence[str], styles: Sequence[str]) -> str:
        """Return a row; a note in place of some cells is aligned as a text."""
        width, n = len(self.heads), len(cells)
        keys = (
            f'<th scope="row"{style}>{escape(cell)}</th>'
            for cell, style in zip(cells, styles, strict=False)
        )
        note = SENTENCE + _span("col", 1 + width - n) if n < width else ""
        notes = [""] * (n - self.keys - 1) + [note]
        values = (
            f"<td{note}>{escape(cell)}</td>"
            for cell, note in zip(cells[self.keys :], notes, strict=True)
        )
        return f"<tr>{''.join((*keys, *values))}</tr>"

    def _styles(self) -> list[str]:
        """Return a style for each column that names the row: texts are aligned to the left."""
        return [
            "" if all(_is_number(row[column]) for row in self.rows) else LEFT
            for column in range(self.keys)
        ]


def _heading(name: str, span: str = "") -> str:
    return f'<th scope="col"{span}>{escape(name)}</th>'


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdecimal()


def _span(of: str, n: int) -> str:
    return f' {of}span="{n}"' if n > 1 else ""
