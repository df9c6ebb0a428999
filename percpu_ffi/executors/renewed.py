# SPDX-License-Identifier: GPL-2.0-only
"""An executor that is made again after a lost worker has broken it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any

from percpu_ffi.errors import ConfigError, describe_error, shown
from percpu_ffi.executors.protocol import Executor, Future, is_executor


class Renewed:
    """An executor from a function; after ``BrokenExecutor`` it is made again.

    Pools of ``concurrent.futures`` and loky take no calls once they have lost a worker.  The end of
    a ``with`` block ends the executor, without waiting for calls.

    Raises:
        ConfigError: the function fails, or returns no executor.

    """

    def __init__(self, make: Callable[[], Any], name: str = "executor") -> None:
        self._make, self._name = make, name
        self._executor = self._made()

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future:
        """Make a call when a worker is free."""
        try:
            return self._executor.submit(fn, *args)
        except BrokenExecutor:
            self._end()
            self._executor = self._made()
            return self._executor.submit(fn, *args)

    def __enter__(self) -> Renewed:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __getattr__(self, name: str) -> Any:
        """Return another attribute of the executor, such as its number of workers."""
        return getattr(self._executor, name)

    def _end(self) -> None:
        end = getattr(self._executor, "shutdown", None)
        if end:
            end(wait=False)

    def _made(self) -> Executor:
        try:
            made = self._make()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{self._name} cannot be called: {describe_error(error)}") from None
        if not is_executor(made):
            raise ConfigError(
                f"{self._name} returned {shown(made)}: an object with submit(), as in "
                "concurrent.futures, is needed"
            )
        executor: Executor = made
        return executor
