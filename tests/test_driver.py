# SPDX-License-Identifier: GPL-2.0-only
"""Lockstep itself: what is called and compared in which order, and what a difference contains."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from percpu_ffi import ConfigError, TraceError
from percpu_ffi import Trace as Operations
from percpu_ffi.lockstep import ASPECTS, drive, lockstep
from percpu_ffi.lockstep.answer import FIGURES
from percpu_ffi.lockstep.driver import run
from percpu_ffi.lockstep.party import CALLS

SETUP = {"cpus": 3}


class Fake:
    """An allocator whose pointers count from 1, and whose results are its number of calls.

    ``wrong`` is the method with another result, or an error, after so many calls.
    """

    wrong: dict[str, Any] = {}  # noqa: RUF012 - set in subclasses
    after = 0
    log: list[str]

    def __init__(self, **_setup: Any) -> None:
        self.calls = 0
        self.pointers = 0

    def result(self, name: str, right: Any) -> Any:
        wrong = self.wrong.get(name, right) if self.calls >= self.after else right
        if isinstance(wrong, BaseException):
            raise wrong
        return wrong

    def called(self, name: str, right: Any = None) -> Any:
        self.log.append(name)
        self.calls += 1
        return self.result(name, right)

    def alloc(self, size: int, _align: int) -> Any:
        self.pointers += 1
        return self.called(f"alloc {size}", self.pointers)

    def free(self, ptr: int) -> None:
        self.called(f"free {ptr}")

    def alloc_many(self, sizes: list[int], _align: int) -> Any:
        return self.called(f"alloc_many {len(sizes)}", [*range(1, len(sizes) + 1)])

    def free_many(self, ptrs: list[int]) -> None:
        self.called(f"free_many {len(ptrs)}")

    def inject(self, site: str, **_plan: Any) -> None:
        self.called(f"inject {site}")

    def replay(self, trace: Operations, progress: Any, stops: Any) -> Any:
        start = 0
        for stop in stops:
            self.calls = stop
            progress(stop - start)
            start = stop
        pointers = [*range(1, len(trace) + 1)]
        for at, pointer in self.wrong.get("pointers", {}).items():
            pointers[at] = pointer
        failures = [
            SimpleNamespace(index=at, op=trace[at], error=error)
            for at, error in self.wrong.get("failures", {}).items()
        ]
        figures = {**dict.fromkeys(FIGURES, 5), **self.wrong.get("figures", {})}
        self.called("replay")
        return SimpleNamespace(pointers=pointers, failures=failures, **figures)

    def state(self) -> Any:
        self.log.append("state")
        return self.result("state", ("state", self.calls))

    def counters(self) -> Any:
        return self.result("counters", {"calls": self.calls})

    def work(self) -> Any:
        return self.result("work", ("work", self.calls))

    def close(self) -> None:
        self.log.append("close")
        self.result("close", None)


def fake(after: int = 0, **wrong: Any) -> Any:
    return type("OneFake", (Fake,), {"wrong": wrong, "after": after, "log": []})


def allocs(count: int) -> list[Any]:
    return [("alloc", key, 8, 4) for key in range(count)]


def trace_of(ops: Any) -> Operations:
    return Operations.from_ops(ops, SETUP)


OPS: list[Any] = [*allocs(3), ("free", 1), ("free", 2), ("inject", "map", {})]


# --- what is called and compared


@pytest.mark.parametrize(
    ("calls", "log", "steps"),
    [
        (
            "single",
            ["alloc 8", "alloc 8", "alloc 8", "free 2", "free 3", "inject map"],
            [1] * 6,
        ),
        ("many", ["alloc_many 3", "free_many 2", "inject map"], [3, 2, 1]),
    ],
)
def test_each_call_is_compared(calls: str, log: list[str], steps: list[int]) -> None:
    parties = {"a": fake(), "b": fake(), "c": fake()}
    seen: list[int] = []
    assert lockstep(parties, trace_of(OPS), calls=calls, progress=seen.append) is None
    expected = ["state", *(name for call in log for name in (call, "state")), "close"]
    assert [party.log for party in parties.values()] == [expected] * 3
    assert seen == steps


def test_each_fault_is_a_call() -> None:
    parties = {"a": fake(), "b": fake()}
    ops = [("inject", "map", {}), ("inject", "kmalloc", {}), *allocs(1), ("inject", "map", {})]
    assert lockstep(parties, trace_of(ops), calls="many") is None
    log = [name for name in parties["a"].log if name != "state"]
    assert log == ["inject map", "inject kmalloc", "alloc_many 1", "inject map", "close"]


def test_only_what_is_compared_is_called() -> None:
    parties = {"a": fake(), "b": fake(state=5)}
    assert lockstep(parties, trace_of(allocs(2)), compare={"errors", "work"}) is None
    assert [party.log for party in parties.values()] == [["alloc 8", "alloc 8", "close"]] * 2


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("aspect", ["state", "counters", "work"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_difference_after_an_operation(aspect: str, place: int, after: int) -> None:
    """It has the results of all allocators."""
    parties = {"a": fake(), "b": fake(), "c": fake()}
    name = "abc"[place]
    parties[name] = fake(after, **{aspect: 7})
    difference = lockstep(parties, trace_of(allocs(4)))
    assert difference
    assert (difference.aspect, difference.minority) == (aspect, (name,))
    assert difference.names == ("a", "b", "c")
    assert list(difference.trace) == allocs(after)
    assert difference.trace.setup == SETUP
    assert (difference.calls, difference.last) == ("single", min(after, 1))
    assert difference.answers == (f"{after:#x}" if after else "",) * 3
    right = {"state": ("state", after), "counters": {"calls": after}, "work": ("work", after)}
    found = {
        "state": difference.states,
        "counters": difference.counters,
        "work": difference.work,
    }
    for method, value in right.items():
        values: list[Any] = [value] * 3
        if method == aspect:
            values[place] = 7
        assert found[method] == tuple(values)


def test_results_that_are_not_compared_are_not_in_the_difference() -> None:
    parties = {"a": fake(), "b": fake(2, work=7)}
    difference: Any = lockstep(parties, trace_of(allocs(4)), compare=["work"])
    assert difference
    assert (difference.states, difference.counters) == ((), ())
    assert difference.work == (("work", 2), 7)


@pytest.mark.parametrize("method", ["state", "counters", "work"])
@pytest.mark.parametrize("others", [None, ValueError("no")])
def test_result_that_cannot_be_had_is_an_error(method: str, others: Any) -> None:
    """Also if all allocators raise it."""
    wrong = {method: ValueError("no")}
    parties = {"a": fake(2, **({method: others} if others else {})), "b": fake(2, **wrong)}
    difference = lockstep(parties, trace_of(allocs(4)))
    assert difference
    raised = f"{method}() raised ValueError: no"
    assert (difference.aspect, difference.index) == ("errors", 1)
    assert difference.answers == (raised if others else "answered", raised)
    assert (difference.states, difference.counters, difference.work) == ((), (), ())


def test_answers_are_compared_before_results() -> None:
    parties = {"a": fake(), "b": fake(2, **{"alloc 8": 70, "state": 5})}
    difference: Any = lockstep(parties, trace_of(allocs(4)))
    assert difference
    assert (difference.aspect, difference.answers) == ("pointers", ("0x2", "0x46"))
    assert difference.states == (("state", 2), 5)


def test_difference_in_a_batch() -> None:
    ops = [*allocs(4)[2:], ("free", 2), *allocs(2)]
    parties = {"a": fake(), "b": fake(3, **{"alloc_many 2": [1, 5]}), "c": fake()}
    difference = lockstep(parties, trace_of(ops), calls="many")
    assert difference
    assert (difference.aspect, difference.answers) == ("pointers", ("0x2", "0x5", "0x2"))
    assert (difference.index, difference.last, difference.calls) == (4, 2, "many")
    late = {"a": fake(), "b": fake(3, state=5)}
    difference = lockstep(late, trace_of(ops), calls="many")
    assert difference
    # the answer to the last one is shown
    assert (difference.last, difference.answers) == (2, ("0x2", "0x2"))


def test_failures_are_counted() -> None:
    error = ValueError("no")
    parties = {name: fake(2, **{"alloc 8": error}) for name in "ab"}
    for calls, count in (("single", 2), ("many", 0), ("replay", 0)):
        found = run(parties, trace_of(OPS), ASPECTS, calls)
        assert (found.difference, found.failures) == (None, count)
    failing = {name: fake(failures={1: error, 4: error}) for name in "ab"}
    assert run(failing, trace_of(OPS), ASPECTS, "replay").failures == 2


# --- replay


def replayed(ops: Any = None, **wrong: Any) -> Any:
    parties = {"a": fake(), "b": fake(wrong.pop("after", 0), **wrong)}
    return lockstep(parties, trace_of(allocs(120) if ops is None else ops), calls="replay")


def test_replay_is_compared_at_its_stops() -> None:
    steps: list[int] = []
    parties = {"a": fake(), "b": fake()}
    trace = trace_of(allocs(120))
    assert lockstep(parties, trace, calls="replay", progress=steps.append) is None
    assert steps == [50, 50, 20]
    assert parties["a"].log == ["state", *["state"] * 3, "replay", "close"]
    assert replayed([]) is None


@pytest.mark.parametrize(("after", "last"), [(1, 50), (50, 50), (51, 50), (101, 20)])
def test_state_that_differs_in_a_replay(after: int, last: int) -> None:
    difference = replayed(after=after, state=7)
    end = {1: 50, 50: 50, 51: 100, 101: 120}[after]
    assert (difference.aspect, difference.index, difference.last) == ("state", end - 1, last)
    assert difference.states == (("state", end), 7)
    assert difference.answers == (f"{end:#x}",) * 2


@pytest.mark.parametrize("at", [0, 1, 49, 50, 99, 100, 119])
def test_operation_that_is_answered_differently_in_a_replay(at: int) -> None:
    """It is the last one of the difference; the results are those after later ones."""
    difference = replayed(pointers={at: 700}, state=5, after=at // 50 * 50 + 1)
    assert (difference.aspect, difference.index, difference.last) == ("pointers", at, 1)
    assert difference.answers == (f"{at + 1:#x}", "0x2bc")
    assert (difference.states, difference.counters, difference.work) == ((), (), ())
    difference = replayed(failures={at: ValueError("no")})
    assert (difference.aspect, difference.index) == ("errors", at)
    assert difference.answers == (f"{at + 1:#x}", f"('alloc', {at}, 8, 4) ValueError: no")
    assert list(difference.trace) == allocs(at + 1)


def test_figures_of_a_replay() -> None:
    difference = replayed(figures={FIGURES[2]: 6})
    assert (difference.aspect, difference.index, difference.last) == ("state", 119, 0)
    assert difference.answers == (f"{FIGURES[2]} 5", f"{FIGURES[2]} 6")


def test_replay_that_raises_differs_after_all_operations() -> None:
    difference = replayed(replay=ValueError("no"), failures={3: ValueError("other")})
    assert (difference.aspect, difference.index) == ("errors", 119)
    assert difference.answers == ("done", "ValueError: no")
    # what the other one answered is not compared
    error = ValueError("no")
    parties = {"a": fake(failures={3: error}), "b": fake(replay=error)}
    found = lockstep(parties, trace_of(allocs(120)), calls="replay")
    assert found
    assert (found.index, found.answers) == (119, ("done", "ValueError: no"))
    alike = {name: fake(replay=error) for name in "ab"}
    outcome = run(alike, trace_of(allocs(120)), ASPECTS, "replay")
    assert (outcome.difference, outcome.failures) == (None, 1)


@pytest.mark.parametrize("method", ["alloc_many", "free_many", "replay"])
def test_allocator_without_batches_makes_all_calls_single(method: str) -> None:
    class Few(Fake):
        log: list[str] = []  # noqa: RUF012

        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__("nothing" if name == method else name)

    few: Any = Few
    for calls in CALLS:
        for parties in ({"a": fake(), "few": few}, {"few": few, "a": fake()}):
            assert lockstep(parties, trace_of(allocs(2)), calls=calls) is None
            assert parties["a"].log == ["state", "alloc 8", "state", "alloc 8", "state", "close"]
    difference = lockstep({"a": fake(1, state=5), "few": few}, trace_of(allocs(2)), calls="many")
    assert difference
    assert difference.calls == "single"


# --- set-up and end


def refusing(error: BaseException) -> Any:
    def refuse(**_setup: Any) -> None:
        raise error

    return refuse


def test_set_up_that_some_refuse() -> None:
    first = fake()
    parties = {"a": first, "b": refusing(ConfigError("no")), "c": fake()}
    found = run(parties, trace_of(allocs(3)), ASPECTS, "single")
    assert found.difference
    assert (found.difference.aspect, found.difference.minority) == ("errors", ("b",))
    assert found.difference.answers == ("accepted it", "ConfigError: no", "accepted it")
    assert (len(found.difference.trace), found.difference.trace.setup) == (0, SETUP)
    assert (found.failures, found.reach) == (0, {})
    assert first.log == ["close"]


def test_set_up_that_all_refuse() -> None:
    parties = {"a": refusing(ConfigError("first")), "b": refusing(ConfigError("second"))}
    with pytest.raises(ConfigError, match="first"):
        lockstep(parties, trace_of(allocs(3)))


def test_end_that_differs() -> None:
    parties = {"a": fake(), "b": fake(close=ValueError("no")), "c": fake()}
    difference = lockstep(parties, trace_of(allocs(3)))
    assert difference
    assert (difference.aspect, difference.minority) == ("errors", ("b",))
    assert difference.answers == ("closed", "close() raised ValueError: no", "closed")
    assert difference.trace == trace_of(allocs(3))
    assert [party.log[-1] for party in parties.values()] == ["close"] * 3


def test_allocators_are_closed_after_an_interrupt() -> None:
    parties = {"a": fake(), "b": fake(2, **{"alloc 8": KeyboardInterrupt()})}
    with pytest.raises(KeyboardInterrupt):
        lockstep(parties, trace_of(allocs(3)))
    assert [party.log[-1] for party in parties.values()] == ["close"] * 2


# --- arguments


def driven(ops: Any = (), allocators: Any = None, **named: Any) -> Any:
    if allocators is None:
        allocators = {name: kind() for name, kind in (("a", fake()), ("b", fake()))}
    return drive(allocators, ops, **named)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"allocators": 3}, "allocators=3: a mapping of names to allocators is needed"),
        ({"allocators": {}},
         'lockstep of 0 allocators: two or more are needed, such as {"port": Allocator, "model": '
         "Model}"),
        ({"allocators": {"a": 3}},
         'lockstep of 1 allocator: two or more are needed, such as {"port": Allocator, "model": '
         "Model}"),
        ({"compare": 3}, "compare=3: some of errors, pointers, state, counters, work is needed"),
        ({"compare": ["work", "speed"]},
         "compare=['speed']: choose from errors, pointers, state, counters, work"),
        ({"calls": "twice"}, "calls='twice': choose from single, many, replay"),
        ({"progress": 3}, "progress=3: a function of a number, or None, is needed"),
        ({"ops": 3}, "ops=3: an iterable of operations is needed"),
        ({"allocators": {"a": fake()(), "b": object()}, "compare": ["state"]},
         "allocator 'b' (object) lacks alloc, free, state: lockstep calls alloc, free, state; add "
         "what is missing, or compare less"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        driven(**arguments)
    assert str(caught.value) == words
    lockstep_arguments = {
        "factories": arguments.pop("allocators", {"a": fake(), "b": fake()}),
        "trace": trace_of(arguments.pop("ops", ())),
        **arguments,
    } if "ops" not in arguments and "lacks" not in words else None  # fmt: skip
    if lockstep_arguments:
        with pytest.raises(ConfigError) as caught:
            lockstep(**lockstep_arguments)
        assert str(caught.value) == words


def test_lockstep_needs_a_trace() -> None:
    with pytest.raises(ConfigError, match="trace=3: a Trace is needed"):
        lockstep({"a": fake(), "b": fake()}, 3)  # type: ignore[arg-type]


def test_operations_are_checked_before_the_first_is_done() -> None:
    one, two = fake(), fake()
    with pytest.raises(TraceError, match="an operation is"):
        driven([*allocs(1), ("alloc", 1)], {"a": one(), "b": two()})
    assert one.log == two.log == []


def test_existing_allocators_stay_open() -> None:
    one, two = fake(), fake()
    steps: list[int] = []
    made = {"a": one(), "b": two()}
    assert driven((op for op in OPS), made, calls="many", progress=steps.append) is None
    assert one.log == two.log
    assert one.log[-1] == "state"
    assert steps == [3, 2, 1]
    difference = driven(allocs(1), {"a": one(), "b": fake(1, state=5)()}, compare=["state"])
    assert difference
    assert (difference.trace.setup, difference.aspect) == ({}, "state")


def test_faults_need_inject() -> None:
    class NoFaults(Fake):
        log: list[str] = []  # noqa: RUF012
        inject = None  # type: ignore[assignment]

    assert driven(allocs(1), {"a": NoFaults(), "b": fake()()}) is None
    for calls in ("single", "many"):
        with pytest.raises(ConfigError) as caught:
            driven(OPS, {"a": NoFaults(), "b": fake()()}, calls=calls)
        assert str(caught.value) == (
            "allocator 'a' (NoFaults) lacks inject: lockstep calls alloc, free, inject; add what "
            "is missing, or compare less"
        )
