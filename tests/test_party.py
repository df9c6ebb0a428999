# SPDX-License-Identifier: GPL-2.0-only
"""One allocator in lockstep: how it is called, what it answers, and the contents of its areas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from percpu_ffi import Trace
from percpu_ffi.errors import out_of_memory
from percpu_ffi.lockstep.answer import FIGURES, Answer, Raised
from percpu_ffi.lockstep.contents import Contents, pattern
from percpu_ffi.lockstep.party import CALLS, Party, inspect


class Fake:
    """An allocator that notes its calls, and whose pointers count from 1."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.notes: list[Any] = []
        self.fails, self.error = fails, error or ValueError("no")
        self.pointers = 0

    def note(self, name: str, *values: Any) -> None:
        self.notes.append((name, *values))
        if name == self.fails:
            raise self.error

    def alloc(self, size: int, align: int) -> int:
        self.note("alloc", size, align)
        self.pointers += 1
        return self.pointers

    def alloc_many(self, sizes: list[int], align: int) -> Any:
        self.note("alloc_many", sizes, align)
        self.pointers += len(sizes)
        return range(self.pointers - len(sizes) + 1, self.pointers + 1)

    def free(self, ptr: int) -> None:
        self.note("free", ptr)

    def free_many(self, ptrs: list[int]) -> None:
        self.note("free_many", ptrs)

    def inject(self, site: str, **plan: Any) -> None:
        self.note("inject", site, plan)


def party(fake: Any, live: dict[Any, int] | None = None) -> Party:
    """Return a party that also notes what is written and verified."""
    made = Party(fake)
    made.live = dict(live or {})
    made.contents = SimpleNamespace(  # type: ignore[assignment]
        write=lambda pointer, size: fake.note("write", pointer, size),
        verify=lambda pointer: fake.note("verify", pointer),
    )
    return made


LIVE = {"a": 70, "b": 80}
FREE_A = [("verify", 70), ("free", 70)]


@pytest.mark.parametrize(
    ("op", "pointer", "notes", "live"),
    [
        (("alloc", "c", 24, 8), 1, [("alloc", 24, 8), ("write", 1, 24)], {**LIVE, "c": 1}),
        # a live key: its area is freed first
        (("alloc", "a", 24, 8), 1, [*FREE_A, ("alloc", 24, 8), ("write", 1, 24)], {**LIVE, "a": 1}),
        (("free", "a"), 0, FREE_A, {"b": 80}),
        (("free", "c"), 0, [], LIVE),
        (("inject", "map", {"nth": 2}), 0, [("inject", "map", {"nth": 2})], LIVE),
    ],
)
def test_one_operation(op: Any, pointer: int, notes: list[Any], live: dict[str, int]) -> None:
    for call in ("single", "many"):
        fake = Fake()
        one = party(fake, LIVE)
        if call == "single":
            assert one.single(op) == Answer((pointer,))
            assert fake.notes == notes
        else:
            assert one.many([op]) == Answer((pointer,))
            assert [name for name, *_ in fake.notes] == [
                {"alloc": "alloc_many", "free": "free_many"}.get(name, name) for name, *_ in notes
            ]
        assert one.live == live


@pytest.mark.parametrize(
    ("ops", "answer", "notes", "live"),
    [
        (
            [("alloc", "c", 24, 8), ("alloc", "d", 16, 8)],
            (1, 2),
            [("alloc_many", [24, 16], 8), ("write", 1, 24), ("write", 2, 16)],
            {**LIVE, "c": 1, "d": 2},
        ),
        (
            [("alloc", "b", 24, 8), ("alloc", "c", 16, 8), ("alloc", "a", 8, 8)],
            (1, 2, 3),
            [
                *(("verify", 80), ("verify", 70), ("free_many", [80, 70])),
                ("alloc_many", [24, 16, 8], 8),
                *(("write", 1, 24), ("write", 2, 16), ("write", 3, 8)),
            ],
            {"b": 1, "c": 2, "a": 3},
        ),
        (
            [("free", "b"), ("free", "x"), ("free", "a")],
            (0, 0, 0),
            [("verify", 80), ("verify", 70), ("free_many", [80, 70])],
            {},
        ),
        ([("free", "x"), ("free", "y")], (0, 0), [], LIVE),
    ],
)
def test_operations_in_one_call(
    ops: list[Any], answer: tuple[int, ...], notes: list[Any], live: dict[str, int]
) -> None:
    fake = Fake()
    one = party(fake, LIVE)
    assert one.many(ops) == Answer(answer)
    assert fake.notes == notes
    assert one.live == live


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no"), GeneratorExit("no")])
@pytest.mark.parametrize(
    ("fails", "op"),
    [
        ("alloc", ("alloc", "c", 8, 4)),
        ("write", ("alloc", "c", 8, 4)),
        ("free", ("alloc", "a", 8, 4)),
        ("free", ("free", "a")),
        ("verify", ("free", "a")),
        ("inject", ("inject", "map", {})),
    ],
)
def test_error_is_the_answer(fails: str, op: Any, error: BaseException) -> None:
    text = f"{type(error).__name__}: no"
    assert party(Fake(fails, error), LIVE).single(op) == Answer((0,), ((0, text),))
    many = fails if fails in ("write", "verify", "inject") else f"{fails}_many"
    batch = [op] * (1 if op[0] == "inject" else 2)
    answer = Answer((0,) * len(batch), ((0, text),))
    assert party(Fake(many, error), LIVE).many(batch) == answer


def test_error_names_its_service() -> None:
    error = out_of_memory("map", 8, 4)
    expected = ((0, f"PercpuMemoryError: {error} [map]"),)
    op: Any = ("alloc", 1, 8, 4)
    assert party(Fake("alloc", error)).single(op).errors == expected
    assert party(Fake("alloc_many", error)).many([op]).errors == expected
    one = party(Fake("verify", error), LIVE)
    assert one.verify() == Answer((), expected)


def test_key_of_an_operation_that_failed_is_not_live() -> None:
    ops: list[Any] = [("alloc", "a", 8, 4), ("free", "a")]
    for op in ops:
        one = party(Fake(op[0]), LIVE)
        one.single(op)
        assert one.live == {"b": 80}


def test_interrupt_is_no_answer() -> None:
    one = party(Fake("alloc", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        one.single(("alloc", 1, 8, 4))


def test_batch_with_too_few_pointers() -> None:
    fake: Any = Fake()
    fake.alloc_many = lambda _sizes, _align: [5]
    one = party(fake)
    assert one.many([("alloc", 1, 8, 4), ("alloc", 2, 8, 4)]) == Answer((5,))
    assert one.live == {1: 5}


def test_verify_all_live_areas() -> None:
    fake = Fake()
    assert party(fake, LIVE).verify() == Answer()
    assert fake.notes == [("verify", 70), ("verify", 80)]
    assert party(Fake("verify"), LIVE).verify() == Answer((), ((0, "ValueError: no"),))


# --- replay


class Replayed(Fake):
    """An allocator that replays in steps of some operations."""

    def __init__(self, steps: list[int], **named: Any) -> None:
        super().__init__(**named)
        self.steps, self.done = steps, 0

    def replay(self, trace: Trace, progress: Any, stops: Any) -> Any:
        self.note("replay", len(trace), stops)
        for step in self.steps:
            self.done += step
            progress(step)
        failure = SimpleNamespace(index=2, op=("free", 1), error=out_of_memory("map", 8, 4))
        values = {name: at for at, name in enumerate(FIGURES)}
        return SimpleNamespace(pointers=[7, 8, 9], failures=(failure,), **values)

    def state(self) -> str:
        return f"after {self.done}"


REPLAYED = Trace.from_ops([("alloc", key, 8, 4) for key in range(3)])


def test_replay_is_inspected_at_the_stops() -> None:
    fake = Replayed([1, 1, 1])
    answer, looks = Party(fake).replay(REPLAYED, [2, 3], ["state", "missing"])
    assert looks == [
        {"state": "after 2", "missing": None},
        {"state": "after 3", "missing": None},
    ]
    error = out_of_memory("map", 8, 4)
    failure = (2, f"('free', 1) PercpuMemoryError: {error} [map]")
    assert answer == Answer((7, 8, 9), (failure,), tuple(range(len(FIGURES))))
    assert fake.notes == [("replay", 3, [2, 3])]


def test_replay_that_goes_past_a_stop() -> None:
    answer, looks = Party(Replayed([1, 2])).replay(REPLAYED, [2, 3], ["state"])
    assert answer == Answer((0, 0, 0), ((2, "AssertionError: replay() went past a stop, to 3"),))
    assert looks == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no")])
def test_replay_that_raises_has_no_figures(error: BaseException) -> None:
    fake = Replayed([3], fails="replay", error=error)
    answer, _looks = Party(fake).replay(REPLAYED, [3], [])
    assert answer == Answer((0, 0, 0), ((2, f"{type(error).__name__}: no"),))


def test_ways_to_call() -> None:
    assert CALLS == ("single", "many", "replay")


# --- what is compared


def test_inspecting_an_allocator() -> None:
    fake: Any = SimpleNamespace(state=lambda: 5, work=Fake("x").alloc)
    assert inspect(fake, "state") == 5
    assert inspect(fake, "close") is None
    found = inspect(fake, "work")
    assert isinstance(found, Raised)
    assert found.startswith("work() raised TypeError: ")


# --- contents


class Memory:
    """Areas of up to 100 bytes on three CPUs."""

    cpus = 3
    static_ptr = 7

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.copies = {(ptr, cpu): bytearray(100) for ptr in (7, 8, 9) for cpu in range(3)}

    @contextmanager
    def view(self, ptr: int, cpu: int) -> Iterator[memoryview]:
        self.seen.append((ptr, cpu))
        with memoryview(self.copies[ptr, cpu]) as view:
            yield view


def test_contents_are_a_pattern_for_each_area_and_cpu() -> None:
    memory = Memory()
    contents = Contents.of(memory)
    assert (memory.seen, contents.cpus) == ([(7, 0)], 3)
    contents.write(8, 30)
    contents.write(9, 99)
    for cpu in range(3):
        assert memory.copies[8, cpu] == pattern(1, cpu, 30) + bytes(70)
        assert memory.copies[9, cpu] == pattern(2, cpu, 99) + bytes(1)
    memory.seen.clear()
    contents.verify(8)
    assert memory.seen == [(8, 0), (8, 1), (8, 2)]
    for cpu in range(3):
        memory.copies[8, cpu][:] = bytes(100)
    contents.write(8, 5)
    assert memory.copies[8, 2] == pattern(3, 2, 5) + bytes(95)
    contents.verify(8)
    contents.verify(9)
    assert contents.areas == 3


@pytest.mark.parametrize("cpu", range(3))
@pytest.mark.parametrize("at", [0, 29])
def test_each_byte_of_each_copy_counts(cpu: int, at: int) -> None:
    memory = Memory()
    contents = Contents.of(memory)
    memory.copies[8, cpu][at] = 1
    with pytest.raises(AssertionError, match=f"CPU {cpu}'s copy is not zeroed"):
        contents.write(8, 30)
    contents.write(9, 30)
    memory.copies[9, cpu][at] ^= 1
    with pytest.raises(AssertionError, match=f"CPU {cpu}'s copy has changed"):
        contents.verify(9)


def test_bytes_after_an_area_are_not_its_own() -> None:
    memory = Memory()
    contents = Contents.of(memory)
    for cpu in range(3):
        memory.copies[8, cpu][30] = cpu
    contents.write(8, 30)
    assert [memory.copies[8, cpu][30] for cpu in range(3)] == [0, 1, 2]
    contents.verify(8)


@pytest.mark.parametrize("fake", [Fake(), SimpleNamespace(static_ptr=7, cpus=2, view=max)])
def test_allocator_without_memory_has_no_contents(fake: Any) -> None:
    contents = Contents.of(fake)
    contents.write(8, 30)
    contents.verify(8)
    assert (contents.cpus, contents.areas) == (0, 0)


def test_pattern_differs_between_any_61_pages() -> None:
    """It has a prime number of bytes."""
    contents = pattern(5, 1, 61 * 64)
    assert len({contents[page * 64 : page * 64 + 61] for page in range(61)}) == 61
    assert [len(pattern(1, 0, size)) for size in (0, 1, 60, 61, 62, 122)] == [
        *(0, 1, 60, 61, 62, 122)
    ]
