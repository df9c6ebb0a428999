# SPDX-License-Identifier: GPL-2.0-only
"""Threads share an allocator; its lock serialises the calls."""

from __future__ import annotations

import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Kind, Make

from percpu_ffi import Allocator, ClosedError, PercpuError, Trace

THREADS = 4


def test_calls_from_many_threads(kind: Kind) -> None:
    def work(seed: int) -> None:
        for i in range(3000):
            ptr = a.alloc(4 + (i * 7 + seed) % 100, 4)
            assert ptr not in live
            live.add(ptr)
            live.remove(ptr)
            a.free(ptr)

    live: set[int] = set()
    with kind() as a, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
        assert all(len(chunk.map) <= 2 for chunk in a.state().chunks)


def test_close_while_others_work(kind: Kind) -> None:
    started = threading.Barrier(THREADS + 1)

    def work() -> str:
        started.wait()
        try:
            while True:
                a.free(a.alloc(64))
                a.state()
        except ClosedError:
            return "closed"

    a = kind()
    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work) for _ in range(THREADS)]
        started.wait()
        time.sleep(0.05)
        a.close()
        assert [future.result() for future in done] == ["closed"] * THREADS


def test_views_against_frees(kind: Kind) -> None:
    """A view that was given holds its area; a free that was let through has no view."""

    def look() -> None:
        while not stop.is_set():
            try:
                with a.view(ptrs[0], 0) as view:
                    view[0] = 1
            except PercpuError:
                pass

    def churn() -> None:
        for _ in range(3000):
            try:
                a.free(ptrs[0])
            except BufferError:
                continue
            ptrs[0] = a.alloc(4096, 4096)
        stop.set()

    stop = threading.Event()
    with kind() as a, ThreadPoolExecutor(THREADS) as pool:
        ptrs = [a.alloc(4096, 4096)]
        looking = [pool.submit(look) for _ in range(THREADS - 1)]
        pool.submit(churn).result()
        for future in looking:
            future.result()


def test_interpreter_runs_on_while_c_works() -> None:
    trace = Trace.from_ops([("alloc", i, 4, 4) for i in range(60_000)])
    ticks = 0
    with Allocator(memory="none") as a:
        worker = threading.Thread(target=a.replay, args=(trace,))
        worker.start()
        while worker.is_alive():
            ticks += 1
        worker.join()
    assert ticks > 10


def test_lock_is_free_when_a_warning_is_delivered(tiny: Make) -> None:
    def hook(*_args: object, **_kwargs: object) -> None:
        seen.append(a.counters()["warn"])

    seen: list[int] = []
    with tiny() as a, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = hook
        with pytest.raises(PercpuError):
            a.alloc(0)
    assert seen == [1]
