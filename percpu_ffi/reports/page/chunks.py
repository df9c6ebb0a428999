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
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    OLD_AREA,
    OUTSIDE,
    PAGES,
    STATIC,
    Timeline,
)
from percpu_ffi.reports.colours import AGES
from percpu_ffi.reports.page.charts import Charts
from percpu_ffi.reports.page.figures import curve_figures, moment_figures
from percpu_ffi.reports.page.style import BYTES_LABEL, LEFT, Paint, read_asset
from percpu_ffi.reports.page.view import STATES, View

LANE = 46  # pixels for each chunk, if there is room
SCREEN = 900  # pixels for all chunks, as long as their names fit
NAME_PIXELS = 13
MOST_PIXELS = 2400
AXIS_PIXELS = 62
TICKS = (1 << 31) - 1  # a time is packed as a number from 0 to this

BOX = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
# shares of a chunk's line, from its top: areas, blocks, pages
ROWS = {"areas": [0.06, 0.66], "pages": [0.70, 0.84]}
ROWS_WITH_BLOCKS = {"areas": [0.06, 0.58], "blocks": [0.61, 0.73], "pages": [0.77, 0.91]}
TWO_LINES = 30  # pixels of a chunk whose name may have a second line
CHUNK_LABEL = """
const i = units.data.y.indexOf(tick)
if (i < 0) return ""
const chunk = units.data.chunk[i], mark = units.data.mark[i]
if (two_lines) return units.data.short_name[i] + (mark && `\n${mark}`)
return mark && chunk >= 0 ? `${chunk}, ${mark}` : units.data.short_name[i]
"""
# what is in the row of areas, too: kind, name, what follows its size, age
NO_AREAS = (
    (STATIC, "static area", "", "since the start"),
    (OUTSIDE, "not of this chunk", "", "since the start"),
    (OLD_AREA, "older than the recording", " or more", "since before the recording"),
)
OF_CHUNK = "chunk name used count held pinned_by hidden"  # columns of its tooltip


class Chunks:
    """The chart of all chunks, and the JavaScript that updates it."""

    def __init__(
        self,
        timeline: Timeline,
        view: View,
        site_keys: dict[str, str],
        charts: Charts,
        paint: Paint,
    ) -> None:
        """Draw the chunks; the slider moves the cursors of ``charts``, too."""
        self.paint = paint
        self.view = view
        lane_of = _lanes(timeline)
        lanes = max(lane_of) + 1
        self.ticks = FixedTicker(ticks=[])
        # page.js must fill all of these columns
        self.units = _source("units", f"left right bottom top y short_name mark {OF_CHUNK}")
        self.pages = _source("pages", f"left right bottom top {OF_CHUNK}")
        self.empty = _source("empty", f"left right bottom top {OF_CHUNK}")
        self.hidden = _source("hidden", "left right bottom top chunk")
        self.apart = _source("apart", "left right bottom top chunk")
        self.blocks = _source("blocks", "left right bottom top shade hint blocks chunk")
        self.areas = _source(
            "areas", "left right bottom top fill size align site caller task age chunk name"
        )
        pixels = max(min(LANE * lanes, SCREEN), min(NAME_PIXELS * lanes, MOST_PIXELS))
        self.chart = self._chart(timeline, lanes, pixels)

        callers, caller_of = _numbered(timeline, _caller)
        tasks, task_of = _numbered(timeline, _task)
        figures = (*curve_figures(timeline), *moment_figures(timeline))
        patches = ColumnDataSource(name="patches")
        length = timeline.seconds[-1] if timeline.seconds else 0.0
        show = CustomJS(
            args={
                "cursors": charts.cursors, "lanes": self.ticks, "moments": charts.moments,
                "patches": patches, "units": self.units, "pages": self.pages, "empty": self.empty,
                "hidden": self.hidden, "apart": self.apart, "blocks": self.blocks,
                "areas": self.areas, "timed": timeline.seconds is not None,
                "trace_seconds": length, "tick": length / TICKS, "lane_of": lane_of,
                "ages": [f"age{i}" for i in range(len(AGES))], "peak": timeline.peak,
                "worst": -1 if view.is_kernel else timeline.worst,
                "named": -(-NAME_PIXELS * lanes // pixels),
                **_kinds(timeline, site_keys), "callers": callers, "tasks": tasks,
                "figures": [[figure.key, figure.unit == "share"] for figure in figures],
                "rows": _rows(timeline), "page_size": timeline.page_size,
                "kept": sorted(timeline.kept), "held_where": view.held,
                "states": [[kind, *state] for kind, state in STATES.items()],
                "FREE_SPACE": FREE_SPACE, "HIDDEN": HIDDEN, "PAGES": PAGES, "BLOCKS": BLOCKS,
                "EMPTY_PAGES": EMPTY_PAGES, "OLD_AREA": OLD_AREA,
                "no_areas": NO_AREAS,
            },
            code=read_asset("page.js"),
        )  # fmt: skip
        charts.move_slider_on_tap()
        self.start = (
            CustomJS(
                args={
                    "show": show, "switch_axis": charts.axis_switch(),
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
        unit = self._boxes(chart, self.units, "free")
        hidden = chart.quad(**BOX, line_color=None, fill_color=None, source=self.hidden,
                            hatch_pattern="/", hatch_scale=7, hatch_weight=1.6)  # fmt: skip
        self.paint(hidden.glyph, "hatch_color", "hidden")
        below = self._boxes(chart, self.pages, "pages")
        empty = self._boxes(chart, self.empty, "empty")
        blocks = self._boxes(chart, self.blocks, "blocks", fill_alpha="shade")
        # the line keeps a small area visible: it may be the one that pins its chunk
        above = chart.quad(**BOX, line_color="fill", source=self.areas, fill_color="fill")
        apart = chart.quad(**BOX, fill_color=None, line_dash=[5, 3], line_width=2,
                           source=self.apart)  # fmt: skip
        self.paint(apart.glyph, "line_color", "apart")
        chart.add_tools(
            HoverTool(renderers=[above], attachment="above", tooltips=[
                ("size", "@size{0,0} bytes@align"), ("call site", "@site"),
                *([("caller", "@caller")] if timeline.has_stacks else []),
                *([("task", "@task")] if timeline.has_tasks else []), ("age", "@age"),
                ("at", "@name, offset @left{0,0}"),
            ]),
            HoverTool(renderers=[unit, below, empty], attachment="below",
                      tooltips=self._chunk_tooltip()),
            *([HoverTool(renderers=[blocks], attachment="below", tooltips=[
                ("blocks", "@blocks"), ("contig hint", "@hint{0,0} bytes"),
            ])] if self.view.is_bitmap else []),
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
        two_lines = pixels >= TWO_LINES * lanes
        chart.yaxis.formatter = CustomJSTickFormatter(
            args={"units": self.units, "two_lines": two_lines}, code=CHUNK_LABEL
        )
        return chart

    def _boxes(self, chart: Any, source: ColumnDataSource, colour: str, **more: Any) -> Any:
        """Add boxes of one colour, without lines."""
        boxes = chart.quad(**BOX, line_color=None, source=source, **more)
        self.paint(boxes.glyph, "fill_color", colour)
        return boxes

    def _chunk_tooltip(self) -> list[tuple[str, str]]:
        if self.view.is_kernel:
            used, held, users = "in recorded areas", "pages with recorded areas", "call sites"
        else:
            used, held, users = "in use", "populated", "pinned by"
        return [
            ("chunk", "@name"), ("areas", "@count{0,0}"), (used, "@used{0,0} bytes"),
            *([("hidden", "@hidden{0,0} bytes")] if self.view.is_bitmap else []),
            (held, "@held{0,0} bytes"), (users, "@pinned_by"),
        ]  # fmt: skip


def _source(name: str, columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns.split()}, name=name)


def _rows(timeline: Timeline) -> dict[str, list[float]]:
    has_blocks = any(patch.kind == BLOCKS for patch in timeline.patches)
    return ROWS_WITH_BLOCKS if has_blocks else ROWS


def _lanes(timeline: Timeline) -> list[int]:
    """Return the line of each chunk, by its ordinal; lines of destroyed chunks are reused.

    The reserved chunk, -1, is the last item.
    """
    stays: dict[int, tuple[int, int]] = {}
    for patch, spans in timeline.patches.items():
        if patch.kind == FREE_SPACE:
            stays[patch.chunk] = spans[0][0], spans[-1][1]
    lane_of = [0] * (max(stays, default=0) + 2)
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


def _numbered(timeline: Timeline, text_of: Callable[[Origin], str]) -> tuple[list[str], list[int]]:
    """Return the texts of all origins, and the number of each origin's.

    The first text is that of patches that are no areas.
    """
    texts = {"": 0}
    numbers = [
        texts.setdefault(printable(text_of(origin)) or "unknown", len(texts))
        for origin in timeline.origins
    ]
    return [*texts], numbers


def _packed(timeline: Timeline, *numbers: list[int]) -> str:
    """Pack all stays of patches as columns of 32-bit integers.

    The last columns are those of ``numbers``, which have an item for each origin.

    Each integer is replaced by its difference to the one before it; the first bytes of all are
    put together, then the second ones, and so on; the result is compressed and in base64.
    """
    rows = [(patch, *stay) for patch, stays in timeline.patches.items() for stay in stays]
    rows.sort(key=lambda row: (row[0].born, row[0].kind))  # drawn in this order
    # an area exists after the operation that allocated it
    born = [patch.born + 1 for patch, _, _ in rows]
    origins = [timeline.origin_of.get(patch.born) for patch, _, _ in rows]
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
        [patch.hint for patch, _, _ in rows],
        *([0 if i is None else number[i] for i in origins] for number in numbers),
    ]
    packed = b""
    for column in columns:
        differences = np.diff(np.array(column, dtype=np.int64), prepend=0).astype("<i4")
        packed += differences.view(np.uint8).reshape(-1, 4).T.tobytes()
    return b64encode(compress(packed)).decode()
