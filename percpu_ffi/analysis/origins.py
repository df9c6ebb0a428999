# SPDX-License-Identifier: GPL-2.0-only
"""Where allocations come from: the request, the task, the stack, the caller."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import NamedTuple

from percpu_ffi.analysis.callers import Callers, function
from percpu_ffi.analysis.life_columns import split, zeroes
from percpu_ffi.errors import ConfigError, check_type
from percpu_ffi.trace import Kind, Trace
from percpu_ffi.trace.columns import NO_CODE
from percpu_ffi.trace.operations import NO_INDEX

COLUMNS = ("task", "pid", "stack")  # of Trace.columns()


class Origin(NamedTuple):
    """Where some allocations come from."""

    kind: Kind
    """Size, alignment, call site and flags."""
    task: str
    """The name of the task, empty: unknown."""
    pid: int | None
    """Its id, None: unknown."""
    stack: str
    """Frames, a line for each, the innermost first; empty: unknown."""
    caller: str
    """As :class:`~percpu_ffi.analysis.callers.Callers` finds it; empty: unknown or left out."""


def origins(
    trace: Trace,
    operations: Sequence[int],
    helpers: Iterable[str] | None = (),
    columns: Collection[str] = COLUMNS,
) -> tuple[list[Origin], array[int]]:
    """Return the distinct origins of some allocations, and for each allocation its origin's index.

    Args:
        trace: the trace.
        operations: indices of operations that allocate.
        helpers: more helpers, see :class:`~percpu_ffi.analysis.callers.Callers`; None: callers are
            left out.
        columns: those of ``COLUMNS`` to read; what the others have is unknown.

    """
    recorded = trace.columns()
    known = [name for name in COLUMNS if name in columns and name in recorded]
    callers = None if helpers is None else Callers(helpers)
    rows, numbers = array("Q", operations), zeroes("I", len(operations))
    kinds = trace.ops.cast("I")
    n = split(numbers, rows, kinds, stride=4, first=3)
    for name in known:
        n = split(numbers, rows, recorded[name])
    names = recorded.texts("task") if "task" in known else []

    def origin(operation: int) -> Origin:
        request = trace.kinds[kinds[4 * operation + 3]]
        name, pid, stack = (
            recorded[column][operation] if column in known else unknown
            for column, unknown in zip(COLUMNS, (NO_CODE, NO_INDEX, NO_CODE), strict=True)
        )
        frames = "" if stack == NO_CODE else trace.stacks[stack]
        return Origin(
            request,
            "" if name == NO_CODE else names[name],
            None if pid == NO_INDEX else pid,
            frames,
            callers.of(frames, request.site) if callers else "",
        )

    firsts = accumulate(range(n), lambda before, number: numbers.index(number, before))
    return [origin(rows[first]) for first in firsts], numbers


class Selection(NamedTuple):
    """Which allocations are included; an empty sequence includes all."""

    sites: Sequence[str] = ()
    """Call sites, with or without offset; ``*`` and ``?`` match any characters."""
    pids: Sequence[int] = ()
    """Ids of tasks."""
    names: Sequence[str] = ()
    """Names of tasks, likewise."""

    def check(self) -> None:
        """Check the types.

        Raises:
            ConfigError: one is wrong.

        """
        for name, values, kind in (
            ("site", self.sites, str), ("pid", self.pids, int), ("name", self.names, str)
        ):  # fmt: skip
            check_type(f"{name}s", values, Iterable, f"a sequence of {kind.__name__}")
            for value in values:
                check_type(name, value, kind, f"{'an' if kind is int else 'a'} {kind.__name__}")

    def includes(self, origin: Origin) -> bool:
        """Whether allocations of an origin are included."""
        return (
            _matches((origin.kind.site, function(origin.kind.site)), self.sites)
            and (not self.pids or origin.pid in self.pids)
            and _matches((origin.task,), self.names)
        )

    def nothing(self, trace: Trace) -> ConfigError:
        """Return the error for a trace in which no allocation is included."""
        options = (("--site", self.sites), ("--pid", self.pids), ("--name", self.names))
        given = " ".join(f"{name} {','.join(map(str, values))}" for name, values in options
                         if values)  # fmt: skip
        known = {*trace.columns()}
        for column, values, what in (
            ("site", self.sites, "call sites"), ("task", (*self.pids, *self.names), "tasks")
        ):  # fmt: skip
            if values and column not in known:
                return ConfigError(f"{given}: the trace has no {what}")
        what = "task" if self.pids or self.names else "call site"
        return ConfigError(
            f"{given}: no {what} matches an allocation"
            + "; a recorded name has at most 15 bytes" * bool(self.names)
        )


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return not patterns or any(
        name == pattern or fnmatchcase(name, pattern) for pattern in patterns for name in names
    )
