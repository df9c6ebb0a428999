# SPDX-License-Identifier: GPL-2.0-only
"""The page's chunks at one moment, and the slider that chooses it.

``unpack.js`` unpacks what :func:`_packed` packs, ``page.js`` draws a moment of it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
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
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC
from percpu_ffi.reports.colours import AGES, COLOURS
from percpu_ffi.reports.page.charts import columns_at
from percpu_ffi.reports.page.style import BYTES, LEFT, dress, text_of

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Timeline
    from percpu_ffi.reports.page.charts import Charts

__all__ = ["Chunks"]

LANE = 46  # pixels of a chunk's line, where there is room
SCREEN = 900  # pixels: all lines are on it, while they are as high as their names
NAME_PIXELS = 13
MOST_PIXELS = 2400
BELOW = 62  # pixels of the axis
TICKS = (1 << 31) - 1  # times are packed in so many steps

BOX = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
NAME = """
const i = units.data.y.indexOf(tick)
return i < 0 ? "" : `chunk ${units.data.chunk[i]}`
"""


class Chunks:
    """A drawing of all chunks, its controls, and what runs in the browser."""

    def __init__(self, timeline: Timeline, colours: dict[str, str], charts: Charts) -> None:
        """Draw them; the slider's moment is told in ``charts`` too."""
        lane_of = _lanes(timeline)
        lanes = max(lane_of) + 1
        self.ticks = FixedTicker(ticks=[])
        # page.js fills them, and has to fill all of these columns
        self.units = _source("units", "left right bottom top y chunk used count held kept")
        self.pages = _source("pages", "left right bottom top chunk used count held kept")
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
        in_all = timeline.seconds[-1] if timeline.seconds else 0.0
        show = CustomJS(
            args={
                "slider": slider, "colouring": colouring, "cursors": charts.cursors,
                "lanes": self.ticks, "moments": moments, "patches": patches,
                "units": self.units, "pages": self.pages, "areas": self.areas,
                "timed": timeline.seconds is not None, "seconds_in_all": in_all,
                "tick": in_all / TICKS, "lane_of": lane_of, "ages": list(AGES),
                "static_colour": COLOURS["static"], "faint": COLOURS["faint"],
                "named": -(-NAME_PIXELS * lanes // pixels), **_kinds(timeline, colours),
                "FREE_SPACE": FREE_SPACE, "STATIC": STATIC, "PAGES": PAGES,
            },
            code=text_of("page.js"),
        )  # fmt: skip
        slider.js_on_change("value", show)
        colouring.js_on_change("active", show)
        charts.turn_axis(moments, show)
        charts.go_on_tap(moments, slider)
        self.unpack = CustomJS(
            args={"patches": patches, "packed": _packed(timeline), "show": show, "slider": slider},
            code=text_of("unpack.js"),
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
            height=pixels + BELOW,
            x_range=Range1d(start=0, end=unit_size, bounds=(0, unit_size)),
            y_range=Range1d(start=-lanes, end=0),
            sizing_mode="stretch_width",
            tools="xbox_zoom,xpan,reset",  # the wheel scrolls the page
            active_drag="xbox_zoom",
            x_axis_label="offset in the unit",
        )
        dress(chart)
        unit = chart.quad(**BOX, line_color=None, source=self.units, fill_color=COLOURS["free"])
        below = chart.quad(**BOX, line_color=None, source=self.pages, fill_color=COLOURS["pages"])
        # the line keeps a small area visible: it may be all that pins its chunk
        above = chart.quad(**BOX, line_color="fill", source=self.areas, fill_color="fill")
        chart.add_tools(
            HoverTool(renderers=[above], attachment="above", tooltips=[
                ("size", "@size{0,0} bytes@align"), ("call site", "@site"), ("age", "@age"),
                ("at", "chunk @chunk, offset @left{0,0}"),
            ]),
            HoverTool(renderers=[unit, below], attachment="below", tooltips=[
                ("chunk", "@chunk"), ("areas", "@count{0,0}"), ("in use", "@used{0,0} bytes"),
                ("populated", "@held{0,0} bytes"), ("kept by", "@kept"),
            ]),
        )  # fmt: skip
        chart.min_border_left = LEFT
        chart.ygrid.grid_line_color = None
        chart.xaxis.ticker = AdaptiveTicker(base=2, mantissas=[1], min_interval=1,
                                            desired_num_ticks=10)  # fmt: skip
        chart.xaxis.formatter = CustomJSTickFormatter(code=BYTES)
        chart.yaxis.ticker = self.ticks
        chart.yaxis.axis_line_color = None
        chart.yaxis.major_tick_line_color = None
        chart.yaxis.formatter = CustomJSTickFormatter(args={"units": self.units}, code=NAME)
        return chart


def _source(name: str, columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns.split()}, name=name)


def _button(slider: Any, label: str, width: int, to: str) -> Any:
    button = Button(label=label, width=width)
    go = CustomJS(args={"slider": slider}, code=f"slider.value = {to}")
    button.js_on_event("button_click", go)
    return button


def _lanes(timeline: Timeline) -> list[int]:
    """Give each chunk a line, by its ordinal; lines of chunks that went are used again."""
    stays: dict[int, tuple[int, int]] = {}
    for patch, spans in timeline.patches.items():
        if patch.kind == FREE_SPACE:
            stays[patch.chunk] = spans[0][0], spans[-1][1]
    lane_of = [0] * (max(stays) + 1)
    ends: list[int] = []  # last moment of each line's chunk
    for chunk, (first, last) in sorted(stays.items()):
        lane = next((lane for lane, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        lane_of[chunk] = lane
    return lane_of


def _kinds(timeline: Timeline, colours: dict[str, str]) -> dict[str, Any]:
    """What is told of an area by its kind."""
    kinds, number = timeline.trace.kinds, {name: i for i, name in enumerate(colours)}
    return {
        "kind_size": [kind.size for kind in kinds],
        "kind_align": [kind.align for kind in kinds],
        "kind_site": [number.get(kind.site, 0) for kind in kinds],
        "site_names": [printable(name) or "not told" for name in colours],
        "site_colours": list(colours.values()),
    }


def _moments(timeline: Timeline) -> dict[str, Any]:
    """Make a row for each position of the slider."""
    moments = timeline.moments
    return {
        **columns_at(timeline, [moment.done for moment in moments]),
        "holes": np.array([moment.holes for moment in moments], dtype=np.float64),
        "largest": np.array([moment.largest_hole for moment in moments], dtype=np.float64),
    }


def _packed(timeline: Timeline) -> str:
    """Pack all stays of patches: columns of 32-bit integers.

    Of each integer the one before it is taken away; their first bytes are put side by side,
    then their second ones, and so on; all is compressed, and in base64.
    """
    rows = [(patch, *stay) for patch, stays in timeline.patches.items() for stay in stays]
    rows.sort(key=lambda row: (row[0].kind != FREE_SPACE, row[0].born))  # what lies below first
    # an area is there when the operation that allocated it is done
    born = [patch.born + 1 for patch, _, _ in rows]
    seconds = timeline.seconds
    in_all = seconds[-1] if seconds else 0.0
    columns = [
        [patch.chunk for patch, _, _ in rows],
        [patch.start for patch, _, _ in rows],
        [patch.end - patch.start for patch, _, _ in rows],
        [patch.kind for patch, _, _ in rows],
        born,
        [round(seconds[i] / in_all * TICKS) if seconds and in_all else 0 for i in born],
        [first for _, first, _ in rows],
        [last - first for _, first, last in rows],
    ]
    packed = b""
    for column in columns:
        differences = np.diff(np.array(column, dtype=np.int64), prepend=0).astype("<i4")
        packed += differences.view(np.uint8).reshape(-1, 4).T.tobytes()
    return b64encode(compress(packed)).decode()
