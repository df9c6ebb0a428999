# SPDX-License-Identifier: GPL-2.0-only
"""The model of the bitmap policy, rule by rule.

Maps are drawn with a character for each granule of 4 bytes, # in use and . free; a page here has
16 granules.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from percpu_ffi import (
    Allocator,
    ConfigError,
    DoubleFree,
    InteriorPointer,
    InvalidRequest,
    Location,
    Model,
    OtherUnitPointer,
    PercpuError,
    PercpuMemoryError,
    StaticPointer,
    Trace,
    WildPointer,
)
from percpu_ffi.config import Config
from percpu_ffi.lockstep import lockstep
from percpu_ffi.model.bitmap.bits import Bits
from percpu_ffi.model.bitmap.block import Hints
from percpu_ffi.model.bitmap.chunk import BitmapChunk, Run
from percpu_ffi.model.bitmap.first_chunk import best_unit_size, first_unit
from percpu_ffi.model.bitmap.policy import Bitmap
from percpu_ffi.model.memory import Memory
from percpu_ffi.model.rules import Rules
from percpu_ffi.state import Choice

BOTH = {"port": Allocator, "model": Model}

# pages of 64 bytes; the first chunk has one page, so areas come from chunks of 8 pages
TINY: dict[str, Any] = {
    **{"policy": "bitmap", "cpus": 1, "page_size": 64, "memory": "none"},
    **{"static_size": 64, "dyn_size": 64, "unit_size": 512},
}


# --- bits


def test_bits() -> None:
    bits = Bits(10)
    bits.fill(3, 6, 1)
    assert bits.hex(" ").count("01") == 3
    assert (bits.next_set(0, 10), bits.next_set(4, 10), bits.next_set(6, 10)) == (3, 4, 10)
    assert (bits.next_set(0, 2), bits.next_set(7, 3)) == (2, 3)
    assert (bits.next_clear(3, 10), bits.next_clear(0, 10), bits.next_clear(3, 5)) == (6, 0, 5)
    assert (bits.after_last_set(0, 10), bits.after_last_set(0, 4)) == (6, 4)
    assert (bits.after_last_set(6, 10), bits.after_last_set(1, 3)) == (6, 1)
    bits.fill(4, 5, 0)
    assert [*bits] == [0, 0, 0, 1, 0, 1, 0, 0, 0, 0]
    assert (bits.next_clear(0, 10), bits.after_last_set(0, 3)) == (0, 0)
    bits.fill(0, 1, 1)
    assert (bits.next_set(0, 10), bits.after_last_set(0, 3)) == (0, 1)


# --- hints


def hints(
    *, contig: tuple[int, int] = (0, 0), scan: tuple[int, int] = (0, 0), mended: bool = False
) -> Hints:
    """Return hints of 64 granules; ``contig`` and ``scan`` are start and length."""
    made = Hints(64, mended=mended, rules=Rules())
    made.set_full()
    made.first_free = 50
    made.contig_hint_start, made.contig_hint = contig
    made.scan_hint_start, made.scan_hint = scan
    return made


@pytest.mark.parametrize(
    ("contig", "scan", "run", "expected_contig", "expected_scan"),
    [
        # longer, after the contig hint, which becomes the scan hint
        ((10, 4), (0, 0), (20, 5), (20, 5), (10, 4)),
        ((10, 4), (2, 3), (20, 5), (20, 5), (10, 4)),
        # but not where the scan hint is as long; that is lost if it is after the new run
        ((10, 4), (2, 4), (20, 5), (20, 5), (2, 4)),
        ((10, 4), (30, 4), (20, 5), (20, 5), (30, 0)),
        # longer, before the contig hint: nothing larger can be skipped
        ((10, 4), (2, 3), (4, 5), (4, 5), (2, 0)),
        ((10, 4), (2, 3), (10, 5), (10, 5), (2, 0)),
        # equal, better aligned: 16 has more trailing zero bits than 10
        ((10, 4), (2, 3), (16, 4), (16, 4), (2, 3)),
        ((10, 4), (20, 3), (16, 4), (16, 4), (20, 0)),
        ((10, 4), (20, 4), (16, 4), (16, 4), (20, 4)),
        ((10, 4), (2, 3), (0, 4), (0, 4), (2, 0)),
        ((10, 4), (16, 3), (16, 4), (16, 4), (16, 3)),
        # equal, no better: a scan hint
        ((8, 4), (2, 3), (20, 4), (8, 4), (20, 4)),
        ((8, 4), (30, 3), (20, 4), (8, 4), (20, 4)),
        ((8, 4), (30, 4), (20, 4), (8, 4), (30, 4)),
        ((0, 4), (0, 0), (16, 4), (0, 4), (16, 4)),  # nothing is better than 0
        # shorter, before the contig hint: the longest is the scan hint, of equal ones the last
        ((20, 9), (0, 0), (4, 3), (20, 9), (4, 3)),
        ((20, 9), (4, 3), (10, 2), (20, 9), (4, 3)),
        ((20, 9), (4, 3), (10, 3), (20, 9), (10, 3)),
        ((20, 9), (10, 3), (4, 3), (20, 9), (10, 3)),
        # shorter, after it: not kept
        ((20, 9), (0, 0), (40, 8), (20, 9), (0, 0)),
        ((20, 9), (0, 0), (20, 8), (20, 9), (0, 0)),
    ],
)
def test_learn(
    contig: tuple[int, int],
    scan: tuple[int, int],
    run: tuple[int, int],
    expected_contig: tuple[int, int],
    expected_scan: tuple[int, int],
) -> None:
    known = hints(contig=contig, scan=scan)
    known.learn(run[0], sum(run))
    assert (known.contig_hint_start, known.contig_hint) == expected_contig
    assert (known.scan_hint_start, known.scan_hint) == expected_scan
    assert known.first_free == min(run[0], 50)


def test_learn_edges() -> None:
    known = hints()
    known.learn(0, 3)
    assert (known.left_free, known.right_free) == (3, 0)
    known.learn(60, 64)
    assert (known.left_free, known.right_free) == (3, 4)


def test_start_of_no_run_counts_unless_mended() -> None:
    """The start of a contig hint of 0 stays, and takes part in comparisons: the fix ends that."""
    for mended, scan in ((False, 0), (True, 2)):
        known = hints(contig=(30, 0), scan=(4, 2), mended=mended)
        known.learn(20, 25)
        assert (known.contig_hint_start, known.contig_hint) == (20, 5)
        assert known.scan_hint == scan


@pytest.mark.parametrize(
    ("bits", "align", "fits"), [(5, 1, True), (6, 1, False), (3, 4, True), (4, 4, False)]
)
def test_door(bits: int, align: int, fits: bool) -> None:
    """|..........#####.....|: the contig hint at 10 has 5 granules, from 12 on only 3."""
    assert hints(contig=(10, 5)).fits(bits, align) == fits


@pytest.mark.parametrize(
    ("contig", "scan", "start"),
    [((20, 9), (4, 3), 7), ((20, 9), (4, 4), 50), ((2, 9), (4, 3), 50), ((20, 9), (4, 0), 50)],
)
def test_skip(contig: tuple[int, int], scan: tuple[int, int], start: int) -> None:
    """A request for 4 passes a scan hint of 3, if the contig hint is after it."""
    assert hints(contig=contig, scan=scan).next_hint(4) == start


# --- a chunk


def chunk(drawing: str = "", *, mended: bool = False) -> BitmapChunk:
    """Return a chunk of three pages; each # of the drawing is an area of a granule."""
    made = BitmapChunk(1, 3, Memory(192, 1, 64), page_size=64, mended=mended, rules=Rules())
    made.populated = [1] * 3
    for at, granule in enumerate(drawing.replace("|", "")):
        if granule == "#":
            made.take(at, 1)
    return made


def drawn(made: BitmapChunk) -> str:
    text = "".join(".#"[bit] for bit in made.used)
    return "|".join(text[at : at + 16] for at in range(0, 48, 16))


def first_place(made: BitmapChunk, bits: int, align: int = 1) -> int | None:
    at = made.find_fit(bits, align, populated_only=False)
    return None if at is None else made.find_place(at, bits, align)[0]


def test_first_fit_of_what_the_hints_know() -> None:
    made = chunk("..#....#........|........#.......|................")
    assert drawn(made) == "..#....#........|........#.......|................"
    assert first_place(made, 1) == 0
    assert first_place(made, 3) == 3
    assert first_place(made, 16) == 8  # from one block into the next
    assert first_place(made, 23) == 25
    assert first_place(made, 24) is None
    assert first_place(made, 4, 8) == 8
    assert made.sizes()[:4] == [8, -4, 16, -4]


def test_area_in_the_middle_of_a_run_that_a_block_knows() -> None:
    """The run before it is learnt from the map, since the contig hint is lost."""
    made = chunk()
    assert made.take(4, 4) == 1  # a block was all free
    block = made.blocks[0]
    assert (block.contig_hint_start, block.contig_hint) == (8, 8)
    assert (block.scan_hint_start, block.scan_hint) == (0, 4)
    assert (block.left_free, block.right_free, block.first_free) == (4, 8, 0)
    assert (made.hints.contig_hint_start, made.hints.contig_hint) == (8, 40)


def test_area_over_three_blocks() -> None:
    made = chunk()
    assert made.take(12, 24) == 3
    assert drawn(made) == "............####|################|####............"
    left, middle, right = (block.describe() for block in made.blocks)
    assert (left.contig_hint, left.left_free, left.right_free) == (12, 12, 0)
    assert middle[0] == middle.contig_hint == middle.left_free == middle.right_free == 0
    assert (right.contig_hint, right.left_free, right.right_free, right.first_free) == (
        12,
        0,
        12,
        4,
    )
    assert made.area_end(12) == 36
    assert made.release(12) == 3
    assert [block.describe() for block in made.blocks] == [
        block.describe() for block in chunk().blocks
    ]
    assert (made.free_bits, made.hints.contig_hint) == (48, 48)


@pytest.mark.parametrize(
    ("drawing", "at", "bits", "contig", "scan", "left", "right"),
    [
        # inside the contig hint: learnt anew; the run at the edge is the only one
        ("................", 4, 4, (8, 8), (0, 4), 4, 8),
        ("................", 0, 4, (4, 12), (0, 0), 0, 12),
        ("................", 12, 4, (0, 12), (0, 0), 12, 0),
        # in a run at an edge, where the contig hint is elsewhere
        ("....#......#....", 1, 2, (5, 6), (0, 0), 1, 4),
        ("....#......#....", 0, 4, (5, 6), (0, 0), 0, 4),
        ("....#......#....", 12, 2, (5, 6), (0, 4), 4, 2),
        ("....#......#....", 13, 1, (5, 6), (0, 4), 4, 2),
        ("....#......#....", 12, 4, (5, 6), (0, 4), 4, 0),
        # the scan hint takes the place of a contig hint that is lost
        ("....#......#....", 5, 6, (0, 4), (12, 4), 4, 4),
        # so does one at the right edge, and what is free there is not in the right hint
        ("....########....", 0, 2, (12, 4), (0, 0), 0, 0),
        ("....####....####", 0, 2, (8, 4), (0, 0), 0, 0),
    ],
)
def test_area_in_a_block(
    drawing: str,
    at: int,
    bits: int,
    contig: tuple[int, int],
    scan: tuple[int, int],
    left: int,
    right: int,
) -> None:
    made = chunk(f"{drawing}|{'#' * 16}|{'#' * 16}")
    made.rules.clear()
    made.take(at, bits)
    block = made.blocks[0]
    assert (block.contig_hint_start, block.contig_hint) == contig
    assert (block.scan_hint, block.scan_hint and block.scan_hint_start) == scan[::-1]
    assert (block.left_free, block.right_free) == (left, right)
    assert made.rules["promoted scan hint at the right edge"] == (contig == (12, 4))


@pytest.mark.parametrize(
    ("scan_start", "contig_start", "scan", "contig", "right"),
    [(3, 8, 0, 8, 4), (4, 8, 2, 8, 4), (5, 4, 2, 8, 4), (5, 3, 2, 9, 9)],
)
def test_end_of_an_area_in_the_next_block(
    scan_start: int, contig_start: int, scan: int, contig: int, right: int
) -> None:
    """It takes granules 0 to 4.  Hints that begin before its end are lost, those at it are not.

    What the hints here say is not so, which only shows whether the map is read.
    """
    made = chunk()
    block = made.blocks[1]
    block.scan_hint_start, block.scan_hint = scan_start, 2
    block.contig_hint_start, block.contig_hint = contig_start, 8
    block.right_free = 4
    made.take(12, 8)
    assert (block.left_free, block.right_free) == (0, right)
    assert (block.scan_hint, block.contig_hint) == (scan, contig)


def test_freed_run_that_the_chunk_does_not_learn() -> None:
    """All is in use; a free inside the second page raises its block's hint, not the chunk's.

    Linux 5.2 and later pass the end of the run in the block where that in the chunk is needed.
    """
    full = "################"
    for mended, contig in ((False, 0), (True, 2)):
        made = chunk("|".join([full] * 3), mended=mended)
        made.release(20)
        made.release(21)
        made.release(30)
        assert (made.blocks[1].contig_hint_start, made.blocks[1].contig_hint) == (4, 2)
        assert (made.hints.contig_hint, made.hints.first_free) == (contig, 20)
        assert first_place(made, 2) == (20 if mended else None)
        assert made.rules["chunk does not learn a freed run"] == 3 * (not mended)


def test_freed_run_in_the_first_page_is_learnt() -> None:
    made = chunk("|".join(["################"] * 3))
    made.release(3)
    assert (made.hints.contig_hint_start, made.hints.contig_hint) == (3, 1)


def test_freed_page_is_learnt() -> None:
    """Then the blocks' hints are read again."""
    made = chunk("|".join(["################"] * 3))
    assert [made.release(at) for at in range(16, 32)] == [0] * 15 + [1]
    assert (made.hints.contig_hint_start, made.hints.contig_hint) == (16, 16)


def test_atomic_search_passes_pages_that_are_not_populated() -> None:
    made = chunk()
    made.populated = [0, 1, 0]
    assert made.find_fit(4, 1, populated_only=True) == 16
    assert made.find_fit(17, 1, populated_only=True) is None
    assert made.find_fit(17, 1, populated_only=False) == 0
    made.populated = [1, 1, 0]
    assert made.find_fit(32, 1, populated_only=True) == 0
    assert made.find_fit(33, 1, populated_only=True) is None


def test_atomic_search_of_a_run_at_the_right_edge() -> None:
    """The first page is not populated; the last has an aligned place at its right edge only."""
    made = chunk("........########|################|#.....######....")
    made.populated = [0, 1, 1]
    assert made.find_fit(4, 4, populated_only=True) == 44
    assert made.find_fit(4, 4, populated_only=False) == 0
    assert made.find_fit(5, 4, populated_only=True) is None


def test_skipped_run_is_learnt_by_its_block() -> None:
    """A request for 4 aligned to 4 skips 8 to 10; the block knows it from 7 on."""
    made = chunk("#######...#.####|................|................")
    found = made.find_place(7, 4, 4)
    assert found == (16, Run(8, 2))
    made.take(16, 4, found[1])
    assert (made.blocks[0].contig_hint_start, made.blocks[0].contig_hint) == (7, 3)
    assert made.rules["skipped run learnt"] == 1


def test_skipped_run_that_crosses_pages_is_not_learnt() -> None:
    for run, learnt in ((Run(14, 2), True), (Run(14, 3), False)):
        made = chunk("##############..|.#..............|................")
        known = [block.describe() for block in made.blocks]
        made.blocks[0].contig_hint = 0
        made.take(32, 4, run)
        assert (made.blocks[0].describe() == known[0]) == learnt
        assert made.blocks[1].describe() == known[1]
        assert made.rules["skipped run learnt"] == learnt
        assert made.rules["skipped run crosses pages, not learnt"] == (not learnt)


def test_of_equal_skipped_runs_the_better_aligned_is_kept() -> None:
    made = chunk("#..#..#.#.......|................|................")
    assert made.find_place(0, 4, 1) == (9, Run(4, 2))
    made = chunk("..#.#.#.#.......|................|................")
    assert made.find_place(0, 4, 1) == (9, Run(0, 2))


def test_place_is_about_a_block_from_where_the_hints_lead() -> None:
    made = chunk("|".join(["#" + "." * 15, "#" * 16, "#" + "." * 15]))
    assert made.find_place(1, 4, 16) == (None, Run(0, 0))  # 48 is too far
    assert made.find_place(1, 4, 1) == (1, Run(0, 0))
    assert made.rules["map has no place, the hints had"] == 1


# --- set-up


@pytest.mark.parametrize(
    ("cpus", "least", "unit_size"),
    [
        (1, 200_000, 2 << 20),
        (16, 200_000, 256 << 10),
        (2, 200_000, 1 << 20),
        (3, 200_000, 512 << 10),  # one of four units is wasted, a third of three CPUs
        (5, 200_000, 1 << 20),  # three pages of two units waste one; two of four, three
        (6, 200_000, 256 << 10),
        (2, 1 << 20, 1 << 20),
        (2, (1 << 20) + 1, 2 << 20),
        (16, 3 << 20, 2 << 20),  # too small: the set-up refuses it
    ],
)
def test_units_divide_large_pages(cpus: int, least: int, unit_size: int) -> None:
    assert best_unit_size(cpus, least) == unit_size


def test_dynamic_part_fills_whole_pages() -> None:
    """28 KiB, and what is left of the last page."""
    unit = first_unit(Config(static_size=5001, reserved_size=8192, policy="bitmap"))
    assert (unit.reserved, unit.dynamic) == (5004, 13196)
    assert unit.end == 45056 == -(-(13196 + 28672) // 4096) * 4096


def test_largest_unit() -> None:
    assert first_unit(Config(unit_size=1 << 30, policy="bitmap")).unit_size == 1 << 30


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_unit_that_is_too_small(kind: Any) -> None:
    """The parts end at byte 512 of a unit of 512, or at 516."""
    kind(**{**TINY, "dyn_size": 448}).close()
    with pytest.raises(ConfigError, match="a unit has from 8 pages"):
        kind(**{**TINY, "dyn_size": 452})


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_first_units(kind: Any) -> None:
    """|SSS|RR|DDDD|: the reserved chunk is -1, the static area before offset 0 of chunk 0."""
    setup = {**TINY, "static_size": 70, "reserved_size": 40, "dyn_size": 40}
    with kind(**setup) as a:
        reserved, first = a.state().chunks
        assert (reserved.id, first.id) == (-1, 0)
        assert reserved.map == (-8, 40, -16)
        assert first.map == (-48, 40, -40)
        assert (a.chunks, a.pages) == (1, 3)
        base = a.static_ptr
        assert a.locate(base) == Location(0, -64)
        place = a.alloc_gfp(40, reserved=True)
        assert (place - base, a.locate(place)) == (72, Location(-1, 8))
        place = a.alloc(40)
        assert (place - base, a.locate(place)) == (112, Location(0, 48))
        for offset, error in (
            (4, StaticPointer),
            (71, WildPointer),  # between the static area and the first granule
            (76, InteriorPointer),
            (152, WildPointer),
            (512, OtherUnitPointer),
        ):
            if offset < 512:
                with pytest.raises(error):
                    a.locate(base + offset)
        with pytest.raises(StaticPointer):
            a.free(base)


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_bytes_between_static_area_and_first_chunk_are_wild(kind: Any) -> None:
    """A pointer there was taken for an interior one of the area behind it, or for a free one."""
    with kind(**{**TINY, "static_size": 61}) as a:
        for _ in range(2):
            for offset in (61, 62, 63):
                with pytest.raises(WildPointer):
                    a.locate(a.static_ptr + offset)
            assert a.locate(a.alloc(8)) == Location(0, 0)
            a.free(a.static_ptr + 64)


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_set_up_counts_no_work(kind: Any) -> None:
    with kind(**{**TINY, "reserved_size": 64}) as a:
        assert a.work().total == a.work().total.__class__()


# --- requests


@pytest.mark.parametrize("kind", [Allocator, Model])
class TestRequests:
    def test_whole_granules(self, kind: Any) -> None:
        with kind(**TINY) as a:
            for size, align in ((1, 1), (5, 3), (4, 0)):
                a.alloc(size, align)
            assert a.state().chunks[0].map == (-4, -8, -4, 48)

    def test_largest_request_is_eight_pages(self, kind: Any) -> None:
        with kind(**TINY) as a:
            assert a.locate(a.alloc(512)) == Location(1, 0)
            with pytest.raises(InvalidRequest, match=r"1 to 512 bytes \(8 pages\)"):
                a.alloc(513)

    def test_reserved_chunk_serves_modules_alone(self, kind: Any) -> None:
        with kind(**{**TINY, "reserved_size": 64}) as a:
            a.alloc_gfp(64, reserved=True)
            with pytest.raises(PercpuMemoryError) as caught:
                a.alloc_gfp(4, reserved=True)
            assert caught.value.service == "place"
            assert a.locate(a.alloc(64)).chunk == 0
        with kind(**TINY) as a:  # there is no reserved chunk
            assert a.locate(a.alloc_gfp(4, reserved=True)).chunk == 0

    def test_atomic_request_makes_no_chunk_and_asks_for_pages(self, kind: Any) -> None:
        with kind(**TINY, balance="manual") as a:
            a.alloc(64)
            with pytest.raises(PercpuMemoryError):
                a.alloc_gfp(8, atomic=True)
            state = a.state()
            assert (state.balance_requested, state.atomic_failed, a.chunks) == (True, True, 1)
            a.balance()
            state = a.state()
            assert (state.balance_requested, state.atomic_failed) == (False, False)
            assert (state.empty_pages, a.chunks) == (4, 2)
            assert a.locate(a.alloc_gfp(8, atomic=True)) == Location(1, 0)

    def test_work_runs_at_the_end_of_a_call_by_default(self, kind: Any) -> None:
        with kind(**TINY) as a:
            a.alloc(64)
            assert (a.state().empty_pages, a.chunks) == (4, 2)

    def test_failed_page_frees_the_area_but_keeps_runs_before(self, kind: Any) -> None:
        """Pages 0 and 5 of the second chunk are populated; mapping the second run fails."""
        with kind(**{**TINY, "dyn_size": 4, "unit_size": 1024}, balance="manual") as a:
            areas = a.alloc_many([64] * 32, 64)
            a.free_many(areas[:6])
            a.free_many([ptr for at, ptr in enumerate(areas[16:]) if at != 5])
            a.balance()
            assert a.state().chunks[2].populated == (0,) * 5 + (1,) + (0,) * 10
            assert a.state().chunks[2].isolated
            kept = a.alloc_many([64] * 4, 64)
            a.free(areas[21])
            a.balance()
            assert a.state().chunks[2].populated == (1,) + (0,) * 4 + (1,) + (0,) * 10
            assert not a.state().chunks[2].isolated
            a.inject("map", nth=2)
            with pytest.raises(PercpuMemoryError):
                a.alloc(512, 64)
            assert a.state().chunks[2].populated == (1,) * 6 + (0,) * 10
            assert a.state().chunks[2].empty_pages == 6
            if kind is Model:
                rules = a._policy.rules
                assert rules["area not populated"] == 1
                assert rules["area not populated, runs before stay"] == 1
                a.inject("map", nth=1)
                with pytest.raises(PercpuMemoryError):
                    a.alloc(512, 64)
                assert rules["area not populated"] == 2
                assert rules["area not populated, runs before stay"] == 1
            a.validate(dict.fromkeys([*kept, *areas[6:16]], 64))

    def test_views(self, kind: Any) -> None:
        """First chunk, reserved chunk and static area share the first units."""
        setup = {"policy": "bitmap", "cpus": 2, "static_size": 5000, "reserved_size": 4000}
        with kind(**setup, static_image=b"static") as a:
            ptrs = [a.alloc(20), a.alloc_gfp(20, reserved=True), a.alloc(30_000)]
            assert bytes(a.view(a.static_ptr, 1)[:6]) == b"static"
            for ptr in ptrs:
                with a.view(ptr, 1) as view:
                    assert not any(view)
                    view[:] = b"x" * len(view)
            assert not any(a.view(ptrs[0], 0))
            a.free(ptrs[0])
            assert not any(a.view(a.alloc(20), 1))
            assert a.address(ptrs[1], 1) - a.address(a.static_ptr, 1) == ptrs[1] - a.static_ptr


def test_flags_and_work_in_a_replay() -> None:
    ops = [
        ("alloc", 1, 64, 8),
        ("alloc", 2, 8, 8, ("atomic",)),
        ("balance",),
        ("alloc", 3, 8, 8, ("atomic",)),
        ("alloc", 4, 8, 8, ("reserved", "atomic")),
        ("free", 1),
    ]
    trace = Trace.from_ops(ops)
    setup = {**TINY, "balance": "manual"}
    with Allocator(**setup) as port, Model(**setup) as model:
        ours, theirs = port.replay(trace), model.replay(trace)
        assert replace(ours, elapsed_ns=0, failures=()) == replace(
            theirs, elapsed_ns=0, failures=()
        )
        assert [(f.index, str(f.error)) for f in ours.failures] == [
            (f.index, str(f.error)) for f in theirs.failures
        ]
        assert [failure.index for failure in theirs.failures] == [1]
        assert theirs.ignored_flags == 0
        assert port.state() == model.state()


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_area_map_ignores_flags_of_a_replay(kind: Any) -> None:
    ops = [("alloc", 1, 64, 8, ("atomic",)), ("alloc", 2, 8, 8, ("reserved",)), ("balance",)]
    with kind(memory="none") as a:
        assert a.replay(Trace.from_ops(ops)).ignored_flags == 2
        assert a.replay(Trace.from_ops(ops[2:])).ignored_flags == 0
        with pytest.raises(InvalidRequest, match="atomic=True"):
            a.alloc_gfp(8, atomic=True)


@pytest.mark.parametrize("kind", [Allocator, Model])
class TestPointers:
    def test_wrong_ones(self, kind: Any) -> None:
        """Each error names the pointer."""
        setup = {**TINY, "cpus": 2, "reserved_size": 8, "static_size": 56}
        with kind(**setup) as a:
            base, ptr = a.static_ptr, a.alloc(8)
            a.free(ptr)
            later = a.alloc(256)
            for wrong, error in (
                (base + 1, StaticPointer),
                (base + 55, StaticPointer),
                (base + 128, WildPointer),  # after the dynamic part
                (base + 512, OtherUnitPointer),
                (ptr, DoubleFree),
                (ptr + 4, DoubleFree),
                (later + 4, InteriorPointer),
                (later + 1, InteriorPointer),
                (later + 252, InteriorPointer),
                (later + 256, DoubleFree),
                (later + 512, OtherUnitPointer),
                (later + 1024, WildPointer),
                (base - 1, WildPointer),
            ):
                with pytest.raises(error, match=f"{wrong:#x}"):
                    a.locate(wrong)
            assert a.locate(later) == Location(1, 0)


@pytest.mark.parametrize("kind", [Allocator, Model])
class TestWork:
    """Pages of a chunk are drawn with their areas; . is populated and empty."""

    def test_a_step_alone(self, kind: Any) -> None:
        """Three free chunks without an empty page in one: steps 1 and 4 destroy different ones."""
        with kind(**TINY, balance="manual") as a:
            a.free_many(a.alloc_many([512, 512, 512]))
            for steps, chunks in (((2, 3), 4), ((4, 4), 4), ((1, 1), 2)):
                a.balance(*steps)
                assert a.chunks == chunks
            assert not a.state().balance_requested

    def test_first_step_begins_a_run(self, kind: Any) -> None:
        with kind(**TINY, balance="manual") as a:
            a.alloc(64)
            for steps, requested, empty in (
                ((2, 2), True, 0),
                ((1, 2), False, 0),
                ((3, 4), False, 4),
            ):
                a.balance(*steps)
                assert a.state().balance_requested == requested
                assert a.state().empty_pages == empty

    def test_free_chunks_without_an_empty_page(self, kind: Any) -> None:
        """A failed request leaves them: the area is free again, its pages are not populated."""
        with kind(**TINY, balance="manual") as a:
            kept = a.alloc(512)
            free = a.alloc(512)
            a.inject("map", nth=1)
            with pytest.raises(PercpuMemoryError):
                a.alloc(512)
            a.free(free)
            state = a.state()
            assert [chunk.empty_pages for chunk in state.chunks] == [1, 0, 8, 0]
            assert state.slots[state.kinds.index("free")] == (2, 3)
            a.balance(4)
            assert [chunk.id for chunk in a.state().chunks] == [0, 1, 2]
            a.free(kept)

    def test_chunk_that_is_all_free_is_depopulated_and_used_again(self, kind: Any) -> None:
        """It was isolated before its last area was freed."""
        with kind(**TINY, balance="manual") as a:
            areas = a.alloc_many([64] * 17, 64)
            a.free_many(areas[9:16])
            a.free_many(areas[1:9])
            one = a.state().chunks[1]
            assert (one.isolated, one.empty_pages, a.state().empty_pages) == (True, 8, 7)
            a.balance()
            state = a.state()
            one = state.chunks[1]
            assert (one.isolated, one.populated, one.empty_pages) == (False, (0,) * 8, 0)
            assert state.slots[state.kinds.index("free")] == (1,)
            a.validate()

    @pytest.mark.parametrize(("taken", "sidelined"), [(3, True), (4, False)])
    def test_empty_pages_stay_if_others_have_less_than_four(
        self, kind: Any, taken: int, sidelined: bool
    ) -> None:
        """The two pages of chunk 1, while chunk 2 has seven without those that are taken."""
        with kind(**TINY, balance="manual") as a:
            areas = a.alloc_many([64] * 17, 64)
            a.free_many(areas[9:16])
            a.free_many(areas[1:3])
            a.alloc_many([64] * taken)
            assert a.state().empty_pages == 7 - taken
            a.balance()
            state = a.state()
            one = state.chunks[1]
            assert one.isolated == sidelined
            assert one.populated == ((0,) if sidelined else (1,)) * 2 + (1,) * 6
            assert state.slots[state.kinds.index("sidelined")] == ((1,) if sidelined else ())
            assert state.empty_pages == (4 if sidelined else 5)
            if kind is Model:
                assert a._policy.rules["work: empty pages depopulated"] == sidelined

    def test_last_isolated_chunk_is_sidelined_first(self, kind: Any) -> None:
        with kind(**TINY, balance="manual") as a:
            areas = a.alloc_many([64] * 25, 64)
            a.free_many(areas[17:24])
            a.free_many(areas[1:3])
            a.free_many(areas[9:11])
            a.balance()
            state = a.state()
            assert state.slots[state.kinds.index("sidelined")] == (2, 1)

    def test_page_that_cannot_be_mapped_leaves_those_before_it(self, kind: Any) -> None:
        with kind(**TINY, balance="manual") as a:
            live = dict.fromkeys(a.alloc_many([64, 8]), 64)
            live[list(live)[1]] = 8
            a.inject("map", nth=1)
            a.balance()
            assert a.state().chunks[1].populated == (1,) + (0,) * 7
            a.validate(live)
            a.balance()
            assert a.state().chunks[1].populated == (1,) * 5 + (0,) * 3


# --- a kernel that is followed


def followed(*places: tuple[int, int, int], **setup: Any) -> tuple[Model, list[Any]]:
    """Follow a kernel that placed areas of some sizes in some chunks; port and model agree."""
    model = Model(**{**TINY, **setup})
    with Allocator(**{**TINY, **setup}) as port:
        choices = []
        for size, *place in places:
            choices.append(model.follow(size, 4, Location(*place)))
            assert port.follow(size, 4, Location(*place)) == choices[-1]
            assert port.state() == model.state()
    return model, choices


def test_followed_kernel_places_areas_elsewhere() -> None:
    model, (choice, again) = followed((8, 0, 16), (8, 1, 64))
    assert (choice.chosen, choice.offset) == (Location(0, 0), 0)
    assert model.locate(choice.ptr) == Location(0, 16)
    # the chunk was made, and there the policy would have taken its start
    assert (again.chosen, again.offset) == (Location(0, 0), 0)
    assert model.locate(again.ptr) == Location(1, 64)


def test_hints_that_claim_too_much_lead_to_a_search_in_vain() -> None:
    """Only a kernel that is followed places an area inside the run at a block's left edge.

    The policy would have taken the run's start.  Its length is that of the scan hint, which takes
    its place; the left hint stays:

        page 0              page 1
        ................|.....######.....    contig 5 at 0, scan 5 at 11, left 5
        ................|.###.######.....    contig 5 at 11, left 5 instead of 1

    So 16 and 5 granules seem to be in a row, where only 17 are.
    """
    with Allocator(**TINY, balance="manual") as port, Model(**TINY, balance="manual") as model:
        for a in (port, model):
            a.follow(24, 4, Location(1, 84))
            a.follow(12, 4, Location(1, 68))
            block = a.state().chunks[1].blocks[1]
            assert (block.left_free, block.contig_hint_start, block.contig_hint) == (5, 11, 5)
            assert a.locate(a.alloc(72, 32)) == Location(2, 0)
        # tried once more when there is a new chunk
        assert model._policy.rules["map has no place, the hints had"] == 2
        assert port.state() == model.state()


@pytest.mark.parametrize("kind", [Allocator, Model])
class TestFollow:
    def test_place_that_is_taken(self, kind: Any) -> None:
        with kind(**TINY) as a:
            a.alloc(8)
            with pytest.raises(PercpuMemoryError) as caught:
                a.follow(8, 8, Location(0, 4))
            assert caught.value.service == "place"

    @pytest.mark.parametrize("place", [(2, 0), (9, 0), (-1, 0), (0, 512), (0, -4)])
    def test_place_that_is_nowhere(self, kind: Any, place: tuple[int, int]) -> None:
        with kind(**TINY) as a, pytest.raises(WildPointer, match="pointer 0x0 is in no chunk"):
            a.follow(8, 8, Location(*place))

    def test_kernel_without_a_place(self, kind: Any) -> None:
        with kind(**TINY, balance="manual") as a:
            choice = a.follow(8, 8, None, atomic=True)
            assert (choice.ptr, choice.chosen, choice.offset) == (0, Location(0, 0), None)
            assert a.state().atomic_failed

    def test_atomic_area_in_pages_that_were_not_populated(self, kind: Any) -> None:
        """The kernel had them: an area without pages was not to be viewed, and crashed C."""
        with kind(policy="bitmap", cpus=1, static_size=64, dyn_size=64) as a:
            choice = a.follow(8, 8, Location(1, 40_000), atomic=True)
            assert bytes(a.view(choice.ptr, 0)) == bytes(8)
            a.validate({choice.ptr: 8})

    def test_chunk_that_the_kernel_passes_over(self, kind: Any) -> None:
        """It must be sidelined there; without ``learn`` it stays as it is."""
        for learn in (False, True):
            with kind(**TINY) as a:
                a.alloc_many([64, 8])
                choice = a.follow(8, 8, Location(2, 0), learn=learn)
                assert choice.chosen == Location(1, 8)
                assert (choice.offset, choice.learnt) == (0, learn)
                state = a.state()
                sidelined = state.slots[state.kinds.index("sidelined")]
                assert (1 in sidelined, state.chunks[1].isolated) == (learn, learn)

    def test_chunks_that_the_kernel_passes_over_are_sidelined_in_order(self, kind: Any) -> None:
        with kind(**TINY) as a:
            a.alloc_many([64, 8])
            for number in (2, 3):
                assert a.follow(8, 8, Location(number, 0), learn=True).learnt
            state = a.state()
            assert state.slots[state.kinds.index("sidelined")] == (1, 2)

    def test_first_chunk_is_never_sidelined(self, kind: Any) -> None:
        with kind(**TINY) as a:
            choice = a.follow(8, 8, Location(1, 8), learn=True)
            assert (choice.chosen, choice.offset, choice.learnt) == (Location(0, 0), 0, False)
            choice = a.follow(8, 8, Location(0, 0), learn=True)
            assert (choice.chosen, choice.offset, choice.learnt) == (Location(0, 0), 0, False)
            assert [chunk.isolated for chunk in a.state().chunks] == [False, False]

    def test_chunk_that_the_kernel_chose_too_is_not_sidelined(self, kind: Any) -> None:
        with kind(**TINY) as a:
            a.alloc_many([64, 8])
            choice = a.follow(8, 8, Location(1, 16), learn=True)
            assert (choice.chosen, choice.offset, choice.learnt) == (Location(1, 8), 8, False)
            assert not a.state().chunks[1].isolated

    def test_reserved_chunk_is_never_sidelined(self, kind: Any) -> None:
        """It is on no list; its pages are in no total, and stay out of it."""
        with kind(**TINY, reserved_size=64) as a:
            choice = a.follow(8, 8, Location(0, 0), reserved=True, learn=True)
            assert (choice.chosen, choice.learnt) == (Location(-1, 0), False)
            assert not a.state().chunks[0].isolated
            a.validate({choice.ptr: 8})

    def test_not_with_the_area_map(self, kind: Any) -> None:
        with kind(memory="none") as a, pytest.raises(InvalidRequest):
            a.follow(8, 8, Location(0, 0))


@pytest.mark.parametrize("seed", range(8))
def test_random_places_are_followed_alike(seed: int) -> None:
    """A kernel that chooses at random makes hints claim too much, as no other allocator does."""
    rng = Random(seed)
    setup = {
        **TINY,
        "balance": ("auto", "manual")[seed & 1],
        "dyn_size": (64, 200)[seed >> 1 & 1],
        "reserved_size": (0, 40)[seed >> 2],
    }
    live: list[int] = []
    with Allocator(**setup) as port, Model(**setup) as model:
        for _ in range(150):
            if live and rng.random() < 0.45:
                ptr = live.pop(rng.randrange(len(live)))
                port.free(ptr)
                model.free(ptr)
            else:
                request = rng.choice([4, 8, 12, 20, 64, 130]), rng.choice([4, 4, 8, 32])
                flags = {
                    "atomic": rng.random() < 0.2,
                    "reserved": rng.random() < 0.1,
                    "learn": rng.random() < 0.3,
                }
                place = random_place(rng, port, *request)
                ours, theirs = (attempt(a, *request, place, **flags) for a in (port, model))
                assert ours == theirs
                live += [ours.ptr] if isinstance(ours, Choice) and ours.ptr else []
            if rng.random() < 0.05:
                port.balance()
                model.balance()
            assert port.state() == model.state()


def random_place(rng: Random, port: Allocator, size: int, align: int) -> Location | None:
    """Return mostly a free place, sometimes any or none."""
    anywhere = Location(rng.randrange(-1, port.chunks + 1), 4 * rng.randrange(128))
    chunk = rng.choice(port.state().chunks)
    places, at = [], 0
    for entry in chunk.map:
        first, last = -(-at // align) * align, (at + entry - size) // align * align
        if entry > 0 and first + size <= at + entry:
            places += [first, first, last]
        at += abs(entry)
    if rng.random() < 0.05:
        return None
    if not places or rng.random() < 0.2:
        return anywhere
    return Location(chunk.id, rng.choice(places))


def attempt(a: Any, *arguments: Any, **flags: bool) -> Any:
    try:
        return a.follow(*arguments, **flags)
    except PercpuError as error:
        return type(error), str(error)


def test_port_and_model_agree_on_a_fill_and_drain() -> None:
    ops: list[Any] = [("alloc", key, 4 + key % 200, 1 << key % 7) for key in range(120)]
    ops += [("free", key) for key in range(0, 120, 3)]
    ops += [("alloc", key, 4 + key % 50, 4, ("atomic",)) for key in range(200, 240)]
    ops += [("free", key) for key in range(120)]
    for fixes in ([], ["chunk-hint"]):
        assert lockstep(BOTH, Trace.from_ops(ops, {**TINY, "fixes": fixes})) is None


def test_work_populates_no_chunk_of_a_slot_below_a_page() -> None:
    """Such a chunk failed a fit: its hint is small, or a request moved it to slot 0."""
    model = Model(**TINY, balance="manual")
    model.alloc(64)  # the only page of the first chunk
    policy = model._policy
    assert isinstance(policy, Bitmap)
    policy.move(policy.create_chunk(), 0, head=True)
    model.balance(3, 3)
    chunks = {chunk.id: sum(chunk.populated) for chunk in model.state().chunks}
    assert chunks == {0: 1, 1: 0, 2: 4}
