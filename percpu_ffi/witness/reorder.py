# SPDX-License-Identifier: GPL-2.0-only
"""Search for the order of the decisions, where it is not the order of the lines.

A kernel prints an allocation after it has dropped its locks.  On several CPUs an allocation that is
printed later may have been decided earlier:

    printed     A takes 0       B takes 64          the policy: A takes 64
    decided     B takes 64      A takes 0           after B freed or took something

An interrupt may free an area between them, too.  So an allocation that is not predicted, or a later
one that took the predicted place, is moved upwards within a window of lines, as long as the
allocations of a task keep their order.  A move is kept if fewer choices are missed then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from percpu_ffi.errors import TraceError
from percpu_ffi.trace.operations import NO_INDEX
from percpu_ffi.trace.steps import Alloc, Free, Step

if TYPE_CHECKING:
    from percpu_ffi.witness.follow import Figures, Miss

HORIZON = 256  # steps after a choice that must not become worse
OTHERS = 12  # orders to try for a choice, if none is likely
MOST_TRIALS = 2000

Move = tuple[int, int]  # index of a step, and of the one before which it was decided
Follow = Callable[[Sequence[Step]], "Figures"]


def reordered(
    steps: Sequence[Step], window: int, recorded: Figures, follow: Follow
) -> tuple[Figures, int]:
    """Return the figures of the best order that was found, and how many steps it moves.

    The first choice that is missed is mended first, since those after it may follow from it.

    Args:
        steps: as recorded.
        window: how many lines a step may move at most.
        recorded: the figures in that order.
        follow: follows steps in another one.

    """
    index = {step.number: i for i, step in enumerate(steps) if isinstance(step, Alloc)}
    moves: dict[int, Move] = {}  # by the number of the choice that it mends
    given_up: set[int] = set()
    best, trials, last = recorded, 0, -HORIZON
    while trials < MOST_TRIALS:
        left = [miss for miss in best.misses if miss.step.number not in given_up]
        if not left:
            break
        number = left[0].step.number
        at = index[number]
        end = at + window + HORIZON
        before = sum(index[miss.step.number] < end for miss in best.misses)
        # the rest of a burst that nothing mended has the same cause
        others = OTHERS if at - last > HORIZON else 0
        for move in _candidates(steps, index, left[0], window, others):
            trials += 1
            trial = {**moves, number: move}
            if _misses(_moved(steps[:end], trial), follow) < before:
                moves = trial
                best = follow(_moved(steps, moves))
                break
        else:
            given_up.add(number)
            last = at
    return best, len(moves)


def _misses(order: Sequence[Step], follow: Follow) -> float:
    """Return how many choices are missed."""
    try:
        return len(follow(order).misses)
    except TraceError:  # two areas in one place: no kernel has decided so
        return math.inf


def _moved(steps: Sequence[Step], moves: dict[int, Move]) -> list[Step]:
    """Return the steps in another order."""
    keys = {step: (before, 0, step) for step, before in moves.values()}
    order = sorted(range(len(steps)), key=lambda i: keys.get(i, (i, 1, i)))
    return [steps[i] for i in order]


def _candidates(
    steps: Sequence[Step], index: dict[int, int], miss: Miss, window: int, others: int
) -> Iterator[Move]:
    """Return orders that may mend a choice, the most likely first."""
    at = index[miss.step.number]
    if miss.chosen:
        start, end = miss.chosen.offset, miss.chosen.offset + miss.step.kind.size
        for later in range(at + 1, min(at + window + 1, len(steps))):
            step = steps[later]
            if (
                isinstance(step, Alloc)
                and step.place.chunk == miss.chosen_chunk
                and step.place.offset < end
                and step.place.offset + step.kind.size > start
                and _may_move(steps, later, at)
            ):
                yield later, at
        for earlier in range(at - 1, max(at - window, 0) - 1, -1):
            step = steps[earlier]
            if (
                isinstance(step, Free)
                and step.place.chunk == miss.chosen_chunk
                and start <= step.place.offset < end
                and _may_move(steps, at, earlier)
            ):
                yield at, earlier
    moved = (
        move
        for distance in range(1, window + 1)
        for move in ((at, at - distance), (at + distance, at))
        if move[1] >= 0 and move[0] < len(steps) and _may_move(steps, *move)
    )
    yield from islice(moved, others)


def _may_move(steps: Sequence[Step], step: int, before: int) -> bool:
    """Whether an allocation may be decided before a step that is printed earlier.

    The allocations of a task are in order; its frees may be those of an interrupt.
    """
    moved = steps[step]
    return isinstance(moved, Alloc) and not any(
        _same_task(steps[i], moved) or _same_area(steps[i], moved) for i in range(before, step)
    )


def _same_task(other: Step, moved: Alloc) -> bool:
    return isinstance(other, Alloc) and other.task == moved.task != NO_INDEX


def _same_area(other: Step, moved: Alloc) -> bool:
    """Whether an earlier step frees or takes the place of an allocation."""
    if not isinstance(other, Alloc | Free) or other.place.chunk != moved.place.chunk:
        return False
    size = other.kind.size if isinstance(other, Alloc) else 1
    start, end = moved.place.offset, moved.place.offset + moved.kind.size
    return other.place.offset < end and other.place.offset + size > start
