# SPDX-License-Identifier: GPL-2.0-only
"""Draw a chart of benchmark results with matplotlib."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from percpu_ffi._util.optional import save_plot
from percpu_ffi.bench.results import Results

ROW = 0.28  # inches
HEAD = 1.5  # inches, of title, axis and legend
TIME = "nanoseconds per operation: median and range of all repetitions"
MEMORY = "resident MiB at the peak: median and range of all processes"


class Row(NamedTuple):
    """A row of a chart."""

    label: str
    figures: Mapping[str, Sequence[float]]
    """By contender."""


def plot(results: Results, path: str | Path) -> None:
    """Draw a row for each phase, with the median and the range of each contender.

    Below it, if memory was measured, is a row for each workload with the resident memory.

    Args:
        results: the results.
        path: the file; its suffix is one of the formats of ``save_plot()``.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    times = [
        Row(f"{work.name}: {phase.name}", {n: each.ns for n, each in phase.contenders.items()})
        for work in results.workloads
        for phase in work.phases
    ]
    charts = [(TIME, times)]
    if memory := _memory(results):
        charts.append((MEMORY, memory))
    heights = [HEAD + ROW * len(rows) for _, rows in charts]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    panels = figure.subplots(len(charts), squeeze=False, height_ratios=heights)[:, 0]
    names = list(dict.fromkeys(name for row in times for name in row.figures))
    for axes, (what, rows) in zip(panels, charts, strict=True):
        _draw(axes, what, rows, names)
    panels[0].set_title(results.machine["cpu"] + (", interrupted" if results.partial else ""))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(min(len(names), 6), 1))
    title = f"Nanoseconds per operation of {', '.join(names)}, median and range: "
    save_plot(figure, path, title + ", ".join(row.label for row in times))


def _memory(results: Results) -> list[Row]:
    """Return what was resident; without the contenders whose areas have no memory."""
    return [
        Row(work.name, {
            name: [resident / (1 << 20) for resident in figures.resident]
            for name, figures in work.memory.contenders.items()
            if min(figures.resident) > 0
        })
        for work in results.workloads
        if work.memory
    ]  # fmt: skip


def _draw(axes: Any, what: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        found = [(y, row.figures[name]) for y, row in enumerate(rows) if name in row.figures]
        # next to each other, without overlap
        at = [y + 0.6 * ((number + 0.5) / len(names) - 0.5) for y, _ in found]
        medians = [statistics.median(figures) for _, figures in found]
        below = [m - min(figures) for m, (_, figures) in zip(medians, found, strict=True)]
        above = [max(figures) - m for m, (_, figures) in zip(medians, found, strict=True)]
        axes.errorbar(
            medians, at, xerr=[below, above], fmt="o", markersize=3, label=name, color=f"C{number}"
        )
    axes.set_xscale("log")
    axes.set_xlabel(what)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
