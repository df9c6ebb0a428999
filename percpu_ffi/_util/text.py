# SPDX-License-Identifier: GPL-2.0-only
"""Counts, times, names and tables as text, the same everywhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

END = 30  # characters at the start and at the end of a long name
FORMULA = ("=", "+", "-", "@")  # a spreadsheet takes a cell that starts so for a formula
UNITS = (("s", 10**9), ("ms", 10**6), ("us", 10**3))


def plural(count: int, noun: str, spec: str = ",") -> str:
    """Return a count with its noun: ``1 area``, ``2 areas``; ``spec`` is the count's format."""
    stem, ending = (noun[:-1], "ies") if noun.endswith("try") else (noun, "s")
    return f"{count:{spec}} {noun if count == 1 else stem + ending}"


def duration(ns: int) -> str:
    """Return nanoseconds in a suitable unit, with three digits at least."""
    for unit, size in UNITS:
        if ns >= size:
            value = ns / size
            return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{ns} ns"


def printable(text: str) -> str:
    """Return a name for a terminal; control and other unprintable characters become ``?``."""
    return "".join(character if character.isprintable() else "?" for character in text)


def cell(name: str) -> str:
    """Return a name for a cell of a table; of a long one, which may be anyone's, both ends."""
    text = printable(name)
    return text if len(text) <= 2 * END + 3 else f"{text[:END]}...{text[-END:]}"


def table(rows: Iterable[Sequence[str]], indent: str = "  ") -> list[str]:
    """Return rows with aligned columns: the first to the left, the others to the right."""
    lines = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        (
            indent
            + "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
        ).rstrip()
        for line in lines
    ]


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return comma-separated values, without the last newline.

    Names come from recordings: unprintable characters become ``?``, and a ``'`` is put before
    what a spreadsheet takes for a formula.
    """
    import csv  # noqa: PLC0415 - most commands print none

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(_cell, row) for row in rows)
    return file.getvalue().rstrip("\n")


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) else text
