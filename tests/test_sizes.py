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
from dataclasses import replace
from pathlib import Path

import pytest

from percpu_ffi import Trace
from percpu_ffi.analysis.size_summary import power_of_two, summarise
from percpu_ffi.analysis.sizes import Request, sizes, total
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


class TestSummary:
    """``--summary``: a line for each trace, and the histogram of all together."""

    def test_text(self, few: str, many: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", few, many, "--summary"]) == 0
        assert capsys.readouterr().out == (
            """\
bytes are those of one CPU's copies; mean, median, largest: bytes of an area, on one CPU
sizes: how many distinct ones; up to: of at most so many bytes
to 4, to 2^n: bytes at peak, rounded up to multiples of 4, to powers of two, / bytes

         allocations:                               at peak:
  trace        number  atomic  sizes  mean  median     areas  bytes   mean  median  largest  to 4  to 2^n
  few               3      0%      2  44.0      16         3    132   44.0      16      100  1.00    1.21
  many              3      0%      3  73.0      16         2    216  108.0      16      200  1.00    1.26
  total             6      0%      4  58.5      16         5    348   69.6      16      200  1.00    1.24

         % of allocations up to        % of areas at peak up to      % of bytes at peak up to
  trace     8    16    64   256  1024     8    16    64   256  1024     8    16    64   256  1024
  few       0    67    67   100   100     0    67    67   100   100     0    24    24   100   100
  many     33    67    67   100   100     0    50    50   100   100     0     7     7   100   100
  total    17    67    67   100   100     0    60    60   100   100     0    14    14   100   100

  sizes     allocs                                  at peak
  3-4        16.7%  ########                           0.0%
  5-8         0.0%                                     0.0%
  9-16       50.0%  #########################         60.0%  ##############################
  17-32       0.0%                                     0.0%
  33-64       0.0%                                     0.0%
  65-128     16.7%  ########                          20.0%  ##########
  129-256    16.7%  ########                          20.0%  ##########
"""  # noqa: E501
        )

    def test_csv(self, few: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", few, "--summary", "--csv"]) == 0
        (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
        assert row == {
            "trace": "few", "atomic": "0.0",
            **{f"{kind}_{name}": value for kind in ("alloc", "peak") for name, value in {
                "areas": "3", "bytes": "132", "sizes": "2", "mean": "44.0", "median": "16",
                "largest": "100", "rounded": "1.0", "in_powers": "1.212",
                "up_to_8": "0.0", "up_to_16": "0.666667", "up_to_64": "0.666667",
                "up_to_256": "1.0", "up_to_1024": "1.0",
                "bytes_up_to_8": "0.0", "bytes_up_to_16": "0.242424", "bytes_up_to_64": "0.242424",
                "bytes_up_to_256": "1.0", "bytes_up_to_1024": "1.0",
            }.items()},
        }  # fmt: skip

    def test_json_always_has_it(self, many: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", many, "--json"]) == 0
        (part,) = json.loads(capsys.readouterr().out)["parts"]
        assert part["summary"]["atomic"] == 0
        assert part["summary"]["at_peak"] == {
            "areas": 2, "bytes": 216, "sizes": 2, "mean": 108.0, "median": 16, "largest": 200,
            "up_to": {"8": 0, "16": 0.5, "64": 0.5, "256": 1, "1024": 1},
            "bytes_up_to": {"8": 0, "16": 0.074074, "64": 0.074074, "256": 1, "1024": 1},
            "rounded": 1.0, "in_powers": 1.259,
        }  # fmt: skip
        assert part["summary"]["allocated"]["rounded"] == 1.005  # 3 bytes take 4

    def test_names_are_short_while_they_are_distinct(
        self, few: str, many: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for folder in ("a", "b"):
            Path(folder).mkdir()
        for source, target in ((few, "a/one.trace"), (many, "b/two.xz"), (many, "b/one.trace")):
            Path(target).write_bytes(Path(source).read_bytes())

        def names(*files: str) -> list[str]:
            assert main(["sizes", *files, "--summary"]) == 0
            figures = capsys.readouterr().out.split("\n\n")[1]
            return [line.split()[0] for line in figures.splitlines()[2:]]

        assert names("a/one.trace", "b/two.xz") == ["one", "two.xz", "total"]
        assert names("a/one.trace", "b/one.trace") == ["a/one.trace", "b/one.trace", "total"]

    def test_share_of_atomic_allocations(self) -> None:
        ops = [("alloc", key, 8, 8, ("atomic",)) for key in range(3)] + [("alloc", 9, 8, 8)]
        atomic, none = sizes(Trace.from_ops(ops)), sizes(Trace.from_ops(FEW))
        assert summarise(atomic).atomic == 0.75
        assert summarise(total([atomic, none])).atomic == pytest.approx(3 / 7, abs=1e-6)
        assert summarise(total([replace(atomic, atomic=None), none])).atomic is None

    def test_nothing_to_summarise(self, few: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Areas without a byte have no mean; a slab would still take an object for each."""
        Trace.from_ops([]).save("none")
        Trace.from_ops([("alloc", "a", 0, 1)]).save("zero")
        assert main(["sizes", "none", "zero", few, "--summary"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[6].split() == ["none", "0", *"-0--00-----"]
        assert lines[7].split() == ["zero", "1", "0%", "1", *"--10-----"]
        assert lines[13].split() == ["none", *["-"] * 15]

    def test_what_is_missing_is_said_first(
        self, few: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        event = "percpu_alloc_percpu_fail: reserved=0 is_atomic=0 size=16 align=8\n"
        orphan = "percpu_free_percpu: base_addr=0000000000001000 off=16 ptr=0000000000000010\n"
        Path("gaps").write_text(
            "CPU:0 [LOST 7 EVENTS]\n"
            + "".join(f" nft-9 [000] ..... 10.0: {each}" for each in (event, orphan))
        )
        assert main(["sizes", few, "gaps", "--summary"]) == 0
        assert capsys.readouterr().out.startswith(
            "gaps: 7 lost events: areas may be missing, or seem never freed\n"
            "gaps: 1 allocation failed in the recorded kernel, and count in no figure: 1 x 16 "
            "bytes, aligned to 8\nbytes are those of one CPU's copies; mean"
        )

    @pytest.mark.parametrize(
        ("size", "align", "object_size"),
        [(0, 1, 4), (1, 1, 4), (4, 4, 4), (5, 1, 8), (8, 64, 64), (64, 8, 64), (65, 64, 128)],
    )
    def test_slab_of_powers_of_two(self, size: int, align: int, object_size: int) -> None:
        assert power_of_two(Request(size, align)) == object_size

    def test_median_is_the_lower_one(self) -> None:
        ops = [("alloc", key, size, 1) for key, size in enumerate((4, 4, 8, 16))]
        assert summarise(sizes(Trace.from_ops(ops))).allocated.median == 4
        assert summarise(sizes(Trace.from_ops(ops[1:]))).allocated.median == 8

    def test_bytes_of_the_machine(self, few: str, capsys: pytest.CaptureFixture[str]) -> None:
        trace = Trace.load(few)
        trace._data.machine["possible_cpus"] = 10
        trace.save(few)
        assert main(["sizes", few, "--machine", "--summary"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("bytes are those of the copies of 10 possible CPUs (--machine); mean")
        assert "     3  1,320  44.0      16      100  1.00    1.21\n" in out


class TestCallers:
    """``--callers`` counts the allocations of each caller separately."""

    @pytest.fixture(autouse=True)
    def _with_call_sites(self, few: str) -> None:
        """16 bytes are from ``mm_init``, or from a helper whose caller is unknown."""
        trace = Trace.load(few)
        sites = ("mm_init+0x1", "percpu_ref_init+0x2", "mm_init+0x3")
        trace.kinds[:] = [k._replace(site=s) for k, s in zip(trace.kinds, sites, strict=True)]
        trace.save(few)

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "--callers"]) == 0
        table, histogram = capsys.readouterr().out.split("\n\n")[2:]
        assert table == (
            """\
                                                                                at peak
  caller                            size  align  allocs  share  to here  bytes    areas  share  bytes
  percpu_ref_init (caller unknown)    16      4       1  33.3%    33.3%     16        1  33.3%     16
  mm_init                             16      8       1  33.3%    66.7%     16        1  33.3%     16
  mm_init                            100      8       1  33.3%   100.0%    100        1  33.3%    100\
"""  # noqa: E501
        )
        assert histogram == (
            """\
  sizes    allocs              at peak              of
  9-16      66.7%  ##########    66.7%  ##########  mm_init 50%, percpu_ref_init (caller unknown) 50%
  17-32      0.0%                 0.0%
  33-64      0.0%                 0.0%
  65-128    33.3%  #####         33.3%  #####       mm_init 100%
"""  # noqa: E501
        )

    def test_csv(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "--callers", "--csv"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith(",peak_share,peak_bytes,caller")
        assert (
            lines[1]
            == "few,16,4,1,0.333333,0.333333,16,1,0.333333,16,percpu_ref_init (caller unknown)"
        )
        assert lines[3] == "few,100,8,1,0.333333,1.0,100,1,0.333333,100,mm_init"

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "few", "--callers", "--json"]) == 0
        (part,) = json.loads(capsys.readouterr().out)["parts"]
        assert [row["caller"] for row in part["sizes"][1:]] == ["mm_init", "mm_init"]
        assert [bucket["callers"] for bucket in part["histogram"]] == [
            {"mm_init": 1, "percpu_ref_init (caller unknown)": 1}, {}, {}, {"mm_init": 1}
        ]  # fmt: skip

    def test_most_areas_at_the_peak_come_first(self) -> None:
        """As many as another: in order of names; a caller without areas at the peak: nowhere."""
        ops = [("alloc", key, 8, align) for key, align in enumerate((1, 2, 2, 4))]
        trace = Trace.from_ops([("alloc", "gone", 8, 8), ("free", "gone"), *ops])
        trace.kinds[:] = [kind._replace(site="gbca"[i]) for i, kind in enumerate(trace.kinds)]
        (bucket,) = sizes(trace, callers=True).histogram()
        assert [*bucket.callers.items()] == [("c", 2), ("a", 1), ("b", 1)]

    def test_stacks_name_the_caller(self) -> None:
        trace = Trace.load(Path(__file__).parents[1] / "samples/fork_stacks.trace")
        callers = {request.caller for request in sizes(trace, callers=True).allocated}
        assert {"mm_init", "alloc_super"} <= callers
        assert {request.caller for request in sizes(trace).allocated} == {""}


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
        title = (
            "Cumulative distributions of the sizes of allocations, and of live areas at the peak"
        )
        assert f"<title>{title}: _$\\frac$</title>" in text  # for a screen reader

    def test_many_traces(self, few: str, tmp_path: Path) -> None:
        for number in range(12):
            (tmp_path / f"{number}").write_bytes((tmp_path / few).read_bytes())
        assert main(["sizes", *map(str, range(12)), "--plot", "a.svg"]) == 0
        assert "<title>Distributions of the sizes of" in (tmp_path / "a.svg").read_text("utf-8")

    def test_many_empty_traces(self, tmp_path: Path, few: str) -> None:
        for name in map(str, range(13)):
            Trace.from_ops([]).save(name)
        assert main(["sizes", *map(str, range(13)), "--plot", "a.png"]) == 0
        assert (tmp_path / "a.png").stat().st_size

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
