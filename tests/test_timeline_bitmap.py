# SPDX-License-Identifier: GPL-2.0-only
"""What a timeline keeps of a replay through today's policy.

Units are of 1,024 bytes in pages of 64 bytes; the first chunk has 8 pages, any other one 16::

    + in use   . empty   _ not populated
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from percpu_ffi import Allocator, Trace
from percpu_ffi.analysis.explain import _enough_chunks, _explain_hidden, explain_worst
from percpu_ffi.analysis.replayed import ReplayTimeline, collect
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    DEPOPULATE,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    OUTSIDE,
    PAGES,
    RESERVED,
    SIDELINED,
    Moment,
    Patch,
)
from percpu_ffi.trace import Kind

SMALL: dict[str, Any] = {
    "policy": "bitmap", "cpus": 2, "static_size": 64, "dyn_size": 512, "unit_size": 1024,
    "page_size": 64,
}  # fmt: skip
PAGE_OF = [("alloc", i, 64, 64) for i in range(8 + 16 + 16)]  # fill three chunks


def timeline_of(*ops: tuple[Any, ...], **setup: Any) -> ReplayTimeline:
    return collect(Trace.from_ops(ops), {**SMALL, **setup})


def whole(chunk: int, kind: int, end: int = 1024) -> Patch:
    return Patch(chunk, 0, end, kind, -1)


def free(*numbers: int) -> list[tuple[Any, ...]]:
    return [("free", number) for number in numbers]


class TestFirstChunks:
    """Reserved and first chunk share a page, of which each serves a part; static bytes are in none.

    ::

            |  static  |  reserved 128  |      dynamic 512      |
            0         100              228                     740
        -1       |64 xx<----------->xx|
         0                       |192 xx<------------------->xx|
    """

    @pytest.fixture
    def found(self) -> ReplayTimeline:
        """Chunk 0 has |xx|a..|....|bbbb|......|xx|; then a is freed."""
        ops = [("alloc", "a", 100, 4), ("alloc", "b", 64, 64), ("free", "a")]
        return timeline_of(*ops, static_size=100, reserved_size=128)

    def test_patches(self, found: ReplayTimeline) -> None:
        def blocks(chunk: int, start: int, end: int, hint: int) -> Patch:
            return Patch(chunk, start, end, BLOCKS, -1, hint)

        assert set(found.patches_at(2)) == {
            whole(RESERVED, FREE_SPACE, 192),
            Patch(RESERVED, 0, 36, OUTSIDE, -1), Patch(RESERVED, 164, 192, OUTSIDE, -1),
            whole(RESERVED, PAGES, 192), Patch(RESERVED, 64, 128, EMPTY_PAGES, -1),
            blocks(RESERVED, 0, 64, 28), blocks(RESERVED, 64, 128, 64),
            blocks(RESERVED, 128, 192, 36),
            whole(0, FREE_SPACE, 576),
            Patch(0, 0, 36, OUTSIDE, -1), Patch(0, 548, 576, OUTSIDE, -1),
            Patch(0, 36, 136, 0, 0), Patch(0, 192, 256, 1, 1),
            whole(0, PAGES, 576), Patch(0, 256, 512, EMPTY_PAGES, -1),
            blocks(0, 0, 128, 0), blocks(0, 128, 192, 56), blocks(0, 192, 256, 0),
            blocks(0, 256, 512, 64), blocks(0, 512, 576, 36),
        }  # fmt: skip

    def test_stranded_bytes_are_pages_without_static_and_live_bytes(
        self, found: ReplayTimeline
    ) -> None:
        live = [0, 100, 164, 64]
        assert list(found.curves.live) == live
        assert [found.held(done) for done in range(4)] == [12 * 64] * 4
        assert [found.stranded(done) for done in range(4)] == [12 * 64 - 100 - n for n in live]

    def test_free_ranges_are_not_those_of_the_reserved_chunk(self, found: ReplayTimeline) -> None:
        assert found.moments == [
            Moment(0, 1, 512), Moment(1, 1, 412), Moment(2, 2, 292), Moment(3, 2, 292)
        ]  # fmt: skip

    def test_worst_moment(self, found: ReplayTimeline) -> None:
        """A chunk is not blamed for the bytes that it does not serve."""
        assert explain_worst(found) == [
            "Worst moment: after operation 0 of 3, 668 of the 768 populated bytes in each CPU's "
            "units (87.0%) were stranded; 1 chunk held 0 live bytes.",
            "Chunk 0 strands 512 bytes: it is the first chunk, which is never destroyed.",
            "The reserved chunk strands 128 bytes: it is kept for modules.",
        ]


class TestIsolation:
    """Of chunks 1 and 2, each with 5 empty pages, one has too many: its empty pages go.

    ::

        chunk 1    .....+++++++++++
        chunk 2    .....+++++++++++  isolated, then  _____+++++++++++  sidelined
    """

    @pytest.fixture
    def found(self) -> ReplayTimeline:
        """Each step of chunk 2 has a moment."""
        ops = [*PAGE_OF, *free(*range(8, 13), *range(24, 29)), ("balance",), *free(29)]
        return timeline_of(*ops, balance="manual")

    def states(self, found: ReplayTimeline, done: int) -> set[Patch]:
        moment = found.moment_at(done)
        return {p for p in found.patches_at(moment) if p.kind in (SIDELINED, DEPOPULATE)}

    def test_states(self, found: ReplayTimeline) -> None:
        assert [self.states(found, done) for done in (48, 49, 50, 51)] == [
            set(), {whole(2, DEPOPULATE)}, {whole(2, DEPOPULATE)}, {whole(2, SIDELINED)}
        ]  # fmt: skip

    def test_pages(self, found: ReplayTimeline) -> None:
        for done, start, empty in (50, 0, {Patch(2, 0, 320, EMPTY_PAGES, -1)}), (51, 320, set()):
            patches = set(found.patches_at(found.moment_at(done)))
            own = {p for p in patches if p.chunk == 2 and p.kind in (PAGES, EMPTY_PAGES)}
            assert own == {Patch(2, start, 1024, PAGES, -1), *empty}

    def test_is_explained(self) -> None:
        """Then of each page |aa|bb| the second half is freed."""
        halves = [(page, half) for page in range(8 + 16 + 16) for half in "ab"]
        gone = [*range(8, 13), *range(24, 29)]
        ops: list[tuple[Any, ...]] = [("alloc", half, 32, 32) for half in halves]
        ops += [("free", (page, half)) for page in gone for half in "ab"]
        ops += [("balance",)]
        ops += [("free", (page, "b")) for page in range(40) if page not in gone]
        named = [(op[0], str(op[1]), *op[2:]) if len(op) > 1 else op for op in ops]
        sentences = explain_worst(timeline_of(*named, balance="manual"))
        assert sentences[-2].startswith(
            "Chunk 2, sidelined, strands 352 bytes: only 11 areas of 352"
        )


class TestHiddenSpace:
    """A full chunk, of which an area of 16 bytes is freed inside a page.

    ::

        |++++|++++|++.+|++++|++++|++++|++++|++++|
    """

    FULL = (*[("alloc", i, 16, 4) for i in range(32)], ("free", 10))

    def test_is_that_of_chunks_whose_contig_hint_is_0(self) -> None:
        found = timeline_of(*self.FULL, ("alloc", "x", 16, 4))
        assert found.curves.hidden is not None
        assert list(found.curves.hidden) == [0] * 33 + [16, 16]
        assert found.patches[whole(0, HIDDEN, 512)] == [(33, 34)]
        assert [p.chunk for p in found.patches if p.born == 33] == [1]

    @pytest.mark.parametrize(
        ("first", "sentence"),
        [
            (0, "16 free bytes of 1 chunk (chunk 0), whose contig hint is 0, so no search finds "),
            (4, "736 free bytes of 2 chunks (chunk 0, chunk 1), whose contig hints are 0, so no "
                "search finds "),
        ],
    )  # fmt: skip
    def test_is_explained(self, first: int, sentence: str) -> None:
        """Of chunk 1 three areas of four are freed, from the first or from the second page on.

        ::

            |+...|+...|   or   |++++|+...|
        """
        ops = [("alloc", 100 + i, 16, 4) for i in range(64)]
        ops += [op for i in range(first, 64, 4) for op in free(101 + i, 102 + i, 103 + i)]
        assert explain_worst(timeline_of(*self.FULL, *ops))[1] == f"Hidden: {sentence}them."

    @pytest.mark.parametrize(
        ("chunks", "names"),
        [
            ([2, 0, 1], "3 chunks (chunk 0, chunk 1, chunk 2)"),
            ([9, 7, RESERVED, 8], "4 chunks (the reserved chunk, chunk 7, chunk 8, ...)"),
        ],
    )
    def test_three_chunks_are_named(self, chunks: list[int], names: str) -> None:
        fake: Any = SimpleNamespace(curves=SimpleNamespace(hidden=[0, 1000]), worst=1)
        patches = [whole(chunk, kind) for chunk in chunks for kind in (FREE_SPACE, HIDDEN)]
        (sentence,) = _explain_hidden(fake, patches)
        assert sentence.startswith(f"Hidden: 1,000 free bytes of {names}, whose contig hints are")

    def test_full_chunk_hides_nothing(self) -> None:
        found = timeline_of(*self.FULL[:-1])
        assert [p for p in found.patches if p.kind == HIDDEN] == []

    def test_the_fix_hides_nothing(self) -> None:
        found = timeline_of(*self.FULL, ("alloc", "x", 16, 4), fixes=["chunk-hint"])
        assert found.curves.hidden is not None
        assert max(found.curves.hidden) == 0
        assert {p.kind for p in found.patches} == {
            0, FREE_SPACE, PAGES, EMPTY_PAGES, BLOCKS
        }  # fmt: skip
        assert [p.chunk for p in found.patches if p.born == 33] == [0]

    def test_of_2009_has_none(self) -> None:
        found = collect(Trace.from_ops(self.FULL), {"cpus": 2, "page_size": 64})
        assert found.curves.hidden is None


@pytest.mark.parametrize(
    ("size", "enough"), [(512, 1), (513, 2), (512 + 1024, 2), (512 + 1024 + 1, 3)]
)
def test_chunks_that_would_suffice(size: int, enough: int) -> None:
    """The first chunk serves 512 bytes of |xx......xx|; areas of the reserved one do not count."""
    fake: Any = SimpleNamespace(
        trace=SimpleNamespace(kinds=[Kind(size, 4), Kind(64, 4)]), unit_size=1024
    )
    patches = [
        whole(RESERVED, FREE_SPACE, 192), Patch(RESERVED, 0, 36, OUTSIDE, -1),
        Patch(RESERVED, 36, 100, 1, 0), whole(0, FREE_SPACE, 576), Patch(0, 0, 36, OUTSIDE, -1),
        Patch(0, 548, 576, OUTSIDE, -1), whole(1, FREE_SPACE), Patch(1, 0, 1024, 0, 1),
        whole(1, PAGES),
    ]  # fmt: skip
    assert _enough_chunks(fake, patches) == enough


def test_moments_show_what_state_shows() -> None:
    """Blocks, empty pages and slots are those of the allocator, for some sizes in turn."""
    sizes = [4, 64, 100, 512, 16, 36, 252]
    ops: list[tuple[Any, ...]] = []
    for i in range(60):
        ops += [("alloc", i, sizes[i % 7], 4)] + free(i - 9) * (i > 8 and i % 3 > 0)
    trace = Trace.from_ops(ops)
    found = collect(trace, SMALL, moments=13)
    with Allocator(**SMALL, memory="none") as allocator:
        at = 0

        def look(done: int) -> None:
            nonlocal at
            at += done
            check(found, at, allocator)

        allocator.replay(trace, look, [moment.done for moment in found.moments])


def check(found: ReplayTimeline, done: int, allocator: Allocator) -> None:
    state = allocator.state()
    patches = list(found.patches_at(found.moment_at(done)))
    kinds = dict(zip(state.kinds, state.slots, strict=True))
    for chunk in state.chunks:
        own = [p for p in patches if p.chunk == chunk.id]
        hints = [p.hint for p in own if p.kind == BLOCKS for _ in range(p.start, p.end, 64)]
        assert sorted(hints) == sorted(4 * block.contig_hint for block in chunk.blocks)
        empty = sum(p.end - p.start for p in own if p.kind == EMPTY_PAGES)
        assert empty == 64 * chunk.empty_pages
        used = [p.start - p.end for p in sorted(own) if p.kind >= 0]
        assert used == [size for size in chunk.map if size < 0]
        assert (SIDELINED in {p.kind for p in own}) == (chunk.id in kinds["sidelined"])
