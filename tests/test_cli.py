# SPDX-License-Identifier: GPL-2.0-only
"""The command line, run as users run it."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from argparse import ArgumentTypeError
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

import pytest
from conftest import NETNS, SAMPLES, in_child

from percpu_ffi import ConfigError, Model, PercpuMemoryError, Trace, drawing
from percpu_ffi.cli import COMMANDS, main
from percpu_ffi.cli.arguments import size
from percpu_ffi.lockstep import ASPECTS, Difference, Mix
from percpu_ffi.lockstep.campaign import Totals
from percpu_ffi.lockstep.reach import CLASSES
from percpu_ffi.reports.lockstep import campaign_text
from percpu_ffi.reports.recording import recording_summary
from percpu_ffi.state import ChunkState

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    "events",
    "allocs",
    "frees",
    "orphan_frees",
    "reallocs",
    "failures",
    "peak_live_bytes",
    "chunks_created",
    "chunks_destroyed",
    "chunks",
    "peak_populated_pages",
    "counters",
}


def replay(*args: str) -> int:
    return main(["replay", *args])


def test_json_has_the_figures_of_trace_replay_and_kernel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert replay(NETNS, "--json", "--cpus", "2", "--static-size", "20480") == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() >= KEYS
    assert report["events"] == report["allocs"] + report["frees"] == 4605
    assert report["failures"] == report["orphan_frees"] == 0
    assert report["chunks"] == 1 + report["chunks_created"] - report["chunks_destroyed"] == 2
    assert report["counters"]["alloc_page"] == 100
    assert report["kernel"]["chunks"] == 1


def test_summary_names_its_figures_and_a_bar_for_each_chunk_fills_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert replay(NETNS) == 0
    out = capsys.readouterr().out
    for words in (
        "events",
        "4,605",
        "allocations",
        "frees",
        "failures",
        "peak live bytes",
        "chunks",
        "pages at peak",
        "utilisation",
        "kernel's own",
        "operations per second",
    ):
        assert words in out
    bars = [line for line in out.splitlines() if line.startswith("[")]
    assert len(bars) == 2
    assert all(len(bar) == 60 for bar in bars)


def test_cpus_are_those_of_the_recording(capsys: pytest.CaptureFixture[str]) -> None:
    replay(NETNS, "--json")
    assert json.loads(capsys.readouterr().out)["geometry"]["cpus"] == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--first-chunk", "embed"],
        ["--first-chunk", "remap"],
        ["--memory", "none", "--cpus", "256"],
        ["--unit-size", "262144", "--free-size", "65536"],
    ],
)
def test_options_make_the_allocator(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert replay(NETNS, "--json", *options) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["failures"] == 0
    assert str(report["geometry"][options[0].strip("-").replace("-", "_")]) == options[1]


def test_failures_come_with_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace.from_ops([("alloc", i, 100_000, 8) for i in range(3)] + [("alloc", 9, 8, 8)])
    trace.save(tmp_path / "t")
    with pytest.warns(match="illegal size"):
        assert replay(str(tmp_path / "t"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["failures"] == 3
    assert list(report["failure_reasons"].values()) == [3]
    with pytest.warns(match="illegal size"):
        replay(str(tmp_path / "t"))
    assert re.search(r"3 x\s+size 100000: an area has from 1 to 65536", capsys.readouterr().out)


# "static area of 1 bytes"
def test_one_of_anything_is_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace.from_ops([("alloc", 1, 1, 1)])
    trace.save(path := str(tmp_path / "t"))
    for command in ("replay", "who", "sizes", "compare", "check"):
        options = ["--static-size", "1"] if command in ("replay", "compare") else []
        assert main([command, path, *options]) == 0
    printed = capsys.readouterr().out
    with Model(cpus=1, static_size=1) as a, a.trace_to(tmp_path / "text") as tracing:
        printed += f"{trace!r} {a.area(1)!r} {a!r} {tracing!r} {a.state()!r}"
        a.inject("map", 1)
        with pytest.raises(PercpuMemoryError) as caught:
            a.alloc_many([a.max_size, 1])
        printed += str(caught.value) + str(recording_summary("t", trace.stats, [], 1))
    assert "1 byte" in printed
    assert re.findall(r"(?<![\d.,-])1 \w+s\b", printed) == []


def test_check_passes_its_options_to_the_campaign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, object] = {}

    def campaign(makers: dict[str, object], **given: object) -> None:
        seen.update(given, makers=list(makers))
        raise ConfigError("enough")

    monkeypatch.setattr("percpu_ffi.cli.check.Campaign", campaign)
    command = (
        "check --random --only model port --compare pointers work --operations 11 --seed 12 "
        "--calls many "
        '--length 13 --faults 0.25 --sizes 8 16 --aligns 4 --plan map={"nth":3} --setup {"cpus":2}'
    )
    assert main(command.split()) == 2
    assert "enough" in capsys.readouterr().err
    assert seen == {
        "makers": ["model", "port"],
        "operations": 11,
        "seed": 12,
        "length": 13,
        "faults": 0.25,
        "setup": {"cpus": 2},
        "compare": ("pointers", "work"),
        "calls": ("many",),
        "mix": Mix([8, 16], [4], [("map", {"nth": 3})]),
    }


def test_check_passes_the_number_of_processes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pool(jobs: int | None) -> None:
        raise ConfigError(f"jobs: {jobs}")

    monkeypatch.setattr("percpu_ffi.cli.executors.WorkerPool", pool)
    for options, jobs in (
        ([], "jobs: None"),
        (["--jobs", "1"], "jobs: 1"),
        (["--jobs", "256"], "jobs: 256"),
        (["--jobs", "0"], "--jobs 0: from 1 to 256"),
        (["--jobs", "257"], "--jobs 257: from 1 to 256"),
    ):
        assert main(["check", "--random", *options]) == 2
        assert jobs in capsys.readouterr().err


def test_sizes_have_suffixes() -> None:
    most = (1 << 63) - 1
    for text, value in (
        ("0", 0), ("-7", -7), (" 65536 ", 65_536), ("64K", 65_536), ("2m", 2 << 20),
        ("1G", 1 << 30), (str(most), most), (str(-most), -most),
    ):  # fmt: skip
        assert size(text) == value
    for text in ("", "K", "1T", "1.5K", "0x10", "8589934592G", str(most + 1), "9" * 5000):
        with pytest.raises(ArgumentTypeError) as caught:
            size(text)
        assert str(caught.value).startswith(f"{text[:40]!r}: a whole number of up to 63 bits")


def test_cpus_are_4_if_the_recording_names_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trace.from_ops([("alloc", 1, 8, 8)]).save(tmp_path / "t")
    assert replay(str(tmp_path / "t"), "--json", "--memory", "none", "--unit-size", "0") == 0
    geometry = json.loads(capsys.readouterr().out)["geometry"]
    assert (geometry["cpus"], geometry["memory"]) == (4, "none")
    assert geometry["unit_size"] == 65_536  # 0 is a value, too: the automatic size


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (None, "{}", {"memory": "none", "cpus": 2}),  # of the recording
        (None, '{"cpus": 3}', {"memory": "none", "cpus": 3}),
        ({"cpus": 5, "page_size": 64}, "{}", {"memory": "none", "cpus": 5, "page_size": 64}),
        ({"cpus": 5}, '{"cpus": 3, "memory": "mapped"}', {"memory": "mapped", "cpus": 3}),
    ],
)
def test_check_takes_set_up_from_recording_trace_and_command_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: dict[str, int] | None,
    given: str,
    expected: dict[str, object],
) -> None:
    path, seen = NETNS, []
    if own:
        path = str(tmp_path / "t")
        Trace.from_ops([("alloc", 1, 8, 8)], own).save(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "percpu_ffi.cli.check.lockstep", lambda _makers, trace, **_: seen.append(trace.setup)
    )
    assert main(["check", path, "--setup", given]) == 0
    assert seen == [expected]


def test_check_calls_in_each_way_in_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, object]] = []

    def lockstep(_makers: object, _trace: object, *, calls: str, **given: object) -> None:
        seen.append((calls, given["compare"]))

    monkeypatch.setattr("percpu_ffi.cli.check.lockstep", lockstep)
    assert main(["check", NETNS, "--compare", "errors", "work", "--calls", "many", "single"]) == 0
    assert seen == [("many", ["errors", "work"]), ("single", ["errors", "work"])]
    assert main(["check", NETNS]) == 0
    assert seen[2:] == [("single", ASPECTS)]
    assert capsys.readouterr().out == "port, model: 4,605 operations, no difference\n" * 2


def test_check_saves_all_operations_and_then_the_few_that_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = Trace.from_ops([("alloc", 1, 8, 8)])
    every = Trace.from_ops([("alloc", 1, 8, 8), ("alloc", 2, 16, 8)])
    found = Difference(every, "work", ("port", "model"), ("", ""), ())
    seen = []

    def shorten(_makers: object, difference: Difference, **given: object) -> Difference:
        seen.append((difference, given["compare"], Trace.load("difference.trace")))
        return dataclasses.replace(found, trace=few)

    monkeypatch.setattr("percpu_ffi.cli.check.lockstep", lambda *_, **__: found)
    monkeypatch.setattr("percpu_ffi.cli.check.shorten", shorten)
    assert main(["check", NETNS, "--compare", "work"]) == 1
    assert seen == [(found, ["work"], every)]
    assert Trace.load("difference.trace") == few
    assert capsys.readouterr().out.endswith(
        "\n1 operation shows it, saved as difference.trace:\n  ('alloc', 1, 8, 8)\n"
    )


def test_totals_of_a_campaign() -> None:
    totals = Totals(1, 2345, 67, 89, {"a", "b", "c"}, Counter(dict.fromkeys(CLASSES, 1234)))
    first, reached = campaign_text(["port", "model"], 4, totals).split("\nreached\n")
    assert [[line[:28].rstrip(), line[29:]] for line in first.splitlines()] == [
        ["parties", "port, model"],
        ["seed", "4"],
        ["operations", "2,345"],
        ["geometries", "3"],
        ["faults set", "67"],
        ["operations that failed alike", "89"],
        ["differences", "0"],
    ]
    assert len(reached.splitlines()) == len(CLASSES)
    assert all(line.endswith(" 1,234") for line in reached.splitlines())
    totals.difference = Difference(Trace.from_ops([]), "state", ("port", "model"), ("", ""), ())
    text = campaign_text(["port", "model"], 4, totals)
    assert text.endswith("differences                  1")


def test_set_up_is_that_of_the_trace_except_for_what_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"cpus": 3, "first_chunk": "embed", "static_size": 64, "page_size": 64, "memory": "none"}
    Trace.from_ops([("alloc", 1, 8, 8)], own).save(path := str(tmp_path / "t"))
    for options, changes in (
        ([], {}),
        (["--cpus", "5", "--static-size", "1K"], {"cpus": 5, "static_size": 1024}),
    ):
        assert replay(path, "--json", *options) == 0
        geometry = json.loads(capsys.readouterr().out)["geometry"]
        assert geometry.items() >= {**own, **changes}.items()


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (MemoryError(), 2, "out of memory"),
        (MemoryError("of pages"), 2, "of pages"),
        (OSError(5, "Input/output error"), 2, "Input/output error"),
        (OSError(5, "Input/output error", "t"), 2, "t: Input/output error"),
        (OSError("no number"), 2, "no number"),
        (ConfigError("cpus=0"), 2, "cpus=0"),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_errors_of_a_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    sentence: str | None,
) -> None:
    def fail(_args: object) -> int:
        print("before")
        raise error

    monkeypatch.setattr("percpu_ffi.cli.who.run", fail)
    assert main(["who", NETNS]) == status
    assert capsys.readouterr() == ("before\n", f"percpu-ffi: {sentence}\n" if sentence else "")


def test_status_of_a_broken_pipe_is_that_of_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_args: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("percpu_ffi.cli.who.run", gone)
    assert in_child(lambda: os._exit(main(["who", NETNS]))) == 128 + signal.SIGPIPE


def test_rare_reasons_are_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trace.from_ops([("alloc", i, 8, 3 + 2 * i) for i in range(9)]).save(tmp_path / "t")
    assert replay(str(tmp_path / "t")) == 0
    assert "4 x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere"], "percpu-ffi: nowhere: No such file or directory\n"),
        ([os.fspath(SAMPLES)], "Is a directory"),
        ([__file__], "no percpu event"),
        ([NETNS, "--cpus", "0"], "cpus=0"),
        ([NETNS, "--static-size", "0"], "static_size=0"),
        ([NETNS, "--unit-size", "4096"], "16 pages"),
    ],
)
def test_errors_are_one_sentence(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    assert replay(*args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("percpu-ffi: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_bad_usage_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (
        [],
        ["dance"],
        ["replay"],
        ["replay", NETNS, "--first-chunk", "8k"],
        ["who", NETNS, "--sort=--"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(args)
        assert caught.value.code == 2
    assert "usage: percpu-ffi" in capsys.readouterr().err


def run(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "percpu_ffi", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_package_runs_as_a_module() -> None:
    assert run("--version").stdout.startswith("percpu-ffi ")


def test_broken_pipe() -> None:
    command = f"{sys.executable} -m percpu_ffi replay {NETNS} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("netns_churn")
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["replay", "who", "sizes"])
def test_full_disk(command: str) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "percpu_ffi", command, NETNS],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "percpu-ffi: No space left on device\n"


# Python discards the output then: the command printed nothing and its exit status was 0
def test_closed_standard_output() -> None:
    command = f"{sys.executable} -m percpu_ffi who {NETNS} >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "standard output is closed" in done.stderr


# the exit status was 1, or the message went to standard output
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_error_that_cannot_be_printed(where: str) -> None:
    command = f"{sys.executable} -m percpu_ffi who nowhere {where}"
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


# isatty() of the closed stream raised an error in the progress bar
def test_closed_standard_error() -> None:
    command = f"{sys.executable} -m percpu_ffi who {NETNS} --limit 1 2>&-"
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("netns_churn")


@pytest.mark.parametrize("command", ["who", "compare", "replay", "sizes"])
def test_control_characters_in_a_name_are_replaced(tmp_path: Path, command: str) -> None:
    Trace.from_ops([("alloc", "a", 8, 8)]).save(tmp_path / "\x1b[2J")
    (tmp_path / "\x1b[31m").write_text("no trace")
    shown = run(command, os.fspath(tmp_path / "\x1b[2J"))
    refused = run(command, os.fspath(tmp_path / "\x1b[31m"))
    assert "?[2J" in shown.stdout
    assert "?[31m" in refused.stderr
    assert "\x1b" not in shown.stdout + refused.stderr


@pytest.mark.parametrize("options", [["who", "--csv"], ["sizes"], ["sizes", "--csv"]])
def test_name_that_cannot_be_encoded(tmp_path: Path, options: list[str]) -> None:
    Trace.from_ops([("alloc", "a", 8, 8)]).save(tmp_path / "t\udcff")
    done = run(*options, os.fspath(tmp_path / "t\udcff"))
    assert (done.returncode, done.stderr) == (0, "")


def test_no_progress_bar_without_a_terminal() -> None:
    assert run("replay", NETNS).stderr == ""


def test_progress_bar_on_a_terminal() -> None:
    terminal, child_side = pty.openpty()
    fcntl.ioctl(child_side, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [sys.executable, "-m", "percpu_ffi", "replay", NETNS]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=child_side, check=True)
    os.close(child_side)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "reading" in shown
    assert "replaying" in shown


class TestImports:
    """A command imports what it needs.

    All commands were imported to print the version, which took 9 to 12 times as long as
    `python -c pass`.
    """

    BASIS: ClassVar = {
        "percpu_ffi",
        "percpu_ffi._util",
        "percpu_ffi._util.text",
        "percpu_ffi._version",
        "percpu_ffi.cli",
        "percpu_ffi.cli.messages",
        "percpu_ffi.errors",
    }

    def imported(self, *args: str) -> set[str]:
        """Run a command and return the modules of the package, and others that cost time."""
        program = (
            "import sys\n"
            "from contextlib import redirect_stdout, redirect_stderr, suppress\n"
            "from os import devnull\n"
            "from percpu_ffi.cli import COMMANDS, main\n"
            "with open(devnull, 'w') as nothing, suppress(SystemExit):\n"
            "    with redirect_stdout(nothing), redirect_stderr(nothing):\n"
            "        main(sys.argv[1:])\n"
            "print(*sys.modules)\n"
        )
        command = [sys.executable, "-c", program, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        costly = {"percpu_ffi", "bokeh", "matplotlib", "numpy", "tqdm", "multiprocessing"}
        return {name for name in done.stdout.split() if name.partition(".")[0] in costly}

    @pytest.mark.parametrize("args", [["--version"], ["--help"], [], ["dance"], ["--nonsense"]])
    def test_no_command(self, args: list[str]) -> None:
        assert self.imported(*args) == self.BASIS

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_of_one_command(self, command: str) -> None:
        names = self.imported(command, "--help")
        options = {f"percpu_ffi.cli.options.{name}" for name in COMMANDS}
        assert names & options == {f"percpu_ffi.cli.options.{command}"}
        assert not names & {f"percpu_ffi.cli.{name}" for name in COMMANDS}
        assert not names & {"percpu_ffi.allocator", "bokeh", "matplotlib", "numpy", "tqdm"}

    @pytest.mark.parametrize("args", [["who", ""], ["sizes", ""], ["record", "-o", ""]])
    def test_command_that_replays_nothing_needs_no_allocator(self, args: list[str]) -> None:
        names = self.imported(*args)
        assert f"percpu_ffi.cli.{args[0]}" in names
        assert not names & {"percpu_ffi.allocator", "percpu_ffi.model", "percpu_ffi.lockstep"}

    def test_parser_of_all_commands_needs_nothing_compiled(self) -> None:
        """Completion and manual page are made from it while the package is built."""
        program = (
            "import sys\n"
            "sys.modules.update(dict.fromkeys(['percpu_ffi._core', 'cffi', '_cffi_backend']))\n"
            "from percpu_ffi.cli import parser\n"
            "actions = parser()._subparsers._group_actions[0].choices.items()\n"
            "print(*(name for name, command in actions if len(command._actions) > 1))\n"
            "print({*sys.modules} & {'bokeh', 'dask', 'matplotlib', 'numpy', 'tqdm'})\n"
        )
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [" ".join(COMMANDS), "set()"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: percpu-ffi {command} " in capsys.readouterr().out


def test_help_lists_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert re.search(rf"^    {name} +{re.escape(summary)}$", out, flags=re.M)


class TestMapBar:
    """A unit of 1,024 bytes on 16 characters: 64 bytes each."""

    def bar(self, *sizes: int, chunk: int = 1, static: int = 64, free: int = 0) -> str:
        state = ChunkState(chunk, free, 0, sizes, 16, False, ())
        return drawing.map_bar(state, 1024, static, 16)

    def test_empty_and_full(self) -> None:
        assert self.bar(1024) == "." * 16
        assert self.bar(-1024) == "#" * 16

    def test_static_area_leads_the_first_chunk(self) -> None:
        assert self.bar(-64, -128, 832, chunk=0) == "S##............."
        assert self.bar(-64, -128, 832) == "###............."

    def test_cell_of_which_more_than_half_is_static(self) -> None:
        assert self.bar(-96, 928, chunk=0, static=96) == "S+.............."
        assert self.bar(-97, 927, chunk=0, static=97) == "SS.............."

    def test_cell_partly_in_use(self) -> None:
        assert self.bar(-64, 32, -32, 896) == "#+.............."

    def test_range_outside_the_map_is_blank(self) -> None:
        assert self.bar(-64, 448, chunk=0) == "S.......        "

    def test_first_chunk_before_its_map(self) -> None:
        assert self.bar(chunk=0, free=960) == "S..............."
