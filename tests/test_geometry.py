# SPDX-License-Identifier: GPL-2.0-only
"""The geometry of a real machine, from what its kernel printed, and --like."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import FORK, NETNS, SAMPLES
from test_dumps import recording

from percpu_ffi import Allocator, ConfigError, StatsError, TraceError
from percpu_ffi.cli import main
from percpu_ffi.geometry import Geometry

KERNEL = (SAMPLES / "percpu_stats.txt").read_text()
LINE = "percpu: Embedded 66 pages/cpu s233472 r8192 d28672 u2097152"
SIZES = (233472, 8192, 28672, 2097152)

# of Linux 6.1 with 16 possible CPUs
DMESG = """\
[    0.000000] Command line: console=ttyS0 panic=-1
[    0.000000] setup_percpu: NR_CPUS:8192 nr_cpumask_bits:16 nr_cpu_ids:16 nr_node_ids:1
[    0.000000] percpu: Embedded 61 pages/cpu s212992 r8192 d28672 u262144
[    0.000000] pcpu-alloc: s212992 r8192 d28672 u262144 alloc=1*2097152
[    0.000000] pcpu-alloc: [0] 00 01 02 03 04 05 06 07 [0] 08 09 10 11 12 13 14 15
"""
DMESG_GEOMETRY = Geometry(212992, 8192, 28672, 262144, 4096, 16)


# --- the line of the boot


@pytest.mark.parametrize(
    ("line", "geometry"),
    [
        (LINE, (*SIZES, 4096)),
        (LINE.removeprefix("percpu: "), (*SIZES, 4096)),
        (f"[    0.038432] {LINE}", (*SIZES, 4096)),
        (f"Jan  2 10:00:00 host kernel: {LINE}\r\n", (*SIZES, 4096)),
        # a mailer quoted and wrapped it
        (f"> > {LINE.replace(' u2', chr(10) + '> > u2')}", (*SIZES, 4096)),
        (f"> {LINE.replace(' ', chr(10) + '> ')}", (*SIZES, 4096)),
        ("> percpu: 32 4K\n> pages/cpu s54616 r8192 d68264", (54616, 8192, 68264, 131072, 4096)),
        # addresses, hashed since 4.15 and left out since 5.2
        ("percpu: Embedded 38 pages/cpu @(____ptrval____) s118784 r8192 d28672 u1048576",
         (118784, 8192, 28672, 1048576, 4096)),
        ("percpu: Embedded 38 pages/cpu @        (ptrval) s118784 r8192 d28672 u1048576",
         (118784, 8192, 28672, 1048576, 4096)),
        ("PERCPU: Embedded 31 pages/cpu @ffff88003fc00000 s97280 r8192 d21504 u1048576",
         (97280, 8192, 21504, 1048576, 4096)),
        # pages of 64 KiB
        ("percpu: Embedded 3 pages/cpu s116888 r0 d79720 u196608",
         (116888, 0, 79720, 196608, 65536)),
        # the first chunk page by page: the unit is as large as its pages
        ("percpu: 32 4K pages/cpu s54616 r8192 d68264", (54616, 8192, 68264, 131072, 4096)),
        ("percpu: 3 64K pages/cpu @(____ptrval____) s116888 r0 d79720",
         (116888, 0, 79720, 196608, 65536)),
        # for debugging, where the other one is not in the log
        ("pcpu-alloc: s212992 r8192 d28672 u262144 alloc=1*2097152",
         (212992, 8192, 28672, 262144, None)),
        ("pcpu-alloc: s4096 r0 d4096 u65536", (4096, 0, 4096, 65536, None)),
        # the pages are not the sum of the sizes, or no power of two
        (LINE.replace("66", "67"), (*SIZES, None)),
        (LINE.replace("66", "22"), (*SIZES, None)),
        (LINE.replace("66", "0"), (*SIZES, None)),
    ],
)  # fmt: skip
def test_line_of_the_boot(line: str, geometry: tuple[int | None, ...]) -> None:
    assert Geometry.from_text(line) == Geometry(*geometry)  # type: ignore[arg-type]


def test_log_of_the_boot() -> None:
    assert Geometry.from_text(DMESG) == DMESG_GEOMETRY


def test_last_boot_of_a_log_counts() -> None:
    log = f"nr_cpu_ids:4 nr_node_ids:1\n{LINE}\n{DMESG}"
    assert Geometry.from_text(log) == DMESG_GEOMETRY
    paged = "percpu: 32 4K pages/cpu s54616 r8192 d68264"  # percpu_alloc=page
    assert Geometry.from_text(f"{LINE}\n{paged}").static_size == 54616
    assert Geometry.from_text(f"{paged}\n{LINE}").static_size == 233472


@pytest.mark.parametrize(
    ("lines", "cpus"),
    [
        (["pcpu-alloc: [0] 0 "], 1),
        (["pcpu-alloc: [0] 00 01 02 03 [0] 04 05 -- -- "], 6),
        (["pcpu-alloc: [0] 0 1 2 3 | 4 5 6 7"], 8),
        (["[    0.0] pcpu-alloc: [00] 00 02 ", "[    0.0] pcpu-alloc: [01] 01 03 "], 4),
        (["pcpu-alloc: [0] 0 1", "RCU restricting CPUs from NR_CPUS=8192 to nr_cpu_ids=2."], 2),
        (["pcpu-alloc: [0] 0 2 [0] 4 6"], 4),
        (["nr_cpu_ids:8", "pcpu-alloc: [0] 0 1"], 8),
        ([], None),
    ],
)
def test_possible_cpus(lines: list[str], cpus: int | None) -> None:
    assert Geometry.from_text("\n".join([LINE, *lines])).cpus == cpus


# --- a dump, a recording


def test_dump() -> None:
    """It has neither the page size nor the CPUs; quoted and with a prompt it is one, too."""
    geometry = Geometry(185496, 0, 31592, 1048576)
    assert Geometry.from_text(KERNEL) == geometry
    quoted = "".join(f"> {line}\n" for line in KERNEL.splitlines())
    assert Geometry.from_text(f"# cat percpu_stats\n{quoted}\nBye") == geometry
    reserved = KERNEL.replace("reserved_size       :            0", "reserved_size : 8192")
    assert Geometry.from_text(KERNEL + reserved).reserved_size == 8192  # the last one
    assert Geometry.from_text(DMESG + KERNEL) == DMESG_GEOMETRY


def test_recording(tmp_path: Path) -> None:
    line = LINE.removeprefix("percpu: ")
    path = recording(tmp_path, boot_line=line, possible_cpus=3, page_size=4096)
    assert Geometry.load(path) == Geometry(*SIZES, 4096, 3)
    path = recording(tmp_path, stats_before=KERNEL, possible_cpus=2, page_size=65536)
    assert Geometry.load(path) == Geometry(185496, 0, 31592, 1048576, 65536, 2)
    path = recording(tmp_path, stats_after=KERNEL, boot_line="percpu: max_distance=0x1000")
    assert Geometry.load(path) == Geometry(185496, 0, 31592, 1048576)


@pytest.mark.parametrize("values", [{}, {"boot_line": 7, "stats_before": None}])
def test_recording_without_a_geometry(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StatsError, match=r"my.trace: the recording does not have the geometry"):
        Geometry.load(recording(tmp_path, possible_cpus=2, **values))


def test_boot_line_of_a_recording_that_is_another_one() -> None:
    with pytest.raises(StatsError, match=r"^my.trace: there is no geometry"):
        Geometry.from_machine({"boot_line": "percpu: max_distance=0x1000"}, "my.trace")


def test_wrong_notes_of_a_recorder_are_left_out() -> None:
    machine = {"boot_line": LINE, "possible_cpus": "many", "page_size": None}
    assert Geometry.from_machine(machine) == Geometry(*SIZES, 4096)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no geometry of a machine; recognised are the line of a kernel's boot"),
        ("percpu: Embedded many pages/cpu s1 r2 d3 u4", "there is no geometry"),
        (f"percpu: Embedded 66 pages/cpu s{'9' * 5000} r1 d1 u1", "there is no geometry"),
        ("percpu: Embedded 66 pages/cpu s233472 r8192", "there is no geometry"),
        (KERNEL[:700], "the dump is cut"),
        (KERNEL.replace("  dyn_size", "  dyn"), "the dump has no dyn_size"),
    ],
)
def test_text_without_a_geometry_is_refused(text: str, words: str) -> None:
    with pytest.raises(StatsError, match=f"^boot.txt:.*{words}"):
        Geometry.from_text(text, "boot.txt")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Geometry.load(7), "path=7: "),  # type: ignore[arg-type]
        (lambda: Geometry.from_text(7), "text=7: a str is needed"),  # type: ignore[arg-type]
        (lambda: Geometry.from_text(LINE, 7), "name=7: a str, or None,"),  # type: ignore[arg-type]
        (lambda: Geometry.from_machine(7), "machine=7: a mapping"),  # type: ignore[arg-type]
        (lambda: Geometry.from_machine({"boot_line": LINE}, 7), "name=7: a"),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_a_wrong_type(call: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{words}"):
        call()


def test_setup_of_2009() -> None:
    """There was no reserved area: it is a part of the static one."""
    assert DMESG_GEOMETRY.setup() == {
        "first_chunk": "remap",
        "static_size": 212992 + 8192,
        "free_size": 28672,
        "unit_size": 262144,
        "memory": "none",
        "page_size": 4096,
        "cpus": 16,
    }
    assert Geometry(*SIZES).setup().keys().isdisjoint({"page_size", "cpus"})
    with Allocator(**DMESG_GEOMETRY.setup()) as a:
        assert a.state().chunks[0].free_size == 28672


# --- the commands


@pytest.fixture
def boot(tmp_path: Path) -> str:
    """A file with the log of the boot."""
    (tmp_path / "boot.log.gz").write_bytes(gzip.compress(DMESG.encode()))
    return str(tmp_path / "boot.log.gz")


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    assert main([*args]) == 0
    return json.loads(capsys.readouterr().out)


def test_replay_like_a_machine(boot: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "replay", NETNS, "--json", "--like", boot)
    assert found["geometry"] == {
        "policy": "area-map",
        "cpus": 16,
        "first_chunk": "remap",
        "static_size": 221184,
        "unit_size": 262144,
        "page_size": 4096,
        "memory": "none",
    }


def test_single_options_win(boot: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--cpus", "3", "--page-size", "8K", "--unit-size", "512K", "--static-size", "1000",
               "--first-chunk", "embed", "--free-size", "0", "--memory", "mapped"]  # fmt: skip
    found = printed(capsys, "replay", NETNS, "--json", "--like", boot, *options)
    assert found["geometry"] == {
        "policy": "area-map",
        "cpus": 3,
        "first_chunk": "embed",
        "static_size": 1000,
        "unit_size": 512 << 10,
        "page_size": 8192,
        "memory": "mapped",
    }


def test_cpus_of_the_recording_where_the_machine_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "line").write_text(LINE)
    found = printed(capsys, "replay", NETNS, "--json", "--like", str(tmp_path / "line"))
    assert found["geometry"]["cpus"] == 2
    assert found["geometry"]["unit_size"] == 2 << 20


def test_stats_like_a_machine(boot: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "stats", NETNS, "--json", "--like", boot)["allocation"]
    assert found["static_size"] == 221184
    assert (found["unit_size"], found["dyn_size"]) == (262144, 28672)


def test_check_like_a_machine(
    boot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The set-up is that of the machine also if a party refuses it."""
    (tmp_path / "none").write_text("Embedded 0 pages/cpu s0 r0 d0 u0")
    short = recording(tmp_path)
    assert main(["check", short, "--like", boot]) == 0
    assert "no difference" in capsys.readouterr().out
    assert main(["check", short, "--like", str(tmp_path / "none")]) == 2
    assert "static_size=0" in capsys.readouterr().err
    assert main(["check", short, "--like", str(tmp_path / "none"), "--setup",
                 '{"static_size": 64, "first_chunk": "4k"}']) == 0  # fmt: skip
    campaign = ["check", "--random", "--operations", "50", "--jobs", "1", "--length", "50"]
    assert main([*campaign, "--like", boot]) == 0
    reached = capsys.readouterr().out
    assert re.search(
        r"first chunk 4k +0\n  first chunk embed +0\n  first chunk remap +[1-9]", reached
    )


def test_compare_like_a_machine(boot: str, capsys: pytest.CaptureFixture[str]) -> None:
    def geometries(*options: str) -> list[tuple[Any, ...]]:
        found = printed(capsys, "compare", FORK, "--json", "--like", boot, *options)
        names = ("first_chunk", "unit_size", "cpus", "static_size", "free_size", "page_size")
        return [tuple(row[name] for name in names) for row in found["geometries"]]

    machine = ("remap", 262144, 16, 221184, 28672, 4096)
    assert geometries() == [machine]
    assert geometries("--unit-size", "256K,2M") == [machine, (machine[0], 2 << 20, *machine[2:])]
    assert geometries("--geometry", "cpus=2") == [machine, (*machine[:2], 2, *machine[3:])]
    assert geometries("--page-size", "4K,16K")[1][-1] == 16384


def test_report_like_a_machine(
    boot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {}

    def collect(trace: Any, setup: dict[str, Any], progress: Any) -> Any:
        asked.update(setup)
        raise TraceError("enough")

    monkeypatch.setattr("percpu_ffi.cli.report.collect", collect)
    page = str(tmp_path / "page.svg")
    assert main(["report", NETNS, "--svg", page, "--like", boot, "--page-size", "64K"]) == 2
    assert asked == {**DMESG_GEOMETRY.setup(), "page_size": 65536}


@pytest.mark.parametrize("command", ["replay", "stats"])
def test_page_size(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, command, NETNS, "--json", "--page-size", "64K", "--memory", "none")
    assert (found.get("geometry") or found["allocation"])["unit_size"] == 16 * 65536
    assert main([command, NETNS, "--page-size", "1000"]) == 2
    assert "page_size=1000: a power of two is needed" in capsys.readouterr().err


def test_machine_on_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DMESG.encode())))
    assert printed(capsys, "replay", NETNS, "--json", "--like", "-")["geometry"]["cpus"] == 16


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["replay", NETNS, "--like", "nowhere"], "nowhere: No such file"),
        (["replay", NETNS, "--like", NETNS], "netns_churn.ftrace.xz: there is no geometry"),
        (["report", NETNS, "--svg", "x.svg", "--like", __file__ + "/x"], "Not a directory"),
        (["replay", "-", "--like", "-"], "standard input can be read only once"),
    ],
)
def test_files_without_a_geometry(
    args: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open(NETNS, "rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


def test_geometry_that_was_not_possible_in_2009(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A unit of 12 pages; then one that another option makes possible."""
    (tmp_path / "line").write_text("percpu: 12 4K pages/cpu s24576 r0 d24576")
    assert main(["replay", NETNS, "--like", str(tmp_path / "line")]) == 2
    assert "unit_size=49152" in capsys.readouterr().err
    assert main(["replay", NETNS, "--like", str(tmp_path / "line"), "--unit-size", "64K"]) == 0
    capsys.readouterr()


def test_replay_with_todays_policy_like_a_machine(
    boot: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "replay", NETNS, "--json", "--like", boot, "--policy", "bitmap")
    assert found["geometry"] == {
        "policy": "bitmap",
        "cpus": 16,
        "first_chunk": None,
        "static_size": 212992,
        "unit_size": 262144,
        "page_size": 4096,
        "memory": "none",
    }
