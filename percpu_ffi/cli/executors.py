# SPDX-License-Identifier: GPL-2.0-only
"""Options that choose where tasks run: ``--jobs``, ``--executor`` and ``--dask``."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from percpu_ffi.cli.objects import import_call
from percpu_ffi.errors import ConfigError
from percpu_ffi.executors import Executor, Renewed, WorkerPool

MOST_JOBS = 256
# bytes of text; in less time than it takes to read these, processes do not start
LEAST_TEXT = 32 << 20
PLAIN = (".txt", ".ftrace", ".perf", ".log", "")  # suffixes of text
COMPRESSION = 32  # bytes of text in a byte of another file
EXAMPLE = "mypackage.cluster:make_executor"


def add_executor(parser: argparse._ActionsContainer) -> None:
    """Add the options, for :func:`chosen_executor`."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--jobs", type=int, metavar="N", help="processes (one for each core)")
    choice.add_argument(
        "--executor", metavar="MODULE:CALL",
        help="run on the executor that this function returns, as in concurrent.futures",
    )  # fmt: skip
    choice.add_argument(
        "--dask", metavar="ADDRESS",
        help="run on the workers of a dask scheduler, such as tcp://host:8786; needs the extra "
        "'cluster' (dask)",
    )  # fmt: skip


@contextmanager
def chosen_executor(args: argparse.Namespace) -> Iterator[Executor]:
    """Open the chosen executor; end it at the end.

    Raises:
        ConfigError: an option is wrong.

    """
    if args.dask is not None:
        from percpu_ffi.executors.dask_cluster import dask_cluster  # noqa: PLC0415 - an extra

        with dask_cluster(args.dask) as cluster:
            yield cluster
    elif args.executor is not None:
        make = import_call("--executor", args.executor, EXAMPLE)
        with Renewed(make, f"--executor {args.executor}") as renewed:
            yield renewed
    else:
        _check_jobs(args.jobs)
        with WorkerPool(args.jobs) as pool:
            yield pool


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise ConfigError(f"--jobs {jobs}: from 1 to {MOST_JOBS} processes")


def is_worthwhile(args: argparse.Namespace, tasks: int, long: bool, *objects: object) -> bool:
    """Return whether tasks are to run on the chosen executor, not in this process.

    That is so if one is named.  Local processes are used for several tasks that take long in all,
    unless ``objects`` cannot be sent to them.

    Raises:
        ConfigError: ``--jobs`` is out of range.

    """
    _check_jobs(args.jobs)
    if args.executor is not None or args.dask is not None:
        return True
    if tasks == 1 or not long or (args.jobs or os.cpu_count()) == 1:
        return False
    try:
        pickle.dumps(objects)
    except Exception:  # of any type: objects pickle themselves
        return False
    return True


def is_long(paths: list[str]) -> bool:
    """Return whether the traces take longer than processes take to start."""
    return text_of(paths) >= LEAST_TEXT


def text_of(paths: list[str]) -> int:
    """Return about how many bytes of text the traces have; 0 for what is no file."""
    text = 0
    for path in map(Path, paths):
        with suppress(OSError):  # which reading will show
            text += path.stat().st_size * (1 if path.suffix in PLAIN else COMPRESSION)
    return text
