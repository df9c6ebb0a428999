# SPDX-License-Identifier: GPL-2.0-only
"""A timeline as a page that needs nothing but a browser: bokeh, the extra ``report``.

``page.html`` is its frame, ``page.js`` draws the chunks at the moment of the slider.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from percpu_ffi.errors import ConfigError
from percpu_ffi.sight.colours import AGES, COLOURS, OTHERS, site_colours
from percpu_ffi.sight.curves import thinned
from percpu_ffi.sight.explain import explain_worst
from percpu_ffi.sight.tally import by_site, by_size
from percpu_ffi.sight.timeline import FREE_SPACE, PAGES, STATIC
from percpu_ffi.sight.words import gaps, plural

if TYPE_CHECKING:
    from percpu_ffi.sight.timeline import Timeline

__all__ = ["check_page", "make_page"]

MOST_SITES = 12  # in the table
LANE = 46  # pixels of a chunk's line, where there is room
MOST_PIXELS = 2400

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
    ("peak_populated_pages", "pages at the peak, all CPUs"),
    ("utilisation_at_peak", "of them used at the peak"),
)


def check_page() -> None:
    """Look whether a page can be made, before the work.

    Raises:
        ConfigError: bokeh is not installed.

    """
    if find_spec("bokeh") is None:
        raise ConfigError("-o needs bokeh, the extra 'report': pip install 'percpu_ffi[report]'")


def make_page(timeline: Timeline, figures: dict[str, Any]) -> str:
    """Make the page.

    Args:
        timeline: what is drawn.
        figures: those of ``percpu-ffi replay --json``.

    Raises:
        ConfigError: bokeh is not installed.

    """
    check_page()
    from bokeh.embed import components  # noqa: PLC0415
    from bokeh.resources import Resources  # noqa: PLC0415
    from jinja2 import Environment  # noqa: PLC0415

    sites = by_site(timeline)
    colours = site_colours([row.name for row in sites])
    script, divs = components(_plots(timeline, colours))
    resources = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
    frame = Environment(autoescape=True, trim_blocks=True).from_string(_text("page.html"))
    return frame.render(
        about=_about(figures),
        ages=AGES,
        cards=[(key, _shown(figures[key]), what) for key, what in CARDS],
        colours=COLOURS,
        divs=divs,
        figures=figures,
        more_sites=max(len(sites) - MOST_SITES, 0),
        notes=_notes(timeline),
        resources=resources.render(),
        script=script,
        site_legend=_legend(colours),
        sites=[(row, colours[row.name]) for row in sites[:MOST_SITES]],
        worst=explain_worst(timeline),
    )


def _text(name: str) -> str:
    return files("percpu_ffi.sight").joinpath(name).read_text(encoding="utf-8")


def _shown(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}"


def _about(figures: dict[str, Any]) -> str:
    geometry = figures["geometry"]
    return (
        "What a kernel asked of its per-CPU allocator, served by the allocator of Linux 2.6.30 "
        f"(February 2009) on {plural(geometry['cpus'], 'CPU')}: first chunk "
        f"{geometry['first_chunk']}, static area of {geometry['static_size']:,} bytes, units of "
        f"{geometry['unit_size']:,}, pages of {geometry['page_size']:,}."
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
    if timeline.result.failures:
        failed = plural(len(timeline.result.failures), "operation")
        first = timeline.result.failures[0]
        notes.append(
            f"{failed} failed in this replay, the first one, number {first.index + 1:,}, with: "
            f"{first.error}"
        )
    return notes


def _legend(colours: dict[str, str]) -> list[tuple[str, str]]:
    own = [(name or "call site not told", colour) for name, colour in colours.items()
           if colour != OTHERS]  # fmt: skip
    others = len(colours) - len(own)
    return own + ([(plural(others, "other call site"), OTHERS)] if others else [])


def _plots(timeline: Timeline, colours: dict[str, str]) -> dict[str, Any]:
    """Make all that bokeh draws, by its name in the frame."""
    from bokeh.document import Document  # noqa: PLC0415
    from bokeh.layouts import column  # noqa: PLC0415

    charts, cursors = _charts(timeline)
    chunks, controls, slider, show = _map(timeline, colours, cursors)
    _go_on_tap(timeline, charts, slider)
    plots = {
        "charts": column(*charts, sizing_mode="stretch_width"),
        "controls": controls,
        "map": chunks,
        "sizes": _sizes(timeline),
    }
    document = Document()
    for plot in plots.values():
        document.add_root(plot)
    document.js_on_event("document_ready", show)
    return plots


def _along(timeline: Timeline, done: list[int]) -> Any:
    import numpy as np  # noqa: PLC0415 - comes with bokeh

    along = timeline.seconds
    return np.array(done if along is None else [along[i] for i in done], dtype=np.float64)


def _charts(timeline: Timeline) -> tuple[list[Any], list[Any]]:
    """Draw the curves; gives the charts and the lines at the slider's moment."""
    import numpy as np  # noqa: PLC0415
    from bokeh.models import ColumnDataSource, HoverTool, Range1d  # noqa: PLC0415
    from bokeh.plotting import figure  # noqa: PLC0415

    done = thinned(timeline)
    curves = timeline.curves
    source = ColumnDataSource({
        "x": _along(timeline, done),
        "done": np.array(done, dtype=np.int32),
        "asked": np.array([timeline.static_size + curves.live[i] for i in done], dtype=np.float64),
        "live": np.array([curves.live[i] for i in done], dtype=np.float64),
        "held": np.array([timeline.held(i) for i in done], dtype=np.float64),
        "stranded": np.array([timeline.stranded(i) for i in done], dtype=np.float64),
        "share": np.array([timeline.fragmentation(i) for i in done], dtype=np.float64),
        "chunks": np.array([curves.chunks[i] for i in done], dtype=np.int32),
    })  # fmt: skip
    end = float(source.data["x"][-1]) or 1.0
    x_range = Range1d(0, end, bounds=(0, end))
    look = {
        "x_range": x_range,
        "sizing_mode": "stretch_width",
        "tools": "xbox_zoom,xpan,reset",
        "active_drag": "xbox_zoom",
        "toolbar_location": "right",
    }

    size = figure(height=230, y_axis_label="bytes a CPU", **look)
    size.varea_step(
        "x",
        0,
        "held",
        source=source,
        step_mode="after",
        color=COLOURS["held"],
        legend_label="populated",
    )
    size.varea_step(
        "x", 0, "asked", source=source, step_mode="after", color=COLOURS["live"],
        legend_label="static and live",
    )  # fmt: skip
    size.legend.orientation = "horizontal"
    size.legend.location = "top_left"
    size.legend.background_fill_alpha = 0.6
    size.legend.label_text_font_size = "12px"

    share = figure(height=120, y_axis_label="fragmentation", y_range=(0, 1.04), **look)
    share.step("x", "share", source=source, mode="after", color=COLOURS["bad"], line_width=1.6)
    chunks = figure(
        height=140, y_axis_label="chunks", y_range=(0, max(curves.chunks) * 1.15 + 0.2), **look
    )
    chunks.step("x", "chunks", source=source, mode="after", color=COLOURS["chunks"], line_width=1.6)

    charts = [size, share, chunks]
    timed = timeline.seconds is not None
    tooltips = [
        ("seconds" if timed else "operations done", "@x{0,0.000000}" if timed else "@x{0,0}"),
        *([("operations done", "@done{0,0}")] if timed else []),
        ("live", "@live{0,0} bytes"),
        ("populated", "@held{0,0} bytes"),
        ("stranded", "@stranded{0,0} bytes"),
        ("fragmentation", "@share{0.0 %}"),
        ("chunks", "@chunks"),
    ]
    for chart in charts:
        points = chart.scatter("x", {size: "held", share: "share", chunks: "chunks"}[chart],
                               source=source, size=6, alpha=0)  # fmt: skip
        chart.add_tools(HoverTool(renderers=[points], mode="vline", tooltips=tooltips,
                                  point_policy="snap_to_data", line_policy="nearest"))  # fmt: skip
    return charts, _dress(timeline, charts)


def _dress(timeline: Timeline, charts: list[Any]) -> list[Any]:
    """Make charts look alike, mark peak and worst moment; gives the lines of the slider."""
    from bokeh.models import (  # noqa: PLC0415
        CustomJSTickFormatter,
        Label,
        NumeralTickFormatter,
        Span,
    )

    size, share, _chunks = charts
    size.yaxis.formatter = CustomJSTickFormatter(code=BYTES)
    share.yaxis.formatter = NumeralTickFormatter(format="0%")
    share.yaxis.ticker = [0, 0.25, 0.5, 0.75, 1]
    timed = timeline.seconds is not None
    charts[-1].xaxis.axis_label = "seconds from the first operation" if timed else "operations done"
    charts[-1].xaxis.formatter = NumeralTickFormatter(format="0,0.[000000]")
    cursors = []
    peak, worst = _along(timeline, [timeline.peak, timeline.worst])
    for chart in charts:
        _style(chart)
        chart.min_border_left = 86
        chart.toolbar.autohide = True
        if chart is not charts[-1]:
            chart.xaxis.major_label_text_font_size = "0px"
            chart.xaxis.major_tick_line_color = None
            chart.xaxis.minor_tick_line_color = None
        for at, colour in ((peak, COLOURS["peak"]), (worst, COLOURS["bad"])):
            chart.add_layout(Span(location=float(at), dimension="height", line_color=colour,
                                  line_dash="dashed", line_width=1.2))  # fmt: skip
        cursor = Span(location=0, dimension="height", line_color="#111", line_width=1.4)
        chart.add_layout(cursor)
        cursors.append(cursor)
    late = float(timeline.seconds[-1] if timeline.seconds else len(timeline.trace)) / 2
    for at, text, colour, y in (
        (peak, "peak", COLOURS["peak"], 0.8),
        (worst, "worst", COLOURS["bad"], 0.55),
    ):
        size.add_layout(
            Label(x=float(at), y=y * max(map(timeline.held, (timeline.peak, timeline.worst))), text=text,
                  text_color=colour, text_font_size="12px", text_font_style="bold",
                  text_align="right" if at > late else "left",
                  x_offset=-4 if at > late else 4)
        )  # fmt: skip
    return cursors


BYTES = """
if (tick >= 1048576) return (tick / 1048576).toLocaleString("en") + " MiB"
if (tick >= 1024) return (tick / 1024).toLocaleString("en", {maximumFractionDigits: 1}) + " KiB"
return tick.toString()
"""


def _style(chart: Any) -> None:
    chart.outline_line_color = None
    chart.grid.grid_line_color = "#e6eaf0"
    chart.axis.axis_line_color = "#9aa5b1"
    chart.axis.minor_tick_line_color = None
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.axis_label_text_color = "#5f6c7b"
    chart.axis.axis_label_text_font_size = "13px"
    chart.axis.major_label_text_font_size = "12px"


def _map(timeline: Timeline, colours: dict[str, str], cursors: list[Any]) -> tuple[Any, ...]:
    """Draw the chunks; gives the drawing, what controls it, the slider of it, its script."""
    from bokeh.layouts import row  # noqa: PLC0415
    from bokeh.models import (  # noqa: PLC0415
        AdaptiveTicker,
        Button,
        ColumnDataSource,
        CustomJS,
        CustomJSTickFormatter,
        FixedTicker,
        HoverTool,
        RadioButtonGroup,
        Range1d,
        Slider,
    )
    from bokeh.plotting import figure  # noqa: PLC0415

    lane_of = _lanes(timeline)
    lanes = max(lane_of.values()) + 1
    unit = timeline.unit_size
    chart = figure(
        height=round(min(LANE * lanes, MOST_PIXELS)) + 62,
        x_range=Range1d(0, unit, bounds=(0, unit)),
        y_range=Range1d(-lanes, 0),
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,reset",
        active_scroll="xwheel_zoom",
        x_axis_label="offset in the unit",
    )
    units, pages, areas = (ColumnDataSource(name=name) for name in ("units", "pages", "areas"))
    edges = {"left": "left", "right": "right", "bottom": "bottom", "top": "top", "line_color": None}
    units.data = {
        key: [] for key in ("left", "right", "bottom", "top", "y", "chunk", "used", "count", "held")
    }
    pages.data = {key: [] for key in ("left", "right", "bottom", "top")}
    areas.data = {
        key: []
        for key in (
            "left",
            "right",
            "bottom",
            "top",
            "fill",
            "size",
            "align",
            "site",
            "age",
            "chunk",
        )
    }
    below = chart.quad(**edges, source=units, fill_color=COLOURS["free"])
    chart.quad(**edges, source=pages, fill_color=COLOURS["pages"])
    above = chart.quad(**edges, source=areas, fill_color="fill")
    chart.add_tools(
        HoverTool(renderers=[above], tooltips=[
            ("size", "@size{0,0} bytes@align"), ("call site", "@site"), ("age", "@age"),
            ("at", "chunk @chunk, offset @left{0,0}"),
        ]),
        HoverTool(renderers=[below], attachment="below", tooltips=[
            ("chunk", "@chunk: @count{0,0} areas, @used{0,0} bytes in use, @held{0,0} populated"),
        ]),
    )  # fmt: skip
    _style(chart)
    chart.min_border_left = 86
    chart.ygrid.grid_line_color = None
    chart.xaxis.ticker = AdaptiveTicker(base=2, mantissas=[1], min_interval=1, desired_num_ticks=10)
    chart.xaxis.formatter = CustomJSTickFormatter(code=BYTES)
    ticks = FixedTicker(ticks=[])
    chart.yaxis.ticker = ticks
    chart.yaxis.axis_line_color = None
    chart.yaxis.major_tick_line_color = None
    chart.yaxis.formatter = CustomJSTickFormatter(
        args={"units": units},
        code="const i = units.data.y.indexOf(tick)\nreturn i < 0 ? '' : 'chunk ' + units.data.chunk[i]",
    )
    chart.toolbar.autohide = True

    last = len(timeline.moments) - 1
    worst, peak = timeline.moment_at(timeline.worst), timeline.moment_at(timeline.peak)
    slider = Slider(start=0, end=max(last, 1), value=worst, step=1, show_value=False, name="moment",
                    title="Moment", sizing_mode="stretch_width", disabled=last == 0)  # fmt: skip
    colouring = RadioButtonGroup(
        labels=["by call site", "by age"], active=0 if timeline.has_sites else 1, name="colouring"
    )
    names = list(colours)
    kinds = timeline.trace.kinds
    show = CustomJS(
        args={
            "slider": slider, "colouring": colouring, "cursors": cursors, "lanes": ticks,
            "moments": _moments(timeline), "patches": _patches(timeline, lane_of),
            "units": units, "pages": pages, "areas": areas,
            "timed": timeline.seconds is not None,
            "span": timeline.seconds[-1] if timeline.seconds else 0,
            "FREE_SPACE": FREE_SPACE, "STATIC": STATIC, "PAGES": PAGES,
            "kind_size": [kind.size for kind in kinds],
            "kind_align": [kind.align for kind in kinds],
            "kind_site": [names.index(kind.site) if kind.site in colours else 0 for kind in kinds],
            "site_names": [name or "not told" for name in names],
            "site_colours": list(colours.values()),
            "static_colour": COLOURS["static"], "ages": list(AGES),
        },
        code=_text("page.js"),
    )  # fmt: skip
    slider.js_on_change("value", show)
    colouring.js_on_change("active", show)
    buttons = []
    for label, name, to in (
        ("◀", "back", "Math.max(slider.value - 1, slider.start)"),
        ("▶", "forward", "Math.min(slider.value + 1, slider.end)"),
        ("peak", "peak", str(peak)),
        ("worst", "worst", str(worst)),
    ):
        button = Button(label=label, name=name, width=46 if len(label) == 1 else 74)
        button.js_on_event(
            "button_click", CustomJS(args={"slider": slider}, code=f"slider.value = {to}")
        )
        buttons.append(button)
    controls = row(slider, *buttons, colouring, sizing_mode="stretch_width", align="end")
    return chart, controls, slider, show


def _lanes(timeline: Timeline) -> dict[int, int]:
    """Give each chunk a line; lines of chunks that went are used again."""
    stays: dict[int, tuple[int, int]] = {}
    for patch, spans in timeline.patches.items():
        if patch.kind == FREE_SPACE:
            stays[patch.chunk] = spans[0][0], spans[-1][1]
    lane_of: dict[int, int] = {}
    ends: list[int] = []  # last moment of each line's chunk
    for chunk, (first, last) in sorted(stays.items()):
        lane = next((lane for lane, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        lane_of[chunk] = lane
    return lane_of


def _moments(timeline: Timeline) -> Any:
    """Make a row for each position of the slider."""
    import numpy as np  # noqa: PLC0415
    from bokeh.models import ColumnDataSource  # noqa: PLC0415

    moments = timeline.moments
    done = [moment.done for moment in moments]
    return ColumnDataSource({
        "done": np.array(done, dtype=np.int32),
        "x": _along(timeline, done),
        "live": np.array([timeline.curves.live[i] for i in done], dtype=np.float64),
        "held": np.array([timeline.held(i) for i in done], dtype=np.float64),
        "stranded": np.array([timeline.stranded(i) for i in done], dtype=np.float64),
        "fragmentation": np.array([timeline.fragmentation(i) for i in done], dtype=np.float64),
        "chunks": np.array([timeline.curves.chunks[i] for i in done], dtype=np.int32),
        "holes": np.array([moment.holes for moment in moments], dtype=np.int32),
        "largest": np.array([moment.largest_hole for moment in moments], dtype=np.float64),
    }, name="moments")  # fmt: skip


def _patches(timeline: Timeline, lane_of: dict[int, int]) -> Any:
    """Make a row for each stay of a patch, what lies below first."""
    import numpy as np  # noqa: PLC0415
    from bokeh.models import ColumnDataSource  # noqa: PLC0415

    rows = [(patch, *stay) for patch, stays in timeline.patches.items() for stay in stays]
    rows.sort(key=lambda row: row[0].kind != FREE_SPACE)
    columns = {
        "chunk": np.array([patch.chunk for patch, _, _ in rows], dtype=np.int32),
        "lane": np.array([lane_of[patch.chunk] for patch, _, _ in rows], dtype=np.int16),
        "start": np.array([patch.start for patch, _, _ in rows], dtype=np.int32),
        "end": np.array([patch.end for patch, _, _ in rows], dtype=np.int32),
        "kind": np.array([patch.kind for patch, _, _ in rows], dtype=np.int16),
        "born": np.array([patch.born + 1 for patch, _, _ in rows], dtype=np.int32),
        "first": np.array([first for _, first, _ in rows], dtype=np.uint16),
        "last": np.array([last for _, _, last in rows], dtype=np.uint16),
    }
    # an area is there when the operation that allocated it is done
    columns["x"] = _along(timeline, columns["born"].tolist()).astype(np.float32)
    return ColumnDataSource(columns, name="patches")


def _go_on_tap(timeline: Timeline, charts: list[Any], slider: Any) -> None:
    """Let a click on a chart move the slider to the nearest moment."""
    from bokeh.models import CustomJS  # noqa: PLC0415

    along = _along(timeline, [moment.done for moment in timeline.moments]).tolist()
    code = """
    let best = 0
    for (let i = 1; i < along.length; i++)
        if (Math.abs(along[i] - cb_obj.x) < Math.abs(along[best] - cb_obj.x)) best = i
    slider.value = best
    """
    for chart in charts:
        chart.js_on_event("tap", CustomJS(args={"slider": slider, "along": along}, code=code))


def _sizes(timeline: Timeline) -> Any:
    """Draw how large areas are."""
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter  # noqa: PLC0415
    from bokeh.plotting import figure  # noqa: PLC0415
    from bokeh.transform import dodge  # noqa: PLC0415

    rows = by_size(timeline)
    allocs = sum(row.allocs for row in rows) or 1
    at_peak = sum(row.at_peak for row in rows) or 1
    source = ColumnDataSource({
        "size": [f"{int(row.name):,}" for row in rows],
        "allocs": [row.allocs for row in rows],
        "bytes": [row.at_peak for row in rows],
        "share_allocs": [row.allocs / allocs for row in rows],
        "share_bytes": [row.at_peak / at_peak for row in rows],
    })  # fmt: skip
    chart = figure(height=300, x_range=source.data["size"] or ["none"], sizing_mode="stretch_width",
                   tools="", toolbar_location=None, x_axis_label="bytes, up to")  # fmt: skip
    for shift, key, colour, label in (
        (-0.19, "share_allocs", COLOURS["live"], "of all allocations"),
        (0.19, "share_bytes", "#e69f00", "of live bytes at the peak"),
    ):
        chart.vbar(x=dodge("size", shift, range=chart.x_range), top=key, width=0.36, source=source,
                   color=colour, legend_label=label)  # fmt: skip
    chart.add_tools(HoverTool(tooltips=[
        ("up to", "@size bytes"), ("allocations", "@allocs{0,0}"),
        ("live bytes at the peak", "@bytes{0,0}"),
    ]))  # fmt: skip
    _style(chart)
    chart.y_range.start = 0
    chart.xgrid.grid_line_color = None
    chart.xaxis.major_label_orientation = 0.6
    chart.yaxis.formatter = NumeralTickFormatter(format="0%")
    chart.legend.label_text_font_size = "12px"
    chart.legend.background_fill_alpha = 0.6
    chart.add_layout(chart.legend[0], "above")
    chart.legend.orientation = "horizontal"
    return chart
