# SPDX-License-Identifier: GPL-2.0-only
"""Call sites and sizes as tables of text, the same in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

from percpu_ffi._util.cells import Cells, Head
from percpu_ffi._util.text import cell, duration

if TYPE_CHECKING:
    from percpu_ffi.analysis.call_sites import CallSites
    from percpu_ffi.analysis.keys import Figures, Value
    from percpu_ffi.analysis.sizes import SizeRow

UNKNOWN = "(unknown)"
TITLES = {"site": "call site", "gfp": "gfp flags"}
COUNTS = {
    "peak_bytes": Head("at peak", "bytes"),
    "peak_areas": Head("at peak", "areas"),
    "end_bytes": Head("at end", "bytes"),
    "never_freed": Head("never", "freed"),
    "allocs": Head("", "allocs"),
    "frees": Head("", "frees"),
}
LIFETIMES = {"life_p50": Head("lifetime", "p50"), "life_p99": Head("lifetime", "p99")}
SIZES = (
    *(Head("", name) for name in ("size", "align", "allocs", "share", "to here", "bytes")),
    *(Head("at peak", name) for name in ("areas", "share", "bytes")),
)


def call_site_table(found: CallSites, stacks: Mapping[str, str] | None = None) -> Cells:
    """Return a row for each row, and one for all.

    Args:
        found: the figures, of one area or more.
        stacks: what is shown for a stack; those that are missing are shown in a line.

    """
    names = stacks or {}

    def key_cell(key: str, value: Value) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return str(value) if key == "pid" else f"{value:,}"
        text = value or ""
        if key == "stacktrace":
            text = names.get(text, in_a_line(text))
        return cell(text) or UNKNOWN

    keys = [Head("", TITLES.get(key, key)) for key in found.culled_by]
    everything = found.all and ["all", *[""] * (len(keys) - 1), *_figures(found.all, found.timed)]
    return Cells(
        [*keys, *COUNTS.values(), *LIFETIMES.values(), Head("", "sizes")],
        [
            (*map(key_cell, found.culled_by, row.key), *_figures(row.figures, found.timed))
            for row in found.rows
        ],
        everything or None,
        len(keys),
    )


def size_table(rows: Sequence[SizeRow], callers: bool) -> Cells:
    """Return a row for each row, with a column of callers or without."""

    def cells(row: SizeRow) -> Iterator[str]:
        *figures, caller = astuple(row)
        if callers:
            yield cell(caller) or UNKNOWN
        yield from (f"{each:.1%}" if isinstance(each, float) else f"{each:,}" for each in figures)

    heads = [*([Head("", "caller")] if callers else []), *SIZES]
    return Cells(heads, [[*cells(row)] for row in rows], keys=2 + callers)


def in_a_line(text: str) -> str:
    """Return a stack with semicolons between its frames."""
    return text.replace("\n", ";")


def _figures(figures: Figures, timed: bool) -> list[str]:
    counts = (f"{getattr(figures, name):,}" for name in COUNTS)
    lifetimes = (_lifetime(getattr(figures, name), timed) for name in LIFETIMES)
    sizes = dict.fromkeys((figures.min_size, figures.max_size))
    return [*counts, *lifetimes, "-".join(f"{size:,}" for size in sizes)]


def _lifetime(value: int | None, timed: bool) -> str:
    if value is None:
        return "-"
    return duration(value) if timed else f"{value:,}"
