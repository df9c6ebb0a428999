# SPDX-License-Identifier: GPL-2.0-only
"""The chunks of a policy of the user: live areas and populated pages, and what is allowed.

Each rule has its check here.  The first one that a policy breaks stays noted, so that a policy
that catches the error does not go on.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from percpu_ffi.config import Config
from percpu_ffi.errors import PolicyError, shown

FIRST = 0  # number of the first chunk
MOST_CHUNKS = 1 << 20  # at one time: a policy in an endless loop ends before the host's memory


class Units(NamedTuple):
    """The geometry that a policy gets; sizes in bytes."""

    cpus: int
    page_size: int
    unit_size: int
    static_size: int

    @classmethod
    def of(
        cls,
        cpus: int = 4,
        page_size: int | None = None,
        unit_size: int = 0,
        static_size: int = 8192,
    ) -> Units:
        """Check the sizes, with the meanings and defaults that they have in an allocator.

        A unit has at least a page; 0 is the automatic size of the 2009 file's ``4k`` set-up.

        Raises:
            ConfigError: a size is out of range, or the static area does not fit into a unit.

        """
        config = Config(
            cpus=cpus,
            page_size=page_size,
            unit_size=unit_size,
            static_size=static_size,
            memory="none",
        )
        page, static = config.page_size, config.static_size
        unit = config.unit_size or max(-(-static // page) * page, config.max_size)
        if static > unit:
            raise config.misfit()
        return cls(config.cpus, page, unit, static)


@dataclass
class Tally:
    """What the policy did in calls of one kind."""

    calls: int = 0
    steps: int = 0
    """As the policy reports them."""
    populated: int = 0
    """Pages of a unit."""
    depopulated: int = 0


class Chunk:
    """A chunk: what is live and what is populated in each of its units."""

    def __init__(self, pages: int) -> None:
        self.starts: list[int] = []  # of live areas, sorted
        self.ends: dict[int, int] = {}  # by start
        self.populated = bytearray(pages)  # 1: the page is

    def live_from(self, offset: int, end: int) -> int | None:
        """Return the start of the first live area in a range of bytes; None: there is none."""
        at = bisect_right(self.starts, offset)
        if at and self.ends[self.starts[at - 1]] > offset:
            return self.starts[at - 1]
        return self.starts[at] if at < len(self.starts) and self.starts[at] < end else None


class Chunks:
    """All chunks of a policy.  Methods that the policy calls raise PolicyError."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self.pages_of_unit = units.unit_size // units.page_size
        self.chunks: dict[int, Chunk] = {}  # by number
        self.broken: PolicyError | None = None  # the first rule that the policy broke
        self.created = -1  # number of the last chunk, so that the first one does not count
        self.destroyed = self.most_chunks = 0
        self.pages = self.most_pages = 0  # of one CPU's units
        self.tally = Tally()  # of the call that runs
        self.create()
        self.populate(FIRST, self.pages_at(0, units.static_size))
        self.take((FIRST, 0), units.static_size, 1)
        self.tally = Tally()

    def pages_at(self, offset: int, size: int) -> range:
        """Return the pages that a range of bytes touches."""
        page = self.units.page_size
        return range(offset // page, -(-(offset + size) // page))

    # --- calls of the policy

    def create(self) -> int:
        """Make a chunk; return its number."""
        if len(self.chunks) >= MOST_CHUNKS:
            self._break(f"called create_chunk(): {MOST_CHUNKS:,} chunks at a time are the most")
        self.created += 1
        self.chunks[self.created] = Chunk(self.pages_of_unit)
        self.most_chunks = max(self.most_chunks, len(self.chunks))
        return self.created

    def destroy(self, number: Any) -> None:
        """Destroy a chunk and its pages."""
        call = f"called destroy_chunk({shown(number)})"
        number, chunk = self._chunk(call, number)
        if number == FIRST:
            self._break(f"{call}: the first chunk is never destroyed")
        if chunk.starts:
            self._break(
                f"{call}: {self._area(number, chunk.starts[0])} is live in it; only a chunk "
                "without live areas may be destroyed"
            )
        self._take_away(chunk, 0, self.pages_of_unit)
        del self.chunks[number]
        self.destroyed += 1

    def populate(self, number: Any, pages: Any) -> None:
        """Take page frames for pages of a chunk; those that have one keep it."""
        call = f"called populate({shown(number)}, {shown(pages)})"
        _, chunk = self._chunk(call, number)
        start, end = self._pages(call, pages)
        missing = chunk.populated.count(0, start, end)
        chunk.populated[start:end] = b"\1" * (end - start)
        self.pages += missing
        self.most_pages = max(self.most_pages, self.pages)
        self.tally.populated += missing

    def depopulate(self, number: Any, pages: Any) -> None:
        """Release the page frames of pages; those without one stay as they are."""
        call = f"called depopulate({shown(number)}, {shown(pages)})"
        number, chunk = self._chunk(call, number)
        start, end = self._pages(call, pages)
        page = self.units.page_size
        if start < end and (live := chunk.live_from(start * page, end * page)) is not None:
            self._break(
                f"{call}: {self._area(number, live)} is live there; only pages without live "
                "areas may be depopulated"
            )
        self._take_away(chunk, start, end)

    def step(self, count: Any) -> None:
        """Count steps."""
        number = _integer(count)
        if number is None or number < 0:
            self._break(f"called step({shown(count)}): a number of steps from 0 is needed")
        self.tally.steps += number

    # --- what the policy returns and gets

    def take(self, place: Any, size: int, align: int) -> tuple[int, int]:
        """Check the place that the policy chose for an area, and make the area live."""
        call = f"returned {shown(place)}"
        if not isinstance(place, tuple) or len(place) != 2:
            self._break(f"{call}: a tuple of two integers is needed, (chunk, offset)")
        number, chunk = self._chunk(call, place[0])
        offset = _integer(place[1])
        unit = self.units.unit_size
        if offset is None or not 0 <= offset <= unit - size:
            self._break(
                f"{call}: the offset of an area of {size} bytes in a unit of {unit} is an integer "
                f"from 0 to {unit - size}"
            )
        end = offset + size
        if offset % align:
            self._break(f"{call}: the offset has to be a multiple of the alignment, {align}")
        if (live := chunk.live_from(offset, end)) is not None:
            self._break(f"{call}: {self._area(number, live)} is live there; areas must not overlap")
        pages = self.pages_at(offset, size)
        if (page := chunk.populated.find(0, pages.start, pages.stop)) >= 0:
            self._break(
                f"{call}: page {page} of the chunk is not populated; populate the pages of an area "
                "before it is returned"
            )
        insort(chunk.starts, offset)
        chunk.ends[offset] = end
        return number, offset

    def release(self, number: int, offset: int) -> None:
        """End the life of an area."""
        chunk = self.chunks[number]
        del chunk.starts[bisect_left(chunk.starts, offset)]
        del chunk.ends[offset]

    # --- checks

    def _chunk(self, call: str, number: Any) -> tuple[int, Chunk]:
        found = _integer(number)
        if found in self.chunks:
            return found, self.chunks[found]
        if found in range(self.created + 1):
            self._break(f"{call}: chunk {found} was destroyed")
        return self._break(
            f"{call}: the chunk is 0, the first one, or the number that create_chunk() returned, "
            f"so far up to {self.created}"
        )

    def _pages(self, call: str, pages: Any) -> tuple[int, int]:
        if not isinstance(pages, range) or not (
            pages.step == 1 and 0 <= pages.start <= pages.stop <= self.pages_of_unit
        ):
            self._break(
                f"{call}: the pages are a range(first, end) of integers from 0 to "
                f"{self.pages_of_unit}, the pages of a unit"
            )
        return pages.start, pages.stop

    def _area(self, number: int, start: int) -> str:
        if (number, start) == (FIRST, 0):
            return "the static area"
        return f"the area of {self.chunks[number].ends[start] - start} bytes at {start}"

    def _break(self, what: str) -> NoReturn:
        self.broken = self.broken or PolicyError(what)
        raise self.broken

    def _take_away(self, chunk: Chunk, start: int, end: int) -> None:
        held = chunk.populated.count(1, start, end)
        chunk.populated[start:end] = bytes(end - start)
        self.pages -= held
        self.tally.depopulated += held


def _integer(value: Any) -> int | None:
    """Return an integer of any type, which a boolean is not; None: it is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except Exception:
        return None
