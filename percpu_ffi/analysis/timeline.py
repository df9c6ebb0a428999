# SPDX-License-Identifier: GPL-2.0-only
"""What happened over time: curves, and all chunks at some moments.

Moments are not stored one by one.  A *patch* is a range of a chunk that looks the same from one
moment to another, an area for example; it is stored once, with the moments of its stays.
``replayed`` makes the timeline of a replay, ``recorded`` that of the recorded kernel.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from percpu_ffi.analysis.origins import Origin, origins
from percpu_ffi.trace import Kind, Trace
from percpu_ffi.trace.operations import NO_TIME

# the kind of a patch that is not an area, in the order of drawing:
(
    FREE_SPACE,  # all that a chunk's map covers
    OLD_CHUNK,  # likewise; the chunk is older than the recording
    HIDDEN,  # likewise; no search finds its free bytes, since its contig hint is 0
    DEPOPULATE,  # likewise; the chunk is isolated, its empty pages are to be depopulated
    SIDELINED,  # likewise; allocations come to the chunk late
    STATIC,  # the static area
    OUTSIDE,  # not served by the chunk: before and after the dynamic, or the reserved area
    OLD_AREA,  # older than the recording, of unknown size
    PAGES,  # populated ones; in a kernel's own history, those with recorded areas
    EMPTY_PAGES,  # those of them that are all free
    BLOCKS,  # with equal contig hints
) = range(-11, 0)
NOT_BORN = -1
RESERVED = -1  # the reserved chunk


class Patch(NamedTuple):
    """A range of a chunk that stays the same for some moments."""

    chunk: int
    """The chunk's ordinal; -1: the reserved one."""
    start: int
    """Offset in a unit, bytes."""
    end: int
    """Offset of its end, bytes."""
    kind: int
    """An area, from 0: index into ``Trace.kinds``.  Else one of those above."""
    born: int
    """The operation that allocated the area; -1: not an area."""
    hint: int = 0
    """Of ``BLOCKS``: the contig hint of each, bytes."""


class Moment(NamedTuple):
    """A moment at which all chunks are known."""

    done: int
    """Operations done."""
    free_ranges: int = 0
    """Free ranges in all maps, except that of the reserved chunk."""
    largest_free: int = 0
    """Bytes of the largest."""


@dataclass(frozen=True)
class Curves:
    """Figures after each operation; item 0 is before the first one."""

    live: array[int]
    """Live bytes."""
    pages: array[int]
    """Page frames held, by ``cpus`` CPUs, including static ones."""
    chunks: array[int]
    """Chunks, including the first one."""
    hidden: array[int] | None = None
    """Free bytes of chunks whose contig hint is 0; None: their policy has no such space."""


class Lives(NamedTuple):
    """The lives of areas: those that ended in this order, then those that did not."""

    kinds: array[int]
    """Size, alignment and call site: an index into ``Trace.kinds``."""
    born: array[int]
    """Index of the operation that allocated the area."""
    died: array[int]
    """Index of the operation that ended it; the number of operations if none did."""

    @classmethod
    def none(cls) -> Lives:
        """Return columns without rows."""
        return cls(array("L"), array("L"), array("L"))

    def add(self, kind: int, born: int, died: int) -> None:
        """Add the life of an area."""
        for column, value in zip(self, (kind, born, died), strict=True):
            column.append(value)


class Counts(NamedTuple):
    """How many areas there are of an origin."""

    all: int
    """Allocations that succeeded."""
    at_peak: int
    """Live at the peak."""
    left: int
    """Live at the end."""


@dataclass(kw_only=True)
class Timeline:
    """What happened during a trace; bytes are those of one CPU's copies or units."""

    trace: Trace
    cpus: int
    """CPUs whose pages are counted."""
    page_size: int
    unit_size: int
    static_size: int
    curves: Curves
    lives: Lives
    kept: frozenset[int] = frozenset({RESERVED, 0})
    """Chunks that no area pins: they stay in any case, or have areas that are not known."""
    moments: list[Moment] = field(default_factory=list)
    patches: dict[Patch, list[tuple[int, int]]] = field(default_factory=dict)
    """For each patch its stays: indices of the first and the last moment."""

    def held(self, done: int) -> int:
        """Return the bytes of populated pages after ``done`` operations."""
        return self.curves.pages[done] * self.page_size // self.cpus

    def stranded(self, done: int) -> int:
        """Return the populated bytes that are neither static nor live."""
        return self.stranded_bytes[done]

    @cached_property
    def stranded_bytes(self) -> array[int]:
        """The same after each operation; item 0 is before the first one."""
        page, cpus, static = self.page_size, self.cpus, self.static_size
        curves = zip(self.curves.pages, self.curves.live, strict=True)
        return array("q", (pages * page // cpus - static - live for pages, live in curves))

    def fragmentation(self, done: int) -> float:
        """Return their share: 1 - (static + live bytes) / populated bytes."""
        held = self.held(done)
        return self.stranded(done) / held if held else 0.0

    @cached_property
    def seconds(self) -> array[float] | None:
        """The time of each item of the curves, from the first operation; None: no times."""
        return _seconds(self.trace)

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
        return _highest(self.stranded_bytes)

    @property
    def has_sites(self) -> bool:
        """Whether the trace has call sites."""
        return any(kind.site for kind in self.trace.kinds)

    @cached_property
    def _origins(self) -> tuple[list[Origin], array[int]]:
        return origins(self.trace, self.lives.born)

    @property
    def origins(self) -> list[Origin]:
        """The distinct origins of the areas."""
        return self._origins[0]

    @cached_property
    def origin_of(self) -> dict[int, int]:
        """The index of an area's origin, by the operation that allocated the area."""
        return dict(zip(self.lives.born, self._origins[1], strict=True))

    @cached_property
    def counts(self) -> list[Counts]:
        """The areas of each origin."""
        n, peak = len(self.trace), self.peak
        _, born, died = self.lives
        lives = [*zip(self._origins[1], born, died, strict=True)]
        every = Counter(self._origins[1])
        at_peak = Counter(origin for origin, born, died in lives if born < peak <= died)
        left = Counter(origin for origin, _, died in lives if died == n)
        return [Counts(every[i], at_peak[i], left[i]) for i in range(len(self.origins))]

    @property
    def has_stacks(self) -> bool:
        """Whether the stack of an area is known."""
        return any(origin.stack for origin in self.origins)

    @property
    def has_tasks(self) -> bool:
        """Whether the task of an area is known."""
        return any(origin.task for origin in self.origins)

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
        kinds = self.trace.kinds
        return ((kinds[kind], born, died) for kind, born, died in zip(*self.lives, strict=True))


def _highest(values: array[int]) -> int:
    return values.index(max(values))


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
