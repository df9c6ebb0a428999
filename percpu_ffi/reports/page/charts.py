# SPDX-License-Identifier: GPL-2.0-only
"""The charts of the page: curves over time, and the distribution of sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import (
    AdaptiveTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    HoverTool,
    Label,
    NoOverlap,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from bokeh.transform import dodge

from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.timeline import Timeline
from percpu_ffi.analysis.totals import by_size
from percpu_ffi.reports.axes import AXES
from percpu_ffi.reports.page.figures import curve_figures, moment_figures
from percpu_ffi.reports.page.style import BYTES_LABEL, LEFT, Paint

FORMATS = {"bytes": "{0,0} bytes", "share": "{0.0 %}", "": "{0,0}"}

# switches the axis: each column x becomes that of seconds or of operations
SWITCH_AXIS = """
const key = document.querySelector("[name=axis]:checked").value
for (const source of sources) source.data = {...source.data, x: source.data[key]}
const x = sources[0].data.x, end = x[x.length - 1] || 1
range.setv({bounds: [0, end], start: 0, end, reset_start: 0, reset_end: end})
label.axis_label = axes[key === "seconds" ? 0 : 1]
for (const mark of marks) {
    const at = mark.tags[key === "seconds" ? 0 : 1], late = at > end / 2
    if (mark.type !== "Label") { mark.location = at; continue }
    mark.setv({x: at, text_align: late ? "right" : "left", x_offset: late ? -4 : 4})
}
"""

GO_TO_NEAREST = """
const x = moments.data.x, slider = document.getElementById("moment")
let best = 0
for (let i = 1; i < x.length; i++)
    if (Math.abs(x[i] - cb_obj.x) < Math.abs(x[best] - cb_obj.x)) best = i
slider.value = best
slider.dispatchEvent(new Event("input"))
"""


def columns_at(timeline: Timeline, done: list[int]) -> dict[str, Any]:
    """Return the figures at some moments as columns; ``x`` equals ``seconds`` or ``done``."""
    seconds = timeline.seconds
    data: dict[str, list[float]] = {
        "seconds": [0.0 if seconds is None else seconds[i] for i in done],
        "done": list(done),
        "used": [timeline.static_size + timeline.curves.live[i] for i in done],
        **{key: [*map(value, done)] for key, _name, _unit, value in curve_figures(timeline)},
    }
    columns = {name: np.array(values, dtype=np.float64) for name, values in data.items()}
    return {"x": columns["done" if seconds is None else "seconds"], **columns}


def moments_source(timeline: Timeline) -> ColumnDataSource:
    """Return a row for each position of the slider."""
    data = columns_at(timeline, [moment.done for moment in timeline.moments])
    for key, _name, _unit, value in moment_figures(timeline):
        data[key] = np.array([*map(value, timeline.moments)], dtype=np.float64)
    return ColumnDataSource(data, name="moments")


class Charts:
    """Bytes, fragmentation and chunks over time, one chart below the other."""

    def __init__(self, timeline: Timeline, moments: ColumnDataSource, paint: Paint) -> None:
        """Draw the charts; ``moments`` is of :func:`moments_source`."""
        self.paint = paint
        self.figures = curve_figures(timeline)
        self.timed = timeline.seconds is not None
        self.moments = moments
        self.source = ColumnDataSource(columns_at(timeline, thinned(timeline)), name="curves")
        end = float(self.source.data["x"][-1]) or 1.0
        self.range = Range1d(start=0, end=end, bounds=(0, end))
        self.cursors: list[Any] = []
        """Lines at the moment of the slider."""
        self.marks: list[Any] = []
        """Lines and labels at the peak and at the worst moment; tags: their x on each axis."""

        size = self._chart(230, "bytes per CPU", "held")
        for key, colour in (("held", "held"), ("used", "live")):
            area = size.varea_step("x", 0, key, source=self.source, step_mode="after")
            paint(area.glyph, "fill_color", colour)
        size.y_range = Range1d(start=0, end=1.08 * max(self.source.data["held"].max(), 1))
        size.yaxis.ticker = AdaptiveTicker(base=2, mantissas=[1], desired_num_ticks=6)
        size.yaxis.formatter = CustomJSTickFormatter(code=BYTES_LABEL)

        if max(timeline.curves.hidden or [0]):
            line = size.step("x", "hidden", source=self.source, mode="after", line_width=1.5)
            paint(line.glyph, "line_color", "hidden")
        self.charts = [size]

        if "share" in self.source.data:
            share = self._chart(120, "fragmentation", "share")
            line = share.step("x", "share", source=self.source, mode="after")
            paint(line.glyph, "line_color", "bad")
            share.y_range = Range1d(start=0, end=1.04)
            share.yaxis.ticker = [0, 0.5, 1]
            share.yaxis.formatter = NumeralTickFormatter(format="0%")
            self.charts.append(share)

        chunks = self._chart(150, "chunks", "chunks")
        line = chunks.step("x", "chunks", source=self.source, mode="after")
        paint(line.glyph, "line_color", "chunks")
        chunks.y_range = Range1d(start=0, end=1.15 * self.source.data["chunks"].max() + 0.2)
        chunks.yaxis.ticker = AdaptiveTicker(min_interval=1, desired_num_ticks=3)
        chunks.xaxis.axis_label = AXES[0 if self.timed else 1]

        self.charts.append(chunks)
        self._mark(timeline)
        for chart in self.charts[:-1]:
            chart.xaxis.major_label_text_font_size = "0px"
            chart.xaxis.major_tick_line_alpha = 0
        self.column = column(*self.charts, sizing_mode="stretch_width")

    def axis_switch(self) -> Any:
        """Return JavaScript that changes the axis to the chosen one."""
        args = {
            "sources": [self.source, self.moments], "range": self.range, "marks": self.marks,
            "label": self.charts[-1].xaxis[0], "axes": AXES,
        }  # fmt: skip
        return CustomJS(args=args, code=SWITCH_AXIS)

    def move_slider_on_tap(self) -> None:
        """Make a click move the slider to the nearest moment."""
        for chart in self.charts:
            chart.js_on_event("tap", CustomJS(args={"moments": self.moments}, code=GO_TO_NEAREST))

    def _chart(self, height: int, label: str, key: str) -> Any:
        """Make an empty chart with a tooltip of all figures."""
        chart = figure(
            height=height, x_range=self.range, y_axis_label=label, sizing_mode="stretch_width",
            tools="xbox_zoom,xpan,reset", active_drag="xbox_zoom",
        )  # fmt: skip
        self.paint.style(chart)
        chart.min_border_left = LEFT
        chart.xaxis.formatter = NumeralTickFormatter(format="0,0.[000000]")
        chart.xaxis.major_label_policy = NoOverlap(min_distance=8)
        tooltips = [
            *([("seconds", "@seconds{0,0.000000}")] if self.timed else []),
            ("operations done", "@done{0,0}"),
            *((figure.name, f"@{figure.key}{FORMATS[figure.unit]}") for figure in self.figures),
        ]
        # a line has one tooltip; of points, each nearby one would have its own
        line = chart.line("x", key, source=self.source, alpha=0)
        chart.add_tools(
            HoverTool(renderers=[line], mode="vline", line_policy="prev", tooltips=tooltips)
        )
        return chart

    def _mark(self, timeline: Timeline) -> None:
        """Draw lines at the peak, at the worst moment of a replay, and at that of the slider."""
        top = self.charts[0].y_range.end
        marks = [(timeline.peak, "peak", "peak", 0.86)]
        if "stranded" in self.source.data:
            marks.append((timeline.worst, "worst", "bad", 0.70))
        for done, text, colour, height in marks:
            seconds = timeline.seconds[done] if timeline.seconds else 0.0
            at = seconds if self.timed else done
            late = at > self.range.end / 2
            tags = [seconds, done]
            for chart in self.charts:
                span = Span(location=at, dimension="height", line_dash="dashed", line_width=1.2,
                            tags=tags)  # fmt: skip
                self.paint(span, "line_color", colour)
                chart.add_layout(span)
                self.marks.append(span)
            label = Label(
                x=at, y=height * top, text=text, text_font_size="12px", text_font_style="bold",
                background_fill_alpha=0.75, text_align="right" if late else "left",
                x_offset=-4 if late else 4, tags=tags,
            )  # fmt: skip
            self.paint(label, "text_color", colour)
            self.paint(label, "background_fill_color", "paper")
            self.charts[0].add_layout(label)
            self.marks.append(label)
        for chart in self.charts:
            cursor = Span(location=0, dimension="height", line_width=1.4)
            self.paint(cursor, "line_color", "cursor")
            chart.add_layout(cursor)
            self.cursors.append(cursor)


def size_chart(timeline: Timeline, paint: Paint) -> Any:
    """Draw the distribution of sizes of at least one area."""
    rows = by_size(timeline)
    allocs = sum(row.allocs for row in rows)
    at_peak = sum(row.at_peak for row in rows)
    source = ColumnDataSource({
        "size": [f"{int(row.name):,}" for row in rows],
        "allocs": [row.allocs for row in rows],
        "bytes": [row.at_peak for row in rows],
        "share_allocs": [row.allocs / allocs for row in rows],
        "share_bytes": [row.at_peak / at_peak for row in rows],
    }, name="sizes")  # fmt: skip
    chart = figure(height=300, x_range=source.data["size"], sizing_mode="stretch_width",
                   tools="", toolbar_location=None, x_axis_label="bytes, up to")  # fmt: skip
    for shift, key, colour in ((-0.19, "share_allocs", "live"), (0.19, "share_bytes", "second")):
        bars = chart.vbar(x=dodge("size", shift, range=chart.x_range), top=key, width=0.36,
                          line_color=None, source=source)  # fmt: skip
        paint(bars.glyph, "fill_color", colour)
    chart.add_tools(HoverTool(tooltips=[
        ("up to", "@size bytes"), ("allocations", "@allocs{0,0}"),
        ("live bytes at the peak", "@bytes{0,0}"),
    ]))  # fmt: skip
    paint.style(chart)
    chart.y_range.start = 0
    chart.xgrid.visible = False
    chart.xaxis.major_label_orientation = 0.6
    chart.yaxis.formatter = NumeralTickFormatter(format="0%")
    return chart
