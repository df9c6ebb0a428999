# SPDX-License-Identifier: GPL-2.0-only
"""What a timeline keeps of a replay, for the lives of a few areas in chunks of 1,024 bytes.

The trace of most tests, after each operation::

    done   chunk 0            chunk 1        chunk 2
    0      |SSSS|........|
    1      |SSSS|aa|.....|
    2      |SSSS|aa|bbbbb|
    3      |SSSS|aa|bbbbb|    |ccccccc|
    4      |SSSS|aa|bbbbb|    |ccccccc|      |d|.....|    the peak
    5      |SSSS|aa|bbbbb|    |.......|      |d|.....|    the worst moment
    6      |SSSS|aa|bbbbb|                   |.......|    one empty chunk is kept
    7      |SSSS|..|bbbbb|                   |.......|
    8      |SSSS|e|.|bbbb|                   |.......|
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import FORK, NETNS, TINY

from percpu_ffi import Allocator, Trace
from percpu_ffi.analysis.moments import _thin
from percpu_ffi.analysis.replayed import ReplayTimeline, collect
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Moment, Patch, Timeline

A, B, C, D, E = range(5)  # kinds
OPS: list[tuple[Any, ...]] = [
    ("alloc", "a", 100, 4),
    ("alloc", "b", 860, 4),
    ("alloc", "c", 1024, 4),
    ("alloc", "d", 8, 4),
    ("free", "c"),
    ("free", "d"),
    ("free", "a"),
    ("alloc", "e", 40, 4),
]
UNKNOWN = (1 << 64) - 1  # a time
FULL_PAGES = [("alloc", i, 64, 4) for i in range(8)]  # no byte is ever stranded


def timeline_of(*ops: tuple[Any, ...], **options: Any) -> ReplayTimeline:
    times = options.pop("times", None)
    setup = {**TINY, **options.pop("setup", {})}
    return collect(Trace.from_ops(ops, times=times), setup, **options)


def dones(timeline: Timeline) -> list[int]:
    return [moment.done for moment in timeline.moments]


def space(chunk: int) -> Patch:
    return Patch(chunk, 0, 1024, FREE_SPACE, -1)


def pages(chunk: int, start: int, end: int) -> Patch:
    return Patch(chunk, 64 * start, 64 * end, PAGES, -1)


STATIC_AREA = Patch(0, 0, 64, STATIC, -1)


class TestPatches:
    def test_stays_at_all_moments(self) -> None:
        found = timeline_of(*OPS)
        assert dones(found) == list(range(9))
        assert found.patches == {
            space(0): [(0, 8)],
            STATIC_AREA: [(0, 8)],
            pages(0, 0, 1): [(0, 0)],
            pages(0, 0, 3): [(1, 1)],
            pages(0, 0, 16): [(2, 8)],
            Patch(0, 64, 164, A, 0): [(1, 6)],
            Patch(0, 164, 1024, B, 1): [(2, 8)],
            Patch(0, 64, 104, E, 7): [(8, 8)],
            space(1): [(3, 5)],
            pages(1, 0, 16): [(3, 5)],
            Patch(1, 0, 1024, C, 2): [(3, 4)],
            space(2): [(4, 8)],
            pages(2, 0, 1): [(4, 8)],
            Patch(2, 0, 8, D, 3): [(4, 5)],
        }

    def test_stays_at_some_moments(self) -> None:
        """Stays are indices of moments, not operations."""
        found = timeline_of(*OPS, moments=2)
        assert dones(found) == [0, 4, 5, 8]
        assert found.patches == {
            space(0): [(0, 3)],
            STATIC_AREA: [(0, 3)],
            pages(0, 0, 1): [(0, 0)],
            pages(0, 0, 16): [(1, 3)],
            Patch(0, 64, 164, A, 0): [(1, 2)],
            Patch(0, 164, 1024, B, 1): [(1, 3)],
            Patch(0, 64, 104, E, 7): [(3, 3)],
            space(1): [(1, 2)],
            pages(1, 0, 16): [(1, 2)],
            Patch(1, 0, 1024, C, 2): [(1, 1)],
            space(2): [(1, 3)],
            pages(2, 0, 1): [(1, 3)],
            Patch(2, 0, 8, D, 3): [(1, 2)],
        }

    def test_range_that_comes_back_has_two_stays(self) -> None:
        """A failed allocation of 2009 frees the page of the static area; the next one needs it."""
        found = timeline_of(
            ("inject", "alloc_page", {"nth": 1}),
            ("alloc", "fails", 64, 4),
            ("alloc", "a", 8, 4),
            setup={"static_size": 4, "quirks": ["rollback"]},
        )
        assert found.patches[pages(0, 0, 1)] == [(0, 1), (3, 3)]
        assert [found.held(done) for done in range(4)] == [64, 64, 0, 64]
        assert [found.stranded(done) for done in range(4)] == [60, 60, -4, 52]
        assert [found.fragmentation(done) for done in range(4)] == [60 / 64, 60 / 64, 0, 52 / 64]

    def test_address_of_a_destroyed_chunk_belongs_to_a_later_one(self) -> None:
        """Chunk 1 is destroyed with c, and chunk 3 is mapped where it was."""
        found = timeline_of(
            ("alloc", "full", 960, 4),
            ("alloc", "c", 1024, 4), ("alloc", "d", 1024, 4), ("free", "c"), ("free", "d"),
            ("alloc", "e", 1024, 4), ("alloc", "f", 1024, 4),
        )  # fmt: skip
        pointers = found.result.pointers
        assert pointers[6] == pointers[1]
        areas = {(p.chunk, p.born): stays for p, stays in found.patches.items() if p.born >= 0}
        assert areas == {
            (0, 0): [(1, 7)],
            (1, 1): [(2, 3)],
            (2, 2): [(3, 4)],
            (2, 5): [(6, 7)],
            (3, 6): [(7, 7)],
        }

    def test_patches_of_a_moment(self) -> None:
        found = timeline_of(*OPS, moments=2)
        assert set(found.patches_at(found.moment_at(5))) == {
            space(0), STATIC_AREA, pages(0, 0, 16), Patch(0, 64, 164, A, 0),
            Patch(0, 164, 1024, B, 1), space(1), pages(1, 0, 16),
            space(2), pages(2, 0, 1), Patch(2, 0, 8, D, 3),
        }  # fmt: skip


class TestMoments:
    def test_range_of_one_byte(self) -> None:
        """The second free range of |SSSS|a|.|b|......| counts."""
        ops = [("alloc", "a", 8, 1), ("alloc", "one", 1, 1), ("alloc", "b", 7, 1), ("free", "one")]
        assert timeline_of(*ops).moments[4] == Moment(4, 2, 960 - 16)

    def test_free_ranges(self) -> None:
        assert timeline_of(*OPS).moments == [
            Moment(0, 1, 960),
            Moment(1, 1, 860),
            Moment(2, 0, 0),
            Moment(3, 0, 0),
            Moment(4, 1, 1016),
            Moment(5, 2, 1024),
            Moment(6, 1, 1024),
            Moment(7, 2, 1024),
            Moment(8, 2, 1024),
        ]

    @pytest.mark.parametrize(
        ("moments", "expected"),
        [
            (100, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
            (4, [0, 2, 4, 6, 8]),
            (3, [0, 3, 5, 8]),
            (1, [0, 8]),
            (0, [0, 8]),
        ],
    )
    def test_are_spread_evenly(self, moments: int, expected: list[int]) -> None:
        assert dones(timeline_of(*FULL_PAGES, moments=moments)) == expected

    def test_are_400_by_default(self) -> None:
        ops = [(("alloc", "a", 64, 4), ("free", "a"))[i % 2] for i in range(800)]
        found = timeline_of(*ops)
        assert (found.peak, found.worst) == (1, 2)
        assert dones(found) == sorted({1, *range(0, 801, 2)})

    def test_are_fewer_if_many_areas_are_live(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At the moments 0, 4 and 8 no more than 12 areas are looked at."""
        monkeypatch.setattr("percpu_ffi.analysis.moments.MOST_AREAS_SEEN", 12)
        assert dones(timeline_of(*FULL_PAGES)) == [0, 4, 8]
        # an area that lives for one operation is live at one moment of four
        monkeypatch.setattr("percpu_ffi.analysis.moments.MOST_AREAS_SEEN", 1)
        short = [("alloc", "a", 64, 4), ("free", "a"), ("free", "x"), ("free", "x")]
        assert dones(timeline_of(*short)) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("most", "expected"),
        [
            (
                19,
                [0, 1, 2, 3, 4, 5, 6, 7, 8],
            ),  # 8 areas, 9 ranges of pages, static area, free space
            (18, [0, 2, 4, 6, 8]),
            (15, [0, 2, 4, 6, 8]),
            (14, [0, 4, 8]),
            (13, [0, 4, 8]),
            (12, [0, 8]),
            (0, [0, 8]),
        ],
    )
    def test_are_dropped_if_there_are_too_many_patches(
        self, most: int, expected: list[int]
    ) -> None:
        found = timeline_of(*FULL_PAGES, most_patches=most)
        assert dones(found) == expected
        assert found.patches == timeline_of(*FULL_PAGES, moments=len(expected) - 1).patches

    def test_of_a_trace_without_operations(self) -> None:
        steps: list[int] = []
        found = timeline_of(progress=steps.append)
        assert found.moments == [Moment(0, 1, 960)]
        assert set(found.patches) == {space(0), STATIC_AREA, pages(0, 0, 1)}
        assert (found.peak, found.worst, list(found.curves.pages)) == (0, 0, [2])
        assert sum(steps) == 0

    def test_are_those_of_requested_operations_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The allocator stops more often, to let Ctrl-C in."""
        monkeypatch.setattr("percpu_ffi.replay.STEP", 3)
        steps: list[int] = []
        found = timeline_of(*FULL_PAGES, moments=2, progress=steps.append)
        assert dones(found) == [0, 4, 8]
        assert steps == [3, 3, 2, 3, 1, 3, 1]


class TestCurves:
    def test_of_the_trace_above(self) -> None:
        found = timeline_of(*OPS)
        assert list(found.curves.live) == [0, 100, 960, 1984, 1992, 968, 960, 860, 900]
        assert list(found.curves.chunks) == [1, 1, 1, 2, 3, 3, 2, 2, 2]
        on_each_cpu = [1, 3, 16, 32, 33, 33, 17, 17, 17]
        assert list(found.curves.pages) == [2 * n for n in on_each_cpu]
        assert [found.held(done) for done in range(9)] == [64 * n for n in on_each_cpu]
        assert (found.peak, found.worst) == (4, 5)

    def test_first_of_equal_moments_counts(self) -> None:
        ops = [("alloc", "a", 60, 4), ("free", "a"), ("alloc", "b", 60, 4), ("free", "b")]
        found = timeline_of(*ops)
        assert (found.peak, found.worst) == (1, 2)

    def test_lives_of_areas(self) -> None:
        """Those that ended come first, in this order; a failure ends the area of its handle.

        ::

            a  100  o----(                its free is missing
            a    4       o---------x
            b    8            o-------    live at the end
            -                      fails
        """
        found = timeline_of(
            ("alloc", "a", 100, 4), ("alloc", "a", 4, 4), ("alloc", "b", 8, 4),
            ("alloc", "a", 2048, 4), ("free", "a"), ("free", "x"),
        )  # fmt: skip
        lives = [(kind.size, born, died) for kind, born, died in found.areas()]
        assert lives == [(100, 0, 1), (4, 1, 3), (8, 2, 6)]

    def test_areas_with_similar_keys_are_different(self) -> None:
        """The keys of a recording are pointers; the lower halves of these two are equal."""
        one, other = 1, 1 + (1 << 32)
        found = timeline_of(("alloc", one, 8, 4), ("alloc", other, 4, 4), ("free", one))
        assert list(found.curves.live) == [0, 8, 12, 4]

    def test_faults_end_no_area(self) -> None:
        """A fault is numbered as areas are: this one as the area a."""
        found = timeline_of(("alloc", "a", 8, 4), ("inject", "map", {"nth": 9}))
        assert list(found.curves.live) == [0, 8, 8]

    def test_seconds(self) -> None:
        """From the first operation, never backwards; an unknown time is that before it."""
        ops = [("alloc", "a", 8, 4), ("free", "a")] * 3
        second = 10**9
        times = [UNKNOWN, 5 * second, 4 * second, UNKNOWN, 6 * second + 1, UNKNOWN]
        found = timeline_of(*ops, times=times)
        assert found.seconds is not None
        assert list(found.seconds) == [0, 0, 1, 1, 1, 2.000000001, 2.000000001]
        assert found.x([6, 2]) == [2.000000001, 1]

    def test_operations_stand_for_time(self) -> None:
        found = timeline_of(*OPS)
        assert found.seconds is None
        assert found.x([0, 3, 8]) == [0.0, 3.0, 8.0]


def test_result_is_that_of_one_replay() -> None:
    """Memory is never mapped, whatever the set-up says."""
    found = collect(Trace.from_ops(OPS), {**TINY, "page_size": 4096, "memory": "mapped"})
    assert found.setup == {**TINY, "page_size": 4096, "memory": "none"}
    with Allocator(**found.setup) as a:
        assert found.result.pointers == a.replay(found.trace).pointers
        assert (found.state, found.counters) == (a.state(), a.counters())
        assert (found.cpus, found.page_size) == (a.cpus, a.page_size) == (2, 4096)
        assert (found.unit_size, found.static_size) == (a.unit_size, a.static_size)


def test_whether_call_sites_are_known() -> None:
    trace = Trace.from_ops(OPS)
    assert not collect(trace, TINY).has_sites
    trace.kinds[E] = trace.kinds[E]._replace(site="mm_init")
    assert collect(trace, TINY).has_sites


def test_progress_counts_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first replay reports in steps, the second one also at each moment."""
    monkeypatch.setattr("percpu_ffi.replay.STEP", 5)
    steps: list[int] = []
    timeline_of(*FULL_PAGES, moments=2, progress=steps.append)
    assert steps == [5, 3, 4, 4]
    steps.clear()
    timeline_of(*FULL_PAGES[:6], moments=1, progress=steps.append)
    assert steps == [5, 1, 5, 1]


def test_live_bytes_follow_failures_and_lost_frees() -> None:
    ops = [
        ("alloc", 1, 60, 4),
        ("alloc", 1, 4, 4),  # its free is missing
        ("inject", "alloc_page", {"nth": 1}),
        ("alloc", 2, 512, 4),  # fails
        ("alloc", 1, 700, 3),  # frees the old one, then fails: no such alignment
        ("free", 7),
    ]
    found = timeline_of(*ops)
    assert list(found.curves.live) == [0, 60, 4, 4, 4, 0, 0]
    assert found.curves.live[-1] == found.result.live_bytes
    assert len(found.result.failures) == 2
    assert [(kind.size, born, died) for kind, born, died in found.areas()] == [
        (60, 0, 1),
        (4, 1, 4),
    ]


@pytest.mark.parametrize("path", [NETNS, FORK])
def test_curves_agree_with_the_replay(path: str) -> None:
    trace = Trace.load(path)
    found = collect(trace, {"cpus": 2}, moments=5)
    with Allocator(cpus=2, memory="none") as a:
        result = a.replay(trace)
    assert max(found.curves.live) == result.peak_live_bytes
    assert found.curves.live[-1] == result.live_bytes
    assert max(found.curves.pages) == result.peak_populated_pages
    assert found.curves.pages[found.peak] == result.pages_at_peak
    assert found.curves.chunks[-1] == result.chunks


def test_moments_show_what_state_shows() -> None:
    trace = Trace.load(FORK)
    found = collect(trace, {"cpus": 2}, moments=7)
    states: list[tuple[int, ...]] = []
    with Allocator(cpus=2, memory="none") as a:
        stops = [moment.done for moment in found.moments]
        at = 0

        def look(done: int) -> None:
            nonlocal at
            at += done
            if at in stops:
                states.append(a.state().chunks[0].map)

        look(0)
        a.replay(trace, look, stops)
    for moment, sizes in enumerate(states):
        used = [-size for size in sizes if size < 0]
        shown = [p for p in found.patches_at(moment) if p.kind >= 0 or p.kind == STATIC]
        if sizes:  # none before the first request
            assert [p.end - p.start for p in sorted(shown, key=lambda p: p.start)] == used


def test_area_is_identified_by_its_allocation() -> None:
    # the second area has the place of the first one
    found = timeline_of(("alloc", 1, 8, 4), ("free", 1), ("alloc", 2, 8, 4))
    areas = {p: stays for p, stays in found.patches.items() if p.kind >= 0}
    assert {(p.start, p.born): stays for p, stays in areas.items()} == {
        (64, 0): [(1, 1)],
        (64, 2): [(3, 3)],
    }


def test_peak_and_worst_moment_are_always_among_the_moments() -> None:
    ops: list[tuple[Any, ...]] = [("alloc", i, 500, 4) for i in range(9)]
    ops += [("free", i) for i in range(9)] + [("alloc", 99, 4, 4), ("free", 99)] * 200
    found = timeline_of(*ops, moments=3, most_patches=0)
    dones = [moment.done for moment in found.moments]
    assert found.peak == 9
    assert {0, found.peak, found.worst, len(ops)} <= set(dones)
    assert dones == sorted(dones)


def test_thinned_moments_show_the_same() -> None:
    ops: list[tuple[Any, ...]] = []
    for i in range(40):
        ops += [("alloc", i, 8 + i, 4)] + ([("free", i - 3)] if i > 2 else [])
    every, some = timeline_of(*ops, moments=80), timeline_of(*ops, moments=80, most_patches=30)
    assert len(some.moments) < len(every.moments)
    for moment in some.moments:
        shown = [set(t.patches_at(t.moment_at(moment.done))) for t in (every, some)]
        assert shown[0] == shown[1]


def test_thinning_ends_at_the_special_moments() -> None:
    # Every moment at an even index was kept.  One between special moments could remain
    # forever, and the report of a long trace with many areas did not end.
    found = timeline_of(*[("alloc", i, 8, 4) for i in range(20)])
    special = {0, 4, 12, 20}
    for _ in range(5):
        _thin(found, special)
    assert {moment.done for moment in found.moments} == special
