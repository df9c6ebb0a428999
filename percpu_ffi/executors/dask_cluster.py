# SPDX-License-Identifier: GPL-2.0-only
"""A cluster of dask as an executor: the extra ``cluster``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.optional import missing_extra
from percpu_ffi.errors import ConfigError, PercpuError, shown
from percpu_ffi.executors.installed import differs, installed
from percpu_ffi.executors.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_ffi.executors.protocol import Future

TIMEOUT = 3  # seconds to reach the scheduler in
MARGIN = 0.5  # seconds after which an answer is overdue
ADDRESS = "tcp://host:8786"


@contextmanager
def dask_cluster(address: str) -> Iterator[DaskCluster]:
    """Connect to a scheduler; disconnect at the end, and so cancel what it has not begun.

    Raises:
        ConfigError: dask is not installed; the scheduler cannot be reached, or has no workers; or
            other versions are installed on a worker.

    """
    if extra := missing_extra("distributed"):
        raise ConfigError(
            f"a cluster needs dask, the extra '{extra}': pip install 'percpu_ffi[{extra}]'"
        )
    from distributed import Client  # noqa: PLC0415 - an extra

    with _without_logs():
        _check_scheduler(address)
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
        try:
            _check_workers(client, address)
            yield DaskCluster(client, address)
        finally:
            with suppress(TimeoutError):  # the scheduler is lost
                client.close(timeout=MARGIN)


class DaskCluster:
    """The workers of a scheduler as an executor."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._executor = client.get_executor(pure=False)  # a call may be made again
        self._sent: tuple[str, Any] = ("", None)  # the latest shared object: its key, its future

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future:
        """Make a call on a worker; a shared object is sent once to each."""
        self.check()
        return _Future(self, self._executor.submit(fn, *map(self._argument, args)))

    def nthreads(self) -> dict[str, int]:
        """Return the number of threads of each worker, at present."""
        self.check()
        threads: dict[str, int] = self._client.nthreads()
        return threads

    def check(self) -> None:
        """Check that the scheduler is there.

        Raises:
            PercpuError: the connection is lost; dask itself would wait much longer.

        """
        if self._client.status != "running":
            raise PercpuError(
                f"the connection to the dask scheduler at {self._address} is lost; start it again, "
                "then run the command again"
            )

    def _argument(self, value: Any) -> Any:
        if not isinstance(value, Shared):
            return value
        if self._sent[0] != value.key:
            self._sent = value.key, self._client.scatter(value, broadcast=True, hash=False)
        return self._sent[1]


class _Future:
    """The result of a call, as long as the scheduler is there."""

    def __init__(self, cluster: DaskCluster, future: Future) -> None:
        self._cluster, self._future = cluster, future
        self.done, self.cancel = future.done, future.cancel

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result, at most ``timeout`` seconds, and return it."""
        if not self.done():
            self._cluster.check()
        return self._future.result(timeout)


@contextmanager
def _without_logs() -> Iterator[None]:
    """Let dask and its event loop log nothing: with tracebacks, what becomes an error here."""
    theirs = ("distributed", "tornado")
    names = [name for name in logging.root.manager.loggerDict if name.startswith(theirs)]
    levels = [(log, log.level) for log in map(logging.getLogger, names)]
    for log, _ in levels:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in levels:
            log.setLevel(level)


def _check_scheduler(address: str) -> None:
    """Check that a scheduler answers; a client would wait forever for another service.

    Raises:
        ConfigError: there is none.

    """
    from distributed import Security  # noqa: PLC0415 - an extra
    from distributed.core import rpc  # noqa: PLC0415

    async def ask() -> None:
        security = Security().get_connection_args("client")
        async with rpc(address, connection_args=security, timeout=TIMEOUT) as scheduler:
            await scheduler.identity()

    try:
        asyncio.run(asyncio.wait_for(ask(), TIMEOUT + MARGIN))
    except Exception as error:  # of any type: that of the protocol, or of what it made of an answer
        reason = str(error) or f"no answer within {TIMEOUT} s"
        raise ConfigError(
            f"no dask scheduler at {shown(address)} ({reason}); start `dask scheduler`, and give "
            f"the address that it prints, such as {ADDRESS}"
        ) from None


def _check_workers(client: Any, address: str) -> None:
    """Check that there are workers, with the same versions as here.

    Raises:
        ConfigError: there are none, or one has others.

    """

    def found() -> str:
        """Run on a worker; dask sends a nested function as code."""
        try:
            from percpu_ffi.executors.installed import installed as there  # noqa: PLC0415
        except ImportError as error:
            return f"no such package ({error})"
        return there()

    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
    except TimeoutError:
        raise ConfigError(
            f"the dask scheduler at {address} has no workers; start some: dask worker {address}"
        ) from None
    expected = installed()
    for worker, answer in sorted(client.run(found).items()):
        if answer != expected:
            raise differs(f"the worker {worker}", answer, expected)
