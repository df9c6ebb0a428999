# SPDX-License-Identifier: GPL-2.0-only
"""Draw a timeline as a picture with matplotlib: curves, and the chunks at the worst moment."""

from __future__ import annotations

import io
import math
from textwrap import wrap
from typing import Any

from percpu_ffi._util.optional import plain
from percpu_ffi._util.text import printable
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.explain import explain_worst
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Timeline
from percpu_ffi.analysis.totals import by_site, by_size
from percpu_ffi.reports.axes import AXES, set_byte_ticks
from percpu_ffi.reports.colours import COLOURS, OTHERS, site_colours

LANE = 0.34  # inches for each chunk, if there is room
MOST_INCHES = 12.0
MOST_SITES = 10
LINE = 150  # characters
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
    worst = timeline.moment_at(timeline.worst)
    lanes = sorted({patch.chunk for patch in timeline.patches_at(worst)})
    height = min(max(LANE * len(lanes), 1.0), MOST_INCHES)
    lines = explain_worst(timeline)
    figure = Figure(figsize=(12, 8.8 + height), layout="constrained")
    rows = figure.subplot_mosaic(
        [["bytes", "bytes"], ["share", "share"], ["chunks", "chunks"], ["map", "map"],
         ["sizes", "sites"]],
        height_ratios=[2.2, 1.2, 1, height, 2.6],
    )  # fmt: skip
    _curves(timeline, rows["bytes"], rows["share"], rows["chunks"])
    draw_chunks(timeline, worst, lanes, colours, rows["map"])
    rows["map"].set_title("the chunks at the worst moment, coloured by call site, each above its "
                          "populated pages", fontsize=9, loc="left")  # fmt: skip
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


def _curves(timeline: Timeline, size: Any, share: Any, chunks: Any) -> None:
    done = thinned(timeline)
    x, held = timeline.x(done), [timeline.held(i) for i in done]
    used = [timeline.static_size + timeline.curves.live[i] for i in done]
    for values, colour, label in ((held, "held", "populated"), (used, "live", "static and live")):
        size.fill_between(x, values, step="post", color=COLOURS[colour], label=label, lw=0)
    size.set_ylabel("bytes per CPU")
    size.set_ylim(0, 1.25 * max(held))
    set_byte_ticks(size.yaxis, max(held), 5)
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
    for axes in (size, share, chunks):
        axes.set_xlim(x[0], x[-1] or 1)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.axvline(peak, color=COLOURS["peak"], ls="--", lw=1, label="peak of live bytes")
        axes.axvline(worst, color=COLOURS["bad"], ls="--", lw=1, label="worst moment")
    size.legend(loc="upper left", fontsize=8, ncols=4)


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

    kinds = timeline.trace.kinds
    fixed = {FREE_SPACE: COLOURS["free"], STATIC: COLOURS["static"], PAGES: COLOURS["pages"]}
    boxes, filled, lines = [], [], []
    for patch in sorted(timeline.patches_at(moment), key=lambda patch: patch.kind != FREE_SPACE):
        y = lanes.index(patch.chunk)
        top, bottom = (y + 0.72, y + 0.86) if patch.kind == PAGES else (y + 0.1, y + 0.68)
        x = patch.start, patch.end
        boxes.append([(x[0], top), (x[1], top), (x[1], bottom), (x[0], bottom)])
        filled.append(fixed.get(patch.kind) or colours[kinds[patch.kind].site])
        # the line keeps a small area visible: it may be the one that pins its chunk
        lines.append(0.0 if patch.kind == FREE_SPACE else 0.8)
    polygons = PolyCollection(boxes, facecolors=filled, edgecolors=filled, linewidths=lines,
                              clip_on=False)  # fmt: skip
    axes.add_collection(polygons)
    axes.set_xlim(0, timeline.unit_size)
    axes.set_ylim(len(lanes), 0)
    named = range(0, len(lanes), math.ceil(1.3 * NAME * len(lanes) / (72 * MOST_INCHES)))
    axes.set_yticks([lane + 0.45 for lane in named], [f"chunk {lanes[lane]}" for lane in named])
    axes.tick_params(axis="y", length=0, labelsize=NAME)
    set_byte_ticks(axes.xaxis, timeline.unit_size, 8)
    axes.spines[["top", "right", "left"]].set_visible(False)


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
