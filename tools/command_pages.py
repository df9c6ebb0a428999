# SPDX-License-Identifier: GPL-2.0-only
"""Make the completion scripts and the manual page of ``percpu-ffi`` from its parser.

Usage: command_pages.py FOLDER

FOLDER gets the files of ``FILES``, each where it is installed below ``share``.  It is run while the
package is built, so the compiled core is not needed.  The same sources make the same bytes: the
date of the page is that of ``SOURCE_DATE_EPOCH``, and there is none without.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ROOT / "tools" / "manual-sections.txt"
sys.path.insert(0, str(ROOT))
sys.modules["percpu_ffi._core"] = None  # type: ignore[assignment]  # an old one may be in place

from percpu_ffi import __version__  # noqa: E402
from percpu_ffi.analysis.keys import CULL, FIGURES  # noqa: E402
from percpu_ffi.cli import COMMANDS, parser  # noqa: E402
from percpu_ffi.cli.files import InputFile, InputFolder, OutputFile  # noqa: E402
from percpu_ffi.config import FIRST_CHUNKS, POLICY_NAMES  # noqa: E402

# options whose value begins with one of these words, or is one
WORDS = {
    "--cull": [*CULL],
    "--sort": [*CULL, *FIGURES],
    "--first-chunk": FIRST_CHUNKS,
    "--policy": POLICY_NAMES,
}
# a command of another program, with its arguments, after -- or not
COMMAND = {
    "bash": "_percpu_ffi_command",
    "zsh": "_percpu_ffi_command",
    "fish": "(__fish_complete_command; __fish_complete_path (commandline -ct))",
    "preamble": {
        "bash": '_percpu_ffi_command() { compgen -A command -A file -- "$1"; }',
        "zsh": "_percpu_ffi_command() {\n"
        "  [[ $words[1] != -- ]] || { shift words; (( CURRENT -= 1 )) }\n"
        "  _normal\n"
        "}",
    },
}
WIDTH = 79  # of a line of the page's source


class OneLine(argparse.HelpFormatter):
    """Usage in one line, without the word: the page has it in a section."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=1 << 16)

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Add it without the prefix, also one that we wrapped."""
        usage = usage and " ".join(usage.split())
        super().add_usage(usage, actions, groups, "")


def commands_of(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    (found,) = (each for each in whole._actions if isinstance(each, argparse._SubParsersAction))
    return {**found.choices}


# --- completion


def completion(shell: str) -> str:
    """Return the script for a shell."""
    whole = parser()
    for name, command in commands_of(whole).items():
        command.description = COMMANDS[name]  # a line in a list
        for action in command._actions:
            describe(action)
    script: str = shtab.complete(whole, shell)
    # in zsh: any number of words, not at most one
    return re.sub(r'"\(\*\)::?', '"*:', script) if shell == "zsh" else script


def describe(action: argparse.Action) -> None:
    """Set what shtab completes an argument with."""
    for option in action.option_strings:
        action.choices = action.choices or WORDS.get(option)
    kind = action.type
    if action.nargs == argparse.REMAINDER:
        action.complete = COMMAND  # type: ignore[attr-defined]
    elif isinstance(kind, InputFolder):
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif isinstance(kind, InputFile | OutputFile):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    # zsh: MESSAGE:ACTION of each value
    names = (
        action.metavar if isinstance(action.metavar, tuple) else (action.metavar or action.dest,)
    )
    first, *others = (re.sub(r"([:\[\]])", r"\\\1", name) for name in names)
    if others:
        more = "".join(f":{name}:_files" for name in others)
        action.complete = {**shtab.FILE, "zsh": f"_files{more}"}  # type: ignore[attr-defined]
    action.metavar = first


# --- the manual page


def manual_page() -> str:
    """Return the source of percpu-ffi.1."""
    whole = parser()
    commands = commands_of(whole)
    statuses = [(whole.prog, whole.epilog), *((name, commands[name].epilog) for name in COMMANDS)]
    whole.description = whole.epilog = None  # SECTIONS says more
    for command in (whole, *commands.values()):
        command.formatter_class = OneLine
    for command in commands.values():
        for group in command._action_groups[2:]:  # with a title of ours
            group.title = f"{group.title}:"
    page = Manpage(whole, format="single-commands-section")
    page.description = "the first dynamic per-CPU allocator of Linux, in userspace"
    page.source, page.manual = f"percpu_ffi {__version__}", "User Commands"
    page.date = page.date if "SOURCE_DATE_EPOCH" in os.environ else ""
    status = "\n".join(f".TP\n.B {name}\n{text}" for name, text in statuses if text)
    page.add_section("EXIT STATUS", ">", status.replace("-", r"\-"))
    page.parse_include(SECTIONS)
    return "".join(f"{line}\n" for line in tidied(str(page)))


def tidied(text: str) -> Iterator[str]:
    """Yield the lines of a page, as its linters want them: short, and none is empty."""
    text = re.sub(r"\n{2,}(?=\.)", "\n", text.replace(".RS 7", ".RS 4"))
    for line in re.sub(r"\n{2,}", "\n.PP\n", text).splitlines():
        if line.startswith(".TH"):
            yield re.sub(r'"(\d+)\\-(\d+)\\-(\d+)"', r'"\1-\2-\3"', line)  # a date
            yield from (".nh", ".ad l")  # names of options are copied: no hyphens, no wide spaces
        elif line.startswith("."):
            yield line
        else:
            for part in textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False):
                yield rf"\&{part}" if part[0] in ".'" else part  # not a request


FILES = {
    "bash-completion/completions/percpu-ffi": lambda: completion("bash"),
    "zsh/site-functions/_percpu-ffi": lambda: completion("zsh"),
    "fish/vendor_completions.d/percpu-ffi.fish": lambda: completion("fish"),
    "man/man1/percpu-ffi.1": manual_page,
}


def main() -> None:
    """Write the files."""
    os.environ["PYTHON_COLORS"] = "0"  # since 3.15 argparse colours values in the texts
    for name, make in FILES.items():
        path = Path(sys.argv[1], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
