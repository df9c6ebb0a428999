# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare --policy``: 2009 and today side by side."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import NETNS, SAMPLES

from percpu_ffi import Trace
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.cli import main

BOOT = str(SAMPLES / "boot_k61tcg.ftrace.xz")
META = str(SAMPLES / "boot_k61tcg.meta")
SMALL: dict[str, Any] = {
    "policy": "bitmap", "cpus": 2, "static_size": 64, "dyn_size": 256, "unit_size": 1024,
    "page_size": 64,
}  # fmt: skip
# 16 areas fill the first chunk; one of its second page, of 64 bytes, is freed
FULL = [*(("alloc", i, 16, 4) for i in range(16)), ("free", 5)]


def rows(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    assert main(["compare", *args, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["geometries"]
    return found


def outcome(ops: list[Any], **setup: Any) -> Outcome:
    (row,) = compare(Trace.from_ops(ops), [{**SMALL, **setup}])
    assert isinstance(row, Outcome)
    return row


class TestFigures:
    def test_hidden_bytes_are_those_of_all_cpus(self) -> None:
        row = outcome(FULL)
        assert (row.hidden, row.peak_hidden) == (2 * 16, 2 * 16)

    def test_most_hidden_bytes_at_any_time(self) -> None:
        """The page becomes empty: ####|....|####|####, and its hint right."""
        row = outcome([*FULL, *(("free", i) for i in (4, 6, 7))])
        assert (row.hidden, row.peak_hidden) == (0, 2 * 48)

    def test_nothing_is_hidden_with_the_fix(self) -> None:
        row = outcome(FULL, fixes=["chunk-hint"])
        assert (row.hidden, row.peak_hidden) == (0, 0)
        assert row.geometry["policy"] == "bitmap+chunk-hint"

    def test_the_reserved_area_counts_as_static(self) -> None:
        """6 pages, of which 64 + 64 + 256 bytes are in use: |SS|RR|areas|."""
        row = outcome(FULL[:16], reserved_size=64)
        assert (row.geometry["static_size"], row.geometry["free_size"]) == (128, 256)
        assert (row.geometry["policy"], row.geometry["first_chunk"]) == ("bitmap", None)
        # with one empty page left, the background work populates 3 of a new chunk
        assert (row.pages, row.stranded) == (2 * (6 + 3), 2 * 3 * 64)

    def test_offsets_count_from_the_chunk(self, tmp_path: Path) -> None:
        """As base_addr and off of the kernel: the static area is before the first chunk."""
        line = (
            "x-1 [0] 1.0: percpu_alloc_percpu: size=16 align=4 base_addr=0xa off={} ptr={:016x}\n"
        )
        path = tmp_path / "t"
        path.write_text("".join(line.format(16 * i, i + 1) for i in range(20)))
        (row,) = compare(Trace.load(path), [SMALL])
        assert isinstance(row, Outcome)
        # 16 fit into the first chunk; the others are at offset 0 of the next one
        assert (row.offsets_known, row.same_offsets, row.shift) == (20, 16, 0)

    def test_a_refusal_names_the_policy(self) -> None:
        (row,) = compare(Trace.from_ops(FULL), [{**SMALL, "unit_size": 64}])
        assert isinstance(row, Refusal)
        assert (row.geometry["policy"], row.geometry["first_chunk"]) == ("bitmap", None)


class TestChoice:
    def test_the_boot_of_a_kernel_under_three_policies(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        policies = ["area-map", "bitmap", "bitmap+chunk-hint"]
        old, today, fixed = rows(capsys, BOOT, "--like", META, "--policy", ",".join(policies))
        assert [row["policy"] for row in (old, today, fixed)] == policies
        assert old["static_size"] == today["static_size"]  # the reserved area included
        assert old["free_size"] == today["free_size"] == 28_672
        assert old["peak_live_bytes"] == today["peak_live_bytes"] == fixed["peak_live_bytes"]
        assert (
            today["peak_hidden"] > old["hidden"] == old["peak_hidden"] == fixed["peak_hidden"] == 0
        )
        assert all(row["steps_per_alloc"] > 10 for row in (old, today, fixed))

    @pytest.mark.parametrize("traces", [[BOOT], ["--summary", BOOT, NETNS]], ids=["one", "two"])
    def test_like_is_read_once(
        self,
        traces: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Each policy read it again, so that standard input was empty for the second one."""
        with open(META, "rb") as file:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
            assert main(["compare", *traces, "--policy", "area-map,bitmap", "--like", "-"]) == 0
        assert "2M" in capsys.readouterr().out

    def test_lists_of_one_policy_do_not_apply_to_the_other(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        args = ["--policy", "area-map,bitmap", "--first-chunk", "4k,embed", "--unit-size", "64K"]
        found = rows(capsys, NETNS, *args)
        assert [(row["policy"], row["first_chunk"]) for row in found] == [
            ("area-map", "4k"), ("area-map", "embed"), ("bitmap", None),
        ]  # fmt: skip

    def test_of_one_policy_alone_they_are_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["compare", NETNS, "--policy", "bitmap", "--first-chunk", "embed"]) == 1
        assert "policy='bitmap' has no first_chunk" in " ".join(capsys.readouterr().out.split())

    def test_default_units(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = rows(capsys, NETNS, "--policy", "bitmap")
        assert [row["unit_size"] for row in found] == [1 << 20, 256 << 10]

    def test_fixes_are_those_of_bitmaps(self, capsys: pytest.CaptureFixture[str]) -> None:
        args = ["--policy", "area-map,bitmap", "--unit-size", "64K", "--fixes", "chunk-hint"]
        found = rows(capsys, NETNS, *args)
        assert [row["policy"] for row in found] == ["area-map", "bitmap+chunk-hint"]

    def test_fixes_without_bitmaps(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["compare", NETNS, "--fixes", "chunk-hint"]) == 2
        assert "only bitmaps have it; add --policy bitmap" in capsys.readouterr().err

    def test_single_geometries(self, capsys: pytest.CaptureFixture[str]) -> None:
        args = ["--geometry", "policy=bitmap+chunk-hint,unit_size=64K", "--geometry", "cpus=8"]
        found = rows(capsys, NETNS, *args)
        assert [(row["policy"], row["unit_size"], row["cpus"]) for row in found] == [
            ("bitmap+chunk-hint", 65536, 2), ("area-map", 65536, 8),
        ]  # fmt: skip

    def test_a_trace_of_today_under_2009(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The settings that only bitmaps have are left out."""
        path = str(tmp_path / "t")
        Trace.from_ops(FULL, {**SMALL, "memory": "none"}).save(path)
        own, other = rows(capsys, path, "--policy", "bitmap,area-map", "--unit-size", "1K")
        assert (own["policy"], own["free_size"], own["hidden"]) == ("bitmap", 256, 32)
        assert (other["policy"], other["first_chunk"], other["hidden"]) == ("area-map", "4k", 0)
        (own,) = rows(capsys, path, "--unit-size", "1K")
        assert own["policy"] == "bitmap"

    @pytest.mark.parametrize(
        "policy", ["bitmaps", "", "bitmap+", "area-map+chunk-hint", "bitmap+rollback", "bitmap,"]
    )
    def test_unknown_policies(self, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["compare", NETNS, "--policy", policy])
        assert caught.value.code == 2
        assert "choose from area-map, bitmap, bitmap+chunk-hint" in capsys.readouterr().err


class TestText:
    def test_tables(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A table that is too wide becomes two, between groups of columns."""
        path = str(tmp_path / "t")
        Trace.from_ops(FULL, {**SMALL, "memory": "none"}).save(path)
        assert main(["compare", path, "--policy", "area-map,bitmap", "--unit-size", "1K"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[2:6] == [
            "                                       at peak:"
            "                            most  at end:",
            "policy    first  unit  cpus  failed  live bytes  pages    used  stranded"
            "  pages    pages  stranded",
            "area-map     4k    1K     2       0         256     10  100.0%         0"
            "     10       10        32",
            "bitmap        -    1K     2       0         256     16   62.5%       384"
            "     16       16       416",
        ]
        groups = [line.split() for line in lines if line.endswith((" hidden:", " offset:"))]
        assert groups == [["chunks:", "hidden:"], ["steps:", "offset:"]]

    def test_without_bitmaps_nothing_is_said_of_them(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compare", NETNS, "--cpus", "2"]) == 0
        out = capsys.readouterr().out
        assert "hidden" not in out
        assert "policy" not in out
        assert "the 2009 file visits" in out

    def test_bitmaps_alone_have_no_first_chunk(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["compare", NETNS, "--policy", "bitmap", "--unit-size", "64K"]) == 0
        out = capsys.readouterr().out
        assert "policy  unit  cpus" in out
        assert "kernel     -     2" in out
        assert "blocks, and words of the map" in out
