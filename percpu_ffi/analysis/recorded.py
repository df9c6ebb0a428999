# SPDX-License-Identifier: GPL-2.0-only
r"""What a recorded kernel itself did over time, from the places that it printed.

No allocator of ours takes part.  What a recording does not have is not shown: populated pages, the
free space, and areas that are older than it, except where their frees tell that they were there.

::

    |....|aa|..??....|bbb|.......|    ??: an older area, of unknown size, until its free
     \______/        \___/           pages with recorded areas
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from percpu_ffi.analysis.moments import (
    MOMENTS,
    MOST_PATCHES,
    Stays,
    choose_moments,
    drop_moments,
    live_bytes,
)
from percpu_ffi.analysis.timeline import (
    FREE_SPACE,
    NOT_BORN,
    OLD_AREA,
    OLD_CHUNK,
    PAGES,
    Curves,
    Lives,
    Moment,
    Patch,
    Timeline,
)
from percpu_ffi.config import GRANULE, MAX_PAGE_SIZE, MAX_UNIT_SIZE, MIN_BITMAP_PAGE
from percpu_ffi.errors import ConfigError, TraceError
from percpu_ffi.replay import STEP
from percpu_ffi.trace.steps import Alloc, Created, Destroyed, Free, Work, steps

if TYPE_CHECKING:
    from percpu_ffi.geometry import Geometry
    from percpu_ffi.trace import Trace

PAGE_SIZE = 4096  # if the recording does not have it
UNCERTAIN = {"damaged", "masked", "torn", "cut", "binary"}  # skipped lines that may be events


@dataclass(kw_only=True)
class KernelTimeline(Timeline):
    """The history of a recorded kernel; ``curves.pages`` are those with recorded areas."""

    possible_cpus: int | None
    """Of the geometry; None: it does not have them."""
    unit_is_known: bool
    """Whether the unit size is that of the machine; else it is the next power of two above all
    recorded areas."""
    runs: array[int] | None
    """Runs of the background work after each operation; None: the recording has none."""


def read_history(
    trace: Trace,
    geometry: Geometry | None = None,
    progress: Callable[[int], object] | None = None,
    moments: int = MOMENTS,
    most_patches: int = MOST_PATCHES,
) -> KernelTimeline:
    """Make the timeline of a recorded kernel.

    Args:
        trace: the recording.
        geometry: that of the recorded machine; None: it is not known.
        progress: called with the number of operations done since its last call.
        moments: the number of moments; the peak is added.
        most_patches: if there are more, every second moment is dropped, again and again.

    Raises:
        TraceError: the recording does not have the places of its areas, or impossible ones.
        ConfigError: the geometry is impossible, or not that of the recorded kernel.

    """
    if trace.places is None:
        raise TraceError(
            "the recording does not have where the kernel placed its areas (base_addr= and off=), "
            "so what the kernel did is not known; record it with `percpu-ffi record`, or replay it "
            "without --as kernel"
        )
    page_size = _page_size(geometry)
    history = _History(trace, page_size, progress)
    timeline = KernelTimeline(
        trace=trace,
        cpus=1,  # pages are counted in one CPU's units
        page_size=page_size,
        unit_size=_unit_size(history.extent, geometry, page_size),
        static_size=0,
        curves=history.curves(),
        lives=history.lives,
        kept=frozenset(history.old),
        possible_cpus=geometry.cpus if geometry else None,
        unit_is_known=geometry is not None,
        runs=history.curve(history.runs) if history.runs else None,
    )
    special = {0, timeline.peak, len(trace)}
    stays = Stays(timeline)
    stops = sorted(choose_moments(timeline, moments, special))
    for done, pages in zip(stops, history.pages_at(stops), strict=True):
        stays.take(Moment(done), pages)
    stays.end()
    for patch, first, last in (*history.spans, *history.chunk_spans(timeline.unit_size)):
        stay = bisect_left(stops, first), bisect_right(stops, last) - 1
        if stay[0] <= stay[1]:
            timeline.patches.setdefault(patch, []).append(stay)
    drop_moments(timeline, most_patches, special)
    return timeline


def _page_size(geometry: Geometry | None) -> int:
    if geometry is None or geometry.page_size is None:
        return PAGE_SIZE
    size = geometry.page_size
    if not MIN_BITMAP_PAGE <= size <= MAX_PAGE_SIZE or size.bit_count() != 1:
        raise ConfigError(
            f"page of {size:,} bytes: a power of two from {MIN_BITMAP_PAGE} to {MAX_PAGE_SIZE:,} "
            "is needed; give another geometry with --like FILE"
        )
    return size


def _unit_size(extent: int, geometry: Geometry | None, page_size: int) -> int:
    if geometry is None:
        return max(1 << (extent - 1).bit_length(), page_size)
    if geometry.unit_size > MAX_UNIT_SIZE:
        raise ConfigError(
            f"unit of {geometry.unit_size:,} bytes: at most {MAX_UNIT_SIZE:,} are possible; give "
            "another geometry with --like FILE"
        )
    if extent > geometry.unit_size:
        raise ConfigError(
            f"unit of {geometry.unit_size:,} bytes: the recording has an area that ends at offset "
            f"{extent:,}, so this is not the geometry of the recorded machine; give its boot line "
            "or a dump of percpu_stats with --like FILE"
        )
    return geometry.unit_size


class _History:
    """The steps of a recording, read once.

    A *span* is a patch with the first and the last number of operations done at which it is there.
    Events that come after an operation belong to the number of those done by then.
    """

    def __init__(
        self, trace: Trace, page_size: int, progress: Callable[[int], object] | None
    ) -> None:
        self.trace = trace
        self.page_size = page_size
        self.done = 0
        self.lives = Lives.none()
        self.spans: list[tuple[Patch, int, int]] = []
        """Of areas."""
        self.chunks: dict[int, tuple[int, int]] = {}
        """For each chunk the first and the last number of operations done at which it is known."""
        self.old: set[int] = set()
        """Chunks that the recording does not create."""
        self.extent = 0
        """Bytes up to the end of the highest area in a unit."""
        self.runs: Counter[int] = Counter()
        """How many runs of background work begin, by operations done."""
        self._live: dict[int, Patch] = {}  # by operation
        self._in_chunk: defaultdict[int, dict[int, Patch]] = defaultdict(dict)  # the same
        self._areas: Counter[tuple[int, int]] = Counter()  # on a chunk's page
        self._touches: list[tuple[int, int, int, int]] = []  # done, chunk, page, +1 or -1
        self._complete = not (
            trace.stats.lost or UNCERTAIN & {skipped.kind for skipped in trace.skipped}
        )
        self._most_chunks = len(trace) + len(trace.events)
        self._kinds = trace.ops.cast("I")[3::4].tolist()
        self._read(progress)

    def _read(self, progress: Callable[[int], object] | None) -> None:
        told = 0
        for step in steps(self.trace):
            if isinstance(step, Alloc):
                self.done = step.number + 1
                self._alloc(step)
            elif isinstance(step, Free):
                self.done = step.number + 1
                self._free(step)
            elif isinstance(step, Created):
                self.chunks[step.chunk] = self.done, len(self.trace)
            elif isinstance(step, Destroyed):
                self._destroy(step.chunk)
            elif isinstance(step, Work):
                self.runs[self.done] += step.begins
            if progress and self.done - told >= STEP:
                progress(self.done - told)
                told = self.done
        self.done = len(self.trace)
        if progress:
            progress(self.done - told)
        for patch in self._live.values():
            self._add_life(patch, self.done)

    def _alloc(self, step: Alloc) -> None:
        size = max(-(-step.kind.size // GRANULE), 1) * GRANULE
        chunk, start = step.place
        self._mention(chunk, start + size)
        patch = Patch(chunk, start, start + size, self._kinds[step.number], step.number)
        self._live[step.number] = patch
        self._in_chunk[chunk][step.number] = patch
        self._touch(patch, 1)

    def _free(self, step: Free) -> None:
        chunk, start = step.place
        self._mention(chunk, start + GRANULE)
        if step.area in self._live:
            self._end(self._live[step.area], step.number)
        elif step.area is None and chunk in self.old and self._complete:
            patch = Patch(chunk, start, start + GRANULE, OLD_AREA, NOT_BORN)
            self.spans.append((patch, self.chunks[chunk][0], step.number))

    def _mention(self, chunk: int, end: int) -> None:
        """Note a chunk in which something ends at ``end``."""
        if end > MAX_UNIT_SIZE:
            raise TraceError(
                f"the recording has an area that ends at offset {end:,} of a unit; no kernel has "
                f"units of more than {MAX_UNIT_SIZE:,} bytes"
            )
        if chunk >= self._most_chunks:
            raise TraceError(
                f"the recording has an area in chunk {chunk:,}, but chunks are numbered by their "
                f"first appearance, and it has {self._most_chunks:,} operations and events"
            )
        self.extent = max(self.extent, end)
        if chunk not in self.chunks:
            self.chunks[chunk] = self.done, len(self.trace)
            self.old.add(chunk)

    def _destroy(self, chunk: int) -> None:
        """End a chunk, and areas in it whose frees the recording lacks."""
        if chunk in self.chunks:
            self.chunks[chunk] = self.chunks[chunk][0], self.done - 1
        for patch in [*self._in_chunk[chunk].values()]:
            self._end(patch, self.done - 1)

    def _end(self, area: Patch, died: int) -> None:
        del self._live[area.born]
        del self._in_chunk[area.chunk][area.born]
        self._add_life(area, died)
        self._touch(area, -1)

    def _add_life(self, area: Patch, died: int) -> None:
        self.spans.append((area, area.born + 1, died))
        self.lives.add(area.kind, area.born, died)

    def _touch(self, area: Patch, by: int) -> None:
        """Count an area on its pages, or no longer."""
        for number in range(area.start // self.page_size, -(-area.end // self.page_size)):
            page = area.chunk, number
            self._areas[page] += by
            if self._areas[page] == max(by, 0):  # the first, or none is left
                self._touches.append((self.done, *page, by))

    def curve(self, changes: Counter[int]) -> array[int]:
        """Return a figure after each operation from its changes."""
        return array("q", accumulate(changes[done] for done in range(len(self.trace) + 1)))

    def curves(self) -> Curves:
        """Return live bytes, pages with recorded areas and known chunks."""
        pages: Counter[int] = Counter()
        for done, _chunk, _page, by in self._touches:
            pages[done] += by
        chunks: Counter[int] = Counter()
        for first, last in self.chunks.values():
            chunks[first] += 1
            chunks[last + 1] -= 1
        live = live_bytes(self.trace, self.lives)
        return Curves(live, self.curve(pages), self.curve(chunks))

    def chunk_spans(self, unit_size: int) -> Iterator[tuple[Patch, int, int]]:
        """Yield the spans of chunks."""
        for chunk, (first, last) in self.chunks.items():
            for kind in (FREE_SPACE, OLD_CHUNK)[: 1 + (chunk in self.old)]:
                yield Patch(chunk, 0, unit_size, kind, NOT_BORN), first, last

    def pages_at(self, stops: list[int]) -> Iterator[list[Patch]]:
        """Yield the runs of pages with recorded areas at each of some numbers of operations."""
        held: set[tuple[int, int]] = set()
        at = 0
        for stop in stops:
            while at < len(self._touches) and self._touches[at][0] <= stop:
                _done, chunk, page, by = self._touches[at]
                (held.add if by == 1 else held.discard)((chunk, page))
                at += 1
            yield [*self._page_runs(sorted(held))]

    def _page_runs(self, pages: list[tuple[int, int]]) -> Iterator[Patch]:
        at = 0
        while at < len(pages):
            chunk, first = pages[at]
            start = at
            while at < len(pages) and pages[at] == (chunk, first + at - start):
                at += 1
            ends = first * self.page_size, (first + at - start) * self.page_size
            yield Patch(chunk, *ends, PAGES, NOT_BORN)
