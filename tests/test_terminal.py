# SPDX-License-Identifier: GPL-2.0-only
"""What users say of their terminal: ``COLUMNS`` is its width, ``NO_COLOR`` refuses colours."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from itertools import pairwise

import pytest
from conftest import NETNS

from percpu_ffi.cli import COMMANDS

SENSELESS = ["0", "-5", "abc", "", "1", "1000000000", "9" * 5000]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal is one that shows colours; the user has not said anything."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS", "TQDM_NCOLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def on_terminal(*arguments: str, width: int = 80) -> str:
    """Run a command with all its output on a terminal of this width, and return it."""
    terminal, child_side = pty.openpty()
    fcntl.ioctl(child_side, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))
    command = [sys.executable, "-m", "percpu_ffi", *arguments]
    with subprocess.Popen(
        command, stdin=child_side, stdout=child_side, stderr=child_side
    ) as process:
        os.close(child_side)
        shown = b"".join(chunks(terminal))
        assert process.wait(60) in (0, 2)
    os.close(terminal)
    return shown.decode()


def chunks(terminal: int) -> Iterator[bytes]:
    """Yield what a terminal shows, up to the end of the program there."""
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:  # as Linux says that the other side is closed
        return


def drawings(shown: str) -> list[str]:
    """Return the lines of chunks, which fill the terminal."""
    return re.findall(r"^\[[S#+. ]*\](?=\r$)", shown, re.M)


def bars(shown: str) -> list[str]:
    """Return the states of progress bars."""
    return [part for part in re.split(r"[\r\n]+", shown) if re.match(r"(reading|replaying):", part)]


class TestColumns:
    @pytest.mark.parametrize("width", [30, 61, 150])
    def test_is_the_width_of_a_drawing(self, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        assert {len(line) for line in drawings(on_terminal("replay", NETNS))} == {width}

    @pytest.mark.parametrize("width", [40, 61, 150])
    def test_is_the_width_of_the_progress_bar(
        self, width: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the last column, where the cursor would go to a new line."""
        pytest.importorskip("tqdm")
        monkeypatch.setenv("COLUMNS", str(width))
        assert {len(bar) for bar in bars(on_terminal("replay", NETNS))} == {width - 1}

    def test_is_the_width_of_help(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")  # only characters that are seen count
        widths = []
        for columns in (80, 100, 120):
            monkeypatch.setenv("COLUMNS", str(columns))
            help_of_all = [on_terminal(command, "--help") for command in COMMANDS]
            widths.append(max(len(line) for text in help_of_all for line in text.splitlines()))
            assert widths[-1] <= columns
        assert all(narrow < wide for narrow, wide in pairwise(widths))

    def test_is_that_of_the_terminal_if_it_is_not_set(self) -> None:
        shown = on_terminal("replay", NETNS, width=73)
        assert {len(line) for line in drawings(shown)} == {73}

    @pytest.mark.parametrize("columns", ["0", "-5", "abc", ""])
    def test_that_is_no_width_is_ignored(
        self, columns: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        shown = on_terminal("replay", NETNS, width=73)
        assert {len(line) for line in drawings(shown)} == {73}

    @pytest.mark.parametrize("columns", SENSELESS)
    def test_that_is_senseless_does_no_harm(
        self, columns: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        shown = on_terminal("replay", NETNS)
        assert "allocations             2,305" in shown
        assert all(3 <= len(line) <= 1000 for line in drawings(shown))
        assert "--first-chunk" in on_terminal("replay", "--help")
        assert "--nonsense" in on_terminal("replay", NETNS, "--nonsense")

    def test_of_a_terminal_without_a_size(self) -> None:
        shown = on_terminal("replay", NETNS, width=0)
        assert {len(line) for line in drawings(shown)} == {80}


class TestNoColor:
    """Colours come from Python's help, since 3.14, and from tqdm if the user wants them."""

    OUTPUTS = (
        ["--help"],
        ["replay", "--help"],
        ["replay"],
        ["replay", NETNS],
        ["replay", "nowhere"],
        ["who", NETNS, "--limit", "3"],
        ["check", "--random", "--operations", "2000", "--jobs", "1"],
    )

    @pytest.fixture(autouse=True)
    def _coloured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TQDM_COLOUR", "green")

    @pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
    def test_means_no_escape_sequences(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        shown = on_terminal(*arguments)
        assert len(shown) > 20
        assert "\x1b" not in shown

    @pytest.mark.parametrize("value", [None, ""])
    def test_is_needed_for_that(self, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty one counts as not set."""
        pytest.importorskip("tqdm")
        if value is not None:
            monkeypatch.setenv("NO_COLOR", value)
        assert "\x1b[32m" in on_terminal("replay", NETNS)
        assert ("\x1b[" in on_terminal("--help")) == (sys.version_info >= (3, 14))
