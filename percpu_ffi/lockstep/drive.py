# SPDX-License-Identifier: GPL-2.0-only
"""Run a trace through several allocators and stop where they first differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from percpu_ffi.errors import ConfigError, without_warnings
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from percpu_ffi.trace import Key, Op

__all__ = ["ASPECTS", "Maker", "Party", "drive", "lockstep"]

# what an allocator tells of itself, by the methods of these names
TOLD = ("state", "counters", "work")
ASPECTS = ("errors", "pointers", *TOLD)


class Party(Protocol):
    """What is driven: the methods of an allocator that a trace needs, or some of them.

    ``state``, ``counters`` and ``work`` may be missing where they are not compared,
    ``inject`` where the trace sets no faults.
    """

    def alloc(self, size: int, align: int, /) -> int:
        """Allocate, or raise."""

    def free(self, ptr: int, /) -> None:
        """Free."""


Maker = Callable[..., Any]  # of a Party; takes the arguments of an allocator
Found = tuple[str, tuple[str, ...]]  # the aspect that differs, and what each party gave

# what a party raises is its answer; only Ctrl-C is the user's
ANSWERS = (Exception, SystemExit, GeneratorExit)


class Driver:
    """Parties that are driven, and what they hold."""

    def __init__(self, parties: Mapping[str, Party], compare: Collection[str]) -> None:
        self.parties = dict(parties)
        self.live: list[dict[Key, int]] = [{} for _ in parties]
        self.errors = "errors" in compare
        self.pointers = "pointers" in compare
        # what each party tells of itself, by the aspect that it is compared under
        self.told: dict[str, list[Any]] = {name: [] for name in TOLD if name in compare}
        self.failures = 0  # operations that all parties answered with an error

    def do(self, op: Op) -> Found | None:
        """Do one operation everywhere and compare."""
        answers: list[int | str] = []
        for party, live in zip(self.parties.values(), self.live, strict=True):
            answer: int | str = 0
            try:
                match op:
                    case ("alloc", key, size, align):
                        if key in live:  # an area that was not seen freed
                            party.free(live.pop(key))
                        answer = live[key] = party.alloc(size, align)
                    case ("free", key):
                        if key in live:
                            party.free(live.pop(key))
                    case ("inject", site, plan):
                        party.inject(site, **plan)  # type: ignore[attr-defined]
            except ANSWERS as error:
                answer = told(error)
            answers.append(answer)

        first = answers[0]
        failed = isinstance(first, str)
        self.failures += failed
        for answer in answers[1:]:
            if answer == first:
                continue
            if isinstance(answer, str) != failed or (failed and self.errors):
                return "errors", tuple(map(_shown, answers))
            if not failed and self.pointers:
                return "pointers", tuple(map(_shown, answers))
        found = self.look()
        if found and not found[1]:
            return found[0], tuple(map(_shown, answers))
        return found

    def look(self) -> Found | None:
        """Compare what the parties look like inside; no answers where all gave something."""
        for aspect, values in self.told.items():
            values[:] = [_asked(party, aspect) for party in self.parties.values()]
        for aspect, values in self.told.items():
            if any(isinstance(value, str) for value in values):
                told_by_each = (v if isinstance(v, str) else "answered" for v in values)
                return "errors", tuple(told_by_each)
            if any(value != values[0] for value in values):
                return aspect, ()
        return None

    def difference(self, setup: dict[str, Any], ops: list[Op], found: Found) -> Difference:
        """Describe where the run stopped."""
        self.look()
        inside = {aspect: tuple(values) for aspect, values in self.told.items()}
        if any(isinstance(value, str) for values in inside.values() for value in values):
            inside = {}  # one of them cannot tell
        return Difference(
            trace=Trace.from_ops(ops, setup),
            aspect=found[0],
            parties=tuple(self.parties),
            answers=found[1] or ("",) * len(self.parties),
            states=inside.get("state", ()),
            counters=inside.get("counters", ()),
            work=inside.get("work", ()),
        )


def drive(
    parties: Mapping[str, Party],
    ops: Iterable[Any],
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Run operations through allocators that are there already.

    Args:
        parties: two or more, by the name that a difference gives them.
        ops: a trace, or operations as a trace has them.
        compare: what has to be the same after each operation: all of ``ASPECTS``, or less for
            an allocator that makes its own decisions.  Whether an operation succeeds is
            compared in any case.
        progress: called with the number of operations done since its last call.

    Returns: the first difference, or None.

    Raises:
        ConfigError: there are too few parties, or one lacks a method.

    """
    difference, _failures = _drive(parties, ops, compare, progress)
    return difference


def lockstep(
    makers: Mapping[str, Maker],
    trace: Trace,
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Make allocators as the trace's set-up says, and run the trace through them.

    Args:
        makers: classes, or whatever takes the arguments of an allocator and makes one.
        trace: the operations.
        compare: as for :func:`drive`.
        progress: as for :func:`drive`.

    Returns: the first difference, or None.

    Raises:
        ConfigError: as for :func:`drive`; or no maker accepts the set-up.

    """
    difference, _failures = run(makers, trace, compare, progress)
    return difference


def run(
    makers: Mapping[str, Maker],
    trace: Trace,
    compare: Collection[str],
    progress: Callable[[int], object] | None = None,
) -> tuple[Difference | None, int]:
    """As :func:`lockstep`, and count the operations that failed everywhere."""
    _check_number(makers)
    parties: dict[str, Party] = {}
    refusals: dict[str, BaseException] = {}
    try:
        for name, maker in makers.items():
            try:
                parties[name] = maker(**trace.setup)
            except ANSWERS as error:
                refusals[name] = error
        if refusals and not parties:
            raise next(iter(refusals.values()))
        if refusals:
            answers = tuple(
                told(refusals[name]) if name in refusals else "accepted it" for name in makers
            )
            nothing = Trace.from_ops([], trace.setup)
            return Difference(nothing, "errors", tuple(makers), answers), 0
        difference, failures = _drive(parties, trace, compare, progress, trace.setup)
    finally:
        ends = tuple(_asked(party, "close") or "closed" for party in parties.values())
    if difference is None and any(end != "closed" for end in ends):
        difference = Difference(trace, "errors", tuple(makers), ends)
    return difference, failures


def _drive(
    parties: Mapping[str, Party],
    ops: Iterable[Any],
    compare: Collection[str],
    progress: Callable[[int], object] | None,
    setup: dict[str, Any] | None = None,
) -> tuple[Difference | None, int]:
    done: list[Op] = []
    _check_number(parties)
    _check_aspects(compare)
    _check_methods(parties, compare)
    driver = Driver(parties, compare)
    with without_warnings():  # they are counted, and compared as such
        found = driver.look()
        if found:
            return driver.difference(setup or {}, [], found), 0
        for op in ops:
            if op[0] == "inject":
                _check_methods(parties, ("inject",))
            done.append(op)
            found = driver.do(op)
            if found:
                return driver.difference(setup or {}, done, found), driver.failures
            if progress:
                progress(1)
    return None, driver.failures


def told(error: BaseException) -> str:
    """Tell type and message of an error, also of one that cannot tell itself."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _asked(party: Party, method: str) -> Any:
    """Call a method without arguments, if there is one; what it raises as a string."""
    try:
        return getattr(party, method, lambda: None)()
    except ANSWERS as error:
        return f"{method}() raised {told(error)}"


def _shown(answer: int | str) -> str:
    if isinstance(answer, str):
        return answer
    return f"{answer:#x}" if answer else "done"


def _check_number(parties: Mapping[str, object]) -> None:
    if len(parties) < 2:
        raise ConfigError(
            f"lockstep of {len(parties)} parties: two or more are needed, such as "
            '{"port": Allocator, "model": Model}'
        )


def _check_aspects(compare: Collection[str]) -> None:
    unknown = set(compare) - set(ASPECTS)
    if unknown:
        raise ConfigError(f"compare={sorted(unknown)}: choose from {', '.join(ASPECTS)}")


def _check_methods(parties: Mapping[str, object], compare: Collection[str]) -> None:
    needed = [
        "alloc",
        "free",
        *(name for name in (*TOLD, "inject") if name in compare),
    ]
    for name, party in parties.items():
        missing = [method for method in needed if not callable(getattr(party, method, None))]
        if missing:
            raise ConfigError(
                f"party {name!r} ({type(party).__name__}) lacks {', '.join(missing)}: lockstep "
                f"calls {', '.join(needed)}; add what is missing, or compare less"
            )
