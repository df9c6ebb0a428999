# SPDX-License-Identifier: GPL-2.0-only
"""Random campaigns: many cases in lockstep, on all cores, which can be stopped and go on."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import operator
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.integers import integer
from percpu_ffi.errors import ConfigError, PercpuError, shown
from percpu_ffi.lockstep.cases import Mix, random_setup, random_trace
from percpu_ffi.lockstep.drive import ASPECTS, Maker, run, told
from percpu_ffi.model import Model
from percpu_ffi.trace.operations import checked_setup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from percpu_ffi.lockstep.difference import Difference
    from percpu_ffi.trace import Trace

__all__ = ["Campaign", "Totals"]

CASES_A_TASK = 10  # about a second of work: what an interruption may have to repeat
MOST_LENGTH = 1_000_000  # operations of a case
MOST_TRIES = 1000  # to find a set-up that goes with what is given
MOST = (1 << 63) - 1
SAVE_EVERY = 1.0  # seconds
TASKS_AHEAD = 2  # for each worker, so that none waits

FIGURES = ("cases", "operations", "faults", "failures")  # of Totals, what a file keeps


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
    """Different set-ups, each as a short hash."""
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
    mix: Mix = field(default_factory=Mix)
    """Sizes, alignments and faults that are not to be random."""
    compare: tuple[str, ...] = ASPECTS
    """What has to be the same after each operation."""

    def __post_init__(self) -> None:
        for name, most in (("operations", MOST), ("length", MOST_LENGTH), ("seed", MOST)):
            value = integer(getattr(self, name))
            if value is None or not (name != "seed") <= value <= most:
                raise ConfigError(
                    f"{name}={shown(getattr(self, name))}: an integer from "
                    f"{int(name != 'seed')} to {most} is needed"
                )
            object.__setattr__(self, name, value)
        if not 0 <= self.faults <= 1:
            raise ConfigError(f"faults={self.faults}: a share from 0 to 1 of the cases is needed")
        object.__setattr__(self, "setup", checked_setup(self.setup))

    def case(self, number: int) -> Trace:
        """Make one of the traces, which carries its set-up."""
        rng = Random(f"{self.seed}:{number}")
        faults = rng.random() < self.faults
        return random_trace(rng, self._setup(rng), self.length, faults=faults, mix=self.mix)

    def _setup(self, rng: Random) -> dict[str, Any]:
        """Choose what is not given so that it goes with what is."""
        for _ in range(MOST_TRIES):
            setup = {**random_setup(rng), **self.setup}
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
        """Run what is left of the campaign, up to the first difference.

        Whoever does the work, the same difference is the first.

        Args:
            executor: who does the work; None: a process for each core.  These import the
                script again, which has to be ready for it: ``if __name__ == "__main__":``.
            progress: called with the number of operations done since its last call.
            state: a file that keeps what is done: a campaign that was stopped, also by
                Ctrl-C, goes on where it was.

        Raises:
            ConfigError: the file belongs to another campaign; no set-up can be built; or a
                party lacks a method.
            PercpuError: a worker died, as a party may make it; says in which cases.
            OSError: the file cannot be written.

        """
        totals, done = self._resume(state)
        self._save(state, totals, done)
        if progress:
            progress(totals.operations)
        tasks = range(done, -(-self.operations // (self.length * CASES_A_TASK)))
        if executor is not None:
            self._work(executor, tasks, totals, state, progress)
        else:
            with WorkerPool() as pool:
                self._work(pool, tasks, totals, state, progress)
        return totals

    def _work(
        self,
        executor: Executor,
        tasks: range,
        totals: Totals,
        state: str | os.PathLike[str] | None,
        progress: Callable[[int], object] | None,
    ) -> None:
        """Give tasks out some steps ahead, and add up what comes back in their order."""
        ahead = TASKS_AHEAD * max(getattr(executor, "_max_workers", 1), os.cpu_count() or 1)
        running: deque[Future[Totals]] = deque()
        done, saved = tasks.start, time.monotonic()
        given_out = iter(tasks)
        try:
            while not totals.difference:
                for task in itertools.islice(given_out, ahead - len(running)):
                    running.append(executor.submit(run_task, self, task))
                if not running:
                    break
                found = self._wait(running[0], done, len(running))
                running.popleft()
                totals.add(found)
                done += 1
                if progress:
                    progress(found.operations)
                if time.monotonic() - saved > SAVE_EVERY:
                    self._save(state, totals, done)
                    saved = time.monotonic()
        finally:
            for future in running:
                future.cancel()
            self._save(state, totals, done)

    def _wait(self, future: Future[Totals], task: int, tasks: int) -> Totals:
        try:
            return future.result()
        except BrokenExecutor as error:
            first, last = task * CASES_A_TASK, (task + tasks) * CASES_A_TASK - 1
            raise PercpuError(
                f"a worker died in one of the cases {first} to {last} of seed {self.seed} "
                f"({error}); Campaign.case() makes them: run them one by one"
            ) from error

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
            "mix": json.loads(json.dumps(vars(self.mix))),
        }

    def _resume(self, state: str | os.PathLike[str] | None) -> tuple[Totals, int]:
        """Read what was kept: the totals, and how many tasks they are of."""
        if state is None or not Path(state).exists():
            return Totals(), 0
        try:
            kept = json.loads(Path(state).read_text(encoding="utf-8"))
            identity, done = dict(kept["campaign"]), operator.index(kept["done"])
            figures = {name: operator.index(kept["totals"][name]) for name in FIGURES}
            geometries = set(map(str, kept["totals"]["geometries"]))
            totals = Totals(geometries=geometries, **figures)  # type: ignore[arg-type]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{os.fspath(state)} keeps no campaign ({told(error)}); name another file, or "
                "remove it"
            ) from None
        if identity != self._identity():
            other = [key for key, value in self._identity().items() if identity.get(key) != value]
            raise ConfigError(
                f"{os.fspath(state)} belongs to a campaign with other {', '.join(other)}; go on "
                "with the same arguments, or name another file"
            )
        return totals, done

    def _save(self, state: str | os.PathLike[str] | None, totals: Totals, done: int) -> None:
        if state is None or totals.difference:
            return  # what differs is found again by going on
        figures = {name: getattr(totals, name) for name in FIGURES}
        kept = {
            "campaign": self._identity(),
            "done": done,
            "totals": {**figures, "geometries": sorted(totals.geometries)},
        }
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
        setup = json.dumps(trace.setup, sort_keys=True)
        totals.cases += 1
        totals.operations += len(trace)
        totals.faults += len(trace.faults)
        totals.failures += failures
        totals.geometries.add(hashlib.blake2b(setup.encode(), digest_size=8).hexdigest())
        if totals.difference:
            break
    return totals


class WorkerPool(ProcessPoolExecutor):
    """Processes that work, one for each core unless told otherwise.

    They leave Ctrl-C to the process that gives out the work, and end with it; when that
    stops before its time, it does not wait for them.  They are not forked from it, whose
    other threads may hold locks: what they need is imported again.
    """

    def __init__(self, jobs: int | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        super().__init__(jobs or os.cpu_count(), mp_context=context, initializer=_start_worker)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        workers = list((getattr(self, "_processes", None) or {}).values())
        self.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:
            for worker in workers:
                worker.terminate()


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
