# SPDX-License-Identifier: GPL-2.0-only
"""The chunks of the page at the moment of the slider.

``unpack.js`` unpacks what :func:`_packed` packs; ``page.js`` draws one moment of it, and
``controls.js`` does so whenever a control of the page changes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from zlib import compress

import numpy as np
from bokeh.models import (
    AdaptiveTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    NoOverlap,
    Range1d,
)
from bokeh.plotting import figure

from percpu_ffi._util.text import printable
from percpu_ffi.analysis.origins import Origin
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Timeline
from percpu_ffi.reports.colours import AGES
from percpu_ffi.reports.page.charts import Charts, columns_at
from percpu_ffi.reports.page.style import BYTES_LABEL, LEFT, Paint, read_asset

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
    """The chart of all chunks, and the JavaScript that updates it."""

    def __init__(
        self, timeline: Timeline, site_keys: dict[str, str], charts: Charts, paint: Paint
    ) -> None:
        """Draw the chunks; the slider moves the cursors of ``charts``, too."""
        self.paint = paint
        lane_of = _lanes(timeline)
        lanes = max(lane_of) + 1
        self.ticks = FixedTicker(ticks=[])
        # page.js must fill all of these columns
        self.units = _source("units", "left right bottom top y chunk used count held pinned_by")
        self.pages = _source("pages", "left right bottom top chunk used count held pinned_by")
        self.areas = _source(
            "areas", "left right bottom top fill size align site caller task age chunk"
        )
        pixels = max(min(LANE * lanes, SCREEN), min(NAME_PIXELS * lanes, MOST_PIXELS))
        self.chart = self._chart(timeline, lanes, pixels)

        callers, caller_of = _numbered(timeline, _caller)
        tasks, task_of = _numbered(timeline, _task)
        moments = ColumnDataSource(_moments(timeline), name="moments")
        patches = ColumnDataSource(name="patches")
        length = timeline.seconds[-1] if timeline.seconds else 0.0
        show = CustomJS(
            args={
                "cursors": charts.cursors, "lanes": self.ticks, "moments": moments,
                "patches": patches, "units": self.units, "pages": self.pages,
                "areas": self.areas, "timed": timeline.seconds is not None,
                "trace_seconds": length, "tick": length / TICKS, "lane_of": lane_of,
                "ages": [f"age{i}" for i in range(len(AGES))], "peak": timeline.peak,
                "worst": timeline.worst, "named": -(-NAME_PIXELS * lanes // pixels),
                **_kinds(timeline, site_keys), "callers": callers, "tasks": tasks,
                "FREE_SPACE": FREE_SPACE, "STATIC": STATIC, "PAGES": PAGES,
            },
            code=read_asset("page.js"),
        )  # fmt: skip
        charts.move_slider_on_tap(moments)
        self.start = (
            CustomJS(
                args={
                    "show": show, "switch_axis": charts.axis_switch(moments),
                    "painted": paint.painted, "charts": [*charts.charts, self.chart],
                },
                code=read_asset("controls.js"),
            ),
            CustomJS(
                args={
                    "patches": patches, "packed": _packed(timeline, caller_of, task_of),
                    "show": show,
                },
                code=read_asset("unpack.js"),
            ),
        )  # fmt: skip
        """JavaScript that runs when the page is open."""

    def _chart(self, timeline: Timeline, lanes: int, pixels: int) -> Any:
        unit_size = timeline.unit_size
        chart = figure(
            height=pixels + AXIS_PIXELS,
            x_range=Range1d(start=0, end=unit_size, bounds=(0, unit_size)),
            y_range=Range1d(start=-lanes, end=0),
            sizing_mode="stretch_width",
            tools="xbox_zoom,xpan,reset",  # the wheel scrolls the page
            active_drag="xbox_zoom",
            x_axis_label="offset in a unit",
        )
        self.paint.style(chart)
        unit = chart.quad(**BOX, line_color=None, source=self.units)
        below = chart.quad(**BOX, line_color=None, source=self.pages)
        self.paint(unit.glyph, "fill_color", "free")
        self.paint(below.glyph, "fill_color", "pages")
        # the line keeps a small area visible: it may be the one that pins its chunk
        above = chart.quad(**BOX, line_color="fill", source=self.areas, fill_color="fill")
        chart.add_tools(
            HoverTool(renderers=[above], attachment="above", tooltips=[
                ("size", "@size{0,0} bytes@align"), ("call site", "@site"),
                *([("caller", "@caller")] if timeline.has_stacks else []),
                *([("task", "@task")] if timeline.has_tasks else []), ("age", "@age"),
                ("at", "chunk @chunk, offset @left{0,0}"),
            ]),
            HoverTool(renderers=[unit, below], attachment="below", tooltips=[
                ("chunk", "@chunk"), ("areas", "@count{0,0}"), ("in use", "@used{0,0} bytes"),
                ("populated", "@held{0,0} bytes"), ("pinned by", "@pinned_by"),
            ]),
        )  # fmt: skip
        chart.min_border_left = LEFT
        chart.ygrid.visible = False
        chart.xaxis.ticker = AdaptiveTicker(base=2, mantissas=[1], min_interval=1,
                                            desired_num_ticks=10)  # fmt: skip
        chart.xaxis.formatter = CustomJSTickFormatter(code=BYTES_LABEL)
        chart.xaxis.major_label_policy = NoOverlap(min_distance=8)
        chart.yaxis.ticker = self.ticks
        chart.yaxis.axis_line_alpha = 0
        chart.yaxis.major_tick_line_alpha = 0
        chart.yaxis.formatter = CustomJSTickFormatter(args={"units": self.units}, code=CHUNK_LABEL)
        return chart


def _source(name: str, columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns.split()}, name=name)


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


def _kinds(timeline: Timeline, site_keys: dict[str, str]) -> dict[str, Any]:
    """Return what page.js needs to know of each kind of area."""
    kinds, number = timeline.trace.kinds, {name: i for i, name in enumerate(site_keys)}
    return {
        "kind_size": [kind.size for kind in kinds],
        "kind_align": [kind.align for kind in kinds],
        "kind_site": [number.get(kind.site, 0) for kind in kinds],
        "site_names": [printable(name) or "unknown" for name in site_keys],
        "site_keys": list(site_keys.values()),
    }


def _caller(origin: Origin) -> str:
    return origin.caller


def _task(origin: Origin) -> str:
    return origin.task if origin.pid is None else f"{origin.task} ({origin.pid})"


def _numbered(
    timeline: Timeline, text_of: Callable[[Origin], str]
) -> tuple[list[str], dict[int, int]]:
    """Return the texts of all origins, and the number of each area's, by its first operation.

    The first text is that of patches that are no areas.
    """
    texts = {"": 0}
    numbers = {
        born: texts.setdefault(printable(text_of(origin)) or "unknown", len(texts))
        for born, origin in timeline.origins.items()
    }
    return [*texts], numbers


def _moments(timeline: Timeline) -> dict[str, Any]:
    """Return a row for each position of the slider."""
    moments = timeline.moments
    return {
        **columns_at(timeline, [moment.done for moment in moments]),
        "free_ranges": np.array([moment.free_ranges for moment in moments], dtype=np.float64),
        "largest": np.array([moment.largest_free for moment in moments], dtype=np.float64),
    }


def _packed(timeline: Timeline, *numbers: dict[int, int]) -> str:
    """Pack all stays of patches as columns of 32-bit integers; the last are from ``numbers``.

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
        *([number.get(patch.born, 0) for patch, _, _ in rows] for number in numbers),
    ]
    packed = b""
    for column in columns:
        differences = np.diff(np.array(column, dtype=np.int64), prepend=0).astype("<i4")
        packed += differences.view(np.uint8).reshape(-1, 4).T.tobytes()
    return b64encode(compress(packed)).decode()
