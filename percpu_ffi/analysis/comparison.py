# SPDX-License-Identifier: GPL-2.0-only
"""What ``geometries.compare()`` returns, as columns, as plain values, and as a table of text.

>>> from percpu_ffi import Trace
>>> from percpu_ffi.analysis.geometries import compare
>>> trace = Trace.from_ops([("alloc", "a", 4096, 8)])
>>> found = compare(trace, [{"page_size": 4096}, {"cpus": 0}])
>>> found
<Comparison, 2 geometries, 1 refused>
>>> found.columns()["pages"]
[12, None]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from percpu_ffi._util.cells import Cells, Head
from percpu_ffi._util.columns import columns_of_rows
from percpu_ffi._util.text import plural
from percpu_ffi.analysis.outcome import Outcome, Refusal, steps
from percpu_ffi.config import AREA_MAP, BITMAP, FIRST_CHUNKS, GEOMETRY
from percpu_ffi.trace import TraceStats
from percpu_ffi.work import Work

UNKNOWN = "-"
HEADS = ("policy", "first", "unit", "cpus", "static", "free", "page")  # of GEOMETRY
MOST_SHOWN = 1 << 40  # of a setting
ALWAYS = ("unit_size", "cpus")  # shown even if all are equal


class Comparison(tuple[Outcome | Refusal, ...]):
    """All rows of :func:`~percpu_ffi.analysis.geometries.compare`, in order."""

    __slots__ = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return the figures of all rows, as ``compare --csv`` prints them.

        The columns are equally long, with an item for each row.  None: unknown, or the geometry is
        refused.  The two columns of ``--csv`` about the recording kernel are in ``Trace.stats``.
        """
        names = _flat(dict.fromkeys((*GEOMETRY, "refused", *PLAIN)))
        return columns_of_rows([*names], ([*_flat(plain_row(row)).values()] for row in self))

    def __repr__(self) -> str:
        return f"<Comparison, {self._title()}>"

    def _repr_html_(self) -> str:
        columns = (*MEMORY, *chunk_columns(self))
        caption = f"{self._title()}; live bytes: of one CPU's copies; pages, stranded: of all CPUs"
        return geometry_table(self, columns).html(caption)

    def _title(self) -> str:
        refused = sum(isinstance(row, Refusal) for row in self)
        return plural(len(self), "geometry") + (f", {refused:,} refused" if refused else "")


class Column(NamedTuple):
    """A column of a table, and functions for the cells."""

    head: Head
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
    Column(Head("", "failed"), _figure("failures"), _figure("kernel_failures")),
    Column(Head("at peak:", "live bytes"), _figure("peak_live_bytes")),
    Column(Head("at peak:", "pages"), _figure("pages_at_peak")),
    Column(Head("at peak:", "used"), lambda row: f"{row.utilisation_at_peak:.1%}"),
    Column(Head("at peak:", "stranded"), _figure("stranded_at_peak")),
    Column(Head("most", "pages"), _figure("peak_pages"), _kernel_pages),
    Column(Head("at end:", "pages"), _figure("pages")),
    Column(Head("at end:", "stranded"), _figure("stranded")),
)
CHUNKS = (
    Column(Head("chunks:", "most"), _figure("peak_chunks"), _figure("kernel_chunks")),
    Column(Head("chunks:", "made"), _figure("chunks_created"), _figure("kernel_created")),
    Column(Head("chunks:", "gone"), _figure("chunks_destroyed"), _figure("kernel_destroyed")),
    Column(Head("chunks:", "at end"), _figure("chunks")),
    Column(Head("steps:", "alloc"), lambda row: f"{steps(row.work.alloc):,.1f}"),
    Column(Head("steps:", "free"), lambda row: f"{steps(row.work.free):,.1f}"),
    Column(Head("offset:", "same"), _share("same_offsets")),
    Column(Head("offset:", "shifted"), _share("same_shifted")),
    Column(Head("offset:", "by"), _figure("shift")),
)
HIDDEN = (
    Column(Head("hidden:", "most"), _figure("peak_hidden")),
    Column(Head("hidden:", "at end"), _figure("hidden")),
)

# of an outcome, in JSON and CSV
PLAIN = (
    *(field.name for field in fields(Outcome) if field.name not in ("geometry", "work")),
    *("utilisation_at_peak", "stranded_at_peak", "stranded"),
    *("steps_per_alloc", "steps_per_free", "work_alloc", "work_free"),
)


def plain_row(row: Outcome | Refusal) -> dict[str, Any]:
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


def has_bitmaps(rows: Iterable[Outcome | Refusal]) -> bool:
    """Return whether a geometry that is not refused has today's policy."""
    policies = (row.geometry["policy"] for row in rows if isinstance(row, Outcome))
    return any(policy.partition("+")[0] == BITMAP for policy in policies)


def chunk_columns(rows: Iterable[Outcome | Refusal]) -> Sequence[Column]:
    """Return the columns about chunks, work and offsets."""
    return (*CHUNKS[:4], *HIDDEN, *CHUNKS[4:]) if has_bitmaps(rows) else CHUNKS


def geometry_table(rows: Sequence[Outcome | Refusal], columns: Sequence[Column]) -> Cells:
    """Return a row for each geometry; of a refused one its settings, and the reason."""
    names = _names(rows)
    lines = []
    for row in rows:
        cells = [setting(name, row.geometry[name]) for name in names]
        if isinstance(row, Refusal):
            cells.append(f"refused: {row.reason}")
        else:
            cells += [column.cell(row) for column in columns]
        lines.append(cells)
    heads = [Head("", HEADS[GEOMETRY.index(name)]) for name in names]
    return Cells([*heads, *(column.head for column in columns)], lines, keys=len(names))


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
