# SPDX-License-Identifier: GPL-2.0-only
"""The first difference between allocators that did the same, told to a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from percpu_ffi.drawing import LEGEND, map_window
from percpu_ffi.work import WorkByCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_ffi.state import ChunkState, State
    from percpu_ffi.trace import Trace

__all__ = ["Difference"]

AROUND = 256  # bytes of a map to draw before and behind the place
WIDTH = 64  # characters of a drawn map
MOST_LINES = 12  # differing fields to list


@dataclass(frozen=True)
class Difference:
    """An operation after which the parties were not the same any more."""

    trace: Trace
    """The operations up to and with the one that differs, and the set-up."""
    aspect: str
    """What differs: ``"errors"``, ``"pointers"``, ``"state"``, ``"counters"`` or ``"work"``."""
    parties: tuple[str, ...]
    """Their names."""
    answers: tuple[str, ...]
    """What each gave: a pointer, an error, or nothing."""
    states: tuple[State, ...] = ()
    """Their states after the operation; empty where they were not compared."""
    counters: tuple[dict[str, int], ...] = ()
    """Their service calls up to there; likewise."""
    work: tuple[WorkByCall, ...] = ()
    """Their work up to there; likewise."""

    @property
    def index(self) -> int:
        """Which operation of the trace, from 0; -1: the set-up itself."""
        return len(self.trace) - 1

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        setup = ", ".join(f"{name}={value!r}" for name, value in self.trace.setup.items())
        verb = "differs" if self.aspect in ("state", "work") else "differ"
        yield f"the {self.aspect} {verb} after {self._operation()}"
        yield f"set up with {setup or 'defaults'}"
        yield from self._each(self.answers)
        rows = [*self._differing_counters(), *self._differing_state(), *self._differing_work()]
        yield from rows[:MOST_LINES]
        if len(rows) > MOST_LINES:
            yield f"and {len(rows) - MOST_LINES} more lines like these"
        yield from self._maps()

    def _operation(self) -> str:
        if self.index < 0:
            return "the set-up"
        return f"operation {self.index}, {self.trace[self.index]}"

    def _each(self, values: tuple[str, ...]) -> Iterator[str]:
        """One line for each party."""
        width = max(map(len, self.parties))
        for name, value in zip(self.parties, values, strict=True):
            yield f"  {name:<{width}}  {value}"

    def _row(self, what: str, values: list[object]) -> str:
        pairs = zip(self.parties, values, strict=True)
        return f"{what}: " + "; ".join(f"{name} {value}" for name, value in pairs)

    def _differing_counters(self) -> Iterator[str]:
        for service in self.counters[0] if self.counters else ():
            calls = [counters.get(service) for counters in self.counters]
            if any(number != calls[0] for number in calls):
                yield self._row(f"calls of {service}", [*calls])

    def _differing_work(self) -> Iterator[str]:
        if not all(isinstance(work, WorkByCall) for work in self.work):
            yield self._row("work", [*self.work])
            return
        for call in ("alloc", "free"):
            works = [asdict(getattr(work, call)) for work in self.work]
            for name in works[0] if works else ():
                counts = [work[name] for work in works]
                if any(number != counts[0] for number in counts):
                    yield self._row(f"{name} for {call}", [*counts])

    def _differing_state(self) -> Iterator[str]:
        states = self.states
        if not states or all(state == states[0] for state in states):
            return
        for slot in range(max(len(state.slots) for state in states)):
            lists = [state.slots[slot] if slot < len(state.slots) else None for state in states]
            if any(ids != lists[0] for ids in lists):
                yield self._row(f"chunks in slot {slot}", [*lists])
        for number in sorted({chunk.id for state in states for chunk in state.chunks}):
            chunks = [_chunk(state, number) for state in states]
            if None in chunks:
                there = ["there" if chunk else "not there" for chunk in chunks]
                yield self._row(f"chunk {number}", [*there])
                continue
            for field in ("free_size", "contig_hint", "map_alloc", "immutable", "populated"):
                values = [getattr(chunk, field) for chunk in chunks]
                if any(value != values[0] for value in values):
                    shown = [_pages(value) if field == "populated" else value for value in values]
                    yield self._row(f"chunk {number}, {field}", shown)

    def _maps(self) -> Iterator[str]:
        """Draw the first maps that differ, around the place."""
        states = self.states
        for number in sorted({chunk.id for state in states for chunk in state.chunks}):
            chunks = [_chunk(state, number) for state in states]
            maps = [chunk.map if chunk else () for chunk in chunks]
            if all(entries == maps[0] for entries in maps):
                continue
            place = min(_common_end(maps[0], entries) for entries in maps[1:] if entries != maps[0])
            start = max(place - AROUND, 0)
            end = place + AROUND
            yield f"chunk {number}, bytes {start} to {end} of a unit; the maps part at {place}"
            yield LEGEND
            yield from self._each(
                tuple(
                    f"[{map_window(entries, start, end, WIDTH)}]  {_around(entries, start, end)}"
                    for entries in maps
                )
            )
            return


def _chunk(state: State, number: int) -> ChunkState | None:
    return next((chunk for chunk in state.chunks if chunk.id == number), None)


def _pages(populated: tuple[int, ...]) -> str:
    """Tell how many CPUs hold each page of a unit, as in ``3 pages 2, 13 pages 0``."""
    runs = [(cpus, len(list(pages))) for cpus, pages in groupby(populated)]
    return ", ".join(f"{n} page{'s' if n > 1 else ''} {cpus}" for cpus, n in runs)


def _common_end(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Tell up to which offset two maps are the same."""
    offset = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        offset += abs(a)
    return offset


def _around(entries: tuple[int, ...], start: int, end: int) -> str:
    """The entries of a map that lie between two offsets."""
    ends = list(accumulate(map(abs, entries)))
    inside = [
        f"{size:+}"
        for size, stop in zip(entries, ends, strict=True)
        if stop > start and stop - abs(size) < end
    ]
    return " ".join(inside) or "nothing"
