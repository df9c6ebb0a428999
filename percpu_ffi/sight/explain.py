# SPDX-License-Identifier: GPL-2.0-only
"""The worst moment of a timeline, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from percpu_ffi.sight.timeline import FREE_SPACE, PAGES
from percpu_ffi.sight.words import duration, plural

if TYPE_CHECKING:
    from percpu_ffi.sight.timeline import Patch, Timeline

__all__ = ["explain_worst", "when"]


def when(timeline: Timeline, done: int) -> str:
    """Say which moment this is."""
    text = f"after operation {done:,} of {len(timeline.trace):,}"
    if timeline.seconds is not None:
        text += f", {duration(round(timeline.seconds[done] * 1e9))} after the first"
    return text


def explain_worst(timeline: Timeline) -> str:
    """Say when most bytes were stranded, how many, and what holds them."""
    done = timeline.worst
    stranded, chunks = timeline.stranded(done), timeline.curves.chunks[done]
    if stranded <= 0:
        return "At no moment did a populated page hold a byte that nobody asked for."
    text = (
        f"Worst moment: {when(timeline, done)}, {stranded:,} of the {timeline.held(done):,} "
        f"populated bytes in each CPU's units ({timeline.fragmentation(done):.1%}) were asked for "
        f"by nobody; {plural(chunks, 'chunk')} held {timeline.curves.live[done]:,} live bytes."
    )
    return f"{text} {_blame(timeline, list(timeline.patches_at(timeline.moment_at(done))))}"


def _blame(timeline: Timeline, patches: list[Patch]) -> str:
    """Name the chunk with the most stranded bytes, and what keeps its pages."""
    spare: Counter[int] = Counter()
    areas: dict[int, list[Patch]] = {}
    for patch in patches:
        if patch.kind == PAGES:
            spare[patch.chunk] += patch.end - patch.start
        elif patch.kind != FREE_SPACE:
            spare[patch.chunk] -= patch.end - patch.start
            if patch.born >= 0:
                areas.setdefault(patch.chunk, []).append(patch)
    ((chunk, size),) = spare.most_common(1)
    text = f"Most of it, {size:,} bytes, lies in chunk {chunk}, "
    if chunk == 0:
        held = f"where {plural(len(areas[0]), 'area')} live" if areas.get(0) else "which is empty"
        return f"{text}{held}; it is the first one, and never goes."
    if chunk not in areas:
        return f"{text}which is empty: one such chunk is kept for the next request."
    oldest = min(areas[chunk], key=lambda patch: patch.born)
    kind = timeline.trace.kinds[oldest.kind]
    site = f" from {kind.site}" if kind.site else ""
    many = plural(len(areas[chunk]), "area")
    used = sum(patch.end - patch.start for patch in areas[chunk])
    return (
        f"{text}which {many} of {used:,} bytes in all {'keep' if many[:2] != '1 ' else 'keeps'} "
        f"from being given back; the oldest{site} has {kind.size:,} bytes and was allocated by "
        f"operation {oldest.born + 1:,}."
    )
