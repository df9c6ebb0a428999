# SPDX-License-Identifier: GPL-2.0-only
"""The chunks of the page at one moment, and the slider that selects the moment.

``unpack.js`` unpacks what :func:`_packed` packs; ``page.js`` draws one moment of it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from zlib import compress

import numpy as np
from bokeh.layouts import row
from bokeh.models import (
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
from bokeh.plotting import figure

from percpu_ffi._util.text import printable
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Timeline
from percpu_ffi.reports.colours import AGES, COLOURS
from percpu_ffi.reports.page.charts import Charts, columns_at
from percpu_ffi.reports.page.style import BYTES_LABEL, LEFT, apply_style, read_asset

LANE = 46  # pixels for each chunk, if there is room
SCREEN = 900  # pixels for all chunks, as long as their names fit
NAME_PIXELS = 13
MOST_PIXELS = 2400
AXIS_PIXELS = 62
TICKS = (1 << 31) - 1  # a time is packed as a number from 0 to this

BOX = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
CHUNK_LABEL = """
const i = units.data.y.indexOf(tick)
return i < 0 ? "" : `chunk ${units.data.chunk[i]}`
"""


class Chunks:
    """The chart of all chunks, its controls, and the JavaScript that updates it."""

    def __init__(self, timeline: Timeline, colours: dict[str, str], charts: Charts) -> None:
        """Draw the chunks; the slider moves the cursors of ``charts``, too."""
        lane_of = _lanes(timeline)
        lanes = max(lane_of) + 1
        self.ticks = FixedTicker(ticks=[])
        # page.js must fill all of these columns
        self.units = _source("units", "left right bottom top y chunk used count held pinned_by")
        self.pages = _source("pages", "left right bottom top chunk used count held pinned_by")
        self.areas = _source("areas", "left right bottom top fill size align site age chunk")
        pixels = max(min(LANE * lanes, SCREEN), min(NAME_PIXELS * lanes, MOST_PIXELS))
        self.chart = self._chart(timeline.unit_size, lanes, pixels)

        moments = ColumnDataSource(_moments(timeline), name="moments")
        last = len(timeline.moments) - 1
        worst = timeline.moment_at(timeline.worst)
        slider = Slider(start=0, end=max(last, 1), value=worst, step=1, show_value=False,
                        name="moment", title="moment", sizing_mode="stretch_width")  # fmt: skip
        colouring = RadioButtonGroup(
            labels=["by call site", "by age"], active=0 if timeline.has_sites else 1
        )
        patches = ColumnDataSource(name="patches")
        length = timeline.seconds[-1] if timeline.seconds else 0.0
        show = CustomJS(
            args={
                "slider": slider, "colouring": colouring, "cursors": charts.cursors,
                "lanes": self.ticks, "moments": moments, "patches": patches,
                "units": self.units, "pages": self.pages, "areas": self.areas,
                "timed": timeline.seconds is not None, "trace_seconds": length,
                "tick": length / TICKS, "lane_of": lane_of, "ages": list(AGES),
                "static_colour": COLOURS["static"], "faint": COLOURS["faint"],
                "named": -(-NAME_PIXELS * lanes // pixels), **_kinds(timeline, colours),
                "FREE_SPACE": FREE_SPACE, "STATIC": STATIC, "PAGES": PAGES,
            },
            code=read_asset("page.js"),
        )  # fmt: skip
        slider.js_on_change("value", show)
        colouring.js_on_change("active", show)
        charts.connect_axis(moments, show)
        charts.move_slider_on_tap(moments, slider)
        self.unpack = CustomJS(
            args={"patches": patches, "packed": _packed(timeline), "show": show, "slider": slider},
            code=read_asset("unpack.js"),
        )
        peak = timeline.moment_at(timeline.peak)
        buttons = [
            _button(slider, "◀ earlier", 80, "Math.max(slider.value - 1, 0)"),
            _button(slider, "later ▶", 80, f"Math.min(slider.value + 1, {last})"),
            _button(slider, "peak", 74, str(peak)),
            _button(slider, "worst", 74, str(worst)),
        ]
        self.controls = row(slider, *buttons, colouring, sizing_mode="stretch_width")

    def _chart(self, unit_size: int, lanes: int, pixels: int) -> Any:
        chart = figure(
            height=pixels + AXIS_PIXELS,
            x_range=Range1d(start=0, end=unit_size, bounds=(0, unit_size)),
            y_range=Range1d(start=-lanes, end=0),
            sizing_mode="stretch_width",
            tools="xbox_zoom,xpan,reset",  # the wheel scrolls the page
            active_drag="xbox_zoom",
            x_axis_label="offset in a unit",
        )
        apply_style(chart)
        unit = chart.quad(**BOX, line_color=None, source=self.units, fill_color=COLOURS["free"])
        below = chart.quad(**BOX, line_color=None, source=self.pages, fill_color=COLOURS["pages"])
        # the line keeps a small area visible: it may be the one that pins its chunk
        above = chart.quad(**BOX, line_color="fill", source=self.areas, fill_color="fill")
        chart.add_tools(
            HoverTool(renderers=[above], attachment="above", tooltips=[
                ("size", "@size{0,0} bytes@align"), ("call site", "@site"), ("age", "@age"),
                ("at", "chunk @chunk, offset @left{0,0}"),
            ]),
            HoverTool(renderers=[unit, below], attachment="below", tooltips=[
                ("chunk", "@chunk"), ("areas", "@count{0,0}"), ("in use", "@used{0,0} bytes"),
                ("populated", "@held{0,0} bytes"), ("pinned by", "@pinned_by"),
            ]),
        )  # fmt: skip
        chart.min_border_left = LEFT
        chart.ygrid.grid_line_color = None
        chart.xaxis.ticker = AdaptiveTicker(base=2, mantissas=[1], min_interval=1,
                                            desired_num_ticks=10)  # fmt: skip
        chart.xaxis.formatter = CustomJSTickFormatter(code=BYTES_LABEL)
        chart.yaxis.ticker = self.ticks
        chart.yaxis.axis_line_color = None
        chart.yaxis.major_tick_line_color = None
        chart.yaxis.formatter = CustomJSTickFormatter(args={"units": self.units}, code=CHUNK_LABEL)
        return chart


def _source(name: str, columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns.split()}, name=name)


def _button(slider: Any, label: str, width: int, to: str) -> Any:
    button = Button(label=label, width=width)
    go = CustomJS(args={"slider": slider}, code=f"slider.value = {to}")
    button.js_on_event("button_click", go)
    return button


def _lanes(timeline: Timeline) -> list[int]:
    """Return the line of each chunk, by its ordinal; lines of destroyed chunks are reused."""
    stays: dict[int, tuple[int, int]] = {}
    for patch, spans in timeline.patches.items():
        if patch.kind == FREE_SPACE:
            stays[patch.chunk] = spans[0][0], spans[-1][1]
    lane_of = [0] * (max(stays) + 1)
    ends: list[int] = []  # for each line, the last moment of its chunk
    for chunk, (first, last) in sorted(stays.items()):
        lane = next((lane for lane, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        lane_of[chunk] = lane
    return lane_of


def _kinds(timeline: Timeline, colours: dict[str, str]) -> dict[str, Any]:
    """Return what page.js needs to know of each kind of area."""
    kinds, number = timeline.trace.kinds, {name: i for i, name in enumerate(colours)}
    return {
        "kind_size": [kind.size for kind in kinds],
        "kind_align": [kind.align for kind in kinds],
        "kind_site": [number.get(kind.site, 0) for kind in kinds],
        "site_names": [printable(name) or "unknown" for name in colours],
        "site_colours": list(colours.values()),
    }


def _moments(timeline: Timeline) -> dict[str, Any]:
    """Return a row for each position of the slider."""
    moments = timeline.moments
    return {
        **columns_at(timeline, [moment.done for moment in moments]),
        "free_ranges": np.array([moment.free_ranges for moment in moments], dtype=np.float64),
        "largest": np.array([moment.largest_free for moment in moments], dtype=np.float64),
    }


def _packed(timeline: Timeline) -> str:
    """Pack all stays of patches as columns of 32-bit integers.

    Each integer is replaced by its difference to the one before it; the first bytes of all are
    put together, then the second ones, and so on; the result is compressed and in base64.
    """
    rows = [(patch, *stay) for patch, stays in timeline.patches.items() for stay in stays]
    rows.sort(key=lambda row: (row[0].kind != FREE_SPACE, row[0].born))  # drawn in this order
    # an area exists after the operation that allocated it
    born = [patch.born + 1 for patch, _, _ in rows]
    seconds = timeline.seconds
    length = seconds[-1] if seconds else 0.0
    columns = [
        [patch.chunk for patch, _, _ in rows],
        [patch.start for patch, _, _ in rows],
        [patch.end - patch.start for patch, _, _ in rows],
        [patch.kind for patch, _, _ in rows],
        born,
        [round(seconds[i] / length * TICKS) if seconds and length else 0 for i in born],
        [first for _, first, _ in rows],
        [last - first for _, first, last in rows],
    ]
    packed = b""
    for column in columns:
        differences = np.diff(np.array(column, dtype=np.int64), prepend=0).astype("<i4")
        packed += differences.view(np.uint8).reshape(-1, 4).T.tobytes()
    return b64encode(compress(packed)).decode()
