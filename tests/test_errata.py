# SPDX-License-Identifier: GPL-2.0-only
"""Where the 2009 file is wrong, and what the port does; the stories are in docs/errata.md."""

from __future__ import annotations

import pytest
from conftest import Kind, Make

from percpu_ffi import (
    ConfigError,
    DoubleFree,
    InvalidRequest,
    Location,
    OtherUnitPointer,
    PerCpu,
    PercpuMemoryError,
    StaticPointer,
    WildPointer,
)


def test_walk(tiny: Make) -> None:
    """The walk follows a chunk that moves to another list: endless loop, wild write."""
    with tiny(static_size=1024) as a:
        areas = fill_with_single_bytes(a)
        a.alloc(1020, align=1)
        server = a.state().chunks[-1].id  # has 4 bytes left
        make_stale_hint(a, areas)
        assert a.state().slots[1] == (1, server)

        # 2 bytes seem to fit into chunk 1, but do not: it moves to another list during the walk
        ptr = a.alloc(2, align=1)
        assert a.locate(ptr) == Location(server, 1020)
        assert a.state().slots[:2] == ((0, 1, server), ())


def test_walk_at_the_end_of_a_list(tiny: Make) -> None:
    # no chunk follows the one with the wrong hint: the walk continues with the higher lists
    with tiny(static_size=1024) as a:
        areas = fill_with_single_bytes(a)
        make_stale_hint(a, areas)
        assert a.state().slots[1] == (1,)
        assert a.locate(a.alloc(2, align=1)) == Location(2, 0)
        assert a.state().slots[0] == (0, 1)


def fill_with_single_bytes(a: PerCpu) -> list[int]:
    """Fill chunk 1, eight areas of 1 byte first, then one of 4: |bbbbbbbbffff##########|."""
    areas = [*a.alloc_many([1] * 8, align=1), a.alloc(4, align=1)]
    a.alloc(1012, align=1)
    return areas


def make_stale_hint(a: PerCpu, areas: list[int]) -> None:
    """Leave free ranges of 1 byte, |.b.b.b.bffff##########|, and a contig hint of 4."""
    *singles, four = areas
    for ptr in singles[::2]:
        a.free(ptr)
    a.free(four)
    assert a.alloc(4, align=1) == four
    chunk = a.state().chunks[1]
    assert (chunk.free_size, chunk.contig_hint, max(chunk.map)) == (4, 4, 1)


@pytest.mark.parametrize("quirk", [False, True])
def test_rollback(tiny: Make, quirk: bool) -> None:
    """A failed populate frees every page of its range, also those of live neighbours."""
    # |SSSS|ssxx|xxxx|xxx.|    s: 32 live bytes in page 1, x: requested, page 3 is not available
    with tiny(cpus=1, quirks={"rollback"} if quirk else ()) as a:
        a.alloc(32)
        a.inject("alloc_page", 2)
        with pytest.raises(PercpuMemoryError):
            a.alloc(144)
        chunk = a.state().chunks[0]
        assert chunk.map == (-64, -32, 928)
        assert chunk.populated[:4] == ((1, 0, 0, 0) if quirk else (1, 1, 0, 0))


@pytest.mark.parametrize("quirk", [False, True])
def test_rollback_frees_a_page_of_the_static_area(tiny: Make, quirk: bool) -> None:
    # the static area ends within a page, and the first area shares that page
    with tiny(cpus=1, static_size=96, quirks={"rollback"} if quirk else ()) as a:
        a.inject("alloc_page", 1)
        with pytest.raises(PercpuMemoryError):
            a.alloc(64)
        assert a.state().chunks[0].populated[:3] == ((1, 0, 0) if quirk else (1, 1, 0))


def test_rollback_keeps_the_contents_of_neighbours(kind: Kind) -> None:
    with kind(cpus=2) as a:
        neighbour = a.area(4000)
        neighbour[1][:] = b"x" * 4000
        a.inject("alloc_page", 3)
        with pytest.raises(PercpuMemoryError):
            a.alloc(8192)
        assert bytes(neighbour[1]) == b"x" * 4000


def test_rollback_frees_all_pages_that_it_added(tiny: Make) -> None:
    # |SSSS|....|nnnn|xxxx|xxxx|    page 3 was added, page 4 is not available
    with tiny() as a:
        freed, _neighbour = a.alloc(64), a.alloc(64)
        a.free(freed)
        before = a.state().chunks[0].populated
        assert before[:4] == (2, 2, 2, 0)
        a.inject("alloc_page", 4)
        with pytest.raises(PercpuMemoryError):
            a.alloc(128)
        assert a.state().chunks[0].populated == before
        assert a.counters()["free_page"] == 3


def test_map_null(tiny: Make) -> None:
    """alloc_pcpu_chunk writes to the map without a check that it was allocated."""
    with tiny() as a:
        a.alloc(960)
        before, calls = a.state(), a.counters()
        a.inject("kmalloc", 2)  # the chunk is allocated, but not its map
        with pytest.raises(PercpuMemoryError, match="kmalloc"):
            a.alloc(8)
        after = a.counters()
        assert a.state() == before
        assert after["kmalloc"] - calls["kmalloc"] == 2
        assert after["kfree"] - calls["kfree"] == 1
        assert after["get_vm_area"] == calls["get_vm_area"]


@pytest.mark.parametrize("align", [0, 3, 6, 24])
def test_align(small: PerCpu, align: int) -> None:
    """Alignment 0 returns offset 0, in the static area; 3 gives a wrong offset."""
    before = small.state()
    with pytest.raises(InvalidRequest, match="power of two"):
        small.alloc(8, align)
    assert small.state() == before


def test_small_unit(tiny: Make) -> None:
    """A unit below 16 pages leaks an empty chunk for each request larger than it."""
    with pytest.raises(ConfigError, match="16 pages"):
        tiny(unit_size=512)


def test_end_offset(tiny: Make) -> None:
    """Offset == unit_size passes the check of free_percpu, which then reads past the map."""
    with tiny() as a:
        end = a.static_ptr + a.unit_size
        a.alloc(8)
        with pytest.raises(OtherUnitPointer):
            a.free(end)
    with tiny(cpus=1) as a:
        a.alloc(8)
        with pytest.raises(WildPointer):
            a.free(a.static_ptr + a.unit_size)


def test_truncated(small: PerCpu) -> None:
    """An offset is an int: a pointer that is 2^32 too high becomes a valid one."""
    ptr = small.alloc(8)
    with pytest.raises(WildPointer):
        small.free(ptr + 2**32)
    small.free(ptr)


def test_static_free(small: PerCpu) -> None:
    """The static area is an entry of the map like any other, and can be freed."""
    small.alloc(8)
    with pytest.raises(StaticPointer):
        small.free(small.static_ptr)
    assert small.state().chunks[0].map == (-64, -8, 952)


def test_no_map(small: PerCpu) -> None:
    """The first chunk has no map before its first request; a free reads through NULL."""
    with pytest.raises(DoubleFree):
        small.free(small.static_ptr + 64)
    assert small.state().chunks[0].map == ()


def test_int_sizes(kind: Kind) -> None:
    """1,024 units of 2 MiB are 2 GiB, which does not fit into an int."""
    with kind(cpus=1024, first_chunk="remap", free_size=4096) as a:
        a.alloc(4096)
        ptr = a.alloc(64)
        assert a.locate(ptr) == Location(1, 0)
        assert a.address(ptr, 1023) - a.address(ptr, 0) == 1023 * (2 << 20)
        with a.view(ptr, 1023) as view:
            view[-1] = 1


@pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
def test_null_pointer(tiny: Make, first_chunk: str) -> None:
    """A chunk below the first one can give pointers of 0 and less."""
    with tiny(first_chunk=first_chunk) as a:
        assert a.static_ptr > 0
        assert min(a.alloc_many([1024] * 60)) > 0


def test_half_done(tiny: Make) -> None:
    """A small head goes to the area before it, then the map cannot grow: this is harmless."""
    # 15 areas and a free range fill 16 entries; the head of 2 bytes goes to the last area,
    # then one entry more would be needed
    with tiny() as a:
        a.alloc_many([16] * 13)
        odd = a.alloc(2, align=1)
        assert len(a.state().chunks[0].map) == 16
        before = a.state().chunks[0]
        a.inject("vmalloc", 1)
        with pytest.raises(PercpuMemoryError, match="vmalloc"):
            a.alloc(4, align=4)
        chunk = a.state().chunks[0]
        assert chunk.map[-2:] == (-4, before.map[-1] - 2)
        assert chunk.free_size == before.free_size - 2
        assert a._partial_failure_count() == 1
        assert a.locate(a.alloc(4, align=4)) == Location(0, a.locate(odd).offset + 4)


def test_half_done_requests_are_counted(tiny: Make) -> None:
    # maps of 16 entries; the second request needs no head, so nothing of it remains
    with tiny() as a:
        for odd, failures in ((True, 1), (False, 1), (True, 2)):
            ptrs = [a.alloc(8) for _ in range(13)]
            ptrs.append(a.alloc(2, 1) if odd else a.alloc(8))
            a.inject("vmalloc", 1)
            with pytest.raises(PercpuMemoryError, match="vmalloc"):
                a.alloc(4, align=4)
            assert a._partial_failure_count() == failures
            a.free_many(ptrs)


def test_half_done_may_leave_a_chunk_in_its_old_slot(tiny: Make) -> None:
    # 32 free bytes are slot 3; without the head of 2 bytes, 30 would be slot 2
    with tiny(first_chunk="remap", unit_size=1024, free_size=242) as a:
        a.alloc_many([16] * 13)
        a.alloc(2, align=1)
        a.inject("vmalloc", 1)
        with pytest.raises(PercpuMemoryError, match="vmalloc"):
            a.alloc(4, align=4)
        assert a.state().chunks[0].free_size == 30
        assert a.state().slots[3] == (0,)
        a.alloc(4, align=4)  # from 30 to 26: one slot, so the chunk is not moved
        assert a.state().slots[3] == (0,)
        a.validate()
        a.alloc(12, align=4)  # to 14: another one
        assert a.state().slots[1] == (0,)
