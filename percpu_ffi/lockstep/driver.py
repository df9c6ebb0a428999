# SPDX-License-Identifier: GPL-2.0-only
"""Run a trace through several allocators and stop where they first differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from percpu_ffi import errors
from percpu_ffi.errors import ConfigError, without_warnings
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.trace import Key, Op, Trace

INSPECTED = ("state", "counters", "work")  # methods whose results are compared
ASPECTS = ("errors", "pointers", *INSPECTED)

# whatever an allocator raises is its answer; Ctrl-C is the user's
ANSWERS = (Exception, SystemExit, GeneratorExit)


class AllocatorLike(Protocol):
    """The methods of an allocator that every trace needs.

    ``state``, ``counters`` and ``work`` are needed where they are compared, ``inject`` where
    the trace sets faults.
    """

    def alloc(self, size: int, align: int, /) -> int:
        """Allocate, or raise."""

    def free(self, ptr: int, /) -> None:
        """Free."""


Factory = Callable[..., Any]  # takes the arguments of an allocator, returns an AllocatorLike


class Driver:
    """Allocators in lockstep, and the areas that are live in them."""

    def __init__(
        self,
        allocators: Mapping[str, AllocatorLike],
        compare: Collection[str],
        setup: dict[str, Any] | None = None,
    ) -> None:
        _check_arguments(allocators, compare)
        _check_methods(allocators, compare)
        self.allocators = dict(allocators)
        self.compare = compare
        self.setup = setup or {}
        self.live: list[dict[Key, int]] = [{} for _ in allocators]
        self.done: list[Op] = []
        # results of each allocator after the last operation, by the method's name
        self.results: dict[str, list[Any]] = {name: [] for name in INSPECTED if name in compare}
        self.failures = 0  # operations that failed in all allocators

    def run(
        self, ops: Iterable[Any], progress: Callable[[int], object] | None
    ) -> Difference | None:
        """Do each operation in every allocator and compare, up to the first difference."""
        with without_warnings():  # counters() has their number
            if difference := self.look([""] * len(self.allocators)):
                return difference
            for op in ops:
                if op[0] == "inject":
                    _check_methods(self.allocators, ("inject",))
                self.done.append(op)
                pairs = zip(self.allocators.values(), self.live, strict=True)
                answers = [_answer(allocator, live, op) for allocator, live in pairs]
                self.failures += isinstance(answers[0], str)
                if difference := self.look(answers):
                    return difference
                if progress:
                    progress(1)
        return None

    def look(self, answers: Sequence[int | str]) -> Difference | None:
        """Compare the answers to an operation, and the allocators after it."""
        for method, results in self.results.items():
            results[:] = [_call(allocator, method) for allocator in self.allocators.values()]
        first = answers[0]
        failed = isinstance(first, str)
        for answer in answers[1:]:
            aspect = "errors" if failed or isinstance(answer, str) else "pointers"
            if answer != first and (aspect in self.compare or isinstance(answer, str) != failed):
                return self.difference(aspect, answers)
        for method, results in self.results.items():
            if any(isinstance(result, str) for result in results):  # it raised
                raised = [r if isinstance(r, str) else "answered" for r in results]
                return self.difference("errors", raised)
            if any(result != results[0] for result in results):
                return self.difference(method, answers)
        return None

    def difference(self, aspect: str, answers: Sequence[int | str]) -> Difference:
        """Describe a difference after the last operation."""
        found = {method: tuple(results) for method, results in self.results.items()}
        if any(isinstance(result, str) for results in found.values() for result in results):
            found = {}
        return Difference(
            trace=Trace.from_ops(self.done, self.setup),
            aspect=aspect,
            names=tuple(self.allocators),
            answers=tuple(map(_shown, answers)),
            states=found.get("state", ()),
            counters=found.get("counters", ()),
            work=found.get("work", ()),
        )


def drive(
    allocators: Mapping[str, AllocatorLike],
    ops: Iterable[Any],
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Run operations through allocators that exist already.

    Args:
        allocators: two or more, by the name that a difference uses for them.
        ops: a trace, or operations as a trace has them.
        compare: what has to be the same after each operation: all of ``ASPECTS``, or less for
            an allocator with another policy.  Whether an operation succeeds is always
            compared.
        progress: called with the number of operations done since its last call.

    Returns: the first difference, or None.

    Raises:
        ConfigError: there are too few allocators, or one lacks a method, or an argument is of a
            wrong type.
        TraceError: one of ``ops`` is not an operation.

    """
    errors.check_type("ops", ops, Iterable, "an iterable of operations")
    errors.check_progress(progress)
    checked = ops if isinstance(ops, Trace) else map(_checked_operation, ops)
    return Driver(allocators, compare).run(checked, progress)


def lockstep(
    factories: Mapping[str, Factory],
    trace: Trace,
    *,
    compare: Collection[str] = ASPECTS,
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
    return run(factories, trace, compare, progress)[0]


def run(
    factories: Mapping[str, Factory],
    trace: Trace,
    compare: Collection[str],
    progress: Callable[[int], object] | None = None,
) -> tuple[Difference | None, int]:
    """As :func:`lockstep`; also return the number of operations that failed in all allocators."""
    _check_arguments(factories, compare)
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
            return Difference(empty, "errors", names, tuple(answers)), 0
        driver = Driver(allocators, compare, trace.setup)
        difference = driver.run(trace, progress)
    finally:
        ends = tuple(_call(allocator, "close") or "closed" for allocator in allocators.values())
    if difference is None and any(end != "closed" for end in ends):
        difference = Difference(trace, "errors", names, ends)
    return difference, driver.failures


def describe_error(error: BaseException) -> str:
    """Return the type and the message of an error, or the type alone if ``str()`` fails."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _answer(allocator: AllocatorLike, live: dict[Key, int], op: Op) -> int | str:
    """Do an operation; return the pointer, 0 for other operations, or the error as text."""
    try:
        match op:
            case ("alloc", key, size, align):
                if key in live:  # the trace has no free of it
                    allocator.free(live.pop(key))
                live[key] = allocator.alloc(size, align)
                return live[key]
            case ("free", key):
                if key in live:
                    allocator.free(live.pop(key))
            case ("inject", site, plan):
                allocator.inject(site, **plan)  # type: ignore[attr-defined]
    except ANSWERS as error:
        return describe_error(error)
    return 0


def _call(allocator: AllocatorLike, method: str) -> Any:
    """Call a method without arguments, if it exists; return an error as text."""
    try:
        return getattr(allocator, method, lambda: None)()
    except ANSWERS as error:
        return f"{method}() raised {describe_error(error)}"


def _shown(answer: int | str) -> str:
    if isinstance(answer, str):
        return answer
    return f"{answer:#x}" if answer else "done"


def _check_arguments(named: Mapping[str, object], compare: Collection[str]) -> None:
    errors.check_type("allocators", named, Mapping, "a mapping of names to allocators")
    errors.check_type("compare", compare, Iterable, f"some of {', '.join(ASPECTS)}")
    if len(named) < 2:
        raise ConfigError(
            f"lockstep of {len(named)} allocators: two or more are needed, such as "
            '{"port": Allocator, "model": Model}'
        )
    if unknown := [aspect for aspect in compare if aspect not in ASPECTS]:
        raise ConfigError(f"compare={errors.shown(unknown)}: choose from {', '.join(ASPECTS)}")


def _checked_operation(op: Any) -> Any:
    match op:
        case ("alloc", _, _, _) | ("free", _) | ("inject", _, _):
            return op
    raise errors.not_an_operation(op)


def _check_methods(allocators: Mapping[str, object], compare: Collection[str]) -> None:
    needed = ["alloc", "free", *(name for name in (*INSPECTED, "inject") if name in compare)]
    for name, allocator in allocators.items():
        missing = [method for method in needed if not callable(getattr(allocator, method, None))]
        if missing:
            raise ConfigError(
                f"allocator {name!r} ({type(allocator).__name__}) lacks {', '.join(missing)}: "
                f"lockstep calls {', '.join(needed)}; add what is missing, or compare less"
            )
