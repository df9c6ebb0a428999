# SPDX-License-Identifier: GPL-2.0-only
"""Render the replays under several policies and geometries as text, JSON and CSV.

The text has two tables of at most 100 columns, with a line for each geometry: one about memory,
one about chunks, work and offsets.  The last line of both is the recording kernel's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from percpu_ffi._util.text import csv_text, plural, table
from percpu_ffi.analysis.comparison import (
    MEMORY,
    UNKNOWN,
    Column,
    Comparison,
    chunk_columns,
    geometry_table,
    has_bitmaps,
    plain_row,
)
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.config import POLICY_NAMES
from percpu_ffi.reports.recording import possible_cpus, recorded_on
from percpu_ffi.trace import Trace, TraceStats

WIDTH = 100
KERNEL_PAGE = 4096  # bytes; a trace counts pages of this size
KERNEL = "kernel"  # the name of the recording kernel's line


@dataclass(frozen=True)
class GeometryReport:
    """The report of ``percpu-ffi compare``."""

    name: str
    """Of the trace."""
    trace: Trace
    rows: Sequence[Outcome | Refusal]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values; docs/analysis.md documents the keys."""
        stats = self.trace.stats
        return {
            "trace": self.name,
            "allocs": stats.allocs,
            "frees": stats.frees,
            "kernel": {
                "cpus": stats.cpus,
                "chunks": stats.kernel_chunks,
                "chunks_created": stats.kernel_created,
                "chunks_destroyed": stats.kernel_destroyed,
                "bytes_per_cpu": stats.kernel_pages * KERNEL_PAGE,
                "extent": stats.kernel_extent,
                "failures": stats.kernel_failures,
            },
            "geometries": [plain_row(row) for row in self.rows],
        }

    def to_csv(self) -> str:
        """Return a line for each geometry, without the reasons of failures."""
        columns = self.csv_columns()
        return csv_text([*columns], zip(*columns.values(), strict=True))

    def csv_columns(self) -> dict[str, list[Any]]:
        """Return the columns of CSV by name."""
        stats, n = self.trace.stats, len(self.rows)
        return {
            **Comparison(self.rows).columns(),
            "kernel_chunks": [stats.kernel_chunks] * n,
            "kernel_bytes_per_cpu": [stats.kernel_pages * KERNEL_PAGE] * n,
        }

    def to_text(self) -> str:
        """Return the tables and their notes; a table that is too wide becomes two."""
        stats, rows = self.trace.stats, self.rows
        machine = replace(stats, cpus=possible_cpus(self.trace) or 0)  # each has its pages
        counts = f"{plural(stats.allocs, 'allocation')}, {plural(stats.frees, 'free')}"
        title = f"{self.name}: {counts}{recorded_on(stats)}"
        lines = [*wrapped(title), "", *_table(machine, rows, MEMORY, reasons=True)]
        possible = [row for row in rows if isinstance(row, Outcome)]
        if possible:
            policies = {row.geometry["policy"] for row in possible}
            lines += ["", *_table(machine, rows, chunk_columns(rows), reasons=False), ""]
            bitmaps, own = has_bitmaps(rows), not policies <= {*POLICY_NAMES}
            notes = _notes(stats, possible[0].offsets_known, bitmaps=bitmaps, own=own)
            lines += [line for note in notes for line in wrapped(note, 2)]
        return "\n".join(lines)


def _notes(stats: TraceStats, known: int, *, bitmaps: bool, own: bool) -> list[str]:
    """Explain the words of the tables."""
    notes = [
        "live bytes: those of one CPU's copies. Pages and stranded bytes: those of all CPUs.",
        "stranded: bytes of pages that are neither static nor live; used: the others.",
    ]
    if bitmaps:
        notes += [
            "hidden: free bytes of all CPUs in chunks whose contig hint says that there are none.",
            "steps of a call: what the kernel's code visits: lists, chunks, map entries and tree "
            "nodes; with bitmaps blocks, and words of the map.",
        ]
    else:
        notes.append(
            "steps of a call: lists, chunks, map entries and tree nodes that the 2009 file visits."
        )
    if own:
        notes.append("steps of a policy of your own: what it reports.")
    if known:
        notes.append(
            f"offset: share of {plural(known, 'allocation')} at the kernel's own offset in a "
            "unit, in whatever chunk; and of those that differ from it by the most frequent number "
            "of bytes."
        )
    if stats.kernel_chunks:
        notes.append(
            f"kernel: the chunks of the recorded areas, and the pages that these areas touch, "
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
    found = geometry_table(rows, columns)
    names, lines, notes = found.heads[: found.keys], found.lines(), {}
    for number, row in enumerate(rows, len(lines) - len(rows)):
        if isinstance(row, Refusal):
            *cells, reason = lines[number]
            lines[number] = [*cells, *[""] * len(columns)]
            notes[number] = reason if reasons else "refused"
    if stats.kernel_chunks:
        own = {names[0].name: KERNEL, "cpus": f"{stats.cpus:,}" if stats.cpus else UNKNOWN}
        cells = [own.get(head.name, UNKNOWN) for head in names]
        lines.append(cells + [column.kernel_cell(stats) for column in columns])
    aligned = _aligned(lines, notes)
    if max(map(len, aligned)) <= WIDTH or len(columns) == 1:
        return aligned
    half = _half(columns)
    return [
        *_table(stats, rows, columns[:half], reasons=reasons),
        "",
        *_table(stats, rows, columns[half:], reasons=False),
    ]


def _half(columns: Sequence[Column]) -> int:
    """Return where to split columns: between two groups if there are several, near the middle."""
    middle = len(columns) // 2
    groups = [
        at for at in range(1, len(columns)) if columns[at].head.group != columns[at - 1].head.group
    ]
    return min(groups, key=lambda at: abs(2 * at - len(columns)), default=middle)


def _aligned(rows: Sequence[Sequence[str]], notes: dict[int, str]) -> list[str]:
    """Align cells in columns; append the notes to their rows."""
    lines = []
    for number, line in enumerate(table(rows, indent="")):
        if number in notes:
            lines += wrapped(f"{line}  {notes[number]}", len(line) + 2)
        else:
            lines.append(line)
    return lines


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Break a text into lines; all except the first one are indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent)
