# SPDX-License-Identifier: GPL-2.0-only
"""Explain a moment of a timeline in sentences: the worst one of a replay, the peak of a kernel."""

from __future__ import annotations

from collections import Counter, defaultdict

from percpu_ffi._util.text import cell, duration, plural
from percpu_ffi.analysis.recorded import KernelTimeline
from percpu_ffi.analysis.replayed import ReplayTimeline
from percpu_ffi.analysis.timeline import (
    FREE_SPACE,
    HIDDEN,
    OUTSIDE,
    PAGES,
    RESERVED,
    SIDELINED,
    STATIC,
    Patch,
    Timeline,
)
from percpu_ffi.analysis.totals import chunk_users

MOST_CHUNKS = 3
MOST_SITES = 3
USED = (STATIC, OUTSIDE)  # bytes that no area can have


def explain(timeline: Timeline) -> list[str]:
    """Describe the moment at which a page opens; the first sentence is the summary."""
    if isinstance(timeline, KernelTimeline):
        return explain_peak(timeline)
    assert isinstance(timeline, ReplayTimeline)
    return explain_worst(timeline)


def explain_worst(timeline: ReplayTimeline) -> list[str]:
    """Describe the moment with the most stranded bytes; the first sentence is the summary."""
    done = timeline.worst
    stranded, chunks = timeline.stranded(done), timeline.curves.chunks[done]
    if stranded <= 0:
        return ["At no moment were any bytes stranded."]
    text = (
        f"Worst moment: {_when(timeline, done)}, {stranded:,} of the {timeline.held(done):,} "
        "populated bytes in "
        f"each CPU's units ({timeline.fragmentation(done):.1%}) were stranded; "
        f"{plural(chunks, 'chunk')} held {plural(timeline.curves.live[done], 'live byte')}"
    )
    patches = list(timeline.patches_at(timeline.moment_at(done)))
    enough = _enough_chunks(timeline, patches)
    text += f", which would fit into {enough:,}." if enough < chunks else "."
    return [
        text,
        *_explain_hidden(timeline, patches),
        *_explain_sites(timeline, patches, chunks),
        *_explain_chunks(timeline, patches),
    ]


def explain_peak(timeline: KernelTimeline) -> list[str]:
    """Describe the moment with the most live bytes; the first sentence is the summary."""
    done = timeline.peak
    live = timeline.curves.live[done]
    if not live:
        return ["The recording has no allocation."]
    patches = list(timeline.patches_at(timeline.moment_at(done)))
    chunks = len({patch.chunk for patch in patches if patch.kind >= 0})
    text = (
        f"Peak: {_when(timeline, done)}, recorded areas had {plural(live, 'live byte')} in each "
        f"CPU's units, in {plural(chunks, 'chunk')}, on pages of {timeline.held(done):,} bytes."
    )
    return [text, *_explain_sites(timeline, patches, chunks)]


def _when(timeline: Timeline, done: int) -> str:
    when = f"after operation {done:,} of {len(timeline.trace):,}"
    if timeline.seconds is not None:
        when += f", {duration(round(timeline.seconds[done] * 1e9))} after the first"
    return when


def _enough_chunks(timeline: ReplayTimeline, patches: list[Patch]) -> int:
    """Count the chunks that would suffice without free ranges between areas."""
    kinds = timeline.trace.kinds
    left = -sum(kinds[p.kind].size for p in patches if p.kind >= 0 and p.chunk != RESERVED)
    for patch in patches:
        if patch.chunk == 0 and patch.kind in (FREE_SPACE, *USED):
            left += _size(patch) if patch.kind == FREE_SPACE else -_size(patch)
    return 1 - left // timeline.unit_size


def _size(patch: Patch) -> int:
    return patch.end - patch.start


def _explain_hidden(timeline: ReplayTimeline, patches: list[Patch]) -> list[str]:
    """Describe the free space that no search finds, if there is any."""
    chunks = sorted(patch.chunk for patch in patches if patch.kind == HIDDEN)
    if not chunks or timeline.curves.hidden is None:
        return []
    hidden = timeline.curves.hidden[timeline.worst]
    names = ", ".join(map(_name, chunks[:MOST_CHUNKS])) + ", ..." * (len(chunks) > MOST_CHUNKS)
    whose = "whose contig hint is" if len(chunks) == 1 else "whose contig hints are"
    return [
        f"Hidden: {plural(hidden, 'free byte')} of {plural(len(chunks), 'chunk')} ({names}), "
        f"{whose} 0, so no search finds them."
    ]


def _explain_sites(timeline: Timeline, patches: list[Patch], chunks: int) -> list[str]:
    """Name the call sites with areas in the most chunks, if there are several chunks."""
    rows = [row for row in chunk_users(timeline, patches) if row.name]
    if not rows or chunks == 1:
        return []
    sites = (
        f"{cell(row.name)} in {row.chunks:,} of {chunks:,} ({plural(row.bytes, 'byte')})"
        for row in rows[:MOST_SITES]
    )
    return [f"Call sites in the most chunks: {', '.join(sites)}."]


def _explain_chunks(timeline: ReplayTimeline, patches: list[Patch]) -> list[str]:
    """Describe what pins the chunks with the most stranded bytes."""
    spare: Counter[int] = Counter()
    areas: defaultdict[int, list[Patch]] = defaultdict(list)
    for patch in patches:
        if patch.kind == PAGES:
            spare[patch.chunk] += _size(patch)
        elif patch.kind >= 0 or patch.kind in USED:
            spare[patch.chunk] -= _size(patch)
            if patch.kind >= 0:
                areas[patch.chunk].append(patch)
    worst = [(chunk, size) for chunk, size in spare.most_common(MOST_CHUNKS) if size > 0]
    sidelined = {patch.chunk for patch in patches if patch.kind == SIDELINED}
    return [
        f"{_name(chunk).capitalize()}{', sidelined,' * (chunk in sidelined)} strands "
        f"{plural(size, 'byte')}: {_reason(timeline, chunk, areas[chunk])}."
        for chunk, size in worst
    ]


def _name(chunk: int) -> str:
    return "the reserved chunk" if chunk == RESERVED else f"chunk {chunk}"


def _reason(timeline: ReplayTimeline, chunk: int, areas: list[Patch]) -> str:
    if not areas:
        if chunk == RESERVED:
            return "it is kept for modules"
        if chunk == 0:
            return "it is the first chunk, which is never destroyed"
        return "it is empty, and kept for the next request"
    used = sum(map(_size, areas))
    if chunk in timeline.kept:
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
