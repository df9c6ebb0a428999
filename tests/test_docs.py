# SPDX-License-Identifier: GPL-2.0-only
"""The documents: their examples print what they show, and their links are valid."""

from __future__ import annotations

import dataclasses
import doctest
import re
import runpy
import shlex
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import percpu_ffi
from percpu_ffi import Allocator
from percpu_ffi.cli import main

if TYPE_CHECKING:
    from percpu_ffi.replay import Replay

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/**/*.md"))]
NOT_ALIKE = ("record", "report")  # their output depends on the machine, or on the version of bokeh
# a figure of any length, but in its column
SPEED = re.compile(r"^  speed(?= +\d[\d,]* {3}\w)[ \d,]{24}", flags=re.M)

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def shown(path: Path) -> list[tuple[str, str]]:
    """Return the commands of a document, after a ``$``, and the output that it shows."""
    blocks = re.findall(r"^```\n(\$ .*?)^```", path.read_text("utf-8"), flags=re.M | re.S)
    commands = []
    for block in blocks:
        command, _, output = block.partition("\n")
        commands.append((command.removeprefix("$ "), output))
    return commands


def words(command: str) -> list[str]:
    """Split a command as a shell does, with the files that match a pattern."""
    return [name for word in shlex.split(command) for name in sorted(glob(word)) or [word]]


def source(name: str) -> Path:
    """Return a file of the project, also where the package is installed elsewhere."""
    here = ROOT / name
    return here if here.exists() else Path(percpu_ffi.__file__).parents[1] / name


@documents
def test_python_examples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # paths of the samples are relative
    assert doctest.testfile(str(path), module_relative=False).failed == 0


COMMANDS = [
    pytest.param(command, output, id=f"{path.name}: {command}")
    for path in DOCUMENTS
    for command, output in shown(path)
    if command == "make run" or command.split()[1] not in NOT_ALIKE
]


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_commands(
    command: str,
    output: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line of three dots matches any lines."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    if command == "make run":
        command = "percpu-ffi replay samples/netns_churn.ftrace.xz"
    program, *arguments = words(command)
    if program == "python":
        assert runpy.run_path(arguments[0])["main"](arguments[1:]) == 0
    else:
        assert main(arguments) == 0
    printed = SPEED.sub("speed", capsys.readouterr().out)
    wanted = re.escape(SPEED.sub("speed", output)).replace("\\.\\.\\.\\\n", "(?:.*\n)*")
    assert re.fullmatch(wanted, printed), printed


@pytest.mark.parametrize("nanoseconds", [10**4, 10**6, 10**7, 10**12])
def test_make_run_is_as_shown_at_any_speed(
    nanoseconds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figure may have any number of digits; it had to have the seven of README.md."""
    replay = Allocator.replay
    command = "make run"
    output = dict(shown(ROOT / "README.md"))[command]

    def timed(*args: Any) -> Replay:
        return dataclasses.replace(replay(*args), elapsed_ns=nanoseconds)

    monkeypatch.setattr(Allocator, "replay", timed)
    test_commands(command, output, monkeypatch, capsys)


def test_commands_are_found() -> None:
    assert len(COMMANDS) >= 8


@documents
def test_links(path: Path) -> None:
    """Linked files exist, and have the linked headings."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text("utf-8"))
    for file, heading in links:
        target = path.parent / file if file else path
        assert target.exists(), file
        if heading:
            heads = re.findall(r"^#+ (.*)", target.read_text("utf-8"), flags=re.M)
            anchors = {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}
            assert heading in anchors, f"{file}#{heading}"


def test_tests_that_show_a_promise_exist() -> None:
    named = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(named) > 10
    for file, name in named:
        assert (
            f"class {name}" in (ROOT / file).read_text("utf-8") if name else (ROOT / file).exists()
        )


def test_pictures_are_those_of_the_scripts() -> None:
    made = set(re.findall(r'"([\w-]+\.png)"', (ROOT / "tools/pictures.py").read_text("utf-8")))
    made.update(re.findall(r"docs/pictures/([\w-]+\.png)", (ROOT / "Makefile").read_text("utf-8")))
    shown_ones = {
        Path(picture).name
        for path in DOCUMENTS
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", path.read_text("utf-8"))
    }
    assert made == shown_ones == {path.name for path in (ROOT / "docs/pictures").iterdir()}


def test_table_of_kernels_is_what_the_program_printed() -> None:
    """Each row of docs/hidden-space.md is a file of samples/hidden_space, all are there."""
    text = (ROOT / "docs/hidden-space.md").read_text("utf-8")
    table = re.findall(r"^\| (6\.\d.*) \|$", text, flags=re.M)
    made = []
    for path in (ROOT / "samples/hidden_space").glob("*.txt"):
        output = path.read_text("utf-8")
        corrected = path.stem.endswith("corrected")
        release = re.search(r"Debian ([\d.]+)-|^Linux ([\d.]+) ", output)
        unit = re.search(r"CPUs (?:0-)?(\d+), units of (\d+)", output)
        freed = re.search(r"^freed: \d+ areas, (\d+) bytes", output, flags=re.M)
        for stats in re.findall(r"^percpu_stats: (.*), (.*)$", output, flags=re.M):
            assert all(f"`{figure}`" in text for figure in stats)
        assert release
        assert unit
        assert freed
        bytes_ = int(unit[2])
        steps = [
            "{:,} / {:,}; {}; {:+,} kB".format(*map(int, row))
            for row in re.findall(r"allocated +(\d+) +(\d+) +(\d+) +([+-]\d+) kB", output)
        ]
        made.append(
            f"{release[1] or release[2]}{', corrected' * corrected} | "
            f"{f'{bytes_ >> 10} KiB' if bytes_ < 1 << 20 else f'{bytes_ >> 20} MiB'}, "
            f"{int(unit[1]) + 1} | {int(freed[1]):,} | "
            f"{steps[0]} | {'' if corrected else steps[1]}"
        )
    assert sorted(row.rstrip(" |") for row in table) == sorted(row.rstrip(" |") for row in made)


@pytest.mark.parametrize(("document", "steps"), [("one-allocation.md", 24), ("bitmap.md", 16)])
def test_functions_are_where_a_document_says(document: str, steps: int) -> None:
    """Each `function()` in a row of its tables is in one of the files that the row names."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \|.*", text, flags=re.M)
    assert len(rows) == steps
    for row in rows:
        step, where = row.rsplit("|", 2)[:2]
        files = re.findall(r"`([\w/.]+)`", where)
        assert files, row
        sources = "".join(source(file).read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(?:Allocator\.)?(\w+)\(\)`", step):
            if name not in {"kmalloc", "malloc", "mprotect"}:  # the kernel's, the C library's
                assert re.search(rf"\b{name}\(", sources), f"{name}() is not in {where}"
