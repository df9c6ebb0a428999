# SPDX-License-Identifier: GPL-2.0-only
"""The memory of contenders at the peak of a workload, and the fresh processes that measure it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi.bench import memory
from percpu_ffi.bench import run as run_module
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.fresh import ProcessFailed, in_fresh_process
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.memory import Peak, find_peak, growth, measure_memory
from percpu_ffi.bench.results import (
    Figures,
    MemoryFigures,
    MemoryResult,
    PhaseResult,
    Results,
    ResultsError,
    WorkloadResult,
    load,
    save,
)
from percpu_ffi.bench.workload import Geometry, Phase, Workload, allocs, frees
from percpu_ffi.cli import main
from percpu_ffi.reports import bench_chart
from percpu_ffi.reports.bench import workload_tables
from percpu_ffi.reports.bench_difference import difference
from percpu_ffi.trace.operations import ORPHAN

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def workload(*phases: Any, kinds: Any = ((8, 8), (100, 8), (65537, 8))) -> Workload:
    made = tuple(Phase(f"phase {i}", ops) for i, ops in enumerate(phases))
    return Workload("sample", "", made, kinds, slots=4, geometry=Geometry(cpus=2))


class TestPeak:
    def test_first_of_equal_peaks(self) -> None:
        """8, 108 and, after a free and an allocation, 108 bytes."""
        ops = allocs([0, 1], [0, 1]) + frees([0]) + allocs([0], 0)
        assert find_peak(workload(ops)) == Peak(operations=2, areas=2, live_bytes=108)

    def test_phases_follow_each_other(self) -> None:
        """The areas of one phase are live in the next one."""
        made = workload(allocs([0, 1]), allocs([2]), frees([0, 1, 2]))
        assert find_peak(made) == Peak(3, 3, 24)

    def test_replaced_area_counts_once(self) -> None:
        assert find_peak(workload(allocs([0, 0, 0], [1, 0, 1]))) == Peak(1, 1, 100)

    def test_frees_of_nothing_do_not_count(self) -> None:
        assert find_peak(workload(frees([ORPHAN, 3]) + allocs([0]))) == Peak(3, 1, 8)

    def test_requests_that_exceed_a_unit_fail(self) -> None:
        """The area that they replace is freed."""
        assert find_peak(workload(allocs([0, 1, 1], [0, 0, 2]))) == Peak(2, 2, 16)

    def test_workload_without_areas(self) -> None:
        assert find_peak(workload(frees([1]))) == Peak(0, 0, 0)


class TestMeasurement:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
        """Replace the processes: the first one of "port" has 110 and 1,100 bytes, then more."""
        made: list[tuple[str, int]] = []
        bases = {"empty": 10, "port": 100, "malloc": 5}

        def process(function: object, short: Workload, name: str) -> tuple[int, int]:
            assert function is growth
            made.append((name, sum(map(len, short.phases))))
            turn = sum(each == name for each, _ in made)
            return bases[name] + 10 * turn, 10 * bases[name] + 100 * turn

        monkeypatch.setattr(memory, "in_fresh_process", process)
        return made

    def test_loop_is_subtracted(self, calls: list[tuple[str, int]]) -> None:
        """What the loop itself takes is measured each time; a negative rest is none."""
        made = workload(allocs([0, 1], [0, 1]), frees([0, 1]))
        steps: list[int] = []
        result = measure_memory(made, ["port", "malloc"], 2, steps.append)
        assert calls == [("empty", 2), ("port", 2), ("malloc", 2)] * 2
        assert result == MemoryResult(
            areas=2,
            live_bytes=2 * 108,
            contenders={
                "port": MemoryFigures([90, 90], [900, 900]),
                "malloc": MemoryFigures([0, 0], [0, 0]),
            },
        )
        assert steps == [1] * 6

    def test_three_processes_unless_told_otherwise(self, calls: list[Any]) -> None:
        measure_memory(workload(allocs([0])), ["port"])
        assert len(calls) == 3 * 2

    @pytest.mark.parametrize("name", ["mapped", "aligned_alloc"])
    def test_figures_are_those_of_the_areas(self, name: str) -> None:
        """2,000 areas of 1 KiB on two CPUs, in page frames: 4 MB and little more."""
        areas = replace(
            workload(allocs(range(2000)), frees(range(2000)), kinds=((1024, 8),)), slots=2000
        )
        result = measure_memory(areas, [name], 1)
        (resident,), (space,) = vars(result.contenders[name]).values()
        assert result.live_bytes == 2 * 2000 * 1024
        assert result.live_bytes <= resident < 1.15 * result.live_bytes
        assert space >= resident // 2

    def test_growth_is_that_at_the_peak(self) -> None:
        """The areas are live when memory is read, and freed at the end."""
        held = replace(workload(allocs(range(2000)), kinds=((1024, 8),)), slots=2000)
        resident, _ = growth(held, "mapped")
        assert resident > 2 * 2000 * 1024


class TestFreshProcess:
    def test_result_is_returned(self) -> None:
        assert in_fresh_process(os.getpid) != os.getpid()

    def test_error_is_the_last_line(self) -> None:
        words = r"in a process of its own: exit status 1, FileNotFoundError: .*nowhere"
        with pytest.raises(ProcessFailed, match=words):
            in_fresh_process(os.listdir, "/nowhere")

    def test_killed_process(self) -> None:
        with pytest.raises(ProcessFailed, match=r"posix._exit .*: exit status 7, no message"):
            in_fresh_process(os._exit, 7)


def bench(*args: str) -> int:
    numbers = "--objects 50 --live 5 --repeat 1 --seconds 0"
    return main(["bench", *numbers.split(), *args])


class TestCommand:
    @pytest.fixture
    def measured(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Replace the measurement: which contenders of which workloads were measured."""
        calls: list[Any] = []

        def measure(made: Workload, names: list[str], processes: int, _: object) -> MemoryResult:
            calls.append((made.name, names, processes))
            return MemoryResult(1, MIB, {name: MemoryFigures([MIB], [MIB]) for name in names})

        monkeypatch.setattr(run_module, "measure_memory", measure)
        return calls

    def test_steady_states_are_measured(self, measured: list[Any]) -> None:
        """Of the contenders that have memory of their own."""
        chosen = [f"--contender={name}" for name in ("port", "mapped", "empty", "model")]
        assert bench("churn", "objects-64", *chosen) == 0
        assert measured == [("churn", ["port", "mapped"], 3)]

    def test_others_on_request(self, measured: list[Any]) -> None:
        assert bench("objects-64", "--memory", "--contender=port") == 0
        assert bench("churn", "--no-memory", "--contender=port") == 0
        assert bench("churn", "--contender=empty") == 0
        assert measured == [("objects-64", ["port"], 3)]

    def test_contenders_with_memory(self) -> None:
        without = {name for name, contender in CONTENDERS.items() if not contender.memory}
        assert without == {"model", "upstream", "empty"}

    def test_failed_process_is_a_note(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object) -> MemoryResult:
            raise ProcessFailed("killed")

        monkeypatch.setattr(run_module, "measure_memory", fail)
        assert bench("churn", "--contender=port") == 0
        assert "left out    memory of churn: killed" in capsys.readouterr().out

    def test_interrupted_measurement_keeps_the_times(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def interrupt(*_: object) -> MemoryResult:
            raise KeyboardInterrupt

        monkeypatch.setattr(run_module, "measure_memory", interrupt)
        out = tmp_path / "a.json"
        assert bench("churn", "objects-4", "--contender=port", "--json", str(out)) == 130
        results = load(out)
        assert [(each.name, each.whole_repetitions) for each in results.workloads] == [("churn", 1)]
        assert results.partial
        assert results.workloads[0].partial


def some_results(port: int, mapped: int) -> Results:
    figures = {
        "port": MemoryFigures([port, port, 9 * MIB], [0, 0, 0]),
        "mapped": MemoryFigures([mapped], [1234 * MIB]),
    }
    times = {"port": Figures([1.0]), "mapped": Figures([2.0])}
    work = WorkloadResult("w", "", [PhaseResult("p", 10, None, times)])
    work.memory = MemoryResult(3, 2 * MIB, figures)
    return Results({"cpu": "abacus"}, {"live": 4}, [work])


class TestReports:
    def test_table(self) -> None:
        """Medians; the ratio is that to the live bytes."""
        text = "\n".join(workload_tables(some_results(MIB // 2, 3 * MIB).workloads[0]))
        assert text.endswith(
            """
  memory        resident, MiB         address space, MiB
  3 live areas           2.00
  port                   0.50  x0.25                0.00
  mapped                 3.00  x1.50            1,234.00"""
        )

    def test_without_live_bytes_there_is_no_ratio(self) -> None:
        results = some_results(MIB, MIB)
        assert results.workloads[0].memory
        results.workloads[0].memory.live_bytes = 0
        assert "x0" not in "\n".join(workload_tables(results.workloads[0])[4:])

    def test_difference(self) -> None:
        lines = difference(some_results(0, 2 * MIB), some_results(MIB, 3 * MIB))
        assert lines[-4:] == [
            "",
            "resident at the peak          A, MiB  B, MiB  B / A",
            "w                       port    0.00    1.00",
            "w                     mapped    2.00    3.00   1.50",
        ]
        other = some_results(1, 1)
        other.workloads[0].memory = None
        assert not any("resident" in line for line in difference(other, some_results(1, 1)))

    def test_chart_has_a_second_panel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the contender that has no memory in one of its processes."""
        pytest.importorskip("matplotlib")
        saved: list[Any] = []
        monkeypatch.setattr(bench_chart, "save_plot", lambda *args: saved.append(args))
        results = some_results(0, 3 * MIB)
        assert results.workloads[0].memory
        results.workloads[0].memory.contenders["mapped"].resident = [3 * MIB, 5 * MIB, 4 * MIB]
        bench_chart.plot(results, "a.svg")
        [(figure, _, _)] = saved
        _, panel = figure.axes
        assert [tick.get_text() for tick in panel.get_yticklabels()] == ["w"]
        assert panel.get_xlabel() == bench_chart.MEMORY
        points = {each.get_label(): list(each.lines[0].get_xdata()) for each in panel.containers}
        assert points == {"port": [], "mapped": [4]}
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["port", "mapped"]

    def test_file_keeps_all_figures(self, tmp_path: Path) -> None:
        results = some_results(1, 2)
        results.workloads[0].phases[0].contenders["port"].pairs = [[1, 2], [3, 4]]
        save(results, tmp_path / "a.json")
        assert load(tmp_path / "a.json") == results


class TestOldFiles:
    """Files of version 1 have neither memory nor threads."""

    OLD = (
        '{"format": "percpu-ffi bench", "version": %s, "machine": {}, "options": {"live": 4}, '
        '"workloads": [{"name": "w", "what": "", "phases": [{"name": "p", "operations": 10, '
        '"work": null, "contenders": {"port": {"ns": [1.5], "failures": 0, "alloc": {"3": 4}, '
        '"free": null%s}}}], "expected": [], "partial": false}], "bounds": [], "notes": [], '
        '"partial": false}'
    )

    def test_can_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(self.OLD % (1, ""))
        (work,) = load(tmp_path / "a.json").workloads
        assert work.memory is None
        assert work.phases[0].contenders["port"] == Figures([1.5], 0, Histogram({3: 4}))
        assert "1.5 +- 0%" in "\n".join(workload_tables(work))

    @pytest.mark.parametrize(("version", "more"), [(2, ""), (1, ', "pairs": []')])
    def test_fields_are_those_of_the_version(self, tmp_path: Path, version: int, more: str) -> None:
        (tmp_path / "a.json").write_text(self.OLD % (version, more))
        with pytest.raises(ResultsError, match=r"damaged: \w+ has the fields"):
            load(tmp_path / "a.json")

    def test_cpus_were_four(self) -> None:
        old, new = Results({}, {"live": 4}), Results({}, {"live": 4, "cpus": 4})
        assert not any("differ" in line for line in difference(old, new))
        new.options["cpus"] = 64
        assert "cpus 4 in A, 64 in B: workloads with the same name differ" in difference(old, new)
