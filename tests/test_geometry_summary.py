# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare --summary``: a line for each trace."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import Trace
from percpu_ffi.cli import main

ALONE = ("--with", "alone=conftest:OnePage")


@pytest.fixture
def traces(tmp_path: Path) -> list[str]:
    """Return two traces; pages have 64 bytes, and the static area is one.

    few   three areas of a page, of which one is left
    many  20 areas of a page and a half; then one that is larger than the policy of 2009 allows
    """
    few = [*(("alloc", key, 64, 4) for key in range(3)), ("free", 0), ("free", 1)]
    many = [*(("alloc", key, 96, 4) for key in range(20)), ("alloc", "large", 1500, 4)]
    for name, ops in (("few", few), ("many", many)):
        Trace.from_ops(ops, TINY).save(tmp_path / f"{name}.trace")
    return [str(tmp_path / "few.trace"), str(tmp_path / "many.trace")]


def run(*args: str) -> int:
    return main(["compare", "--summary", *args])


def test_table_for_each_unit(traces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The smallest unit first; pages of one of the two CPUs, with the static one.

    Where a request fails there are fewer live bytes at the peak.
    """
    assert run(*traces, "--unit-size", "2K,1K", "--first-chunk", "4k", *ALONE) == 0
    assert (
        capsys.readouterr().out
        == """\
Bytes and pages of one CPU: live bytes at the peak, pages at the peak and at the end, static ones
included.

units of 1K
                area-map 4k:       alone:
  trace  bytes          peak  end    peak  end
  few      192             4    4       4    2
  many   1,920            31   31      41   41
  all    2,112            35   35      45   43

units of 2K
                area-map 4k:       alone:
  trace  bytes          peak  end    peak  end
  few      192             4    4       4    2
  many   3,420            31   31      65   65
  all    3,612            35   35      69   67

many.trace, area-map 4k, units of 2K: 1 failed
many.trace, area-map 4k, units of 1K: 1 failed
many.trace, alone, units of 1K: 1 failed
"""
    )


def test_one_trace_has_no_total(traces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(traces[0], "--unit-size", "64K", "--policy", "bitmap") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["units", "bitmap:", "trace", "few"]


def test_traces_of_other_policies_have_their_own_columns(
    traces: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --policy each trace has that of its set-up."""
    Trace.from_ops([("free", 1)], {**TINY, "policy": "bitmap"}).save(tmp_path / "other")
    assert run(traces[0], str(tmp_path / "other"), "--unit-size", "64K") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[4:]]
    assert rows[0] == ["area-map", "4k:", "bitmap:"]
    assert rows[2] == ["few", "192", "4", "4", "-", "-"]
    assert rows[3][:4] == ["other", "0", "-", "-"]
    assert rows[4] == ["all", "192", "-", "-", "-", "-"]


def test_rows_that_differ_in_another_setting(
    traces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They have columns in the order of the values: static areas of one page, and of two."""
    sizes = ["--static-size", "64,128"]
    assert run(traces[0], "--first-chunk", "4k", "--unit-size", "1K", *sizes) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[4:]]
    assert rows[0] == ["area-map", "4k:"] * 2
    assert rows[2] == ["few", "192", "4", "4", "5", "5"]


def test_refused_geometry(traces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It has no figures, and neither has its total."""
    assert run(*traces, "--unit-size", "128", "--first-chunk", "4k", *ALONE) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:2] == "  "}
    assert rows["few"] == ["192", "-", "-", "4", "2"]
    assert rows["all"] == ["2,112", "-", "-", "45", "43"]
    assert "\nfew.trace, area-map 4k, units of 128: refused: static_size=64, unit_size=128" in out


def test_all_refused(traces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*traces, "--unit-size", "128", "--first-chunk", "4k") == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["few", "-", "-", "-"] in rows
    assert ["all", "-", "-", "-"] in rows


def test_json_has_the_report_of_each_trace(
    traces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*traces, "--unit-size", "1K", "--json") == 0
    reports = json.loads(capsys.readouterr().out)["traces"]
    assert [report["trace"] for report in reports] == ["few.trace", "many.trace"]
    assert [len(report["geometries"]) for report in reports] == [1, 1]
    assert main(["compare", traces[1], "--unit-size", "1K", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == reports[1]


def test_csv_has_the_lines_of_each_trace(
    traces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*traces, "--unit-size", "1K,2K", "--csv") == 0
    rows = [*csv.DictReader(capsys.readouterr().out.splitlines())]
    assert [row.pop("trace") for row in rows] == ["few.trace"] * 2 + ["many.trace"] * 2
    assert main(["compare", traces[1], "--unit-size", "1K,2K", "--csv"]) == 0
    assert [*csv.DictReader(capsys.readouterr().out.splitlines())] == rows[2:]


def test_several_traces_need_it(traces: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *traces]) == 2
    assert "several traces: add --summary, or give one" in capsys.readouterr().err


@pytest.mark.parametrize("ops", [[], None])
def test_trace_that_cannot_be_used(
    ops: Any, traces: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and there is no report of the others."""
    path = tmp_path / "bad"
    if ops is not None:
        Trace.from_ops(ops).save(path)
    assert run(traces[0], str(path)) == 2
    captured = capsys.readouterr()
    assert str(path) in captured.err
    assert captured.out == ""
