# SPDX-License-Identifier: GPL-2.0-only
"""The search for the order of the decisions: which orders are tried, and which one is kept.

The policy here is first fit in one chunk; or one that never predicts better, to see what is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from percpu_ffi import Location, TraceError
from percpu_ffi.trace.operations import NO_INDEX, Kind
from percpu_ffi.trace.steps import Alloc, Created, Free, Step
from percpu_ffi.witness import reorder
from percpu_ffi.witness.follow import Figures, Miss
from percpu_ffi.witness.reorder import reordered

Order = Sequence[Step]


def alloc(
    number: int, offset: int, task: int | None = None, size: int = 8, chunk: int = 0
) -> Alloc:
    """Return an allocation, by default of a task of its own."""
    task = number if task is None else task
    return Alloc(number, Kind(size, 4), Location(chunk, offset), task)


def free(number: int, offset: int, area: int | None = None, chunk: int = 0) -> Free:
    return Free(number, area, Location(chunk, offset), 0)


def missed(step: Alloc, chosen: int | None, chunk: int = 0) -> Miss:
    """Return a miss: the policy would have chosen an offset, or found no place."""
    place = None if chosen is None else Location(chunk, chosen)
    return Miss(step, step.place, place, chosen, chunk)


def first_fit(order: Order) -> Figures:
    """Predict the lowest place."""
    figures, used = Figures(), dict[int | None, tuple[int, int]]()
    for step in order:
        if isinstance(step, Free):
            used.pop(step.area)
        elif isinstance(step, Alloc):
            start, end, at = step.place.offset, step.place.offset + step.kind.size, 0
            for first, last in sorted(used.values()):
                if first < end and start < last:
                    raise TraceError("two areas in one place")
                if at + step.kind.size > first:
                    at = last
            if at != start:
                figures.misses.append(missed(step, at))
            used[step.number] = start, end
    return figures


def mended(steps: Order, window: int) -> tuple[int, int]:
    """Return how many choices are missed in the best order, and how many steps it moves."""
    best, moves = reordered(steps, window, first_fit(steps), first_fit)
    return len(best.misses), moves


# --- what is mended


def test_decision_that_is_printed_late() -> None:
    """Decided 3 0 1 2; a smaller window has room for a part of the move."""
    steps: list[Step] = [alloc(0, 8), alloc(1, 16), alloc(2, 24), alloc(3, 0)]
    assert mended(steps, 3) == (0, 1)
    assert mended(steps, 2) == (1, 1)
    assert mended(steps, 1) == (2, 1)


def test_each_late_decision_is_a_move() -> None:
    """Decided 1 0 3 2."""
    assert mended([alloc(0, 8), alloc(1, 0), alloc(2, 24), alloc(3, 16)], 2) == (0, 2)


def test_allocation_that_does_not_see_a_free() -> None:
    """Decided 0 1 3 and then the free of 1."""
    steps: list[Step] = [alloc(0, 0), alloc(1, 8), free(2, 8, area=1), alloc(3, 16)]
    assert mended(steps, 1) == (0, 1)


def test_two_decisions_before_the_same_line() -> None:
    """Decided 0 1 3 4 and then the free of 1; both keep their order."""
    steps: list[Step] = [alloc(0, 0), alloc(1, 8), free(2, 8, area=1), alloc(3, 16), alloc(4, 24)]
    assert mended(steps, 2) == (0, 2)


def test_allocations_of_a_task_keep_their_order() -> None:
    assert mended([alloc(0, 8, task=1), alloc(1, 0, task=1)], 1) == (1, 0)
    assert mended([alloc(0, 8, task=1), alloc(1, 0, task=2)], 1) == (0, 1)
    unknown: list[Step] = [alloc(0, 8, task=NO_INDEX), alloc(1, 0, task=NO_INDEX)]
    assert mended(unknown, 1) == (0, 1)


def test_order_with_two_areas_in_one_place_is_none() -> None:
    """2 takes the second half of 0 after its free; before it, it cannot."""
    assert mended([alloc(0, 0, size=16), free(1, 0, area=0), alloc(2, 8)], 2) == (1, 0)


# --- what is tried


def tried(
    steps: Order, window: int, *misses: Miss, follow: Callable[[Order], Figures] | None = None
) -> list[list[int]]:
    """Return the orders that are tried if none is better."""
    orders: list[list[int]] = []
    recorded = Figures(misses=list(misses))

    def note(order: Order) -> Figures:
        orders.append([step.number for step in order if isinstance(step, Alloc | Free)])
        return recorded

    assert reordered(steps, window, recorded, note) == (recorded, 0)
    return orders


def apart(n: int) -> list[Any]:
    """Return allocations that have nothing to do with each other."""
    return [alloc(number, 100 * number) for number in range(n)]


def test_near_orders_are_tried_if_none_is_likely() -> None:
    steps = apart(7)
    miss = missed(steps[3], None)
    orders = [
        [0, 1, 3, 2, 4, 5, 6],
        [0, 1, 2, 4, 3, 5, 6],
        [0, 3, 1, 2, 4, 5, 6],
        [0, 1, 2, 5, 3, 4, 6],
        [3, 0, 1, 2, 4, 5, 6],
        [0, 1, 2, 6, 3, 4, 5],
    ]
    assert tried(steps, 1, miss) == orders[:2]
    assert tried(steps, 2, miss) == orders[:4]
    assert tried(steps, 9, miss) == orders
    assert len(tried(apart(40), 20, missed(alloc(20, 0), None))) == 12


def test_step_that_is_no_allocation_is_not_moved() -> None:
    steps = apart(4)
    steps[3] = free(3, 900)
    assert tried([*steps, Created(1)], 2, missed(steps[2], None)) == [[0, 2, 1, 3], [2, 0, 1, 3]]


@pytest.mark.parametrize(
    ("place", "size", "likely"),
    [(92, 8, False), (92, 9, True), (100, 8, True), (107, 8, True), (108, 8, False)],
)
def test_later_step_that_took_the_place_is_tried_first(place: int, size: int, likely: bool) -> None:
    """The policy chooses bytes 100 to 108; 4 is three lines later."""
    steps: list[Any] = [
        alloc(0, 0),
        alloc(1, 300),
        alloc(2, 400),
        alloc(3, 500),
        alloc(4, place, size=size),
    ]
    orders = tried(steps, 3, missed(steps[1], 100))
    assert (orders[0] == [0, 4, 1, 2, 3]) == likely
    assert tried(steps, 2, missed(steps[1], 100))[0] == [1, 0, 2, 3, 4]
    assert tried(steps, 3, missed(steps[1], 100, chunk=1))[0] == [1, 0, 2, 3, 4]


@pytest.mark.parametrize(("place", "likely"), [(99, False), (100, True), (107, True), (108, False)])
def test_earlier_free_of_the_place_is_tried_first(place: int, likely: bool) -> None:
    steps: list[Any] = [free(0, place), alloc(1, 0), alloc(2, 200), alloc(3, 300), alloc(4, 400)]
    orders = tried(steps, 3, missed(steps[3], 100))
    assert (orders[0] == [3, 0, 1, 2, 4]) == likely
    assert tried(steps, 2, missed(steps[3], 100))[0] == [0, 1, 3, 2, 4]
    assert tried(steps, 3, missed(steps[3], 100, chunk=1))[0] == [0, 1, 3, 2, 4]


def test_order_as_recorded_is_not_tried() -> None:
    """The place that the policy chooses overlaps that of the step before, and the kernel's."""
    steps: list[Any] = [alloc(0, 92, size=9), alloc(1, 104), alloc(2, 300)]
    assert tried(steps, 1, missed(steps[1], 100)) == [[1, 0, 2], [0, 2, 1]]


def test_later_steps_come_before_earlier_frees_and_both_before_the_rest() -> None:
    steps: list[Any] = [free(0, 100), alloc(1, 0), alloc(2, 300), alloc(3, 400), alloc(4, 100)]
    orders = tried(steps, 9, missed(steps[2], 100))
    assert orders[:3] == [[0, 1, 4, 2, 3], [2, 0, 1, 3, 4], [0, 2, 1, 3, 4]]


@pytest.mark.parametrize(
    ("before", "moves"),
    [
        (alloc(0, 0, task=1), False),
        (alloc(0, 0, task=0), True),
        (free(0, 0), True),
        # the place of 1 is 50 to 58
        (alloc(0, 42), True),
        (alloc(0, 43), False),
        (alloc(0, 57), False),
        (alloc(0, 58), True),
        (alloc(0, 50, chunk=2), True),
        (free(0, 49), True),
        (free(0, 50), False),
        (free(0, 57), False),
        (free(0, 58), True),
        (free(0, 50, chunk=2), True),
    ],
)
def test_what_a_decision_cannot_be_moved_over(before: Step, moves: bool) -> None:
    miss = missed(alloc(1, 50), None)
    assert ([1, 0] in tried([before, miss.step], 1, miss)) == moves


def test_decision_is_not_moved_over_two_lines_of_which_one_is_of_its_task() -> None:
    for first, second in ((2, 0), (0, 2)):
        steps: list[Any] = [alloc(0, 0, task=first), alloc(1, 300, task=second), alloc(2, 50)]
        assert [2, 0, 1] not in tried(steps, 2, missed(steps[2], None))


# --- what is kept


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a choice matter to the two steps after the window only."""
    monkeypatch.setattr(reorder, "HORIZON", 2)


@pytest.mark.parametrize(
    ("recorded", "then", "kept"),
    [
        ([1], [], True),
        # another choice is missed instead: one that matters, or a later one
        ([1], [3], False),
        ([1], [4], True),
        # so many are missed before and after, up to that line
        ([1, 3], [3], True),
        ([1, 4], [3], False),
    ],
)
@pytest.mark.usefixtures("near")
def test_order_is_kept_if_fewer_choices_are_missed(
    recorded: list[int], then: list[int], kept: bool
) -> None:
    steps = apart(6)
    steps[2] = alloc(2, 900)
    before = Figures(misses=[missed(steps[n], 900) for n in recorded])
    after = [missed(steps[n], None) for n in then]

    def follow(order: Order) -> Figures:
        numbers = [step.number for step in order if isinstance(step, Alloc)]
        if numbers.index(2) < numbers.index(1):
            return Figures(misses=[miss for miss in after if miss.step.number in numbers])
        return Figures(misses=[miss for miss in before.misses if miss.step.number in numbers])

    best, moves = reordered(steps, 1, before, follow)
    assert moves == kept
    assert [miss.step.number for miss in best.misses] == (then if kept else recorded)


@pytest.mark.usefixtures("near")
def test_after_a_miss_that_nothing_mends_only_likely_orders_are_tried() -> None:
    """Those within the horizon have the same cause, and so have those after them."""
    steps = apart(9)

    def count(*missed_ones: int) -> int:
        return len(tried(steps, 1, *(missed(steps[n], None) for n in missed_ones)))

    assert count(3) == 2
    assert count(3, 5) == 2
    assert count(3, 5, 6) == 2
    assert count(3, 6) == 4
    assert len(tried(steps, 1, missed(steps[3], None), missed(steps[4], 500))) == 3
    steps[4] = free(4, 900)  # the line before
    assert len(tried(steps, 1, missed(steps[3], None), missed(steps[5], 900))) == 2
    assert len(tried(steps, 1, missed(steps[3], None), missed(steps[5], 800))) == 1


def test_horizon_of_256_steps() -> None:
    steps = apart(300)
    for second, trials in ((3 + 256, 2), (3 + 257, 4)):
        misses = missed(steps[3], None), missed(steps[second], None)
        assert len(tried(steps, 1, *misses)) == trials


def test_trials_end(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = apart(600)
    misses = [missed(steps[n], None) for n in (3, 500)]
    for most, trials in ((1, 4), (4, 4), (5, 8)):
        monkeypatch.setattr(reorder, "MOST_TRIALS", most)
        assert len(tried(steps, 2, *misses)) == trials
