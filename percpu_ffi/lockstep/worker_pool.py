# SPDX-License-Identifier: GPL-2.0-only
"""Worker processes that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any


class WorkerPool(ProcessPoolExecutor):
    """A pool of processes, one for each core by default.

    The workers ignore Ctrl-C, which is for the process that started them, and end with it; an
    exception there does not wait for them.  They are not forked from it, since its other
    threads may hold locks: they import what they need.
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
