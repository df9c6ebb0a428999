# SPDX-License-Identifier: GPL-2.0-only
"""Results as columns: those of ``--csv`` and ``--json``, as pandas and polars take them."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from conftest import FORK, NETNS, SAMPLES, OnePage

from percpu_ffi import Trace
from percpu_ffi._util.columns import columns_of_rows
from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.comparison import Comparison
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.keys import FIGURES
from percpu_ffi.analysis.size_summary import summarise
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.cli import main

STACKS = str(SAMPLES / "netns_stacks.trace")
EXACT, LARGE = 2**53, 2**53 + 1  # the second one is the first integer that float64 lacks
SETUPS: list[dict[str, Any]] = [{"cpus": 2}, {"cpus": 0}, {"cpus": 2, "policy": "bitmap"}]
FRAMES = pytest.mark.parametrize("library", ["pandas", "polars"])


def frame_of(library: str, columns: dict[str, list[Any]]) -> Any:
    why = f"{library} is not installed; polars has no wheel for free-threaded CPython"
    return pytest.importorskip(library, reason=why).DataFrame(columns)


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 0
    return capsys.readouterr().out


def rows_of_csv(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(text.splitlines())]


def as_csv(columns: dict[str, list[Any]]) -> list[dict[str, str]]:
    """Return the rows as a reader of CSV finds them."""
    rows = zip(*columns.values(), strict=True)
    texts = (["" if value is None else str(value) for value in row] for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in texts]


def with_none(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace empty texts, which stand for unknown ones in JSON."""
    return [{name: None if x == "" else x for name, x in row.items()} for row in rows]


def as_rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


class TestWho:
    @pytest.mark.parametrize(
        ("path", "cull"), [(FORK, "site"), (FORK, "size,pid,task"), (STACKS, "caller,atomic,gfp")]
    )
    def test_columns_are_those_of_csv(
        self, path: str, cull: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        columns = who(Trace.load(path), cull).columns()
        rows = rows_of_csv(printed(capsys, "who", path, "--cull", cull, "--csv"))
        assert [*columns] == [*rows[0]]
        assert as_csv(columns) == rows

    @pytest.mark.parametrize("cull", ["caller", "stacktrace,task,atomic"])
    def test_columns_are_those_of_json(self, cull: str, capsys: pytest.CaptureFixture[str]) -> None:
        columns = who(Trace.load(STACKS), cull).columns()
        report = json.loads(printed(capsys, "who", STACKS, "--cull", cull, "--json"))
        assert as_rows(columns) == with_none(report["rows"])

    def test_an_unknown_key_is_none_and_one_that_is_false_or_zero_is_not(self) -> None:
        columns = who(Trace.from_ops([("alloc", "a", 0, 8)]), "site,size,atomic").columns()
        assert [columns[name] for name in ("site", "size", "atomic")] == [[None], [0], [False]]

    def test_columns_without_rows(self) -> None:
        assert who(Trace.from_ops([])).columns() == {name: [] for name in ("site", *FIGURES)}

    def test_a_result_is_pickled_and_equal(self) -> None:
        found = who(Trace.load(FORK))
        assert pickle.loads(pickle.dumps(found)) == found

    def test_a_result_in_one_line(self) -> None:
        ops = [("alloc", "a", 1000, 8), ("alloc", "b", 24, 8), ("free", "b")]
        assert repr(who(Trace.from_ops(ops), "size,align")) == (
            "<CallSites, 2 rows by size, align, bytes of one CPU's copies, lifetimes in "
            "operations: 1,024 bytes in 2 areas at the peak, 1,000 in 1 at the end>"
        )
        timed = who(Trace.from_ops(ops, times=[1, 2, 3]), copies=1)
        assert "1 row by site, bytes of one CPU's copies: 1,024 bytes in" in repr(timed)
        machine = who(Trace.from_ops(ops, times=[1, 2, 3]), copies=2)
        assert "bytes of 2 copies: 2,048 bytes in 2 areas" in repr(machine)


class TestSizes:
    def test_columns_are_those_of_csv(self, capsys: pytest.CaptureFixture[str]) -> None:
        columns = sizes(Trace.load(FORK)).columns()
        rows = rows_of_csv(printed(capsys, "sizes", FORK, "--csv"))
        assert {row.pop("trace") for row in rows} == {FORK}
        assert [*columns] == [*rows[0]]
        assert as_csv(columns) == rows

    def test_columns_with_callers_are_those_of_json(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        columns = sizes(Trace.load(STACKS), callers=True).columns()
        report = json.loads(printed(capsys, "sizes", STACKS, "--callers", "--json"))
        assert as_rows(columns) == report["parts"][0]["sizes"]

    def test_an_unknown_caller_is_none(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8), ("alloc", "b", 16, 8)])
        trace.kinds[1] = trace.kinds[1]._replace(site="mm_init+0x1")
        assert sizes(trace, callers=True).columns()["caller"] == [None, "mm_init"]
        assert "caller" not in sizes(trace).columns()

    def test_the_columns_of_a_summary_are_those_of_csv(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        columns = summarise(sizes(Trace.load(FORK))).columns()
        rows = rows_of_csv(printed(capsys, "sizes", FORK, "--summary", "--csv"))
        del rows[0]["trace"]
        assert [*columns] == [*rows[0]]
        assert as_csv(columns) == rows

    def test_a_summary_of_nothing_has_the_same_columns(self) -> None:
        nothing, some = (
            summarise(sizes(Trace.from_ops(ops))).columns() for ops in ([], [("alloc", 1, 8, 8)])
        )
        assert [*nothing] == [*some]
        assert nothing["peak_up_to_8"] == nothing["alloc_mean"] == nothing["atomic"] == [None]

    def test_a_result_in_one_line(self) -> None:
        ops = [("alloc", "a", 1024, 8), ("free", "a"), ("alloc", "b", 24, 8)]
        assert repr(sizes(Trace.from_ops(ops))) == (
            "<Distribution, 2 allocations of 1,048 bytes, 1 area of 1,024 bytes at the peak>"
        )


class TestCompare:
    def test_columns_are_those_of_csv(self, capsys: pytest.CaptureFixture[str]) -> None:
        setups = [{"cpus": cpus, "unit_size": 65536} for cpus in (2, 0)]
        columns = compare(Trace.load(NETNS), setups).columns()
        rows = rows_of_csv(
            printed(capsys, "compare", NETNS, "--cpus", "2,0", "--unit-size", "64K", "--csv")
        )
        kernel = {name for name in rows[0] if name.startswith("kernel_")}
        rows = [{name: x for name, x in row.items() if name not in kernel} for row in rows]
        assert len(kernel) == 2
        assert [*columns] == [*rows[0]]
        assert as_csv(columns) == rows

    def test_columns_are_those_of_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """There the counts of work are one object, and the reasons of failures another."""
        columns = compare(Trace.load(NETNS), [{"cpus": 2}]).columns()
        report = json.loads(printed(capsys, "compare", NETNS, "--cpus", "2", "--json"))
        (row,) = report["geometries"]
        del row["failure_reasons"]
        for call in ("alloc", "free"):
            row |= {f"{call}_{name}": n for name, n in row.pop(f"work_{call}").items()}
        assert as_rows(columns) == [row]

    def test_figures_of_a_refused_geometry_are_none(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        found = compare(trace, SETUPS)
        columns = found.columns()
        assert columns["cpus"] == [2, 0, 2]
        assert columns["pages"][1] is columns["alloc_tree_steps"][1] is None
        assert [bool(why) for why in columns["refused"]] == [False, True, False]
        assert repr(found) == "<Comparison, 3 geometries, 1 refused>"
        assert repr(Comparison(found[:1])) == "<Comparison, 1 geometry>"

    def test_columns_without_rows(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        some, nothing = compare(trace, SETUPS).columns(), Comparison().columns()
        assert nothing == {name: [] for name in some}

    def test_a_comparison_is_pickled_and_equal(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        found = compare(trace, SETUPS)
        again = pickle.loads(pickle.dumps(found))
        assert again == found == compare(trace, SETUPS)
        assert type(again) is Comparison


@FRAMES
class TestFrames:
    def test_results_become_frames(self, library: str) -> None:
        trace = Trace.load(STACKS)
        policies = {"own": OnePage}
        setups = [*SETUPS, {"cpus": 2, "policy": "own"}]  # without hidden bytes
        results = (
            who(trace, "caller,pid,task,stacktrace"),
            sizes(trace, callers=True),
            summarise(sizes(trace)),
            compare(trace, setups, policies=policies),
        )
        for result in results:
            columns = result.columns()
            frame = frame_of(library, columns)
            assert [*frame.columns] == [*columns]
            for name, values in columns.items():
                series = frame[name]
                nulls = series.isna() if library == "pandas" else series.is_null()
                assert [*nulls] == [value is None for value in values]
                known = zip([*series], values, strict=True)
                assert all(value is None or given == value for given, value in known)

    def test_dtypes(self, library: str) -> None:
        frame = frame_of(library, who(Trace.load(STACKS), "caller,atomic").columns())
        kinds = {"pandas": ("str", "bool", "int64"), "polars": ("String", "Boolean", "Int64")}
        names = ("caller", "atomic", "peak_bytes")
        wanted = kinds[library]
        if library == "pandas" and frame["caller"].dtype == object:
            wanted = ("object", *wanted[1:])  # as before pandas 3
        assert tuple(str(frame[name].dtype) for name in names) == wanted

    def test_a_small_figure_with_unknown_ones(self, library: str) -> None:
        """Pandas has them in float64, which is exact; ``convert_dtypes()`` makes Int64 of it."""
        frame = frame_of(library, columns_of_rows(["n"], [[EXACT], [None]]))
        if library == "pandas":
            assert str(frame["n"].dtype) == "float64"
            assert str(frame.convert_dtypes()["n"].dtype) == "Int64"
        else:
            assert str(frame["n"].dtype) == "Int64"
        assert int(frame["n"][0]) == EXACT

    # float64 made 9007199254740992 of it, without a word
    @pytest.mark.parametrize("large", [LARGE, -LARGE])
    def test_a_large_time_with_unknown_ones_is_exact(self, library: str, large: int) -> None:
        """Such as the first allocation of a machine that has been up for 105 days."""
        frame = frame_of(library, columns_of_rows(["n"], [[large], [None]]))
        assert frame["n"][0] == large
        if library == "pandas":
            assert str(frame["n"].dtype) == "object"
            assert frame["n"].astype("Int64")[0] == large

    def test_large_times_that_are_all_known_are_integers(self, library: str) -> None:
        frame = frame_of(library, columns_of_rows(["n"], [[LARGE], [1]]))
        assert str(frame["n"].dtype).lower() == "int64"
        assert frame["n"][0] == LARGE


def test_a_column_of_large_integers_is_a_list_and_an_array_of_objects() -> None:
    column: Any
    (column,) = columns_of_rows(["n"], [[LARGE], [None]]).values()
    assert column == [LARGE, None]
    assert json.dumps(column) == f"[{LARGE}, null]"
    assert np.asarray(column).tolist() == [LARGE, None]
    assert np.asarray(column).dtype == object
    assert column.__array__("float64").dtype == np.asarray(column, "float64").dtype == float
