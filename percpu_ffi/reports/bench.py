# SPDX-License-Identifier: GPL-2.0-only
"""Render the results of benchmarks as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from percpu_ffi._util.text import plural, table
from percpu_ffi.bench.contenders import Contender
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.results import BoundResult, Figures, Results, WorkloadResult
from percpu_ffi.bench.run import Plan
from percpu_ffi.bench.workload import Workload

PERCENTILES = (50, 99, 99.9)

LEGEND = """\
ns      nanoseconds per operation: the median of all repetitions, +- half of the interquartile
        range; x: ratio to the port, the median over the repetitions
memory  of a fresh process at the first peak of the live bytes, median; x: ratio to these bytes
pairs   an allocation and a free, of all threads in a second: the median; x: ratio to one thread;
        least: the smallest share of a thread in any second
latency nanoseconds of one call at p50, p99 and p99.9, including the clock: see "empty"
work    what the kernel's code visits and moves per operation; the port may do less
formula C chunks, R rounds; P, S, U bytes of a page, the static area, a unit; m0, m objects in the
        first chunk, in a later one; n0, n1 the same when they are full"""


def choices(workloads: Iterable[Workload], contenders: Iterable[Contender]) -> list[str]:
    """List the workloads and the contenders, and why a contender is not available."""
    lines = ["workloads", *(f"  {each.name:<16}{each.what}" for each in workloads)]
    lines += ["", "contenders"]
    for contender in contenders:
        lines.append(f"  {contender.name:<16}{contender.what}")
        if why := contender.missing():
            lines.append(f"  {'':<16}not available: {why}")
    return lines


def plan_line(plan: Plan) -> str:
    """Describe how long the run takes, at least."""
    return (
        f"{plural(len(plan.workloads), 'workload')}, each {plural(plan.repeat, 'time')} and "
        f"{plan.seconds:g} s at least" + (", then the bounds" if plan.bounds else "")
    )


def spread(values: Sequence[float]) -> float:
    """Return half of the interquartile range as a share of the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / middle if middle else 0.0


def machine_lines(results: Results) -> list[str]:
    """Describe the machine and the options."""
    options = ", ".join(f"{name} {value}" for name, value in results.options.items())
    rows = {**results.machine, "options": options}
    return [f"{name:<12}{value}" for name, value in rows.items()]


def final_lines(results: Results) -> list[str]:
    """Return the lines that end a run: the machine, notes, bounds."""
    bounds = ["", *bounds_table(results.bounds)] if results.bounds else []
    return [*machine_lines(results), *(f"{'left out':<12}{n}" for n in results.notes), *bounds]


def workload_tables(result: WorkloadResult) -> list[str]:
    """Return the tables of one workload."""
    tables = (
        _times(result),
        _threads(result),
        _latencies(result),
        _memory(result),
        _work(result),
        _formulas(result),
    )
    lines = [f"{result.name}: {result.what}"]
    for rows in tables:
        if len(rows) > 1:  # more than the heading
            lines += table(rows)
    lines += [
        f"  {name}: {figures.failures:,} of {plural(phase.operations, 'operation')} failed, "
        f"{phase.name}"
        for phase in result.phases
        for name, figures in phase.contenders.items()
        if figures.failures
    ]
    if result.partial:
        lines.append(f"  interrupted after {plural(result.whole_repetitions, 'repetition')}")
    return lines


def _times(result: WorkloadResult) -> list[Sequence[str]]:
    columns: list[Sequence[str]] = [("ns", "operations", *result.phases[0].contenders)]
    for phase in result.phases:
        port = phase.contenders.get("port")
        figures = phase.contenders.values()
        times = (f"{each.median:,.1f} +-{spread(each.ns):3.0%}" for each in figures)
        columns.append((phase.name, f"{phase.operations:,}", *times))
        if port:
            columns.append(("", "", *(_ratio(each, port) for each in figures)))
    rows: list[Sequence[str]] = list(zip(*columns, strict=True))
    if not any(phase.operations for phase in result.phases):
        del rows[1]  # threads: as many as they achieve
    return rows


def _ratio(figures: Figures, port: Figures) -> str:
    return "" if figures is port else f"x{statistics.median(figures.ratios(port)):.2f}"


def _threads(result: WorkloadResult) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("pairs", "", "a second", "", "least")]
    for name, alone in result.phases[0].contenders.items():
        for phase in result.phases:
            figures = phase.contenders[name]
            if figures.pairs:
                ratio = f"x{alone.median / figures.median:.2f}" if figures is not alone else ""
                pairs, least = 10**9 / figures.median / 2, figures.least_share
                rows.append((name, phase.name, f"{pairs:,.0f}", ratio, f"{least:.1%}"))
    return rows


def _latencies(result: WorkloadResult) -> list[Sequence[str]]:
    columns: list[Sequence[str]] = [("latency", *result.phases[0].contenders)]
    for phase in result.phases:
        for call in ("alloc", "free"):
            cells = [_percentiles(figures, call) for figures in phase.contenders.values()]
            if any(cells):
                columns.append((f"{phase.name}, {call}", *cells))
    return [row for row in zip(*columns, strict=True) if any(row[1:])]


def _memory(result: WorkloadResult) -> list[Sequence[str]]:
    memory = result.memory
    if memory is None:
        return []
    rows: list[Sequence[str]] = [
        ("memory", "resident, MiB", "", "address space, MiB"),
        (plural(memory.areas, "live area"), _mib(memory.live_bytes), "", ""),
    ]
    for name, figures in memory.contenders.items():
        resident = statistics.median(figures.resident)
        space = statistics.median(figures.address_space)
        ratio = f"x{resident / memory.live_bytes:.2f}" if memory.live_bytes else ""
        rows.append((name, _mib(resident), ratio, _mib(space)))
    return rows


def _mib(size: float) -> str:
    return f"{size / (1 << 20):,.2f}"


def _percentiles(figures: Figures, call: str) -> str:
    histogram: Histogram | None = getattr(figures, call)
    if histogram is None or not histogram.calls:
        return ""
    return " / ".join(f"{histogram.percentile(share):,}" for share in PERCENTILES)


def _work(result: WorkloadResult) -> list[Sequence[str]]:
    used = (item for phase in result.phases for item in (phase.work or {}).items())
    counters = list(dict.fromkeys(name for name, n in used if n and name != "operations"))
    # one word above the other, to keep the table narrow
    rows: list[Sequence[str]] = [
        ("work", *(name.partition("_")[0] for name in counters)),
        ("", *(name.partition("_")[2] for name in counters)),
    ]
    for phase in result.phases:
        if phase.work:
            per = [phase.work[name] / phase.operations for name in counters]
            rows.append((phase.name, *(f"{count:,.2f}" for count in per)))
    return rows if counters else []


def _formulas(result: WorkloadResult) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("formula", "work", "", "gives", "counted", "")]
    for row in result.expected:
        counted, verdict = "", "not counted"
        if row.counted is not None:
            counted = f"{row.counted:,}"
            verdict = "equal" if row.counted == row.value else "OFF"
        counter = row.counter.replace("_", " ")
        rows.append((row.phase, counter, row.formula, f"{row.value:,}", counted, verdict))
    return rows


def bounds_table(bounds: Sequence[BoundResult]) -> list[str]:
    """Return one line for each bound, and whether it holds."""
    rows: list[Sequence[str]] = [("bound", "median", "lowest", "highest", "", "limit", "")]
    for bound in bounds:
        limit = ("at most" if bound.at_most else "at least", f"{bound.limit:,}")
        if not bound.values:
            rows.append((bound.what, "", "", "", *limit, f"not measured: {bound.why}"))
            continue
        digits = 3 if bound.limit < 10 else 0
        figures = (statistics.median(bound.values), min(bound.values), max(bound.values))
        cells = (f"{figure:,.{digits}f}" for figure in figures)
        rows.append((bound.what, *cells, *limit, "holds" if bound.holds else "MISSED"))
    return table(rows, indent="")
