# SPDX-License-Identifier: GPL-2.0-only
"""Completion in bash, zsh and fish, and the manual page: made from the parser, tried with each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_ffi.cli import COMMANDS, parser

pytest.importorskip("shtab")
pytest.importorskip("argparse_manpage")

ROOT = Path(__file__).resolve().parent.parent
BASH = "bash-completion/completions/percpu-ffi"
ZSH = "zsh/site-functions/_percpu-ffi"
FISH = "fish/vendor_completions.d/percpu-ffi.fish"
PAGE = "man/man1/percpu-ffi.1"
FILES = {BASH, ZSH, FISH, PAGE}


def make(folder: Path, **environment: str) -> dict[str, str]:
    """Make the files below a folder; return the text of each."""
    variables = {name: os.environ[name] for name in os.environ if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, str(ROOT / "tools" / "command_pages.py"), str(folder)]
    subprocess.run(command, env={**variables, **environment}, check=True)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files."""
    folder = tmp_path_factory.mktemp("share")
    assert make(folder).keys() == FILES
    return folder


def output(*command: str | Path) -> str:
    """Run a program and return what it prints; skip if it is not installed."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    """Neither the order of sets, nor the terminal, nor the day matters."""
    once = make(tmp_path / "a", PYTHONHASHSEED="1", COLUMNS="40", TZ="UTC-14")
    again = make(tmp_path / "b", PYTHONHASHSEED="2", COLUMNS="200", TZ="UTC+12", FORCE_COLOR="1")
    assert once == again
    assert "\x1b" not in "".join(once.values())


@pytest.mark.parametrize("name", ["setup.py", "csrc/lib.mk", "tools/check-dist.sh"])
def test_what_installs_them_names_them(name: str) -> None:
    if not (ROOT / name).exists():
        pytest.skip(f"{name} is not here")
    text = (ROOT / name).read_text("utf-8").replace('", "', "/")
    assert {file for file in FILES if file in text} == FILES


# lines, and what TAB makes of the last word; there are kept.trace, folder.trace and folder/
COMPLETED = [
    ("percpu-ffi wh", "who"),
    ("percpu-ffi --ver", "--version"),
    ("percpu-ffi replay --pol", "--policy"),
    ("percpu-ffi replay --policy bit", "bitmap"),
    ("percpu-ffi compare --first-chunk rem", "remap"),
    ("percpu-ffi check --compare poi", "pointers"),
    ("percpu-ffi who --cull cal", "caller"),
    ("percpu-ffi replay kep", "kept.trace"),
    ("percpu-ffi sizes kept.trace folder.", "folder.trace"),
    ("percpu-ffi stats --diff kept.trace folder.", "folder.trace"),
    ("percpu-ffi bench --json kep", "kept.trace"),
    ("percpu-ffi record -o kep", "kept.trace"),
    ("percpu-ffi record --tracefs fo", "folder"),
    ("percpu-ffi record -- perform", "performed"),
    ("percpu-ffi record -- performed kep", "kept.trace"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is that of the user, with a program on the PATH."""
    for name in ("kept.trace", "folder.trace", "bin/performed", "folder/inside"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestBash:
    SCRIPT = """
source "$1"; shift
[[ $(complete -p percpu-ffi) =~ -F\\ ([^ ]+) ]]
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
${BASH_REMATCH[1]}
printf '%s\\n' "${COMPREPLY[@]}"
"""

    def complete(self, share: Path, line: str) -> list[str]:
        words = re.split(" ", line)
        return output("bash", "--norc", "-c", self.SCRIPT, "-", share / BASH, *words).splitlines()

    @pytest.mark.parametrize(("line", "word"), COMPLETED)
    def test_word(self, share: Path, line: str, word: str) -> None:
        assert {*self.complete(share, line)} == {word}

    def test_commands(self, share: Path) -> None:
        assert self.complete(share, "percpu-ffi ") == [*COMMANDS]

    def test_all_options_of_a_command(self, share: Path) -> None:
        options = self.complete(share, "percpu-ffi sizes -")
        assert {"-h", "--strict", "--summary", "--plot", "--jobs"} < {*options}
        assert "--policy" not in options


@pytest.mark.usefixtures("folder")
class TestZsh:
    # types the line, TAB, and a key that prints what the line has become
    SCRIPT = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell 'show() { print -r -- "<<$BUFFER>>" }; zle -N show; bindkey "^X" show'
zpty -w -n shell "$2"$'\t\x18'
zpty -r shell printed '*<<percpu-ffi *>>*'
print -r -- ${${printed##*<<}%%>>*}
"""

    def complete(self, share: Path, line: str) -> str:
        return output("zsh", "-f", "-c", self.SCRIPT, "-", (share / ZSH).parent, line).rstrip("\n")

    @pytest.mark.parametrize(("line", "word"), COMPLETED)
    def test_word(self, share: Path, line: str, word: str) -> None:
        assert re.split("[ /]", self.complete(share, line))[len(line.split()) - 1] == word


@pytest.mark.usefixtures("folder")
class TestFish:
    SCRIPT = "source $argv[1]; complete -C $argv[2]"

    def complete(self, share: Path, line: str) -> list[str]:
        lines = output("fish", "--no-config", "-c", self.SCRIPT, share / FISH, line).splitlines()
        return [line.partition("\t")[0] for line in lines]

    @pytest.mark.parametrize(("line", "word"), COMPLETED)
    def test_word(self, share: Path, line: str, word: str) -> None:
        assert {name.rstrip("/") for name in self.complete(share, line)} == {word}

    def test_commands(self, share: Path) -> None:
        assert self.complete(share, "percpu-ffi ") == sorted(COMMANDS)


class TestManualPage:
    @pytest.fixture
    def page(self, tmp_path: Path) -> Path:
        """A page with a date, without which linters complain."""
        make(tmp_path, SOURCE_DATE_EPOCH="86400")
        return tmp_path / PAGE

    def test_date(self, share: Path, page: Path) -> None:
        assert "1970-01-02" in page.read_text("utf-8")
        assert page.read_text("utf-8").replace("1970-01-02", "") == (share / PAGE).read_text(
            "utf-8"
        )

    def test_groff_has_no_warning(self, page: Path) -> None:
        assert "NAME" in output("groff", "-ww", "-man", "-Tascii", page)

    def test_mandoc_has_no_complaint(self, page: Path) -> None:
        assert output("mandoc", "-Tlint", page) == ""

    def test_whatis_finds_the_name(self, page: Path) -> None:
        assert '"percpu-ffi - the first dynamic per-CPU allocator' in output("lexgrog", page)

    def test_sections_are_in_the_usual_order(self, page: Path) -> None:
        assert re.findall(r"^\.SH (.+)$|^\.SH\n(.+)$", page.read_text("utf-8"), re.M) == [
            ("NAME", ""), ("SYNOPSIS", ""), ("DESCRIPTION", ""), ("OPTIONS", ""), ("", "COMMANDS"),
            ("EXIT STATUS", ""), ("ENVIRONMENT", ""), ("FILES", ""), ("EXAMPLES", ""),
            ("SEE ALSO", ""),
        ]  # fmt: skip

    def test_each_command_has_its_options(self, page: Path) -> None:
        text = page.read_text("utf-8").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
        parts = dict(re.findall(r"^\.SS percpu-ffi (\w+)\n(.*?)(?=^\.S[SH])", text, re.M | re.S))
        assert parts.keys() == COMMANDS.keys()
        commands = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        for name, command in commands.items():  # type: ignore[union-attr]
            for action in command._actions[1:]:  # without --help
                for option in action.option_strings:
                    assert re.search(rf"^(.+, )?{option}\b", parts[name], re.M), (name, option)
            assert (command.epilog or "") in " ".join(text.split("\n")), name

    def test_examples_are_command_lines(self, page: Path) -> None:
        """Parsed only: they name files that the user has."""
        text = page.read_text("utf-8").replace("\\-", "-")
        lines = re.findall(r"^\.B (?:sudo )?percpu-ffi ([^\n]* .*)$", text, re.M)
        assert len(lines) > 5
        for line in lines:
            assert parser().parse_args(line.split()).run
