# SPDX-License-Identifier: GPL-2.0-only
"""The defects of the 2009 file, shown on the file itself, next to the port.

The names are those of docs/errata.md.  Nothing here is undefined: where the file goes
on to that, it is stopped before, or the step before is what is shown.
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
    """Make the port with settings of TINY, or others."""
    return Allocator(**{**TINY, **changes})


def small(factory: WitnessFactory, **changes: Any) -> Witness:
    """As in TINY: two CPUs, pages of 64 bytes, units of 1 KiB, one page of static area.

    |SSSS|............................................................|
    0    64                                                        1024
    """
    return factory(**{**TINY, **changes})


def lying_chunk(a: Any) -> None:
    """Chunk 1 has four holes of 1 byte, |.b.b.b.bffff####|, but says that 4 bytes fit."""
    singles = [a.alloc(1, align=1) for _ in range(8)]
    four = a.alloc(4)
    a.alloc(1012, align=1)
    for ptr in singles[::2]:
        a.free(ptr)
    # a free raises the hint, and only a scan to the end of the map would lower it
    a.free(four)
    assert a.alloc(4) == four
    chunk = a.state().chunks[1]
    assert (chunk.free_size, chunk.contig_hint, max(chunk.map)) == (4, 4, 1)


def test_walk(strict: WitnessFactory, mended: WitnessFactory) -> None:
    """A chunk moves to the list of the full ones, and takes the walk along.

    ``__alloc_percpu`` asks a chunk whose hint is too high.  The scan finds nothing,
    corrects the hint, and the chunk goes to the end of slot 0.  What follows it
    now is the head of slot 0.  The walk waits for the head of another list, so it takes
    this one for a chunk: it reads hint and map from the array of the lists around it.
    """
    with small(strict, static_size=1024) as w:
        lying_chunk(w)
        with pytest.raises(Undefined, match="head of another list"):
            w.alloc(2, align=1)
        assert w.state().slots[0] == (0, 1)

    with small(mended, static_size=1024) as w, port_of(static_size=1024) as port:
        for a in (w, port):
            lying_chunk(a)
            assert a.locate(a.alloc(2, align=1)) == Location(2, 0)
        assert w.state() == port.state()


def test_rollback(strict: WitnessFactory) -> None:
    """A failed populate gives back what it found, not only what it brought.

    ``pcpu_populate_chunk`` calls ``pcpu_depopulate_chunk`` for the whole range of the
    area, so the page that it shares with its neighbour goes too, while the neighbour is
    in use.
    """
    # |SSSS|ssxx|xxxx|xxx.|    s: 32 bytes in use in page 1, x: wanted, page 3 is not to be had
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


def test_rollback_takes_even_the_static_area(strict: WitnessFactory) -> None:
    """The same, where the neighbour is the kernel's own static data.

    With the 4k set-up the static area may end in mid-page, and the first area begins
    there.
    """
    with small(strict, cpus=1, static_size=96) as w, port_of(cpus=1, static_size=96) as port:
        for a in (w, port):
            a.inject("alloc_page", 1)
            with pytest.raises(PercpuMemoryError):
                a.alloc(64)
        assert w.state().chunks[0].populated[:3] == (1, 0, 0)
        assert port.state().chunks[0].populated[:3] == (1, 1, 0)


def test_map_null(strict: WitnessFactory, mended: WitnessFactory) -> None:
    """``alloc_pcpu_chunk`` writes the first entry of a map that it did not get.

    The chunk itself is checked, its map is not.  In a kernel the write hits address 0.
    """
    with small(strict) as w:
        w.alloc(960)
        w.inject("kmalloc", 2)
        with pytest.raises(Undefined, match="write through NULL"):
            w.alloc(8)

    with small(mended) as w, port_of() as port:
        for a in (w, port):
            a.alloc(960)
            a.inject("kmalloc", 2)
            with pytest.raises(PercpuMemoryError, match="kmalloc failed"):
                a.alloc(8)
        assert w.state() == port.state()
        assert w.counters() == port.counters()


def test_align_0(strict: WitnessFactory) -> None:
    """Alignment 0 rounds every offset to 0: the area overlaps the static one.

    The gap before it comes out negative, is no reason for anything, and is written into
    the map as if in use: the map says more bytes than a unit has.
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
    """One that is no power of two misplaces: ALIGN() knows bits, not multiples."""
    with small(strict) as w:
        offset = w.raw_alloc(8, align) - w.static_ptr
        assert offset == 64
        assert offset % align
    with port_of() as port, pytest.raises(InvalidRequest, match="power of two"):
        port.alloc(8, align)


def test_small_unit(strict: WitnessFactory) -> None:
    """A unit below 16 pages cannot hold the largest request, which is tried all the same.

    Each such request makes a chunk, finds no room in it, and leaves it there.
    """
    with strict.raw(first_chunk="embed", unit_size=512, free_size=448) as w:
        for chunks in (2, 3, 4):
            assert w.raw_alloc(600) == 0
            assert len(w.state().chunks) == chunks
        assert w.state().slots[-1] == (3, 2, 1)
    with pytest.raises(ConfigError, match="16 pages"):
        port_of(first_chunk="embed", unit_size=512, free_size=448)


def test_end_offset(strict: WitnessFactory) -> None:
    """``pcpu_free_area`` takes the end of the map for an entry of it.

    The walk along the map ends at offset unit_size with the index after the last entry,
    and the index is not checked.  Here the map has spare room there, with what an
    earlier merge left there: the chunk believes that 160 bytes came back.  Where the
    map is full, memory after it is read and written.
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
    """An offset is kept in an int: a pointer that is 2^32 too high frees the area."""
    with small(strict) as w, port_of() as port:
        ptr = w.alloc(8)
        w.raw_free(ptr + 2**32)
        assert w.state().chunks[0].map == (-64, 960)
        assert port.alloc(8) == ptr
        with pytest.raises(WildPointer):
            port.free(ptr + 2**32)


def test_static_free(strict: WitnessFactory) -> None:
    """The static area is an entry of the map like any other, so it can be freed.

    The next request that fits gets the memory of the kernel's static variables, cleared.
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
    """The first chunk has no map before its first request, and a free does not ask.

    The walk along no entries ends at offset 0, so every other offset is a BUG.  Offset 0,
    the static area, reads and writes through NULL; that is not shown.
    """
    with small(strict) as w, port_of() as port:
        with pytest.raises(KernelBug, match="off != freeme"):
            w.raw_free(w.static_ptr + 64)
        with pytest.raises(DoubleFree):
            port.free(port.static_ptr + 64)


def test_int_sizes(strict: WitnessFactory) -> None:
    """The size of a chunk is an int: 1,024 units of 2 MiB come out as -2 GiB.

    As an unsigned long that is nearly the whole address space.  ``num_possible_cpus`` is
    unsigned here, which makes the product a defined one; the kernel's was an int.
    """
    settings: dict[str, Any] = {"cpus": 1024, "page_size": 4096, "unit_size": 2 << 20}
    with strict.raw(static_size=8192, **settings) as w:
        assert w.asked() == 2**64 - 2**31  # vm_area_register_early
    with strict.raw(first_chunk="remap", static_size=4096, free_size=4096, **settings) as w:
        assert w.raw_alloc(4096) > 0
        assert w.raw_alloc(64) == 0
        assert w.asked() == 2**64 - 2**31  # get_vm_area
    settings["memory"] = "none"
    with Allocator(first_chunk="remap", static_size=4096, free_size=4096, **settings) as port:
        port.alloc(4096)
        assert port.locate(port.alloc(64)) == Location(1, 0)


def test_null_pointer(strict: WitnessFactory) -> None:
    """A per-CPU pointer is a distance, and a distance may be 0.

    On x86 it was address - pcpu_base_addr + __per_cpu_start.  Here the first chunk is
    a block above the other chunks, and as far above them as __per_cpu_start is high.
    The area at the start of chunk 1 is there, but its pointer says that it is not, and
    ``free_percpu`` does nothing with it.
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
    """A gap of 2 bytes is given to the area before it, then the map cannot grow.

    ``pcpu_split_block`` fails after ``pcpu_alloc_area`` has changed the map, and the
    change stays.  It is harmless, and the port does the same.
    """
    with small(strict) as w, port_of() as port:
        for a in (w, port):
            # 15 entries in use and the rest fill the 16 that there are
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
