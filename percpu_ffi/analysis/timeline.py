# SPDX-License-Identifier: GPL-2.0-only
"""Replay a trace and keep what happened over time: curves, and all chunks at some moments.

The trace is replayed twice.  The first replay takes figures after each operation, so the peak
and the worst moment are exact.  The second one looks at the chunks at some hundred moments,
including these two.

Moments are not stored one by one.  A *patch* is a range of a chunk that looks the same from one
moment to another, an area for example; it is stored once, with the moments of its stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, compress, cycle, groupby
from typing import Any, NamedTuple

from percpu_ffi.allocator import Allocator
from percpu_ffi.analysis.origins import Origin, origins
from percpu_ffi.replay import STEP, Replay
from percpu_ffi.state import ChunkState, State
from percpu_ffi.trace import Kind, Trace
from percpu_ffi.trace.operations import BALANCE, FAULT, FREE, NO_TIME, OP

GEOMETRY = ("policy", "cpus", "page_size", "unit_size", "static_size")
MOMENTS = 400
MOST_AREAS_SEEN = 1_200_000  # in all moments together: each takes some microseconds
MOST_PATCHES = 300_000  # a page with more is large and slow

FREE_SPACE, STATIC, PAGES = range(-3, 0)  # the kind of a patch that is not an area
NOT_BORN = -1


class Patch(NamedTuple):
    """A range of a chunk that stays the same for some moments."""

    chunk: int
    """The chunk's ordinal."""
    start: int
    """Offset in a unit, bytes."""
    end: int
    """Offset of its end, bytes."""
    kind: int
    """An area: index into ``Trace.kinds``.  Or ``STATIC``; ``PAGES``, populated pages;
    ``FREE_SPACE``, all that the map covers, drawn below the others."""
    born: int
    """The operation that allocated the area; -1: not an area."""


class Area(NamedTuple):
    """A live area of the replay."""

    ptr: int
    """Its per-CPU pointer."""
    born: int
    """The operation that allocated it."""
    kind: int
    """Size, alignment and call site: index into ``Trace.kinds``."""


class Moment(NamedTuple):
    """A moment at which all chunks are known."""

    done: int
    """Operations done."""
    free_ranges: int
    """Free ranges in all maps."""
    largest_free: int
    """Bytes of the largest."""


@dataclass(frozen=True)
class Curves:
    """Figures after each operation; item 0 is before the first one."""

    live: array[int]
    """Live bytes."""
    pages: array[int]
    """Page frames held, by all CPUs, including static ones."""
    chunks: array[int]
    """Chunks, including the first one."""


@dataclass
class Timeline:
    """A replayed trace; bytes are those of one CPU's copies or units."""

    trace: Trace
    result: Replay
    state: State
    """The allocator's state at the end."""
    counters: dict[str, int]
    """Calls to kernel services."""
    setup: dict[str, Any]
    """Arguments of the allocator."""
    cpus: int
    page_size: int
    unit_size: int
    policy: str
    static_size: int
    curves: Curves
    seconds: array[float] | None
    """The time of each item of the curves, from the first operation; None: no times."""
    moments: list[Moment]
    patches: dict[Patch, list[tuple[int, int]]] = field(default_factory=dict)
    """For each patch its stays: indices of the first and the last moment."""

    def held(self, done: int) -> int:
        """Return the bytes of populated pages after ``done`` operations."""
        return self.curves.pages[done] * self.page_size // self.cpus

    def stranded(self, done: int) -> int:
        """Return the populated bytes that are neither static nor live."""
        return self.held(done) - self.static_size - self.curves.live[done]

    def fragmentation(self, done: int) -> float:
        """Return their share: 1 - (static + live bytes) / populated bytes."""
        held = self.held(done)
        return self.stranded(done) / held if held else 0.0

    def x(self, done: list[int]) -> list[float]:
        """Return the moments on the axis of time: seconds, or operations if times are unknown."""
        return [float(i) if self.seconds is None else self.seconds[i] for i in done]

    @cached_property
    def peak(self) -> int:
        """Operations done at the first moment with the most live bytes."""
        return _highest(self.curves.live)

    @cached_property
    def worst(self) -> int:
        """Operations done at the first moment with the most stranded bytes."""
        return _highest([self.stranded(done) for done in range(len(self.curves.live))])

    @property
    def has_sites(self) -> bool:
        """Whether the trace has call sites."""
        return any(kind.site for kind in self.trace.kinds)

    @cached_property
    def origins(self) -> dict[int, Origin]:
        """Where the areas come from, by the operation that allocated each."""
        born = [born for _, born, _ in self.areas()]
        found, numbers = origins(self.trace, born)
        return {operation: found[number] for operation, number in zip(born, numbers, strict=True)}

    @property
    def has_stacks(self) -> bool:
        """Whether the stack of an area is known."""
        return any(origin.stack for origin in self.origins.values())

    @property
    def has_tasks(self) -> bool:
        """Whether the task of an area is known."""
        return any(origin.task for origin in self.origins.values())

    def moment_at(self, done: int) -> int:
        """Return the index of the moment after ``done`` operations; it must be one."""
        return [moment.done for moment in self.moments].index(done)

    def patches_at(self, moment: int) -> Iterator[Patch]:
        """Yield all patches of a moment."""
        for patch, stays in self.patches.items():
            if any(first <= moment <= last for first, last in stays):
                yield patch

    def areas(self) -> Iterator[tuple[Kind, int, int]]:
        """Yield for each area its kind, and the operations that allocated and ended it.

        The latter is the number of operations if the area is live at the end.
        """
        return _areas(self.trace, self.result)


def collect(
    trace: Trace,
    setup: dict[str, Any],
    progress: Callable[[int], object] | None = None,
    moments: int = MOMENTS,
    most_patches: int = MOST_PATCHES,
) -> Timeline:
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
        timeline = Timeline(
            trace=trace,
            setup=setup,
            **{name: getattr(allocator, name) for name in GEOMETRY},
            seconds=_seconds(trace),
            moments=[],
            **_take_figures(allocator, trace, progress),
            state=allocator.state(),
            counters=allocator.counters(),
        )
    n = len(trace)
    special = {0, timeline.peak, timeline.worst, n}
    lives = sum(died - born for _, born, died in timeline.areas())
    moments = max(min(moments, MOST_AREAS_SEEN * n // max(lives, 1)), 1)
    spread = {round(n * i / moments) for i in range(moments)}
    with Allocator(**setup) as allocator:
        _take_moments(allocator, timeline, spread | special, progress)
    while len(timeline.patches) > most_patches and len(timeline.moments) > len(special):
        _thin(timeline, special)
    return timeline


def _highest(values: Any) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _area_events(trace: Trace, result: Replay) -> Iterator[tuple[int, Area | None, Area | None]]:
    """Yield for each operation its index, the area that it ended, the one that it allocated."""
    held: dict[int, Area] = {}  # by handle
    for index, (_key, handle, kind) in enumerate(OP.iter_unpack(trace.ops)):
        if kind in {FAULT, BALANCE}:
            continue
        # an allocation ends the area of its handle, whose free is missing, even if it fails
        gone, new = held.pop(handle, None), None
        if kind != FREE and (ptr := result.pointers[index]):  # 0: it failed
            new = held[handle] = Area(ptr, index, kind)
        yield index, gone, new


def _areas(trace: Trace, result: Replay) -> Iterator[tuple[Kind, int, int]]:
    live: dict[int, Area] = {}
    for index, gone, new in _area_events(trace, result):
        if gone:
            del live[gone.ptr]
            yield trace.kinds[gone.kind], gone.born, index
        if new:
            live[new.ptr] = new
    for area in live.values():
        yield trace.kinds[area.kind], area.born, len(trace)


def _seconds(trace: Trace) -> array[float] | None:
    """Return the times from the first one on; an unknown one equals that before it."""
    times = trace.times
    if times is None:
        return None
    start = min(times)  # an unknown one has all bits set
    last, seconds = 0, array("d", [0.0])
    for time in times:
        if time != NO_TIME:
            last = max(last, time - start)  # lines of several CPUs may be out of order
        seconds.append(last / 1e9)
    return seconds


def _take_figures(
    allocator: Allocator, trace: Trace, progress: Callable[[int], object] | None
) -> dict[str, Any]:
    """Replay the trace and take figures after each operation."""
    n = len(trace)
    pages, chunks = array("q", [allocator.pages]), array("q", [allocator.chunks])

    def take(done: int) -> None:
        if not done:
            return
        pages.append(allocator.pages)
        chunks.append(allocator.chunks)
        at = len(pages) - 1
        if progress and (at % STEP == 0 or at == n):
            progress(at % STEP or STEP)

    result = allocator.replay(trace, take, stops=range(n))
    changes = array("q", [0]) * (n + 2)
    for kind, born, died in _areas(trace, result):
        changes[born + 1] += kind.size
        changes[died + 1] -= kind.size  # the last item is not used
    return {
        "result": result,
        "curves": Curves(array("q", accumulate(changes[:-1])), pages, chunks),
    }


def _take_moments(
    allocator: Allocator,
    timeline: Timeline,
    stops: set[int],
    progress: Callable[[int], object] | None,
) -> None:
    """Replay the trace again and look at the chunks at ``stops``."""
    trace = timeline.trace
    events = _area_events(trace, timeline.result)
    event = next(events, None)
    live: dict[int, Area] = {}  # by pointer
    places: dict[int, tuple[int, int]] = {}  # pointer: chunk, offset
    staying: dict[Patch, int] = {}  # first moment of each current patch
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
        nonlocal at, staying
        at += done
        if at in stops:
            catch_up()
            areas = {}
            for ptr, born, kind in live.values():
                if ptr not in places:
                    places[ptr] = allocator.locate(ptr)
                areas[places[ptr]] = born, kind
            number = len(timeline.moments)
            chunks = allocator.state().chunks
            maps = (chunk.entries(timeline.static_size) for chunk in chunks)
            free = [size for sizes in maps for size in sizes if size > 0]
            timeline.moments.append(Moment(at, len(free), max(free, default=0)))
            seen: dict[Patch, int] = {}
            for chunk in chunks:
                for patch in _patches(timeline, chunk, areas):
                    seen[patch] = staying.pop(patch, number)
            _end_stays(timeline, staying, number - 1)
            staying = seen
        if progress and done:
            progress(done)

    take(0)
    if trace:
        allocator.replay(trace, take, stops)
    _end_stays(timeline, staying, len(timeline.moments) - 1)


def _end_stays(timeline: Timeline, staying: dict[Patch, int], last: int) -> None:
    """End the stays of patches with the moment ``last``."""
    for patch, first in staying.items():
        timeline.patches.setdefault(patch, []).append((first, last))


def _patches(
    timeline: Timeline, chunk: ChunkState, areas: dict[tuple[int, int], tuple[int, int]]
) -> Iterator[Patch]:
    """Yield the patches of a chunk."""
    sizes = chunk.entries(timeline.static_size)
    yield Patch(chunk.id, 0, sum(map(abs, sizes)), FREE_SPACE, NOT_BORN)
    offset = 0
    for size in sizes:
        if size < 0:
            born, kind = areas.get((chunk.id, offset), (NOT_BORN, STATIC))
            yield Patch(chunk.id, offset, offset - size, kind, born)
        offset += abs(size)
    for held, run in groupby(range(len(chunk.populated)), lambda page: chunk.populated[page] > 0):
        if held:
            pages = [page * timeline.page_size for page in run]
            yield Patch(chunk.id, pages[0], pages[-1] + timeline.page_size, PAGES, NOT_BORN)


def _thin(timeline: Timeline, special: set[int]) -> None:
    """Drop every second moment that is not special, and patches that only these show."""
    moments = timeline.moments
    turn = cycle((False, True))  # drops the first, so a single one left is dropped too
    kept = [moment.done in special or next(turn) for moment in moments]
    before = [0, *accumulate(map(int, kept))]  # for each moment, how many kept ones
    patches = {}
    for patch, stays in timeline.patches.items():
        moved = [(before[first], before[last + 1] - 1) for first, last in stays]
        if found := [(first, last) for first, last in moved if first <= last]:
            patches[patch] = found
    timeline.moments, timeline.patches = list(compress(moments, kept)), patches
