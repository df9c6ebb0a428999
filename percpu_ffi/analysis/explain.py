# SPDX-License-Identifier: GPL-2.0-only
"""The worst moment of a timeline, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from percpu_ffi._util.text import duration, plural, printable
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES
from percpu_ffi.analysis.totals import keepers

if TYPE_CHECKING:
    from percpu_ffi.analysis.timeline import Patch, Timeline

__all__ = ["explain_worst"]

MOST_CHUNKS = 3
MOST_KEEPERS = 3


def _when(timeline: Timeline, done: int) -> str:
    """Say which moment this is."""
    text = f"after operation {done:,} of {len(timeline.trace):,}"
    if timeline.seconds is not None:
        text += f", {duration(round(timeline.seconds[done] * 1e9))} after the first"
    return text


def explain_worst(timeline: Timeline) -> list[str]:
    """Say when most bytes were stranded, how many, and what holds them; the first is the sum."""
    done = timeline.worst
    stranded, chunks = timeline.stranded(done), timeline.curves.chunks[done]
    if stranded <= 0:
        return ["At no moment did a populated page hold a byte that nobody asked for."]
    text = (
        f"Worst moment: {_when(timeline, done)}, {stranded:,} of the {timeline.held(done):,} "
        f"populated bytes in each CPU's units ({timeline.fragmentation(done):.1%}) were asked for "
        f"by nobody; {plural(chunks, 'chunk')} held {timeline.curves.live[done]:,} live bytes"
    )
    patches = list(timeline.patches_at(timeline.moment_at(done)))
    enough = _enough(timeline, patches)
    text += f", which would fit into {enough:,}." if enough < chunks else "."
    return [text, *_keepers(timeline, patches), *_blame(timeline, patches)]


def _enough(timeline: Timeline, patches: list[Patch]) -> int:
    """How many chunks would do if areas could lie side by side."""
    (first,) = (p.end for p in patches if p.kind == FREE_SPACE and p.chunk == 0)
    more = timeline.static_size + timeline.curves.live[timeline.worst] - first
    return 1 + max(-(-more // timeline.unit_size), 0)


def _keepers(timeline: Timeline, patches: list[Patch]) -> list[str]:
    """Say which call sites have areas in the most chunks, if there is a choice."""
    rows = [row for row in keepers(timeline, patches) if row.name]
    chunks = timeline.curves.chunks[timeline.worst]
    if not rows or chunks == 1:
        return []
    told = (
        f"{printable(row.name)} in {row.chunks:,} of {chunks:,} ({row.bytes:,} bytes)"
        for row in rows[:MOST_KEEPERS]
    )
    return [f"Who keeps the chunks: {', '.join(told)}."]


def _blame(timeline: Timeline, patches: list[Patch]) -> list[str]:
    """Say of the chunks with the most stranded bytes what keeps their pages."""
    spare: Counter[int] = Counter()
    areas: dict[int, list[Patch]] = {}
    for patch in patches:
        if patch.kind == PAGES:
            spare[patch.chunk] += patch.end - patch.start
        elif patch.kind != FREE_SPACE:
            spare[patch.chunk] -= patch.end - patch.start
            if patch.born >= 0:
                areas.setdefault(patch.chunk, []).append(patch)
    worst = [(chunk, size) for chunk, size in spare.most_common(MOST_CHUNKS) if size > 0]
    return [
        f"Chunk {chunk} strands {size:,} bytes: {_why(timeline, chunk, areas.get(chunk, []))}."
        for chunk, size in worst
    ]


def _why(timeline: Timeline, chunk: int, areas: list[Patch]) -> str:
    if not areas:
        return (
            "it is the first one, and never goes"
            if chunk == 0
            else "it is empty, and kept for the next request"
        )
    many = plural(len(areas), "area")
    used = sum(patch.end - patch.start for patch in areas)
    single = len(areas) == 1
    if chunk == 0:  # it stays in any case
        holds = "lives there" if single else "live there"
    else:
        holds = f"{'is' if single else 'are'} all that keeps it"
    most = max(keepers(timeline, areas), key=lambda row: row.bytes)
    site = ""
    if most.name:
        share = "" if most.bytes == used else f"{most.bytes:,} of these bytes "
        site = f", {share}by {printable(most.name)}"
    oldest = min(patch.born for patch in areas) + 1
    born = "allocated at" if single else "the oldest one since"
    return f"{many} of {used:,} bytes {holds}{site}, {born} operation {oldest:,}"
