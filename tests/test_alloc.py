# SPDX-License-Identifier: GPL-2.0-only
"""Where areas are placed: first fit in a chunk, the fullest chunk first.

Maps are drawn with S static, # in use, . free; a character is 16 bytes.
"""

from __future__ import annotations

from conftest import Make

from percpu_ffi import (
    Location,
    PerCpu,
)


def chunk_map(allocator: PerCpu, chunk: int = 0) -> tuple[int, ...]:
    return next(c.map for c in allocator.state().chunks if c.id == chunk)


def test_first_area_follows_the_static_area(small: PerCpu) -> None:
    # |SSSS##....
    ptr = small.alloc(32)
    assert small.locate(ptr) == Location(chunk=0, offset=64)
    assert chunk_map(small) == (-64, -32, 928)


def test_lowest_free_range_that_fits_is_taken(small: PerCpu) -> None:
    # |SSSS#.#..#....      free ranges of 16 and 32 bytes
    #            ^ 48 bytes fit only after them
    a, free16, b, free32, c = (small.alloc(size) for size in (16, 16, 16, 32, 16))
    small.free(free16)
    small.free(free32)
    assert small.alloc(48) > c
    assert small.alloc(24) == free32
    assert small.alloc(16) == free16
    assert a < free16 < b


def test_head_before_an_aligned_area_stays_free(small: PerCpu) -> None:
    # |SSSS#...####....    8 bytes in use, then a free range up to the next multiple of 64
    small.alloc(8)
    ptr = small.alloc(64, align=64)
    assert small.locate(ptr).offset == 128
    assert chunk_map(small) == (-64, -8, 56, -64, 832)


def test_head_below_four_bytes_goes_to_the_area_before(small: PerCpu) -> None:
    # 2 bytes in use, then a head of 2 bytes up to the next multiple of 4: added to the first area
    small.alloc(2, align=1)
    ptr = small.alloc(4, align=4)
    assert small.locate(ptr).offset == 68
    assert chunk_map(small) == (-64, -4, -4, 952)


def test_tail_below_four_bytes_goes_to_the_area(small: PerCpu) -> None:
    # 14 bytes in a free range of 16: the tail of 2 bytes is no entry of its own
    freed = small.alloc(16)
    small.alloc(16)
    small.free(freed)
    assert small.alloc(14) == freed
    assert chunk_map(small) == (-64, -16, -16, 928)


def test_free_merges_with_both_neighbours(small: PerCpu) -> None:
    # |SSSS###....  ->  |SSSS#.#....  ->  |SSSS#......  ->  |SSSS.......
    a, b, c = (small.alloc(16) for _ in range(3))
    small.free(b)
    assert chunk_map(small) == (-64, -16, 16, -16, 912)
    small.free(c)
    assert chunk_map(small) == (-64, -16, 944)
    small.free(a)
    assert chunk_map(small) == (-64, 960)


def test_free_ranges_of_a_byte_merge_too(small: PerCpu) -> None:
    a, b, c, _d = small.alloc_many([1] * 4, 1)
    small.free(b)
    assert chunk_map(small) == (-64, -1, 1, -1, -1, 956)
    small.free(c)
    assert chunk_map(small) == (-64, -1, 2, -1, 956)
    assert small.alloc(1, 1) == b
    small.free(a)
    small.free(b)
    assert chunk_map(small) == (-64, 3, -1, 956)


def test_free_range_of_a_byte_after_an_area_merges(small: PerCpu) -> None:
    a, b, _c = small.alloc_many([1] * 3, 1)
    small.free(b)
    small.free(a)
    assert chunk_map(small) == (-64, 2, -1, 957)


def test_contig_hint_is_the_largest_range_that_the_scan_has_seen(small: PerCpu) -> None:
    def hint() -> int:
        return small.state().chunks[0].contig_hint

    # |SSSS|a|....|bbbbb|    the head of 56 bytes is all that is left
    a, b = small.alloc(8), small.alloc(896, 64)
    assert (chunk_map(small), hint()) == ((-64, -8, 56, -896), 56)
    small.free(b)
    assert hint() == 952
    # |SSSS|a|....|b|....    of head and tail the tail is larger
    b = small.alloc(64, 64)
    assert (chunk_map(small), hint()) == ((-64, -8, 56, -64, 832), 832)
    # |SSSS|a|cc|.|b|....    the entries after the area are not looked at: the hint stays
    small.alloc(32)
    assert (chunk_map(small), hint()) == ((-64, -8, -32, 24, -64, 832), 832)
    # |SSSS|a|cc|.|b|dddd|   the last entry: 24 bytes have been passed
    small.alloc(832)
    assert (chunk_map(small), hint()) == ((-64, -8, -32, 24, -64, -832), 24)
    small.free(a)
    assert hint() == 24
    # |SSSS|.|cc|.......|dddd|
    small.free(b)
    assert (chunk_map(small), hint()) == ((-64, 8, -32, 88, -832), 88)


def test_freeing_zero_does_nothing(small: PerCpu) -> None:
    before = small.state()
    small.free(0)
    assert small.state() == before


def test_full_chunk_makes_a_new_one(small: PerCpu) -> None:
    filler = small.alloc(960)
    ptr = small.alloc(8)
    assert small.locate(filler).chunk == 0
    assert small.locate(ptr) == Location(chunk=1, offset=0)


def test_fullest_chunk_is_tried_first(tiny: Make) -> None:
    # chunk 1 has 512 bytes free, chunk 2 has 128: a small area goes to chunk 2
    with tiny() as a:
        a.alloc(960)
        a.alloc(512)
        second = a.alloc(896)
        assert a.locate(second).chunk == 2
        assert a.locate(a.alloc(16)).chunk == 2


def test_second_empty_chunk_is_destroyed(tiny: Make) -> None:
    with tiny() as a:
        a.alloc(960)
        first, second = a.alloc(1024), a.alloc(1024)
        a.free(first)
        assert [c.id for c in a.state().chunks] == [0, 1, 2]
        a.free(second)  # now two are empty: the other one is destroyed
        assert [c.id for c in a.state().chunks] == [0, 2]
        assert a.counters()["free_vm_area"] == 1


def test_address_space_of_a_chunk_is_reused(tiny: Make) -> None:
    with tiny() as a:
        a.alloc(960)
        first, second = a.alloc(1024), a.alloc(1024)
        a.free(first)
        a.free(second)
        assert a.alloc(1024) == second  # the empty chunk that was kept
        assert a.alloc(1024) == first  # a new chunk in the lowest free address space
        assert [c.id for c in a.state().chunks] == [0, 2, 3]


def test_pages_are_populated_on_demand_and_kept(tiny: Make) -> None:
    with tiny(cpus=3) as a:
        ptr = a.alloc(100, align=64)  # offsets 64 to 164: pages 1 and 2
        assert a.state().chunks[0].populated[:4] == (3, 3, 3, 0)
        a.free(ptr)
        assert a.state().chunks[0].populated[:4] == (3, 3, 3, 0)
        counters = a.counters()
        assert counters["alloc_page"] == 6
        assert counters["free_page"] == 0


def test_map_grows_from_kmalloc_to_vmalloc(small: PerCpu) -> None:
    # 16 entries of 4 bytes fill a page of 64 bytes: the next size comes from vmalloc
    for _ in range(20):
        small.alloc(8)
    counters = small.counters()
    assert small.state().chunks[0].map_alloc == 32
    assert counters["kmalloc"] == 1
    assert counters["vmalloc"] == 1
    assert counters["kfree"] == 1
    small.alloc_many([8] * 20)
    counters = small.counters()
    assert small.state().chunks[0].map_alloc == 64
    assert (counters["kmalloc"], counters["kfree"]) == (1, 1)
    assert (counters["vmalloc"], counters["vfree"]) == (2, 1)
    assert small.work().alloc.map_reallocations == 2


def test_pointers_are_the_same_in_every_run(tiny: Make) -> None:
    def run() -> list[int]:
        with tiny() as a:
            ptrs = [a.alloc(size) for size in (8, 500, 700, 4, 1024)]
            a.free(ptrs.pop(1))
            return [*ptrs, a.alloc(100)]

    assert run() == run()
    assert min(run()) > 0


def test_two_allocators_do_not_disturb_each_other(tiny: Make) -> None:
    with tiny() as a, tiny() as b:
        ptr = a.alloc(8)
        assert b.state().chunks[0].map == ()
        assert b.alloc(16) == ptr
        a.free(ptr)
        assert b.locate(ptr).offset == 64
