# SPDX-License-Identifier: GPL-2.0-only
"""Following a kernel, step by step: what is predicted, counted, learnt and forgotten.

A page has 64 bytes, the first chunk one page, other chunks eight.  The kernel calls the first chunk
7, later ones by any number.
"""

from __future__ import annotations

from typing import Any

import pytest

from percpu_ffi import Allocator, Location, TraceError
from percpu_ffi.trace.operations import Kind
from percpu_ffi.trace.steps import Alloc, Created, Destroyed, Failed, Free, Step, Work
from percpu_ffi.witness.follow import Choices, Follower, Foretold
from percpu_ffi.witness.start import Start

TINY: dict[str, Any] = {
    **{"policy": "bitmap", "cpus": 1, "page_size": 64, "memory": "none", "balance": "manual"},
    **{"static_size": 64, "dyn_size": 64, "unit_size": 512},
}
WORKS = [Work(begins=True)]  # so that work runs where the recording has it, and nowhere else


def alloc(
    number: int, chunk: int, offset: int, size: int = 8, *flags: str, align: int = 4
) -> Alloc:
    return Alloc(number, Kind(size, align, "", flags), Location(chunk, offset), 0)


def free(area: int | None, chunk: int = 7, offset: int = 0) -> Free:
    return Free(99, area, Location(chunk, offset), 0)


class Followed:
    """A follower and what it shows."""

    def __init__(
        self,
        *steps: Step,
        used: tuple[tuple[int, int, int], ...] = (),
        chunks: tuple[int, ...] = (7,),
        name: str = "boot",
        recorded: list[Any] | None = None,
        **setup: Any,
    ) -> None:
        self.allocator = Allocator(**{**TINY, **setup})
        start = Start(name, "", chunks, used)
        self.follower = Follower(self.allocator, start, recorded or list(steps))
        self.figures = self.follower.figures
        self.step(*steps)

    def step(self, *steps: Step) -> Any:
        for step in steps:
            self.follower.step(step)
        return self.figures

    def chunks(self) -> list[int]:
        return [chunk.id for chunk in self.allocator.state().chunks]

    def map(self, number: int) -> tuple[int, ...]:
        """Return areas and free ranges of a chunk."""
        return next(c.map for c in self.allocator.state().chunks if c.id == number)


# --- the start


def test_areas_at_the_start() -> None:
    """|aabb....|    |aaaaaaaaaaaaaaaa|bbbb............|, and chunk 3 that the recording names."""
    kernel = Followed(
        used=((0, 0, 16), (0, 16, 32), (1, 0, 256), (1, 256, 320)),
        chunks=(7, 5, -1, 3),
        recorded=WORKS,
    )
    assert kernel.map(0) == (-16, -16, 32)
    assert kernel.map(1) == (-256, -64, 192)
    assert kernel.chunks() == [0, 1, 3]  # the work keeps one free chunk
    assert not kernel.allocator._balance_requested()
    kernel.step(free(None, 7, 16), free(None, 5, 0))
    assert (kernel.map(0), kernel.map(1)) == ((-16, 48), (256, -64, 192))
    assert kernel.figures.orphans == 0
    assert kernel.step(free(None, 5, 0), free(None, 5, 64), free(None, 9, 0)).orphans == 3
    assert (kernel.figures.made, kernel.figures.destroyed) == (Foretold(0, 0), Foretold(0, 0))


def test_large_area_at_the_start_is_in_pieces() -> None:
    kernel = Followed(
        used=((1, 0, 40_000),),
        chunks=(7, 5),
        page_size=4096,
        dyn_size=28_672,
        unit_size=65_536,
        recorded=WORKS,
    )
    assert kernel.map(1) == (-32_768, -7_232, 25_536)
    kernel.step(free(None, 5, 32_768))
    assert kernel.map(1) == (-32_768, 32_768)


def test_chunk_that_is_all_free_before_one_in_use() -> None:
    """It was not created, so that the one after it was in no chunk."""
    kernel = Followed(used=((2, 0, 8), (2, 8, 108)), chunks=(7, 5, 6), recorded=WORKS)
    assert kernel.map(1) == (512,)
    assert kernel.map(2) == (-8, -100, 404)
    kernel.step(free(None, 6, 8))
    assert kernel.map(2) == (-8, 504)


def test_work_that_the_start_requests_is_done_and_not_counted() -> None:
    """The first chunk is full: four empty pages are needed, in a new chunk."""
    kernel = Followed(alloc(0, 7, 0), used=((0, 8, 64),))
    assert kernel.allocator.state().empty_pages == 4
    assert kernel.figures.made == Foretold(0, 0)
    assert kernel.figures.all == Choices(1, 1, 1)
    kernel.step(Created(5), alloc(1, 5, 0))  # that chunk
    assert kernel.figures.all == Choices(2, 2, 2)


# --- choices


def test_predicted_choices() -> None:
    kernel = Followed(alloc(0, 7, 0), alloc(1, 7, 8, 12), alloc(2, 7, 32, align=32))
    assert kernel.figures.all == Choices(3, 3, 3)
    assert kernel.figures.new == Choices()
    assert kernel.map(0) == (-8, -12, 12, -8, 24)
    kernel.step(free(1), free(0))
    assert kernel.map(0) == (32, -8, 24)
    assert (kernel.figures.misses, kernel.figures.after_first_miss) == ([], None)


def test_choice_elsewhere_is_missed_and_followed() -> None:
    kernel = Followed(alloc(0, 7, 16), alloc(1, 7, 40), alloc(2, 7, 0))
    assert kernel.figures.all == Choices(3, 1, 1)
    one, two = kernel.figures.misses
    assert (one.kernel, one.chosen) == (Location(0, 16), Location(0, 0))
    assert (one.there, one.chosen_chunk) == (0, 7)
    assert (one.step.number, two.step.number) == (0, 1)
    after = kernel.figures.after_first_miss
    assert after is not None
    assert after.chunks[0].map == (16, -8, 40)  # and not after the second


def test_chunk_that_the_policy_would_not_create() -> None:
    """The offset there is predicted; the creation is not."""
    kernel = Followed(Created(5), alloc(0, 5, 0), recorded=WORKS)
    assert kernel.figures.all == kernel.figures.new == Choices(1, 0, 1)
    assert kernel.figures.made == Foretold(1, 0)
    (miss,) = kernel.figures.misses
    assert (miss.kernel, miss.chosen, miss.there) == (Location(1, 0), Location(0, 0), 0)
    assert kernel.step(alloc(1, 5, 100)).all == Choices(2, 0, 1)
    assert kernel.figures.misses[1].there == 8
    assert kernel.step(Work(begins=True), Work(begins=False)).made == Foretold(1, 0)
    # the next one is created by both
    assert kernel.step(Created(6), alloc(2, 6, 0, 512)).made == Foretold(2, 1)


def test_chunk_that_the_kernel_uses_without_its_creation() -> None:
    """It is none that was created during the recording."""
    kernel = Followed(alloc(0, 5, 0), recorded=WORKS)
    assert (kernel.figures.all, kernel.figures.new) == (Choices(1, 0, 1), Choices())
    assert kernel.figures.made == Foretold(0, 0)


def test_policy_that_finds_no_place() -> None:
    """An atomic request creates no chunk, and populates no page."""
    kernel = Followed(alloc(0, 7, 0, 64), Created(5), alloc(1, 5, 0, 8, "atomic"), recorded=WORKS)
    (miss,) = kernel.figures.misses
    assert (miss.chosen, miss.there, miss.chosen_chunk) == (None, None, None)
    assert kernel.figures.made == Foretold(1, 0)


PASSED_OVER: dict[str, Any] = {
    **{"used": ((1, 0, 8), (2, 0, 8)), "chunks": (7, 5, 6), "recorded": WORKS},
    **{"static_size": 60, "dyn_size": 4},
}


@pytest.mark.parametrize("name", ["inferred", "stats"])
def test_chunk_that_the_kernel_passes_over(name: str) -> None:
    """It is learnt to be sidelined at once, since that is not known at the start."""
    kernel = Followed(alloc(0, 6, 8), name=name, **PASSED_OVER)
    assert kernel.figures.learnt == 1
    assert kernel.allocator.state().chunks[1].isolated
    assert kernel.step(alloc(1, 9, 0)).learnt == 2


def test_chunk_that_the_kernel_passes_over_twice() -> None:
    """Once may be a matter of the order of the lines: from boot on, the second time counts."""
    kernel = Followed(alloc(0, 6, 8), **PASSED_OVER)
    assert kernel.figures.learnt == 0
    assert kernel.step(alloc(1, 6, 16)).learnt == 1
    assert kernel.allocator.state().chunks[1].isolated
    assert kernel.step(alloc(2, 6, 24)).all == Choices(3, 1, 3)
    assert kernel.step(alloc(3, 9, 0)).learnt == 1  # chunk 6 was passed over once


def test_chunk_that_the_kernel_passes_over_and_uses() -> None:
    kernel = Followed(alloc(0, 6, 8), alloc(1, 5, 8), alloc(2, 6, 16), **PASSED_OVER)
    assert kernel.figures.learnt == 0
    assert kernel.step(alloc(3, 6, 24)).learnt == 1


def test_policy_that_finds_no_place_passes_over_none() -> None:
    """A free in the second page is hidden from an atomic request in the only chunk."""
    kernel = Followed(
        *(alloc(0, 7, 0, 64), alloc(1, 7, 64), alloc(2, 7, 72, 56), free(1)),
        *(alloc(3, 7, 64, 8, "atomic"), free(3), alloc(4, 7, 64, 8, "atomic")),
        dyn_size=128,
        recorded=WORKS,
    )
    assert [miss.chosen for miss in kernel.figures.misses] == [None, None]
    assert kernel.figures.learnt == 0


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (alloc(0, 7, 512), "past the end of a unit"),
        (alloc(0, 7, 60), "where an area is, or the chunk ends"),
        (alloc(0, 7, 6), "where an area is, or the chunk ends"),
        (alloc(0, 7, 0, 513), "which no kernel with this policy serves"),
        (alloc(0, 7, 0, align=12), "which no kernel with this policy serves"),
        (alloc(3, 7, 48), "where an area is, or the chunk ends"),  # one of the start
    ],
)
def test_choice_that_no_kernel_makes(step: Alloc, why: str) -> None:
    kernel = Followed(used=((0, 48, 56),), recorded=WORKS)
    size, align = step.kind.size, step.kind.align
    text = (
        f"operation {step.number}: the kernel places {size} bytes, aligned to {align}, at offset "
        f"{step.place.offset} of chunk 7, {why}|which is {why}"
    )
    with pytest.raises(TraceError, match=text):
        kernel.step(step)
    assert kernel.map(0) == (48, -8, 8)


# --- what the recording lacks


def test_areas_in_whose_place_the_kernel_puts_another_one() -> None:
    """|aabbccdd........|, then e in the place of b and c; the area of another chunk stays."""
    kernel = Followed(
        *(alloc(n, 7, 8 * n) for n in range(4)),
        Created(5),
        alloc(4, 5, 8),
        alloc(5, 7, 8, 16),
        recorded=WORKS,
    )
    assert kernel.map(0) == (-8, -16, -8, 32)
    assert kernel.map(1) == (8, -8, 496)
    assert kernel.figures.lost_frees == 2
    assert kernel.figures.all == Choices(6, 4, 4)
    first = kernel.figures.contradiction
    assert "operation 5: the kernel places 16 bytes, aligned to 4, at offset 8 of chunk 7" in str(
        first
    )
    assert kernel.step(free(1), free(2)).orphans == 2
    assert kernel.step(alloc(6, 7, 8, 4), free(6)).lost_frees == 3
    assert kernel.figures.contradiction is first
    assert kernel.step(free(0), free(3), free(4)).orphans == 2
    assert kernel.map(0) == (64,)


def test_area_at_an_odd_offset_has_no_lost_free() -> None:
    kernel = Followed(alloc(0, 7, 0))
    with pytest.raises(TraceError):
        kernel.step(alloc(1, 7, 2))
    assert kernel.figures.lost_frees == 0
    assert kernel.map(0) == (-8, 56)


# --- requests that fail


def test_failed_requests() -> None:
    """Those that may not create a chunk are predicted; others failed for want of memory."""
    kernel = Followed(Failed(Kind(8, 4, "", ("atomic",))), recorded=WORKS)
    assert kernel.figures.failed == Foretold(1, 0)
    kernel.step(alloc(0, 7, 0, 64), Failed(Kind(8, 4, "", ("atomic",))))
    assert kernel.figures.failed == Foretold(2, 1)
    assert kernel.step(Failed(Kind(8, 4))).failed == Foretold(2, 1)
    assert kernel.step(Failed(Kind(8, 4, "", ("atomic",)))).failed == Foretold(3, 2)
    assert kernel.allocator.chunks == 1
    kernel = Followed(Failed(Kind(16, 4, "", ("reserved",))), reserved_size=8, recorded=WORKS)
    assert kernel.figures.failed == Foretold(1, 1)


# --- chunks come and go


def test_creations_are_paired_in_either_order() -> None:
    """The policy's work creates a second chunk, which the kernel does later, or never."""
    kernel = Followed(Created(5), alloc(0, 5, 0, 512))
    assert kernel.allocator.chunks == 3
    assert kernel.figures.made == Foretold(1, 1)
    assert kernel.figures.new == Choices(1, 1, 1)
    assert kernel.step(Created(6)).made == Foretold(2, 2)
    assert kernel.step(Created(8)).made == Foretold(3, 2)


def test_chunk_of_the_policys_work_is_the_kernels_next_one() -> None:
    kernel = Followed(Created(5), alloc(0, 5, 0, 512), Created(6), alloc(1, 6, 0, 128))
    assert kernel.figures.all == kernel.figures.new == Choices(2, 2, 2)
    assert kernel.map(2) == (-128, 384)
    kernel.step(free(0), free(1))
    assert kernel.map(2) == (512,)


def test_chunk_without_a_name_is_chosen() -> None:
    """The policy's work has created it, the kernel's has not.

    In the first chunk the policy sees no place: the defect hides what is freed in its second page.
    """
    kernel = Followed(
        *(alloc(0, 7, 0, 64), alloc(1, 7, 64), alloc(2, 7, 72, 56), free(1), alloc(3, 7, 64)),
        dyn_size=128,
    )
    (miss,) = kernel.figures.misses
    assert (miss.kernel, miss.chosen) == (Location(0, 64), Location(1, 0))
    assert (miss.there, miss.chosen_chunk) == (None, None)


def test_chunk_that_the_kernel_destroys_instead_of_ours() -> None:
    """Both are free.  The kernel keeps the first, the policy the second, which then stands for it.

    kernel  5 6 -> 5          policy  1 2 -> 2
    """
    kernel = Followed(
        *(Created(5), alloc(0, 5, 0, 512), Created(6), alloc(1, 6, 0, 512)),
        *(free(0), free(1), Work(begins=True), Work(begins=False), Destroyed(6)),
    )
    assert kernel.chunks() == [0, 2]
    assert kernel.figures.destroyed == Foretold(1, 1)
    kernel.step(alloc(2, 5, 0, 128))
    assert kernel.map(2) == (-128, 384)
    kernel.step(alloc(3, 5, 128, 192))
    assert kernel.map(2) == (-128, -192, 192)
    assert kernel.figures.all == Choices(4, 4, 4)
    assert kernel.step(free(2)).orphans == 0


def test_chunk_that_stands_for_no_other_is_created() -> None:
    """The kernel uses one that the policy destroyed, and none is left to stand for it."""
    kernel = Followed(
        *(Created(5), alloc(0, 5, 0, 512), Created(6), alloc(1, 6, 0, 512)),
        *(free(0), free(1), Work(begins=True), Work(begins=False)),
    )
    assert kernel.chunks() == [0, 2]
    kernel.step(alloc(2, 5, 0, 128))
    assert kernel.chunks() == [0, 2, 3]
    assert kernel.map(3) == (-128, 384)
    assert kernel.figures.destroyed == Foretold(0, 0)
    assert kernel.step(Destroyed(6)).destroyed == Foretold(1, 1)


def test_chunk_that_the_policy_destroyed_too_stands_for_none() -> None:
    """Both destroy the chunk that stood for one of the kernel; each destruction counts once."""
    kernel = Followed(
        *(Created(5), alloc(0, 5, 0, 512), Created(6), alloc(1, 6, 0, 512)),
        *(free(0), free(1), Work(begins=True), Work(begins=False), Destroyed(6)),
        *(Created(8), alloc(2, 8, 0, 512), free(2), Work(begins=True), Work(begins=False)),
    )
    assert kernel.chunks() == [0, 3]
    assert kernel.figures.destroyed == Foretold(1, 1)
    kernel.step(alloc(3, 5, 0, 128))
    assert kernel.chunks() == [0, 3, 4]
    assert kernel.map(4) == (-128, 384)
    assert kernel.step(Destroyed(8)).destroyed == Foretold(2, 2)
    assert kernel.step(Destroyed(12)).destroyed == Foretold(3, 2)


def test_destroyed_chunk_is_emptied_of_what_a_guess_put_there() -> None:
    kernel = Followed(
        used=((1, 0, 100), (1, 200, 300), (2, 0, 100)), chunks=(7, 5, 6), recorded=WORKS
    )
    kernel.step(Destroyed(5))
    assert kernel.map(1) == (512,)
    assert kernel.map(2) == (-100, 412)
    assert kernel.figures.destroyed == Foretold(1, 0)
    assert kernel.step(free(None, 5, 0), Destroyed(9)).orphans == 1
    assert kernel.figures.destroyed == Foretold(2, 0)


# --- background work


def test_work_is_done_where_the_recording_has_it() -> None:
    """The first step at its begin, the others at its end: four pages are populated then."""
    kernel = Followed(alloc(0, 7, 0, 64), recorded=WORKS)
    state = kernel.allocator.state
    assert kernel.figures.runs == Foretold(0, 0)
    assert kernel.step(Work(begins=True)).runs == Foretold(1, 1)
    assert (state().balance_requested, state().empty_pages) == (False, 0)
    kernel.step(Work(begins=False))
    assert (state().empty_pages, kernel.figures.made) == (4, Foretold(0, 0))
    assert kernel.step(Created(5)).made == Foretold(1, 1)
    # a run that was not requested
    assert kernel.step(Work(begins=True), Work(begins=False)).runs == Foretold(2, 1)
    assert kernel.step(Work(begins=False)).runs == Foretold(2, 1)
    assert kernel.allocator.chunks == 2


@pytest.mark.parametrize("step", [Created(5), Work(begins=True), Work(begins=False)])
def test_rest_of_the_work_is_done_at_the_latest(step: Step) -> None:
    """Where a chunk is created, where another run begins, or at the end; not twice."""
    kernel = Followed(alloc(0, 7, 0, 64), Work(begins=True), recorded=WORKS)
    assert kernel.allocator.state().empty_pages == 0
    kernel.step(step)
    assert kernel.allocator.state().empty_pages == 4
    if step != Work(begins=True):
        kernel.step(alloc(2, 6, 0, 256), Created(9))
        assert kernel.allocator.state().empty_pages == 0


def test_chunk_is_depopulated_in_the_rest_of_the_work() -> None:
    """Chunk 1 is isolated with two empty pages, while seven others are empty."""
    kernel = Followed(
        *(alloc(n, 5 + (n > 8) if n else 7, (n - 1) % 8 * 64 if n else 0, 64) for n in range(17)),
        *(free(n) for n in (*range(9, 16), 1, 2)),
        recorded=WORKS,
    )
    assert kernel.figures.misses == []

    def held() -> tuple[bool, int]:
        one = kernel.allocator.state().chunks[1]
        return one.isolated, sum(one.populated)

    assert held() == (True, 8)
    kernel.step(Work(begins=True))
    assert held() == (True, 8)
    kernel.step(Work(begins=False))
    assert held() == (True, 6)


def test_chunk_destroyed_in_the_first_step_is_counted_at_once() -> None:
    kernel = Followed(
        *(Created(5), alloc(0, 5, 0, 512), Created(6), alloc(1, 6, 0, 512)),
        *(free(0), free(1), Destroyed(5), Work(begins=True)),
    )
    assert kernel.figures.destroyed == Foretold(1, 1)


def test_recording_without_work() -> None:
    """It runs when the policy requests it."""
    kernel = Followed(alloc(0, 7, 0, 60))
    assert kernel.figures.runs == Foretold(None, 1)
    assert kernel.allocator.state().empty_pages == 4
    assert kernel.step(alloc(1, 7, 60, 4)).runs == Foretold(None, 1)
    assert kernel.step(alloc(2, 5, 0, 256)).runs == Foretold(None, 2)


def test_start_has_nothing_in_use_by_default() -> None:
    with Allocator(**TINY) as allocator:
        Follower(allocator, Start("boot", "", (7,)), [])
        assert allocator.state().chunks[0].map == (64,)


def test_progress() -> None:
    kernel = Followed()
    done: list[tuple[int, int]] = []
    steps = [free(None)] * 8200
    kernel.follower.run(steps, lambda more: done.append((more, kernel.figures.orphans)))
    assert done == [(4096, 4096), (4096, 8192)]
    assert kernel.figures.orphans == 8200
    kernel.follower.run([free(None)] * 4096)
    assert len(done) == 2
