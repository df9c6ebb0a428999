# SPDX-License-Identifier: GPL-2.0-only
"""The files of a command: no output overwrites an input or another output, by any name.

`bench --trace my.trace --json my.trace` replaced the trace, as did `check my.trace --save
my.trace`, also by its default name, and `sizes t.svg --plot t.svg`; of `bench --json X --plot X`
only the second was left.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from conftest import NETNS

from percpu_ffi import ConfigError, Trace
from percpu_ffi.bench.workloads import samples
from percpu_ffi.cli import COMMANDS, main
from percpu_ffi.cli.files import InputFile, OutputFile, check_files

commands = pytest.mark.parametrize("command", COMMANDS)

# arguments whose text is not the name of a file
TEXTS = {
    "bench": {"workloads", "contenders"},
    "check": {"parties", "only", "executor", "dask"},
    "compare": {"own", "executor", "dask"},
    "record": {"command"},
    "sizes": {"executor", "dask"},
    "who": {"cull", "sort", "sites", "pids", "names", "helpers"},
}
OTHER_TEXTS = [
    ("bench", [""]),
    ("bench", ["--contender", ""]),
    ("check", [NETNS, "--with", ""]),
    ("check", [NETNS, "--only", ""]),
    ("compare", [NETNS, "--with", ""]),
    ("compare", [NETNS, "--executor", ""]),
    ("sizes", [NETNS, "--dask", ""]),
    ("record", ["--", ""]),
    ("who", [NETNS, "--cull", ""]),
    ("who", [NETNS, "--sort", ""]),
    ("who", [NETNS, "--site", ""]),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ways to a file of any suffix, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("folder").symlink_to(".")
    Path("link.svg").symlink_to("file.svg")


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    import_module(f"percpu_ffi.cli.options.{command}").add_arguments(parser)
    return parser


def actions(command: str, kind: type) -> list[argparse.Action]:
    return [action for action in parser_of(command)._actions if isinstance(action.type, kind)]


def naming(command: str, *files: tuple[argparse.Action, str]) -> list[str]:
    """Return a command line with these files, and with others where it requires them."""
    words = [command]
    for action, path in files:
        count = action.nargs if isinstance(action.nargs, int) else 1
        words += [*action.option_strings[:1], *[path] * count]
    if command in ("replay", "report", "sizes", "who", "compare", "stats") and not any(
        action.option_strings in ([], ["--diff"]) for action, _ in files
    ):
        words.append("other")
    return words


def accepts_a_path(action: argparse.Action) -> bool:
    if action.nargs == 0 or action.choices is not None:
        return False
    try:
        return action.type is None or isinstance(action.type("some/file"), str)  # type: ignore[operator]
    except (ValueError, argparse.ArgumentTypeError):
        return False


@commands
def test_each_argument_that_may_be_a_path_says_what_it_is(command: str) -> None:
    """What is not marked is not checked: a new option fails here until it is."""
    unmarked = {
        action.dest
        for action in parser_of(command)._actions
        if accepts_a_path(action) and not isinstance(action.type, InputFile | OutputFile)
    }
    assert unmarked == TEXTS.get(command, set())


def pairs(command: str) -> Iterator[tuple[argparse.Action, argparse.Action]]:
    """Yield all inputs with all outputs, and all pairs of outputs."""
    outputs = actions(command, OutputFile)
    yield from itertools.product(actions(command, InputFile), outputs)
    yield from itertools.combinations(outputs, 2)


def test_pairs_are_found() -> None:
    names = {
        (*a.option_strings[:1], *b.option_strings[:1])
        for a, b in [*pairs("bench"), *pairs("check")]
    }
    assert names == {
        *(("--trace", "--json"), ("--trace", "--plot"), ("--json", "--plot")),
        *(("--compare", "--json"), ("--compare", "--plot")),
        *(("--save",), ("--resume",), ("--save", "--resume")),
        *(("--like", "--save"), ("--like", "--resume")),
        *(("--start", "--save"), ("--start", "--resume")),
    }


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that prints one sentence and ends with status 2."""
    assert main(args) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


@commands
@pytest.mark.parametrize("exists", [True, False], ids=["exists", "new"])
def test_one_file_for_two_options(
    command: str, exists: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["file.svg", "./file.svg", "link.svg", "folder/file.svg"]
    if exists:
        Trace.from_ops([("alloc", 1, 8, 8)]).save("file.svg")
        Path("hard.svg").hardlink_to("file.svg")
        names.append("hard.svg")
    before = sorted((path, path.read_bytes()) for path in Path().iterdir() if path.is_file())
    for (a, b), name in itertools.product(pairs(command), names):
        for one, other in (("file.svg", name), (name, "file.svg")):
            error = refused(capsys, *naming(command, (a, one), (b, other)))
            assert f"{other}: that is the file of " in error
    after = sorted((path, path.read_bytes()) for path in Path().iterdir() if path.is_file())
    assert after == before


def test_default_name_of_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    Trace.from_ops([("alloc", 1, 8, 8)]).save("difference.trace")
    error = refused(capsys, "check", "difference.trace")
    assert "--save difference.trace: that is the file of TRACE" in error


def test_files_that_no_argument_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("percpu.c").touch()
    monkeypatch.setenv("PERCPU_C", "percpu.c")
    assert "the file of PERCPU_C" in refused(capsys, "bench", "--json", "folder/percpu.c")
    name, path = next(iter(samples().items()))
    assert f"the file of workload {name}" in refused(capsys, "bench", "--json", str(path))
    Path("my_party.py").write_text("from percpu_ffi import Model as Mine\n")
    party = ["--with", "mine=my_party:Mine"]
    error = refused(capsys, "check", "--random", *party, "--save", "my_party.py")
    assert "the file of --with mine=my_party:Mine" in error


def test_standard_output_is_an_output_too() -> None:
    """`who my.trace >> my.trace` appended to its own trace."""
    Trace.from_ops([("alloc", 1, 8, 8)]).save("my.trace")
    before = Path("my.trace").read_bytes()
    command = f"{sys.executable} -m percpu_ffi who ./my.trace >> my.trace"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "standard output is also the file of TRACE" in done.stderr
    assert Path("my.trace").read_bytes() == before


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["--png", "/dev/null", "--svg", "/dev/null", "/dev/null"], True),
        (["--svg", "/dev/stdout", "x"], True),
        (["--svg", "/dev/stdout", "--png", "/proc/self/fd/1", "x"], False),
        (["--svg", "out", "x"], False),
    ],
)
def test_devices_and_standard_output(args: list[str], allowed: bool) -> None:
    """Standard output is the file ``out`` here."""
    parser = parser_of("report")
    before = os.dup(1)
    with open("out", "wb") as out:
        os.dup2(out.fileno(), 1)
    try:
        if allowed:
            check_files(parser, parser.parse_args(args))
        else:
            with pytest.raises(ConfigError, match="name another file"):
                check_files(parser, parser.parse_args(args))
    finally:
        os.dup2(before, 1)
        os.close(before)


@commands
def test_empty_name_of_a_file(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for action in (*actions(command, InputFile), *actions(command, OutputFile)):
        assert "the name is empty" in refused(capsys, *naming(command, (action, "")))


@commands
def test_output_to_a_dash(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As an input it is standard input; as an output it was a file of this name."""
    for action in actions(command, OutputFile):
        error = refused(capsys, *naming(command, (action, "-")))
        assert f"{action.option_strings[0]} -: a file is needed; /dev/stdout is" in error
    assert not Path("-").exists()


@pytest.mark.parametrize(("command", "args"), OTHER_TEXTS)
def test_other_names_that_are_empty(
    command: str, args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, command, *args)
