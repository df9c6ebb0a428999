# SPDX-License-Identifier: GPL-2.0-only
"""Replay a trace and keep what happens over time.

The trace is replayed twice.  The first replay takes figures after each operation, so the peak
and the worst moment are exact.  The second one looks at the chunks at some hundred moments,
including these two.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from percpu_ffi.allocator import Allocator
from percpu_ffi.analysis.moments import (
    MOMENTS,
    MOST_PATCHES,
    Stays,
    choose_moments,
    drop_moments,
    live_bytes,
)
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    DEPOPULATE,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    NOT_BORN,
    OUTSIDE,
    PAGES,
    RESERVED,
    SIDELINED,
    STATIC,
    Curves,
    Lives,
    Moment,
    Patch,
    Timeline,
)
from percpu_ffi.config import BITMAP, GRANULE
from percpu_ffi.replay import Figures, Replay
from percpu_ffi.state import ChunkState, State
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import BALANCE, FAULT, FREE

GEOMETRY = ("policy", "cpus", "page_size", "unit_size", "static_size")

SMALLEST = 4  # bytes of a free range in a map; what is smaller belongs to the area before it

Progress = Callable[[int], object] | None


@dataclass(kw_only=True)
class ReplayTimeline(Timeline):
    """A replayed trace."""

    policy: str
    result: Replay
    state: State
    """The allocator's state at the end."""
    counters: dict[str, int]
    """Calls to kernel services."""
    setup: dict[str, Any]
    """Arguments of the allocator."""


class Seen(NamedTuple):
    """An area that at least one moment shows."""

    ptr: int
    """Its per-CPU pointer."""
    born: int
    """The operation that allocated it."""
    kind: int
    """Size, alignment and call site: index into ``Trace.kinds``."""
    last: int
    """Index of the last moment that shows it."""


def collect(
    trace: Trace,
    setup: dict[str, Any],
    progress: Progress = None,
    moments: int = MOMENTS,
    most_patches: int = MOST_PATCHES,
) -> ReplayTimeline:
    """Replay a trace and make its timeline.

    Args:
        trace: the operations.
        setup: arguments of the allocator; ``memory`` is always ``"none"``.
        progress: called with the number of operations done since its last call; the sum is
            twice the length of the trace.
        moments: the number of moments, fewer if many areas are live; the peak and the worst
            moment are added.
        most_patches: if there are more, every second moment is dropped, again and again.

    Raises:
        TraceError: the trace is damaged.
        ConfigError: the set-up is not valid.

    """
    setup = {**setup, "memory": "none"}
    with Allocator(**setup) as allocator:
        timeline = ReplayTimeline(
            trace=trace,
            setup=setup,
            **{name: getattr(allocator, name) for name in GEOMETRY},
            **_take_figures(allocator, trace, progress),
            state=allocator.state(),
            counters=allocator.counters(),
        )
    special = {0, timeline.peak, timeline.worst, len(trace)}
    stops = choose_moments(timeline, moments, special)
    with Allocator(**setup) as allocator:
        _take_moments(allocator, timeline, stops, progress)
    drop_moments(timeline, most_patches, special)
    return timeline


def _lives(trace: Trace, result: Replay) -> Lives:
    ended: list[tuple[int, int, int]] = []
    live: dict[int, tuple[int, int]] = {}  # by handle
    words = trace.ops.cast("I")
    # whole columns at once: faster than operations as tuples
    rows = zip(words[2::4].tolist(), words[3::4].tolist(), result.pointers, strict=True)
    for index, (handle, kind, ptr) in enumerate(rows):
        if kind in {FAULT, BALANCE}:
            continue
        # an allocation ends the area of its handle, whose free is missing, even if it fails
        if handle in live:
            ended.append((*live.pop(handle), index))
        if kind != FREE and ptr:  # 0: it failed
            live[handle] = kind, index
    ended += [(*area, len(trace)) for area in live.values()]
    if not ended:
        return Lives.none()
    return Lives(*(array("L", column) for column in zip(*ended, strict=True)))


def _take_figures(allocator: Allocator, trace: Trace, progress: Progress) -> dict[str, Any]:
    """Replay the trace and take figures after each operation."""
    figures = Figures.room(len(trace))
    result = allocator._replay(trace, progress or (lambda _done: None), figures=figures)
    lives = _lives(trace, result)
    curves = Curves(
        live_bytes(trace, lives),
        figures.pages,
        figures.chunks,
        figures.hidden if allocator.policy == BITMAP else None,
    )
    return {"result": result, "lives": lives, "curves": curves}


def _take_moments(
    allocator: Allocator, timeline: ReplayTimeline, stops: set[int], progress: Progress
) -> None:
    """Replay the trace again and look at the chunks at ``stops``."""
    trace = timeline.trace
    stays = Stays(timeline)
    areas = _Areas(allocator, timeline, sorted(stops))
    at = 0

    def take(done: int) -> None:
        nonlocal at
        at += done
        if at in stops:
            state = allocator.state()
            stays.take(_moment(timeline, at, state.chunks), _patches(timeline, state))
            areas.take(state)
        if progress and done:
            progress(done)

    take(0)
    if trace:
        allocator.replay(trace, take, stops)
    stays.end()


class _Areas:
    """Collects the patches of areas: those that a moment is the first one to show."""

    def __init__(self, allocator: Allocator, timeline: ReplayTimeline, stops: list[int]) -> None:
        self._allocator = allocator
        self._timeline = timeline
        self._patches = timeline.patches
        self._last = len(stops) - 1
        self._seen: list[list[Seen]] = [[] for _ in stops]
        for kind, born, died in zip(*timeline.lives, strict=True):
            first, last = bisect_right(stops, born), bisect_right(stops, died) - 1
            if first <= last:
                self._seen[first].append(Seen(timeline.result.pointers[born], born, kind, last))
        sizes = [timeline.static_size, *(kind.size for kind in timeline.trace.kinds)]
        self._grow = timeline.policy != BITMAP and any(size % SMALLEST for size in sizes)
        self._live: list[Patch] = []  # those that may grow

    def take(self, state: State) -> None:
        """Add those of a moment."""
        number, static = len(self._timeline.moments) - 1, self._timeline.static_size
        starts_of = {
            chunk.id: [*accumulate(map(abs, chunk.entries(static)), initial=0)]
            for chunk in state.chunks
        }
        if self._grow:
            self._live = [*self._grown(number, starts_of)]
        found = self._fixed(state) if number == 0 else self._found(self._seen[number], starts_of)
        for patch, last in found:
            self._patches[patch] = [(number, last)]
            if self._grow:
                self._live.append(patch)

    def _fixed(self, state: State) -> Iterator[tuple[Patch, int]]:
        """Yield what is in use before the first operation, which is no area and stays."""
        for chunk in state.chunks:
            kind = OUTSIDE if chunk.blocks else STATIC
            start = 0
            for size in chunk.entries(self._timeline.static_size):
                if size < 0:
                    yield Patch(chunk.id, start, start - size, kind, NOT_BORN), self._last
                start += abs(size)

    def _found(
        self, seen: list[Seen], starts_of: dict[int, list[int]]
    ) -> Iterator[tuple[Patch, int]]:
        """Yield the patches of areas, and the last moment of each."""
        chunk, base, starts = RESERVED, 0, [0]
        for ptr, born, kind, last in sorted(seen):
            # the reserved chunk is at the same addresses as the first one
            if chunk == RESERVED or ptr - base >= starts[-1]:
                chunk, offset = self._allocator.locate(ptr)
                base, starts = ptr - offset, starts_of[chunk]
            start = ptr - base
            yield Patch(chunk, start, starts[bisect_right(starts, start)], kind, born), last

    def _grown(self, number: int, starts_of: dict[int, list[int]]) -> Iterator[Patch]:
        """Yield live areas; one that got the small head of the area after it is a new patch."""
        for patch in self._live:
            ((first, last),) = self._patches[patch]
            if last < number:
                continue
            starts = starts_of[patch.chunk]
            grown = patch._replace(end=starts[bisect_right(starts, patch.start)])
            if grown != patch:
                self._patches[patch] = [(first, number - 1)]
                self._patches[grown] = [(number, last)]
            yield grown


def _moment(timeline: Timeline, done: int, chunks: Iterable[ChunkState]) -> Moment:
    maps = (chunk.entries(timeline.static_size) for chunk in chunks if chunk.id != RESERVED)
    free = [size for sizes in maps for size in sizes if size > 0]
    return Moment(done, len(free), max(free, default=0))


def _patches(timeline: ReplayTimeline, state: State) -> Iterator[Patch]:
    """Yield the patches of all chunks, except what is in use."""
    slots = dict(zip(state.kinds, state.slots, strict=False))  # kinds: only with bitmaps
    for chunk in state.chunks:
        whole = _whole(timeline, chunk, FREE_SPACE)
        yield whole
        if chunk.hidden_bytes:
            yield whole._replace(kind=HIDDEN)
        yield from _page_patches(timeline, chunk)
        for kind, slot in (SIDELINED, "sidelined"), (DEPOPULATE, "depopulate"):
            if chunk.id in slots.get(slot, ()):
                yield whole._replace(kind=kind)


def _page_patches(timeline: ReplayTimeline, chunk: ChunkState) -> Iterator[Patch]:
    """Yield the patches of a chunk's pages and blocks."""
    pages = [cpus > 0 for cpus in chunk.populated]
    hints = [block.contig_hint * GRANULE for block in chunk.blocks]
    empty = [held and hint == timeline.page_size for held, hint in zip(pages, hints, strict=False)]
    for values, kind in (pages, PAGES), (empty, EMPTY_PAGES):
        for start, end, true in _runs(values, timeline.page_size):
            if true:
                yield Patch(chunk.id, start, end, kind, NOT_BORN)
    for start, end, hint in _runs(hints, timeline.page_size):
        yield Patch(chunk.id, start, end, BLOCKS, NOT_BORN, hint)


def _whole(timeline: Timeline, chunk: ChunkState, kind: int) -> Patch:
    """Return a patch of all that a chunk's map covers."""
    size = sum(map(abs, chunk.entries(timeline.static_size)))
    return Patch(chunk.id, 0, size, kind, NOT_BORN)


def _runs(values: Iterable[int], page_size: int) -> Iterator[tuple[int, int, int]]:
    """Yield start and end of each run of pages with equal values, in bytes, and the value."""
    page = 0
    for value, run in groupby(values):
        start, page = page, page + sum(1 for _ in run)
        yield start * page_size, page * page_size, value
