# SPDX-License-Identifier: GPL-2.0-only
"""Worker processes that end with the process that started them.

The pool has no threads: :meth:`Future.result` waits for the workers itself.  So Ctrl-C stops it
at any moment, and no thread is left that could fail afterwards.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from percpu_ffi.errors import ConfigError, describe_error
from percpu_ffi.executors.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkContext, ForkServerContext
    from multiprocessing.process import BaseProcess

MOST_EARLY = 8  # workers; each takes one or two milliseconds, and there may be fewer calls


class WorkerPool(Executor):
    """A pool of processes, one for each core by default; one that dies ends all calls.

    Ctrl-C is for the process that started them; the workers never receive it.  The end of a
    ``with`` block ends them, whatever they do.  Without :meth:`prepare` they are not forked from
    that process, since its threads may hold locks: they import what they need.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._max_workers = jobs or os.cpu_count() or 1
        self._workers: dict[Connection, BaseProcess] = {}
        self._running: dict[Connection, Future[Any]] = {}
        self._waiting: deque[tuple[Future[Any], bytes]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in one of the processes, when one is free."""
        call, shared = _pickled(fn, args, kwargs)
        future = _Future(self, shared)
        self._waiting.append((future, call))
        self._start_calls()
        return future

    def prepare(self) -> None:
        """Start up to ``MOST_EARLY`` workers now, if this process has one thread.

        They are forked from it, and so have what it has imported.  The lock of another thread would
        stay locked in them: then they start with the calls, as without this method.
        """
        if len(os.listdir("/proc/self/task")) == 1:
            while len(self._workers) < min(self._max_workers, MOST_EARLY):
                self._start_worker(fork=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; calls that have no result yet get none."""
        self._end("the pool was shut down")

    def wait_for_results(self, timeout: float | None = None) -> None:
        """Wait until a worker has finished a call or died, at most ``timeout`` seconds."""
        for link in wait([*self._running], timeout):
            assert isinstance(link, Connection)
            try:
                result, error, origin = pickle.loads(link.recv_bytes())
            except (EOFError, OSError):
                worker = self._workers[link]
                worker.join()
                self._end(f"process {worker.pid} ended with status {worker.exitcode}")
                return
            future = self._running.pop(link)
            if error is None:
                future.set_result(result)
            else:
                error.__cause__ = RuntimeError(f"\n{origin}")  # as concurrent.futures does
                future.set_exception(error)
        self._start_calls()

    def _start_calls(self) -> None:
        """Send waiting calls to free workers; start workers while there are too few."""
        while self._waiting and len(self._running) < self._max_workers:
            future, call = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                free = self._workers.keys() - self._running.keys()
                link = free.pop() if free else self._start_worker()
                self._running[link] = future
                with suppress(OSError):  # it has died: wait_for_results() finds out
                    link.send_bytes(call)

    def _start_worker(self, *, fork: bool = False) -> Connection:
        context: ForkContext | ForkServerContext
        if fork:
            context = multiprocessing.get_context("fork")
        else:
            context = multiprocessing.get_context("forkserver")
            resource_tracker.ensure_running()  # unblocks the signal
        with _interrupts_blocked():  # inherited by the server, and by all that it forks
            link, far_end = context.Pipe()
            inherited = [link, *self._workers] if fork else []
            worker = context.Process(target=_work, args=(far_end, *inherited))
            worker.start()
            far_end.close()
            self._workers[link] = worker
        return link

    def _end(self, why: str) -> None:
        """End all workers, and all calls with an error; later calls get new workers."""
        for worker in self._workers.values():
            worker.kill()
        for worker in self._workers.values():
            worker.join()
        for future in (*self._running.values(), *(future for future, _ in self._waiting)):
            if not future.done():
                future.set_exception(BrokenExecutor(why))
        for each in (self._workers, self._running, self._waiting):
            each.clear()


class _Future(Future[Any]):
    """The result of a call, which its pool waits for in this thread."""

    def __init__(self, pool: WorkerPool, shared: list[Shared[Any]]) -> None:
        super().__init__()
        self._pool = pool
        self._shared = shared  # their files last as long as they do

    def result(self, timeout: float | None = None) -> Any:
        """Return the result.

        Raises:
            TimeoutError: there is none within ``timeout`` seconds.

        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done() and (end is None or time.monotonic() < end):
            self._pool.wait_for_results(None if end is None else max(end - time.monotonic(), 0))
        return super().result(0)


def _pickled(*call: Any) -> tuple[bytes, list[Shared[Any]]]:
    """Return a call as bytes, with the files of the shared objects that it takes, and these.

    Raises:
        ConfigError: it cannot be pickled.

    """
    text = io.BytesIO()
    pickler = _Pickler(text)
    try:
        pickler.dump(call)
    except OSError:
        raise
    except Exception as error:  # of any type: objects pickle themselves
        raise ConfigError(
            f"a call cannot be sent to another process ({describe_error(error)}); use functions "
            "and classes that a module has by their names"
        ) from error
    return text.getvalue(), pickler.shared


class _Pickler(pickle.Pickler):
    """Puts the files of shared objects in their place, and collects these."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.shared: list[Shared[Any]] = []

    def persistent_id(self, item: object) -> tuple[str, str] | None:
        """Return the file and the key of a shared object."""
        if not isinstance(item, Shared):
            return None
        self.shared.append(item)
        return item.path, item.key


class _Unpickler(pickle.Unpickler):
    """Reads shared objects; the latest one is kept for other calls."""

    def __init__(self, kept: dict[str, Shared[Any]], text: bytes) -> None:
        super().__init__(io.BytesIO(text))
        self._kept = kept

    def persistent_load(self, place: tuple[str, str]) -> Shared[Any]:
        """Return a shared object."""
        path, key = place
        if key not in self._kept:
            self._kept.clear()
            self._kept[key] = Shared.read(path, key)
        return self._kept[key]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let Ctrl-C wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(link: Connection, *inherited: Connection) -> None:
    """Run calls in a worker, one after the other.

    Args:
        link: to the parent.
        inherited: the parent's ends of this link and of others, open in a fork, too.

    """
    for end in inherited:
        end.close()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    kept: dict[str, Shared[Any]] = {}
    with suppress(EOFError, OSError):  # the parent has gone
        while True:
            link.send_bytes(_answer(link.recv_bytes(), kept))


def _answer(call: bytes, kept: dict[str, Shared[Any]]) -> bytes:
    """Run a call and return its result, or its error and where that was raised."""
    try:
        function, args, kwargs = _Unpickler(kept, call).load()
        return pickle.dumps((function(*args, **kwargs), None, ""))
    except BaseException as error:
        return pickle.dumps((None, error, traceback.format_exc()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
