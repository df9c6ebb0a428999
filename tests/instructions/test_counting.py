# SPDX-License-Identifier: GPL-2.0-only
"""The comparison of instruction counts: when it fails, and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import counting
import pytest
from counting import Cost, Counts

OPERATIONS = 20
KEPT = Counts("gcc 12 x86_64", {"slow": Cost(200_000, OPERATIONS), "fast": Cost(1000, OPERATIONS)})
PROGRAM = Path("/build/workloads")


def fast(instructions: int, operations: int = OPERATIONS) -> Counts:
    """Return KEPT with a different cost of one workload."""
    return Counts(KEPT.builder, {**KEPT.costs, "fast": Cost(instructions, operations)})


@pytest.mark.parametrize(
    ("instructions", "good", "ending"),
    [
        (1031, False, "+3.10 %  GREW"),
        (1030, True, "+3.00 %"),
        (970, True, "-3.00 %"),
        (969, True, "-3.10 %  shrank"),
    ],
)
def test_more_than_three_per_cent_is_growth(instructions: int, good: bool, ending: str) -> None:
    verdict, table = counting.compare(KEPT, fast(instructions))
    assert verdict == good
    (row,) = (line for line in table.splitlines() if line.startswith("fast"))
    assert row.endswith(ending)


def test_table_ends_with_advice() -> None:
    assert "give the reason" in counting.compare(KEPT, fast(2000))[1]
    assert "records the new counts" in counting.compare(KEPT, fast(500))[1]
    assert "make instructions" not in counting.compare(KEPT, KEPT)[1]


def test_growth_of_one_workload_fails_although_another_shrinks() -> None:
    now = fast(500)
    now.costs["slow"] = Cost(300_000, OPERATIONS)
    verdict, table = counting.compare(KEPT, now)
    assert not verdict
    assert "give the reason" in table


@pytest.mark.parametrize(
    "now",
    [
        fast(1000, OPERATIONS + 1),
        Counts(KEPT.builder, {"fast": KEPT.costs["fast"]}),
        Counts(KEPT.builder, {**KEPT.costs, "new": Cost(1, 1)}),
    ],
    ids=["other operations", "workload missing", "workload added"],
)
def test_other_workloads_cannot_be_compared(now: Counts) -> None:
    assert counting.compare(KEPT, now) == (False, counting.OTHERS)


def test_rendered_counts_can_be_parsed() -> None:
    assert counting.parse(counting.render(KEPT)) == KEPT
    text = counting.KEPT.read_text()
    assert counting.render(counting.parse(text)) == text


# main() calls counted(), which executes 7 instructions itself and calls malloc() in libc
PROFILE = f"""\
summary: 1907

ob={PROGRAM}
fn=main
cfn=counted
calls=1 0
0 1907

ob=/lib/libc.so.6
fn=malloc
0 900
fn=free
12 1000

ob={PROGRAM}
fn=counted
0 3
cob=/lib/libc.so.6
cfn=malloc
calls=5 0
0 1900
0 4
"""


def test_only_own_instructions_are_counted() -> None:
    assert counting.own_instructions(PROFILE, PROGRAM) == 7


def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, now: Counts) -> None:
    """Replace counts.txt by KEPT, and the result of count() by ``now``."""
    file = tmp_path / "counts.txt"
    file.write_text(counting.render(KEPT))
    monkeypatch.setattr(counting, "KEPT", file)
    monkeypatch.setattr(counting, "describe", lambda _: (now.builder, {}))
    monkeypatch.setattr(counting, "count", lambda _: now)


def test_check_fails_on_growth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, tmp_path, fast(1100))
    assert counting.check(PROGRAM)
    counting.record(PROGRAM, None)
    assert not counting.check(PROGRAM)
    assert "GREW" in capsys.readouterr().out


def test_check_is_skipped_for_another_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, tmp_path, fast(9999)._replace(builder="gcc 13 x86_64"))
    assert not counting.check(PROGRAM)
    expected = "instructions: skipped, counts.txt is for gcc 12 x86_64, this is gcc 13 x86_64\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("what", "status"), [("check", 0), ("record", 1)])
def test_check_is_skipped_without_valgrind(tmp_path: Path, what: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, counting.__file__, what, str(PROGRAM)],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == "instructions: skipped, valgrind is not installed\n"
