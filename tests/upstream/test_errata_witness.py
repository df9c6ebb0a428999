# SPDX-License-Identifier: GPL-2.0-only
"""The defects of the 2009 file, shown on the file itself, next to the port.

The names are those of docs/errata.md.  No test runs into undefined behaviour: the witness
stops before it, or the test shows only the steps before it.
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import (
    Allocator,
    ConfigError,
    DoubleFree,
    InvalidRequest,
    Location,
    OtherUnitPointer,
    PercpuMemoryError,
    StaticPointer,
    WildPointer,
)
from upstream.witness import KernelBug, Undefined, Witness, WitnessFactory


def port_of(**changes: Any) -> Allocator:
    """Create a port with the settings of TINY and some changes."""
    return Allocator(**{**TINY, **changes})


def small(factory: WitnessFactory, **changes: Any) -> Witness:
    """Create a witness as in TINY: 2 CPUs, pages of 64 bytes, units of 1 KiB, 1 static page.

    |SSSS|............................................................|
    0    64                                                        1024
    """
    return factory(**{**TINY, **changes})


def make_stale_hint(a: Any) -> None:
    """Leave chunk 1 with 4 free ranges of 1 byte, |.b.b.b.bffff####|, and a contig hint of 4."""
    singles = [a.alloc(1, align=1) for _ in range(8)]
    four = a.alloc(4)
    a.alloc(1012, align=1)
    for ptr in singles[::2]:
        a.free(ptr)
    # a free raises the contig hint, and only a scan to the end of the map lowers it
    a.free(four)
    assert a.alloc(4) == four
    chunk = a.state().chunks[1]
    assert (chunk.free_size, chunk.contig_hint, max(chunk.map)) == (4, 4, 1)


def test_walk(strict: WitnessFactory, fixed: WitnessFactory) -> None:
    """A chunk moves to slot 0 during a walk, and the walk follows it there.

    ``__alloc_percpu`` tries a chunk whose contig hint is too high.  The scan finds no free
    range, corrects the hint, and the chunk moves to the end of slot 0.  Its successor is now
    the head of slot 0.  The walk ends only at the head of its own list, so it takes this head
    for a chunk: it reads hint and map from the array of lists.
    """
    with small(strict, static_size=1024) as w:
        make_stale_hint(w)
        with pytest.raises(Undefined, match="head of another list"):
            w.alloc(2, align=1)
        assert w.state().slots[0] == (0, 1)

    with small(fixed, static_size=1024) as w, port_of(static_size=1024) as port:
        for a in (w, port):
            make_stale_hint(a)
            assert a.locate(a.alloc(2, align=1)) == Location(2, 0)
        assert w.state() == port.state()


def test_rollback(strict: WitnessFactory) -> None:
    """A failed populate also frees pages that were populated before.

    ``pcpu_populate_chunk`` calls ``pcpu_depopulate_chunk`` for the whole range of the
    area.  This frees the page that the area shares with its neighbour, although the
    neighbour is live.
    """
    # |SSSS|ssxx|xxxx|xxx.|    s: 32 live bytes in page 1, x: requested, page 3 is not available
    pages = {}
    with small(strict, cpus=1) as w, port_of(cpus=1) as port:
        for a in (w, port):
            a.alloc(32)
            a.inject("alloc_page", 2)
            with pytest.raises(PercpuMemoryError):
                a.alloc(144)
            (chunk,) = a.state().chunks
            assert chunk.map == (-64, -32, 928)
            pages[a] = chunk.populated[:4]
        assert pages == {w: (1, 0, 0, 0), port: (1, 1, 0, 0)}


def test_rollback_frees_a_page_of_the_static_area(strict: WitnessFactory) -> None:
    """The neighbour can be the static area.

    With the 4k set-up the static area may end within a page, and the first area starts in
    the same page.
    """
    with small(strict, cpus=1, static_size=96) as w, port_of(cpus=1, static_size=96) as port:
        for a in (w, port):
            a.inject("alloc_page", 1)
            with pytest.raises(PercpuMemoryError):
                a.alloc(64)
        assert w.state().chunks[0].populated[:3] == (1, 0, 0)
        assert port.state().chunks[0].populated[:3] == (1, 1, 0)


def test_map_null(strict: WitnessFactory, fixed: WitnessFactory) -> None:
    """``alloc_pcpu_chunk`` writes the first entry of a map whose allocation failed.

    It checks the allocation of the chunk, but not that of the map.  In a kernel the write
    goes to address 0.
    """
    with small(strict) as w:
        w.alloc(960)
        w.inject("kmalloc", 2)
        with pytest.raises(Undefined, match="write through NULL"):
            w.alloc(8)

    with small(fixed) as w, port_of() as port:
        for a in (w, port):
            a.alloc(960)
            a.inject("kmalloc", 2)
            with pytest.raises(PercpuMemoryError, match="kmalloc failed"):
                a.alloc(8)
        assert w.state() == port.state()
        assert w.counters() == port.counters()


def test_align_0(strict: WitnessFactory) -> None:
    """Alignment 0 rounds every offset down to 0: the area overlaps the static area.

    The size of the head is negative.  It is written to the map, where a negative number is
    an area in use: the map then has more bytes than a unit.
    """
    with small(strict) as w:
        w.alloc(8)
        assert w.raw_alloc(8, align=0) == w.static_ptr
        (chunk,) = w.state().chunks
        assert chunk.map == (-64, -8, -72, -8, 1016)
        assert sum(map(abs, chunk.map)) > w.unit_size
    with port_of() as port, pytest.raises(InvalidRequest, match="power of two"):
        port.alloc(8, align=0)


@pytest.mark.parametrize("align", [3, 6, 24])
def test_align(strict: WitnessFactory, align: int) -> None:
    """An alignment that is not a power of two gives a wrong offset: ALIGN() only masks bits."""
    with small(strict) as w:
        offset = w.raw_alloc(8, align) - w.static_ptr
        assert offset == 64
        assert offset % align
    with port_of() as port, pytest.raises(InvalidRequest, match="power of two"):
        port.alloc(8, align)


def test_small_unit(strict: WitnessFactory) -> None:
    """A unit below 16 pages is too small for the largest request, which is not refused.

    Each such request creates a chunk, finds no room in it, and does not destroy it.
    """
    with strict.raw(first_chunk="embed", unit_size=512, free_size=448) as w:
        for chunks in (2, 3, 4):
            assert w.raw_alloc(600) == 0
            assert len(w.state().chunks) == chunks
        assert w.state().slots[-1] == (3, 2, 1)
    with pytest.raises(ConfigError, match="16 pages"):
        port_of(first_chunk="embed", unit_size=512, free_size=448)


def test_end_offset(strict: WitnessFactory) -> None:
    """``pcpu_free_area`` takes the end of the map for an entry.

    The walk along the map ends at offset unit_size with the index after the last entry, and
    the index is not checked.  Here the map has unused entries after the last one, with the
    remains of an earlier merge: the chunk counts 160 bytes as freed.  If the map is full,
    memory after it is read and written.
    """
    end = 64 + 1024
    with small(strict) as w, port_of() as port:
        for a in (w, port):
            # |SSSS|aaaa...|bbbb...|ccc|  then  |SSSS|ddddddd.......|ccc|
            first, second, _ = a.alloc(400), a.alloc(400), a.alloc(160)
            a.free(second)
            a.free(first)
            a.alloc(800)
            (chunk,) = a.state().chunks
            assert chunk.map == (-64, -800, -160)
            assert (chunk.free_size, chunk.map_alloc) == (0, 16)
        w.raw_free(end)
        (chunk,) = w.state().chunks
        assert chunk.map == (-64, -800, -160)
        assert chunk.free_size == 160
        with pytest.raises(OtherUnitPointer):
            port.free(end)


def test_truncated(strict: WitnessFactory) -> None:
    """An offset is stored in an int: a pointer that is 2^32 too high frees the area."""
    with small(strict) as w, port_of() as port:
        ptr = w.alloc(8)
        w.raw_free(ptr + 2**32)
        assert w.state().chunks[0].map == (-64, 960)
        assert port.alloc(8) == ptr
        with pytest.raises(WildPointer):
            port.free(ptr + 2**32)


def test_static_free(strict: WitnessFactory) -> None:
    """The static area is a map entry like any other, so it can be freed.

    The next request that fits gets the memory of the kernel's static variables, zeroed.
    """
    with small(strict) as w, port_of() as port:
        w.alloc(8)
        w.raw_free(w.static_ptr)
        assert w.state().chunks[0].map == (64, -8, 952)
        assert w.raw_alloc(64) == w.static_ptr
        port.alloc(8)
        with pytest.raises(StaticPointer):
            port.free(port.static_ptr)


def test_no_map(strict: WitnessFactory) -> None:
    """The first chunk has no map before its first request, and a free does not check this.

    The walk along no entries ends at offset 0, so every other offset is a BUG.  A free of
    offset 0, the static area, reads and writes through NULL; the test does not show it.
    """
    with small(strict) as w, port_of() as port:
        with pytest.raises(KernelBug, match="off != freeme"):
            w.raw_free(w.static_ptr + 64)
        with pytest.raises(DoubleFree):
            port.free(port.static_ptr + 64)


def test_int_sizes(strict: WitnessFactory) -> None:
    """The size of a chunk is an int: 1,024 units of 2 MiB become -2 GiB.

    As an unsigned long that is nearly the whole address space.  ``num_possible_cpus`` is
    unsigned here, so that the product is defined; in the kernel it was an int.
    """
    settings: dict[str, Any] = {"cpus": 1024, "page_size": 4096, "unit_size": 2 << 20}
    with strict.raw(static_size=8192, **settings) as w:
        assert w.requested() == 2**64 - 2**31  # vm_area_register_early
    with strict.raw(first_chunk="remap", static_size=4096, free_size=4096, **settings) as w:
        assert w.raw_alloc(4096) > 0
        assert w.raw_alloc(64) == 0
        assert w.requested() == 2**64 - 2**31  # get_vm_area
    settings["memory"] = "none"
    with Allocator(first_chunk="remap", static_size=4096, free_size=4096, **settings) as port:
        port.alloc(4096)
        assert port.locate(port.alloc(64)) == Location(1, 0)


def test_null_pointer(strict: WitnessFactory) -> None:
    """A per-CPU pointer is a difference of addresses, which can be 0.

    On x86 it was address - pcpu_base_addr + __per_cpu_start.  Here the first chunk is a
    block above the other chunks, at a distance of __per_cpu_start.  So the pointer of the
    area at the start of chunk 1 is NULL: the caller takes the request as failed, and
    ``free_percpu`` ignores the pointer.
    """
    block, below = 1 << 20, 64
    per_cpu_start = block - below
    with strict.raw(
        first_chunk="embed",
        unit_size=1024,
        free_size=960,
        block=block,
        first_area=below,
        pointer_zero=block - per_cpu_start,
    ) as w:
        assert w.raw_alloc(960) == per_cpu_start + 64
        assert w.raw_alloc(8) == 0
        assert w.state().chunks[1].map == (-8, 1016)
        assert w.raw_alloc(8) == 8
        w.raw_free(0)
        assert w.state().chunks[1].map == (-8, -8, 1008)
    with port_of(first_chunk="embed", unit_size=1024) as port:
        port.alloc(960)
        assert port.alloc(8) > port.static_ptr > 0


def test_half_done(strict: WitnessFactory) -> None:
    """A head of 2 bytes is added to the area before it, then the map cannot grow.

    ``pcpu_split_block`` fails after ``pcpu_alloc_area`` has changed the map, and the
    change remains.  It is harmless, and the port does the same.
    """
    with small(strict) as w, port_of() as port:
        for a in (w, port):
            # 15 entries in use and one free range fill the map of 16 entries
            for _ in range(13):
                a.alloc(16)
            a.alloc(2, align=1)
            a.inject("vmalloc", 1)
            with pytest.raises(PercpuMemoryError, match="vmalloc failed"):
                a.alloc(4, align=4)
            (chunk,) = a.state().chunks
            assert chunk.map[-2:] == (-4, 748)
            assert a.locate(a.alloc(4, align=4)) == Location(0, 276)
        assert w.state() == port.state()
        assert w.counters() == port.counters()
