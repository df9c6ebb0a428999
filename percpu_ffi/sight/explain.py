# SPDX-License-Identifier: GPL-2.0-only
"""The worst moment of a timeline, in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from percpu_ffi.sight.timeline import FREE_SPACE, PAGES
from percpu_ffi.sight.words import duration, plural, printable

if TYPE_CHECKING:
    from percpu_ffi.sight.timeline import Patch, Timeline

__all__ = ["explain_worst", "when"]

MOST_CHUNKS = 3


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
    patches = list(timeline.patches_at(timeline.moment_at(done)))
    return " ".join([text, *_blame(timeline, patches)])


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
        f"Chunk {chunk} has {size:,} of them: {_why(timeline, chunk, areas.get(chunk, []))}."
        for chunk, size in worst
    ]


def _why(timeline: Timeline, chunk: int, areas: list[Patch]) -> str:
    if not areas:
        return (
            "it is the first one, and never goes"
            if chunk == 0
            else ("it is empty, and kept for the next request")
        )
    many = plural(len(areas), "area")
    used = sum(patch.end - patch.start for patch in areas)
    oldest = min(areas, key=lambda patch: patch.born)
    kind = timeline.trace.kinds[oldest.kind]
    site = f" by {printable(kind.site)}" if kind.site else ""
    keeps = "is" if len(areas) == 1 else "are"  # the first one stays in any case
    holds = "live there" if chunk == 0 else f"{keeps} all that keeps it"
    return (
        f"{many} of {used:,} bytes {holds}, the oldest one allocated{site} "
        f"at operation {oldest.born + 1:,}"
    )
