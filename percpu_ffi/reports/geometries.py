# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as text: two tables of at most 100 columns, a geometry a line.

The first is about memory, the second about chunks, work and offsets.  The last line of
both is the recording kernel's, as far as the trace tells.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi._util.text import plural, table
from percpu_ffi.analysis.geometries import GEOMETRY, Outcome, Refusal, steps
from percpu_ffi.config import FIRST_CHUNKS
from percpu_ffi.reports.recording import recorded_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_ffi.trace import Trace, TraceStats

__all__ = ["KERNEL_PAGE", "side_by_side"]

WIDTH = 100
KERNEL_PAGE = 4096  # bytes, of those that a trace counts
NOTHING = "-"
HEADS = ("first", "unit", "cpus", "static", "free", "page")  # of GEOMETRY
MOST_SHOWN = 1 << 40  # as a part of a geometry
ALWAYS = ("first_chunk", "unit_size", "cpus")


class Column(NamedTuple):
    """A column of a table: a heading of two lines, and what stands below."""

    group: str
    head: str
    tell: Callable[[Outcome], str]
    tell_kernel: Callable[[TraceStats], str] = lambda _: NOTHING


def _figure(name: str) -> Callable[[Any], str]:
    def tell(of: Any) -> str:
        value = getattr(of, name)
        return NOTHING if value is None else f"{value:,}"

    return tell


def _share(name: str) -> Callable[[Outcome], str]:
    def tell(row: Outcome) -> str:
        count = getattr(row, name)
        return NOTHING if count is None else f"{count / row.offsets_known:.1%}"

    return tell


def _kernel_pages(stats: TraceStats) -> str:
    return f"{stats.kernel_pages * stats.cpus:,}" if stats.cpus else NOTHING


MEMORY = (
    Column("", "failed", _figure("failures"), _figure("kernel_failures")),
    Column("at peak:", "live bytes", _figure("peak_live_bytes")),
    Column("at peak:", "pages", _figure("pages_at_peak")),
    Column("at peak:", "used", lambda row: f"{row.utilisation_at_peak:.1%}"),
    Column("at peak:", "stranded", _figure("stranded_at_peak")),
    Column("most", "pages", _figure("peak_pages"), _kernel_pages),
    Column("at end:", "pages", _figure("pages")),
    Column("at end:", "stranded", _figure("stranded")),
)
CHUNKS = (
    Column("chunks:", "most", _figure("peak_chunks"), _figure("kernel_chunks")),
    Column("chunks:", "made", _figure("chunks_created"), _figure("kernel_created")),
    Column("chunks:", "gone", _figure("chunks_destroyed"), _figure("kernel_destroyed")),
    Column("chunks:", "at end", _figure("chunks")),
    Column("steps:", "alloc", lambda row: f"{steps(row.work.alloc):,.1f}"),
    Column("steps:", "free", lambda row: f"{steps(row.work.free):,.1f}"),
    Column("offset:", "same", _share("same_offsets")),
    Column("offset:", "shifted", _share("same_shifted")),
    Column("offset:", "by", _figure("shift")),
)


def side_by_side(name: str, trace: Trace, rows: Sequence[Outcome | Refusal]) -> list[str]:
    """Give the lines that set what ``compare`` gave for ``trace`` side by side.

    A table that is too wide is cut in two.
    """
    stats = trace.stats
    asked = f"{plural(stats.allocs, 'allocation')}, {plural(stats.frees, 'free')}"
    title = f"{name}: {asked}{recorded_on(stats)}"
    lines = [*_wrapped(title), "", *_table(stats, rows, MEMORY, reasons=True)]
    possible = [row for row in rows if isinstance(row, Outcome)]
    if possible:
        lines += ["", *_table(stats, rows, CHUNKS, reasons=False), ""]
        notes = _notes(stats, possible[0].offsets_known)
        lines += [line for note in notes for line in _wrapped(note, 2)]
    return lines


def _notes(stats: TraceStats, known: int) -> list[str]:
    """Tell what the words in the tables mean."""
    notes = [
        "live bytes: asked for, in one CPU's copies. Pages and stranded bytes: on all CPUs.",
        "stranded: bytes of pages that are neither static area nor asked for; used: the others.",
        "steps of a call: lists, chunks, map entries, tree nodes; those of the file of 2009.",
    ]
    if known:
        notes.append(
            f"offset: of {known:,} allocations, those at the kernel's own offset in a unit, in "
            "whatever chunk; and those off it by the number of bytes that most have in common."
        )
    if stats.kernel_chunks:
        notes.append(
            f"kernel: the chunks in which areas were seen, and the pages that these touched, "
            f"{stats.kernel_pages * KERNEL_PAGE:,} bytes for each CPU, up to offset "
            f"{stats.kernel_extent:,}."
        )
    return notes


def _table(
    stats: TraceStats,
    rows: Sequence[Outcome | Refusal],
    columns: Sequence[Column],
    *,
    reasons: bool,
) -> list[str]:
    names = _names(rows)
    groups = ["", *(column.group for column in columns)]
    lines = [
        ["" for _ in names] + [now if now != last else "" for last, now in pairwise(groups)],
        [HEADS[GEOMETRY.index(name)] for name in names] + [column.head for column in columns],
    ]
    notes = {}
    for row in rows:
        cells = [_setting(name, row.geometry[name]) for name in names]
        if isinstance(row, Outcome):
            cells += [column.tell(row) for column in columns]
        else:
            cells += [""] * len(columns)
            notes[len(lines)] = f"refused: {row.reason}" if reasons else "refused"
        lines.append(cells)
    if stats.kernel_chunks:
        own = {"first_chunk": "kernel", "cpus": f"{stats.cpus:,}" if stats.cpus else NOTHING}
        cells = [own.get(name, NOTHING) for name in names]
        lines.append(cells + [column.tell_kernel(stats) for column in columns])
    aligned = _aligned(lines, notes)
    if max(map(len, aligned)) <= WIDTH or len(columns) == 1:
        return aligned
    left, right = columns[: len(columns) // 2], columns[len(columns) // 2 :]
    return [
        *_table(stats, rows, left, reasons=reasons),
        "",
        *_table(stats, rows, right, reasons=False),
    ]


def _names(rows: Sequence[Outcome | Refusal]) -> list[str]:
    """Choose the parts of a geometry that are shown: three, and where others differ."""
    possible = [row.geometry for row in rows if isinstance(row, Outcome)]

    def differ(names: Sequence[str]) -> int:
        return len({tuple(geometry[name] for name in names) for geometry in possible})

    shown = [n for n in GEOMETRY if n in ALWAYS or (n != "free_size" and differ([n]) > 1)]
    # most often it follows from the others
    return shown if differ(shown) == differ(GEOMETRY) else [*shown, "free_size"]


def _setting(name: str, value: Any) -> str:
    if name == "first_chunk" and value in FIRST_CHUNKS:
        return str(value)
    if not isinstance(value, int) or abs(value) > MOST_SHOWN:
        return "?"  # refused, with a reason that shows it
    if name == "cpus" or not value:
        return "auto" if name in ("unit_size", "free_size") else f"{value:,}"
    for factor, suffix in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if value % factor == 0:
            return f"{value // factor:,}{suffix}"
    return f"{value:,}"


def _aligned(rows: Sequence[Sequence[str]], notes: dict[int, str]) -> list[str]:
    """Lay cells out in columns; the rows that have a note go on with it."""
    lines = []
    for number, line in enumerate(table(rows, indent="")):
        if number in notes:
            lines += _wrapped(f"{line}  {notes[number]}", len(line) + 2)
        else:
            lines.append(line)
    return lines


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent)
