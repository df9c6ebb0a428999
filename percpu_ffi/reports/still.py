# SPDX-License-Identifier: GPL-2.0-only
"""A timeline as a still picture: curves, and the chunks at the worst moment; matplotlib."""

from __future__ import annotations

import io
import math
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.optional import plain
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.explain import explain_worst
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC
from percpu_ffi.analysis.totals import by_site, by_size
from percpu_ffi.outputs import check_library
from percpu_ffi.reports.colours import COLOURS, OTHERS, site_colours

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Timeline

__all__ = ["draw_chunks", "make_still"]

LANE = 0.34  # inches of a chunk's line, where there is room
MOST_INCHES = 12.0
MOST_SITES = 10
LINE = 150  # characters
NAME = 9.0  # points of a chunk's name
SITE = 60  # characters: longer ones leave no room for the bars


def make_still(timeline: Timeline, figures: dict[str, Any], kind: str) -> bytes:
    """Draw the picture.

    Args:
        timeline: what is drawn.
        figures: those of ``percpu-ffi replay --json``.
        kind: ``"png"`` or ``"svg"``.

    Raises:
        ConfigError: matplotlib is not installed.

    """
    check_library(f"--{kind}", "matplotlib")
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
    rows["map"].set_title("the chunks at the worst moment, coloured by call site; populated pages "
                          "below each", fontsize=9, loc="left")  # fmt: skip
    _sizes(timeline, rows["sizes"])
    _sites(sites, colours, rows["sites"])
    # broken into lines first: a break behind a backslash would let a dollar loose
    title = [figures["trace"], *(part for line in lines for part in wrap(line, LINE))]
    figure.suptitle("\n".join(map(plain, title)), x=0.01, ha="left", fontsize=10)
    out = io.BytesIO()
    # the same picture has the same bytes
    with mpl.rc_context({"svg.hashsalt": "percpu_ffi"}):
        figure.savefig(
            out, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None
        )
    return out.getvalue()


def _short(name: str) -> str:
    return plain(name if len(name) <= SITE else f"{name[: SITE - 1]}\N{HORIZONTAL ELLIPSIS}")


def _curves(timeline: Timeline, size: Any, share: Any, chunks: Any) -> None:
    done = thinned(timeline)
    seconds, curves = timeline.seconds, timeline.curves

    def along(items: list[int]) -> list[float]:
        return [float(i) if seconds is None else seconds[i] for i in items]

    x = along(done)
    size.fill_between(x, [timeline.held(i) for i in done], step="post", color=COLOURS["held"],
                      label="populated", lw=0)  # fmt: skip
    size.fill_between(x, [timeline.static_size + curves.live[i] for i in done], step="post",
                      color=COLOURS["live"], label="static and live", lw=0)  # fmt: skip
    size.set_ylabel("bytes a CPU")
    size.set_ylim(0, 1.25 * max(timeline.held(i) for i in done))
    _count_bytes(size.yaxis, max(timeline.held(i) for i in done), 5)
    share.step(
        x, [100 * timeline.fragmentation(i) for i in done], where="post", color=COLOURS["bad"]
    )
    share.set_ylabel("fragmentation, %")
    share.set_ylim(0, 104)
    chunks.step(x, [curves.chunks[i] for i in done], where="post", color=COLOURS["chunks"])
    chunks.set_ylabel("chunks")
    chunks.set_ylim(0)
    chunks.yaxis.get_major_locator().set_params(integer=True)
    chunks.set_xlabel("operations done" if seconds is None else "seconds from the first operation")
    peak, worst = along([timeline.peak, timeline.worst])
    for axes in (size, share, chunks):
        axes.set_xlim(x[0], x[-1] or 1)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.axvline(peak, color=COLOURS["peak"], ls="--", lw=1, label="peak of live bytes")
        axes.axvline(worst, color=COLOURS["bad"], ls="--", lw=1, label="worst moment")
    size.legend(loc="upper left", fontsize=8, ncols=4)


def _count_bytes(axis: Any, most: int, ticks: int) -> None:
    """Set at most so many ticks above 0, at round numbers of bytes: a power of two apart."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator  # noqa: PLC0415

    axis.set_major_locator(MultipleLocator(1 << (max(most - 1, 0) // ticks).bit_length()))
    axis.set_major_formatter(FuncFormatter(_bytes))


def _bytes(value: float, _position: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size:
            return f"{value / size:,.4g} {unit}"
    return f"{value:g}"


def draw_chunks(
    timeline: Timeline, moment: int, lanes: list[int], colours: dict[str, str], axes: Any
) -> None:
    """Draw the chunks at a moment, one below the other.

    Args:
        timeline: what is drawn.
        moment: index of one of its moments.
        lanes: the chunks' ordinals, from above.
        colours: those of the call sites, by name.
        axes: where to, matplotlib's.

    """
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    kinds = timeline.trace.kinds
    fixed = {FREE_SPACE: COLOURS["free"], STATIC: COLOURS["static"], PAGES: COLOURS["pages"]}
    below, above, below_colours, above_colours = [], [], [], []
    for patch in timeline.patches_at(moment):
        lane = lanes.index(patch.chunk)
        top, bottom = (
            (lane + 0.72, lane + 0.86) if patch.kind == PAGES else (lane + 0.1, lane + 0.68)
        )
        box = [(patch.start, top), (patch.end, top), (patch.end, bottom), (patch.start, bottom)]
        if patch.kind == FREE_SPACE:
            below.append(box)
            below_colours.append(fixed[FREE_SPACE])
        else:
            above.append(box)
            above_colours.append(fixed.get(patch.kind) or colours[kinds[patch.kind].site])
    # the line keeps a small area visible: it may be all that pins its chunk
    for boxes, filled, line in ((below, below_colours, 0), (above, above_colours, 0.8)):
        axes.add_collection(
            PolyCollection(
                boxes, facecolors=filled, edgecolors=filled, linewidths=line, clip_on=False
            )
        )
    axes.set_xlim(0, timeline.unit_size)
    axes.set_ylim(len(lanes), 0)
    named = range(0, len(lanes), math.ceil(1.3 * NAME * len(lanes) / (72 * MOST_INCHES)))
    axes.set_yticks([lane + 0.45 for lane in named], [f"chunk {lanes[lane]}" for lane in named])
    axes.tick_params(axis="y", length=0, labelsize=NAME)
    _count_bytes(axes.xaxis, timeline.unit_size, 8)
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
    axes.set_xticks(
        range(len(rows)), [f"{int(row.name):,}" for row in rows], rotation=40, fontsize=8
    )
    axes.set_xlabel("bytes, up to")
    axes.set_ylabel("%")
    axes.legend(fontsize=8)


def _sites(rows: list[Any], colours: dict[str, str], axes: Any) -> None:
    top = rows[:MOST_SITES]
    axes.barh(range(len(top)), [row.at_peak for row in top],
              color=[colours.get(row.name, OTHERS) for row in top])  # fmt: skip
    axes.set_yticks(range(len(top)), [_short(row.name) or "not told" for row in top], fontsize=8)
    axes.invert_yaxis()
    _count_bytes(axes.xaxis, max((row.at_peak for row in top), default=0), 5)
    axes.set_xlabel("bytes of live areas at the peak, by call site")
