# SPDX-License-Identifier: GPL-2.0-only
"""The workload ``threads``: what threads achieve that share an allocator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi.bench import bounds, threads
from percpu_ffi.bench import run as run_module
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.results import Figures, PhaseResult, Results, WorkloadResult, load
from percpu_ffi.bench.threads import Interval, measure_threads, numbers_of_threads, run_threads
from percpu_ffi.bench.workload import Options
from percpu_ffi.bench.workloads import WORKLOADS
from percpu_ffi.cli import main
from percpu_ffi.reports.bench import workload_tables

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi.bench.workload import Workload

WORKLOAD = replace(WORKLOADS["threads"](Options()), threads=(1, 2))
SECOND = 10**9


@pytest.mark.parametrize(
    ("cpus", "numbers"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_powers_of_two_up_to_the_cpus(cpus: int, numbers: tuple[int, ...]) -> None:
    assert numbers_of_threads(cpus) == numbers


def test_cpus_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 6, 7})
    assert numbers_of_threads() == (1, 2, 4)
    assert WORKLOADS["threads"](Options()).threads == (1, 2, 4)
    assert WORKLOADS["threads"](Options()).kinds == ((64, 8),)


def run_for_some_time(workload: Workload, name: str) -> tuple[list[Interval], int]:
    """Run two threads for two intervals; for longer ones on a machine too busy to run them."""
    for ms in (10, 100, 1000, 10_000):
        intervals, failures = run_threads(workload, name, 2, 2, ms * 10**6)
        assert all(interval.ns >= ms * 10**6 for interval in intervals)
        if failures or all(min(interval.pairs) > 0 for interval in intervals):
            break
    return intervals, failures


@pytest.mark.parametrize("name", ["port", "mapped", "aligned_alloc"])
def test_threads_are_counted_in_each_interval(name: str) -> None:
    intervals, failures = run_for_some_time(WORKLOAD, name)
    assert [len(interval.pairs) for interval in intervals] == [2, 2]
    assert all(min(interval.pairs) > 0 for interval in intervals)
    assert failures == 0


def test_failures_are_those_of_all_threads() -> None:
    """No area of a megabyte can be allocated: there is no pair, each attempt fails."""
    large = replace(WORKLOAD, kinds=((1 << 20, 8),))
    intervals, failures = run_for_some_time(large, "aligned_alloc")
    assert [interval.pairs for interval in intervals] == [[0, 0], [0, 0]]
    assert failures > 0


def test_too_many_threads() -> None:
    with pytest.raises(OSError, match="threads: Cannot allocate memory"):
        run_threads(WORKLOAD, "port", 1 << 40, 0, 1)


class TestMeasurement:
    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Replace the processes: each thread does 10 pairs, and 20 in the second interval."""
        made: list[Any] = []

        def process(
            function: object, _: Workload, name: str, n: int, intervals: int, ns: int
        ) -> Any:
            assert function is run_threads
            made.append((name, n, intervals, ns))
            if len(made) == 7:
                raise KeyboardInterrupt
            return [Interval([10 * i] * n, 2 * ns) for i in range(1, intervals + 1)], 3

        monkeypatch.setattr(threads, "in_fresh_process", process)
        return made

    def test_numbers_and_contenders_take_turns(self, runs: list[Any]) -> None:
        measure_threads(WORKLOAD, ["port"], 0.5)
        assert runs == [("port", 1, 1, SECOND), ("port", 2, 1, SECOND)] * 2

    def test_time_is_divided_among_the_rounds(self, runs: list[Any]) -> None:
        """At least five seconds of each: twice three."""
        result = measure_threads(WORKLOAD, ["port"], 5)
        assert {intervals for _, _, intervals, _ in runs} == {3}
        assert result.whole_repetitions == 6

    def test_time_is_that_of_an_operation(self, runs: list[Any]) -> None:
        """In intervals of 2 s, two threads do 20 and 40 pairs: 40 and 80 operations."""
        steps: list[int] = []
        result = measure_threads(WORKLOAD, ["port"], 4, steps.append)
        assert [phase.name for phase in result.phases] == ["1 thread", "2 threads"]
        figures = result.phase("2 threads").contenders["port"]
        assert figures.ns == [2 * SECOND / 40, 2 * SECOND / 80] * 2
        assert figures.pairs == [[5, 5], [10, 10]] * 2  # in a second
        assert figures.failures == 3
        assert steps == [1] * 4

    def test_interrupted_run_keeps_whole_rounds(self, runs: list[Any]) -> None:
        """Two contenders: four runs are a round, and the seventh is interrupted."""
        result = measure_threads(WORKLOAD, ["port", "malloc"], 4)
        assert result.partial
        figures = [f for phase in result.phases for f in phase.contenders.values()]
        assert [len(f.ns) for f in figures] == [2] * 4
        assert [len(f.pairs) for f in figures] == [2] * 4

    def test_no_pair_takes_the_whole_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threads, "in_fresh_process", lambda *_: ([Interval([0, 0], SECOND)], 5))
        figures = measure_threads(WORKLOAD, ["port"], 1).phase("2 threads").contenders["port"]
        assert figures.ns == [SECOND] * 2
        assert figures.least_share == 0


class TestCommand:
    def test_result_is_printed_and_saved(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(threads, "INTERVAL_NS", 10_000_000)
        monkeypatch.setattr(threads, "ROUNDS", 1)
        out = tmp_path / "a.json"
        args = ["threads", "--contender=port", "--contender=model", "--contender=upstream"]
        monkeypatch.setitem(
            CONTENDERS, "upstream", CONTENDERS["upstream"]._replace(missing=lambda: "")
        )
        assert main(["bench", *args, "--seconds", "0", "--json", str(out)]) == 0
        text = capsys.readouterr().out
        for name in ("model", "upstream"):
            assert f"left out    {name} in threads: threads cannot share it" in text
        (work,) = load(out).workloads
        for phase in work.phases:
            assert list(phase.contenders) == ["port"]
            assert len(phase.contenders["port"].pairs[0]) == int(phase.name.split()[0])

    def test_workload_without_a_contender_is_left_out(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", "threads", "--contender=model"]) == 0
        assert "model in threads: threads cannot share it" in capsys.readouterr().out

    def test_progress_is_that_of_all_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        steps: list[Any] = []

        class Bar:
            def __init__(self, *args: object) -> None:
                steps.append(args)

            def __enter__(self) -> None: ...

            def __exit__(self, *_: object) -> None: ...

        monkeypatch.setattr(threads, "in_fresh_process", lambda *_: ([Interval([1, 1], SECOND)], 0))
        plan = run_module.Plan([lambda: WORKLOAD], ["port", "malloc"], Options(), 9, 0, False)
        run_module.run(plan, run_module.new_results(plan), Bar, lambda _: None)
        assert steps == [("threads", 2 * 2 * 2, "run")]


def some_result() -> WorkloadResult:
    alone = Figures([10.0, 12.0, 11.0], pairs=[[50], [40], [45]])
    both = Figures([22.0, 20.0, 40.0], pairs=[[10, 30], [20, 20], [19, 1]])
    phases = [
        PhaseResult("1 thread", 0, None, {"port": alone}),
        PhaseResult("2 threads", 0, None, {"port": both}),
    ]
    return WorkloadResult("threads", "", phases)


class TestReport:
    def test_table(self) -> None:
        """11 ns an operation are 45 million pairs a second; one thread had one of 20 pairs."""
        assert workload_tables(some_result())[1:] == [
            "  ns      1 thread     2 threads",
            "  port  11.0 +- 5%    22.0 +-23%",
            "  pairs               a second          least",
            "  port    1 thread  45,454,545         100.0%",
            "  port   2 threads  22,727,273  x0.50    5.0%",
        ]

    def test_bounds(self) -> None:
        """Each second by itself: half of the pairs of one thread, but 5 % in the worst second."""
        speed, share = bounds.two_threads(Results({}, {}, [some_result()]))
        assert speed.values == [10 / 22, 12 / 20, 11 / 40]
        assert (speed.limit, speed.at_most, speed.holds) == (0.8, False, False)
        assert share.values == [0.05]
        assert (share.limit, share.at_most, share.holds) == (0.25, False, False)

    def test_bounds_need_the_port_and_two_threads(self) -> None:
        one_cpu, no_port = some_result(), some_result()
        del one_cpu.phases[1]
        for phase in no_port.phases:
            phase.contenders = {"malloc": phase.contenders["port"]}
        for results in ([], [one_cpu], [no_port]):
            rows = bounds.two_threads(Results({}, {}, results))
            assert {row.why for row in rows} == {
                "threads was not run, with the port and two threads"
            }
            assert [row.holds for row in rows] == [None, None]
