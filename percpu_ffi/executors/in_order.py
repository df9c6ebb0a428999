# SPDX-License-Identifier: GPL-2.0-only
"""Run tasks on an executor, as many as it has workers, and yield their results in order.

    yielded | first  | done | running | done | running | running | not submitted yet
            |        |<------------ pending ------------------->|

The first pending task is waited for.  Meanwhile finished ones are replaced by new ones, so that a
slow task does not leave workers idle.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

from percpu_ffi.errors import PercpuError
from percpu_ffi.executors.installed import call_if_same, installed
from percpu_ffi.executors.protocol import LOST, Executor, Future, killed_worker, workers_of

T = TypeVar("T")

TRIES = 3  # of a task whose worker is lost
SPARE = 0.25  # tasks that wait in the executor, for each worker
LEAST_SPARE = 2
KEPT = 8  # pending tasks, for each that runs
POLL = 0.02  # seconds after which finished tasks are replaced
ASK_AGAIN = 5.0  # seconds; workers may join and leave


class Task(NamedTuple):
    """What an error message says about a task."""

    what: str
    """Its name."""
    alone: str
    """How to run it alone."""


def run_in_order(
    executor: Executor,
    function: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    task: Callable[[int], Task],
) -> Generator[T]:
    """Call a function with each tuple of arguments; yield the results in the same order.

    If the generator is closed, or Ctrl-C comes, tasks that have not begun are cancelled.

    Args:
        executor: makes the calls.
        function: picklable, as are its arguments, where the executor is in other processes.
        arguments: of each call.
        task: describes the call with a number, from 0.

    Raises:
        PercpuError: the worker of a call was lost ``TRIES`` times.
        ConfigError: a worker has another version of this package.
        Exception: what the first call that failed raised.

    """
    tasks = _Tasks(executor, function, arguments, task)
    try:
        while tasks.fill():
            yield tasks.take()
    finally:
        tasks.cancel()


@dataclass
class _Pending:
    args: tuple[Any, ...]
    """Of the function."""
    future: Future
    """Its result."""


class _Tasks(Generic[T]):
    def __init__(
        self,
        executor: Executor,
        function: Callable[..., T],
        arguments: Iterable[tuple[Any, ...]],
        task: Callable[[int], Task],
    ) -> None:
        self._executor, self._function, self._task = executor, function, task
        self._arguments = iter(arguments)
        self._taken = 0
        self._pending: deque[_Pending] = deque()
        self._running: list[Future] = []
        self._limit, self._asked = 0, float("-inf")

    def fill(self) -> bool:
        """Submit tasks while too few run; return whether any is pending."""
        self._running = [future for future in self._running if not future.done()]
        limit = self._most_running()
        while len(self._running) < limit and len(self._pending) < KEPT * limit:
            args = next(self._arguments, None)
            if args is None:
                break
            pending = _Pending(args, self._submit(args))
            self._pending.append(pending)
            self._running.append(pending.future)
        return bool(self._pending)

    def take(self) -> T:
        """Return the first result, and remove its task."""
        first = self._pending[0]
        for tries in count(1):
            try:
                result = self._wait(first.future, alone=tries > 1)
            except Exception as error:
                killed = killed_worker(error)
                if not killed and not isinstance(error, LOST):
                    raise
                if killed or tries == TRIES:
                    raise _lost(self._task(self._taken), error, tries) from error
                # alone: if a worker is lost again, it is this task's
                first.future = self._submit(first.args)
            else:
                break
        self._pending.popleft()
        self._taken += 1
        return result

    def cancel(self) -> None:
        """Cancel what has not begun."""
        for pending in self._pending:
            pending.future.cancel()

    def _wait(self, future: Future, *, alone: bool) -> T:
        """Return a result; unless it is to run alone, submit other tasks meanwhile."""
        while True:
            try:
                result: T = future.result(POLL)
            except TimeoutError:
                if not future.done():
                    if not alone:
                        self.fill()
                    continue
                result = future.result()  # the function may raise such an error, too
            return result

    def _submit(self, args: tuple[Any, ...]) -> Future:
        try:
            return self._executor.submit(call_if_same, installed(), self._function, *args)
        except BrokenExecutor as error:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def _most_running(self) -> int:
        """Return how many tasks keep all workers busy."""
        now = time.monotonic()
        if now > self._asked + ASK_AGAIN:
            workers = workers_of(self._executor)
            self._limit = workers + max(LEAST_SPARE, int(workers * SPARE))
            self._asked = now
        return self._limit


def _lost(task: Task, error: Exception, tries: int) -> PercpuError:
    reason = str(error).partition(". ")[0] or type(error).__name__
    times = "" if tries == 1 else f" {tries} times"
    return PercpuError(f"a worker was lost{times} in {task.what} ({reason}); {task.alone}")
