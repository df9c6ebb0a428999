# SPDX-License-Identifier: GPL-2.0-only
"""Work: each count on a small map, derived from the code of the 2009 file.

The allocator of these tests has units of 1 KiB, so ten slot lists; the first chunk, with 960
bytes free, is in slot 7:

    slot   0     1     2      3      4      5       6        7        8     9
    free   none  4-15  16-31  32-63  64-    128-    256-     512-     -     all of a unit
"""

from __future__ import annotations

import random
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NETNS, TINY, Kind, Make

from percpu_ffi import (
    Allocator,
    ClosedError,
    InvalidPointer,
    InvalidRequest,
    Model,
    PerCpu,
    PercpuMemoryError,
    Trace,
    Work,
    WorkByCall,
)
from percpu_ffi.errors import without_warnings
from percpu_ffi.lockstep import lockstep

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = WorkByCall(Work(), Work())
FIRST = 128  # pointer of the first area: the block of the first chunk is at 64


def done(allocator: PerCpu, call: Callable[..., object], *args: Any) -> WorkByCall:
    """Return the work of one call."""
    before = allocator.work()
    call(*args)
    return allocator.work() - before


def first_map(allocator: PerCpu) -> tuple[int, ...]:
    return allocator.state().chunks[0].map


@pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
def test_set_up_is_no_work(kind: Kind, first_chunk: Any) -> None:
    with kind(2, 8192, first_chunk) as a:
        assert a.work() == NONE


def test_one_allocation_and_one_free(small: PerCpu) -> None:
    # |SSSS|......  ->  |SSSS|a|.....     the free entry moves up by one
    ptr = small.alloc(8)
    free = done(small, small.free, ptr)
    alloc = Work(
        operations=1,
        slots_visited=7,
        chunks_visited=1,
        entries_scanned=2,
        entries_moved=1,
        bytes_moved=4,
        pages_populated=2,
    )
    assert small.work() == WorkByCall(alloc, free.free)
    # the last entry merges with the one before it: there is nothing after it to close up
    assert free == WorkByCall(Work(), Work(operations=1, entries_scanned=2, tree_steps=1))


class TestSlotsAndChunks:
    def test_walk_ends_at_the_chunk_that_is_used(self, small: PerCpu) -> None:
        # slot 4 for 64 bytes, then 5, 6, and 7 with the first chunk
        assert done(small, small.alloc, 64).alloc.slots_visited == 4

    def test_walk_to_the_end_comes_before_a_new_chunk(self, small: PerCpu) -> None:
        # slots 7, 8, 9; the first chunk is in 7, and its hint of 960 excludes it
        work = done(small, small.alloc, 1000).alloc
        assert (work.slots_visited, work.chunks_visited) == (3, 1)
        assert work.entries_scanned == 1  # that of the new chunk

    def test_request_of_a_whole_unit_visits_only_empty_chunks(self, small: PerCpu) -> None:
        work = done(small, small.alloc, 1024).alloc
        assert (work.slots_visited, work.chunks_visited) == (1, 0)

    def test_walk_that_ends_with_an_error(self, small: PerCpu) -> None:
        # in slot 7: no memory for the first chunk's map, so slots 8 and 9 are not visited
        small.inject("kmalloc", nth=1)
        with pytest.raises(PercpuMemoryError):
            small.alloc(64)
        assert small.work().alloc == Work(operations=1, slots_visited=4, chunks_visited=1)

    def test_free_visits_empty_chunks_when_its_chunk_is_empty(self, small: PerCpu) -> None:
        one, two = small.alloc(1024), small.alloc(1024)
        half = small.alloc(512), small.alloc(512)  # the first in chunk 0, the second in chunk 3
        # slot 9: (1), only the chunk itself
        free = done(small, small.free, one).free
        assert (free.slots_visited, free.chunks_visited) == (1, 1)
        # slot 9: (2, 1), since an emptied chunk goes to the front
        free = done(small, small.free, two).free
        assert (free.slots_visited, free.chunks_visited) == (1, 2)
        # the first chunk is never empty, because of the static area
        free = done(small, small.free, half[0]).free
        assert (free.slots_visited, free.chunks_visited) == (0, 0)


class TestScans:
    def test_alloc_scans_entries_up_to_the_one_it_uses(self, small: PerCpu) -> None:
        # |SSSS|a|bbbb|c|....    b freed
        _a, b, _c = small.alloc(8), small.alloc(32), small.alloc(8)
        small.free(b)
        assert first_map(small) == (-64, -8, 32, -8, 912)
        assert done(small, small.alloc, 32).alloc.entries_scanned == 3
        assert done(small, small.alloc, 32).alloc.entries_scanned == 5

    def test_alloc_scans_all_entries_if_none_fits(self, small: PerCpu) -> None:
        # |SSSS|a|........|ccc   b freed: 64 bytes, but none of them aligned to 64
        _a, b, _c = small.alloc(8), small.alloc(64), small.alloc(888)
        small.free(b)
        assert first_map(small) == (-64, -8, 64, -888)
        work = done(small, small.alloc, 64, 64).alloc
        assert work.chunks_visited == 1
        assert work.entries_scanned == 4 + 1  # and that of the new chunk

    def test_free_scans_entries_up_to_its_own(self, small: PerCpu) -> None:
        # |SSSS|0|1|2|3|4|....
        ptrs = small.alloc_many([8] * 5)
        for number in (4, 1, 0):
            assert done(small, small.free, ptrs[number]).free.entries_scanned == 1 + number + 1


class TestMoves:
    def test_entries_after_a_split_make_room_once(self, small: PerCpu) -> None:
        _a, b, _c = small.alloc(8), small.alloc(56), small.alloc(8)
        small.free(b)
        # |SSSS|a|.......|c|...   ->   |SSSS|a|dd|.....|c|...    the free range and two after it
        assert first_map(small) == (-64, -8, 56, -8, 888)
        work = done(small, small.alloc, 16).alloc
        assert (work.entries_moved, work.bytes_moved) == (3, 12)
        # |SSSS|a|dd|.....|c|...  ->   |SSSS|a|dd|...|e|.|c|...  two new entries, one move
        work = done(small, small.alloc, 8, 32).alloc
        assert first_map(small) == (-64, -8, -16, 8, -8, 24, -8, 888)
        assert (work.entries_moved, work.bytes_moved) == (3, 12)

    def test_area_at_the_end_of_a_free_range_moves_one_entry(self, small: PerCpu) -> None:
        # |SSSS|aa|.....   ->   |SSSS|aa|.|bbbb    one entry moves: the free range is split
        small.alloc(32)
        work = done(small, small.alloc, 896, 64).alloc
        assert first_map(small) == (-64, -32, 32, -896)
        assert (work.entries_moved, work.bytes_moved) == (1, 4)

    def test_area_that_fits_exactly_moves_nothing(self, small: PerCpu) -> None:
        assert done(small, small.alloc, 960).alloc.entries_moved == 0

    @pytest.mark.parametrize(
        ("freed", "moved"),
        [
            # |SSSS|a|b|c|d|....    b, with neighbours in use
            ("b", 0),
            # |SSSS|a|.|c|d|....    c joins b: d and the rest close up
            ("bc", 2),
            # |SSSS|a|b|.|d|....    b joins c: the same
            ("cb", 2),
            # |SSSS|.|b|.|d|....    b joins both: c, d and the rest, then d and the rest
            ("acb", 3 + 2),
        ],
    )
    def test_merge(self, small: PerCpu, freed: str, moved: int) -> None:
        ptrs = dict(zip("abcd", small.alloc_many([8] * 4), strict=True))
        before, last = freed[:-1], freed[-1]
        small.free_many([ptrs[name] for name in before])
        work = done(small, small.free, ptrs[last]).free
        assert (work.entries_moved, work.bytes_moved) == (moved, 4 * moved)


class TestMaps:
    def test_map_that_grows_is_copied(self, small: PerCpu) -> None:
        small.alloc_many([4] * 14, 4)
        assert len(first_map(small)) == small.state().chunks[0].map_alloc == 16
        assert small.work().alloc.map_reallocations == 0  # the first map did not grow
        # |SSSS|0|1|...|13|.....|   16 entries: room for no more
        work = done(small, small.alloc, 4, 4).alloc
        assert work.map_reallocations == 1
        assert (work.entries_moved, work.bytes_moved) == (1, 4 * 1 + 4 * 16)
        assert done(small, small.alloc_many, [4] * 15, 4).alloc.map_reallocations == 0
        assert done(small, small.alloc, 4, 4).alloc.bytes_moved == 4 * 1 + 4 * 32

    def test_map_that_cannot_grow(self, small: PerCpu) -> None:
        small.alloc_many([4] * 14, 4)
        small.inject("vmalloc", nth=1)  # 32 entries are more than a page of 64 bytes
        before = small.work()
        with pytest.raises(PercpuMemoryError):
            small.alloc(4, 4)
        work = (small.work() - before).alloc
        assert work == Work(operations=1, slots_visited=7, chunks_visited=1, entries_scanned=16)


class TestTree:
    def test_steps_down_to_a_chunk(self, small: PerCpu) -> None:
        # 0    0        0   (1)     1
        #  \    \            ->    / \      the third chunk rotates the tree
        #   ..   1   ..  2        0   2
        steps = [done(small, small.alloc, 1024).alloc.tree_steps for _ in range(3)]
        assert steps == [1, 2, 2]

    def test_search_ends_at_a_chunk_that_starts_there(self, small: PerCpu) -> None:
        #   1     chunk 1 has two areas: the first starts where the chunk does; for the second,
        #  / \    a chunk that starts between the two could still hang below
        # 0   2
        in_0, first, second, in_2 = small.alloc_many([960, 512, 512, 1024])
        assert [small.locate(ptr).chunk for ptr in (in_0, first, second, in_2)] == [0, 1, 1, 2]
        for ptr, steps in ((second, 2), (first, 1)):
            assert done(small, small.free, ptr).free.tree_steps == steps
        # the area in the first chunk comes after the static area
        assert done(small, small.free, in_0).free.tree_steps == 2


class TestPages:
    def test_each_cpu_has_a_frame_for_each_page(self, tiny: Make) -> None:
        # |SSSS|aaaa|aab.|....|    pages 1 and 2, then the rest of page 2
        with tiny(cpus=3) as a:
            assert done(a, a.alloc, 100).alloc.pages_populated == 2 * 3
            assert done(a, a.alloc, 24).alloc.pages_populated == 0

    def test_pages_are_freed_with_their_chunk(self, small: PerCpu) -> None:
        one, two = small.alloc(1024), small.alloc(1024)
        assert done(small, small.free, one).free.pages_depopulated == 0
        assert done(small, small.free, two).free.pages_depopulated == 16 * 2

    def test_cleanup_after_a_failure_is_work_of_the_allocation(self, small: PerCpu) -> None:
        # the second frame of the second page; the area at entry 1 is looked up, and freed
        small.inject("alloc_page", nth=4)
        with pytest.raises(PercpuMemoryError):
            small.alloc(100)
        work = small.work()
        assert (work.alloc.pages_populated, work.alloc.pages_depopulated) == (3, 3)
        assert work.alloc.entries_scanned == 2 + 2
        assert work.free == Work()

    @pytest.mark.parametrize("first_chunk", ["embed", "remap"])
    def test_boot_time_pages_are_not_counted(self, tiny: Make, first_chunk: str) -> None:
        with tiny(first_chunk=first_chunk, unit_size=1024, free_size=512) as a:
            assert done(a, a.alloc, 512).alloc.pages_populated == 0


class TestOperations:
    def test_requests_that_fail_are_operations(self, small: PerCpu) -> None:
        small.inject("alloc_page", nth=1, times=-1)
        for _ in range(3):
            with pytest.raises(PercpuMemoryError):
                small.alloc(100)
        assert small.work().alloc.operations == 3

    @pytest.mark.parametrize(
        ("size", "align"), [(0, 8), (1025, 8), (8, 0), (8, 3), (8, 128), (-1, 8), ("8", 8)]
    )
    def test_refused_request_is_no_work(self, small: PerCpu, size: Any, align: Any) -> None:
        small.alloc(8)
        before = small.work()
        with without_warnings():
            with pytest.raises(InvalidRequest):
                small.alloc(size, align)
            with pytest.raises(InvalidRequest):
                small.alloc_many([8, size], align)
        assert small.work() == before

    @pytest.mark.parametrize("ptr", [64, FIRST + 1, FIRST + 8, FIRST + 1024, 1 << 40, -8, "128"])
    def test_refused_pointer_is_no_work(self, small: PerCpu, ptr: Any) -> None:
        assert small.alloc(8) == FIRST
        before = small.work()
        with pytest.raises(InvalidPointer):
            small.free(ptr)
        with pytest.raises(InvalidPointer):
            small.free_many([FIRST, ptr])
        assert small.work() == before

    def test_free_of_0_and_queries_are_no_work(self, small: PerCpu) -> None:
        ptr = small.alloc(8)
        before = small.work()
        small.free(0)
        small.free_many([0, 0])
        small.alloc_many([])
        small.locate(ptr)
        small.state()
        small.validate({ptr: 8})
        assert small.work() == before

    def test_batch_counts_one_operation_for_each_area(self, small: PerCpu, tiny: Make) -> None:
        small.free_many(small.alloc_many([8] * 9))
        with tiny() as other:
            ptrs = [other.alloc(8) for _ in range(9)]
            for ptr in ptrs:
                other.free(ptr)
            assert other.work() == small.work()

    def test_batch_that_fails_is_undone_by_frees(self, small: PerCpu) -> None:
        small.inject("alloc_page", nth=7)
        with pytest.raises(PercpuMemoryError):
            small.alloc_many([64] * 9)
        work = small.work()
        assert (work.alloc.operations, work.free.operations) == (4, 3)


class TestNumbers:
    ONE = Work(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

    def test_order(self) -> None:
        assert [field.name for field in fields(Work)] == [
            *("operations", "slots_visited", "chunks_visited", "entries_scanned"),
            *("entries_moved", "bytes_moved", "map_reallocations", "tree_steps"),
            *("pages_populated", "pages_depopulated"),
        ]

    def test_sum_and_difference(self) -> None:
        assert astuple(self.ONE + self.ONE) == tuple(range(2, 22, 2))
        assert self.ONE + self.ONE - self.ONE == self.ONE
        both = WorkByCall(self.ONE, self.ONE + self.ONE)
        assert both.total == self.ONE + self.ONE + self.ONE
        assert both - WorkByCall(self.ONE, self.ONE) == WorkByCall(Work(), self.ONE)

    def test_averages(self) -> None:
        averages = Work(4, 2, 3, 4, 5, 6, 7, 8, 9, 10).per_operation()
        assert list(averages) == [field.name for field in fields(Work)][1:]
        assert list(averages.values()) == [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5]

    def test_averages_of_nothing(self) -> None:
        assert set(Work().per_operation().values()) == {0}

    def test_counts_returned_before_do_not_change(self, small: PerCpu) -> None:
        before = small.work()
        small.alloc(8)
        assert before == NONE
        assert small.work() != before


def test_pages_are_those_requested_from_the_kernel(small: PerCpu) -> None:
    rng = random.Random(1)
    live: list[int] = []
    for _ in range(300):
        if live and rng.random() < 0.5:
            small.free(live.pop(rng.randrange(len(live))))
        else:
            live.append(small.alloc(rng.randint(1, 1024)))
    counters, work = small.counters(), small.work().total
    assert work.pages_populated == counters["alloc_page"]
    assert work.pages_depopulated == counters["free_page"] > 0
    assert work.bytes_moved >= 4 * work.entries_moved > 0


def test_replay_is_the_same_work(tiny: Make) -> None:
    ops: list[Any] = [("alloc", i, 8 * i + 8, 8) for i in range(20)]
    ops += [("free", i) for i in range(0, 20, 3)]
    with tiny() as one, tiny() as other:
        one.replay(Trace.from_ops(ops))
        ptrs = [other.alloc(size, align) for kind, _, size, align in ops[:20]]
        other.free_many(ptrs[::3])
        assert one.work() == other.work()
        assert one.work().free.operations == 7


def test_closed(tiny: Make) -> None:
    allocator = tiny()
    allocator.close()
    with pytest.raises(ClosedError):
        allocator.work()


# --- port and model together

BOTH = {"port": Allocator, "model": Model}


def churn_of_whole_chunks(seed: int) -> Trace:
    """Create and destroy some hundred chunks, twice: the tree needs all rotations."""
    rng = random.Random(seed)
    ops: list[Any] = []
    live: list[int] = []
    for key in range(2000):
        if not live or rng.random() < (0.8 if key % 1000 < 500 else 0.25):
            ops.append(("alloc", key, 1024, 8))
            live.append(key)
        else:
            ops.append(("free", live.pop(rng.randrange(len(live)))))
    return Trace.from_ops(ops, TINY)


@pytest.mark.parametrize("seed", range(3))
def test_trees_of_port_and_model_have_the_same_shape(seed: int) -> None:
    difference = lockstep(BOTH, churn_of_whole_chunks(seed), compare=["work"])
    assert difference is None, str(difference)


def test_port_and_model_do_the_same_work_in_a_replay() -> None:
    trace = Trace.load(NETNS)
    works = []
    for maker in BOTH.values():
        with maker(cpus=2, memory="none") as allocator:
            allocator.replay(trace)
            works.append(allocator.work())
    assert works[0] == works[1]
    assert works[0].alloc.operations == trace.stats.allocs
