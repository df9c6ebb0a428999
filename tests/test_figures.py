# SPDX-License-Identifier: GPL-2.0-only
"""Figures about traces, compared with those of a slow and simple computation.

An allocator runs the trace one operation at a time, and its state is taken after each.  The
figures of ``report``, ``compare``, ``who`` and ``sizes`` must agree with these states.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from percpu_ffi import Allocator, Location, PercpuError, State, Trace
from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.keys import Figures
from percpu_ffi.analysis.outcome import Outcome
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Timeline
from percpu_ffi.analysis.totals import by_site, by_size, chunk_users

pytestmark = pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")

ALLOC = st.tuples(
    st.just("alloc"),
    st.integers(0, 24),
    st.sampled_from([1024, 900, 500, 100, 64, 60, 8, 4, 3, 0]),
    st.sampled_from([4, 4, 8, 8, 64, 3]),
)
FREE = st.tuples(st.just("free"), st.integers(0, 24))
FAULT = st.tuples(
    st.just("inject"), st.sampled_from(["kmalloc", "alloc_page", "map"]), st.just({"nth": 1})
)
SETUPS = st.fixed_dictionaries(
    {
        "cpus": st.integers(1, 3),
        "first_chunk": st.sampled_from(["4k", "embed", "remap"]),
        "static_size": st.sampled_from([4, 64, 100]),
        "page_size": st.just(64),  # units of 1 KiB, so every edge is near
        "quirks": st.sampled_from([(), ("rollback",)]),
    },
    optional={"page_limit": st.sampled_from([60, 100, 200])},
)


class Area(NamedTuple):
    """A live area."""

    born: int
    size: int
    align: int
    site: str
    ptr: int
    place: Location | None


@st.composite
def recordings(draw: st.DrawFn) -> Trace:
    """Traces with failures, faults, orphans and lost frees; some with times."""
    n = draw(st.integers(1, 60))
    op = st.one_of(ALLOC, ALLOC, ALLOC, FREE, FREE, FAULT)
    ops = draw(st.lists(op, min_size=n, max_size=n))
    moment = st.one_of(st.integers(10**9, 10**9 + 50), st.just((1 << 64) - 1))
    times = draw(st.one_of(st.none(), st.lists(moment, min_size=n, max_size=n)))
    trace = Trace.from_ops(ops, times=times)
    trace.kinds[:] = [k._replace(site="fg"[i % 2]) for i, k in enumerate(trace.kinds)]
    return trace


def site_of(trace: Trace, size: int, align: int) -> str:
    (site,) = {kind.site for kind in trace.kinds if (kind.size, kind.align) == (size, align)}
    return site


class Slow:
    """The states before the first operation and after each."""

    def __init__(self, trace: Trace, setup: dict[str, Any]) -> None:
        self.states: list[State] = []
        self.held: list[dict[Any, Area]] = []
        self.dead: list[tuple[Area, int]] = []  # with the operation that ended it
        self.failed: list[int] = []
        held: dict[Any, Area] = {}
        op: Any
        with Allocator(**setup, memory="none") as a:
            self.see(a, held)
            for index, op in enumerate(trace):
                if op[0] == "inject":
                    a.inject(op[1], **op[2])
                    self.see(a, held)
                    continue
                if op[1] in held:
                    area = held.pop(op[1])
                    a.free(area.ptr)
                    self.dead.append((area, index))
                if op[0] == "alloc":
                    _, key, size, align = op[:4]
                    try:
                        ptr = a.alloc(size, align)
                    except PercpuError:
                        self.failed.append(index)
                    else:
                        site, place = site_of(trace, size, align), a.locate(ptr)
                        held[key] = Area(index, size, align, site, ptr, place)
                self.see(a, held)
            self.cpus, self.page_size, self.static = a.cpus, a.page_size, a.static_size
            self.work = a.work()
        self.live = [sum(area.size for area in held.values()) for held in self.held]
        self.pages = [sum(sum(c.populated) for c in state.chunks) for state in self.states]
        self.chunks = [len(state.chunks) for state in self.states]
        self.stranded = [
            Fraction(pages * self.page_size, self.cpus) - self.static - live
            for pages, live in zip(self.pages, self.live, strict=True)
        ]
        self.peak = self.live.index(max(self.live))
        self.worst = self.stranded.index(max(self.stranded))

    def see(self, allocator: Allocator, held: dict[Any, Area]) -> None:
        self.states.append(allocator.state())
        self.held.append(dict(held))

    def shown(self, done: int) -> set[tuple[Any, ...]]:
        """Return the content of a picture of the chunks: chunk, start, end, kind; single pages."""
        areas = {area.place: area for area in self.held[done].values()}
        found: set[tuple[Any, ...]] = set()
        for chunk in self.states[done].chunks:
            offset = 0
            for size in chunk.map or (-self.static, chunk.free_size):
                if size < 0:
                    area = areas.pop(Location(chunk.id, offset), None)
                    what = (area.born, area.size) if area else STATIC
                    found.add((chunk.id, offset, offset - size, what))
                offset += abs(size)
            found.add((chunk.id, 0, offset, FREE_SPACE))
            for page, cpus in enumerate(chunk.populated):
                if cpus:
                    found.add((chunk.id, page * self.page_size, PAGES))
        assert not areas
        return found


def drawn(timeline: Timeline, moment: int) -> set[tuple[Any, ...]]:
    """Return the same for a timeline."""
    found: set[tuple[Any, ...]] = set()
    for patch in timeline.patches_at(moment):
        if patch.kind == PAGES:
            pages = range(patch.start, patch.end, timeline.page_size)
            found |= {(patch.chunk, page, PAGES) for page in pages}
        else:
            size = timeline.trace.kinds[patch.kind].size if patch.kind >= 0 else 0
            what = (patch.born, size) if patch.kind >= 0 else patch.kind
            found.add((patch.chunk, patch.start, patch.end, what))
    return found


few = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def small_enough(trace: Trace, setup: dict[str, Any]) -> Slow | None:
    """Run the trace; return None if there are too few pages for the first chunk."""
    try:
        return Slow(trace, setup)
    except PercpuError:
        return None


@few
@given(recordings(), SETUPS, st.sampled_from([0, 40, 10_000]))
def test_report_agrees_with_the_states(
    trace: Trace, setup: dict[str, Any], most_patches: int
) -> None:
    slow = small_enough(trace, setup)
    if slow is None:
        return
    found = collect(trace, setup, most_patches=most_patches)
    assert list(found.curves.live) == slow.live
    assert list(found.curves.pages) == slow.pages
    assert list(found.curves.chunks) == slow.chunks
    assert [failure.index for failure in found.result.failures] == slow.failed
    assert (found.peak, found.worst) == (slow.peak, slow.worst)
    assert [found.stranded(done) for done in range(len(slow.live))] == slow.stranded
    assert {0, slow.peak, slow.worst, len(trace)} <= {moment.done for moment in found.moments}

    for number, moment in enumerate(found.moments):
        assert drawn(found, number) == slow.shown(moment.done)
        chunks = slow.states[moment.done].chunks
        ranges = [size for c in chunks for size in c.map or (c.free_size,) if size > 0]
        actual = moment.free_ranges, moment.largest_free
        assert actual == (len(ranges), max(ranges, default=0))

        held = slow.held[moment.done].values()
        pairs = {(area.place.chunk, area.site) for area in held if area.place}
        sites = Counter(site for _, site in pairs)
        owners = Counter(chunk for chunk, _ in pairs)
        for row in chunk_users(found, found.patches_at(number)):
            assert row.areas == sum(area.site == row.name for area in held)
            assert row.chunks == sites.pop(row.name)
            assert row.alone == sum(
                site == row.name and chunk > 0 and owners[chunk] == 1 for chunk, site in pairs
            )
        assert not sites

    everyone = [area for area, _ in slow.dead] + list(slow.held[-1].values())
    for rows in (by_site(found), by_size(found)):
        assert sum(row.allocs for row in rows) == len(everyone)
        assert sum(row.bytes for row in rows) == sum(area.size for area in everyone)
    for own in by_site(found):
        for told_bytes, at in ((own.at_peak, slow.peak), (own.left, len(trace))):
            sizes_held = [a.size for a in slow.held[at].values() if a.site == own.name]
            assert told_bytes == sum(sizes_held)


@few
@given(recordings(), SETUPS)
def test_compare_agrees_with_the_states(trace: Trace, setup: dict[str, Any]) -> None:
    slow = small_enough(trace, setup)
    if slow is None:
        return
    (found,) = compare(trace, [setup])
    assert isinstance(found, Outcome)
    peak = slow.peak
    assert (found.live_bytes, found.peak_live_bytes) == (slow.live[-1], slow.live[peak])
    assert (found.pages, found.pages_at_peak) == (slow.pages[-1], slow.pages[peak])
    assert (found.peak_pages, found.peak_chunks) == (max(slow.pages), max(slow.chunks))
    assert found.chunks_created - found.chunks_destroyed + 1 == slow.chunks[-1] == found.chunks
    assert found.failures == len(slow.failed)
    assert found.stranded == max(slow.stranded[-1] * slow.cpus, 0)
    assert found.stranded_at_peak == max(slow.stranded[peak] * slow.cpus, 0)
    assert found.work == slow.work


def lowest_that_covers(values: list[int], share: int) -> int | None:
    """Return a percentile by nearest rank."""
    values = sorted(values)
    return next(
        (v for v in values if 100 * sum(w <= v for w in values) >= share * len(values)), None
    )


@few
@given(recordings())
def test_who_and_sizes_agree_with_the_trace(trace: Trace) -> None:
    held: dict[Any, Area] = {}
    ended: list[tuple[Area, int, str]] = []
    live: list[int] = []
    op: Any
    for index, op in enumerate(trace):
        if op[0] != "inject" and op[1] in held:
            ended.append((held.pop(op[1]), index, op[0]))
        if op[0] == "alloc":
            _, key, size, align = op[:4]
            held[key] = Area(index, size, align, site_of(trace, size, align), 0, None)
        live.append(sum(area.size for area in held.values()))
    everyone = [*ended, *((area, len(trace), "") for area in held.values())]
    peak = live.index(max(live)) if everyone else -1
    while everyone and not any(area.born == peak for area, _, _ in everyone):
        peak += 1  # nothing but areas of 0 bytes: the first of these
    at_peak = [area for area, end, _ in everyone if area.born <= peak < end]
    times = trace.times or range(len(trace))

    def check(actual: Figures, name: str) -> None:
        own = [(area, end, how) for area, end, how in everyone if area.site in name]
        assert actual.allocs == len(own)
        assert actual.bytes == sum(area.size for area, _, _ in own)
        assert actual.peak_areas == sum(area.site in name for area in at_peak)
        assert actual.peak_bytes == sum(area.size for area in at_peak if area.site in name)
        assert actual.end_bytes == sum(area.size for area in held.values() if area.site in name)
        ends = Counter(how for _, _, how in own)
        assert (actual.never_freed, actual.frees, actual.reallocs) == (
            ends[""], ends["free"], ends["alloc"]
        )  # fmt: skip
        spans = [
            times[end] - times[area.born]
            for area, end, how in own
            if how == "free" and (1 << 64) - 1 not in (times[end], times[area.born])
        ]
        spans = [span for span in spans if span >= 0]
        assert actual.life_unknown == ends["free"] - len(spans)
        assert actual.life_p50 == lowest_that_covers(spans, 50)
        assert actual.life_p99 == lowest_that_covers(spans, 99)

    found = who(trace)
    assert found.peak.operation == peak
    for row in found.rows:
        check(row.figures, str(row.key[0]))
    if found.all:
        check(found.all, "fg")

    requested = Counter((area.size, area.align, "") for area, _, _ in everyone)
    peak_sizes = Counter((area.size, area.align, "") for area in at_peak)
    actual = sizes(trace)
    assert (actual.allocated, +actual.at_peak) == (requested, peak_sizes)
    for bucket in actual.histogram():
        inside = range(bucket.from_size, bucket.to_size + 1)
        assert bucket.allocs == sum(n for (size, *_), n in requested.items() if size in inside)
        assert bucket.peak_areas == sum(n for (size, *_), n in peak_sizes.items() if size in inside)
    assert sum(bucket.allocs for bucket in actual.histogram()) == len(everyone)
