# SPDX-License-Identifier: GPL-2.0-only
"""The first difference between allocators in lockstep, and its description as text."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import accumulate, chain, groupby, takewhile, zip_longest
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.drawing import LEGEND, map_window
from percpu_ffi.state import ChunkState, State
from percpu_ffi.work import Work, WorkByCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from percpu_ffi.trace import Trace

AROUND = 256  # bytes of a map to draw before and after the offset
WIDTH = 64  # characters of a drawn map
MAX_LINES = 12  # differing fields to list

# by id chunks are matched, maps are drawn, and blocks shown one by one
CHUNK_FIELDS = tuple(f.name for f in fields(ChunkState) if f.name not in ("id", "map", "blocks"))
STATE_FIELDS = tuple(f.name for f in fields(State) if f.name not in ("slots", "chunks"))
WORK_FIELDS = tuple(f.name for f in fields(Work))


@dataclass(frozen=True)
class Difference:
    """An operation after which the allocators are no longer the same."""

    trace: Trace
    """The operations up to and with the one that differs, and the set-up."""
    aspect: str
    """What differs: ``"errors"``, ``"pointers"``, ``"state"``, ``"counters"`` or ``"work"``."""
    names: tuple[str, ...]
    """Names of the allocators."""
    answers: tuple[str, ...]
    """The answer of each: a pointer, an error, or nothing."""
    minority: tuple[str, ...]
    """Names of those that differ from most of the others; of all where no majority agrees."""
    calls: str = "single"
    """How the operations were called, as in :func:`drive`."""
    last: int = 1
    """Operations since the comparison before, which did not differ."""
    states: tuple[State, ...] = ()
    """Their states after the operation; empty where they were not compared."""
    counters: tuple[dict[str, int], ...] = ()
    """Their service calls so far; likewise."""
    work: tuple[WorkByCall, ...] = ()
    """Their work so far; likewise."""

    @property
    def index(self) -> int:
        """Index of the operation in the trace; -1: the set-up itself."""
        return len(self.trace) - 1

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        setup = ", ".join(f"{name}={value!r}" for name, value in self.trace.setup.items())
        verb = "differs" if self.aspect in ("state", "work") else "differ"
        who = f" of {', '.join(self.minority)}" if len(self.minority) < len(self.names) else ""
        operation = "the set-up"
        if self.index >= 0:
            operation = f"operation {self.index}, {self.trace[self.index]}"
        if self.last > 1:
            operation = f"operations {self.index - self.last + 1} to {self.index}"
        how = "" if self.calls == "single" else f", with calls={self.calls!r}"
        yield f"the {self.aspect}{who} {verb} after {operation}{how}"
        yield f"set up with {setup or 'defaults'}"
        yield from self._by_name(self.answers)
        rows = list(self._rows())
        yield from rows[:MAX_LINES]
        if len(rows) > MAX_LINES:
            yield f"and {plural(len(rows) - MAX_LINES, 'more line')} like these"
        if _are(State, self.states):
            yield from self._maps()

    def _by_name(self, values: Sequence[str]) -> Iterator[str]:
        """One line for each allocator."""
        width = max(map(len, self.names))
        for name, value in zip(self.names, values, strict=True):
            yield f"  {name:<{width}}  {value}"

    def _row(
        self, what: str, values: Sequence[object], shown: Callable[..., object] = str
    ) -> Iterator[str]:
        """One line with all values, if they differ."""
        if differ(values):
            pairs = zip(self.names, values, strict=True)
            yield f"{what}: " + "; ".join(f"{name} {shown(value)}" for name, value in pairs)

    def _rows(self) -> Iterator[str]:
        """Lines for each value that differs; results of other types are shown as they are."""
        kinds: tuple[tuple[str, type, Sequence[object], Callable[[], Iterator[str]]], ...] = (
            ("counters", dict, self.counters, self._counter_rows),
            ("state", State, self.states, self._state_rows),
            ("work", WorkByCall, self.work, self._work_rows),
        )
        for what, kind, values, rows in kinds:
            yield from rows() if _are(kind, values) else self._row(what, values)

    def _counter_rows(self) -> Iterator[str]:
        for service in dict.fromkeys(chain(*self.counters)):
            calls = [counters.get(service) for counters in self.counters]
            yield from self._row(f"calls of {service}", calls)

    def _work_rows(self) -> Iterator[str]:
        for call in ("alloc", "free"):
            works = [getattr(work, call) for work in self.work]
            for name in WORK_FIELDS:
                yield from self._row(f"{name} for {call}", [getattr(work, name) for work in works])

    def _state_rows(self) -> Iterator[str]:
        for slot, lists in enumerate(zip_longest(*(state.slots for state in self.states))):
            yield from self._row(f"chunks in slot {slot}", lists)
        for field in STATE_FIELDS:
            yield from self._row(field, [getattr(state, field) for state in self.states])
        for number, chunks in self._chunks():
            yield from self._row(f"chunk {number} exists", [chunk is not None for chunk in chunks])
            if None in chunks:
                continue
            for field in CHUNK_FIELDS:
                values = [getattr(chunk, field) for chunk in chunks]
                shown = _pages if field == "populated" else str
                yield from self._row(f"chunk {number}, {field}", values, shown)
            blocks = (chunk.blocks for chunk in chunks if chunk)
            for page, each in enumerate(zip_longest(*blocks)):
                yield from self._row(f"chunk {number}, block {page}", each)

    def _chunks(self) -> Iterator[tuple[int, list[ChunkState | None]]]:
        """Each chunk that exists in any state, from all of them."""
        by_id = [{chunk.id: chunk for chunk in state.chunks} for state in self.states]
        for number in sorted(set().union(*by_id)):
            yield number, [chunks.get(number) for chunks in by_id]

    def _maps(self) -> Iterator[str]:
        """Draw the first maps that differ, around the first offset where they do."""
        for number, chunks in self._chunks():
            maps = [chunk.map if chunk else () for chunk in chunks]
            if not differ(maps):
                continue
            same = takewhile(lambda entries: not differ(entries), zip(*maps, strict=False))
            offset = sum(abs(entry) for entry, *_ in same)
            start, end = max(offset - AROUND, 0), offset + AROUND
            yield f"chunk {number}, bytes {start} to {end} of a unit; the maps part at {offset}"
            yield LEGEND
            yield from self._by_name(
                [
                    f"[{map_window(entries, start, end, WIDTH)}]  {_between(entries, start, end)}"
                    for entries in maps
                ]
            )
            return


def _are(kind: type, values: Sequence[object]) -> bool:
    return all(isinstance(value, kind) for value in values)


def differ(values: Sequence[object]) -> bool:
    """Return whether values are not all the same."""
    return any(value != values[0] for value in values)


def minority(names: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """Return the names of those whose values differ from most; all where no majority agrees."""
    alike = [sum(1 for other in values if other == value) for value in values]
    most = max(alike)
    if 2 * most <= len(values):
        return tuple(names)
    return tuple(name for name, n in zip(names, alike, strict=True) if n < most)


def _pages(populated: tuple[int, ...]) -> str:
    """Format how many CPUs hold each page of a unit, as in ``3 pages 2, 13 pages 0``."""
    runs = [(cpus, len(list(pages))) for cpus, pages in groupby(populated)]
    return ", ".join(f"{plural(n, 'page')} {cpus}" for cpus, n in runs)


def _between(entries: tuple[int, ...], start: int, end: int) -> str:
    """Format the map entries between two offsets."""
    ends = accumulate(map(abs, entries))
    inside = [
        f"{size:+}"
        for size, stop in zip(entries, ends, strict=True)
        if stop > start and stop - abs(size) < end
    ]
    return " ".join(inside) or "nothing"
