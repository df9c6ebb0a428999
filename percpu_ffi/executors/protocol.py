# SPDX-License-Identifier: GPL-2.0-only
"""What an executor is: the part of ``concurrent.futures`` that is used, and its number of workers.

Executors of other libraries have these methods, whatever their base class.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from typing import Any, Protocol

from percpu_ffi.errors import wrong_type

WORKERS = 64  # where an executor does not say how many it has
LOST = (BrokenExecutor, CancelledError)  # by others than us: its worker or its scheduler is gone


class Future(Protocol):
    """The result of a call, once it is known."""

    def result(self, timeout: float | None = None, /) -> Any:
        """Wait for the result, at most ``timeout`` seconds, and return it."""

    def done(self) -> bool:
        """Return whether the call has ended."""

    def cancel(self) -> object:
        """Do not make the call, if it has not begun."""


class Executor(Protocol):
    """Makes calls, elsewhere and several at a time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future:
        """Make a call when a worker is free."""


def is_executor(value: Any) -> bool:
    """Return whether a value is an executor; a class of executors is none."""
    return callable(getattr(value, "submit", None)) and not isinstance(value, type)


def check_executor(executor: Any) -> None:
    """Check an argument.

    Raises:
        ConfigError: it is neither an executor nor None.

    """
    if executor is not None and not is_executor(executor):
        raise wrong_type("executor", executor, "an object with submit(), as in concurrent.futures,")


def workers_of(executor: Any) -> int:
    """Return how many calls an executor makes at a time, at present; ``WORKERS`` if unknown."""
    for name in ("_max_workers", "num_workers"):  # of concurrent.futures and loky, of mpi4py
        count = getattr(executor, name, None)
        if isinstance(count, int):
            return max(count, 1)
    for client in (executor, getattr(executor, "_client", None)):  # of dask
        ask = getattr(client, "nthreads", None)
        if callable(ask):
            threads: dict[str, int] = ask()
            return max(sum(threads.values()), 1)
    return WORKERS


def killed_worker(error: BaseException) -> bool:
    """Return whether dask has given up a call, since several workers were lost with it."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)
