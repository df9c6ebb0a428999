# SPDX-License-Identifier: GPL-2.0-only
"""Search for the order of the decisions, where it is not the order of the lines.

A kernel prints an allocation after it has dropped its locks.  On several CPUs an allocation that is
printed later may have been decided earlier:

    printed     A takes 0       B takes 64          the policy: A takes 64
    decided     B takes 64      A takes 0           after B freed or took something

So an allocation that is not predicted, or a later one of another task that took the predicted
place, is moved upwards within a window of lines, as long as each task keeps its order.  A move is
kept if the choice is predicted then, and the recording has fewer misses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from percpu_ffi.errors import TraceError
from percpu_ffi.trace.operations import NO_INDEX
from percpu_ffi.witness.steps import Alloc, Free, Step

if TYPE_CHECKING:
    from percpu_ffi.witness.follow import Figures, Miss

ROUNDS = 24
CANDIDATES = 24  # orders to try for a choice

Move = tuple[int, int]  # index of a step, and of the one before which it was decided


def reordered(
    steps: Sequence[Step],
    window: int,
    recorded: Figures,
    follow: Callable[[Sequence[Step]], Figures],
) -> tuple[Figures, int]:
    """Return the figures of the best order that was found, and how many steps it moves.

    Args:
        steps: as recorded.
        window: how many lines a step may move at most.
        recorded: the figures in that order.
        follow: follows steps in another one.

    """
    index = {step.number: i for i, step in enumerate(steps) if isinstance(step, Alloc | Free)}
    best, kept = recorded, dict[int, Move]()  # by the number of the choice that a move mends
    tried: dict[int, Iterator[Move]] = {}
    for _ in range(ROUNDS):
        new = {}
        for miss in best.misses:
            number = miss.step.number
            if number not in tried:
                tried[number] = islice(_candidates(steps, index, miss, window), CANDIDATES)
            if move := next(tried[number], None):
                new[number] = move
        if not new:
            break
        best, kept = _keep_what_helps(steps, best, kept, new, follow)
    return best, len(kept)


def _keep_what_helps(
    steps: Sequence[Step],
    best: Figures,
    kept: dict[int, Move],
    new: dict[int, Move],
    follow: Callable[[Sequence[Step]], Figures],
) -> tuple[Figures, dict[int, Move]]:
    """Try new moves together, then without those that did not mend their choice."""
    while new:
        moves = {**kept, **new}
        try:
            figures = follow(_moved(steps, moves))
        except TraceError:  # two areas in one place: no kernel has decided so
            break
        missed = {miss.step.number for miss in figures.misses}
        mended = {number: move for number, move in new.items() if number not in missed}
        if len(mended) == len(new):
            return (figures, moves) if len(missed) < len(best.misses) else (best, kept)
        new = mended
    return best, kept


def _moved(steps: Sequence[Step], moves: dict[int, Move]) -> list[Step]:
    """Return the steps in another order."""
    keys: dict[int, tuple[int, int, int]] = {}
    for step, before in moves.values():
        keys[step] = (before, 0, step)
    order = sorted(range(len(steps)), key=lambda i: keys.get(i, (i, 1, i)))
    return [steps[i] for i in order]


def _candidates(
    steps: Sequence[Step], index: dict[int, int], miss: Miss, window: int
) -> Iterator[Move]:
    """Return orders that may mend a choice, the most likely first."""
    at = index[miss.step.number]
    size = miss.step.kind.size
    if miss.chosen:
        start, end = miss.chosen.offset, miss.chosen.offset + size
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
                and start - size <= step.place.offset < end
                and _may_move(steps, at, earlier)
            ):
                yield at, earlier
    for distance in range(1, window + 1):
        if at >= distance and _may_move(steps, at, at - distance):
            yield at, at - distance
        later = at + distance
        if later < len(steps) and isinstance(steps[later], Alloc) and _may_move(steps, later, at):
            yield later, at


def _may_move(steps: Sequence[Step], step: int, before: int) -> bool:
    """Whether a step may be decided before another one that is printed earlier."""
    moved = steps[step]
    return isinstance(moved, Alloc) and not any(
        _same_task(steps[i], moved) or _same_area(steps[i], moved) for i in range(before, step)
    )


def _same_task(a: Step, b: Step) -> bool:
    tasks = [getattr(step, "task", NO_INDEX) for step in (a, b)]
    return tasks[0] == tasks[1] != NO_INDEX


def _same_area(a: Step, b: Alloc) -> bool:
    """Whether an earlier step frees or takes the place of an allocation."""
    if not isinstance(a, Alloc | Free) or a.place.chunk != b.place.chunk:
        return False
    size = a.kind.size if isinstance(a, Alloc) else 1
    return a.place.offset < b.place.offset + b.kind.size and a.place.offset + size > b.place.offset
