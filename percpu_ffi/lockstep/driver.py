# SPDX-License-Identifier: GPL-2.0-only
"""Run a trace through several allocators and stop where they first differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from percpu_ffi.errors import ConfigError
from percpu_ffi.interface import without_warnings
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from percpu_ffi.trace import Key, Op

__all__ = ["ASPECTS", "AllocatorLike", "Factory", "describe_error", "drive", "lockstep", "run"]

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


class Mismatch(NamedTuple):
    """An aspect that differs."""

    aspect: str
    answers: tuple[str, ...]
    """One from each allocator; none: those of the operation."""


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
        self.setup = setup or {}
        self.allocators = dict(allocators)
        self.live: list[dict[Key, int]] = [{} for _ in allocators]
        self.compare = compare
        # what each allocator returned last, by the method's name
        self.inspected: dict[str, list[Any]] = {name: [] for name in INSPECTED if name in compare}
        self.failures = 0  # operations that failed in all allocators

    def run(
        self, ops: Iterable[Any], progress: Callable[[int], object] | None
    ) -> Difference | None:
        """Do operations, up to the first difference."""
        done: list[Op] = []
        with without_warnings():  # counters() has their number
            if mismatch := self.inspect():
                return self.difference(done, mismatch)
            for op in ops:
                if op[0] == "inject":
                    _check_methods(self.allocators, ("inject",))
                done.append(op)
                if mismatch := self.do(op):
                    return self.difference(done, mismatch)
                if progress:
                    progress(1)
        return None

    def do(self, op: Op) -> Mismatch | None:
        """Do one operation in every allocator and compare."""
        pairs = zip(self.allocators.values(), self.live, strict=True)
        answers = [_answer(allocator, live, op) for allocator, live in pairs]
        first = answers[0]
        failed = isinstance(first, str)
        self.failures += failed
        for answer in answers[1:]:
            aspect = "errors" if failed or isinstance(answer, str) else "pointers"
            if answer != first and (aspect in self.compare or isinstance(answer, str) != failed):
                return Mismatch(aspect, tuple(map(_shown, answers)))
        mismatch = self.inspect()
        if mismatch and not mismatch.answers:
            return mismatch._replace(answers=tuple(map(_shown, answers)))
        return mismatch

    def inspect(self) -> Mismatch | None:
        """Compare the results of the methods without arguments."""
        for method, results in self.inspected.items():
            results[:] = [_call(allocator, method) for allocator in self.allocators.values()]
        for method, results in self.inspected.items():
            if any(isinstance(result, str) for result in results):
                answers = (r if isinstance(r, str) else "answered" for r in results)
                return Mismatch("errors", tuple(answers))
            if any(result != results[0] for result in results):
                return Mismatch(method, ())
        return None

    def difference(self, ops: list[Op], mismatch: Mismatch) -> Difference:
        """Describe a mismatch after the last of ``ops``."""
        self.inspect()
        inspected = {method: tuple(results) for method, results in self.inspected.items()}
        if any(isinstance(result, str) for results in inspected.values() for result in results):
            inspected = {}  # a method raised
        return Difference(
            trace=Trace.from_ops(ops, self.setup),
            aspect=mismatch.aspect,
            names=tuple(self.allocators),
            answers=mismatch.answers or ("",) * len(self.allocators),
            states=inspected.get("state", ()),
            counters=inspected.get("counters", ()),
            work=inspected.get("work", ()),
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
        ConfigError: there are too few allocators, or one lacks a method.

    """
    return Driver(allocators, compare).run(ops, progress)


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
    if len(named) < 2:
        raise ConfigError(
            f"lockstep of {len(named)} allocators: two or more are needed, such as "
            '{"port": Allocator, "model": Model}'
        )
    if unknown := set(compare) - set(ASPECTS):
        raise ConfigError(f"compare={sorted(unknown)}: choose from {', '.join(ASPECTS)}")


def _check_methods(allocators: Mapping[str, object], compare: Collection[str]) -> None:
    needed = ["alloc", "free", *(name for name in (*INSPECTED, "inject") if name in compare)]
    for name, allocator in allocators.items():
        missing = [method for method in needed if not callable(getattr(allocator, method, None))]
        if missing:
            raise ConfigError(
                f"allocator {name!r} ({type(allocator).__name__}) lacks {', '.join(missing)}: "
                f"lockstep calls {', '.join(needed)}; add what is missing, or compare less"
            )
