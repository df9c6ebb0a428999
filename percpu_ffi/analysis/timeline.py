# SPDX-License-Identifier: GPL-2.0-only
"""What happened to an allocator over time: curves, and pictures of every chunk.

A trace is replayed twice.  The first time the figures are taken after each operation, so
that the peak and the worst moment are the true ones.  The second time the chunks are looked
at in some hundred moments, these two among them.

A picture is not kept moment by moment: a *patch* is a stretch of a chunk that looked the
same from one moment to another, an area for instance.  It is kept once.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, compress, cycle
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi.allocator import Allocator
from percpu_ffi.trace.operations import FAULT, FREE, NO_TIME, OP, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from percpu_ffi.replay import Replay
    from percpu_ffi.state import ChunkState, State
    from percpu_ffi.trace import Kind, Trace

__all__ = ["FREE_SPACE", "PAGES", "STATIC", "Curves", "Moment", "Patch", "Timeline", "collect"]

MOMENTS = 400
MOST_LOOKS = 1_200_000  # at areas: each costs some microseconds
MOST_PATCHES = 300_000  # a page with more of them is slow, and long
LOOKS = 1 << 16  # looks at the figures between two calls of progress

# what a patch shows, beside the index of an area's kind
FREE_SPACE, STATIC, PAGES = -1, -2, -3
UNBORN = -1  # the birth of what is no area


class Patch(NamedTuple):
    """A stretch of a chunk that stayed the same for some moments."""

    chunk: int
    """The chunk's ordinal."""
    start: int
    """Offset in a unit, bytes."""
    end: int
    """Offset behind it, bytes."""
    kind: int
    """An area: index of ``Trace.kinds``.  Or ``STATIC``; ``PAGES``, populated ones;
    ``FREE_SPACE``, what the map covers, below all others."""
    born: int
    """The operation that allocated the area; -1: no area."""


class Area(NamedTuple):
    """An area that a replay got."""

    ptr: int
    """Its per-CPU pointer."""
    born: int
    """The operation that allocated it."""
    kind: int
    """What was asked for: index of ``Trace.kinds``."""


class Moment(NamedTuple):
    """A moment at which all chunks were looked at."""

    done: int
    """Operations done."""
    holes: int
    """Holes in all maps."""
    largest_hole: int
    """Bytes of the largest."""


@dataclass(frozen=True)
class Curves:
    """Figures after each operation; item 0 is before the first one."""

    live: array[int]
    """Bytes asked for by live areas."""
    pages: array[int]
    """Page frames held, of all CPUs, static ones included."""
    chunks: array[int]
    """Chunks, the first one included."""


@dataclass
class Timeline:
    """A replayed trace, to be drawn."""

    trace: Trace
    result: Replay
    state: State
    """How the allocator was left."""
    counters: dict[str, int]
    """Calls to kernel services."""
    setup: dict[str, Any]
    """Arguments of the allocator."""
    cpus: int
    page_size: int
    """Bytes."""
    unit_size: int
    """Bytes."""
    static_size: int
    """Bytes."""
    curves: Curves
    seconds: array[float] | None
    """When each item of the curves was, from the first operation; None: no times."""
    alive: int
    """Areas that live, on average."""
    moments: list[Moment]
    patches: dict[Patch, list[tuple[int, int]]] = field(default_factory=dict)
    """For each patch the first and the last moment, by index, of each of its stays."""

    def held(self, done: int) -> int:
        """Bytes of the pages that are populated after ``done`` operations, in one CPU's units."""
        return self.curves.pages[done] * self.page_size // self.cpus

    def stranded(self, done: int) -> int:
        """Bytes of them that nobody asked for."""
        return self.held(done) - self.static_size - self.curves.live[done]

    def fragmentation(self, done: int) -> float:
        """Their share: 1 - (static + live bytes) / bytes of populated pages."""
        held = self.held(done)
        return self.stranded(done) / held if held else 0.0

    @cached_property
    def peak(self) -> int:
        """Operations done when live bytes were highest, the first time."""
        return _highest(self.curves.live)

    @cached_property
    def worst(self) -> int:
        """Operations done when most bytes were stranded, the first time."""
        return _highest([self.stranded(done) for done in range(len(self.curves.live))])

    @property
    def has_sites(self) -> bool:
        """Whether the recording names call sites."""
        return any(kind.site for kind in self.trace.kinds)

    def moment_at(self, done: int) -> int:
        """Index of the moment after ``done`` operations; it has to be one."""
        return [moment.done for moment in self.moments].index(done)

    def patches_at(self, moment: int) -> Iterator[Patch]:
        """Everything that the chunks show in a moment."""
        for patch, stays in self.patches.items():
            if any(first <= moment <= last for first, last in stays):
                yield patch

    def areas(self) -> Iterator[tuple[Kind, int, int]]:
        """Each area that was got: its kind, its birth and its death; -1: it lived to the end."""
        kinds = self.trace.kinds
        live: dict[int, Area] = {}
        for index, gone, new in _turns(self.trace, self.result):
            if gone:
                del live[gone.ptr]
                yield kinds[gone.kind], gone.born, index
            if new:
                live[new.ptr] = new
        for area in live.values():
            yield kinds[area.kind], area.born, -1


def collect(
    trace: Trace,
    setup: dict[str, Any],
    progress: Callable[[int], object] | None = None,
    moments: int = MOMENTS,
    most_patches: int = MOST_PATCHES,
) -> Timeline:
    """Replay a trace and keep what is to be seen.

    Args:
        trace: the operations.
        setup: arguments of the allocator; its memory is bookkeeping only.
        progress: called with the number of operations done since its last call, twice
            as many in all as the trace has.
        moments: how often to look at the chunks, less often where many areas live; the
            peak and the worst moment are added.
        most_patches: where there are more, every second moment is dropped.

    Raises:
        TraceError: the trace is damaged.
        ConfigError: no such allocator.

    """
    setup = {**setup, "memory": "none"}
    with Allocator(**setup) as allocator:
        timeline = Timeline(
            trace=trace,
            setup=setup,
            cpus=allocator.cpus,
            page_size=allocator.page_size,
            unit_size=allocator.unit_size,
            static_size=allocator.static_size,
            seconds=_seconds(trace),
            moments=[],
            **_figures(allocator, trace, progress),
            state=allocator.state(),
            counters=allocator.counters(),
        )
    n = len(trace)
    special = {0, timeline.peak, timeline.worst, n}
    moments = max(min(moments, MOST_LOOKS // max(timeline.alive, 1)), 1)
    spread = {round(n * i / moments) for i in range(moments + 1)}
    with Allocator(**setup) as allocator:
        _look(allocator, timeline, sorted(spread | special), progress)
    while len(timeline.patches) > most_patches and len(timeline.moments) > len(special):
        _thin(timeline, special)
    return timeline


def _highest(values: Any) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _turns(trace: Trace, result: Replay) -> Iterator[tuple[int, Area | None, Area | None]]:
    """Give for each operation on areas its index, the area that it ended, the one that it got."""
    held: dict[int, Area] = {}  # by slot
    for index, (_key, slot, kind) in enumerate(OP.iter_unpack(trace.ops)):
        if kind == FAULT or slot == ORPHAN:
            continue
        ptr = result.pointers[index]  # 0: it failed
        # an allocation ends what its slot held, whose free was not seen, also where it fails
        gone = held.pop(slot, None) if kind != FREE or ptr else None
        new = None
        if kind != FREE and ptr:
            new = held[slot] = Area(ptr, index, kind)
        yield index, gone, new


def _seconds(trace: Trace) -> array[float] | None:
    """Times from the first one on; an operation without has that of the one before it."""
    times = trace.times
    if times is None:
        return None
    start = min(times)  # what is not told has all bits set
    last, seconds = 0, array("d", [0.0])
    for time in times:
        if time != NO_TIME:
            last = max(last, time - start)  # lines of several CPUs may be out of order
        seconds.append(last / 1e9)
    return seconds


def _figures(
    allocator: Allocator, trace: Trace, progress: Callable[[int], object] | None
) -> dict[str, Any]:
    """Replay the trace, look at the figures after each operation."""
    n = len(trace)
    pages, chunks = array("q", [allocator.pages]), array("q", [allocator.chunks])

    def look(done: int) -> None:
        if not done:
            return
        pages.append(allocator.pages)
        chunks.append(allocator.chunks)
        at = len(pages) - 1
        if progress and (at % LOOKS == 0 or at == n):
            progress(at % LOOKS or LOOKS)

    result = allocator.replay(trace, look, stops=range(1, n))
    changes = array("q", [0]) * (n + 1)
    sizes = [kind.size for kind in trace.kinds]
    live = alive = 0
    for index, gone, new in _turns(trace, result):
        if gone:
            changes[index + 1] -= sizes[gone.kind]
            live -= 1
        if new:
            changes[index + 1] += sizes[new.kind]
            live += 1
        alive += live
    return {
        "result": result,
        "curves": Curves(array("q", accumulate(changes)), pages, chunks),
        "alive": alive // max(n, 1),
    }


def _look(
    allocator: Allocator,
    timeline: Timeline,
    stops: list[int],
    progress: Callable[[int], object] | None,
) -> None:
    """Replay the trace again, look at the chunks at ``stops``."""
    trace, result = timeline.trace, timeline.result
    turns = _turns(trace, result)
    ahead = next(turns, None)
    live: dict[int, Area] = {}  # by pointer
    places: dict[int, tuple[int, int]] = {}  # pointer: chunk, offset
    staying: dict[Patch, int] = {}  # first moment of each patch that is seen now
    at = 0

    def forward() -> None:
        """Follow the operations up to here."""
        nonlocal ahead
        while ahead and ahead[0] < at:
            _index, gone, new = ahead
            if gone:
                del live[gone.ptr]
                places.pop(gone.ptr, None)
            if new:
                live[new.ptr] = new
            ahead = next(turns, None)

    def look(done: int) -> None:
        nonlocal at, staying
        at += done
        if at in wanted:
            forward()
            areas = {}
            for ptr, born, kind in live.values():
                if ptr not in places:
                    places[ptr] = allocator.locate(ptr)
                areas[places[ptr]] = born, kind
            number = len(timeline.moments)
            chunks = allocator.state().chunks
            timeline.moments.append(_moment(timeline, at, chunks))
            seen: dict[Patch, int] = {}
            for chunk in chunks:
                for patch in _patches(timeline, chunk, areas):
                    seen[patch] = staying.pop(patch, number)
            _end(timeline, staying, number - 1)
            staying = seen
        if progress and done:
            progress(done)

    wanted = set(stops)
    look(0)
    if trace:
        allocator.replay(trace, look, stops)
    _end(timeline, staying, len(timeline.moments) - 1)


def _end(timeline: Timeline, staying: dict[Patch, int], last: int) -> None:
    """Note that patches are seen no more."""
    for patch, first in staying.items():
        timeline.patches.setdefault(patch, []).append((first, last))


def _moment(timeline: Timeline, done: int, chunks: tuple[ChunkState, ...]) -> Moment:
    maps = (chunk.entries(timeline.static_size) for chunk in chunks)
    holes = [size for sizes in maps for size in sizes if size > 0]
    return Moment(done, len(holes), max(holes, default=0))


def _patches(
    timeline: Timeline, chunk: ChunkState, areas: dict[tuple[int, int], tuple[int, int]]
) -> Iterator[Patch]:
    """What is to be seen of a chunk."""
    sizes = chunk.entries(timeline.static_size)
    yield Patch(chunk.id, 0, sum(map(abs, sizes)), FREE_SPACE, UNBORN)
    offset = 0
    for size in sizes:
        if size < 0:
            born, kind = areas.get((chunk.id, offset), (UNBORN, STATIC))
            yield Patch(chunk.id, offset, offset - size, kind, born)
        offset += abs(size)
    page_size, pages = timeline.page_size, (*chunk.populated, 0)
    start = None
    for page, cpus in enumerate(pages):
        if cpus and start is None:
            start = page
        elif not cpus and start is not None:
            yield Patch(chunk.id, start * page_size, page * page_size, PAGES, UNBORN)
            start = None


def _thin(timeline: Timeline, special: set[int]) -> None:
    """Drop every second moment that is not special, and what was seen in these alone."""
    moments = timeline.moments
    turn = cycle((False, True))  # the first one goes: the last one left goes too
    kept = [moment.done in special or next(turn) for moment in moments]
    before = [0, *accumulate(map(int, kept))]  # for each moment, how many kept ones
    patches = {}
    for patch, stays in timeline.patches.items():
        moved = [(before[first], before[last + 1] - 1) for first, last in stays]
        if found := [(first, last) for first, last in moved if first <= last]:
            patches[patch] = found
    timeline.moments, timeline.patches = list(compress(moments, kept)), patches
