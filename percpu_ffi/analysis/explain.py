# SPDX-License-Identifier: GPL-2.0-only
"""Explain the worst moment of a timeline in sentences."""

from __future__ import annotations

from collections import Counter, defaultdict

from percpu_ffi._util.text import cell, duration, plural
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, Patch, Timeline
from percpu_ffi.analysis.totals import chunk_users

MOST_CHUNKS = 3
MOST_SITES = 3


def explain_worst(timeline: Timeline) -> list[str]:
    """Describe the moment with the most stranded bytes; the first sentence is the summary."""
    done = timeline.worst
    stranded, chunks = timeline.stranded(done), timeline.curves.chunks[done]
    if stranded <= 0:
        return ["At no moment were any bytes stranded."]
    when = f"after operation {done:,} of {len(timeline.trace):,}"
    if timeline.seconds is not None:
        when += f", {duration(round(timeline.seconds[done] * 1e9))} after the first"
    text = (
        f"Worst moment: {when}, {stranded:,} of the {timeline.held(done):,} populated bytes in "
        f"each CPU's units ({timeline.fragmentation(done):.1%}) were stranded; "
        f"{plural(chunks, 'chunk')} held {plural(timeline.curves.live[done], 'live byte')}"
    )
    patches = list(timeline.patches_at(timeline.moment_at(done)))
    enough = _enough_chunks(timeline, patches)
    text += f", which would fit into {enough:,}." if enough < chunks else "."
    return [text, *_explain_sites(timeline, patches), *_explain_chunks(timeline, patches)]


def _enough_chunks(timeline: Timeline, patches: list[Patch]) -> int:
    """Count the chunks that would suffice without free ranges between areas."""
    (first,) = (p.end for p in patches if p.kind == FREE_SPACE and p.chunk == 0)
    left = first - timeline.static_size - timeline.curves.live[timeline.worst]
    return 1 - left // timeline.unit_size


def _explain_sites(timeline: Timeline, patches: list[Patch]) -> list[str]:
    """Name the call sites with areas in the most chunks, if there are several chunks."""
    rows = [row for row in chunk_users(timeline, patches) if row.name]
    chunks = timeline.curves.chunks[timeline.worst]
    if not rows or chunks == 1:
        return []
    sites = (
        f"{cell(row.name)} in {row.chunks:,} of {chunks:,} ({plural(row.bytes, 'byte')})"
        for row in rows[:MOST_SITES]
    )
    return [f"Call sites in the most chunks: {', '.join(sites)}."]


def _explain_chunks(timeline: Timeline, patches: list[Patch]) -> list[str]:
    """Describe what pins the chunks with the most stranded bytes."""
    spare: Counter[int] = Counter()
    areas: defaultdict[int, list[Patch]] = defaultdict(list)
    for patch in patches:
        if patch.kind == PAGES:
            spare[patch.chunk] += patch.end - patch.start
        elif patch.kind != FREE_SPACE:
            spare[patch.chunk] -= patch.end - patch.start
            if patch.born >= 0:
                areas[patch.chunk].append(patch)
    worst = [(chunk, size) for chunk, size in spare.most_common(MOST_CHUNKS) if size > 0]
    return [
        f"Chunk {chunk} strands {plural(size, 'byte')}: {_reason(timeline, chunk, areas[chunk])}."
        for chunk, size in worst
    ]


def _reason(timeline: Timeline, chunk: int, areas: list[Patch]) -> str:
    if not areas:
        if chunk == 0:
            return "it is the first chunk, which is never destroyed"
        return "it is empty, and kept for the next request"
    used = sum(patch.end - patch.start for patch in areas)
    if chunk == 0:  # it stays in any case
        text = f"it holds {plural(len(areas), 'area')} of {plural(used, 'byte')}"
    else:
        pins = "pins" if len(areas) == 1 else "pin"
        text = f"only {plural(len(areas), 'area')} of {plural(used, 'byte')} {pins} it"
    most = chunk_users(timeline, areas)[0]
    if most.name:
        share = "" if most.bytes == used else f"{most.bytes:,} of these bytes "
        text += f", {share}by {cell(most.name)}"
    born = "allocated at" if len(areas) == 1 else "the oldest one since"
    return f"{text}, {born} operation {min(patch.born for patch in areas) + 1:,}"
