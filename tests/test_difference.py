# SPDX-License-Identifier: GPL-2.0-only
"""A difference as text: what differs, in which allocators, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from percpu_ffi import State, Trace, WorkByCall
from percpu_ffi.drawing import LEGEND
from percpu_ffi.lockstep import Difference
from percpu_ffi.lockstep.difference import differ, minority
from percpu_ffi.state import ChunkState
from percpu_ffi.work import Work

OPS: list[Any] = [("alloc", 1, 8, 4), ("free", 1), ("alloc", 2, 16, 8)]


def lines(count: int = 1, **changes: Any) -> list[str]:
    """Return the lines for a difference after some of ``OPS``, between ``a`` and ``b``."""
    arguments = {"aspect": "state", "names": ("a", "b"), "minority": ("a", "b"), **changes}
    trace = Trace.from_ops(OPS[:count], arguments.pop("setup", {}))
    answers = arguments.pop("answers", ("",) * len(arguments["names"]))
    return str(Difference(trace=trace, answers=answers, **arguments)).splitlines()


def rows(**changes: Any) -> list[str]:
    """Return the lines after the operation, the set-up and the answers."""
    return lines(**changes)[2 + len(changes.get("names", "ab")) :]


def chunk(number: int, map_: Sequence[int] = (), **changes: Any) -> ChunkState:
    values = {"free_size": 0, "contig_hint": 0, "map_alloc": 16, "immutable": False}
    return ChunkState(number, map=tuple(map_), **{**values, "populated": (), **changes})


def states(*chunks: Sequence[ChunkState]) -> tuple[State, ...]:
    """Return a state of each allocator, with these chunks."""
    return tuple(State(chunks=tuple(each), slots=()) for each in chunks)


@pytest.mark.parametrize(
    ("count", "changes", "expected"),
    [
        (0, {}, "the state differs after the set-up"),
        (1, {"aspect": "work"}, "the work differs after operation 0, ('alloc', 1, 8, 4)"),
        (2, {"aspect": "counters"}, "the counters differ after operation 1, ('free', 1)"),
        (2, {"aspect": "errors", "minority": ("b",)},
         "the errors of b differ after operation 1, ('free', 1)"),
        (3, {"names": tuple("abcde"), "minority": ("b", "d")},
         "the state of b, d differs after operation 2, ('alloc', 2, 16, 8)"),
        (3, {"calls": "many", "last": 2},
         "the state differs after operations 1 to 2, with calls='many'"),
        (3, {"calls": "replay", "last": 3},
         "the state differs after operations 0 to 2, with calls='replay'"),
        (1, {"calls": "many"},
         "the state differs after operation 0, ('alloc', 1, 8, 4), with calls='many'"),
    ],
)  # fmt: skip
def test_first_line(count: int, changes: dict[str, Any], expected: str) -> None:
    assert lines(count, **changes)[0] == expected


def test_set_up_and_answers() -> None:
    assert lines(setup={"cpus": 2, "memory": "none"})[1] == "set up with cpus=2, memory='none'"
    assert lines()[1] == "set up with defaults"
    found = lines(names=("port", "variant"), answers=("0x1400", "done"))
    assert found[2:] == ["  port     0x1400", "  variant  done"]


def test_counters_that_differ() -> None:
    counters = ({"map": 1, "warn": 2, "unmap": 3}, {"map": 1, "warn": 4, "extra": 5})
    assert rows(counters=counters) == [
        "calls of warn: a 2; b 4",
        "calls of unmap: a 3; b None",
        "calls of extra: a None; b 5",
    ]


def test_work_that_differs() -> None:
    one = WorkByCall(Work(operations=1), Work(entries_moved=5))
    two = WorkByCall(Work(operations=2, tree_steps=7), Work())
    assert rows(work=(one, two)) == [
        "operations for alloc: a 1; b 2",
        "tree_steps for alloc: a 0; b 7",
        "entries_moved for free: a 5; b 0",
    ]


def test_results_of_other_types_are_shown_as_they_are() -> None:
    work, state = WorkByCall(Work(), Work()), State((), ())
    for name, values in (
        ("work", (work, 3)),
        ("work", (3, work)),
        ("state", ("x", state)),
        ("state", (["x"], ["y"])),
        ("counters", ({"map": 1}, None)),
        ("counters", ([], [1])),
    ):
        field = "states" if name == "state" else name
        assert rows(**{field: values}) == [f"{name}: a {values[0]}; b {values[1]}"]


def test_slots_that_differ() -> None:
    one, two = State(((0,), (1, 2), ()), ()), State(((0,), (2, 1)), ())
    assert rows(states=(one, two)) == [
        "chunks in slot 1: a (1, 2); b (2, 1)",
        "chunks in slot 2: a (); b None",
    ]


def test_chunks_that_differ() -> None:
    one = [chunk(33, free_size=1, populated=(2, 2, 2, 0)), chunk(2), chunk(5)]
    two = [chunk(33, contig_hint=1, populated=(2, 2, 2, 2)), chunk(2, map_alloc=32, immutable=True)]
    found = rows(names=("a", "b", "c"), states=states(one, two, one))
    assert found == [
        "chunk 2, map_alloc: a 16; b 32; c 16",
        "chunk 2, immutable: a False; b True; c False",
        "chunk 5 exists: a True; b False; c True",
        "chunk 33, free_size: a 1; b 0; c 1",
        "chunk 33, contig_hint: a 0; b 1; c 0",
        "chunk 33, populated: a 3 pages 2, 1 page 0; b 4 pages 2; c 3 pages 2, 1 page 0",
    ]


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (12, "calls of 11: a 0; b 1"),
        (13, "and 1 more line like these"),
        (14, "and 2 more lines like these"),
    ],
)
def test_no_more_than_12_lines(count: int, last: str) -> None:
    counters = [{str(service): each for service in range(count)} for each in (0, 1)]
    found = rows(counters=counters)
    assert found[:12] == [f"calls of {service}: a 0; b 1" for service in range(12)]
    assert (len(found), found[-1]) == (min(count, 13), last)


def test_maps_are_drawn_around_the_offset_where_they_part() -> None:
    """A character stands for 8 bytes; entries that only touch the window are left out."""
    one, two = (-44, 256, -256, 444), (-44, 256, 700)
    found = rows(states=states([chunk(3, one)], [chunk(3, two)]))
    assert found == [
        "chunk 3, bytes 44 to 556 of a unit; the maps part at 300",
        LEGEND,
        f"  a  [{'.' * 32}{'#' * 32}]  +256 -256",
        f"  b  [{'.' * 64}]  +256 +700",
    ]


def test_maps_of_three_part_at_the_first_difference() -> None:
    for maps in ([(-8, 9), (-8, 2, -7), (-4, -4, 9)], [(-4, 13), (-4, 13), (-4, -13)]):
        found = rows(names="abc", states=states(*([chunk(0, each)] for each in maps)))
        offset = 0 if maps[0] == (-8, 9) else 4
        assert found[0] == (
            f"chunk 0, bytes 0 to {256 + offset} of a unit; the maps part at {offset}"
        )
    same = [chunk(0, (-4, 13))]
    assert rows(names="abc", states=states(same, same, same)) == []


def test_map_of_a_chunk_that_does_not_exist_is_blank() -> None:
    assert rows(states=states([chunk(1, (-128, 128))], [])) == [
        "chunk 1 exists: a True; b False",
        "chunk 1, bytes 0 to 256 of a unit; the maps part at 0",
        LEGEND,
        f"  a  [{'#' * 32}{'.' * 32}]  -128 +128",
        f"  b  [{' ' * 64}]  nothing",
    ]


def test_only_the_first_maps_that_differ_are_drawn() -> None:
    one = [chunk(0, (-4, 4)), chunk(1, (-8,)), chunk(2, (-8,))]
    two = [chunk(0, (-4, 4)), chunk(1, (8,)), chunk(2, (8,))]
    found = rows(states=states(one, two))
    assert found[0] == "chunk 1, bytes 0 to 256 of a unit; the maps part at 0"
    assert len(found) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "ab"),
        ([1, 1, 2], "c"),
        ([2, 1, 1], "a"),
        ([1, 2, 3], "abc"),
        ([1, 1, 2, 2], "abcd"),
        ([1, 1, 2, 3], "abcd"),  # two of four are no majority
        ([1, 2, 1, 3, 1], "bd"),
        ([1, 1, 1], ""),
    ],
)
def test_minority_differs_from_a_majority(values: list[int], expected: str) -> None:
    names = "abcde"[: len(values)]
    assert minority(names, values) == tuple(expected)
    assert differ(values) == (expected != "")
