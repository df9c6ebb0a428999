# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare``: one trace under several geometries."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import NETNS, TINY

import percpu_ffi.analysis.geometries
from percpu_ffi import Allocator, PercpuMemoryError, Trace, TraceError
from percpu_ffi.analysis.geometries import compare, offset_in_unit, outcomes
from percpu_ffi.analysis.outcome import Outcome, Refusal, steps
from percpu_ffi.cli import main
from percpu_ffi.work import Work

# units of 1 KiB:  |SSSS|aaaa...aaaa|  |bbbb...bbbb|, then c where b was
# units of 2 KiB:  |SSSS|aaaa...aaaa|bbbb...bbbb|, then c where b was
OPS = [("alloc", "a", 960, 4), ("alloc", "b", 1024, 4), ("free", "b"), ("alloc", "c", 64, 4)]


def outcome(trace: Trace, **changes: Any) -> Outcome:
    (row,) = compare(trace, [{**TINY, **changes}])
    assert isinstance(row, Outcome)
    return row


def recorded(tmp_path: Path, *places: tuple[str, int]) -> Trace:
    """Make a recording of allocations of 64 bytes, from the kernel's chunks and offsets."""
    line = "x-1 [000] 1.0: percpu_alloc_percpu: size=64 align=4 base_addr={} off={} ptr={:016x}\n"
    text = "".join(line.format(*place, ptr) for ptr, place in enumerate(places, 16))
    (tmp_path / "trace").write_text(text)
    return Trace.load(tmp_path / "trace")


class TestFigures:
    def test_chunks_are_fewer_where_units_are_larger(self) -> None:
        small = outcome(Trace.from_ops(OPS), unit_size=1024)
        assert (small.peak_chunks, small.chunks_created, small.chunks) == (2, 1, 2)
        large = outcome(Trace.from_ops(OPS), unit_size=2048)
        assert (large.peak_chunks, large.chunks_created, large.chunks) == (1, 0, 1)

    def test_pages_of_all_cpus_and_live_bytes_of_one(self) -> None:
        row = outcome(Trace.from_ops(OPS), unit_size=1024)
        assert (row.peak_live_bytes, row.live_bytes) == (1984, 1024)
        assert row.pages_at_peak == row.peak_pages == row.pages == 2 * 32

    def test_stranded_bytes_are_in_pages_but_in_no_area(self) -> None:
        """At the peak every byte is used; at the end c uses 64 of the bytes that b had used."""
        row = outcome(Trace.from_ops(OPS), unit_size=1024)
        assert (row.stranded_at_peak, row.utilisation_at_peak) == (0, 1.0)
        assert row.stranded == 2 * (1024 - 64)

    def test_static_area_alone_strands_nothing(self) -> None:
        """The static area alone: one page on each CPU, full."""
        row = outcome(Trace.from_ops([("free", "a")]))
        assert (row.pages_at_peak, row.utilisation_at_peak, row.stranded) == (2, 1.0, 0)

    def test_remap_strands_what_it_keeps_for_later(self) -> None:
        row = outcome(Trace.from_ops(OPS[:1]), first_chunk="remap", unit_size=4096, free_size=1984)
        assert row.stranded == 2 * (64 + 1984 - 64 - 960)

    def test_failures_and_their_reasons(self) -> None:
        """A unit of 16 pages is also the largest request; there is no warning."""
        refused = [("alloc", "a", 1025, 4), ("alloc", "b", 8, 3), ("alloc", "c", 8, 3)]
        row = outcome(Trace.from_ops(refused))
        assert row.failures == 3
        with Allocator(**TINY) as a:
            result = a.replay(Trace.from_ops(refused[:2]))
        size, align = (str(failure.error) for failure in result.failures)
        assert size != align
        assert [*row.failure_reasons.items()] == [(align, 2), (size, 1)]  # the most frequent first

    def test_rollback_never_gives_negative_stranded_bytes(self) -> None:
        """In 2009 a failed allocation freed the pages of its neighbour."""
        ops = [
            ("alloc", "a", 32, 4),
            ("inject", "alloc_page", {"nth": 2}),
            ("alloc", "b", 64, 4),
        ]
        row = outcome(Trace.from_ops(ops), quirks=["rollback"])
        assert row.failures == 1
        assert row.stranded == 0

    def test_work_is_that_of_the_2009_file(self) -> None:
        row = outcome(Trace.from_ops(OPS))
        with Allocator(**TINY) as a:
            a.replay(Trace.from_ops(OPS))
            assert row.work == a.work()

    def test_steps_leave_out_bytes_pages_and_maps_that_grew(self) -> None:
        work = Work(10, 10, 20, 30, 40, 50, 60, 70, 80, 90)
        assert steps(work) == (10 + 20 + 30 + 40 + 70) / 10

    def test_geometry_has_automatic_values_filled_in(self) -> None:
        assert outcome(Trace.from_ops(OPS)).geometry == {
            "policy": "area-map",
            "first_chunk": "4k",
            "unit_size": 1024,
            "cpus": 2,
            "static_size": 64,
            "free_size": 960,
            "page_size": 64,
        }

    def test_progress_counts_the_operations_of_all_replays(self) -> None:
        steps: list[int] = []
        rows = outcomes(Trace.from_ops(OPS), [TINY, {**TINY, "cpus": 3}], steps.append)
        next(rows)
        assert sum(steps) == len(OPS)  # each is computed when it is requested
        next(rows)
        assert sum(steps) == 2 * len(OPS)


class TestOffsets:
    """Offsets of areas in the recording kernel and in the port."""

    def test_same_and_shifted(self, tmp_path: Path) -> None:
        """Ours are 64, 128, 192; the kernel's second and third are 1,000 bytes higher."""
        row = outcome(recorded(tmp_path, ("0xa", 64), ("0xa", 1128), ("0xa", 1192)))
        assert (row.same_offsets, row.same_shifted, row.shift) == (1, 2, 1000)

    def test_the_most_frequent_shift_counts(self, tmp_path: Path) -> None:
        """The kernel's first offset is 1,000 bytes higher than ours, two others are 32 lower."""
        row = outcome(recorded(tmp_path, ("0xa", 1064), ("0xa", 96), ("0xa", 160)))
        assert (row.same_offsets, row.same_shifted, row.shift) == (0, 2, -32)

    def test_chunks_do_not_count(self, tmp_path: Path) -> None:
        row = outcome(recorded(tmp_path, ("0xa", 64), ("0xb", 128)))
        assert row.same_offsets == 2

    def test_failed_allocation_has_no_offset(self, tmp_path: Path) -> None:
        """There is one page, and two CPUs need one each."""
        trace = recorded(tmp_path, ("0xa", 64))
        row = outcome(trace, page_limit=1)
        assert (row.failures, row.same_offsets, row.same_shifted) == (1, 0, None)

    def test_trace_without_offsets(self) -> None:
        row = outcome(Trace.from_ops(OPS))
        assert (row.same_offsets, row.same_shifted, row.shift) == (None, None, None)

    @pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
    def test_offset_of_a_pointer_is_that_of_locate(self, first_chunk: Any) -> None:
        """locate() knows live areas only; most areas of a replayed trace are freed."""
        setup = {**TINY, "first_chunk": first_chunk, "unit_size": 40_960, "cpus": 3}
        chance = random.Random(1)
        live: list[int] = []
        seen = set()
        with Allocator(**setup) as a:
            offset_of = offset_in_unit(a)
            for _ in range(2000):
                if live and chance.random() < 0.3:
                    a.free(live.pop(chance.randrange(len(live))))
                ptr = a.alloc(chance.randrange(4, 1000), 4)
                live.append(ptr)
                assert offset_of(ptr) == a.locate(ptr).offset
                seen.add(a.locate(ptr).chunk)
        assert len(seen) > 5

    def test_shares_are_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        recorded(tmp_path, ("0xa", 64), ("0xa", 1128), ("0xa", 1192))
        tiny = "static_size=64,page_size=64"
        assert run(str(tmp_path / "trace"), "--geometry", tiny) == 0
        out = capsys.readouterr().out
        assert "33.3%    66.7%  1,000" in out
        assert "offset: share of 3 allocations" in out


class TestRefusals:
    def test_other_geometries_still_run(self) -> None:
        trace = Trace.from_ops(OPS)
        rows = list(compare(trace, [TINY, {**TINY, "unit_size": 100}, TINY]))
        assert [type(row) for row in rows] == [Outcome, Refusal, Outcome]
        assert rows[0] == rows[2]

    def test_reason_and_requested_geometry(self) -> None:
        (row,) = compare(Trace.from_ops(OPS), [{"unit_size": 100}])
        assert isinstance(row, Refusal)
        assert row.reason.startswith("unit_size=100: a multiple of the page size")
        assert row.geometry == {
            "policy": "area-map",
            "first_chunk": "4k",
            "unit_size": 100,
            "cpus": 4,
            "static_size": 8192,
            "free_size": 0,
            "page_size": 0,
        }

    def test_no_memory_for_one_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def poor(*_: Any, **setup: Any) -> Allocator:
            if setup["cpus"] > 2:
                raise PercpuMemoryError("the host gave no memory")
            return Allocator(**setup)

        monkeypatch.setattr(percpu_ffi.analysis.geometries, "Allocator", poor)
        rows = list(compare(Trace.from_ops(OPS), [{**TINY, "cpus": 3}, TINY]))
        assert [type(row) for row in rows] == [Refusal, Outcome]

    def test_damaged_trace_ends_the_comparison(self) -> None:
        trace = Trace.from_ops(OPS)
        trace._data.ops[8] = 9  # a handle that it does not have
        with pytest.raises(TraceError, match="damaged"):
            list(compare(trace, [TINY]))


def run(*args: str) -> int:
    return main(["compare", *args])


def rows_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["geometries"]
    return rows


def saved(tmp_path: Path, ops: list[Any] = OPS, **setup: Any) -> str:
    Trace.from_ops(ops, {**TINY, **setup}).save(tmp_path / "t")
    return str(tmp_path / "t")


class TestChoiceOfGeometries:
    def geometries(self, capsys: pytest.CaptureFixture[str], *args: str) -> list[tuple[Any, ...]]:
        assert run(*args, "--json") == 0
        names = "first_chunk", "unit_size", "cpus"
        return [tuple(row[name] for name in names) for row in rows_of(capsys)]

    def test_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each first chunk on the recorded CPUs, with its automatic unit and with one of 256K."""
        assert self.geometries(capsys, NETNS) == [
            ("4k", 65536, 2),
            ("4k", 262144, 2),
            ("embed", 65536, 2),
            ("embed", 262144, 2),
            ("remap", 2097152, 2),
            ("remap", 262144, 2),
        ]

    def test_lists_are_combined(self, capsys: pytest.CaptureFixture[str]) -> None:
        args = ["--cpus", "2,8", "--unit-size", "64K,2M", "--first-chunk", "embed"]
        assert self.geometries(capsys, NETNS, *args) == [
            ("embed", 65536, 2),
            ("embed", 65536, 8),
            ("embed", 2097152, 2),
            ("embed", 2097152, 8),
        ]

    def test_single_geometries(self, capsys: pytest.CaptureFixture[str]) -> None:
        one, another = "first-chunk=embed, unit_size=128K", "cpus=4096"
        args = ["--geometry", one, "--geometry", another]
        assert self.geometries(capsys, NETNS, *args) == [("embed", 131072, 2), ("4k", 65536, 4096)]

    def test_lists_and_single_geometries(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The single ones have no values of the lists."""
        args = ["--cpus", "3", "--geometry", "cpus=5", "--geometry", "unit_size=128K"]
        assert self.geometries(capsys, NETNS, *args) == [
            ("4k", 65536, 3),
            ("4k", 65536, 5),
            ("4k", 131072, 2),
        ]

    def test_the_trace_s_own_set_up_is_the_default(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(saved(tmp_path), "--unit-size", "1K,2k", "--json") == 0
        for row, unit_size in zip(rows_of(capsys), (1024, 2048), strict=True):
            named = {name: row[name] for name in ("static_size", "page_size", "unit_size", "cpus")}
            assert named == {"static_size": 64, "page_size": 64, "unit_size": unit_size, "cpus": 2}

    def test_as_many_as_allowed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("percpu_ffi.cli.compare.MOST_GEOMETRIES", 4)
        trace = saved(tmp_path)
        assert len(self.geometries(capsys, trace, "--cpus", "1,2", "--unit-size", "1K,2K")) == 4
        assert run(trace, "--cpus", "1,2,3,4,5") == 2
        assert run(trace, "--cpus", "1,2,3,4", "--geometry", "cpus=5") == 2

    def test_too_many(self, capsys: pytest.CaptureFixture[str]) -> None:
        many = ",".join(["1"] * 40)
        assert run(NETNS, "--cpus", many, "--unit-size", many) == 2
        assert "more than 1,000 geometries" in capsys.readouterr().err


class TestText:
    def test_tables(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(saved(tmp_path), "--unit-size", "1K,2K,100") == 0
        assert (
            capsys.readouterr().out
            == """\
t: 3 allocations, 1 free

                             at peak:                            most  at end:
first  unit  cpus  failed  live bytes  pages    used  stranded  pages    pages  stranded
4k       1K     2       0       1,984     64  100.0%         0     64       64     1,920
4k       2K     2       0       1,984     64  100.0%         0     64       64     1,920
4k      100     2  refused: unit_size=100: a multiple of the page size 64 is needed; 0 leaves it to
                   the first chunk's set-up

                   chunks:                      steps:        offset:
first  unit  cpus     most  made  gone  at end   alloc  free     same  shifted  by
4k       1K     2        2     1     0       2     5.3   5.0        -        -   -
4k       2K     2        1     0     0       1     7.0   4.0        -        -   -
4k      100     2  refused

live bytes: those of one CPU's copies. Pages and stranded bytes: those of all CPUs.
stranded: bytes of pages that are neither static nor live; used: the others.
steps of a call: lists, chunks, map entries and tree nodes that the 2009 file visits.
"""
        )

    def test_kernel_has_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(NETNS, "--cpus", "8") == 0
        memory, chunks = (
            line.split()
            for line in capsys.readouterr().out.splitlines()
            if line.startswith("kernel ")
        )
        assert memory == ["kernel", "-", "2", "0", "-", "-", "-", "-", "104", "-", "-"]
        assert chunks == ["kernel", "-", "2", "1", "0", "0", "-", "-", "-", "-", "-", "-"]

    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--cpus", "0,2,65536", "--unit-size", "4K,1G"],
            ["--static-size", "8K,12345", "--free-size", "1K,8K", "--unit-size", "64K"],
            ["--cpus", "9223372036854775807"],
            ["--geometry", "cpus=65536,page_size=64K", "--geometry", "static_size=1M"],
        ],
    )
    def test_table_fits_100_columns(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
    ) -> None:
        trace = tmp_path / ("a long name " * 12)
        trace.write_bytes(Path(NETNS).read_bytes())
        run(str(trace), *options)
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 100

    def test_narrow_tables_have_the_same_columns(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        columns = []
        for width in (100, 70):
            monkeypatch.setattr("percpu_ffi.reports.geometries.WIDTH", width)
            run(NETNS)
            heads = [s for s in capsys.readouterr().out.splitlines() if s.startswith("first ")]
            columns.append([word for head in heads for word in head.split()[3:]])
        assert len(heads) == 4  # each of the two tables has become two
        assert columns[0] == columns[1]

    def test_equal_settings_are_not_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        run(NETNS, "--cpus", "2,4")
        assert "static " not in capsys.readouterr().out.splitlines()[3]
        run(NETNS, "--static-size", "8K,16K")
        assert "first   unit  cpus  static  failed" in capsys.readouterr().out
        run(NETNS, "--free-size", "8K,16K", "--unit-size", "64K")
        assert "first   unit  cpus  free  failed" in capsys.readouterr().out


class TestFiles:
    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(NETNS, "--cpus", "2,0", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert report["kernel"]["chunks"] == 1
        assert report["kernel"]["bytes_per_cpu"] == 52 * 4096
        good, bad = report["geometries"]
        assert good["refused"] is None
        assert good["offsets_known"] == report["allocs"] == 2305
        assert good["pages_at_peak"] == 104
        assert good["stranded_at_peak"] == 104 * 4096 - 2 * (8192 + 202_824)
        assert good["work_alloc"]["operations"] == 2305
        assert bad["refused"].startswith("cpus=0:")
        assert bad.keys() == good.keys()
        assert bad["failures"] is None

    def test_csv(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(NETNS, "--cpus", "2,0", "--csv") == 0
        good, bad = csv.DictReader(capsys.readouterr().out.splitlines())
        assert (good["refused"], good["pages_at_peak"], good["kernel_chunks"]) == ("", "104", "1")
        assert good["alloc_entries_scanned"] == "458013"
        assert bad["refused"].startswith("cpus=0:")
        assert bad["failures"] == ""

    def test_csv_has_the_same_columns_when_all_is_refused(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(NETNS, "--cpus", "2", "--csv")
        head = capsys.readouterr().out.splitlines()[0]
        run(NETNS, "--cpus", "0", "--csv")
        assert capsys.readouterr().out.splitlines()[0] == head


class TestTrouble:
    @pytest.mark.parametrize("form", ["--json", "--csv", None])
    def test_all_refused(self, capsys: pytest.CaptureFixture[str], form: str | None) -> None:
        assert run(NETNS, "--cpus", "0", *([form] if form else [])) == 1
        assert "an integer from 1 to 65536" in " ".join(capsys.readouterr().out.split())

    @pytest.mark.parametrize(
        ("data", "words"),
        [(b"", "empty"), (b"hello\n", "no percpu event"), (b"PCPUTRC1\0\0", "cut or damaged")],
    )
    def test_no_trace(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, words: str
    ) -> None:
        (tmp_path / "t").write_bytes(data)
        assert run(str(tmp_path / "t")) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err
        assert captured.err.count("\n") == 1

    def test_no_such_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("nowhere") == 2
        assert "No such file" in capsys.readouterr().err

    def test_no_operations(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(saved(tmp_path, [])) == 2
        assert "t: the trace has no operations\n" in capsys.readouterr().err

    def test_only_failures(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        fail = "percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=16 align=8"
        (tmp_path / "t").write_text(f" nft-900 [000] ..... 10.0: {fail}\n")
        assert run(str(tmp_path / "t")) == 2
        error = capsys.readouterr().err
        assert f"{tmp_path}/t: the trace has no operations; 1 allocation failed" in error

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--cpus", "two"], "whole number"),
            (["--cpus", "2,,3"], "whole number"),
            (["--unit-size", "64KB"], "whole number"),
            (["--unit-size", "9" * 5000], "whole number"),
            (["--first-chunk", "4k,8k"], "choose from 4k, embed, remap"),
            (["--geometry", "cpus"], "NAME=VALUE"),
            (["--geometry", "cpus=2,cpus=3"], "each name once"),
            (["--geometry", "colour=2"], "first_chunk, unit_size"),
            (["--geometry", "first_chunk=8k"], "choose from 4k, embed, remap"),
            (["--json", "--csv"], "not allowed with"),
        ],
    )
    def test_bad_options(
        self, capsys: pytest.CaptureFixture[str], options: list[str], words: str
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            run(NETNS, *options)
        assert caught.value.code == 2
        assert words in capsys.readouterr().err

    def test_set_up_of_the_trace_is_invalid(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        trace = saved(tmp_path, cpus=0, first_chunk="\ud800")
        assert run(trace, "--unit-size", "64K") == 1
        assert "refused: first_chunk='\\ud800'" in capsys.readouterr().out

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("COMPARE", f"{sys.executable} -m percpu_ffi compare")
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    def test_broken_pipe(self) -> None:
        done = self.shell(f"set -o pipefail; COMPARE {NETNS} --json | true")
        assert (done.returncode, done.stderr) == (141, "")

    def test_full_disk(self) -> None:
        done = self.shell(f"COMPARE {NETNS} > /dev/full")
        assert done.returncode == 2
        assert done.stderr == "percpu-ffi: No space left on device\n"

    @pytest.mark.parametrize(("name", "encoding"), [("$'\\xff'", "utf-8"), ("'é'", "ascii")])
    def test_name_that_cannot_be_encoded(self, tmp_path: Path, name: str, encoding: str) -> None:
        run = f"PYTHONIOENCODING={encoding} COMPARE {name}"
        done = self.shell(f"cd '{tmp_path}' && cp {NETNS} {name} && {run}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("?: 2,305 allocations")


def test_replay_takes_sizes_with_a_suffix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", NETNS, "--unit-size", "256K", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["geometry"]["unit_size"] == 256 << 10
