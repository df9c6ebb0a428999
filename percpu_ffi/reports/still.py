# SPDX-License-Identifier: GPL-2.0-only
"""Draw a timeline as a picture with matplotlib: curves, and the chunks at one moment.

That is the worst moment of a replay, and the peak of a recorded kernel.
"""

from __future__ import annotations

import io
import math
from textwrap import wrap
from typing import Any

from percpu_ffi._util.optional import plain
from percpu_ffi._util.text import printable
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.explain import explain
from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    DEPOPULATE,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    OLD_AREA,
    OUTSIDE,
    PAGES,
    RESERVED,
    SIDELINED,
    STATIC,
    Patch,
    Timeline,
)
from percpu_ffi.analysis.totals import by_site, by_size
from percpu_ffi.reports.axes import AXES, set_byte_ticks
from percpu_ffi.reports.colours import COLOURS, OTHERS, site_colours
from percpu_ffi.reports.page.view import STATES

LANE = 0.34  # inches for each chunk, if there is room
MOST_INCHES = 12.0
MOST_SITES = 10
LINE = 150  # characters
# shares of a chunk's line, from its top; areas are in that of free space
ROWS = {FREE_SPACE: (0.1, 0.68), PAGES: (0.72, 0.86)}
ROWS_WITH_BLOCKS = {
    FREE_SPACE: (0.1, 0.6), BLOCKS: (0.64, 0.74), PAGES: (0.8, 0.92), EMPTY_PAGES: (0.8, 0.92)
}  # fmt: skip
FIXED = {
    FREE_SPACE: "free", STATIC: "static", OUTSIDE: "static", OLD_AREA: "static", PAGES: "pages",
    EMPTY_PAGES: "empty",
}  # fmt: skip
OUTLINE: dict[str, Any] = {
    "fill": False, "edgecolor": COLOURS["apart"], "linewidth": 1.2, "linestyle": "--", "zorder": 3
}  # fmt: skip
FRAMES: dict[int, dict[str, Any]] = {
    HIDDEN: {"facecolor": COLOURS["free"], "edgecolor": COLOURS["hidden"], "hatch": "////",
             "linewidth": 0, "zorder": 0.9},
    SIDELINED: OUTLINE,
    DEPOPULATE: OUTLINE,
}  # fmt: skip
NAME = 9.0  # points of a chunk's name
SITE = 60  # characters of a call site


def make_still(timeline: Timeline, name: str, kind: str) -> bytes:
    """Draw the picture of a trace.

    Args:
        timeline: the timeline.
        name: of the trace.
        kind: ``"png"`` or ``"svg"``.

    Raises:
        ImportError: matplotlib is not installed.

    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    sites = by_site(timeline)
    colours = site_colours([row.name for row in sites])
    is_kernel = isinstance(timeline, KernelTimeline)
    moment = timeline.moment_at(timeline.peak if is_kernel else timeline.worst)
    lanes = sorted({patch.chunk for patch in timeline.patches_at(moment)})
    heights = {"bytes": 2.2, **({} if is_kernel else {"share": 1.2}), "chunks": 1.0}
    heights |= {"map": min(max(LANE * len(lanes), 1.0), MOST_INCHES), "sizes": 2.6}
    lines = explain(timeline)
    figure = Figure(figsize=(12, 1.8 + sum(heights.values())), layout="constrained")
    rows = figure.subplot_mosaic(
        [[name, "sites" if name == "sizes" else name] for name in heights],
        height_ratios=list(heights.values()),
    )
    _curves(timeline, rows)
    draw_chunks(timeline, moment, lanes, colours, rows["map"])
    rows["map"].set_title(_map_title(timeline, moment), fontsize=9, loc="left")
    _sizes(timeline, rows["sizes"])
    _sites(sites, colours, rows["sites"])
    # escaped after wrapping: a line break may not separate a dollar from its backslash
    title = [name, *(part for line in lines for part in wrap(line, LINE))]
    figure.suptitle("\n".join(map(plain, title)), x=0.01, ha="left", fontsize=10)
    out = io.BytesIO()
    # equal pictures have equal bytes
    with mpl.rc_context({"svg.hashsalt": "percpu_ffi"}):
        metadata: dict[str, Any] = {"Title": printable(f"{name}: {' '.join(lines)}")}
        metadata |= {"Date": None} if kind == "svg" else {}
        figure.savefig(out, format=kind, dpi=110, metadata=metadata)
    return out.getvalue()


def _short(name: str) -> str:
    return plain(name if len(name) <= SITE else f"{name[: SITE - 1]}\N{HORIZONTAL ELLIPSIS}")


def _map_title(timeline: Timeline, moment: int) -> str:
    """Explain the chunks, with what only some timelines have."""
    kinds = {patch.kind for patch in timeline.patches_at(moment)}
    when, pages = "worst moment", "populated pages"
    if isinstance(timeline, KernelTimeline):
        when, pages = "peak", "pages with recorded areas"
    marks = {
        BLOCKS: "blocks: a strong colour is a small contig hint",
        EMPTY_PAGES: "populated pages that are all free in another colour",
        HIDDEN: "hidden space hatched",
        SIDELINED: "sidelined chunks outlined",
        OLD_AREA: "areas older than the recording dark",
    }
    lines = [f"the chunks at the {when}, coloured by call site, each above its {pages}"]
    more = "; ".join(text for kind, text in marks.items() if kind in kinds)
    return "\n".join([*lines, *wrap(more, LINE)])


def _curves(timeline: Timeline, rows: dict[str, Any]) -> None:
    size, share, chunks = rows["bytes"], rows.get("share"), rows["chunks"]
    done = thinned(timeline)
    x, held = timeline.x(done), [timeline.held(i) for i in done]
    used = [timeline.static_size + timeline.curves.live[i] for i in done]
    labels = ("populated", "static and live") if share else (
        "pages with recorded areas", "recorded areas")  # fmt: skip
    for values, colour, label in zip((held, used), ("held", "live"), labels, strict=True):
        size.fill_between(x, values, step="post", color=COLOURS[colour], label=label, lw=0)
    size.set_ylabel("bytes per CPU")
    size.set_ylim(0, 1.25 * max(held))
    set_byte_ticks(size.yaxis, max(held), 5)
    hidden = timeline.curves.hidden
    if hidden and max(hidden):
        values = [hidden[i] for i in done]
        size.step(x, values, where="post", color=COLOURS["hidden"], lw=1, label="hidden")
    if share:
        percent = [100 * timeline.fragmentation(i) for i in done]
        share.step(x, percent, where="post", color=COLOURS["bad"])
        share.set_ylabel("fragmentation, %")
        share.set_ylim(0, 104)
    chunks.step(x, [timeline.curves.chunks[i] for i in done], where="post", color=COLOURS["chunks"])
    chunks.set_ylabel("chunks")
    chunks.set_ylim(0)
    chunks.yaxis.get_major_locator().set_params(integer=True)
    chunks.set_xlabel(AXES[timeline.seconds is None])
    peak, worst = timeline.x([timeline.peak, timeline.worst])
    for axes in filter(None, (size, share, chunks)):
        axes.set_xlim(x[0], x[-1] or 1)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.axvline(peak, color=COLOURS["peak"], ls="--", lw=1, label="peak of live bytes")
        if share:
            axes.axvline(worst, color=COLOURS["bad"], ls="--", lw=1, label="worst moment")
    size.legend(loc="upper left", fontsize=8, ncols=5)


def draw_chunks(
    timeline: Timeline, moment: int, lanes: list[int], colours: dict[str, str], axes: Any
) -> None:
    """Draw the chunks at a moment, one below the other.

    Args:
        timeline: the timeline.
        moment: index of one of its moments.
        lanes: the chunks' ordinals, from top to bottom.
        colours: colours of the call sites.
        axes: matplotlib's axes to draw on.

    """
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    patches = sorted(timeline.patches_at(moment), key=lambda patch: (patch.born, patch.kind))
    rows = ROWS_WITH_BLOCKS if any(patch.kind == BLOCKS for patch in patches) else ROWS
    names = {chunk: "reserved" if chunk == RESERVED else f"chunk {chunk}" for chunk in lanes}
    framed = {patch.chunk for patch in patches if patch.kind == HIDDEN}
    boxes, filled, lines = [], [], []
    for patch in patches:
        y = lanes.index(patch.chunk)
        top, bottom = (y + share for share in rows.get(patch.kind, rows[FREE_SPACE]))
        if state := STATES.get(patch.kind):
            names[patch.chunk] += f", {state.short_name}"
        if patch.kind in FRAMES:
            _frame(axes, patch, top, bottom)
        elif not state and not (patch.kind == FREE_SPACE and patch.chunk in framed):
            left, right = patch.start, patch.end
            boxes.append([(left, top), (right, top), (right, bottom), (left, bottom)])
            filled.append(_colour(timeline, patch, colours))
            # the line keeps a small area visible: it may be the one that pins its chunk
            lines.append(0.0 if patch.kind in (FREE_SPACE, BLOCKS) else 0.8)
    polygons = PolyCollection(boxes, facecolors=filled, edgecolors=filled, linewidths=lines,
                              clip_on=False)  # fmt: skip
    axes.add_collection(polygons)
    axes.set_xlim(0, timeline.unit_size)
    axes.set_ylim(len(lanes), 0)
    named = range(0, len(lanes), math.ceil(1.3 * NAME * len(lanes) / (72 * MOST_INCHES)))
    axes.set_yticks([lane + 0.45 for lane in named], [names[lanes[lane]] for lane in named])
    axes.tick_params(axis="y", length=0, labelsize=NAME)
    set_byte_ticks(axes.xaxis, timeline.unit_size, 8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _colour(timeline: Timeline, patch: Patch, colours: dict[str, str]) -> Any:
    if patch.kind == BLOCKS:
        return COLOURS["blocks"], 1 - 0.92 * patch.hint / timeline.page_size
    if patch.kind in FIXED:
        return COLOURS[FIXED[patch.kind]]
    return colours[timeline.trace.kinds[patch.kind].site]


def _frame(axes: Any, patch: Patch, top: float, bottom: float) -> None:
    """Draw a whole chunk: its free space hatched, below its areas, or its outline above them."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    corner, width, height = (patch.start, top), patch.end - patch.start, bottom - top
    axes.add_patch(Rectangle(corner, width, height, **FRAMES[patch.kind]))


def _sizes(timeline: Timeline, axes: Any) -> None:
    rows = by_size(timeline)
    for shift, values, colour, label in (
        (-0.2, [row.allocs for row in rows], COLOURS["live"], "of all allocations"),
        (0.2, [row.at_peak for row in rows], COLOURS["second"], "of live bytes at the peak"),
    ):
        total = sum(values) or 1
        axes.bar([i + shift for i in range(len(rows))], [100 * value / total for value in values],
                 0.38, color=colour, label=label)  # fmt: skip
    names = [f"{int(row.name):,}" for row in rows]
    axes.set_xticks(range(len(rows)), names, rotation=40, fontsize=8)
    axes.set_xlabel("bytes, up to")
    axes.set_ylabel("%")
    axes.legend(fontsize=8)


def _sites(rows: list[Any], colours: dict[str, str], axes: Any) -> None:
    top = rows[:MOST_SITES]
    axes.barh(range(len(top)), [row.at_peak for row in top],
              color=[colours.get(row.name, OTHERS) for row in top])  # fmt: skip
    axes.set_yticks(range(len(top)), [_short(row.name) or "unknown" for row in top], fontsize=8)
    axes.invert_yaxis()
    set_byte_ticks(axes.xaxis, max((row.at_peak for row in top), default=0), 5)
    axes.set_xlabel("bytes of live areas at the peak, by call site")
