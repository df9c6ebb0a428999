# SPDX-License-Identifier: GPL-2.0-only
"""Tasks on any executor: as many run as it has workers, lost ones again, results in order."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import FORK, NETNS, OnePage

from percpu_ffi import ConfigError, PercpuError, PolicyError, Trace
from percpu_ffi.analysis.geometries import compare, outcomes
from percpu_ffi.cli import executors as options
from percpu_ffi.cli import main
from percpu_ffi.executors import Renewed, Shared, Task, WorkerPool, in_order, run_in_order
from percpu_ffi.executors.installed import call_if_same, installed
from percpu_ffi.executors.protocol import workers_of

SOON = 10  # seconds, in which everything here happens


def task(number: int) -> Task:
    return Task(f"task {number}", "run it alone")


def results(executor: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    return list(run_in_order(executor, function, ((each,) for each in arguments), task))


class Scripted:
    """Makes no call: its futures come from a function of the number of each submission."""

    def __init__(self, future: Callable[[int, Any], Any], workers: int = 2) -> None:
        self._future, self._max_workers = future, workers
        self.submitted: list[Any] = []

    def submit(self, _check: Any, _installed: str, _function: Any, argument: Any) -> Any:
        self.submitted.append(argument)
        return self._future(len(self.submitted), argument)


def ended(result: Any = None, error: BaseException | None = None) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error) if error else future.set_result(result)
    return future


# --- which tasks run


def test_results_are_in_the_order_of_the_tasks() -> None:
    """The first one takes longest."""

    def run(number: int) -> int:
        time.sleep((5 - number) / 100)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert results(pool, run, *range(6)) == [*range(6)]


def test_all_of_32_workers_are_busy() -> None:
    """Four were, on a machine with two cores: each task here waits until 32 run at a time."""
    barrier = threading.Barrier(32)
    with ThreadPoolExecutor(32) as pool:
        assert results(pool, lambda n: barrier.wait(SOON) * 0 + n, *range(64)) == [*range(64)]


def test_slow_task_does_not_leave_workers_idle() -> None:
    """The first task ends after 20 others, although only two run at a time."""
    others = threading.Semaphore(0)

    def run(number: int) -> int:
        if number == 0:
            for _ in range(20):
                assert others.acquire(timeout=SOON)
        others.release()
        return number

    with ThreadPoolExecutor(2) as pool:
        assert results(pool, run, *range(30)) == [*range(30)]


def test_results_that_wait_are_limited() -> None:
    """While the first task runs, others end: 8 for each that may run, which are 2 + 2."""

    class First(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            if self.done():
                return super().result()
            seen.append(len(scripted.submitted))
            if len(seen) == 20:
                self.set_result(0)
            raise TimeoutError

    seen: list[int] = []
    scripted = Scripted(lambda number, each: First() if number == 1 else ended(each))
    assert results(scripted, abs, *range(100)) == [*range(100)]
    assert seen[0] < seen[-2] == seen[-1] == 8 * (2 + 2)


def test_workers_that_join_get_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order, "ASK_AGAIN", -1.0)
    third: Future[Any] = Future()
    scripted = Scripted(lambda number, each: {3: third}.get(number) or ended(each), workers=1)
    tasks = run_in_order(scripted, abs, ((n,) for n in range(100)), task)
    assert [next(tasks), next(tasks)] == [0, 1]
    assert len(scripted.submitted) == 3 + 2
    scripted._max_workers = 40
    third.set_result(2)
    assert next(tasks) == 2
    assert len(scripted.submitted) == 3 + 2 + 50
    tasks.close()


@pytest.mark.parametrize(
    ("executor", "workers"),
    [
        (ThreadPoolExecutor(7), 7),  # of loky as well
        (SimpleNamespace(num_workers=9), 9),  # mpi4py
        (SimpleNamespace(num_workers=0), 1),
        (SimpleNamespace(nthreads=lambda: {"a": 8, "b": 4}), 12),  # a client of dask
        (SimpleNamespace(nthreads=dict), 1),
        (SimpleNamespace(_client=SimpleNamespace(nthreads=lambda: {"a": 3})), 3),  # its executor
        (SimpleNamespace(_max_workers=None), 64),
        (SimpleNamespace(), 64),
        (Renewed(lambda: ThreadPoolExecutor(5)), 5),
    ],
)
def test_number_of_workers(executor: Any, workers: int) -> None:
    assert workers_of(executor) == workers


def test_what_has_not_begun_is_cancelled_at_the_end() -> None:
    futures: list[Future[Any]] = []

    def future(number: int, argument: int) -> Future[Any]:
        futures.append(ended(argument) if number < 3 else Future())
        return futures[-1]

    tasks = run_in_order(Scripted(future), abs, ((n,) for n in range(10)), task)
    assert next(tasks) == 0
    tasks.close()
    assert [each.cancelled() for each in futures] == [False, False, True, True]


# --- errors


@pytest.mark.parametrize("error", [ValueError("bad"), TimeoutError("slow"), PolicyError("odd")])
def test_error_of_the_first_task_that_fails_is_raised(error: Exception) -> None:
    def run(number: int) -> int:
        if number >= 2:
            raise error if number == 2 else KeyError(number)
        return number

    with ThreadPoolExecutor(3) as pool:
        tasks = run_in_order(pool, run, ((n,) for n in range(9)), task)
        assert [next(tasks), next(tasks)] == [0, 1]
        with pytest.raises(type(error)) as caught:
            next(tasks)
    assert caught.value is error


def test_task_whose_worker_is_lost_runs_again_alone() -> None:
    """The pool is broken with all tasks in it; those that have results keep them."""
    lost = ended(error=BrokenExecutor("it died"))
    scripted = Scripted(lambda number, each: lost if number in (2, 4, 5) else ended(each))
    assert results(scripted, abs, *range(4)) == [*range(4)]
    assert scripted.submitted == [0, 1, 2, 3, 1, 1, 3]


def test_task_that_loses_three_workers_is_an_error() -> None:
    lost = ended(error=BrokenExecutor("it died. The logs say more"))
    scripted = Scripted(lambda _, each: lost if each == 1 else ended(each))
    with pytest.raises(PercpuError) as caught:
        results(scripted, abs, *range(4))
    assert str(caught.value) == "a worker was lost 3 times in task 1 (it died); run it alone"
    assert scripted.submitted.count(1) == 3


def test_executor_that_takes_no_more_tasks() -> None:
    def breaks(_number: int, _argument: int) -> Future[Any]:
        raise BrokenExecutor

    with pytest.raises(PercpuError, match=r"lost 3 times in task 0 \(BrokenExecutor\)"):
        results(Scripted(breaks), abs, *range(4))


def die_once(marker: Path) -> int:
    if not marker.exists():
        marker.touch()
        os._exit(1)
    return os.getpid()


def test_pool_that_lost_a_worker_is_made_again(tmp_path: Path) -> None:
    """Those of the standard library take no tasks afterwards."""
    made = []

    def make() -> ProcessPoolExecutor:
        made.append(ProcessPoolExecutor(1))
        return made[-1]

    with Renewed(make) as pool:
        first, second = results(pool, die_once, tmp_path / "died", tmp_path / "died")
    assert first == second != os.getpid()
    assert len(made) == 2
    for each in made:
        each.shutdown()


def test_worker_with_another_version_is_refused() -> None:
    assert call_if_same(installed(), abs, -2) == 2
    with pytest.raises(ConfigError) as caught:
        call_if_same("percpu_ffi 9", abs, -2)
    assert str(caught.value) == (
        f"a worker has {installed()}, and this machine percpu_ffi 9; install the same on all "
        "machines"
    )


def test_call_that_cannot_be_sent() -> None:
    with WorkerPool(1) as pool, pytest.raises(ConfigError, match="cannot be sent to another pr"):
        results(pool, lambda n: n, 1)


# --- objects that many calls take


class Noted:
    """An object that notes where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return _noted, (self.folder,)


def _noted(folder: Path) -> Noted:
    (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return Noted(folder)


def name_of(shared: Shared[Noted], number: int) -> str:
    return f"{shared.value.folder.name}{number}"


def test_shared_object_is_sent_once_to_each_worker(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    shared = [Shared(Noted(tmp_path / folder)) for folder in ("a", "b")]
    with WorkerPool(2) as pool:
        for folder, each in zip(("a", "b"), shared, strict=True):
            calls = [pool.submit(name_of, each, n) for n in range(10)]
            assert [call.result() for call in calls] == [f"{folder}{n}" for n in range(10)]
            assert 1 <= len(list((tmp_path / folder).iterdir())) <= 2
        assert pool.submit(name_of, shared[0], 7).result() == "a7"  # an earlier one, again


def test_shared_object_is_unpickled_once_in_other_executors() -> None:
    one, other = Shared([1, 2]), Shared([3])
    assert one.key != other.key
    first, again = (pickle.loads(pickle.dumps(one)) for _ in range(2))
    assert first is again
    assert (first.value, first.key) == ([1, 2], one.key)
    assert pickle.loads(pickle.dumps(other)).value == [3]


# --- options


def thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 0, capsys.readouterr().err
    return capsys.readouterr().out


POOL = ["--executor", f"{__name__}:thread_pool"]
CHECK = ["check", "--random", "--operations=600", "--length=20", "--seed=5"]
COMPARE = ["compare", NETNS, "--policy=area-map,bitmap", "--cpus=2,4", "--unit-size=64K,128K"]
SIZES = ["sizes", NETNS, FORK, NETNS, "--machine"]


@pytest.mark.parametrize("command", [CHECK, COMPARE, [*COMPARE, "--json"], SIZES])
def test_output_does_not_depend_on_the_executor(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = printed(capsys, *command, "--jobs=1")
    assert printed(capsys, *command, *POOL) == expected
    monkeypatch.setattr(options, "LEAST_TEXT", 0)
    monkeypatch.setattr("percpu_ffi.cli.compare.LEAST_STEPS", 0)
    assert printed(capsys, *command, "--jobs=2") == expected


def test_own_policies_run_on_an_executor(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", FORK, "--cpus=2", "--with=mine=conftest:OnePage"]
    assert printed(capsys, *command, "--jobs=1") == printed(capsys, *command, *POOL)


class Careless(OnePage):
    def free(self, chunk: int, offset: int) -> None:
        raise ValueError("odd")


def test_error_of_an_own_policy_is_the_same_elsewhere() -> None:
    trace = Trace.from_ops([("alloc", "a", 8, 8), ("free", "a")])
    setups = [{"policy": "mine", "cpus": 2}, {"policy": "other", "cpus": 2}]
    policies = {"mine": OnePage, "other": Careless}
    messages = []
    with WorkerPool(2) as pool:
        for executor in (None, pool):
            rows = outcomes(trace, setups, policies=policies, executor=executor)
            assert next(rows)
            with pytest.raises(PolicyError) as caught:
                next(rows)
            messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "odd" in messages[0]


def test_progress_of_replays_elsewhere() -> None:
    trace = Trace.from_ops([("alloc", "a", 8, 8), ("free", "a")])
    steps: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        rows = list(compare(trace, [{"cpus": 2}, {"cpus": 0}], steps.append, executor=pool))
    assert (len(rows), steps) == (2, [2, 2])


class Worthwhile:
    """When tasks run in other processes: they take longer than these take to start."""

    def of(self, tasks: int = 2, long: bool = True, *objects: object, **given: Any) -> bool:
        args = SimpleNamespace(**{"jobs": None, "executor": None, "dask": None, **given})
        return options.is_worthwhile(args, tasks, long, *objects)  # type: ignore[arg-type]


class TestWhere(Worthwhile):
    @pytest.fixture(autouse=True)
    def _cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def test_long_tasks_run_on_all_cores(self) -> None:
        assert self.of()
        assert self.of(jobs=2)

    def test_one_task_or_short_ones_or_one_job_in_this_process(self) -> None:
        assert not self.of(tasks=1)
        assert not self.of(long=False)
        assert not self.of(jobs=1)

    def test_on_one_core_in_this_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        assert not self.of()
        assert self.of(jobs=2)

    def test_what_cannot_be_sent_stays_in_this_process(self) -> None:
        assert self.of(2, True, {"mine": OnePage})
        assert not self.of(2, True, {"mine": type("Nameless", (OnePage,), {})})

    def test_named_executor_is_used_in_any_case(self) -> None:
        assert self.of(1, False, executor="a:b")
        assert self.of(1, False, dask="tcp://host:8786")

    @pytest.mark.parametrize("jobs", [0, 257])
    def test_number_of_processes_is_checked_in_any_case(self, jobs: int) -> None:
        with pytest.raises(ConfigError, match=f"--jobs {jobs}: from 1 to 256 processes"):
            self.of(long=False, jobs=jobs)

    def test_length_of_recordings(self, tmp_path: Path) -> None:
        for name, size, long in (
            ("a.txt", (32 << 20) - 1, False),
            ("b", 32 << 20, True),
            ("c.xz", (1 << 20) - 1, False),
            ("d.trace", 1 << 20, True),
        ):
            with open(tmp_path / name, "wb") as file:
                file.truncate(size)
            assert options.is_long([str(tmp_path / name)]) == long
        assert options.is_long([str(tmp_path / "a.txt"), str(tmp_path / "c.xz")])
        assert not options.is_long([str(tmp_path / "nowhere")])


def no_pool() -> None:
    raise RuntimeError("no pool today")


@pytest.mark.parametrize("command", [CHECK, COMPARE, SIZES])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("pool", "pool: MODULE:CALL is needed, such as mypackage.cluster:make_executor; MODULE as"),
        ("a/pool.py:make", "MODULE as in an import, not a path"),
        (":make", "MODULE:CALL is needed"),
        ("nowhere.at.all:make", "cannot be imported: ModuleNotFoundError: No module named"),
        ("os:nothing", "os:nothing cannot be imported: AttributeError: "),
        ("os:sep", "os:sep: that is '/', not a function or class"),
        ("os:getcwd", "an object with submit(), as in concurrent.futures, is needed"),
        (f"{__name__}:no_pool", "no_pool cannot be called: RuntimeError: no pool today"),
        (f"{__name__}:thread_pool.x", "cannot be imported"),
    ],
)
def test_executor_that_cannot_be_used(
    command: list[str], place: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--executor", place]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"--executor {place}" in error
    assert words in error


def test_options_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*COMPARE, "--jobs=2", *POOL])
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("option", [POOL, ["--dask", "tcp://host:8786"], ["--case", "0"]])
def test_options_of_campaigns_need_one(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", NETNS, *option]) == 2
    assert f"{option[0]} requires --random" in capsys.readouterr().err


def test_one_case_of_a_campaign_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *CHECK, "--case=7") == "port, model: 20 operations, no difference\n"
    for wrong in ("-1", str(1 << 63)):
        assert main([*CHECK, f"--case={wrong}"]) == 2
        assert f"--case {wrong}: from 0 to {(1 << 63) - 1}" in capsys.readouterr().err


def test_workers_do_not_read_standard_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sizes", "-", *POOL]) == 2
    assert "workers cannot read standard input; give a file" in capsys.readouterr().err


def test_arguments_are_checked_before_any_task() -> None:
    wrong: Any = 3
    with pytest.raises(ConfigError, match=r"executor=3: an object with submit\(\)"):
        compare(Trace.from_ops([]), [{}], executor=wrong)
    with pytest.raises(ConfigError, match="executor="):
        compare(Trace.from_ops([]), [{}], executor=ThreadPoolExecutor)  # type: ignore


@pytest.mark.parametrize(("cores", "prepared"), [(1, []), (2, [2])])
def test_comparison_of_a_long_recording_prepares_workers(
    cores: int, prepared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    calls: list[int | None] = []
    monkeypatch.setattr(WorkerPool, "prepare", lambda pool: calls.append(pool._max_workers))
    assert main(COMPARE) == 0
    assert calls == []
    monkeypatch.setattr("percpu_ffi.cli.compare.LEAST_TEXT", 0)
    assert main(COMPARE) == 0
    assert calls == prepared
