# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi who``: which call sites hold the memory in a trace.

The trace of most tests, a line for each area, a column for each operation:

    operation      0   1   2   3   4   5   6   7
    at, us         0  10  20  30  50  60  70  80
    A  16 bytes    o-----------x                      mm_init+0x10
    B  64 bytes        o------------------------...   net_init+0x20
    C  16 bytes            o-------x                  mm_init+0x10
    D   8 bytes                        o-------:      net_init+0x44
    ?                                      x          an orphan free
    D   4 bytes                                o...   mm_init+0x10, D's free is missing
    live bytes    16  80  96  80  64  72  72  68      the peak is after operation 2
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import RECORDINGS, SAMPLES, lifetimes

from percpu_ffi import Allocator, ConfigError, Trace, TraceError
from percpu_ffi.analysis.call_sites import Moment, who
from percpu_ffi.analysis.keys import Figures
from percpu_ffi.analysis.lifetimes import FREED, KEPT, REALLOCATED, Lives, columns_of, lives_of
from percpu_ffi.cli import main
from percpu_ffi.reports.call_sites import CallSiteReport
from percpu_ffi.trace import Event
from percpu_ffi.trace.operations import CREATED, LOST

if TYPE_CHECKING:
    from pathlib import Path

A, B, C, D, ORPHAN = range(0x10, 0x15)


def alloc(us: int, ptr: int, size: int, site: str = "") -> str:
    call_site = f"call_site={site} " if site else ""
    return (
        f" ip-20 [000] .....  5.{us:06}: percpu_alloc_percpu: {call_site}reserved=0 is_atomic=0 "
        f"size={size} align=4 base_addr=0000000094005a45 off=64 ptr={ptr:016x}\n"
    )


def free(us: int, ptr: int) -> str:
    where = f"base_addr=0000000094005a45 off=64 ptr={ptr:016x}"
    return f" ip-20 [000] .....  5.{us:06}: percpu_free_percpu: {where}\n"


STORY = "".join(
    [
        alloc(0, A, 16, "mm_init+0x10"),
        alloc(10, B, 64, "net_init+0x20"),
        alloc(20, C, 16, "mm_init+0x10"),
        free(30, A),
        free(50, C),
        alloc(60, D, 8, "net_init+0x44"),
        free(70, ORPHAN),
        alloc(80, D, 4, "mm_init+0x10"),
    ]
)


@pytest.fixture
def story(tmp_path: Path) -> str:
    path = tmp_path / "story.trace"
    path.write_text(STORY)
    return str(path)


def rows_of(trace: str, *options: str, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Return the first cells of the rows, in order."""
    assert main(["who", trace, "--csv", *options]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    return [row[0] for row in rows[1:]]


def uncertain(trace: Trace, lives: Lives) -> list[bool]:
    """Return for each area whether events were lost before its recorded free."""
    return [bool(lost) for lost in columns_of(trace).uncertain[: len(lives.born)]]


class TestLives:
    def test_each_area_has_a_life(self, story: str) -> None:
        trace = Trace.load(story)
        lives = lives_of(trace)
        assert [trace.kinds[kind].size for kind in lives.kinds] == [16, 64, 16, 8, 4]
        assert lives.born == [0, 1, 2, 5, 7]
        assert lives.died == [3, 8, 4, 7, 8]
        assert lives.fates == [FREED, KEPT, FREED, REALLOCATED, KEPT]
        assert (lives.peak, lives.peak_bytes) == (2, 96)

    def test_lifetimes_need_a_recorded_free(self, story: str) -> None:
        trace = Trace.load(story)
        assert lifetimes(trace, lives_of(trace)) == [30_000, None, 30_000, None, None]

    def test_without_times_they_are_in_operations(self, story: str) -> None:
        trace = Trace.from_ops(Trace.load(story))
        assert trace.times is None
        assert lifetimes(trace, lives_of(trace)) == [3, None, 2, None, None]

    # it was told as 0 ns
    def test_free_timed_before_its_allocation_gives_no_lifetime(self) -> None:
        ops = [("alloc", "a", 8, 8), ("free", "a"), ("alloc", "b", 8, 8), ("free", "b")]
        trace = Trace.from_ops(ops, times=[50, 49, 49, 49])
        assert lifetimes(trace, lives_of(trace)) == [None, 0]

    def test_unknown_time_gives_no_lifetime(self) -> None:
        ops = [("alloc", "a", 8, 8), ("free", "a"), ("alloc", "b", 8, 8), ("free", "b")]
        trace = Trace.from_ops(ops, times=[50, 2**64 - 1, 60, 65])
        assert lifetimes(trace, lives_of(trace)) == [None, 5]

    def test_faults_and_background_work_are_skipped(self) -> None:
        ops = [("inject", "map", {"nth": 2}), ("balance",), ("alloc", "a", 8, 8), ("free", "a")]
        lives = lives_of(Trace.from_ops(ops))
        assert (lives.born, lives.died) == ([2], [3])

    def test_first_of_equal_peaks_counts(self) -> None:
        ops = [("alloc", "a", 8, 8), ("free", "a"), ("alloc", "b", 8, 8)]
        assert lives_of(Trace.from_ops(ops)).peak == 0

    def test_area_that_ends_with_the_peak_is_not_live_then(self) -> None:
        """The second area makes the peak, and its allocation shows that the first was freed."""
        ops = [("alloc", "a", 8, 8), ("alloc", "a", 16, 8), ("alloc", "b", 8, 8), ("free", "a")]
        lives = lives_of(Trace.from_ops(ops[:2]))
        assert (lives.peak, lives.at_peak([0, 1])) == (1, [1])
        lives = lives_of(Trace.from_ops(ops))
        assert (lives.peak, lives.at_peak([2, 1, 0])) == (2, [2, 1])

    def test_no_areas(self) -> None:
        assert lives_of(Trace.from_ops([])) == Lives([], [], [], [], peak=-1, peak_bytes=0)

    def test_damaged_trace_is_refused(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        trace.kinds.clear()
        with pytest.raises(TraceError, match="damaged"):
            lives_of(trace)

    def test_invalid_size_counts_no_bytes(self) -> None:
        lives = lives_of(Trace.from_ops([("alloc", "a", -8, 8), ("alloc", "b", 8, 8)]))
        assert (lives.peak, lives.peak_bytes) == (1, 8)


def with_gaps(trace: Trace, *before: int, kind: int = LOST) -> Trace:
    """Put gaps of lost events before these operations."""
    trace.events[:] = [Event(number, 0, 1, 0, 0, kind) for number in before]
    return trace


class TestGaps:
    """A lifetime with lost events between allocation and free is uncertain.

    ::

        operation    0   1   2   3   4
        a            o-------x               2 ns
        b                o-----------x       30 ns
        c                        o...
        gap before   0   1   2   3   4   5
    """

    @pytest.fixture
    def trace(self) -> Trace:
        ops = [("alloc", "a", 8, 8), ("alloc", "b", 8, 8), ("free", "a"), ("alloc", "c", 8, 8),
               ("free", "b")]  # fmt: skip
        return Trace.from_ops(ops, times=[0, 1, 2, 3, 31])

    @pytest.mark.parametrize(
        ("before", "a", "b"),
        [
            ([], False, False),
            ([0], False, False),
            ([1], True, False),
            ([2], True, True),
            ([3], False, True),
            ([4], False, True),
            ([5], False, False),
            ([5, 1, 0, 4], True, True),
        ],
    )
    def test_between_allocation_and_free(
        self, trace: Trace, before: list[int], a: bool, b: bool
    ) -> None:
        with_gaps(trace, *before)
        lives = lives_of(trace)
        assert uncertain(trace, lives) == [a, b, False]
        assert lifetimes(trace, lives) == [None if a else 2, None if b else 30, None]

    def test_other_events_are_no_gaps(self, trace: Trace) -> None:
        assert not any(uncertain(with_gaps(trace, 2, kind=CREATED), lives_of(trace)))

    def test_are_counted_and_not_in_the_percentiles(self, trace: Trace) -> None:
        figures = who(with_gaps(trace, 3)).all
        assert figures is not None
        assert (figures.frees, figures.life_unknown, figures.life_uncertain) == (2, 0, 1)
        assert (figures.life_p50, figures.life_p99) == (2, 2)

    def test_pointer_that_is_allocated_again_has_no_lifetime_anyway(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8), ("alloc", "a", 8, 8)])
        assert uncertain(with_gaps(trace, 1), lives_of(trace)) == [False, False]

    def test_of_many_gaps(self) -> None:
        """A search of all gaps for each area would take an hour."""
        n = 40_000
        trace = Trace.from_ops([op for i in range(n) for op in (("alloc", i, 8, 8), ("free", i))])
        found = uncertain(with_gaps(trace, *range(0, 2 * n, 2)), lives_of(trace))
        assert found == [False] * n

    def test_recording(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = alloc(0, A, 16, "f") + "CPU:0 [LOST 500 EVENTS]\n" + free(9, A)
        text += alloc(20, B, 16, "f") + free(19, B) + alloc(30, C, 16, "f") + free(31, C)
        (tmp_path / "t").write_text(text)
        assert main(["who", str(tmp_path / "t")]) == 0
        out = capsys.readouterr().out
        assert "1 lifetime unknown: the free is timed before its allocation, or a time" in out
        assert "1 lifetime uncertain: events were lost between allocation and free" in out
        assert out.splitlines()[-1].split()[-6:] == ["3", "1.00", "us", "1.00", "us", "16"]
        assert main(["who", str(tmp_path / "t"), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["rows"]
        assert (row["life_unknown"], row["life_uncertain"], row["life_p50"]) == (1, 1, 1000)


def test_table(story: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", story]) == 0
    assert capsys.readouterr().out == (
        """\
story.trace, recorded on 1 CPU: 5 allocations, 3 frees
peak  96 bytes in 3 areas, after operation 3 of 8, 20.0 us after the first
end   68 bytes in 2 areas, after operation 8 of 8, 80.0 us after the first
bytes are those of one CPU's copies; lifetimes are in time
1 free of unknown pointers: allocated before the recording began; excluded from all figures
1 allocation of pointers still in use: the free of the old area is missing; its lifetime is unknown

                 at peak         at end  never                 lifetime
  call site        bytes  areas   bytes  freed  allocs  frees       p50      p99  sizes
  net_init+0x20       64      1      64      1       1      0         -        -     64
  mm_init+0x10        32      2       4      1       3      2   30.0 us  30.0 us   4-16
  net_init+0x44        0      0       0      0       1      0         -        -      8
  all                 96      3      68      2       5      2   30.0 us  30.0 us   4-64
"""
    )


def test_json(story: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", story, "--json", "--limit", "1", "--site", "mm_init"]) == 0
    figures = {
        "peak_bytes": 32,
        "peak_areas": 2,
        "end_bytes": 4,
        "never_freed": 1,
        "allocs": 3,
        "frees": 2,
        "reallocs": 0,
        "bytes": 36,
        "life_p50": 30_000,
        "life_p99": 30_000,
        "min_size": 4,
        "max_size": 16,
        "common_size": 16,
        "first_alloc": 5_000_000_000,
        "last_free": 5_000_050_000,
        "life_unknown": 0,
        "life_uncertain": 0,
    }
    found = json.loads(capsys.readouterr().out)
    assert found.pop("recording")["events"] == 8
    assert found == {
        "trace": "story.trace",
        "cpus": 1,
        "possible_cpus": 1,
        "orphan_frees": 1,
        "reallocs": 1,
        "lost_events": 0,
        "sites_told": True,
        "times_in": "ns",
        "peak": {"operation": 2, "time": 5_000_020_000, "bytes": 96, "areas": 3},
        "end": {"operation": 7, "time": 5_000_080_000, "bytes": 68, "areas": 2},
        "culled_by": ["site"],
        "rows": [{"site": "mm_init+0x10", **figures}],
        "rows_left_out": 0,
        "all": figures,
    }


def test_csv(story: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", story, "--csv", "--cull", "function,size", "--limit", "1"]) == 0
    assert capsys.readouterr().out == (
        "function,size,peak_bytes,peak_areas,end_bytes,never_freed,allocs,frees,reallocs,bytes,"
        "life_p50,life_p99,min_size,max_size,common_size,first_alloc,last_free,"
        "life_unknown,life_uncertain\n"
        "net_init,64,64,1,64,1,1,0,0,64,,,64,64,64,5000010000,,0,0\n"
    )


def test_every_area_is_freed_reallocated_or_kept(story: str) -> None:
    for row in who(Trace.load(story), "txt").rows:
        figures = row.figures
        assert figures.allocs == figures.frees + figures.reallocs + figures.never_freed


@pytest.mark.parametrize("sample", RECORDINGS)
def test_figures_are_those_of_a_replay(sample: str) -> None:
    trace = Trace.load(SAMPLES / sample)
    found = who(trace)
    with Allocator(cpus=1, memory="none") as allocator:
        result = allocator.replay(trace)
    assert result.failures == ()
    assert (found.peak.bytes, found.end.bytes) == (result.peak_live_bytes, result.live_bytes)
    assert found.all is not None
    assert (found.all.peak_bytes, found.all.peak_areas) == (found.peak.bytes, found.peak.areas)
    stats = trace.stats
    assert (found.all.allocs, found.all.reallocs) == (stats.allocs, stats.reallocs)
    assert found.all.frees == stats.frees - stats.orphan_frees


def test_kernels_before_5_19_have_no_call_sites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").write_text(alloc(0, A, 16) + alloc(10, B, 64) + free(20, A))
    assert main(["who", str(tmp_path / "old")]) == 0
    assert capsys.readouterr().out == (
        """\
old, recorded on 1 CPU: 2 allocations, 1 free
peak  80 bytes in 2 areas, after operation 2 of 3, 10.0 us after the first
end   64 bytes in 1 area, after operation 3 of 3, 20.0 us after the first
bytes are those of one CPU's copies; lifetimes are in time
the trace has no call sites (kernels before 5.19 do not print them): all allocations are in one row

             at peak         at end  never                 lifetime
  call site    bytes  areas   bytes  freed  allocs  frees       p50      p99  sizes
  (unknown)       80      2      64      1       2      1   20.0 us  20.0 us  16-64
  all             80      2      64      1       2      1   20.0 us  20.0 us  16-64
"""
    )
    assert main(["who", str(tmp_path / "old"), "--site", "mm_init"]) == 2
    assert "the trace has no call sites" in capsys.readouterr().err


def test_trace_without_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trace.from_ops([("alloc", "a", 8, 8), ("free", "a")]).save(tmp_path / "t")
    assert main(["who", str(tmp_path / "t")]) == 0
    out = capsys.readouterr().out
    assert "without times, lifetimes are in operations" in out
    assert "after operation 1 of 2\n" in out
    assert main(["who", str(tmp_path / "t"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["times_in"], report["cpus"]) == ("operations", 0)
    assert report["peak"] == {"operation": 0, "time": None, "bytes": 8, "areas": 1}


@pytest.mark.parametrize(
    ("times", "peak", "end", "median", "longest"),
    [
        (
            [100, 100, 100, 140],
            ", 0 ns after the first",
            ", 40 ns after the first",
            "0 ns",
            "40 ns",
        ),
        (None, "", "", "1", "3"),
        # of clocks of two CPUs, the one of the first operation is ahead
        ([100, 90, 95, 140], "", ", 40 ns after the first", "5 ns", "40 ns"),
        ([2**64 - 1, 90, 95, 140], "", "", "5 ns", "5 ns"),
    ],
)
def test_times_in_the_table(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    times: list[int] | None,
    peak: str,
    end: str,
    median: str,
    longest: str,
) -> None:
    """An area lives for three operations, and another one for one of them."""
    ops = [("alloc", "a", 1024, 8), ("alloc", "b", 1024, 8), ("free", "b"), ("free", "a")]
    Trace.from_ops(ops, times=times).save(tmp_path / "t")
    assert main(["who", str(tmp_path / "t"), "--cull", "size"]) == 0
    _, first, last, _, *_, row, _ = capsys.readouterr().out.splitlines()
    assert first == f"peak  2,048 bytes in 2 areas, after operation 2 of 4{peak}"
    assert last == f"end   0 bytes in 0 areas, after operation 4 of 4{end}"
    assert row.split("  ")[1] == "1,024"
    assert " ".join(row.split()).endswith(f" 2 2 {median} {longest} 1,024")


@pytest.mark.parametrize(
    ("cull", "missed"), [("site", True), ("size,function", True), ("size,align", False)]
)
def test_unknown_call_sites_are_missed_if_rows_are_culled_by_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cull: str, missed: bool
) -> None:
    Trace.from_ops([("alloc", "a", 8, 8)]).save(tmp_path / "t")
    assert main(["who", str(tmp_path / "t"), "--cull", cull]) == 0
    assert ("the trace has no call sites" in capsys.readouterr().out) == missed


@pytest.mark.parametrize("site", ["", "mm_init+0x10"])
@pytest.mark.parametrize(("times", "unit"), [(None, "operations"), ([70], "ns")])
def test_json_says_what_the_trace_has(site: str, times: list[int] | None, unit: str) -> None:
    trace = Trace.from_ops([("alloc", "a", 8, 8)], times=times)
    trace.kinds[:] = [kind._replace(site=site) for kind in trace.kinds]
    report = CallSiteReport("t", trace, who(trace), None).to_json()
    assert (report["sites_told"], report["times_in"]) == (bool(site), unit)


def test_no_allocations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "frees").write_text(free(0, A))
    assert main(["who", str(tmp_path / "frees")]) == 0
    assert capsys.readouterr().out.endswith("\n\n  there are no allocations\n")


# three failures were told to come from a kernel without call sites
def test_failures_of_the_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail = (
        " nft-9 [000] ..... 5.1: percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=16 align=8"
    )
    (tmp_path / "t").write_text(f"{fail}\n" * 3)
    words = "3 allocations failed in the recorded kernel, and count in no figure: 3 x 16 bytes, "
    for text, call_sites in (("", False), (alloc(0, A, 16), True), (alloc(0, A, 16, "f"), False)):
        (tmp_path / "t").write_text(text + f"{fail}\n" * 3)
        assert main(["who", str(tmp_path / "t")]) == 0
        out = capsys.readouterr().out
        assert words + "aligned to 8, atomic\n" in out
        assert ("kernels before 5.19" in out) == call_sites


def test_bytes_of_the_machine(
    story: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes of requests, counts and ``--json`` stay those of one CPU's copies."""
    (tmp_path / "two").write_text(f"# #P:64\n{STORY}")
    assert main(["who", str(tmp_path / "two"), "--machine", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "\npeak  6,144 bytes in 3 areas, after" in out
    assert "\nbytes are those of the copies of 64 possible CPUs (--machine); lifetimes" in out
    (row,) = [line.split() for line in out.splitlines() if "net_init" in line]
    assert row == ["net_init+0x20", "4,096", "1", "4,096", "1", "1", "0", "-", "-", "64"]
    assert main(["who", str(tmp_path / "two"), "--machine", "--folded"]) == 0
    assert "ip;net_init+0x20 4096\n" in capsys.readouterr().out
    assert main(["who", str(tmp_path / "two"), "--machine", "--csv", "--limit", "1"]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[1]
        .startswith("net_init+0x20,4096,1,4096,1,1,0,0,4096,,,64,64,64,")
    )
    assert main(["who", str(tmp_path / "two"), "--machine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["possible_cpus"], found["rows"][0]["bytes"]) == (64, 64)
    Trace.from_ops([("alloc", "a", 8, 8)]).save(tmp_path / "t")
    for command in ("who", "replay"):
        assert main([command, str(tmp_path / "t"), "--machine"]) == 2
        assert "--machine: the recording does not have the number of" in capsys.readouterr().err


def test_lost_events_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gap").write_text(f"{STORY}CPU:0 [LOST 7 EVENTS]\n")
    assert main(["who", str(tmp_path / "gap")]) == 0
    assert "7 lost events: areas may be missing" in capsys.readouterr().out


class TestOrder:
    """Keys have the names of the kernel's page_owner_sort."""

    MM, NET, NET2 = "mm_init+0x10", "net_init+0x20", "net_init+0x44"

    @pytest.mark.parametrize(
        ("options", "order"),
        [
            ([], [NET, MM, NET2]),  # most bytes at the peak first
            (["-m"], [NET, MM, NET2]),
            (["-s"], [MM, NET, NET2]),
            (["-t"], [MM, NET, NET2]),
            (["-a"], [MM, NET, NET2]),
            (["--sort=st"], [MM, NET, NET2]),
            (["--sort=-stacktrace"], [NET2, NET, MM]),
            (["--sort=+st"], [MM, NET, NET2]),
            (["--sort=-T"], [NET2, NET, MM]),
            (["--sort=-at"], [NET2, NET, MM]),
            (["--sort=never_freed"], [NET2, MM, NET]),  # 0, 1, 1
            (["--sort=allocs,-max_size"], [NET, NET2, MM]),
            (["--sort=allocs,max_size"], [NET2, NET, MM]),
        ],
    )
    def test_sort(
        self, story: str, capsys: pytest.CaptureFixture[str], options: list[str], order: list[str]
    ) -> None:
        assert rows_of(story, *options, capsys=capsys) == order

    @pytest.mark.parametrize(
        ("name", "figure"),
        [
            ("memory", "peak_bytes"),
            ("times", "allocs"),
            ("alloc_ts", "first_alloc"),
            ("at", "first_alloc"),
            ("free_ts", "last_free"),
            ("ft", "last_free"),
            ("stacktrace", "site"),
            ("st", "site"),
            ("txt", "site"),
            ("T", "site"),
        ],
    )
    def test_names_of_page_owner_sort(self, story: str, name: str, figure: str) -> None:
        trace = Trace.load(story)
        for sign in ("", "+", "-"):
            assert who(trace, sort=sign + name) == who(trace, sort=sign + figure)

    @pytest.mark.parametrize("name", ["tgid", "tg", "allocator", "ator"])
    def test_names_that_a_trace_does_not_have(self, story: str, name: str) -> None:
        for cull, sort in (("site", name), (name, "site")):
            with pytest.raises(ConfigError, match=f"a trace has no '{name}'"):
                who(Trace.load(story), cull, sort)

    def test_unknown_figures_come_last_both_ways(
        self, story: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # only mm_init has recorded frees
        for key in ("life_p50", "-life_p50", "ft", "-ft"):
            assert rows_of(story, f"--sort={key}", capsys=capsys)[0] == self.MM

    @pytest.mark.parametrize(
        ("cull", "rows"),
        [
            ("site", [MM, NET, NET2]),
            ("function", ["mm_init", "net_init"]),
            ("fn", ["mm_init", "net_init"]),
            ("size", ["4", "8", "16", "64"]),
            ("align", ["4"]),
            ("txt", [MM, MM, NET, NET2]),
            ("size,fn", ["4", "8", "16", "64"]),
        ],
    )
    def test_cull(
        self, story: str, capsys: pytest.CaptureFixture[str], cull: str, rows: list[str]
    ) -> None:
        assert rows_of(story, "--cull", cull, "--sort=T", capsys=capsys) == rows

    def test_equal_rows_are_in_the_order_of_their_keys(self) -> None:
        """An area without a call site is a row of its own, and a function needs no offset."""
        trace = Trace.from_ops([("alloc", align, 8, align) for align in (8, 4, 2, 1)])
        sites = {8: "", 4: "net_init+0x20", 2: "mm_init", 1: "net_init+0x44"}
        trace.kinds[:] = [kind._replace(site=sites[kind.align]) for kind in trace.kinds]
        found = who(trace)
        assert [row.key for row in found.rows] == [
            ("",), ("mm_init",), ("net_init+0x20",), ("net_init+0x44",)
        ]  # fmt: skip
        assert found.sites_told
        by_function = [(*row.key, row.figures.allocs) for row in who(trace, "function").rows]
        assert by_function == [("net_init", 2), ("", 1), ("mm_init", 1)]

    @pytest.mark.parametrize("sites", ["net_init", "net_init+0x20,net_init+0x44", "net*"])
    def test_site(self, story: str, capsys: pytest.CaptureFixture[str], sites: str) -> None:
        assert rows_of(story, "--site", sites, capsys=capsys) == [self.NET, self.NET2]

    @pytest.mark.parametrize(("limit", "shown"), [(None, 3), (1, 1), (2, 2), (3, 3), (99, 3)])
    def test_rows_left_out(
        self, story: str, capsys: pytest.CaptureFixture[str], limit: int | None, shown: int
    ) -> None:
        options = ["--limit", str(limit)] if limit else []
        assert len(rows_of(story, *options, capsys=capsys)) == shown
        assert main(["who", story, "--json", *options]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (len(report["rows"]), report["rows_left_out"]) == (shown, 3 - shown)
        assert main(["who", story, *options]) == 0
        assert ("not shown" in capsys.readouterr().out) == (shown < 3)

    def test_limit(self, story: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["who", story, "--limit", "1"]) == 0
        *_, row, everything, left_out = capsys.readouterr().out.splitlines()
        assert row.split()[:2] == [self.NET, "64"]
        assert everything.split()[:2] == ["all", "96"]
        assert left_out == "  2 rows not shown, but included in 'all'"

    def test_limit_that_leaves_nothing_out(
        self, story: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        printed = []
        for limit in ([], ["--limit", "3"], ["--limit", "4"], ["--limit", str(10**30)]):
            assert main(["who", story, *limit]) == 0
            printed.append(capsys.readouterr().out)
        assert len(set(printed)) == 1

    def test_limit_of_nothing_in_a_report(self, story: str) -> None:
        trace = Trace.load(story)
        report = CallSiteReport("story", trace, who(trace), 0)
        assert (report.to_json()["rows"], report.to_json()["rows_left_out"]) == ([], 3)


def test_percentiles_are_by_nearest_rank(tmp_path: Path) -> None:
    """Areas live 1, 2, ... 200 ns: half of them at most 100 ns, 99 of 100 at most 198 ns."""
    ops = [op for i in range(200) for op in (("alloc", i, 8, 8), ("free", i))]
    times = [time for i in range(200) for time in (1000 * i, 1000 * i + i + 1)]
    figures = who(Trace.from_ops(ops, times=times)).all
    assert figures is not None
    assert (figures.life_p50, figures.life_p99) == (100, 198)


def figures_of(ops: list[Any], **places: Any) -> Figures:
    found = who(Trace.from_ops(ops, **places)).all
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sizes", "common"), [([16, 8, 8, 16, 4], 8), ([8, 16, 16, 8], 8), ([4, 16, 16], 16)]
)
def test_common_size_at_a_tie_is_the_smallest(sizes: list[int], common: int) -> None:
    found = figures_of([("alloc", i, size, 1) for i, size in enumerate(sizes)])
    assert found.common_size == common
    assert (found.min_size, found.max_size) == (min(sizes), max(sizes))


def test_last_free_is_the_latest_one() -> None:
    """The area allocated last is freed first, and a missing free is none.

    a  o-----------x    freed at 50
    b    o----(o        its pointer is allocated again at 60
    c      o-x          freed at 40
    """
    ops = [("alloc", "a", 8, 8), ("alloc", "b", 8, 8), ("alloc", "c", 8, 8),
           ("free", "c"), ("free", "a"), ("alloc", "b", 8, 8)]  # fmt: skip
    found = figures_of(ops, times=[10, 20, 30, 40, 50, 60])
    assert (found.first_alloc, found.last_free) == (10, 50)
    assert (found.life_p50, found.life_p99) == (10, 40)
    assert (found.frees, found.reallocs, found.never_freed) == (2, 1, 1)
    found = figures_of(ops)  # in operations
    assert (found.first_alloc, found.last_free) == (0, 4)
    found = figures_of(ops, times=[2**64 - 1, 20, 30, 40, 2**64 - 1, 60])
    assert (found.first_alloc, found.last_free) == (None, None)


def test_areas_without_bytes() -> None:
    """No allocator grants sizes below 1."""
    found = figures_of([("alloc", "a", 0, 8), ("alloc", "b", -8, 8), ("alloc", "c", 8, 8)])
    assert (found.allocs, found.bytes, found.peak_areas, found.peak_bytes) == (3, 8, 3, 8)


def test_moments_have_times() -> None:
    found = who(Trace.from_ops([("alloc", "a", 8, 8), ("free", "a")], times=[50, 60]))
    assert found.peak == Moment(operation=0, time=50, bytes=8, areas=1)
    assert found.end == Moment(operation=1, time=60, bytes=0, areas=0)
    found = who(Trace.from_ops([("free", "x")], times=[50]))
    assert found.peak == Moment(operation=-1, time=None, bytes=0, areas=0)
    assert found.end == Moment(operation=0, time=50, bytes=0, areas=0)
    assert (found.rows, found.all) == ([], None)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_median_of_few_lifetimes(n: int) -> None:
    """Areas live 1, 2, ... n ns; half of them, rounded up, live at most the median."""
    ops = [op for i in range(n) for op in (("alloc", i, 8, 8), ("free", i))]
    times = [time for i in range(n) for time in (100 * i, 100 * i + i + 1)]
    assert figures_of(ops, times=times).life_p50 == (n + 1) // 2
    assert figures_of(ops, times=times).life_p99 == n


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sort=colour"], "--sort colour: unknown key 'colour'; keys are txt, site, peak_"),
        (["--sort=-tgid"], "a trace has no 'tgid'"),
        (["--sort=-pid"], "rows are not culled by 'pid'; add it to --cull"),
        (["-p"], "rows are not culled by 'pid'; add it to --cull"),
        (["-n"], "rows are not culled by 'task'; add it to --cull"),
        (["--sort=size"], "rows are not culled by 'size'; add it to --cull"),
        (["--sort="], "unknown key ''"),
        (
            ["--cull=tgid"],
            "--cull tgid: a trace has no 'tgid'; keys are site, function, caller, stacktrace, task,"
            " pid, size, align, gfp, atomic, txt\n",
        ),
        (["--cull=size,st"], "--cull size,st: the trace has no stacks; record them: `percpu-ffi "),
        (["--cull=gfp"], "the trace has no gfp flags; kernels before 5.19 do not print them"),
        (["--pid=ip"], "--pid ip: the id of a task is a whole number, such as 4711"),
        (["--pid=-1"], "--pid -1: the id of a task is a whole number"),
        (["--pid=,"], "--pid ',': give the ids of tasks, or leave it out"),
        (["--name="], "--name '': give the names of tasks, or leave it out"),
        (["--pid=20,21", "--name=iq"], "--pid 20,21 --name iq: no task matches an allocation; a "),
        (["--pid=21", "--site=mm_init"], "--site mm_init --pid 21: no task matches"),
        (["--cull=peak_bytes"], "unknown key 'peak_bytes'"),
        (["--site=none*"], "--site none*: no call site matches"),
        (["--site=no,none*"], "--site no,none*: no call site matches"),
        (["--limit=0"], "--limit 0: from 1"),
    ],
)
def test_errors_are_one_sentence(
    story: str, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["who", story, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"PCPUTRC1\0", "cut or damaged"),
        (b"hello\n", "no percpu event"),
    ],
)
def test_file_that_is_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    (tmp_path / "t").write_bytes(content)
    assert main(["who", str(tmp_path / "t")]) == 2
    assert words in capsys.readouterr().err
    assert main(["who", str(tmp_path / "nowhere")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_control_characters_in_a_site_are_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t").write_text(alloc(0, A, 16, "mm\x1b[2J"))
    assert main(["who", str(tmp_path / "t")]) == 0
    assert "mm?[2J" in capsys.readouterr().out


# every row of the table had 10,000 characters
def test_long_site_is_cut_in_the_table_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = f"start{'x' * 10_000}+0x1/0x2"
    (tmp_path / "t").write_text(alloc(0, A, 16, site) + alloc(1, B, 16, "mm_init+0x10"))
    for cull in ("site", "function,site", "txt"):
        assert main(["who", str(tmp_path / "t"), "--cull", cull]) == 0
        table = capsys.readouterr().out
        assert max(map(len, table.splitlines())) < 250
        assert "start" in table
        assert "+0x1/0x2" in table
    assert main(["who", str(tmp_path / "t"), "--json"]) == 0
    assert {row["site"] for row in json.loads(capsys.readouterr().out)["rows"]} >= {site}
    assert main(["who", str(tmp_path / "t"), "--csv"]) == 0
    assert site in capsys.readouterr().out


# A call site is text from another machine: a spreadsheet computed =cmd|'/C calc'!A0, and a
# terminal interpreted escape sequences that --csv printed.
@pytest.mark.parametrize(
    ("site", "cell"),
    [
        ("=cmd|'/C'!A0", "'=cmd|'/C'!A0"),
        ("+1", "'+1"),
        ("-f", "'-f"),
        ("@SUM+A1", "'@SUM+A1"),
        ("mm\x1b[2J", "mm?[2J"),
        ("mm_init+0x10", "mm_init+0x10"),
    ],
)
def test_csv_is_safe_to_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: str, cell: str
) -> None:
    (tmp_path / "t").write_text(alloc(0, A, 16, site))
    assert main(["who", str(tmp_path / "t"), "--csv"]) == 0
    _header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert row[0] == cell


@pytest.mark.parametrize("output", [[], ["--csv"], ["--json"]])
def test_broken_pipe(story: str, output: list[str]) -> None:
    command = " ".join([sys.executable, "-m percpu_ffi who", story, *output, "| head -1"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
