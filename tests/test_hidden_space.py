# SPDX-License-Identifier: GPL-2.0-only
"""The free space that Linux 5.2 to 6.18 does not see, on the port and on the model.

Two chunks are full of areas of 16 bytes.  Here a page has 64 bytes, a unit 16 pages:

    chunk 0    #### #### #### #### | static area, not used
    chunk 1    #### #### #### #### #### #### #### #### #### #### #### #### #### #### #### ####

Every second area is freed, except in the first page of each chunk, whose hint would be right:

    chunk 1    #### #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#. #.#.

As many areas are allocated again.  Nothing of the free space is used (A).  A free in the first
page, or one that empties a page, makes the chunk's hint right, and all of it is used (B).

Source: patch 11/12 of 27 February 2019, 20190228021839.55779-12-dennis@kernel.org.
"""

from __future__ import annotations

from typing import Any

import pytest

from percpu_ffi import Allocator, Model, Trace

UNIT, PAGE, AREA = 1024, 64, 16
SETUP: dict[str, Any] = {
    "policy": "bitmap", "cpus": 2, "static_size": 64, "dyn_size": 256, "unit_size": UNIT,
    "page_size": PAGE, "memory": "none",
}  # fmt: skip
FREED = (256 - PAGE + UNIT - PAGE) // AREA // 2

allocators = pytest.mark.parametrize("kind", [Allocator, Model])


def half_free(a: Any) -> list[int]:
    """Fill the first chunk and another one, and free every second area; return those left."""
    areas = [a.alloc(AREA) for _ in range((256 + UNIT) // AREA)]
    freed = [ptr for ptr in areas[1::2] if a.locate(ptr).offset >= PAGE]
    a.free_many(freed)
    assert len(freed) == FREED
    return [ptr for ptr in areas if ptr not in freed]


def used_by(a: Any) -> list[int]:
    """Allocate as many areas as were freed; return the chunks that serve them."""
    return [a.locate(a.alloc(AREA)).chunk for _ in range(FREED)]


@allocators
def test_free_space_of_full_chunks_is_not_used(kind: Any) -> None:
    with kind(**SETUP) as a:
        half_free(a)
        assert a.hidden_bytes == FREED * AREA
        chunks = a.state().chunks  # the third one is new: the background work populates 4 pages
        assert [(c.free_size, c.contig_hint) for c in chunks] == [(96, 0), (480, 0), (UNIT, UNIT)]
        assert set(used_by(a)) == {2}
        assert a.hidden_bytes == FREED * AREA


def in_page(a: Any, areas: list[int], chunk: int, page: int) -> list[int]:
    """Return the areas in a page of a chunk."""
    places = ((ptr, a.locate(ptr)) for ptr in areas)
    return [ptr for ptr, at in places if at.chunk == chunk and at.offset // PAGE == page]


@allocators
def test_a_free_in_the_first_page_makes_it_visible(kind: Any) -> None:
    with kind(**SETUP) as a:
        areas = half_free(a)
        a.free_many([in_page(a, areas, chunk, 0)[0] for chunk in (0, 1)])
        assert [chunk.contig_hint for chunk in a.state().chunks] == [AREA, AREA, UNIT]
        assert a.hidden_bytes == 0
        assert set(used_by(a)) == {0, 1}


@allocators
def test_a_page_that_becomes_empty_makes_it_visible(kind: Any) -> None:
    """Its first free is not enough: of #.#. the second area is still there."""
    with kind(**SETUP) as a:
        areas = half_free(a)
        pairs = [in_page(a, areas, chunk, 2) for chunk in (0, 1)]
        a.free_many([first for first, _ in pairs])
        assert [chunk.contig_hint for chunk in a.state().chunks] == [0, 0, UNIT]
        a.free_many([last for _, last in pairs])
        # the page, and the last quarter of the one before it
        assert [chunk.contig_hint for chunk in a.state().chunks] == [PAGE + AREA] * 2 + [UNIT]
        assert a.hidden_bytes == 0
        assert set(used_by(a)) == {0, 1}


@allocators
def test_with_the_fix_it_is_used(kind: Any) -> None:
    with kind(**SETUP, fixes=["chunk-hint"]) as a:
        half_free(a)
        assert a.hidden_bytes == 0
        assert set(used_by(a)) == {0, 1}


@allocators
def test_a_replay_counts_hidden_bytes(kind: Any) -> None:
    """Of a full first chunk one area is freed, then its neighbour, which empties the page."""
    ops: list[Any] = [("alloc", i, AREA, 4) for i in range(16)]
    ops += [("free", 7), ("free", 6), ("free", 5), ("free", 4)]
    with kind(**SETUP) as a:
        result = a.replay(Trace.from_ops(ops))
        assert (result.hidden_bytes, result.peak_hidden_bytes) == (0, 3 * AREA)
        result = a.replay(Trace.from_ops([]))
        assert (result.hidden_bytes, result.peak_hidden_bytes) == (0, 0)
    with kind(**SETUP) as a:
        result = a.replay(Trace.from_ops(ops[:-1]))
        assert (result.hidden_bytes, result.peak_hidden_bytes) == (3 * AREA, 3 * AREA)
        again = a.replay(Trace.from_ops([]))
        assert (again.hidden_bytes, again.peak_hidden_bytes) == (3 * AREA, 3 * AREA)


@pytest.mark.parametrize("kind", [Allocator, Model])
def test_the_area_map_hides_nothing(kind: Any) -> None:
    with kind(cpus=1, page_size=64, static_size=64, memory="none") as a:
        areas = a.alloc_many([AREA] * 64)
        a.free_many(areas[1::2])
        assert a.hidden_bytes == a.state().hidden_bytes == 0
