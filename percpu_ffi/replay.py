# SPDX-License-Identifier: GPL-2.0-only
"""What running a trace through an allocator gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator

    from percpu_ffi.trace import Op

__all__ = ["STEP", "Failure", "Replay", "parts"]

# operations between two looks at the world: some milliseconds in C
STEP = 1 << 16


def parts(n: int, stops: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Cut ``n`` operations at ``stops``, and where a part has more than ``STEP``.

    Gives the first operation of each part and the one behind its last; one empty part where
    there are no operations.
    """
    start = 0
    for stop in (*sorted({stop for stop in stops if 0 < stop < n}), n):
        while stop - start > STEP:
            yield start, start + STEP
            start += STEP
        yield start, stop
        start = stop


@dataclass(frozen=True)
class Failure:
    """An operation of a trace that failed."""

    index: int
    """Which operation of the trace, from 0."""
    op: Op
    """The operation itself."""
    error: Exception
    """What a single call would have raised."""


@dataclass(frozen=True)
class Replay:
    """What a replay did.  Bytes are those of one CPU's copy, pages those of all CPUs."""

    pointers: array[int]
    """For each operation, the pointer that was got or given back; 0: failed or skipped."""
    failures: tuple[Failure, ...]
    """Operations that failed, in order."""
    elapsed_ns: int
    """Time in the allocator, nanoseconds."""
    live_bytes: int
    """Bytes asked for by areas that still live."""
    peak_live_bytes: int
    """The most bytes asked for by areas that lived at one time."""
    pages_at_peak: int
    """Page frames that the chunks held then, static ones included; without any, at the start."""
    peak_populated_pages: int
    """The most page frames that the chunks held at one time."""
    populated_pages: int
    """Page frames that they hold at the end."""
    chunks_created: int
    """Chunks made during the run."""
    chunks_destroyed: int
    """Chunks given back during the run."""
    chunks: int
    """Chunks at the end, the first one included."""
    peak_chunks: int
    """The most chunks at one time, the first one included."""
