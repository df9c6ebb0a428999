# SPDX-License-Identifier: GPL-2.0-only
"""Run a trace through several allocators and stop where they first differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Protocol

from percpu_ffi.errors import ConfigError, PercpuWarning
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from percpu_ffi.state import State
    from percpu_ffi.trace import Key, Op

__all__ = ["ASPECTS", "Maker", "Party", "drive", "lockstep"]

ASPECTS = ("errors", "pointers", "state", "counters")


class Party(Protocol):
    """What is driven: the methods of an allocator that a trace needs, or some of them.

    ``state`` and ``counters`` may be missing where they are not compared, ``inject`` where
    the trace sets no faults.
    """

    def alloc(self, size: int, align: int, /) -> int:
        """Allocate, or raise."""

    def free(self, ptr: int, /) -> None:
        """Free."""


Maker = Callable[..., Any]  # of a Party; takes the arguments of an allocator


class Driver:
    """Parties that are driven, and what they hold."""

    def __init__(self, parties: Mapping[str, Party], compare: Collection[str]) -> None:
        self.parties = dict(parties)
        self.live: list[dict[Key, int]] = [{} for _ in parties]
        self.errors = "errors" in compare
        self.pointers = "pointers" in compare
        self.state = "state" in compare
        self.counters = "counters" in compare
        self.states: list[State | None] = [None for _ in parties]
        self.calls: list[dict[str, int]] = []
        self.failures = 0  # operations that all parties answered with an error

    def do(self, op: Op) -> tuple[str, tuple[str, ...]] | None:
        """Do one operation everywhere; the aspect that differs, and the answers."""
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
            except Exception as error:  # any error is an answer
                answer = f"{type(error).__name__}: {error}"
            answers.append(answer)

        first = answers[0]
        failed = isinstance(first, str)
        self.failures += failed
        aspect = ""
        for answer in answers[1:]:
            if answer == first:
                continue
            if isinstance(answer, str) != failed or (failed and self.errors):
                aspect = "errors"
            elif not failed and self.pointers:
                aspect = "pointers"
        aspect = aspect or self.look()
        return (aspect, tuple(map(_shown, answers))) if aspect else None

    def look(self) -> str:
        """Compare what the parties look like inside: the aspect that differs, or nothing."""
        parties = self.parties.values()
        if self.counters:
            self.calls = [party.counters() for party in parties]  # type: ignore[attr-defined]
        if self.state:
            self.states = [party.state() for party in parties]  # type: ignore[attr-defined]
        if any(state != self.states[0] for state in self.states):
            return "state"
        if any(calls != self.calls[0] for calls in self.calls):
            return "counters"
        return ""

    def difference(
        self, setup: dict[str, Any], ops: list[Op], aspect: str, answers: tuple[str, ...]
    ) -> Difference:
        """Describe where the run stopped."""
        self.look()
        return Difference(
            trace=Trace.from_ops(ops, setup),
            aspect=aspect,
            parties=tuple(self.parties),
            answers=answers,
            states=tuple(self.states),
            counters=tuple(self.calls),
        )


def drive(
    parties: Mapping[str, Party],
    ops: Iterable[Op],
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference | None:
    """Run operations through allocators that are there already.

    Args:
        parties: two or more, by the name that a difference gives them.
        ops: a trace, or operations as a trace has them.
        compare: what has to be the same after each operation: all of ``ASPECTS``, or less for
            an allocator that makes its own decisions.
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
    with ExitStack() as stack:
        parties: dict[str, Party] = {}
        refusals: dict[str, Exception] = {}
        for name, maker in makers.items():
            try:
                parties[name] = maker(**trace.setup)
                if hasattr(parties[name], "close"):
                    stack.enter_context(closing(parties[name]))  # type: ignore[type-var]
            except (ConfigError, MemoryError) as error:
                refusals[name] = error
        if refusals and not parties:
            raise next(iter(refusals.values()))
        if refusals:
            answers = tuple(str(refusals.get(name, "accepted it")) for name in makers)
            nothing = Trace.from_ops([], trace.setup)
            return Difference(nothing, "errors", tuple(makers), answers, (), ()), 0
        return _drive(parties, trace, compare, progress, trace.setup)


def _drive(
    parties: Mapping[str, Party],
    ops: Iterable[Op],
    compare: Collection[str],
    progress: Callable[[int], object] | None,
    setup: dict[str, Any] | None = None,
) -> tuple[Difference | None, int]:
    done: list[Op] = []
    _check_number(parties)
    _check_methods(parties, compare)
    driver = Driver(parties, compare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PercpuWarning)  # counted, and compared as such
        aspect = driver.look()
        if aspect:
            return driver.difference(setup or {}, [], aspect, ("",) * len(parties)), 0
        for op in ops:
            if op[0] == "inject":
                _check_methods(parties, ("inject",))
            done.append(op)
            found = driver.do(op)
            if found:
                return driver.difference(setup or {}, done, *found), driver.failures
            if progress:
                progress(1)
    return None, driver.failures


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


def _check_methods(parties: Mapping[str, object], compare: Collection[str]) -> None:
    unknown = set(compare) - {*ASPECTS, "inject"}
    if unknown:
        raise ConfigError(f"compare={sorted(unknown)}: choose from {', '.join(ASPECTS)}")
    needed = [
        "alloc",
        "free",
        *(name for name in ("state", "counters", "inject") if name in compare),
    ]
    for name, party in parties.items():
        missing = [method for method in needed if not callable(getattr(party, method, None))]
        if missing:
            raise ConfigError(
                f"party {name!r} ({type(party).__name__}) lacks {', '.join(missing)}: lockstep "
                f"calls {', '.join(needed)}; add what is missing, or compare less"
            )
