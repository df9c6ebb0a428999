# SPDX-License-Identifier: GPL-2.0-only
"""percpu_stats() and trace_to() under the policy of bitmaps: what today's kernel prints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Kind

from percpu_ffi import PerCpu, PercpuMemoryError, Trace
from percpu_ffi.geometry import Geometry
from percpu_ffi.stats import Chunk, Dump, figures

# two CPUs, pages of 64 bytes, units of 1 KiB.  Static area, reserved chunk and first chunk share
# pages; what a chunk does not serve of its pages is hidden (x):
#
#   |S 100          |r 40  |d 100         |
#   0       64      100    140    192   240
#           |xxxxxxx|r 36..76 |xxxxxxxxxx|      reserved chunk, from 64 on
#                  |xxx|d 12..112      |xx|      first chunk, from 128 on
SHARED: dict[str, Any] = {
    "policy": "bitmap",
    "cpus": 2,
    "static_size": 100,
    "reserved_size": 40,
    "dyn_size": 100,
    "unit_size": 1024,
    "page_size": 64,
    "memory": "none",
}


def of(dump: Dump, *names: str) -> list[list[int]]:
    return [[chunk.fields[name] for name in names] for chunk in dump.chunks]


def test_geometry_of_a_real_kernel(kind: Kind) -> None:
    """The section of a machine that has it, with two units in each large page."""
    kernel = Dump.parse((SAMPLES / "percpu_stats.txt").read_text())
    setup = Geometry.load(SAMPLES / "percpu_stats.txt").setup("bitmap")
    with kind(**{**setup, "cpus": 2, "page_size": 4096}) as a:
        ours = figures(a)
    assert ours.allocation == kernel.allocation
    assert [*ours.totals] == [*kernel.totals]
    assert [*ours.chunks[0].fields] == [*kernel.chunks[0].fields]


def test_unit_of_several_large_pages(kind: Kind) -> None:
    with kind(policy="bitmap", memory="none", unit_size=4 << 20) as a:
        allocation = figures(a).allocation
    assert (allocation["atom_size"], allocation["alloc_size"]) == (2 << 20, 4 << 20)


def test_hidden_granules_are_no_areas(kind: Kind) -> None:
    """Free bytes and hints count what a chunk serves; positions count from its start."""
    with kind(**SHARED, balance="manual") as a:
        dump = figures(a)
    assert dump.allocation["reserved_size"] == 40
    assert dump.allocation["dyn_size"] == 100
    assert [chunk.title for chunk in dump.chunks] == [
        "Chunk: <- Reserved Chunk",
        "Chunk: <- First Chunk",
    ]
    assert of(dump, "nr_alloc", "first_bit", "free_bytes", "contig_bytes", "sum_frag") == [
        [0, 36 // 4, 40, 40, 0],
        [0, 12 // 4, 100, 100, 0],
    ]
    # the kernel does not count the reserved chunk, which is a part of the first unit
    assert dump.totals["nr_chunks"] == dump.totals["nr_max_chunks"] == 1
    assert dump.totals["min_alloc_size"] == 1024


# |xxx|a 12|..20..|b 4|......64......|xxxx|
#     12   24     44  48            112
def test_areas_of_the_first_and_the_reserved_chunk(kind: Kind) -> None:
    with kind(**SHARED, balance="manual") as a:
        a.alloc_gfp(8, 4, reserved=True)
        a.alloc_gfp(28, 4, reserved=True)
        a.alloc(12, 4)
        freed = a.alloc(20, 4)
        a.alloc(3, 1)  # rounded up to a granule
        a.free(freed)
        dump = figures(a)
    reserved, first = (dict(chunk.fields) for chunk in dump.chunks)
    assert first == {
        "nr_alloc": 2,
        "max_alloc_size": 20,
        "empty_pop_pages": 0,
        "first_bit": 24 // 4,
        "free_bytes": 84,
        "contig_bytes": 64,
        "sum_frag": 20,  # not what is after the last area
        "max_frag": 20,
        "cur_min_alloc": 4,
        "cur_med_alloc": 4,
        "cur_max_alloc": 12,
    }
    assert [reserved[name] for name in ("nr_alloc", "free_bytes", "cur_max_alloc")] == [2, 4, 28]
    assert {name: dump.totals[name] for name in dump.totals if "alloc" in name} == {
        "nr_alloc": 5,
        "nr_dealloc": 1,
        "nr_cur_alloc": 4,
        "nr_max_alloc": 5,
        "min_alloc_size": 4,
        "max_alloc_size": 28,
    }


def test_a_reserved_chunk_at_the_start_of_a_page(kind: Kind) -> None:
    """Nothing is hidden at its start: its first area counts."""
    with kind(**{**SHARED, "static_size": 62, "reserved_size": 64}) as a:  # 62 is 64 here
        a.alloc_gfp(4, 4, reserved=True)
        a.alloc(4)
        assert of(figures(a), "nr_alloc", "first_bit")[:2] == [[1, 1], [1, 1]]


# a page of chunk 1:  |aaaaaaaa|bbbb....|    b is freed within its page: the kernel's chunk does not
#                                            learn of the run, so its hint stays
def test_contig_bytes_are_the_hint_and_not_the_largest_run(kind: Kind) -> None:
    whole = {**SHARED, "dyn_size": 4, "reserved_size": 0}
    for fixes, hint in (((), 0), (("chunk-hint",), 32)):
        with kind(**whole, fixes=fixes, balance="manual") as a:
            a.alloc(4, 4)
            areas = [a.alloc(32) for _ in range(32)]  # chunk 1 is full
            a.free(areas[3])
            (fields,) = (c.fields for c in figures(a).chunks if c.title == "Chunk:")
            assert (fields["free_bytes"], fields["max_frag"]) == (32, 32)
            assert fields["contig_bytes"] == hint
            assert fields["first_bit"] == 3 * 32 // 4


def pages_in_two_chunks(a: PerCpu) -> tuple[list[int], list[int]]:
    """Fill two chunks with areas of a page; return their pointers."""
    a.alloc(4, 4)  # the first chunk
    areas = [a.alloc(64, 64) for _ in range(32)]
    return areas[:16], areas[16:]


def test_empty_pages_and_titles_of_isolated_chunks(kind: Kind) -> None:
    """Isolated, then sidelined: the total leaves out the first, and then they are depopulated."""
    with kind(**{**SHARED, "dyn_size": 4}, balance="manual") as a:
        one, two = pages_in_two_chunks(a)
        for ptr in one[:5]:
            a.free(ptr)
        for ptr in two[:5]:  # over 4 in the other chunk, and a quarter of its own pages
            a.free(ptr)
        dump = figures(a)
        titles = ["Chunk: <- Reserved Chunk", "Chunk: <- First Chunk", "Chunk:"]
        assert [chunk.title for chunk in dump.chunks] == [*titles, "Chunk (to_depopulate)"]
        assert [pages for (pages,) in of(dump, "empty_pop_pages")] == [0, 0, 5, 5]
        assert dump.totals["empty_pop_pages"] == 5
        assert dump.totals["nr_chunks"] == 3
        a.balance()
        dump = figures(a)
        assert [chunk.title for chunk in dump.chunks] == [*titles, "Chunk (sidelined):"]
        assert [pages for (pages,) in of(dump, "empty_pop_pages")] == [0, 0, 5, 0]
        assert Dump.parse(a.percpu_stats()) == dump


def test_first_chunk_keeps_its_title_in_any_slot(kind: Kind) -> None:
    with kind(**SHARED, balance="manual") as a:
        areas = [a.alloc(4, 4) for _ in range(25)]  # full: slot 0
        assert a.state().slots[0] == (0,)
        assert figures(a).chunks[1] == Chunk(
            "Chunk: <- First Chunk",
            {
                "nr_alloc": len(areas),
                "max_alloc_size": 4,
                "empty_pop_pages": 0,
                "first_bit": (192 - 64) // 4,
                "free_bytes": 0,
                "contig_bytes": 0,
                "sum_frag": 0,
                "max_frag": 0,
                "cur_min_alloc": 4,
                "cur_med_alloc": 4,
                "cur_max_alloc": 4,
            },
        )


def lines(text: io.StringIO) -> list[str]:
    return [line.partition(": ")[2] for line in text.getvalue().splitlines() if line[0] == " "]


@pytest.mark.parametrize(
    ("flags", "printed", "gfp"),
    [
        ({}, "reserved=0 is_atomic=0", "GFP_KERNEL"),
        ({"atomic": True}, "reserved=0 is_atomic=1", "GFP_ATOMIC"),
        ({"reserved": True}, "reserved=1 is_atomic=0", "GFP_KERNEL"),
        ({"atomic": True, "reserved": True}, "reserved=1 is_atomic=1", "GFP_ATOMIC"),
    ],
)
def test_flags_of_a_request_in_the_trace(
    kind: Kind, flags: dict[str, bool], printed: str, gfp: str
) -> None:
    """As Linux 6.x prints them; sizes and alignments are whole granules."""
    text = io.StringIO()
    with kind(**SHARED, balance="manual") as a, a.trace_to(text):
        ptr = a.alloc_gfp(5, 1, **flags)
        chunk, offset = a.locate(ptr)
        a.inject("get_vm_area", nth=1)
        with pytest.raises(PercpuMemoryError):
            a.alloc_gfp(500, 2, **flags)
        a.free(ptr)
    assert chunk == (-1 if "reserved" in flags else 0)
    site = "call_site=test_flags_of_a_request_in_the_trace"
    where = f"base_addr={ptr - offset:016x} off={offset} ptr={ptr:016x}"
    assert lines(text) == [
        f"percpu_alloc_percpu: {site} {printed} size=8 align=4 {where} bytes_alloc=16 "
        f"gfp_flags={gfp}",
        f"percpu_alloc_percpu_fail: {printed} size=500 align=4",
        f"percpu_free_percpu: {where}",
    ]


def test_flags_are_read_back(kind: Kind, tmp_path: Path) -> None:
    with kind(**SHARED) as a, a.trace_to(tmp_path / "t"):
        a.alloc_gfp(8, 8, atomic=True)
        a.alloc_gfp(8, 8, reserved=True)
    assert [op[4:] for op in Trace.load(tmp_path / "t")] == [(("atomic",),), (("reserved",),)]
