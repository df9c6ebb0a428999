# SPDX-License-Identifier: GPL-2.0-only
"""The processes that run the cases of a campaign."""

from __future__ import annotations

import gc
import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from percpu_ffi import Allocator, Model, PercpuError
from percpu_ffi.executors import WorkerPool
from percpu_ffi.lockstep import Campaign


def dies(**_setup: object) -> None:
    os._exit(3)


def processes(pool: WorkerPool) -> list[int | None]:
    return [worker.pid for worker in pool._workers.values()]


def test_results_are_those_of_the_calls_whatever_their_order() -> None:
    with WorkerPool(2) as pool:
        futures = [pool.submit(operator.mul, i, i) for i in range(20)]
        assert [future.result() for future in reversed(futures)] == [i * i for i in range(20)][::-1]
        assert len(processes(pool)) == 2
        with pytest.raises(ValueError, match="invalid literal") as caught:
            pool.submit(int, "x").result()
        assert "worker_pool.py" in str(caught.value.__cause__)
        assert pool.submit(int, "ff", base=16).result() == 255  # it goes on


def test_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert WorkerPool()._max_workers == expected
        assert WorkerPool(3)._max_workers == 3


def test_processes_are_not_forked_from_this_one_and_never_receive_an_interrupt() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with WorkerPool(1) as pool:
        assert pool.submit(os.getppid).result() != os.getpid()
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_prepared_processes_are_forked_while_there_is_one_thread() -> None:
    """They are there before the first call, and no end of a link is left in another one."""
    program = """
import os, signal, threading, time
from percpu_ffi.executors import WorkerPool

def blocked():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

with WorkerPool(2) as pool:
    pool.prepare()
    before = [*pool._workers.values()]
    print(len(before), [pool.submit(os.getppid).result() == os.getpid() for _ in before])
    print(pool.submit(blocked).result(), blocked(), [*pool._workers.values()] == before)
pool = WorkerPool(2)
pool.prepare()
workers = [*pool._workers.values()]
del pool
for worker in workers:
    worker.join(10)
print([worker.exitcode for worker in workers])
with WorkerPool(10) as pool:
    pool.prepare()
    print(len(pool._workers))
threading.Thread(target=time.sleep, args=(0.1,)).start()
with WorkerPool(2) as pool:
    pool.prepare()
    print(len(pool._workers))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.decode().splitlines() == [
        "2 [True, True]",
        "True False True",
        "[0, 0]",
        "8",
        "0",
    ]


def test_processes_of_a_pool_that_is_dropped_end(capfd: pytest.CaptureFixture[str]) -> None:
    """Also while they run a call."""
    for call in ((abs, -1), (time.sleep, 0.1)):
        pool = WorkerPool(1)
        assert pool.submit(abs, -1).result() == 1
        (worker,) = pool._workers.values()
        pool.submit(*call)
        del pool
        gc.collect()
        worker.join(10)
        assert worker.exitcode == 0
    assert capfd.readouterr().err == ""


def test_cancelled_call_is_not_made(tmp_path: Path) -> None:
    with WorkerPool(1) as pool:
        first = pool.submit(time.sleep, 0.05)
        cancelled = pool.submit(os.mkdir, tmp_path / "made")
        assert cancelled.cancel()
        assert first.result() is None
        assert pool.submit(abs, -1).result() == 1
    assert not (tmp_path / "made").exists()


def test_dead_worker_ends_all_calls() -> None:
    with WorkerPool(1) as pool:
        dying, waiting = pool.submit(os._exit, 3), pool.submit(abs, -1)
        for future in (dying, waiting):
            with pytest.raises(BrokenExecutor, match=r"process \d+ ended with status 3"):
                future.result()


def test_pool_goes_on_with_new_workers_after_one_has_died() -> None:
    """The result of an earlier call was taken for that of the next one."""
    with WorkerPool(2) as pool:
        slow, dying = pool.submit(time.sleep, 5), pool.submit(os._exit, 3)
        waiting = pool.submit(abs, -2)
        old = processes(pool)
        for future in (dying, slow, waiting):
            with pytest.raises(BrokenExecutor, match="ended with status 3"):
                future.result()
        assert not any(Path("/proc", str(process)).exists() for process in old)
        futures = [pool.submit(operator.mul, i, i) for i in range(5)]
        assert [future.result() for future in futures] == [0, 1, 4, 9, 16]
        assert len(processes(pool)) == 2
    assert processes(pool) == []


def test_dead_worker_is_reported_with_the_cases() -> None:
    campaign = Campaign({"port": Allocator, "dies": dies}, operations=10, length=10)
    with (
        WorkerPool(1) as pool,
        pytest.raises(
            PercpuError,
            match=r"a worker was lost 3 times in the cases 0 to 9 of seed 0 \(process \d+ ended",
        ),
    ):
        campaign.run(pool)


def test_end_of_the_block_ends_a_call_that_hangs() -> None:
    with WorkerPool(1) as pool:
        hanging = pool.submit(time.sleep, 1000)
        assert pool.submit(abs, -1)
        (process,) = processes(pool)
    assert not Path("/proc", str(process)).exists()
    with pytest.raises(BrokenExecutor, match="shut down"):
        hanging.result()


def test_campaign_takes_any_executor() -> None:
    with WorkerPool(2) as pool:
        totals = Campaign({"port": Allocator, "model": Model}, operations=40, length=2).run(pool)
    assert (totals.operations, totals.difference) == (40, None)
