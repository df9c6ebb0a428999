# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a recording: its operations and its events in one order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from percpu_ffi.errors import TraceError
from percpu_ffi.state import Location
from percpu_ffi.trace.operations import (
    CREATED,
    DESTROYED,
    FAILED,
    FREE,
    NO_PLACE,
    OP,
    SPECIAL,
    WORK_ENDED,
    WORK_STARTED,
    Kind,
)
from percpu_ffi.trace.trace import Trace


class Alloc(NamedTuple):
    """An allocation."""

    number: int
    """Index of the operation, and the name of the area."""
    kind: Kind
    """The request."""
    place: Location
    """The kernel's chunk, by its number in the recording, and the offset."""
    task: int
    """The task that made the call."""


class Free(NamedTuple):
    """A free."""

    number: int
    """Index of the operation."""
    area: int | None
    """The number of its allocation; None: the recording does not have it."""
    place: Location
    """Where it is."""
    task: int
    """The task that made the call."""


class Failed(NamedTuple):
    """An allocation that found no place."""

    kind: Kind
    """The request."""


class Created(NamedTuple):
    """A chunk was created."""

    chunk: int
    """Its number in the recording."""


class Destroyed(NamedTuple):
    """A chunk was destroyed."""

    chunk: int
    """Its number in the recording."""


class Work(NamedTuple):
    """A run of the background work begins, or ends."""

    begins: bool
    """Which of both."""


Step = Alloc | Free | Failed | Created | Destroyed | Work


def steps(trace: Trace) -> Iterator[Step]:
    """Yield the steps of a recording that has :attr:`percpu_ffi.Trace.places`.

    Raises:
        TraceError: the line of an operation has no place.

    """
    assert trace.places
    chunks, offsets = trace.places
    tasks, kinds = trace._column("tasks") or trace._unknown("tasks"), trace.kinds
    events = iter(trace.events)
    event = next(events, None)
    live: dict[int, Alloc] = {}  # by handle, which stands for another area later
    for number, (_key, handle, kind) in enumerate(OP.iter_unpack(trace.ops)):
        while event and event.before <= number:
            yield from _event(trace, event.kind, event.value)
            event = next(events, None)
        if kind >= SPECIAL and kind != FREE:
            continue
        place = Location(chunks[number], offsets[number])
        if NO_PLACE in place:
            raise TraceError(
                f"operation {number}, {trace[number]}: its line has no place of the area "
                "(base_addr= and off=)"
            )
        old = live.pop(handle, None)
        if kind == FREE:
            yield Free(number, old.number if old else None, place, tasks[number])
        else:
            if old:  # its free was lost
                yield Free(number, old.number, old.place, tasks[number])
            live[handle] = Alloc(number, kinds[kind], place, tasks[number])
            yield live[handle]
    while event:
        yield from _event(trace, event.kind, event.value)
        event = next(events, None)


def _event(trace: Trace, kind: int, value: int) -> Iterator[Step]:
    if kind == FAILED:
        yield Failed(trace.kinds[value])
    elif kind == CREATED:
        yield Created(value)
    elif kind == DESTROYED:
        yield Destroyed(value)
    elif kind in (WORK_STARTED, WORK_ENDED):
        yield Work(kind == WORK_STARTED)
