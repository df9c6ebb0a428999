# SPDX-License-Identifier: GPL-2.0-only
"""Compare two files of benchmark results."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from percpu_ffi._util.text import cell, table
from percpu_ffi.bench.results import Figures, Results
from percpu_ffi.bench.workload import Options
from percpu_ffi.reports.bench import machine_lines, spread

Key = tuple[str, str, str]
MIB = 1 << 20


def difference(a: Results, b: Results) -> list[str]:
    """Compare two runs, figure by figure.

    A figure counts as changed if the ranges of its repetitions do not overlap.  The machine may
    have changed between the runs: the contender "empty", which does nothing, shows it.
    """
    first, second = dict(_figures(a)), dict(_figures(b))
    rows: list[Sequence[str]] = [("", "", "", "A, ns", "", "B, ns", "", "B / A", "")]
    for key in (key for key in first if key in second):
        x, y = first[key], second[key]
        cells = (t for f in (x, y) for t in (f"{f.median:,.1f}", f"+-{spread(f.ns):.0%}"))
        rows.append((*map(cell, key), *cells, f"{y.median / x.median:.2f}", _change(x, y)))
    lines = [*_head("A", a), *_head("B", b), *_other_work(a, b), ""]
    lines += table(rows, indent="") if len(rows) > 1 else ["the two files have no figure in common"]
    lines += _memory(a, b)
    for name, own, other in (("A", first, second), ("B", second, first)):
        alone = dict.fromkeys(cell(key[0]) for key in own if key not in other)
        if alone:
            lines.append(f"only in {name}, completely or in part: {', '.join(alone)}")
    return lines


def _figures(results: Results) -> Iterator[tuple[Key, Figures]]:
    for workload in results.workloads:
        for phase in workload.phases:
            for name, figures in phase.contenders.items():
                yield (workload.name, phase.name, name), figures


def _memory(a: Results, b: Results) -> list[str]:
    """Compare resident memory, where both have measured it."""
    first, second = dict(_resident(a)), dict(_resident(b))
    rows: list[Sequence[str]] = [("resident at the peak", "", "A, MiB", "B, MiB", "B / A")]
    for key in (key for key in first if key in second):
        x, y = first[key], second[key]
        ratio = f"{y / x:.2f}" if x else ""
        rows.append((*map(cell, key), f"{x / MIB:,.2f}", f"{y / MIB:,.2f}", ratio))
    return ["", *table(rows, indent="")] if len(rows) > 1 else []


def _resident(results: Results) -> Iterator[tuple[tuple[str, str], float]]:
    for workload in results.workloads:
        if workload.memory:
            for name, figures in workload.memory.contenders.items():
                yield (workload.name, name), statistics.median(figures.resident)


def _change(a: Figures, b: Figures) -> str:
    if min(b.ns) > max(a.ns):
        return "slower"
    return "faster" if max(b.ns) < min(a.ns) else ""


def _other_work(a: Results, b: Results) -> list[str]:
    """Warn about options that make workloads of one name different."""
    older = {"cpus": Options.cpus}  # a file of version 1 has no such option
    first, second = older | a.options, older | b.options
    return [
        f"{name} {first.get(name)} in A, {second.get(name)} in B: "
        "workloads with the same name differ"
        for name in ("objects", "live", "seed", "cpus")
        if first.get(name) != second.get(name)
    ]


def _head(name: str, results: Results) -> list[str]:
    partial = ", interrupted" if results.partial else ""
    return [f"{name}{partial}", *(f"  {line}" for line in machine_lines(results))]
