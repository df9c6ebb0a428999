# SPDX-License-Identifier: GPL-2.0-only
"""The lives of areas in columns, which C fills and counts: see csrc/analysis/lives.h."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi._core import ffi, lib
from percpu_ffi.trace.operations import LOST
from percpu_ffi.trace.rows import range_of

if TYPE_CHECKING:
    from percpu_ffi.trace import Trace

NO_SPAN = 0xFFFFFFFFFFFFFFFF  # PCPU_NO_SPAN
NO_ROW = 0xFFFFFFFF  # PCPU_NO_ROW


class Counts(NamedTuple):
    """How many lives of a group there are: ``struct pcpu_life_counts``."""

    allocs: int
    kept: int
    frees: int
    reallocs: int
    at_peak: int
    known: int
    uncertain: int
    first: int
    last_free: int


class LifeColumns:
    """The lives of all areas, in order of allocation; each column has an item for each area."""

    def __init__(self, trace: Trace) -> None:
        """Find the lives.

        Raises:
            IndexError: operations name handles or kinds that the trace does not have.

        """
        *_, room, _ = range_of(trace.ops)
        self.born, self.died, self.spans = (zeroes("Q", room) for _ in range(3))
        self.kinds = zeroes("I", room)
        self.fates, self.uncertain = bytearray(room), bytearray(room)
        self._lives = lives = ffi.new("struct pcpu_lives *")
        self._kept = [  # as long as C may use them
            pointer("uint64_t[]", self.born), pointer("uint64_t[]", self.died),
            pointer("uint64_t[]", self.spans), pointer("uint32_t[]", self.kinds),
            pointer("uint8_t[]", self.fates), pointer("uint8_t[]", self.uncertain),
        ]  # fmt: skip
        lives.born, lives.died, lives.spans, lives.kinds, lives.fates, lives.uncertain = self._kept
        lives.n = room
        sizes = array("q", (kind.size for kind in trace.kinds))
        current = zeroes("Q", trace.slots)
        if lib.pcpu_lives_find(
            lives, pointer("struct pcpu_op[]", trace.ops), len(trace), pointer("int64_t[]", sizes),
            len(sizes), pointer("uint64_t[]", current), trace.slots,
        ):  # fmt: skip
            raise IndexError
        self.peak: int = lives.peak
        self.peak_bytes: int = lives.peak_bytes[0] | lives.peak_bytes[1] << 64
        self._find_spans(trace)

    def __len__(self) -> int:
        n: int = self._lives.n
        return n

    def count(self, groups: array[int], n: int) -> list[Counts]:
        """Count the lives of each of ``n`` groups.

        Args:
            groups: the group of each life.
            n: how many groups there are.

        """
        counts = zeroes("Q", n * len(Counts._fields))
        lib.pcpu_lives_count(
            self._lives, pointer("uint32_t[]", groups),
            ffi.cast("struct pcpu_life_counts *", pointer("uint64_t[]", counts)),
        )  # fmt: skip
        return list(map(Counts, *[iter(counts)] * len(Counts._fields)))

    def sorted_spans(
        self, groups: array[int], rows: Sequence[int], known: Iterable[int]
    ) -> tuple[Spans, list[int]]:
        """Return the known lifetimes of all rows, row by row, and where each row begins.

        Args:
            groups: the group of each life.
            rows: the row of each group, or ``NO_ROW``.
            known: how many known lifetimes each row has.

        """
        *starts, total = accumulate(known, initial=0)
        found, ends = zeroes("Q", total), array("Q", starts)
        lib.pcpu_lives_sort(
            self._lives, pointer("uint32_t[]", groups), pointer("uint32_t[]", array("I", rows)),
            pointer("uint64_t[]", ends), pointer("uint64_t[]", found),
        )  # fmt: skip
        return Spans(found), starts

    def _find_spans(self, trace: Trace) -> None:
        times = trace.times
        gaps = array("Q", sorted(event.before for event in trace.events if event.kind == LOST))
        clock = ffi.new("struct pcpu_clock *")
        kept = pointer("uint64_t[]", gaps), pointer("uint64_t[]", times) if times else ffi.NULL
        clock.gaps, clock.times = kept
        clock.nr_gaps = len(gaps)
        lib.pcpu_lives_time(self._lives, clock)


class Spans:
    """Lifetimes, unordered."""

    def __init__(self, values: array[int]) -> None:
        """Keep the values."""
        self._values = pointer("uint64_t[]", values)

    def percentile(self, share: int, start: int, n: int) -> int | None:
        """Return the percentile of ``n`` values from ``start`` by nearest rank."""
        if not n:
            return None
        found: int = lib.pcpu_lives_ranked(self._values + start, n, -(-share * n // 100) - 1)
        return found


def split(
    groups: array[int], rows: array[int], column: memoryview, stride: int = 1, first: int = 0
) -> int:
    """Split groups by the values of a column, in place; return their number.

    Args:
        groups: the group of each item; afterwards numbered by first appearance.
        rows: the row of each item in the column.
        column: 32-bit values.
        stride: from one row to the next.
        first: where the first row is.

    Raises:
        MemoryError: the host has no memory.

    """
    n: int = lib.pcpu_lives_split(
        pointer("uint32_t[]", groups), pointer("uint64_t[]", rows), len(groups),
        pointer("uint32_t[]", column) + first, stride,
    )  # fmt: skip
    if n < 0:
        raise MemoryError
    return n


def zeroes(code: str, n: int) -> array[int]:
    """Return an array of zeroes."""
    return array(code, [0]) * n


def pointer(ctype: str, buffer: Any) -> Any:
    """Return a pointer to the items of a buffer, which it keeps alive."""
    return ffi.from_buffer(ctype, buffer)
