# SPDX-License-Identifier: GPL-2.0-only
"""Options that choose where tasks run: ``--jobs``, ``--executor`` and ``--dask``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from percpu_ffi.cli.objects import import_call
from percpu_ffi.errors import ConfigError
from percpu_ffi.executors import Executor, Renewed, WorkerPool

MOST_JOBS = 256
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
        if args.jobs is not None and not 1 <= args.jobs <= MOST_JOBS:
            raise ConfigError(f"--jobs {args.jobs}: from 1 to {MOST_JOBS} processes")
        with WorkerPool(args.jobs) as pool:
            yield pool
