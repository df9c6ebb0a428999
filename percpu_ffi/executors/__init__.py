# SPDX-License-Identifier: GPL-2.0-only
"""Work on several cores or machines: campaigns, ``compare`` and ``sizes`` run on an executor.

An executor is an object with ``submit(function, *args)``, which returns a future, as in
``concurrent.futures``: a :class:`WorkerPool` of local processes, ``Client.get_executor()`` of dask,
``mpi4py.futures``, loky.  Only :func:`run_in_order` uses one.
"""

from percpu_ffi.executors.in_order import Task, run_in_order
from percpu_ffi.executors.protocol import Executor, Future, check_executor
from percpu_ffi.executors.renewed import Renewed
from percpu_ffi.executors.shared import Shared
from percpu_ffi.executors.worker_pool import WorkerPool

__all__ = [
    "Executor",
    "Future",
    "Renewed",
    "Shared",
    "Task",
    "WorkerPool",
    "check_executor",
    "run_in_order",
]
