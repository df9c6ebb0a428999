# SPDX-License-Identifier: GPL-2.0-only
"""Render the replays under several policies and geometries as text, JSON and CSV.

The text has two tables of at most 100 columns, with a line for each geometry: one about memory,
one about chunks, work and offsets.  The last line of both is the recording kernel's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

from percpu_ffi._util.text import csv_text, plural, table
from percpu_ffi.analysis.geometries import Outcome, Refusal, steps
from percpu_ffi.config import AREA_MAP, BITMAP, FIRST_CHUNKS, GEOMETRY, POLICY_NAMES
from percpu_ffi.reports.recording import possible_cpus, recorded_on
from percpu_ffi.trace import Trace, TraceStats
from percpu_ffi.work import Work

WIDTH = 100
KERNEL_PAGE = 4096  # bytes; a trace counts pages of this size
UNKNOWN = "-"
KERNEL = "kernel"  # the name of the recording kernel's line
HEADS = ("policy", "first", "unit", "cpus", "static", "free", "page")  # of GEOMETRY
MOST_SHOWN = 1 << 40  # of a setting
ALWAYS = ("unit_size", "cpus")  # shown even if all are equal


class Column(NamedTuple):
    """A column of a table: a heading of two lines, and functions for the cells."""

    group: str
    head: str
    cell: Callable[[Outcome], str]
    kernel_cell: Callable[[TraceStats], str] = lambda _: UNKNOWN


def _figure(name: str) -> Callable[[Any], str]:
    return lambda row: UNKNOWN if (n := getattr(row, name)) is None else f"{n:,}"


def _share(name: str) -> Callable[[Outcome], str]:
    return lambda row: (
        UNKNOWN if (n := getattr(row, name)) is None else f"{n / row.offsets_known:.1%}"
    )


def _kernel_pages(stats: TraceStats) -> str:
    return f"{stats.kernel_pages * stats.cpus:,}" if stats.cpus else UNKNOWN


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
HIDDEN = (
    Column("hidden:", "most", _figure("peak_hidden")),
    Column("hidden:", "at end", _figure("hidden")),
)

# of an outcome, in JSON and CSV
PLAIN = (
    *(field.name for field in fields(Outcome) if field.name not in ("geometry", "work")),
    *("utilisation_at_peak", "stranded_at_peak", "stranded"),
    *("steps_per_alloc", "steps_per_free", "work_alloc", "work_free"),
)


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
            "geometries": [_plain(row) for row in self.rows],
        }

    def to_csv(self) -> str:
        """Return a line for each geometry, without the reasons of failures."""
        rows = self.csv_rows()
        return csv_text(list(rows[0]), (list(row.values()) for row in rows))

    def csv_rows(self) -> list[dict[str, Any]]:
        """Return the figures of each line of CSV by name."""
        stats = self.trace.stats
        kernel = {
            "kernel_chunks": stats.kernel_chunks,
            "kernel_bytes_per_cpu": stats.kernel_pages * KERNEL_PAGE,
        }
        return [{**_flat(_plain(row)), **kernel} for row in self.rows]

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
            bitmaps = any(policy.partition("+")[0] == BITMAP for policy in policies)
            columns = (*CHUNKS[:4], *HIDDEN, *CHUNKS[4:]) if bitmaps else CHUNKS
            lines += ["", *_table(machine, rows, columns, reasons=False), ""]
            own = not policies <= {*POLICY_NAMES}
            notes = _notes(stats, possible[0].offsets_known, bitmaps=bitmaps, own=own)
            lines += [line for note in notes for line in wrapped(note, 2)]
        return "\n".join(lines)


def _plain(row: Outcome | Refusal) -> dict[str, Any]:
    """Return plain values; all rows have the same names, and those of a refusal are None."""
    if isinstance(row, Refusal):
        return {**row.geometry, "refused": row.reason, **dict.fromkeys(PLAIN)}
    figures = {**row.geometry, "refused": None, **{n: getattr(row, n, None) for n in PLAIN}}
    figures["utilisation_at_peak"] = round(row.utilisation_at_peak, 4)
    for call, work in (("alloc", row.work.alloc), ("free", row.work.free)):
        figures[f"steps_per_{call}"] = round(steps(work), 2)
        figures[f"work_{call}"] = asdict(work)
    return figures


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    """Turn the counts of work into columns, and drop the reasons of failures."""
    del figures["failure_reasons"]
    for call in ("alloc", "free"):
        work = figures.pop(f"work_{call}") or {}
        for field in fields(Work):
            figures[f"{call}_{field.name}"] = work.get(field.name)
    return figures


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
    names = _names(rows)
    groups = ["", *(column.group for column in columns)]
    lines = [
        ["" for _ in names] + [now if now != last else "" for last, now in pairwise(groups)],
        [HEADS[GEOMETRY.index(name)] for name in names] + [column.head for column in columns],
    ]
    notes = {}
    for row in rows:
        cells = [setting(name, row.geometry[name]) for name in names]
        if isinstance(row, Outcome):
            cells += [column.cell(row) for column in columns]
        else:
            cells += [""] * len(columns)
            notes[len(lines)] = f"refused: {row.reason}" if reasons else "refused"
        lines.append(cells)
    if stats.kernel_chunks:
        own = {names[0]: KERNEL, "cpus": f"{stats.cpus:,}" if stats.cpus else UNKNOWN}
        cells = [own.get(name, UNKNOWN) for name in names]
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
    groups = [at for at in range(1, len(columns)) if columns[at].group != columns[at - 1].group]
    return min(groups, key=lambda at: abs(2 * at - len(columns)), default=middle)


def _names(rows: Sequence[Outcome | Refusal]) -> list[str]:
    """Choose the settings that are shown: three, and others that differ."""
    possible = [row.geometry for row in rows if isinstance(row, Outcome)]
    policies = {row.geometry["policy"] for row in rows}
    always = {*ALWAYS, *(["first_chunk"] if AREA_MAP in policies else [])}
    if policies != {AREA_MAP}:
        always.add("policy")

    def differ(names: Sequence[str]) -> int:
        return len({tuple(geometry[name] for name in names) for geometry in possible})

    shown = [n for n in GEOMETRY if n in always or (n != "free_size" and differ([n]) > 1)]
    # the free size usually follows from the others
    return shown if differ(shown) == differ(GEOMETRY) else [*shown, "free_size"]


def setting(name: str, value: Any) -> str:
    """Return a setting as it is shown in a table."""
    if name == "policy" or (name == "first_chunk" and value in FIRST_CHUNKS):
        return str(value)
    if value is None:
        return UNKNOWN
    if not isinstance(value, int) or abs(value) > MOST_SHOWN:
        return "?"  # the reason of the refusal shows it
    if name == "cpus" or not value:
        return "auto" if name in ("unit_size", "free_size") else f"{value:,}"
    for factor, suffix in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if value % factor == 0:
            return f"{value // factor:,}{suffix}"
    return f"{value:,}"


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
