# SPDX-License-Identifier: GPL-2.0-only
"""Answers of allocators to a call, and the first operation that they answer differently."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from percpu_ffi import InvalidRequest
from percpu_ffi.errors import describe_error, out_of_memory
from percpu_ffi.lockstep import ASPECTS
from percpu_ffi.lockstep.answer import (
    FIGURES,
    Answer,
    answered,
    first_difference,
    is_integer,
)
from percpu_ffi.replay import Replay

NO, OTHER = "InvalidRequest: no", "InvalidRequest: not this"


def test_part_of_an_answer() -> None:
    answer = Answer((1, 2, 3, 4), ((0, "a"), (1, "b"), (2, "c"), (3, "d")), (9,))
    assert answer.part(1, 3) == Answer((2, 3), ((0, "b"), (1, "c")), ())
    assert answer.part(0, 4) == Answer(answer.pointers, answer.errors)


@pytest.mark.parametrize(
    ("answer", "at", "expected"),
    [
        (Answer((255, 16)), 0, "0xff"),
        (Answer((255, 16)), 1, "0x10"),
        (Answer((255, 0)), 1, "done"),
        (Answer((np.int64(255),)), 0, "0xff"),
        (Answer((255, 0), ((1, NO),)), 1, NO),
        (Answer((255, 0), ((1, NO),)), 0, "0xff"),
        (Answer((255,)), 1, "no pointer"),
        (Answer(("x",)), 0, "'x'"),
        (Answer((None,)), 0, "None"),
        (Answer(), 0, ""),
        (Answer((), ((0, NO),)), 0, NO),
    ],
)
def test_answer_to_one_operation_as_text(answer: Answer, at: int, expected: str) -> None:
    assert answer.shown(at) == expected


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        # pointers
        (Answer((1, 2)), Answer((1, 3)), ("pointers", [(2,), (3,)], ["0x2", "0x3"], 1)),
        (Answer((1, 2)), Answer((4, 3)), ("pointers", [(1,), (4,)], ["0x1", "0x4"], 0)),
        (Answer((1, 2)), Answer((1,)), ("pointers", [(2,), ()], ["0x2", "no pointer"], 1)),
        (Answer((1,)), Answer((1, 2, 3)), ("pointers", [(), (2,)], ["no pointer", "0x2"], 1)),
        # errors; the first operation decides
        (Answer((1,)), Answer((0,), ((0, NO),)), ("errors", [None, NO], ["0x1", NO], 0)),
        (Answer((0,), ((0, NO),)), Answer((0,), ((0, OTHER),)),
         ("errors", [NO, OTHER], [NO, OTHER], 0)),
        (Answer((1, 0), ((1, NO),)), Answer((2, 0)),
         ("pointers", [(1,), (2,)], ["0x1", "0x2"], 0)),
        (Answer((1, 0), ((0, NO),)), Answer((1, 5)), ("errors", [NO, None], [NO, "0x1"], 0)),
        (Answer((1,), ((2, NO),)), Answer((1,)), ("errors", [NO, None], [NO, "no pointer"], 2)),
        # an operation that fails twice
        (Answer((0,), ((0, NO), (0, NO))), Answer((0,), ((0, NO),)),
         ("errors", [((0, NO), (0, NO)), ((0, NO),)], ["2 errors", "1 error"], 0)),
        # figures of a replay
        (Answer((1,), (), (5, 6, 7, *FIGURES[3:])), Answer((1,), (), (5, 8, 9, *FIGURES[3:])),
         ("state", [6, 8], [f"{FIGURES[1]} 6", f"{FIGURES[1]} 8"], 0)),
    ],
)  # fmt: skip
def test_first_difference_of_two_and_of_three(one: Answer, two: Answer, expected: Any) -> None:
    aspect, values, texts, at = expected
    assert first_difference([one, two], ASPECTS) == expected
    for places in ("aab", "aba", "baa"):
        answers = [{"a": one, "b": two}[place] for place in places]
        assert first_difference(answers, ASPECTS) == (
            aspect,
            [values["ab".index(place)] for place in places],
            [texts["ab".index(place)] for place in places],
            at,
        )
    assert first_difference([one, one, one], ASPECTS) is None


@pytest.mark.parametrize(
    ("one", "two", "aspect"),
    [
        (Answer((1,)), Answer((2,)), "pointers"),
        (Answer((1, 2)), Answer((1,)), "pointers"),
        (Answer((0,), ((0, NO),)), Answer((0,), ((0, OTHER),)), "errors"),
        (Answer((0,), ((0, NO), (0, NO))), Answer((0,), ((0, NO),)), "errors"),
        (Answer((1,), (), tuple(FIGURES)), Answer((1,), (), (0, *FIGURES[1:])), "state"),
    ],
)
def test_only_the_given_aspects_are_compared(one: Answer, two: Answer, aspect: str) -> None:
    found = first_difference([one, two], [aspect])
    assert found
    assert found[0] == aspect
    assert first_difference([one, two], set(ASPECTS) - {aspect}) is None


@pytest.mark.parametrize("compare", ASPECTS)
def test_whether_an_operation_fails_is_always_compared(compare: str) -> None:
    good, bad = Answer((0, 0)), Answer((0, 0), ((1, NO),))
    values = [None, NO] if compare == "errors" else [False, True]
    assert first_difference([good, bad], [compare]) == ("errors", values, ["done", NO], 1)


def test_figures_are_those_that_do_not_depend_on_time() -> None:
    names = [field.name for field in fields(Replay)]
    assert names == ["pointers", "failures", "elapsed_ns", *FIGURES]


def test_error_is_its_type_its_message_and_its_service() -> None:
    assert answered(ValueError("no")) == "ValueError: no"
    error = out_of_memory("map", 8, 4)
    assert answered(error) == f"PercpuMemoryError: {error} [map]"
    assert describe_error(error) == f"PercpuMemoryError: {error}"
    assert answered(InvalidRequest("no")) == NO


def test_error_without_a_text_is_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe_error(Mute()) == answered(Mute()) == "Mute"


def test_what_can_be_an_address() -> None:
    assert [is_integer(value) for value in (1, True, np.int8(1), 1.0, "1", None)] == [
        *(True, True, True, False, False, False)
    ]
