# SPDX-License-Identifier: GPL-2.0-only
"""violations(): what exactly is broken in a state, here states that are written by hand.

The allocator has two CPUs, pages of 64 bytes, units of 1 KiB, and a page of static area.
"""

from __future__ import annotations

from bisect import bisect
from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import ChunkState, Model, State
from percpu_ffi.invariants import violations
from percpu_ffi.invariants.area_map import slot_of

#       slot  1  2   3   4   5    6    7       8 cannot occur, 9 is for empty chunks
SLOT_BORDERS = 4, 16, 32, 64, 128, 256, 512
EMPTY = 9


class Shown(Model):
    """A model that shows another state than its own."""

    shown: State

    def state(self) -> State:
        return self.shown


def chunk(*sizes: int, id: int = 1, pages: int | None = None, **changes: Any) -> ChunkState:
    """Return a sound chunk with a map, and then with some fields changed."""
    free = [size for size in sizes if size > 0]
    ends = [sum(map(abs, sizes[: i + 1])) for i, size in enumerate(sizes) if size < 0]
    held = -(-max(ends, default=0) // 64) if pages is None else pages
    sound: dict[str, Any] = {
        "id": id,
        "free_size": sum(free),
        "contig_hint": max(free, default=0),
        "map": sizes,
        "map_alloc": 16,
        "immutable": False,
        "populated": (2,) * held + (0,) * (16 - held),
    }
    return ChunkState(**{**sound, **changes})


def first(*sizes: int, **changes: Any) -> ChunkState:
    return chunk(*sizes, id=0, **changes)


# the first chunk before the first request: the map comes with it
UNUSED = ChunkState(0, 960, 960, (), 0, False, (2,) + (0,) * 15)


def found(
    *chunks: ChunkState, slots: dict[int, list[int]] | None = None, **setup: Any
) -> list[str]:
    """Return what is broken where chunks are on the lists of their free size, or on these."""
    if slots is None:
        slots = {}
        for one in chunks:
            full = one.free_size < 4 or one.contig_hint < 4
            slot = EMPTY if one.free_size == 1024 else bisect(SLOT_BORDERS, one.free_size)
            slots.setdefault(0 if full else slot, []).append(one.id)
    with Shown(**{**TINY, **setup}) as allocator:
        lists = tuple(tuple(slots.get(slot, ())) for slot in range(10))
        allocator.shown = State(lists, tuple(sorted(chunks, key=lambda one: one.id)))
        return violations(allocator)


MANY = (-4,) * 16


@pytest.mark.parametrize(
    "chunks",
    [
        [UNUSED],
        [first(-64, 960)],
        [first(-66, 2, -8, 948, pages=2)],  # 2 bytes before the first area went to the static one
        [chunk(1024)],
        [chunk(-1024)],
        [chunk(-1000, 24), first(-64, -900, 60)],  # slots 2 and 3
        [chunk(-64, 960, id=2), chunk(1024), first(-64, 960)],
        # free ranges may have a byte only, between areas of a byte
        [chunk(-1, 1, -1, 1, -1020)],
        # the hint may be above the largest free range, up to the whole map
        [chunk(-64, 960, contig_hint=1024)],
        # the map has room for a power of two, from 16
        [chunk(*MANY, 960, map_alloc=32)],
        [chunk(*MANY[1:], 964, map_alloc=16)],
        [chunk(1024, map_alloc=1024)],
        # areas may have been requested 6 bytes smaller, and populated so
        [chunk(-70, 954, pages=1)],
        [chunk(-63, -7, 954, pages=1)],
        # pages stay when their areas are gone
        [chunk(1024, pages=16)],
    ],
)
def test_sound_states(chunks: list[ChunkState]) -> None:
    assert found(*chunks) == []


@pytest.mark.parametrize("first_chunk", ["embed", "remap"])
def test_first_chunk_may_end_before_its_unit(first_chunk: str) -> None:
    setup: dict[str, Any] = {"first_chunk": first_chunk, "unit_size": 1024, "free_size": 100}
    fixed: dict[str, Any] = {"immutable": True, "pages": 3}
    assert found(first(-64, 100, **fixed), **setup) == []
    assert found(first(-64, 101, **fixed), **setup) == ["chunk 0: the map covers 165 bytes of 164"]
    assert found(first(-64, 100, contig_hint=165, **fixed), **setup) == [
        "chunk 0: the contig hint of 165 is above the 164 bytes of the map"
    ]
    # later chunks are not fixed, and use the whole unit
    assert found(chunk(-8, 1016), **setup) == []
    assert found(chunk(-8, 1016, immutable=True), **setup) == ["chunk 1: immutable is True"]
    assert found(first(-64, 100, pages=3), **setup) == ["chunk 0: immutable is False"]


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        # the map
        (chunk(-8, 1015), ["the map covers 1023 bytes of 1024"]),
        (chunk(pages=1), ["the map covers 0 bytes of 1024"]),
        (first(-64, 959), ["the map covers 1023 bytes of 1024"]),
        (chunk(-8, 0, 1016), ["the map has an entry of 0"]),
        (chunk(-8, 16, 0, -1000), ["the map has an entry of 0"]),
        (chunk(-8, 16, 1000), ["two free entries of the map are neighbours"]),
        (chunk(1, 1, -1022), ["two free entries of the map are neighbours"]),
        (chunk(-8, 1016, free_size=1000), ["free_size is 1000, the free entries sum up to 1016"]),
        (chunk(-1023, 1, free_size=0), ["free_size is 0, the free entries sum up to 1"]),
        (
            chunk(-500, 24, -480, 20, contig_hint=23),
            ["the contig hint of 23 is below the largest free range of 24"],
        ),
        (
            chunk(-1023, 1, contig_hint=0),
            ["the contig hint of 0 is below the largest free range of 1"],
        ),
        (
            chunk(-64, 960, contig_hint=1025),
            ["the contig hint of 1025 is above the 1024 bytes of the map"],
        ),
        (chunk(*MANY, 960, map_alloc=16), ["a map of 17 entries has room for 16"]),
        (chunk(1024, map_alloc=8), ["a map of 1 entry has room for 8"]),
        (chunk(1024, map_alloc=17), ["a map of 1 entry has room for 17"]),
        (chunk(1024, map_alloc=48), ["a map of 1 entry has room for 48"]),
        # before the first request
        (
            first(free_size=900, contig_hint=900, pages=1),
            ["free_size is 900 of 960 before the first request"],
        ),
        (
            first(free_size=960, contig_hint=1025, pages=1),
            ["the contig hint of 1025 is above the 1024 bytes of the map"],
        ),
        (first(-64, 960, immutable=True), ["immutable is True"]),
        # pages
        (chunk(1024, populated=(0,) * 15), ["the state has 15 pages of 16"]),
        (chunk(1024, populated=(0,) * 17), ["the state has 17 pages of 16"]),
        (
            chunk(1024, populated=(2, 1, *(0,) * 14)),
            [f"some pages are held by some CPUs only: {(2, 1, *(0,) * 14)}"],
        ),
        (
            chunk(1024, populated=(0, 2, *(0,) * 14)),
            [f"pages are held after one that is not: {(0, 2, *(0,) * 14)}"],
        ),
        (
            chunk(-100, 28, -128, 768, pages=1),
            [
                "the area at 0 is in pages [1], which are not held",
                "the area at 128 is in pages [2, 3], which are not held",
            ],
        ),
        (chunk(-71, 953, pages=1), ["the area at 0 is in pages [1], which are not held"]),
        (chunk(-63, -8, 953, pages=1), ["the area at 63 is in pages [1], which are not held"]),
        (chunk(-64, -1, 959, pages=1), ["the area at 64 is in pages [1], which are not held"]),
        (first(-70, 954, pages=1), ["the area at 0 is in pages [1], which are not held"]),
        (first(-64, -7, 953, pages=1), ["the area at 64 is in pages [1], which are not held"]),
    ],
)
def test_broken_chunks(broken: ChunkState, what: list[str]) -> None:
    assert found(broken) == [f"chunk {broken.id}: {one}" for one in what]


def test_pages_of_the_static_area_are_held_before_the_first_request() -> None:
    bare = first(free_size=960, contig_hint=960, map_alloc=0, pages=0)
    assert found(bare) == ["chunk 0: the area at 0 is in pages [0], which are not held"]


def test_rollback_may_take_pages_of_live_areas() -> None:
    holes = chunk(-200, 824, populated=(2, 0, 2, *(0,) * 13))
    assert len(found(holes)) == 2
    assert found(holes, quirks=["rollback"]) == []
    part = chunk(-200, 824, populated=(2, 1, 2, *(0,) * 13))
    assert len(found(part, quirks=["rollback"])) == 1


class TestLists:
    HALF = chunk(-512, 512)  # belongs into slot 7

    @pytest.mark.parametrize(
        ("free_size", "contig_hint", "slot"),
        [
            (0, 0, 0),
            (3, 3, 0),
            (4, 4, 1),
            (15, 15, 1),
            (16, 16, 2),
            (31, 31, 2),
            (32, 4, 3),
            (512, 100, 7),
            (1023, 1023, 7),
            (1024, 1024, 9),
            (600, 3, 0),  # no range is large enough
            (3, 600, 0),
        ],
    )
    def test_slot(self, free_size: int, contig_hint: int, slot: int) -> None:
        assert slot_of(free_size, contig_hint, 1024, 10) == slot

    @pytest.mark.parametrize("slot", [0, 1, 6, 8, 9])
    def test_chunk_in_another_slot(self, slot: int) -> None:
        assert found(self.HALF, slots={slot: [1]}) == [
            f"chunk 1 with 512 bytes free is in slot {slot} instead of 7"
        ]

    @pytest.mark.parametrize(
        ("slots", "held"),
        [
            ({}, []),
            ({7: [1, 1]}, [1, 1]),
            ({7: [1, 2]}, [1, 2]),
            ({6: [2], 7: [1]}, [1, 2]),
        ],
        ids=str,
    )
    def test_chunk_that_is_not_once_on_the_lists(
        self, slots: dict[int, list[int]], held: list[int]
    ) -> None:
        words = f"the lists hold the chunks {held}, the address tree [1]"
        assert found(self.HALF, slots=slots) == [words]

    def test_two_empty_chunks(self) -> None:
        assert found(chunk(1024, id=3), chunk(1024, id=2)) == [
            "the chunks (3, 2) are all empty: only one may be kept"
        ]

    def test_second_chunk_of_a_list_in_another_slot(self) -> None:
        one, two = chunk(-8, 1016, id=1), chunk(-900, 124, id=2)  # slots 7 and 4
        assert found(one, two, slots={7: [1, 2]}) == [
            "chunk 2 with 124 bytes free is in slot 7 instead of 4"
        ]

    def test_every_broken_chunk_is_reported(self) -> None:
        broken = [chunk(1024, id=1, map_alloc=4), chunk(-8, 1016, id=2, immutable=True)]
        assert found(*broken, slots={EMPTY: [1], 6: [2]}) == [
            "chunk 1: a map of 1 entry has room for 4",
            "chunk 2: immutable is True",
            "chunk 2 with 1016 bytes free is in slot 6 instead of 7",
        ]
