# SPDX-License-Identifier: GPL-2.0-only
"""Worker processes that end with the process that started them.

The pool has no threads: :meth:`Future.result` waits for the workers itself.  So Ctrl-C stops it
at any moment, and no thread is left that could fail afterwards.
"""

from __future__ import annotations

import importlib
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
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi.errors import ConfigError, describe_error
from percpu_ffi.executors.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess


class WorkerPool(Executor):
    """A pool of processes, one for each core by default; one that dies ends all calls.

    Ctrl-C is for the process that started them; the workers never receive it.  The end of a
    ``with`` block ends them, whatever they do.  They are not forked from that process, since its
    threads may hold locks: they import what they need.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._max_workers = jobs or os.cpu_count() or 1
        self._workers: dict[Connection, BaseProcess] = {}
        self._running: dict[Connection, Future[Any]] = {}
        self._waiting: deque[tuple[Future[Any], _Call]] = deque()
        self._kept: dict[Connection, set[str]] = {}
        """Keys of the shared objects that a worker has."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in one of the processes, when one is free."""
        future = _Future(self)
        self._waiting.append((future, _Call.of(fn, args, kwargs)))
        self._start_calls()
        return future

    def prepare(self, module: str) -> None:
        """Start all workers, and let them import a module, while this process does other work."""
        for _ in range(self._max_workers):
            self.submit(_import, module)

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
                    self._send(link, call)

    def _send(self, link: Connection, call: _Call) -> None:
        """Send a call, and the shared objects that its worker does not have."""
        shared: dict[str, bytes] = {}
        if not call.shared.keys() <= self._kept[link]:
            self._kept[link] = set(call.shared)
            shared = {key: each.pickled for key, each in call.shared.items()}
        link.send_bytes(pickle.dumps((shared, call.pickled), pickle.HIGHEST_PROTOCOL))

    def _start_worker(self) -> Connection:
        context = multiprocessing.get_context("forkserver")
        resource_tracker.ensure_running()  # unblocks the signal
        with _interrupts_blocked():  # inherited by the server, and by all that it forks
            link, far_end = context.Pipe()
            worker = context.Process(target=_work, args=(far_end,))
            worker.start()
            far_end.close()
            self._workers[link] = worker
            self._kept[link] = set()
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
        for each in (self._workers, self._running, self._waiting, self._kept):
            each.clear()


class _Future(Future[Any]):
    """The result of a call, which its pool waits for in this thread."""

    def __init__(self, pool: WorkerPool) -> None:
        super().__init__()
        self._pool = pool

    def result(self, timeout: float | None = None) -> Any:
        """Return the result.

        Raises:
            TimeoutError: there is none within ``timeout`` seconds.

        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done() and (end is None or time.monotonic() < end):
            self._pool.wait_for_results(None if end is None else max(end - time.monotonic(), 0))
        return super().result(0)


class _Call(NamedTuple):
    """A call as bytes, except for the shared objects that it takes."""

    pickled: bytes
    shared: dict[str, Shared[Any]]

    @classmethod
    def of(cls, *call: Any) -> _Call:
        """Pickle a call.

        Raises:
            ConfigError: that is not possible.

        """
        text = io.BytesIO()
        pickler = _Pickler(text)
        try:
            pickler.dump(call)
        except Exception as error:  # of any type: objects pickle themselves
            raise ConfigError(
                f"a call cannot be sent to another process ({describe_error(error)}); use "
                "functions and classes that a module has by their names"
            ) from error
        return cls(text.getvalue(), pickler.shared)


class _Pickler(pickle.Pickler):
    """Puts the keys of shared objects in their place, and collects these."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.shared: dict[str, Shared[Any]] = {}

    def persistent_id(self, item: object) -> str | None:
        """Return the key of a shared object."""
        if not isinstance(item, Shared):
            return None
        self.shared[item.key] = item
        return item.key


class _Unpickler(pickle.Unpickler):
    """Finds shared objects by their keys."""

    def __init__(self, text: bytes, shared: dict[str, Shared[Any]]) -> None:
        super().__init__(io.BytesIO(text))
        self._shared = shared

    def persistent_load(self, key: str) -> Shared[Any]:
        """Return a shared object."""
        return self._shared[key]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let Ctrl-C wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import(module: str) -> None:
    importlib.import_module(module)


def _work(link: Connection) -> None:
    """Run calls in a worker, one after the other."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    kept: dict[str, Shared[Any]] = {}
    with suppress(EOFError, OSError):  # the parent has gone
        while True:
            shared, call = pickle.loads(link.recv_bytes())
            link.send_bytes(_answer(shared, call, kept))


def _answer(shared: dict[str, bytes], call: bytes, kept: dict[str, Shared[Any]]) -> bytes:
    """Run a call and return its result, or its error and where that was raised."""
    try:
        if shared:
            kept.clear()
            kept.update({key: Shared(pickle.loads(each), key) for key, each in shared.items()})
        function, args, kwargs = _Unpickler(call, kept).load()
        return pickle.dumps((function(*args, **kwargs), None, ""))
    except BaseException as error:
        return pickle.dumps((None, error, traceback.format_exc()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
