# SPDX-License-Identifier: GPL-2.0-only
"""The result of a replay: a trace run through an allocator."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from percpu_ffi.trace import Op

# operations of a part, after which Ctrl-C is handled: some milliseconds in C
STEP = 1 << 16


def parts(n: int, stops: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Split ``n`` operations at ``stops``, and into parts of at most ``STEP``.

    Yields start and end of each part; one empty part where there are no operations.
    """
    start = 0
    for stop in (*sorted({stop for stop in stops if 0 < stop < n}), n):
        while stop - start > STEP:
            yield start, start + STEP
            start += STEP
        yield start, stop
        start = stop


class Figures(NamedTuple):
    """Figures of a replay after each operation; item 0 is before the first one."""

    pages: array[int]
    """Page frames that the chunks hold."""
    chunks: array[int]
    """Chunks, the first one included."""
    hidden: array[int]
    """Free bytes that no search finds: see :attr:`PerCpu.hidden_bytes`."""

    @classmethod
    def room(cls, n: int) -> Figures:
        """Return columns for ``n`` operations."""
        return cls(*(array("q", [0]) * (n + 1) for _ in cls._fields))


@dataclass(frozen=True)
class Failure:
    """An operation of a trace that failed."""

    index: int
    """Index of the operation in the trace, from 0."""
    op: Op
    """The operation."""
    error: Exception
    """The exception that a single call would have raised."""


@dataclass(frozen=True)
class Replay:
    """What a replay did.  Bytes are those of one CPU's copies, pages those of all CPUs."""

    pointers: array[int]
    """For each operation, the pointer allocated or freed; 0: failed or skipped."""
    failures: tuple[Failure, ...]
    """Operations that failed, in order."""
    elapsed_ns: int
    """Time in the allocator, nanoseconds."""
    live_bytes: int
    """Bytes requested for areas that are live at the end."""
    peak_live_bytes: int
    """The most bytes requested for areas that were live at one time."""
    pages_at_peak: int
    """Page frames that the chunks held then, static ones included; at the start if none were."""
    peak_populated_pages: int
    """The most page frames that the chunks held at one time."""
    populated_pages: int
    """Page frames that the chunks hold at the end."""
    chunks_created: int
    """Chunks created during the run."""
    chunks_destroyed: int
    """Chunks destroyed during the run."""
    chunks: int
    """Chunks at the end, the first one included."""
    peak_chunks: int
    """The most chunks at one time, the first one included."""
    ignored_flags: int = 0
    """Requests whose flags had no effect: the area map has no atomic or reserved requests."""
    hidden_bytes: int = 0
    """Free bytes at the end that no search finds: see :attr:`PerCpu.hidden_bytes`."""
    peak_hidden_bytes: int = 0
    """The most of them after an operation."""
