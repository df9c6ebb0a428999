# SPDX-License-Identifier: GPL-2.0-only
"""The worst moment of a timeline in sentences, for tiny chunks of 1,024 bytes."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import Trace
from percpu_ffi.analysis.explain import explain_worst
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.totals import ChunkUser, chunk_users


def explained(
    *ops: tuple[Any, ...], sites: dict[int, str] | None = None, times: Any = None, **setup: Any
) -> list[str]:
    """Replay operations and explain; each size has its call site."""
    trace = Trace.from_ops(ops, times=times)
    names = sites or {}
    trace.kinds[:] = [kind._replace(site=names.get(kind.size, "")) for kind in trace.kinds]
    return explain_worst(collect(trace, {**TINY, **setup}))


def two_chunks(first: int, second: int) -> list[tuple[Any, ...]]:
    """Leave so many live bytes in each of two chunks, whose pages are all populated."""
    return [
        ("alloc", "a", first, 4), ("alloc", "A", 960 - first, 4),
        ("alloc", "b", second, 4), ("alloc", "B", 1024 - second, 4),
        ("free", "A"), ("free", "B"),
    ]  # fmt: skip


class TestFewerChunks:
    """Areas and the static area, moved together, may fit into fewer chunks."""

    @pytest.mark.parametrize(
        ("first", "second", "enough"),
        [
            (8, 8, ", which would fit into 1."),
            (480, 480, ", which would fit into 1."),  # with the 64 static bytes, one chunk is full
            (480, 484, "."),
        ],
    )
    def test_one_of_two(self, first: int, second: int, enough: str) -> None:
        summary = explained(*two_chunks(first, second))[0]
        assert summary.endswith(f"2 chunks held {first + second} live bytes{enough}")

    @pytest.mark.parametrize(("second", "enough"), [(480, ", which would fit into 2."), (484, ".")])
    def test_two_of_three(self, second: int, enough: str) -> None:
        # |SSSS|aaaa|......|  |full...full|  |bbbb|......|
        first, filler, *others = two_chunks(480, second)
        ops = [first, filler, ("alloc", "full", 1024, 4), *others]
        summary = explained(*ops)[0]
        assert summary.endswith(f"3 chunks held {1504 + second:,} live bytes{enough}")

    @pytest.mark.parametrize(("rest", "enough"), [(24, ", which would fit into 2."), (28, ".")])
    def test_first_chunk_may_be_shorter(self, rest: int, enough: str) -> None:
        """Its map covers 256 bytes: |SSSS|aaaa...aaaa|  |bbbb...bbbb|..|  |cc|.........|."""
        ops = [("alloc", "a", 192, 4), ("alloc", "b", 1000, 4), ("alloc", "B", 24, 4),
               ("alloc", "c", rest, 4), ("alloc", "C", 1024 - rest, 4),
               ("free", "B"), ("free", "C")]  # fmt: skip
        summary = explained(*ops, first_chunk="embed", unit_size=1024, free_size=192)[0]
        assert summary.endswith(f"3 chunks held {1192 + rest:,} live bytes{enough}")


def test_nothing_is_stranded() -> None:
    assert explained(("alloc", "a", 64, 4)) == ["At no moment were any bytes stranded."]
    assert explained() == ["At no moment were any bytes stranded."]


def test_single_byte_is_stranded() -> None:
    assert explained(("alloc", "a", 63, 1)) == [
        "Worst moment: after operation 1 of 1, 1 of the 128 populated bytes in each CPU's units "
        "(0.8%) were stranded; 1 chunk held 63 live bytes.",
        "Chunk 0 strands 1 byte: it holds 1 area of 63 bytes, allocated at operation 1.",
    ]


def test_call_site_in_the_only_chunk() -> None:
    """|SSSS|aa|....|: its chunk is described, but call sites are not compared."""
    assert explained(("alloc", "a", 8, 4), sites={8: "f"})[1:] == [
        "Chunk 0 strands 56 bytes: it holds 1 area of 8 bytes, by f, allocated at operation 1."
    ]


def test_time_is_that_of_the_worst_moment() -> None:
    ops = [("alloc", "a", 60, 4), ("alloc", "b", 900, 4), ("free", "b"), ("free", "a")]
    for time, text in (4_250_000_000, "3.25 s"), (10**19, "9,999,999,999 s"):
        summary = explained(*ops, times=[10**9, 2 * 10**9, 3 * 10**9, time])[0]
        assert summary.startswith(f"Worst moment: after operation 4 of 4, {text} after the first, ")


def test_empty_chunks_and_one_that_is_pinned() -> None:
    """|SSSS|.......|  |xx|.........|  |............|; the chunk with the most bytes is first."""
    assert explained(
        ("alloc", "A", 960, 4),
        ("alloc", "x", 40, 4), ("alloc", "B", 984, 4),
        ("alloc", "C", 1024, 4),
        ("free", "A"), ("free", "B"), ("free", "C"),
        sites={40: "mm_\ninit+0x10"},
    ) == [
        "Worst moment: after operation 7 of 7, 2,968 of the 3,072 populated bytes in each CPU's "
        "units (96.6%) were stranded; 3 chunks held 40 live bytes, which would fit into 1.",
        "Call sites in the most chunks: mm_?init+0x10 in 1 of 3 (40 bytes).",
        "Chunk 2 strands 1,024 bytes: it is empty, and kept for the next request.",
        "Chunk 1 strands 984 bytes: only 1 area of 40 bytes pins it, by mm_?init+0x10, allocated "
        "at operation 2.",
        "Chunk 0 strands 960 bytes: it is the first chunk, which is never destroyed.",
    ]  # fmt: skip


def test_areas_by_several_call_sites() -> None:
    """Digits are bytes, letters call sites; three chunks and three call sites are named.

    ::

        chunk 0   |SSSS|8f|8f|.....|    one call site
        chunk 1   |8f|24g|.........|    g has the most bytes
        chunk 2   |12i|16|.........|    the call site with the most bytes is unknown
        chunk 3   |8f|24g|520h|....|    strands less than the others
    """
    fill = iter("ABCD")
    ops: list[tuple[Any, ...]] = []
    for number, sizes in enumerate([(8, 8), (8, 24), (12, 16), (8, 24, 520)]):
        ops += [("alloc", f"{number} {i}", size, 4) for i, size in enumerate(sizes)]
        ops += [("alloc", next(fill), (1024 if number else 960) - sum(sizes), 4)]
    assert explained(
        *ops, *(("free", name) for name in "ABCD"), sites={8: "f", 24: "g", 520: "h", 12: "i"}
    ) == [
        "Worst moment: after operation 17 of 17, 3,404 of the 4,096 populated bytes in each CPU's "
        "units (83.1%) were stranded; 4 chunks held 628 live bytes, which would fit into 1.",
        "Call sites in the most chunks: f in 3 of 4 (32 bytes), g in 2 of 4 (48 bytes), "
        "h in 1 of 4 (520 bytes).",
        "Chunk 2 strands 996 bytes: only 2 areas of 28 bytes pin it, the oldest one since "
        "operation 7.",
        "Chunk 1 strands 992 bytes: only 2 areas of 32 bytes pin it, 24 of these bytes by g, "
        "the oldest one since operation 4.",
        "Chunk 0 strands 944 bytes: it holds 2 areas of 16 bytes, by f, the oldest one since "
        "operation 1.",
    ]


def test_oldest_area_is_not_the_first_in_its_chunk() -> None:
    """|SSSS|c|b|......|: c has the place of an area that was freed."""
    assert explained(
        ("alloc", "a", 8, 4), ("alloc", "b", 8, 4), ("alloc", "A", 900, 4),
        ("free", "a"), ("alloc", "c", 8, 4), ("free", "A"),
    )[1:] == [
        "Chunk 0 strands 944 bytes: it holds 2 areas of 16 bytes, the oldest one since operation 2."
    ]  # fmt: skip


def test_full_chunk_is_not_named() -> None:
    """|SSSS|aaaa|......|  |full...full|  |959 bytes|.   |, and no call site is known."""
    assert explained(
        ("alloc", "a", 500, 4), ("alloc", "A", 460, 4), ("alloc", "full", 1024, 4),
        ("alloc", "b", 959, 1), ("free", "A"),
    )[1:] == [
        "Chunk 0 strands 460 bytes: it holds 1 area of 500 bytes, allocated at operation 1.",
        "Chunk 2 strands 1 byte: only 1 area of 959 bytes pins it, allocated at operation 4.",
    ]  # fmt: skip


# The 2009 file frees pages of a neighbour when an allocation fails: here that of a.
def test_pages_are_counted_from_the_start_of_each_range() -> None:
    """|SSSS|a...|            |  pages 0 and 2 to 13 are populated, page 1 is not."""
    assert explained(
        ("alloc", "a", 32, 4), ("inject", "alloc_page", {"nth": 2}), ("alloc", "b", 64, 4),
        ("alloc", "c", 768, 64), ("free", "c"), quirks=["rollback"],
    )[1:] == [
        "Chunk 0 strands 736 bytes: it holds 1 area of 32 bytes, allocated at operation 1."
    ]  # fmt: skip


def test_call_sites_that_pin_chunks_are_named() -> None:
    # Only the oldest area of a chunk was named.  In a recording of memory cgroups this
    # was a reference count of 8 bytes in each of 36 chunks; the areas that pinned them
    # were the cgroups' own statistics.  |S|ref|stat|....|  |ref|stat|....|  |stat|....|
    trace = Trace.from_ops(
        [("alloc", "a", 8, 4), ("alloc", "b", 500, 4), ("alloc", 1, 452, 4),
         ("alloc", "c", 8, 4), ("alloc", "d", 500, 4), ("alloc", 2, 516, 4),
         ("alloc", "e", 500, 4), ("alloc", 3, 520, 4),
         ("free", 1), ("free", 2), ("free", 3)]
    )  # fmt: skip
    names = {8: "ref", 500: "stat"}
    trace.kinds[:] = [kind._replace(site=names.get(kind.size, "")) for kind in trace.kinds]
    found = collect(trace, TINY)
    rows = chunk_users(found, found.patches_at(found.moment_at(found.worst)))
    assert rows == [ChunkUser("stat", 3, 1, 3, 1500), ChunkUser("ref", 2, 0, 2, 16)]
    _, sites, *chunks = explain_worst(found)
    assert sites == (
        "Call sites in the most chunks: stat in 3 of 3 (1,500 bytes), ref in 2 of 3 (16 bytes)."
    )
    assert "only 1 area of 500 bytes pins it, by stat, allocated at operation 7" in chunks[0]
    assert "bytes pin it, 500 of these bytes by stat, the oldest one since" in chunks[1]
