# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a recording: its operations and its events in one order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from percpu_ffi.errors import TraceError
from percpu_ffi.state import Location
from percpu_ffi.trace import Trace
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


def steps_of(trace: Trace) -> list[Step]:
    """Return the steps of a recording.

    Raises:
        TraceError: it has no allocation, or lacks the places of areas, or whether requests are
            atomic.

    """
    if all(kind >= SPECIAL for _key, _handle, kind in OP.iter_unpack(trace.ops)):
        raise TraceError("the recording has no allocation: there is nothing to predict")
    for lacks, what, names in (
        (trace.places is None, "where the kernel placed its areas", "base_addr= and off="),
        (not trace._data.flags_known, "whether a request was atomic", "is_atomic="),
    ):
        if lacks:
            raise TraceError(
                f"the recording does not have {what} ({names}), without which no choice can be "
                "predicted; record it with `percpu-ffi record`"
            )
    return list(_steps(trace))


def _steps(trace: Trace) -> Iterator[Step]:
    places = trace.places
    assert places
    chunks, offsets = places
    tasks = trace._column("tasks") or trace._unknown("tasks")
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
            live[handle] = Alloc(number, trace.kinds[kind], place, tasks[number])
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
