# SPDX-License-Identifier: GPL-2.0-only
"""What was in use before a recording began.

The first chunk serves the bytes 8 to 64 here, the others 0 to 128.
"""

from __future__ import annotations

import pytest

from percpu_ffi import Location
from percpu_ffi.geometry import Geometry
from percpu_ffi.stats import Dump
from percpu_ffi.stats.dump import Chunk
from percpu_ffi.trace.operations import Kind
from percpu_ffi.trace.steps import Alloc, Created, Free, Step
from percpu_ffi.witness.start import Sizes, boot_starts, inferred_start

SIZES = Sizes((8, 64), 128)


def alloc(chunk: int, offset: int, size: int) -> Step:
    return Alloc(0, Kind(size, 4), Location(chunk, offset), 0)


def free(chunk: int, offset: int) -> Step:
    return Free(0, None, Location(chunk, offset), 0)


@pytest.mark.parametrize(("page", "first"), [(4096, (1004, 2004)), (64, (44, 1044))])
def test_first_chunk_begins_at_the_page_of_its_first_byte(
    page: int, first: tuple[int, int]
) -> None:
    geometry = Geometry(static_size=5000, reserved_size=100, dyn_size=1000, unit_size=8192)
    assert Sizes.of(geometry, page) == Sizes(first, 8192)


# --- at boot


def test_runs_that_are_never_allocated_are_tried_at_boot() -> None:
    """|........|####....|######..|##..|: 8 hidden bytes, then those of the first chunk, 5.

    A size of 6 covers two granules.
    """
    steps = [free(9, 8), alloc(5, 16, 6), alloc(7, 8, 8), alloc(5, 32, 24), alloc(5, 60, 4)]
    starts = list(boot_starts(steps, SIZES))
    assert [start.used for start in starts] == [
        (),
        ((0, 8, 16),),
        ((0, 8, 16), (0, 24, 32)),
        ((0, 8, 16), (0, 24, 32), (0, 56, 60)),
    ]
    assert {(start.name, start.chunks) for start in starts} == {("boot", (5,))}
    assert [start.rule for start in starts[:3]] == [
        "at boot, with nothing of the first chunk in use",
        "at boot, with [8, 16) of the first chunk in use",
        "at boot, with [8, 16), [24, 32) of the first chunk in use",
    ]


def test_run_up_to_the_end_of_the_first_chunk() -> None:
    assert [start.used for start in boot_starts([alloc(5, 8, 40)], SIZES)] == [(), ((0, 48, 64),)]
    assert [start.used for start in boot_starts([alloc(5, 8, 56)], SIZES)] == [()]


def test_eight_early_runs_at_most() -> None:
    steps = [alloc(0, offset, 4) for offset in range(4, 100, 8)]
    starts = list(boot_starts(steps, Sizes((0, 100), 128)))
    assert [len(start.used) for start in starts] == [*range(9)]


def test_boot_without_an_allocation() -> None:
    assert [(start.chunks, start.used) for start in boot_starts([free(3, 8)], SIZES)] == [
        ((0,), ()),
        ((0,), ((0, 8, 64),)),
    ]


# --- of a kernel that runs


@pytest.mark.parametrize(
    ("steps", "chunks"),
    [
        # the one whose places end the lowest, if they fit
        ([alloc(3, 100, 28), alloc(4, 8, 56)], (4, 3)),
        ([alloc(4, 8, 20), alloc(3, 8, 16)], (3, 4)),
        ([alloc(4, 8, 57), alloc(3, 100, 28)], (-1, 4, 3)),
        # the highest end of each counts
        ([alloc(4, 60, 20), alloc(4, 8, 4), alloc(3, 100, 4)], (-1, 4, 3)),
        # a free shows that an area is there, of a granule at least
        ([free(4, 60), alloc(3, 100, 4)], (4, 3)),
        ([free(4, 64), alloc(3, 100, 4)], (-1, 4, 3)),
        # one that is created is not old
        ([Created(4), alloc(4, 8, 4), alloc(3, 100, 4)], (-1, 3)),
        ([Created(4), free(4, 8)], (-1,)),
        ([alloc(0, 8, 4), alloc(1, 100, 4)], (0, 1)),
        ([], (-1,)),
    ],
)
def test_old_chunks(steps: list[Step], chunks: tuple[int, ...]) -> None:
    start = inferred_start(steps, SIZES)
    assert start.chunks == chunks
    assert start.name == "inferred"
    assert "dump" not in start.rule


def test_what_is_never_allocated_is_in_use() -> None:
    steps = [alloc(4, 16, 8), alloc(3, 0, 100), free(3, 104)]
    assert inferred_start(steps, SIZES).used == ((0, 8, 16), (0, 24, 64), (1, 100, 128))
    only_later = [alloc(3, 0, 100)]
    assert inferred_start(only_later, SIZES).used == ((0, 8, 64), (1, 100, 128))


def dump(*chunks: tuple[str, int, int]) -> Dump:
    """Return a dump of chunks: marks, free bytes and bytes of the largest free range."""
    return Dump(
        chunks=tuple(
            Chunk(f"Chunk: {mark}".strip(), {"free_bytes": free, "contig_bytes": contig})
            for mark, free, contig in chunks
        )
    )


FIRST, SHORT, LONG, LATER = (0, 8, 64), (1, 4, 24), (1, 28, 124), (2, 68, 128)


@pytest.mark.parametrize(
    ("chunks", "used"),
    [
        ([("", 64, 0), ("", 12, 0)], (FIRST, SHORT, LONG, LATER)),
        # the chunk with the most free bytes is the one of which most is allocated: chunk 2
        ([("", 128, 128), ("", 12, 4)], (FIRST, SHORT, LONG)),
        ([("", 12, 4), ("", 128, 128)], (FIRST, SHORT, LONG)),
        # the largest free range is at the end
        ([("", 64, 60), ("", 12, 0)], (FIRST, SHORT, LONG)),
        ([("", 64, 20), ("", 12, 0)], (FIRST, SHORT, LONG, (2, 68, 108))),
        ([("", 128, 0), ("", 99, 5)], (FIRST, SHORT, (1, 28, 123), LATER)),
        ([("", 128, 0), ("", 99, 100)], (FIRST, SHORT, LATER)),
        ([("", 128, 0), ("", 99, 104)], (FIRST, SHORT, LATER)),
        ([("", 128, 0), ("", 99, 105)], (FIRST, (1, 4, 23), LATER)),
        ([("", 128, 0), ("", 99, 999)], (FIRST, LATER)),
        # also that of the first chunk, whose end is its own
        ([("<- First Chunk", 20, 20), ("", 64, 0)], ((0, 8, 44), SHORT, LONG, LATER)),
        # the reserved chunk is not among them; a chunk may be missing
        ([("<- Reserved Chunk", 128, 128), ("", 64, 60)], (FIRST, SHORT, LONG)),
        ([("", 128, 128)], (FIRST, SHORT, LONG)),
        ([], (FIRST, SHORT, LONG, LATER)),
    ],
)
def test_dump_says_how_much_is_free_at_the_end(
    chunks: list[tuple[str, int, int]], used: tuple[tuple[int, int, int], ...]
) -> None:
    """12 bytes of chunk 1 are allocated later, and 68 of chunk 2; the first chunk is not used.

    chunk 1  |a.....a........................a|     chunk 2  |aaaaaaaaaaaaaaaaa...............|
    """
    steps = [alloc(1, 0, 4), alloc(1, 24, 4), alloc(1, 124, 4), alloc(2, 0, 68)]
    start = inferred_start(steps, SIZES, dump(*chunks))
    assert start.used == used
    assert start.name == "stats"
    assert start.rule.startswith("what the recording allocates is free at first")
    assert start.rule.endswith("; the last contig_bytes of a chunk are free, as the dump has them")


def test_dump_without_the_figures_of_a_chunk() -> None:
    figures = Dump(chunks=(Chunk("Chunk:", {}), Chunk("Chunk:", {"free_bytes": 4})))
    start = inferred_start([alloc(1, 0, 128), alloc(2, 64, 64)], SIZES, figures)
    assert start.used == (FIRST, (2, 0, 64))
