# SPDX-License-Identifier: GPL-2.0-only
"""Random campaigns: many cases in lockstep, on all cores, which can be stopped and go on."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import Config
from percpu_ffi.errors import ConfigError
from percpu_ffi.lockstep.cases import random_setup, random_trace
from percpu_ffi.lockstep.drive import ASPECTS, Maker, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from percpu_ffi.lockstep.difference import Difference
    from percpu_ffi.trace import Trace

__all__ = ["Campaign", "Totals"]

CASES_A_TASK = 10  # about a second of work: what an interruption may have to repeat
MOST_TRIES = 1000  # to find a set-up that goes with what is given
TASKS_AHEAD = 2  # for each worker, so that none waits


@dataclass
class Totals:
    """What a campaign has done."""

    cases: int = 0
    """Traces that were run."""
    operations: int = 0
    """Their operations, the one included that differed."""
    faults: int = 0
    """Faults that were set."""
    failures: int = 0
    """Operations that all parties answered with the same error."""
    geometries: set[str] = field(default_factory=set)
    """Different set-ups."""
    difference: Difference | None = None
    """The first difference, if there is one: the campaign ends with it."""

    def add(self, other: Totals) -> None:
        """Add the totals of some other cases."""
        self.cases += other.cases
        self.operations += other.operations
        self.faults += other.faults
        self.failures += other.failures
        self.geometries |= other.geometries
        self.difference = self.difference or other.difference


@dataclass(frozen=True)
class Campaign:
    """Random traces on random set-ups; the same numbers make the same campaign.

    Raises:
        ConfigError: a number is out of range.

    """

    makers: Mapping[str, Maker]
    """Who makes the parties, by name; picklable where work is done in other processes."""
    operations: int = 100_000
    """How many operations at least."""
    seed: int = 0
    """Of all random numbers."""
    length: int = 1000
    """Operations of a case."""
    faults: float = 1 / 3
    """Share of the cases that set faults."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the allocators that are not to be random."""
    compare: tuple[str, ...] = ASPECTS
    """What has to be the same after each operation."""

    def __post_init__(self) -> None:
        for name in ("operations", "length"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: a campaign has at least one")
        if not 0 <= self.faults <= 1:
            raise ConfigError(f"faults={self.faults}: a share from 0 to 1 of the cases is needed")

    def case(self, number: int) -> Trace:
        """Make one of the traces, which carries its set-up."""
        rng = Random(f"{self.seed}:{number}")
        faults = rng.random() < self.faults
        return random_trace(rng, self._setup(rng), self.length, faults=faults)

    def _setup(self, rng: Random) -> dict[str, Any]:
        """Choose what is not given so that it goes with what is."""
        for _ in range(MOST_TRIES):
            setup = {**random_setup(rng), **self.setup}
            try:
                Config.check(**setup)
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
        """Run what is left of the campaign, up to the first difference.

        Args:
            executor: who does the work; None: a process for each core.
            progress: called with the number of operations done since its last call.
            state: a file that keeps what is done: a campaign that was stopped, also by
                Ctrl-C, goes on where it was.

        Raises:
            ConfigError: the file belongs to another campaign; no set-up can be built; or a
                party lacks a method.

        """
        totals, done = self._resume(state)
        if progress:
            progress(totals.operations)
        tasks = -(-self.operations // (self.length * CASES_A_TASK))
        todo = iter([task for task in range(tasks) if task not in done])
        if executor:
            self._work(executor, todo, totals, done, state, progress)
        else:
            with new_pool() as pool:
                self._work(pool, todo, totals, done, state, progress)
        return totals

    def _work(
        self,
        executor: Executor,
        todo: Any,
        totals: Totals,
        done: set[int],
        state: str | os.PathLike[str] | None,
        progress: Callable[[int], object] | None,
    ) -> None:
        running: dict[Future[Totals], int] = {}
        ahead = TASKS_AHEAD * (os.cpu_count() or 1)
        try:
            while not totals.difference:
                for task in todo:
                    running[executor.submit(run_task, self, task)] = task
                    if len(running) >= ahead:
                        break
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    found = future.result()
                    done.add(running.pop(future))
                    totals.add(found)
                    if progress:
                        progress(found.operations)
                self._save(state, totals, done)
        finally:
            for future in running:
                future.cancel()

    def _identity(self) -> dict[str, Any]:
        """Tell campaigns apart, in what a file can hold."""
        return {
            "parties": list(self.makers),
            "operations": self.operations,
            "seed": self.seed,
            "length": self.length,
            "faults": self.faults,
            "setup": dict(self.setup),
            "compare": list(self.compare),
        }

    def _resume(self, state: str | os.PathLike[str] | None) -> tuple[Totals, set[int]]:
        if state is None or not Path(state).exists():
            return Totals(), set()
        try:
            kept = json.loads(Path(state).read_text(encoding="utf-8"))
            identity, done = kept["campaign"], set(kept["done"])
            totals = Totals(**kept["totals"])
            totals.geometries = set(kept["totals"]["geometries"])
        except (ValueError, LookupError, TypeError) as error:
            raise ConfigError(
                f"{os.fspath(state)} keeps no campaign ({error}); name another file, or remove it"
            ) from None
        if identity != self._identity():
            other = [key for key, value in self._identity().items() if identity.get(key) != value]
            raise ConfigError(
                f"{os.fspath(state)} belongs to a campaign with other {', '.join(other)}; go on "
                "with the same arguments, or name another file"
            )
        return totals, done

    def _save(self, state: str | os.PathLike[str] | None, totals: Totals, done: set[int]) -> None:
        if state is None or totals.difference:
            return  # what differs is found again by going on
        figures = {**asdict(totals), "geometries": sorted(totals.geometries)}
        kept = {"campaign": self._identity(), "done": sorted(done), "totals": figures}
        path = Path(state)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(path)


def run_task(campaign: Campaign, task: int) -> Totals:
    """Run some cases of a campaign."""
    totals = Totals()
    for number in range(task * CASES_A_TASK, (task + 1) * CASES_A_TASK):
        trace = campaign.case(number)
        totals.difference, failures = run(campaign.makers, trace, campaign.compare)
        if totals.difference:
            trace = totals.difference.trace
        totals.cases += 1
        totals.operations += len(trace)
        totals.faults += len(trace.faults)
        totals.failures += failures
        totals.geometries.add(json.dumps(trace.setup, sort_keys=True))
        if totals.difference:
            break
    return totals


def new_pool(jobs: int | None = None) -> Executor:
    """Make processes that work, one for each core unless told otherwise.

    They leave Ctrl-C to the process that gives out the work.
    """
    return ProcessPoolExecutor(
        jobs or os.cpu_count(), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
