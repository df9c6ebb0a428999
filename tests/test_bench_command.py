# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi bench``: results, tables and the command."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NETNS

from percpu_ffi.bench import bounds, contenders
from percpu_ffi.bench import run as run_module
from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.results import (
    BoundResult,
    Figures,
    PhaseResult,
    Results,
    ResultsError,
    WorkloadResult,
    load,
    save,
)
from percpu_ffi.bench.workload import Expected, Options
from percpu_ffi.bench.workloads import WORKLOADS
from percpu_ffi.cli import main
from percpu_ffi.cli.bench import run
from percpu_ffi.cli.options.bench import add_arguments
from percpu_ffi.reports.bench import bounds_table, workload_tables
from percpu_ffi.reports.bench_difference import difference

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi.bench.workload import Workload


def some_results() -> Results:
    figures = {
        "port": Figures([10.0, 12.0, 11.0], 0, Histogram({20: 5, 900: 1}), Histogram({})),
        "upstream": Figures([20.0, 24.0, 11.0], 3),
    }
    work = {"entries_scanned": 5000, "chunks_visited": 0}
    phases = [PhaseResult(name, 1000, work, figures) for name in bounds.CELLS]
    return Results(
        {"cpu": "abacus"},
        {"live": 40, "seed": 1},
        [WorkloadResult("objects-4", "objects", phases)],
        [BoundResult("alloc", 1.0, True, [0.5, 0.7])],
        ["model: too slow"],
    )


class TestResults:
    def test_saved_results_load_unchanged(self, tmp_path: Path) -> None:
        save(some_results(), tmp_path / "a.json")
        assert load(tmp_path / "a.json") == some_results()

    def test_other_version_is_refused(self, tmp_path: Path) -> None:
        save(some_results(), path := tmp_path / "a.json")
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "version": 99}))
        with pytest.raises(ResultsError, match=r"a\.json: version 99 of the format.*reads 1 to 2"):
            load(path)
        del data["version"]
        path.write_text(json.dumps(data))
        with pytest.raises(ResultsError, match="version None of the format"):
            load(path)

    def test_file_begins_with_format_and_version(self, tmp_path: Path) -> None:
        """One value a line, so that two files can be compared by other tools."""
        save(some_results(), path := tmp_path / "a.json")
        assert path.read_text().startswith('{\n "format": "percpu-ffi bench",\n "version": 2,\n')

    def test_fields_that_are_needed_are_named(self, tmp_path: Path) -> None:
        save(some_results(), path := tmp_path / "a.json")
        data = json.loads(path.read_text())
        del data["bounds"][0]["why"]
        path.write_text(json.dumps(data))
        words = "damaged: BoundResult has the fields what, limit, at_most, values, why; "
        with pytest.raises(ResultsError, match=words):
            load(path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data.pop("format"),
            lambda data: data.pop("workloads"),
            lambda data: data.update(workloads=7),
            lambda data: data.update(surprise=7),
            lambda data: data.update(machine=7),
            lambda data: data.update(options=[]),
            lambda data: data["workloads"][0].update(name=7),
            lambda data: data["workloads"][0]["phases"][0].update(name=[]),
            lambda data: data["workloads"][0]["phases"][0].pop("name"),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(ns=["1"]),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(ns=[]),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(ns=[0]),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(alloc=[1]),
        ],
    )
    def test_damaged_file_is_refused(self, tmp_path: Path, damage: Any) -> None:
        save(some_results(), path := tmp_path / "a.json")
        data = json.loads(path.read_text())
        damage(data)
        path.write_text(json.dumps(data))
        with pytest.raises(ResultsError, match="that bench --json wrote") as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")

    @pytest.mark.parametrize("text", ["", "[]", "7", "{", "\udcff", "[" * 100_000])
    def test_other_file_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        path = tmp_path / "a.json"
        with pytest.raises(ResultsError, match="that bench --json wrote") as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: no ")

    def test_machine_is_described_without_names(self) -> None:
        text = " ".join(describe_machine().values())
        assert socket.gethostname() not in text.split()
        assert os.path.expanduser("~") not in text
        assert "/" not in describe_machine()["flags"]


class TestReport:
    def test_figures_ratios_failures_and_work(self) -> None:
        text = "\n".join(workload_tables(some_results().workloads[0]))
        assert "11.0 +-" in text  # median of the port
        assert "x2.00" in text  # median of 2, 2 and 1
        assert "upstream: 3 of 1,000 operations failed" in text
        assert re.search(r"work +entries\n +scanned\n", text)
        assert "5.00" in text  # of 5,000 in 1,000 operations
        assert "chunks" not in text  # the count is 0

    def test_tables_of_a_workload(self) -> None:
        """Columns and rows without figures are left out; x is the median of the ratios."""
        calls = Histogram({20: 50, 40: 49, 60: 1})  # buckets that end with 20, 49 and 115 ns
        port = Figures([10.0, 12.0, 11.0, 13.0], 0, calls, Histogram({}))
        malloc = Figures([30.0, 24.0, 11.0, 52.0], 3, None, Histogram({7: 1}))
        both = {"port": port, "malloc": malloc}
        others = {"port": Figures([5.0], 1), "malloc": Figures([2.5])}
        names = ("operations", "entries_scanned", "chunks_visited", "bytes_moved")
        works = [
            dict(zip(names, counts, strict=True)) for counts in ((9, 5500, 0, 250), (9, 50, 0, 0))
        ]
        result = WorkloadResult(
            "name",
            "what it does",
            [
                PhaseResult("alloc", 1000, works[0], both),
                PhaseResult("free", 500, works[1], others),
            ],
            [
                Expected("alloc", "entries_scanned", "C + 1", 5500, 5500),
                Expected("alloc", "bytes_moved", "m0", 251, 250),
                Expected("free", "bytes_moved", "2 R", 7000, None),
            ],
            partial=True,
        )
        assert "\n".join(workload_tables(result)) == (
            """\
name: what it does
  ns               alloc              free
  operations       1,000               500
  port        11.5 +- 7%         5.0 +- 0%
  malloc      27.0 +-27%  x2.50  2.5 +- 0%  x0.50
  latency   alloc, alloc  alloc, free
  port     20 / 49 / 115
  malloc                    7 / 7 / 7
  work   entries  bytes
         scanned  moved
  alloc     5.50   0.25
  free      0.10   0.00
  formula             work         gives  counted
  alloc    entries scanned  C + 1  5,500    5,500        equal
  alloc        bytes moved     m0    251      250          OFF
  free         bytes moved    2 R  7,000           not counted
  malloc: 3 of 1,000 operations failed, alloc
  port: 1 of 500 operations failed, free
  interrupted after 1 repetition"""
        )

    def test_difference_of_two_files(self) -> None:
        """A figure has changed if the ranges do not overlap: 10 to 12 and 12 to 33 ns do."""

        def results(workloads: dict[str, dict[str, list[float]]], live: int) -> Results:
            return Results(
                {"cpu": "abacus"},
                {"live": live, "seed": 1, "objects": 9},
                [
                    WorkloadResult(
                        name,
                        "",
                        [PhaseResult("alloc", 9, None, {n: Figures(ns) for n, ns in each.items()})],
                    )
                    for name, each in workloads.items()
                ],
            )

        a = results({"w": {"port": [10, 11, 12], "malloc": [10, 30], "mapped": [1], "empty": [2]},
                     "x": {"port": [1]}}, 40)  # fmt: skip
        b = results({"w": {"port": [12, 22, 33], "malloc": [9, 9.4], "mapped": [1.1]},
                     "y": {"port": [1]}}, 41)  # fmt: skip
        b.partial = True
        assert "\n".join(difference(a, b)) == (
            """\
A
  cpu         abacus
  options     live 40, seed 1, objects 9
B, interrupted
  cpu         abacus
  options     live 41, seed 1, objects 9
live 40 in A, 41 in B: workloads with the same name differ

                  A, ns         B, ns         B / A
w  alloc    port   11.0   +-5%   22.0  +-24%   2.00
w  alloc  malloc   20.0  +-25%    9.2   +-1%   0.46  faster
w  alloc  mapped    1.0   +-0%    1.1   +-0%   1.10  slower
only in A, completely or in part: w, x
only in B, completely or in part: y"""
        )
        lines = difference(results({"x": {}}, 1), results({"y": {}}, 1))
        assert lines[-1] == "the two files have no figure in common"

    def test_table_of_bounds(self) -> None:
        bounds_of_all_kinds = [
            BoundResult("ratio", 1.0, True, [0.7, 0.5, 0.9]),
            BoundResult("rate", 2_000_000, False, [1e6, 5e6, 1.5e6]),
            BoundResult("other", 10.0, False, why="no file"),
            BoundResult("edge", 2.0, True, [2.0]),
        ]
        assert "\n".join(bounds_table(bounds_of_all_kinds)) == (
            """\
bound     median     lowest    highest                limit
ratio      0.700      0.500      0.900   at most        1.0                  holds
rate   1,500,000  1,000,000  5,000,000  at least  2,000,000                 MISSED
other                                   at least       10.0  not measured: no file
edge       2.000      2.000      2.000   at most        2.0                  holds"""
        )

    def test_bound_is_the_median_of_ratios(self) -> None:
        cells = {bound.what: bound for bound in bounds.cells(some_results())}
        assert len(cells) == 20
        cell = cells["port / upstream, alloc, 4 bytes"]
        assert (cell.values, cell.limit, cell.holds) == ([0.5, 0.5, 1.0], 0.5, True)
        assert cells["port / upstream, alloc, 64 bytes"].limit == 1.0
        assert cells["port / upstream, reverse, 16 bytes"].why == "objects-16 was not run"


def bench(*args: str) -> int:
    return main(
        [
            "bench",
            "--objects",
            "200",
            "--live",
            "20",
            "--repeat",
            "2",
            "--seconds",
            "0",
            "--no-memory",
            *args,
        ]
    )


class TestCommand:
    def test_results_are_printed_and_saved(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.json"
        assert bench("churn", "pinned-chunks", "--json", str(out)) == 0
        text = capsys.readouterr().out
        for words in ("churn: 20 objects", "latency", "(C - 2) U / P", "compiler", "seed 2009"):
            assert words in text
        results = load(out)
        assert [each.name for each in results.workloads] == ["churn", "pinned-chunks"]
        figures = results.workloads[0].phase("churn").contenders
        assert {"port", "mapped", "malloc", "empty"} <= figures.keys()
        assert all(len(each.ns) == 2 for each in figures.values())
        assert not results.partial

    def test_contenders_are_chosen(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.json"
        names = ("--contender", "model", "--contender", "port")
        assert bench("objects-64", *names, "--json", str(out)) == 0
        assert list(load(out).workloads[0].phases[0].contenders) == ["port", "model"]
        assert "left out" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("fixes", "policy"), [((), "bitmap"), (("--fixes", "chunk-hint"), "bitmap+chunk-hint")]
    )
    def test_policy_of_the_port(self, tmp_path: Path, fixes: tuple[str, ...], policy: str) -> None:
        """Three times 200 areas, each from the first chunk that is visited."""
        out = tmp_path / "a.json"
        args = ["objects-4", "--policy", "bitmap", *fixes, "--contender", "port"]
        assert bench(*args, "--json", str(out)) == 0
        results = load(out)
        assert results.machine["policy"] == policy
        work = results.workloads[0].phase("alloc").work
        assert work is not None
        assert work["chunks_visited"] == 3 * 200
        assert work["slots_visited"] > 600

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--fixes", "chunk-hint"], "only bitmaps have it; add --policy bitmap"),
            (["--policy", "bitmap", "--bounds"], "those of the area map"),
        ],
    )
    def test_policies_that_are_refused(
        self, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert bench("churn", *args) == 2
        assert message in capsys.readouterr().err

    def test_bounds_are_not_measured_for_bitmaps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plans: list[run_module.Plan] = []
        monkeypatch.setattr("percpu_ffi.cli.bench.measure_all", lambda plan, *_: plans.append(plan))
        assert (
            main(["bench", "--policy", "bitmap"]) == 130
        )  # as if interrupted: nothing is measured
        assert not plans[0].bounds

    def test_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert bench("--list") == 0
        assert {*WORKLOADS, *CONTENDERS} <= set(capsys.readouterr().out.split())

    def test_unmeasured_bounds_have_a_reason(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, value in (("ROUNDS", 2), ("CALLS", 50), ("LOADS", 1), ("EVENTS", 1),
                            ("MODEL_ROUNDS", 1), ("MODEL_OBJECTS", 100)):  # fmt: skip
            monkeypatch.setattr(bounds, name, value)
        assert bench("churn", "--bounds") in (0, 1)
        rows = capsys.readouterr().out.partition("\nbound ")[2].splitlines()[1:]
        assert len(rows) == 20 + 20 + 2 + 2 + 2 + 1 + 1 + 2 + 2
        unknown = [row for row in rows if re.search("not measured: (objects-|threads was)", row)]
        assert len(unknown) == 40 + 2
        assert all(row.endswith(("holds", "MISSED")) for row in rows if row not in unknown)

    @pytest.mark.parametrize(
        ("args", "measured"),
        [
            ([], True),
            (["churn"], False),
            (["--contender", "port"], False),
            (["--trace", NETNS], False),
            (["churn", "--bounds"], True),
            (["--no-bounds"], False),
        ],
    )
    def test_options_make_the_plan(
        self, monkeypatch: pytest.MonkeyPatch, args: list[str], measured: bool
    ) -> None:
        """Bounds are checked if all workloads are run with all contenders."""
        plans: list[run_module.Plan] = []

        def measure(plan: run_module.Plan, results: Results, *_: object) -> None:
            plans.append(plan)
            results.partial = False

        monkeypatch.setattr("percpu_ffi.cli.bench.measure_all", measure)
        numbers = "--objects 11 --live 12 --seed 13 --cpus 3 --repeat 14 --seconds 15"
        assert main(["bench", *numbers.split(), *args]) == 0
        (plan,) = plans
        assert plan.options == Options(objects=11, live=12, seed=13, cpus=3)
        assert (plan.repeat, plan.seconds, plan.bounds) == (14, 15.0, measured)
        assert plan.contenders == (["port"] if "port" in args else [])

    @pytest.mark.parametrize(("figure", "status"), [(0.5, 0), (1.5, 1)])
    def test_missed_bound_sets_the_status(
        self, monkeypatch: pytest.MonkeyPatch, figure: float, status: int
    ) -> None:
        monkeypatch.setattr(
            run_module, "BOUNDS", [lambda _: [BoundResult("it", 1.0, True, [figure])]]
        )
        assert bench("objects-1024", "--bounds") == status

    @pytest.mark.parametrize("turns", [0, 5, 9, 11])
    def test_interrupted_run_keeps_complete_repetitions(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        turns: int,
    ) -> None:
        """Two contenders take turns; a number is a repetition, L a run for the latencies.

        objects-64  1 1 2 2 L L    objects-256  1 1 2 2 L L
        stopped at  0         5                       9   11
        """
        left = turns
        open_port, open_empty = CONTENDERS["port"].open, CONTENDERS["empty"].open

        def until_stopped(open_: Any) -> Any:
            def opener(workload: Workload) -> Any:
                nonlocal left
                if not left:
                    raise KeyboardInterrupt
                left -= 1
                return open_(workload)

            return opener

        for name, open_ in (("port", open_port), ("empty", open_empty)):
            stopping = CONTENDERS[name]._replace(open=until_stopped(open_))
            monkeypatch.setitem(contenders.CONTENDERS, name, stopping)
        out = tmp_path / "a.json"
        chosen = ("--contender", "port", "--contender", "empty")
        assert bench("objects-64", "objects-256", *chosen, "--json", str(out)) == 130
        assert "interrupted" in capsys.readouterr().err
        if not turns:
            assert not out.exists()  # an older file would be kept
            return
        results = load(out)
        assert results.partial
        kept = {each.name: each.whole_repetitions for each in results.workloads}
        expected = {5: {"objects-64": 2}, 9: {"objects-64": 2, "objects-256": 1},
                    11: {"objects-64": 2, "objects-256": 2}}  # fmt: skip
        assert kept == expected[turns]

    def test_compare(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
        save(some_results(), a)
        other = some_results()
        del other.workloads[0].phases[1:]
        figures = other.workloads[0].phases[0].contenders
        figures["port"].ns = [30.0, 33.0, 40.0]
        del figures["upstream"]
        other.partial = True
        save(other, b)
        assert bench("--compare", a, b) == 0
        out = capsys.readouterr().out
        row = next(line for line in out.splitlines() if line.startswith("objects-4 "))
        assert row.split()[2:] == ["port", "11.0", "+-5%", "33.0", "+-8%", "3.00", "slower"]
        assert "B, interrupted" in out
        assert "only in A, completely or in part: objects-4" in out

    def test_different_options_are_reported(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
        save(some_results(), a)
        other = some_results()
        other.options["live"] = 7
        save(other, b)
        assert bench("--compare", a, b) == 0
        assert "live 40 in A, 7 in B" in capsys.readouterr().out
        assert bench("--compare", a, a) == 0
        assert "workloads with the same name differ" not in capsys.readouterr().out

    def test_broken_pipe_loses_no_figures(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`percpu-ffi bench --json a.json | head`: head ends before the second table."""

        def gone(_: object) -> None:
            raise BrokenPipeError

        monkeypatch.setattr("percpu_ffi.cli.bench.workload_tables", gone)
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        out = tmp_path / "a.json"
        with pytest.raises(BrokenPipeError):
            run(parser.parse_args(["churn", "--objects", "200", "--repeat", "1", "--seconds", "0",
                                   "--no-memory", "--json", str(out)]))  # fmt: skip
        results = load(out)
        assert results.partial
        assert [each.name for each in results.workloads] == ["churn"]

    def test_chart(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        chart = tmp_path / "a.svg"
        assert bench("churn", "--plot", str(chart)) == 0
        assert "<svg" in chart.read_text()
        assert "<title>Nanoseconds per operation of " in chart.read_text()

    def test_recording_on_standard_input(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A file named ``-`` is not meant."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "-").write_text("no recording")
        text = io.BytesIO(b"percpu_alloc_percpu: reserved=0 is_atomic=0 size=16 align=8 "
                          b"base_addr=0 off=0 ptr=1\n")  # fmt: skip
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text))
        numbers = "--objects 1 --repeat 1 --seconds 0 --contender port"
        assert bench("--trace", "-", *numbers.split()) == 0
        assert "\nstdin: 1 operation of a real kernel, 1 time over" in capsys.readouterr().out

    def test_chart_needs_an_extra(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("percpu_ffi._util.optional.find_spec", lambda _: None)
        assert bench("churn", "--plot", "a.svg") == 2
        assert "pip install 'percpu_ffi[plot]'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["dance"], "workload 'dance': there are objects-4,"),
            (["--contender", "slub"], "contender 'slub': there are port,"),
            (["--repeat", "0"], "--repeat 0: from 1"),
            (["--seconds", "-1"], "--seconds -1.0: from 0"),
            (["--live", "0"], "--live 0: from 1"),
            (["--cpus", "0"], "--cpus 0: from 1 to 65,536"),
            (["--json", "nowhere/a.json"], "--json nowhere/a.json: a file"),
            (["--json", "/"], "--json /: a file"),
            (["--plot", "a.dance"], "--plot a.dance: a file that ends in .svg, .png, .pdf"),
            (["--trace", "nowhere"], "No such file"),
            (["--compare", __file__, __file__], "that bench --json wrote"),
        ],
    )
    def test_errors_are_one_sentence(
        self, capsys: pytest.CaptureFixture[str], args: list[str], words: str
    ) -> None:
        assert bench(*args) == 2
        err = capsys.readouterr().err
        assert err.startswith("percpu-ffi: ")
        assert words in err
        assert err.count("\n") == 1
