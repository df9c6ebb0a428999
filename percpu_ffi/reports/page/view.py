# SPDX-License-Identifier: GPL-2.0-only
"""What a page says of a replay, and of the history of a recorded kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from percpu_ffi._util.text import plural
from percpu_ffi.analysis.explain import explain
from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    DEPOPULATE,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    OLD_AREA,
    OLD_CHUNK,
    OUTSIDE,
    PAGES,
    SIDELINED,
    STATIC,
    Timeline,
)
from percpu_ffi.config import BITMAP

Cards = list[tuple[str, Any, str]]

REPLAY_CARDS = (
    ("events", "recorded events"),
    ("allocs", "allocations"),
    ("frees", "frees"),
    ("failures", "failures in this replay"),
    ("peak_live_bytes", "live bytes at the peak"),
    ("live_bytes", "live bytes at the end"),
    ("chunks_created", "chunks created"),
    ("chunks_destroyed", "chunks destroyed"),
    ("chunks", "chunks at the end"),
    ("peak_populated_pages", "most pages, of all CPUs"),
    ("utilisation_at_peak", "utilisation at the peak"),
)
KERNEL_CARDS = (
    ("events", "recorded events"),
    ("allocs", "allocations"),
    ("frees", "frees"),
    ("orphan_frees", "frees of older areas"),
    ("failures", "failures"),
    ("peak_live_bytes", "recorded live bytes at the peak"),
    ("live_bytes", "recorded live bytes at the end"),
    ("chunks_created", "chunks created"),
    ("chunks_destroyed", "chunks destroyed"),
    ("chunks", "known chunks at the end"),
    ("peak_pages", "most pages with recorded areas, of one CPU"),
    ("background_runs", "runs of the background work"),
)


class Mark(NamedTuple):
    """An entry of the legend of the chunks."""

    kind: int
    """Of the patches that it explains."""
    style: str
    """A class of the page's style: how the mark looks."""
    colour: str
    """Key of its colour."""
    text: str


REPLAY_LEGEND = (
    Mark(STATIC, "", "static", "static area"),
    Mark(OUTSIDE, "", "static", "not of this chunk"),
    Mark(FREE_SPACE, "", "free", "free"),
    Mark(HIDDEN, "hatch", "hidden", "hidden: free, in a chunk whose contig hint is 0"),
    Mark(SIDELINED, "dashed", "apart", "sidelined chunk"),
    Mark(DEPOPULATE, "dashed", "apart", "chunk to be depopulated"),
    Mark(BLOCKS, "shades", "blocks", "blocks: a strong colour is a small contig hint"),
    Mark(PAGES, "thin", "pages", "populated pages, below each chunk"),
    Mark(EMPTY_PAGES, "thin", "empty", "populated pages that are all free"),
)
KERNEL_LEGEND = (
    Mark(FREE_SPACE, "", "free", "no recorded area"),
    Mark(OLD_AREA, "", "static", "older area, freed later; its size is not known"),
    Mark(PAGES, "thin", "pages", "pages with recorded areas, below each chunk"),
)


class StateName(NamedTuple):
    """A state of a chunk that its name shows."""

    name: str
    short_name: str
    is_outlined: bool


STATES = {
    SIDELINED: StateName("sidelined", "sidelined", is_outlined=True),
    DEPOPULATE: StateName("to be depopulated", "depopulate", is_outlined=True),
    OLD_CHUNK: StateName("older than the recording", "older", is_outlined=False),
}


@dataclass(frozen=True)
class View:
    """What depends on the kind of a timeline."""

    is_kernel: bool
    """It is the history of a kernel, else a replay."""
    is_bitmap: bool
    """The replay is through today's policy."""
    about: str
    cards: Cards
    """Key, value and name of the main figures."""
    marked: list[tuple[str, int]]
    """Name of a button, and how many operations are done at its moment; the page opens at the
    last one."""
    sentences: list[str]
    """About that moment."""
    has_hidden: bool
    """There is hidden space after some operation."""
    legend: list[Mark]
    """Of what the chunks have at any moment."""
    held: str
    """What follows the bytes of pages in a sentence."""


def view_of(timeline: Timeline, figures: dict[str, Any]) -> View:
    """Return the view of a timeline."""
    kinds = {patch.kind for patch in timeline.patches}
    if isinstance(timeline, KernelTimeline):
        return View(
            is_kernel=True,
            is_bitmap=False,
            about=_about_kernel(timeline, figures),
            cards=_cards(KERNEL_CARDS, figures),
            marked=[("peak", timeline.peak)],
            sentences=explain(timeline),
            has_hidden=False,
            legend=[mark for mark in KERNEL_LEGEND if mark.kind in kinds],
            held="on pages with recorded areas",
        )
    assert isinstance(timeline, ReplayTimeline)
    stranded = timeline.stranded(timeline.worst)
    return View(
        is_kernel=False,
        is_bitmap=timeline.policy == BITMAP,
        about=_about_replay(figures["geometry"], timeline.setup.get("fixes", ())),
        cards=[
            *_cards(REPLAY_CARDS, figures),
            ("", stranded, "stranded bytes at the worst moment"),
        ],
        marked=[("peak", timeline.peak), ("worst", timeline.worst)],
        sentences=explain(timeline),
        has_hidden=any(timeline.curves.hidden or ()),
        legend=[mark for mark in REPLAY_LEGEND if mark.kind in kinds],
        held="populated",
    )


def _cards(names: Iterable[tuple[str, str]], figures: dict[str, Any]) -> Cards:
    """Return those of some figures that are known."""
    return [(key, figures[key], what) for key, what in names if figures[key] is not None]


def _about_replay(geometry: dict[str, Any], fixes: Iterable[str]) -> str:
    cpus = plural(geometry["cpus"], "CPU")
    sizes = f"units of {geometry['unit_size']:,}, pages of {geometry['page_size']:,}"
    static = f"{geometry['static_size']:,} bytes"
    if first := geometry["first_chunk"]:
        return (
            "The allocations of a kernel, replayed through the allocator of February 2009 on "
            f"{cpus}: first chunk {first}, static area of {static}, {sizes}."
        )
    fixed = f" with the fix {', '.join(fixes)}" if fixes else ""
    return (
        f"The allocations of a kernel, replayed through today's policy{fixed} on {cpus}: static "
        f"area of {static}, which is in no chunk, {sizes}."
    )


def _about_kernel(timeline: KernelTimeline, figures: dict[str, Any]) -> str:
    cpus = figures["possible_cpus"]
    where = f" on {plural(cpus, 'CPU')}" if cpus else ""
    source = (
        ""
        if timeline.unit_is_known
        else (
            " The unit size is not in the recording: it is taken from the highest recorded offset."
        )
    )
    return (
        f"The allocations of a kernel{where}, where it placed them: its own chunks and offsets, "
        f"without an allocator of ours; units of {timeline.unit_size:,} bytes, pages of "
        f"{timeline.page_size:,}.{source} Areas that are older than the recording are not known."
    )
