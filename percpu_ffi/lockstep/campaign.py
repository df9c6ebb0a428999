# SPDX-License-Identifier: GPL-2.0-only
"""Random campaigns: many traces in lockstep, on all cores, which can be stopped and resumed."""

from __future__ import annotations

import collections.abc
import hashlib
import json
import operator
import os
import time
from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.integers import integer
from percpu_ffi._util.text import plural
from percpu_ffi.config import AREA_MAP, BITMAP
from percpu_ffi.errors import ConfigError, describe_error, shown
from percpu_ffi.executors import Executor, Task, WorkerPool, check_executor, run_in_order
from percpu_ffi.lockstep import random_bitmaps
from percpu_ffi.lockstep.driver import ASPECTS, Factory, run
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.random_traces import (
    PAGE_SIZES,
    Form,
    Mix,
    form_of,
    random_setup,
    random_trace,
)
from percpu_ffi.lockstep.reach import Reach
from percpu_ffi.model import Model
from percpu_ffi.trace.operations import checked_setup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from percpu_ffi.lockstep.difference import Difference
    from percpu_ffi.trace import Trace

SHARE = "a share from 0 to 1 of the cases"
CASES_A_TASK = 10  # about a second of work, which an interruption may lose
MAX_LENGTH = 1_000_000  # operations of a case
MAX_TRIES = 1000  # to find a set-up that fits the given arguments
MAX_INTEGER = (1 << 63) - 1
SAVE_EVERY = 1.0  # seconds
SAVE_SHARE = 0.05  # of the time, at most: the file of a campaign of 10^9 operations is 20 MB
# arguments that leave sizes open
NOT_SIZES = {"quirks", "policy", "fixes", "balance"}
GOLDEN = 0.6180339887498949  # golden ratio; its multiples modulo 1 lie evenly

FIGURES = ("cases", "operations", "faults", "failures")  # of Totals, integers in a file
FORMAT = 2  # of the file; changes when the same arguments make other traces


@dataclass
class Totals:
    """Totals of the cases that a campaign has run."""

    cases: int = 0
    """Traces."""
    operations: int = 0
    """Their operations, with the one that differed."""
    faults: int = 0
    """Faults that were set."""
    failures: int = 0
    """Operations that failed alike in all allocators."""
    geometries: set[str] = field(default_factory=set)
    """Different set-ups, each as a short hash."""
    reach: Reach = field(default_factory=Counter)
    """Operations and set-ups by class."""
    difference: Difference | None = None
    """The first difference, which ends the campaign."""

    def add(self, other: Totals) -> None:
        """Add the totals of other cases."""
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.geometries |= other.geometries
        self.reach.update(other.reach)
        self.difference = self.difference or other.difference


@dataclass(frozen=True)
class Campaign:
    """Random traces on random set-ups; the same arguments make the same campaign.

    Raises:
        ConfigError: a number is out of range.

    """

    factories: Mapping[str, Factory]
    """Classes or functions that make the allocators, by name; picklable for use in other
    processes."""
    operations: int = 100_000
    """Smallest number of operations."""
    seed: int = 0
    """Of all random numbers."""
    length: int = 1000
    """Operations of a case."""
    faults: float = 1 / 3
    """Share of the cases that set faults."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the allocators that are not random."""
    mix: Mix = field(default_factory=Mix)
    """Sizes, alignments and faults that are not random."""
    compare: tuple[str, ...] = ASPECTS
    """What has to be the same after each call."""
    calls: tuple[str, ...] = CALLS
    """How operations may be called, as in :func:`drive`; each case has one of these."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("operations", 1, MAX_INTEGER),
            ("length", 1, MAX_LENGTH),
            ("seed", 0, MAX_INTEGER),
        ):
            value = integer(getattr(self, name))
            if value is None or not least <= value <= most:
                raise ConfigError(
                    f"{name}={shown(getattr(self, name))}: an integer from {least} to {most} is "
                    "needed"
                )
            object.__setattr__(self, name, value)
        for name, kind, needed in (
            ("factories", collections.abc.Mapping, "a mapping of names to allocators"),
            ("compare", collections.abc.Iterable, "a tuple of aspects"),
            ("calls", collections.abc.Collection, f"some of {', '.join(CALLS)}"),
            ("mix", Mix, "a Mix"),
            ("faults", (int, float), SHARE),
        ):
            errors.check_type(name, getattr(self, name), kind, needed)
        if not 0 <= self.faults <= 1:
            raise errors.wrong_type("faults", self.faults, SHARE)
        if not self.calls or any(way not in CALLS for way in self.calls):
            raise ConfigError(f"calls={shown(self.calls)}: choose from {', '.join(CALLS)}")
        object.__setattr__(self, "setup", checked_setup(self.setup))

    def case(self, number: int) -> Trace:
        """Make one of the traces, with its set-up.

        Raises:
            ConfigError: no set-up fits the given arguments, or ``number`` is not an integer.

        """
        if integer(number) is None:
            raise errors.wrong_type("number", number, "an integer")
        form = self._form(number)
        rng = Random(f"{self.seed}:{number}")
        # spread evenly over the cases, and over those of each form
        faults = (Random(self.seed).random() + number * GOLDEN) % 1 < self.faults
        if form.deep and self.policy == BITMAP:
            faults = self.faults > 0  # such a case is about one
        setup = self._setup(rng, number, form)
        make = random_bitmaps.random_trace if self.policy == BITMAP else random_trace
        return make(rng, setup, self.length, form=form, faults=faults, mix=self.mix)

    @property
    def policy(self) -> str:
        """The policy of all set-ups: that of ``setup``."""
        return str(self.setup.get("policy", AREA_MAP))

    def calls_of(self, number: int) -> str:
        """Return how the operations of a case are called, as in :func:`drive`."""
        return self._form(number).calls

    def _form(self, number: int) -> Form:
        form = form_of(number, self.length, self.calls)
        # those that choose their own set-up or sizes do so only where none are given
        given = self.setup.keys() - NOT_SIZES or self.mix.sizes or self.mix.aligns
        if given or (form.deep == "map" and self.policy == BITMAP):
            return Form(form.calls)
        return form

    def _setup(self, rng: Random, number: int, form: Form) -> dict[str, Any]:
        """Choose the other arguments so that they fit the given ones."""
        choose, sizes = random_setup, PAGE_SIZES
        if self.policy == BITMAP:
            choose, sizes = random_bitmaps.random_setup, random_bitmaps.PAGE_SIZES
        pages = list(sizes)  # in turn, in another order each time
        Random(f"{self.seed}:{number // len(pages)}:pages").shuffle(pages)
        for _ in range(MAX_TRIES):
            setup = {**choose(rng, pages[number % len(pages)], form), **self.setup}
            try:
                Model(**setup).close()
            except ConfigError as error:
                refusal = error
            else:
                return setup
        raise refusal

    def run(
        self,
        executor: Executor | None = None,
        *,
        progress: Callable[[int], object] | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> Totals:
        """Run the rest of the campaign, up to the first difference.

        The first difference does not depend on the executor.

        Args:
            executor: runs the cases, see :mod:`percpu_ffi.executors`; None: a process for each
                core.  These import the script again, so it needs ``if __name__ == "__main__":``.
            progress: called with the number of operations done since its last call.
            state: a file for the progress: a campaign that was stopped, also by Ctrl-C, is
                resumed from it.

        Raises:
            ConfigError: the file belongs to another campaign; no set-up fits; or an
                allocator lacks a method.
            PercpuError: a worker was lost several times, perhaps by a fault in an allocator;
                names the cases.
            OSError: the file cannot be written.

        """
        check_executor(executor)
        errors.check_progress(progress)
        if state is not None:
            errors.check_path(state)
        totals, done = self._resume(state)
        self._save(state, totals, done)
        if progress:
            progress(totals.operations)
        tasks = self._tasks()[done:]
        next_save = time.monotonic() + SAVE_EVERY
        with WorkerPool() if executor is None else nullcontext(executor) as pool:
            try:
                numbers = ((self, task) for task in tasks)
                describe = partial(self._describe, done)
                with closing(run_in_order(pool, run_task, numbers, describe)) as results:
                    for result in results:
                        totals.add(result)
                        done += 1
                        if progress:
                            progress(result.operations)
                        if totals.difference:
                            break
                        if time.monotonic() > next_save:
                            next_save = self._save_in_time(state, totals, done)
            finally:
                self._save(state, totals, done)
        return totals

    def _tasks(self) -> range:
        """Return the numbers of the tasks, enough for the operations."""
        return range(-(-self.operations // (self.length * CASES_A_TASK)))

    def _describe(self, done: int, number: int) -> Task:
        """Describe a task after those that are done."""
        first = (done + number) * CASES_A_TASK
        last = first + CASES_A_TASK - 1
        return Task(
            f"the cases {first} to {last} of seed {self.seed}",
            f"run them one by one, with the same arguments and --case {first} to --case {last}, or "
            "with Campaign.case()",
        )

    def _identity(self) -> dict[str, Any]:
        """Return the arguments, by which a file knows its campaign."""
        arguments = {**vars(self), "mix": vars(self.mix)}
        arguments["parties"] = list(arguments.pop("factories"))
        identity: dict[str, Any] = json.loads(json.dumps(arguments))
        return identity

    def _resume(self, state: str | os.PathLike[str] | None) -> tuple[Totals, int]:
        """Read a file: the totals, and the number of tasks that they include."""
        if state is None or not Path(state).exists():
            return Totals(), 0
        name = os.fspath(state)
        try:
            saved = json.loads(Path(state).read_text(encoding="utf-8"))
            identity, done = dict(saved["campaign"]), operator.index(saved["done"])
            if saved.get("format") != FORMAT:
                raise ConfigError(
                    f"{name} holds a campaign of another version, whose cases are other traces; "
                    "name another file, or remove it"
                )
            kept = saved["totals"]
            totals = Totals(geometries=set(map(str, kept["geometries"])))
            for figure in FIGURES:
                setattr(totals, figure, operator.index(kept[figure]))
            totals.reach.update({str(k): operator.index(n) for k, n in kept["reach"].items()})
            if done not in range(len(self._tasks()) + 1) or totals.cases != done * CASES_A_TASK:
                raise ValueError(f"{plural(totals.cases, 'case')} in {plural(done, 'task')}")
        except ConfigError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"{name} holds no campaign ({describe_error(error)}); name another file, or "
                "remove it"
            ) from None
        if identity != self._identity():
            other = [key for key, value in self._identity().items() if identity.get(key) != value]
            raise ConfigError(
                f"{name} belongs to a campaign with other {', '.join(other)}; go on with the "
                "same arguments, or name another file"
            )
        return totals, done

    def _save_in_time(
        self, state: str | os.PathLike[str] | None, totals: Totals, done: int
    ) -> float:
        """Save the progress; return the time of the next save."""
        start = time.monotonic()
        self._save(state, totals, done)
        end = time.monotonic()
        return end + max(SAVE_EVERY, (end - start) / SAVE_SHARE)

    def _save(self, state: str | os.PathLike[str] | None, totals: Totals, done: int) -> None:
        if state is None or totals.difference:
            return  # a resumed campaign finds the difference again
        figures = {name: getattr(totals, name) for name in FIGURES}
        data = {
            "format": FORMAT,
            "campaign": self._identity(),
            "done": done,
            "totals": {
                **figures,
                "geometries": sorted(totals.geometries),
                "reach": dict(totals.reach),
            },
        }
        write_whole(Path(state), json.dumps(data).encode())


def run_task(campaign: Campaign, task: int) -> Totals:
    """Run some cases of a campaign, up to the first difference."""
    totals = Totals()
    for number in range(task * CASES_A_TASK, (task + 1) * CASES_A_TASK):
        trace = campaign.case(number)
        calls = campaign.calls_of(number)
        difference, failures, reach = run(campaign.factories, trace, campaign.compare, calls)
        if difference:
            trace = difference.trace
        setup = json.dumps(trace.setup, sort_keys=True).encode()
        geometry = hashlib.blake2b(setup, digest_size=8).hexdigest()
        totals.add(
            Totals(1, len(trace), len(trace.faults), failures, {geometry}, reach, difference)
        )
        if difference:
            break
    return totals
