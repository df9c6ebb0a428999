# SPDX-License-Identifier: GPL-2.0-only
"""Shortening tries what delta debugging tries, in its order, and what it returns still differs."""

from __future__ import annotations

from typing import Any

import pytest

from percpu_ffi import ConfigError, Trace
from percpu_ffi.lockstep import Difference, lockstep, shorten

COMPARE = ("pointers",)


class Right:
    """An allocator whose pointers are the sizes."""

    def __init__(self, **_setup: Any) -> None:
        self.calls: list[str] = []

    def alloc(self, size: int, _align: int) -> int:
        self.calls.append(str(size))
        return size

    def free(self, ptr: int) -> None:
        self.calls.append(f"-{ptr}")


class Wrong(Right):
    """Another one, with a wrong pointer after some calls."""

    needed: tuple[str, ...]
    tried: list[str]

    def alloc(self, size: int, align: int) -> int:
        super().alloc(size, align)
        *before, last = self.needed
        return size + (str(size) == last and set(before) <= set(self.calls))

    def close(self) -> None:
        self.tried.append(" ".join(self.calls))


def wrong(*needed: str) -> Any:
    return type("OneWrong", (Wrong,), {"needed": needed, "tried": []})


def shortened(ops: list[Any], kind: Any) -> tuple[Difference, list[str], list[int]]:
    """Return the difference, the calls of each run, and the reported progress."""
    parties = {"right": Right, "wrong": kind}
    found = lockstep(parties, Trace.from_ops(ops, {"cpus": 3}), compare=COMPARE)
    assert found
    kind.tried.clear()
    steps: list[int] = []
    short = shorten(parties, found, compare=COMPARE, progress=steps.append)
    tried = list(kind.tried)
    assert short.trace.setup == {"cpus": 3}
    assert str(lockstep(parties, short.trace, compare=COMPARE)) == str(short)
    return short, tried, steps


def allocs(*sizes: int) -> list[Any]:
    return [("alloc", size, size, 1) for size in sizes]


def test_pieces_get_smaller_until_no_operation_can_go() -> None:
    """Zeller and Hildebrandt: 2 pieces, then 4, 8; after a success, one piece fewer."""
    short, tried, steps = shortened(allocs(*range(1, 9)), wrong("3", "8"))
    assert tried == [
        *("5 6 7 8", "1 2 3 4"),  # 2 pieces: of 4
        "3 4 5 6 7 8",  # 4 pieces: of 2; the first is not needed
        *("5 6 7 8", "3 4 7 8"),  # 3 pieces: of 2
        *("7 8", "3 4"),  # 2 pieces: of 2
        *("4 7 8", "3 7 8"),  # 4 pieces: of 1
        *("7 8", "3 8"),  # 3 pieces
        *("8", "3"),  # 2 pieces
    ]
    assert steps == [2, 2, 1, 1]
    assert list(short.trace) == allocs(3, 8)


def test_difference_that_needs_no_operation_before_it_is_one_operation() -> None:
    short, tried, steps = shortened(allocs(1, 2, 3, 4, 5), wrong("5"))
    assert tried == ["4 5", "5", ""]
    assert steps == [3, 1]
    assert list(short.trace) == allocs(5)


def test_operations_after_the_difference_are_not_run_again() -> None:
    ops = [*allocs(1, 2, 3), *allocs(7, 8, 9)]
    short, tried, _steps = shortened(ops, wrong("3"))
    assert list(short.trace) == allocs(3)
    assert not any("7" in calls for calls in tried)


def test_frees_of_areas_that_were_removed_are_removed() -> None:
    ops = [*allocs(1, 2), ("free", 1), ("free", 2), ("free", 9), *allocs(3)]
    short, _tried, steps = shortened(ops, wrong("2", "-2", "3"))
    assert list(short.trace) == [*allocs(2), ("free", 2), *allocs(3)]
    assert steps == [3]  # of area 1, and of 9, which was never live
    again = [*allocs(5, 1), ("free", 1), ("free", 1), *allocs(2)]
    short, _tried, steps = shortened(again, wrong("-1", "2"))
    assert list(short.trace) == [*allocs(1), ("free", 1), *allocs(2)]
    assert steps == [2]  # of area 5, and the second one of area 1


def test_faults_and_areas_of_one_key_are_kept() -> None:
    ops = [("alloc", 1, 5, 1), ("alloc", 1, 6, 1), ("free", 1), *allocs(8)]
    short, _tried, _steps = shortened(ops, wrong("5", "-5", "-6", "8"))
    assert list(short.trace) == ops

    class Faulty(wrong("8")):  # type: ignore[misc]
        def inject(self, site: str, **_plan: Any) -> None:
            self.calls.append(site)

    class Good(Right):
        inject = Faulty.inject

    Faulty.needed = ("map", "8")
    parties = {"good": Good, "faulty": Faulty}
    trace = Trace.from_ops([*allocs(1), ("inject", "map", {"nth": 1}), *allocs(2, 8)])
    found = lockstep(parties, trace, compare=COMPARE)
    assert found
    short = shorten(parties, found, compare=COMPARE)
    assert list(short.trace) == [("inject", "map", {"nth": 1}), *allocs(8)]


def test_difference_in_close_needs_no_operation() -> None:
    class Open(Right):
        def close(self) -> None:
            raise RuntimeError

    parties = {"right": Right, "open": Open}
    found = lockstep(parties, Trace.from_ops(allocs(1, 2)), compare=COMPARE)
    assert found
    short = shorten(parties, found, compare=COMPARE)
    assert (len(short.trace), short.aspect) == (0, "errors")


def test_interrupt_returns_the_shortest_so_far() -> None:
    def stop(_removed: int) -> None:
        steps.append(1)
        if len(steps) == 2:
            raise KeyboardInterrupt

    steps: list[int] = []
    parties = {"right": Right, "wrong": wrong("3", "8")}
    found = lockstep(parties, Trace.from_ops(allocs(*range(1, 9))), compare=COMPARE)
    assert found
    short = shorten(parties, found, compare=COMPARE, progress=stop)
    assert list(short.trace) == allocs(3, 4, 5, 6, 7, 8)


def test_wrong_arguments_are_named() -> None:
    parties = {"right": Right, "wrong": wrong("1")}
    found = lockstep(parties, Trace.from_ops(allocs(1)), compare=COMPARE)
    assert found
    with pytest.raises(ConfigError, match="difference='x': a Difference is needed"):
        shorten(parties, "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="progress=3"):
        shorten(parties, found, progress=3)  # type: ignore[arg-type]
