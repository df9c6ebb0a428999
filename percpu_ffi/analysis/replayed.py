# SPDX-License-Identifier: GPL-2.0-only
"""Replay a trace and keep what happens over time.

The trace is replayed twice.  The first replay takes figures after each operation, so the peak
and the worst moment are exact.  The second one looks at the chunks at some hundred moments,
including these two.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
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
from percpu_ffi.replay import STEP, Replay
from percpu_ffi.state import ChunkState, State
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import BALANCE, FAULT, FREE

GEOMETRY = ("policy", "cpus", "page_size", "unit_size", "static_size")

Progress = Callable[[int], object] | None
Areas = dict[tuple[int, int], tuple[int, int]]  # chunk, offset: born, kind


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


class Area(NamedTuple):
    """A live area of the replay."""

    ptr: int
    """Its per-CPU pointer."""
    born: int
    """The operation that allocated it."""
    kind: int
    """Size, alignment and call site: index into ``Trace.kinds``."""


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


def _area_events(trace: Trace, result: Replay) -> Iterator[tuple[int, Area | None, Area | None]]:
    """Yield for each operation its index, the area that it ended, the one that it allocated."""
    held: dict[int, Area] = {}  # by handle
    words = trace.ops.cast("I")
    # whole columns at once: faster than operations as tuples
    rows = zip(words[2::4].tolist(), words[3::4].tolist(), result.pointers, strict=True)
    for index, (handle, kind, ptr) in enumerate(rows):
        if kind in {FAULT, BALANCE}:
            continue
        # an allocation ends the area of its handle, whose free is missing, even if it fails
        gone, new = held.pop(handle, None), None
        if kind != FREE and ptr:  # 0: it failed
            new = held[handle] = Area(ptr, index, kind)
        yield index, gone, new


def _lives(trace: Trace, result: Replay) -> Lives:
    lives = Lives.none()
    live: dict[int, Area] = {}  # by operation
    for index, gone, new in _area_events(trace, result):
        if gone:
            del live[gone.born]
            lives.add(gone.kind, gone.born, index)
        if new:
            live[new.born] = new
    for area in live.values():
        lives.add(area.kind, area.born, len(trace))
    return lives


def _take_figures(allocator: Allocator, trace: Trace, progress: Progress) -> dict[str, Any]:
    """Replay the trace and take figures after each operation."""
    n = len(trace)
    pages, chunks, hidden = array("q"), array("q"), array("q")

    def note() -> None:
        info = allocator._info()  # all figures by one call
        pages.append(info.pages)
        chunks.append(info.chunks)
        hidden.append(info.hidden_bytes)

    def take(done: int) -> None:
        if not done:
            return
        note()
        at = len(pages) - 1
        if progress and (at % STEP == 0 or at == n):
            progress(at % STEP or STEP)

    note()
    result = allocator.replay(trace, take, stops=range(n))
    lives = _lives(trace, result)
    has_hints = allocator.policy == BITMAP
    curves = Curves(live_bytes(trace, lives), pages, chunks, hidden if has_hints else None)
    return {"result": result, "lives": lives, "curves": curves}


def _take_moments(
    allocator: Allocator, timeline: ReplayTimeline, stops: set[int], progress: Progress
) -> None:
    """Replay the trace again and look at the chunks at ``stops``."""
    trace = timeline.trace
    events = _area_events(trace, timeline.result)
    event = next(events, None)
    live: dict[int, Area] = {}  # by pointer
    places: dict[int, tuple[int, int]] = {}  # pointer: chunk, offset
    stays = Stays(timeline)
    at = 0

    def catch_up() -> None:
        """Update ``live`` and ``places`` to the operations done."""
        nonlocal event
        while event and event[0] < at:
            _index, gone, new = event
            if gone:
                del live[gone.ptr]
                places.pop(gone.ptr, None)
            if new:
                live[new.ptr] = new
            event = next(events, None)

    def take(done: int) -> None:
        nonlocal at
        at += done
        if at in stops:
            catch_up()
            areas = {}
            for ptr, born, kind in live.values():
                if ptr not in places:
                    places[ptr] = allocator.locate(ptr)
                areas[places[ptr]] = born, kind
            state = allocator.state()
            stays.take(_moment(timeline, at, state.chunks), _all_patches(timeline, state, areas))
        if progress and done:
            progress(done)

    take(0)
    if trace:
        allocator.replay(trace, take, stops)
    stays.end()


def _moment(timeline: Timeline, done: int, chunks: Iterable[ChunkState]) -> Moment:
    maps = (chunk.entries(timeline.static_size) for chunk in chunks if chunk.id != RESERVED)
    free = [size for sizes in maps for size in sizes if size > 0]
    return Moment(done, len(free), max(free, default=0))


def _all_patches(timeline: Timeline, state: State, areas: Areas) -> Iterator[Patch]:
    """Yield the patches of all chunks."""
    slots = dict(zip(state.kinds, state.slots, strict=False))  # kinds: only with bitmaps
    for chunk in state.chunks:
        yield from _patches(timeline, chunk, areas)
        for kind, slot in (SIDELINED, "sidelined"), (DEPOPULATE, "depopulate"):
            if chunk.id in slots.get(slot, ()):
                yield _whole(timeline, chunk, kind)


def _patches(timeline: Timeline, chunk: ChunkState, areas: Areas) -> Iterator[Patch]:
    """Yield the patches of a chunk: its map, its pages, its blocks."""
    yield _whole(timeline, chunk, FREE_SPACE)
    if chunk.hidden_bytes:
        yield _whole(timeline, chunk, HIDDEN)
    no_area = NOT_BORN, OUTSIDE if chunk.blocks else STATIC
    offset = 0
    for size in chunk.entries(timeline.static_size):
        if size < 0:
            born, kind = areas.get((chunk.id, offset), no_area)
            yield Patch(chunk.id, offset, offset - size, kind, born)
        offset += abs(size)
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
