# SPDX-License-Identifier: GPL-2.0-only
"""A timeline as a page that needs nothing but a browser: bokeh, the extra ``report``.

``page.html`` is its frame.  ``charts`` draws the curves in it, ``chunks`` the chunks at the
moment of a slider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import duration, plural, printable
from percpu_ffi.analysis.explain import explain_worst
from percpu_ffi.analysis.totals import by_site
from percpu_ffi.outputs import check_library
from percpu_ffi.reports.colours import AGES, COLOURS, OTHERS, site_colours
from percpu_ffi.reports.page.style import text_of
from percpu_ffi.reports.recording import gaps

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Timeline

__all__ = ["make_page"]

MOST_SITES = 12  # in the table

CARDS = (
    ("events", "events recorded"),
    ("allocs", "allocations"),
    ("frees", "frees"),
    ("failures", "failures in this replay"),
    ("peak_live_bytes", "live bytes at the peak"),
    ("live_bytes", "live bytes at the end"),
    ("chunks_created", "chunks created"),
    ("chunks_destroyed", "chunks given back"),
    ("chunks", "chunks at the end"),
    ("peak_populated_pages", "pages at most, of all CPUs"),
    ("utilisation_at_peak", "in use at the peak of live bytes"),
)


def make_page(timeline: Timeline, figures: dict[str, Any]) -> str:
    """Make the page.

    Args:
        timeline: what is drawn.
        figures: those of ``percpu-ffi replay --json``.

    Raises:
        ConfigError: bokeh is not installed.

    """
    check_library("-o", "bokeh")
    from bokeh.embed import components  # noqa: PLC0415
    from bokeh.resources import Resources  # noqa: PLC0415
    from jinja2 import Environment  # noqa: PLC0415

    sites = by_site(timeline)
    colours = site_colours([row.name for row in sites])
    script, divs = components(_plots(timeline, colours))
    frame = Environment(autoescape=True, trim_blocks=True).from_string(text_of("page.html"))
    cards = [(key, _shown(figures[key]), what) for key, what in CARDS]
    return frame.render(
        about=_about(figures),
        ages=_ages(timeline),
        cards=[*cards, ("", f"{timeline.stranded(timeline.worst):,}", "bytes stranded at worst")],
        colours=COLOURS,
        divs=divs,
        figures=figures,
        more_sites=max(len(sites) - MOST_SITES, 0),
        notes=_notes(timeline),
        resources=Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render(),
        script=script,
        site_legend=_legend(colours),
        sites=[(printable(row.name), row, colours[row.name]) for row in sites[:MOST_SITES]],
        title=printable(figures["trace"]),
        worst=explain_worst(timeline),
    )


def _plots(timeline: Timeline, colours: dict[str, str]) -> dict[str, Any]:
    """Make all that bokeh draws, by its name in the frame."""
    from bokeh.document import Document  # noqa: PLC0415

    from percpu_ffi.reports.page.charts import Charts, size_chart  # noqa: PLC0415 - it needs bokeh
    from percpu_ffi.reports.page.chunks import Chunks  # noqa: PLC0415

    charts = Charts(timeline)
    chunks = Chunks(timeline, colours, charts)
    plots = {
        "axis": charts.axis,
        "charts": charts.column,
        "controls": chunks.controls,
        "map": chunks.chart,
    }
    if max(timeline.curves.live):
        plots["sizes"] = size_chart(timeline)
    document = Document()
    for plot in plots.values():
        document.add_root(plot)
    document.js_on_event("document_ready", chunks.unpack)
    return plots


def _shown(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}"


def _about(figures: dict[str, Any]) -> str:
    geometry = figures["geometry"]
    return (
        "What a kernel asked of its per-CPU allocator, served by the allocator of February 2009 "
        f"on {plural(geometry['cpus'], 'CPU')}: first chunk {geometry['first_chunk']}, static "
        f"area of {geometry['static_size']:,} bytes, units of {geometry['unit_size']:,}, pages "
        f"of {geometry['page_size']:,}."
    )


def _notes(timeline: Timeline) -> list[str]:
    """Say what the trace does not tell."""
    notes = []
    if timeline.seconds is None:
        notes.append("The trace tells no times: the axis counts operations.")
    if not timeline.has_sites:
        notes.append(
            "The trace names no call sites, which kernels before 5.19 do not print: areas are "
            "coloured by age."
        )
    notes += [f"{line[0].upper()}{line[1:]}." for line in gaps(timeline.trace.stats)]
    if failures := timeline.result.failures:
        notes.append(
            f"{plural(len(failures), 'operation')} failed in this replay. The first, number "
            f"{failures[0].index + 1:,}: {failures[0].error}"
        )
    return notes


def _ages(timeline: Timeline) -> list[tuple[str, str]]:
    """Up to which age a colour reaches; the last one is as old as the trace."""
    oldest = len(AGES) - 1
    if timeline.seconds is None:
        n = len(timeline.trace)
        return [(plural(n >> (oldest - i), "operation"), c) for i, c in enumerate(AGES)]
    in_all = timeline.seconds[-1] * 1e9
    return [(duration(round(in_all / (1 << (oldest - i)))), c) for i, c in enumerate(AGES)]


def _legend(colours: dict[str, str]) -> list[tuple[str, str]]:
    own = [
        (printable(name) or "call site not told", colour)
        for name, colour in colours.items()
        if colour != OTHERS
    ]
    others = len(colours) - len(own)
    return own + ([(plural(others, "other call site"), OTHERS)] if others else [])
