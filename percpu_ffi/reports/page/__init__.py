# SPDX-License-Identifier: GPL-2.0-only
"""Render a timeline as an HTML page of one file, with bokeh, the extra ``report``.

``page.html`` is the template; ``view`` has what it says of a replay, and of a kernel's history.
``charts`` draws the curves, ``chunks`` the chunks at the moment of a slider; ``tables`` has what
the charts show as text, ``figures`` the figures of all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from percpu_ffi._util.text import duration, plural, printable
from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.analysis.timeline import Timeline
from percpu_ffi.analysis.totals import by_caller, by_site, by_task
from percpu_ffi.reports.colours import AGES, COLOURS, DARK, site_keys
from percpu_ffi.reports.page.bundle import inline_bokeh
from percpu_ffi.reports.page.figures import curve_figures, moment_figures
from percpu_ffi.reports.page.style import Paint, read_asset
from percpu_ffi.reports.page.tables import curves_table, origins_table, sizes_table
from percpu_ffi.reports.page.view import View, view_of
from percpu_ffi.reports.recording import caveats, failure_lines

MOST_SITES = 12  # in the table


def make_page(timeline: Timeline, figures: dict[str, Any]) -> str:
    """Make the page.

    Args:
        timeline: the timeline.
        figures: those of ``percpu-ffi replay --json``, or of :func:`history_figures`.

    Raises:
        ImportError: bokeh is not installed.

    """
    from bokeh.embed import components  # noqa: PLC0415
    from jinja2 import Environment  # noqa: PLC0415

    sites = by_site(timeline)
    keys = site_keys(row.name for row in sites)
    view = view_of(timeline, figures)
    script, divs = components(_plots(timeline, view, keys))
    environment = Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string(read_asset("page.html"))
    return template.render(
        ages=_ages(timeline),
        bokeh=inline_bokeh(),
        cards=[(key, _number(value), what) for key, value, what in view.cards],
        curves=curves_table(timeline),
        dark=_variables(DARK),
        divs=divs,
        figures=figures,
        has_sites=timeline.has_sites,
        has_stacks=timeline.has_stacks,
        has_tasks=timeline.has_tasks,
        origins=[
            *([origins_table("caller", by_caller(timeline))] if timeline.has_stacks else []),
            *([origins_table("task", by_task(timeline))] if timeline.has_tasks else []),
        ],
        last=len(timeline.moments) - 1,
        light=_variables(COLOURS),
        more_sites=max(len(sites) - MOST_SITES, 0),
        marked=[(name, timeline.moment_at(done)) for name, done in view.marked],
        notes=_notes(timeline),
        now=[*curve_figures(timeline), *moment_figures(timeline)],
        script=script,
        site_legend=_legend(keys),
        sites=[(printable(row.name), row, keys[row.name]) for row in sites[:MOST_SITES]],
        sizes=sizes_table(timeline) if "sizes" in divs else None,
        timed=timeline.seconds is not None,
        title=printable(figures["trace"]),
        view=view,
    )


def _plots(timeline: Timeline, view: View, keys: dict[str, str]) -> dict[str, Any]:
    """Make the charts by their names in the template."""
    from bokeh.document import Document  # noqa: PLC0415

    from percpu_ffi.reports.page.charts import (  # noqa: PLC0415 - it needs bokeh
        Charts,
        moments_source,
        size_chart,
    )
    from percpu_ffi.reports.page.chunks import Chunks  # noqa: PLC0415

    paint = Paint()
    plots = {"sizes": size_chart(timeline, paint)} if max(timeline.curves.live) else {}
    charts = Charts(timeline, moments_source(timeline), paint)
    chunks = Chunks(timeline, view, keys, charts, paint)
    plots |= {"charts": charts.column, "map": chunks.chart}
    document = Document()
    for plot in plots.values():
        document.add_root(plot)
    document.js_on_event("document_ready", *chunks.start)
    return plots


def _variables(scheme: dict[str, str]) -> str:
    """Return a colour scheme as variables of CSS."""
    return "; ".join(f"--{key}: {colour}" for key, colour in scheme.items())


def _number(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}"


def _notes(timeline: Timeline) -> list[str]:
    """Return notes about what the trace lacks, and about failures."""
    notes = []
    if timeline.seconds is None:
        notes.append("The trace has no times: the axis counts operations.")
    if not timeline.has_sites:
        notes.append(
            "The trace has no call sites (kernels before 5.19 do not print them): areas are "
            "coloured by age."
        )
    stats = timeline.trace.stats
    if isinstance(timeline, KernelTimeline):
        stats = replace(stats, orphan_frees=0)  # they are shown
    lines = [*caveats(stats), *failure_lines(timeline.trace)]
    notes += [f"{line[0].upper()}{line[1:]}." for line in lines]
    if isinstance(timeline, ReplayTimeline) and (failures := timeline.result.failures):
        notes.append(
            f"{plural(len(failures), 'operation')} failed in this replay. The first, number "
            f"{failures[0].index + 1:,}: {failures[0].error}"
        )
    return notes


def _ages(timeline: Timeline) -> list[tuple[str, str]]:
    """Return the highest age of each colour's key; the last one is the length of the trace."""
    seconds, n = timeline.seconds, len(timeline.trace)

    def name(halvings: int) -> str:
        if seconds is None:
            return plural(n >> halvings, "operation")
        return duration(round(seconds[-1] * 1e9 / (1 << halvings)))

    return [(name(len(AGES) - 1 - i), f"age{i}") for i in range(len(AGES))]


def _legend(keys: dict[str, str]) -> list[tuple[str, str]]:
    own = [(printable(n) or "unknown call site", k) for n, k in keys.items() if k != "others"]
    others = len(keys) - len(own)
    return own + ([(plural(others, "other call site"), "others")] if others else [])
