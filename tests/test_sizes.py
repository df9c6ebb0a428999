# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi sizes``: the distribution of sizes and alignments in traces.

Two traces of a few operations, ``-`` live, ``x`` freed:

    few    a  16, 8   o-------x        many   d   3, 1   o-x
           b  16, 4     o-------...           e  16, 8       o---...
           c 100, 8       o-----...           f 200, 8         o-...
    peak              here: a, b, c    peak                 here: e, f
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from percpu_ffi import Trace
from percpu_ffi.analysis.sizes import sizes, total
from percpu_ffi.cli import main

FEW = [("alloc", "a", 16, 8), ("alloc", "b", 16, 4), ("alloc", "c", 100, 8), ("free", "a")]
MANY = [("alloc", "d", 3, 1), ("free", "d"), ("alloc", "e", 16, 8), ("alloc", "f", 200, 8)]


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Trace.from_ops(FEW).save("few")
    return "few"


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Trace.from_ops(MANY).save("many")
    return "many"


def test_table_and_histogram(few: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sizes", few]) == 0
    assert capsys.readouterr().out == (
        """\
bytes are those of one CPU's copies; at peak: live at the peak of the trace; to here: \
share of allocations in this row and those above

few: 3 allocations of 132 bytes, 3 areas of 132 bytes at peak

                                              at peak
  size  align  allocs  share  to here  bytes    areas  share  bytes
    16      4       1  33.3%    33.3%     16        1  33.3%     16
    16      8       1  33.3%    66.7%     16        1  33.3%     16
   100      8       1  33.3%   100.0%    100        1  33.3%    100

  sizes    allocs                                  at peak
  9-16      66.7%  ##############################    66.7%  ##############################
  17-32      0.0%                                     0.0%
  33-64      0.0%                                     0.0%
  65-128    33.3%  ###############                   33.3%  ###############
"""
    )


def test_several_traces_are_added_up(
    few: str, many: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sizes", few, many, "--csv"]) == 0
    assert capsys.readouterr().out == (
        """\
trace,size,align,allocs,share,cumulative,bytes,peak_areas,peak_share,peak_bytes
few,16,4,1,0.333333,0.333333,16,1,0.333333,16
few,16,8,1,0.333333,0.666667,16,1,0.333333,16
few,100,8,1,0.333333,1.0,100,1,0.333333,100
many,3,1,1,0.333333,0.333333,3,0,0.0,0
many,16,8,1,0.333333,0.666667,16,1,0.5,16
many,200,8,1,0.333333,1.0,200,1,0.5,200
total,3,1,1,0.166667,0.166667,3,0,0.0,0
total,16,4,1,0.166667,0.333333,16,1,0.2,16
total,16,8,2,0.333333,0.666667,32,2,0.4,32
total,100,8,1,0.166667,0.833333,100,1,0.2,100
total,200,8,1,0.166667,1.0,200,1,0.2,200
"""
    )


def test_text_of_several_traces(few: str, many: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sizes", few, many]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if "allocations of" in line]
    assert titles == [
        "few: 3 allocations of 132 bytes, 3 areas of 132 bytes at peak",
        "many: 3 allocations of 219 bytes, 2 areas of 216 bytes at peak",
        "total: 6 allocations of 351 bytes, 5 areas of 348 bytes at the peaks",
    ]


def test_histogram_of_single_sizes(few: str, capsys: pytest.CaptureFixture[str]) -> None:
    Trace.from_ops([("alloc", "a", 1, 1), ("alloc", "b", 1, 1), ("alloc", "c", 2, 2)]).save(few)
    assert main(["sizes", few]) == 0
    assert capsys.readouterr().out.endswith(
        """\

  sizes   allocs                                  at peak
  1        66.7%  ##############################    66.7%  ##############################
  2        33.3%  ###############                   33.3%  ###############
"""
    )


def test_json(few: str, many: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sizes", few, many, "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert [part["trace"] for part in parts] == ["few", "many", None]
    assert [part["cpus"] for part in parts] == [0, 0, None]  # unknown, and of all together
    figures = {name: parts[2][name] for name in ("allocs", "bytes", "peak_areas", "peak_bytes")}
    assert figures == {"allocs": 6, "bytes": 351, "peak_areas": 5, "peak_bytes": 348}
    assert parts[0]["recording"]["columns"] == [
        "kind",
        "key",
        "size",
        "align",
        "atomic",
        "reserved",
    ]
    assert (parts[2]["recording"], parts[2]["cpus"]) == (None, None)
    assert parts[0]["lost_events"] == parts[0]["orphan_frees"] == parts[0]["reallocs"] == 0
    assert parts[0]["sizes"][2] == {
        "size": 100,
        "align": 8,
        "allocs": 1,
        "share": 0.333333,
        "cumulative": 1.0,
        "bytes": 100,
        "peak_areas": 1,
        "peak_share": 0.333333,
        "peak_bytes": 100,
    }
    assert parts[0]["histogram"][0] == {
        "from_size": 9,
        "to_size": 16,
        "allocs": 2,
        "share": 0.666667,
        "bytes": 32,
        "peak_areas": 2,
        "peak_share": 0.666667,
        "peak_bytes": 32,
    }


def test_buckets_end_with_a_power_of_two() -> None:
    """As in the caches of kmalloc: 8 bytes are in one bucket with 5, not with 9."""
    ops = [("alloc", size, size, 1) for size in (-3, 0, 1, 2, 3, 4, 5, 8, 9, 2**40)]
    buckets = sizes(Trace.from_ops(ops)).histogram()
    assert [(each.from_size, each.to_size, each.allocs) for each in buckets[:6]] == [
        (0, 0, 2),
        (1, 1, 1),
        (2, 2, 1),
        (3, 4, 2),
        (5, 8, 2),
        (9, 16, 1),
    ]
    assert buckets[-1].to_size == 2**40
    assert len(buckets) == 42


def test_call_sites_do_not_matter() -> None:
    trace = Trace.from_ops(FEW)
    trace.kinds[1] = trace.kinds[0]._replace(site="mm_init")
    assert [(row.size, row.allocs) for row in sizes(trace).rows()] == [(16, 2), (100, 1)]


def test_no_allocations(few: str, capsys: pytest.CaptureFixture[str]) -> None:
    Trace.from_ops([]).save("none")
    assert main(["sizes", "none"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\nnone: 0 allocations of 0 bytes, 0 areas of 0 bytes at peak\n")
    assert main(["sizes", "none", few]) == 0
    assert not total([]).rows()
    assert not total([]).histogram()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere"], "No such file"),
        (["few", "empty"], "the file is empty"),
        (["few", "--plot", "a.dance"], "--plot a.dance: a file that ends in .svg, .png, .pdf"),
    ],
)
@pytest.mark.usefixtures("few")
def test_errors_are_one_sentence(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    Path("empty").touch()
    assert main(["sizes", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


class TestPlot:
    @pytest.fixture(autouse=True)
    def _matplotlib(self) -> None:
        pytest.importorskip("matplotlib")

    @pytest.mark.parametrize(("suffix", "head"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
    def test_chart_has_the_format_of_its_suffix(
        self, few: str, many: str, tmp_path: Path, suffix: str, head: bytes
    ) -> None:
        chart = tmp_path / f"chart.{suffix}"
        assert main(["sizes", few, many, "--plot", str(chart)]) == 0
        assert chart.read_bytes().startswith(head)

    def test_names_are_not_formulas(self, few: str, tmp_path: Path) -> None:
        (tmp_path / few).rename(tmp_path / "_$\\frac$")
        assert main(["sizes", "_$\\frac$", "--plot", "a.svg"]) == 0
        text = (tmp_path / "a.svg").read_text(encoding="utf-8")
        assert "live areas at the peak: _$\\frac$</title>" in text  # for a screen reader

    def test_many_traces_have_no_legend(self, few: str, tmp_path: Path) -> None:
        assert main(["sizes", *[few] * 13, "--plot", "a.svg"]) == 0
        assert (tmp_path / "a.svg").stat().st_size

    def test_chart_cannot_be_written(
        self, few: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = sorted(tmp_path.iterdir())
        assert main(["sizes", few, "--plot", "nowhere/a.svg"]) == 2
        assert "--plot nowhere/a.svg: a file in a folder" in capsys.readouterr().err
        assert sorted(tmp_path.iterdir()) == before


def test_csv_is_read_by_csv(few: str, capsys: pytest.CaptureFixture[str]) -> None:
    Trace.load(few).save('a,"b"')
    assert main(["sizes", 'a,"b"', "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert {row[0] for row in rows[1:]} == {'a,"b"'}
    assert {len(row) for row in rows} == {10}


class TestMachine:
    """``--machine`` multiplies bytes by the possible CPUs of each trace's own machine."""

    @pytest.fixture(autouse=True)
    def _on_machines(self, few: str, many: str) -> None:
        for name, cpus in ((few, 10), (many, 1000)):
            trace = Trace.load(name)
            trace._data.machine["possible_cpus"] = cpus
            trace.save(name)

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "--machine"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("bytes are those of the copies of 10 possible CPUs (--machine); at ")
        assert "few: 3 allocations of 1,320 bytes, 3 areas of 1,320 bytes at peak\n" in out
        assert "\n   100      8       1  33.3%   100.0%  1,000        1  33.3%  1,000\n" in out

    def test_each_trace_has_its_own_factor(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "many", "--machine"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("bytes are those of the copies of each machine's possible CPUs (")
        assert "\nmany: 3 allocations of 219,000 bytes, 2 areas of 216,000 bytes at peak\n" in out
        assert "\ntotal: 6 allocations of 220,320 bytes, 5 areas of 217,320 bytes at the" in out
        assert main(["sizes", "few", "many", "--machine", "--csv"]) == 0
        assert "total,16,8,2,0.333333,0.666667,16160,2,0.4,16160" in capsys.readouterr().out

    def test_json_has_the_factor(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "many", "--machine", "--json"]) == 0
        parts = json.loads(capsys.readouterr().out)["parts"]
        assert [part["possible_cpus"] for part in parts] == [10, 1000, None]
        assert [part["bytes"] for part in parts] == [132, 219, 351]

    def test_unknown_machine(self, capsys: pytest.CaptureFixture[str]) -> None:
        Trace.from_ops(FEW).save("unknown")
        for options in ([], ["--json"]):
            assert main(["sizes", "few", "unknown", "--machine", *options]) == 2
            assert "--machine: the recording does not have the number of" in capsys.readouterr().err


def test_failures_of_the_kernel(few: str, capsys: pytest.CaptureFixture[str]) -> None:
    fail = "percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=16 align=8\n"
    Path("fails").write_text(f" nft-900 [000] ..... 10.0: {fail}" * 3)
    assert main(["sizes", "fails"]) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        "\nfails: 0 allocations of 0 bytes, 0 areas of 0 bytes at peak\n3 allocations failed in "
        "the recorded kernel, and count in no figure: 3 x 16 bytes, aligned to 8, atomic\n"
    )
    assert main(["sizes", "fails", few, "--json"]) == 0
    part = json.loads(capsys.readouterr().out)["parts"][0]
    assert part["recording"]["kernel_failures"] == [
        {"size": 16, "align": 8, "atomic": True, "count": 3}
    ]
