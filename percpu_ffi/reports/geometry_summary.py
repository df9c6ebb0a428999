# SPDX-License-Identifier: GPL-2.0-only
"""Render the replays of several traces with a line for each trace: pages at the peak, at the end.

The text has a table for each size of a unit, and in it two columns for each policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from percpu_ffi._util.text import cell, csv_text, table
from percpu_ffi.analysis.comparison import UNKNOWN, setting
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.reports.geometries import GeometryReport, wrapped
from percpu_ffi.reports.recording import short_names

ALL = "all"
NOTE = (
    "Bytes and pages of one CPU: live bytes at the peak, pages at the peak and at the end, static "
    "ones included."
)


class Column(NamedTuple):
    """What has two columns of a table; traces with other set-ups may have other ones."""

    unit_size: int
    name: str
    """The policy, with the first chunk if it has one."""
    number: int
    """From 0, of rows that differ in other settings only."""


@dataclass(frozen=True)
class GeometrySummary:
    """The report of ``percpu-ffi compare --summary``."""

    reports: Sequence[GeometryReport]
    """Of each trace."""

    def to_json(self) -> dict[str, Any]:
        """Return the reports as plain values."""
        return {"traces": [report.to_json() for report in self.reports]}

    def to_csv(self) -> str:
        """Return the lines of all traces, each after the name of its trace."""
        traces = [
            {"trace": [cell(report.name)] * len(report.rows), **report.csv_columns()}
            for report in self.reports
        ]
        rows = (row for columns in traces for row in zip(*columns.values(), strict=True))
        return csv_text([*traces[0]], rows)

    def to_text(self) -> str:
        """Return a table for each size of a unit, and what was refused or failed."""
        rows = [_by_column(report.rows) for report in self.reports]
        columns = [*dict.fromkeys(column for each in rows for column in each)]
        lines = wrapped(NOTE)
        for unit in sorted({column.unit_size for column in columns}):
            some = [column for column in columns if column.unit_size == unit]
            lines += ["", f"units of {setting('unit_size', unit)}", *self._table(rows, some)]
        if notes := [note for report in self.reports for note in _notes(report)]:
            lines += ["", *(line for note in notes for line in wrapped(note, 2))]
        return "\n".join(lines)

    def _table(
        self, rows: Sequence[Mapping[Column, Outcome | Refusal]], columns: Sequence[Column]
    ) -> list[str]:
        """Return the table of some columns."""
        lines = [
            ["", "", *(head for column in columns for head in (f"{column.name}:", ""))],
            ["trace", "bytes", *["peak", "end"] * len(columns)],
        ]
        figures = [_figures([each.get(column) for column in columns]) for each in rows]
        titles = [cell(name) for name in short_names([report.name for report in self.reports])]
        if len(figures) > 1:
            titles.append(ALL)
            figures.append([_total(column) for column in zip(*figures, strict=True)])
        for title, row in zip(titles, figures, strict=True):
            lines.append([title, *(UNKNOWN if n is None else f"{n:,}" for n in row)])
        return table(lines)


def _by_column(rows: Sequence[Outcome | Refusal]) -> dict[Column, Outcome | Refusal]:
    """Return the rows of a trace by their columns."""
    found: dict[Column, Outcome | Refusal] = {}
    for row in rows:
        number, unit = 0, row.geometry["unit_size"]
        while (column := Column(unit, _name(row), number)) in found:
            number += 1
        found[column] = row
    return found


def _name(row: Outcome | Refusal) -> str:
    """Return the policy of a column, with the first chunk if it has one."""
    parts = row.geometry["policy"], row.geometry["first_chunk"]
    return " ".join(part for part in parts if part)


def _figures(rows: Sequence[Outcome | Refusal | None]) -> list[int | None]:
    """Return live bytes at the peak, and for each row the pages of one CPU at the peak, at end.

    None: a row is refused, or the trace does not have it.
    """
    possible = [row.peak_live_bytes for row in rows if isinstance(row, Outcome)]
    figures = [max(possible, default=None)]  # less where requests fail
    for row in rows:
        if isinstance(row, Outcome):
            cpus = row.geometry["cpus"]
            figures += [row.pages_at_peak // cpus, row.pages // cpus]
        else:
            figures += [None, None]
    return figures


def _total(column: Sequence[int | None]) -> int | None:
    """Return a sum; None if a figure is unknown."""
    known = [figure for figure in column if figure is not None]
    return sum(known) if len(known) == len(column) else None


def _notes(report: GeometryReport) -> list[str]:
    notes = []
    for row in report.rows:
        of = f"{cell(report.name)}, {_name(row)}, units of "
        of += setting("unit_size", row.geometry["unit_size"])
        if isinstance(row, Refusal):
            notes.append(f"{of}: refused: {row.reason}")
        elif row.failures:
            notes.append(f"{of}: {row.failures:,} failed")
    return notes
