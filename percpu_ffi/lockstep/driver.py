# SPDX-License-Identifier: GPL-2.0-only
"""Run a trace through several allocators and stop where they first differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from percpu_ffi import errors
from percpu_ffi._util.text import plural
from percpu_ffi.config import BITMAP
from percpu_ffi.errors import ConfigError, describe_error, without_warnings
from percpu_ffi.lockstep.answer import Answer, Raised, first_difference
from percpu_ffi.lockstep.bitmap_reach import BitmapObserver
from percpu_ffi.lockstep.difference import Difference, differ, minority
from percpu_ffi.lockstep.party import ANSWERS, CALLS, Party, inspect
from percpu_ffi.lockstep.reach import Observer, Reach
from percpu_ffi.model import Model
from percpu_ffi.trace import Op, Trace

INSPECTED = ("state", "counters", "work")  # methods whose results are compared
ASPECTS = ("errors", "pointers", *INSPECTED)
"""What can be compared: the argument ``compare`` names some of these."""

BATCHES = ("alloc_many", "free_many", "replay")
STRETCH = 50  # operations of a replay between two comparisons, at least
MOST_LOOKS = 200  # in one replay, whose results are kept until its end


class AllocatorLike(Protocol):
    """The methods of an allocator that every trace needs.

    ``state``, ``counters`` and ``work`` are needed where they are compared, ``inject`` where
    the trace sets faults.
    """

    def alloc(self, size: int, align: int, /) -> int:
        """Allocate, or raise."""

    def free(self, ptr: int, /) -> None:
        """Free."""


Factory = Callable[..., Any]
"""What takes the arguments of an allocator and returns an :class:`AllocatorLike`."""


class Outcome(NamedTuple):
    """What a run found."""

    difference: Difference | None
    """The first difference."""
    failures: int
    """Operations that failed in all allocators."""
    reach: Reach
    """What it reached, by class."""


class Step(NamedTuple):
    """Operations, and the allocators after them."""

    ops: Sequence[Op]
    """The operations: none for the set-up, and for the checks at the end."""
    answers: list[Answer]
    """The answer of each allocator."""
    results: dict[str, list[Any]]
    """By the name of a method, its result of each allocator."""


class Driver:
    """Allocators in lockstep."""

    def __init__(
        self,
        allocators: Mapping[str, AllocatorLike],
        compare: Collection[str],
        calls: str,
        setup: dict[str, Any] | None = None,
    ) -> None:
        _check_arguments(allocators, compare, calls)
        _check_methods(allocators, compare)
        self.allocators = dict(allocators)
        self.parties = [Party(allocator) for allocator in allocators.values()]
        self.compare = compare
        self.inspected = [method for method in INSPECTED if method in compare]
        batches = all(hasattr(each, name) for each in allocators.values() for name in BATCHES)
        self.calls = calls if batches else "single"
        self.setup = setup or {}
        self.done: list[Op] = []
        self.failures = 0  # operations that failed in all allocators
        observer = BitmapObserver if self.setup.get("policy") == BITMAP else Observer
        self.observer = observer(self.setup, self.calls)

    def run(self, trace: Trace, progress: Callable[[int], object] | None) -> Difference | None:
        """Do each operation in every allocator and compare, up to the first difference."""
        with without_warnings():  # counters() has their number
            for step in self._steps(trace):
                self.done += step.ops
                if difference := self._compare(step):
                    return difference
                if step.ops:
                    self.failures += len(step.answers[0].errors)
                    if progress:
                        progress(len(step.ops))
                if step.results:
                    first = {method: results[0] for method, results in step.results.items()}
                    self.observer.see(step.ops, step.answers[0], first)
            self.observer.verified(max(party.contents.areas for party in self.parties))
            if rules := [each for each in map(_rules, self.allocators.values()) if each]:
                self.observer.see_rules(rules[0])
        return None

    def _steps(self, trace: Trace) -> Iterator[Step]:
        """Do the operations when they are requested; set-up and end are steps too."""
        yield self._inspected((), [Answer()] * len(self.parties))
        if self.calls == "replay":
            yield from self._replay(trace)
            return
        for some in batches(trace) if self.calls == "many" else ([op] for op in trace):
            if some[0][0] == "inject":
                _check_methods(self.allocators, ("inject",))
            if self.calls == "many":
                yield self._inspected(some, [party.many(some) for party in self.parties])
            else:
                yield self._inspected(some, [party.single(some[0]) for party in self.parties])
        yield Step((), [party.verify() for party in self.parties], {})

    def _inspected(self, ops: Sequence[Op], answers: list[Answer]) -> Step:
        results = {
            method: [inspect(party.allocator, method) for party in self.parties]
            for method in self.inspected
        }
        return Step(ops, answers, results)

    def _replay(self, trace: Trace) -> Iterator[Step]:
        if not len(trace):
            return
        stretch = max(STRETCH, len(trace) // MOST_LOOKS)
        stops = [*range(stretch, len(trace), stretch), len(trace)]
        answers, looks = zip(
            *(party.replay(trace, stops, self.inspected) for party in self.parties), strict=True
        )
        if not all(answer.figures for answer in answers):  # one raised, at an unknown operation
            nothing = (0,) * len(trace)
            raised = [Answer(nothing, () if each.figures else each.errors) for each in answers]
            yield Step(trace[:], raised, {})
            return
        starts = [0, *stops[:-1]]
        for start, stop, results in zip(starts, stops, zip(*looks, strict=True), strict=True):
            parts = [answer.part(start, stop) for answer in answers]
            by_method = {method: [each[method] for each in results] for method in self.inspected}
            yield Step(trace[start:stop], parts, by_method)
        yield Step((), list(answers), {})  # with the figures

    def _compare(self, step: Step) -> Difference | None:
        """Compare the answers, and the allocators after them."""
        found = first_difference(step.answers, self.compare)
        if found:
            return self._difference(step, *found)
        for method, results in step.results.items():
            if any(isinstance(result, Raised) for result in results):
                raised = [r if isinstance(r, Raised) else "answered" for r in results]
                return self._difference(step, "errors", raised, raised)
            if differ(results):
                answers = [answer.shown(len(step.ops) - 1) for answer in step.answers]
                return self._difference(step, method, results, answers)
        return None

    def _difference(
        self,
        step: Step,
        aspect: str,
        values: Sequence[Any],
        answers: Sequence[str],
        at: int | None = None,
    ) -> Difference:
        """Describe a difference.

        Args:
            step: after it the allocators differ.
            aspect: what differs.
            values: of each allocator, what differs.
            answers: of each allocator, as text.
            at: index of the operation in the step, if its answers differ.

        """
        results = step.results
        if any(isinstance(result, Raised) for each in results.values() for result in each):
            results = {}
        ops, last = self.done, len(step.ops)
        if self.calls == "replay" and at is not None and step.ops:
            # the operation is known, and the results are those after later ones
            ops, last, results = ops[: len(ops) - last + at + 1], 1, {}
        return Difference(
            trace=Trace.from_ops(ops, self.setup),
            aspect=aspect,
            names=tuple(self.allocators),
            answers=tuple(answers),
            minority=minority(tuple(self.allocators), values),
            calls=self.calls,
            last=last,
            states=tuple(results.get("state", ())),
            counters=tuple(results.get("counters", ())),
            work=tuple(results.get("work", ())),
        )


def _rules(allocator: Any) -> Mapping[str, int]:
    """Return how often each rule of the policy applied, if the allocator is our model."""
    return allocator._policy.rules if isinstance(allocator, Model) else {}


def batches(ops: Iterable[Any]) -> Iterator[list[Any]]:
    """Group neighbours that one call can do: frees, or allocations with the same alignment."""
    batch: list[Any] = []
    keys: set[Any] = set()
    for op in ops:
        fits = batch and (op[0], op[3:]) == (batch[0][0], batch[0][3:])
        if batch and (not fits or op[0] not in ("alloc", "free") or op[1] in keys):
            yield batch
            batch, keys = [], set()
        batch.append(op)
        keys.update(op[1:2])
    if batch:
        yield batch


def drive(
    allocators: Mapping[str, AllocatorLike],
    ops: Iterable[Any],
    *,
    compare: Collection[str] = ASPECTS,
    calls: str = "single",
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Run operations through allocators that exist already.

    Args:
        allocators: two or more, by the name that a difference uses for them.
        ops: a trace, or operations as a trace has them.
        compare: what has to be the same after each call: all of ``ASPECTS``, or less for an
            allocator with another policy.  Whether an operation succeeds is always compared.
            Values are compared by ``==``: 1, 1.0 and True are the same, a list is no tuple.
        calls: ``"single"``: each operation is a call.  ``"many"``: neighbours of one kind are
            a call of ``alloc_many()`` or ``free_many()``.  ``"replay"``: all are a call of
            ``replay()``, compared every 50 operations.  Where an allocator lacks these methods,
            ``"single"``.
        progress: called with the number of operations done since its last call.

    The contents of areas are verified in allocators with real memory, except those of a replay:
    each copy is zeroed at first, and keeps what was written until it is freed.

    Returns: the first difference, or None.

    Raises:
        ConfigError: there are too few allocators, or one lacks a method, or an argument is of a
            wrong type.
        TraceError: one of ``ops`` is not an operation.

    """
    errors.check_progress(progress)
    return Driver(allocators, compare, calls).run(Trace.from_ops(ops), progress)


def lockstep(
    factories: Mapping[str, Factory],
    trace: Trace,
    *,
    compare: Collection[str] = ASPECTS,
    calls: str = "single",
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Make allocators with the trace's set-up, and run the trace through them.

    ``factories`` are classes or functions that take the arguments of an allocator, by name;
    the rest is as for :func:`drive`.

    Raises:
        ConfigError: as for :func:`drive`; or all allocators refuse the set-up.

    """
    errors.check_type("trace", trace, Trace, "a Trace")
    errors.check_progress(progress)
    return run(factories, trace, compare, calls, progress).difference


def run(
    factories: Mapping[str, Factory],
    trace: Trace,
    compare: Collection[str],
    calls: str,
    progress: Callable[[int], object] | None = None,
) -> Outcome:
    """As :func:`lockstep`; also return what the run reached."""
    _check_arguments(factories, compare, calls)
    allocators: dict[str, AllocatorLike] = {}
    refusals: list[BaseException] = []
    answers: list[str] = []
    names = tuple(factories)
    try:
        for name, factory in factories.items():
            try:
                allocators[name] = factory(**trace.setup)
                answers.append("accepted it")
            except ANSWERS as error:
                refusals.append(error)
                answers.append(describe_error(error))
        if refusals and not allocators:
            raise refusals[0]
        if refusals:
            empty = Trace.from_ops([], trace.setup)
            return Outcome(_set_up_or_end(empty, names, answers), 0, Reach())
        driver = Driver(allocators, compare, calls, trace.setup)
        difference = driver.run(trace, progress)
    finally:
        ends = [inspect(allocator, "close") or "closed" for allocator in allocators.values()]
    if difference is None and any(end != "closed" for end in ends):
        difference = _set_up_or_end(trace, names, ends)
    return Outcome(difference, driver.failures, driver.observer.reach)


def _set_up_or_end(trace: Trace, names: tuple[str, ...], answers: Sequence[str]) -> Difference:
    return Difference(trace, "errors", names, tuple(answers), minority(names, answers))


def _check_arguments(named: Mapping[str, object], compare: Collection[str], calls: str) -> None:
    errors.check_type("allocators", named, Mapping, "a mapping of names to allocators")
    errors.check_type("compare", compare, Iterable, f"some of {', '.join(ASPECTS)}")
    if len(named) < 2:
        raise ConfigError(
            f"lockstep of {plural(len(named), 'allocator')}: two or more are needed, such as "
            '{"port": Allocator, "model": Model}'
        )
    if unknown := [aspect for aspect in compare if aspect not in ASPECTS]:
        raise ConfigError(f"compare={errors.shown(unknown)}: choose from {', '.join(ASPECTS)}")
    if calls not in CALLS:
        raise ConfigError(f"calls={errors.shown(calls)}: choose from {', '.join(CALLS)}")


def _check_methods(allocators: Mapping[str, object], compare: Collection[str]) -> None:
    needed = ["alloc", "free", *(name for name in (*INSPECTED, "inject") if name in compare)]
    for name, allocator in allocators.items():
        missing = [method for method in needed if not callable(getattr(allocator, method, None))]
        if missing:
            raise ConfigError(
                f"allocator {name!r} ({type(allocator).__name__}) lacks {', '.join(missing)}: "
                f"lockstep calls {', '.join(needed)}; add what is missing, or compare less"
            )
