# SPDX-License-Identifier: GPL-2.0-only
"""Draw a chart of benchmark results with matplotlib."""

from __future__ import annotations

from pathlib import Path

from percpu_ffi._util.optional import save_plot
from percpu_ffi.bench.results import Results

ROW = 0.28  # inches


def plot(results: Results, path: str | Path) -> None:
    """Draw one row for each phase, with the median and the range of each contender.

    Args:
        results: the results.
        path: the file; its suffix is one of the formats of ``save_plot()``.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = [(workload, phase) for workload in results.workloads for phase in workload.phases]
    names = list(dict.fromkeys(name for _, phase in rows for name in phase.contenders))
    figure = Figure(figsize=(9, 1.5 + ROW * len(rows)), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(names):
        found = [
            (y, phase.contenders[name].ns, phase.contenders[name].median)
            for y, (_, phase) in enumerate(rows)
            if name in phase.contenders
        ]
        # next to each other, without overlap
        at = [y + 0.6 * ((number + 0.5) / len(names) - 0.5) for y, _, _ in found]
        below = [median - min(ns) for _, ns, median in found]
        above = [max(ns) - median for _, ns, median in found]
        medians = [median for _, _, median in found]
        axes.errorbar(medians, at, xerr=[below, above], fmt="o", markersize=3, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("nanoseconds per operation: median and range of all repetitions")
    axes.set_yticks(range(len(rows)), [f"{work.name}: {phase.name}" for work, phase in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(results.machine["cpu"] + (", interrupted" if results.partial else ""))
    figure.legend(loc="outside lower center", ncols=max(len(names), 1))
    title = f"Nanoseconds per operation of {', '.join(names)}, median and range: "
    save_plot(figure, path, title + ", ".join(f"{work.name}: {phase.name}" for work, phase in rows))
