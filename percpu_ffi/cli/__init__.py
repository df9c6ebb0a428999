# SPDX-License-Identifier: GPL-2.0-only
"""The command ``percpu-ffi``: one module for each subcommand, imported when it is requested.

The module of a subcommand has ``run(args)``, which returns the exit status; if it reads files that
no argument names, ``other_inputs(args)`` yields them, each after what names it.  Its arguments are
in the module of the same name in ``options``.
"""

from __future__ import annotations

import argparse
import errno
import io
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from importlib import import_module
from itertools import takewhile

from percpu_ffi import __version__
from percpu_ffi.cli.messages import notify, silence
from percpu_ffi.errors import PercpuError

# one line for each in --help
COMMANDS = {
    "record": "record the per-CPU allocations of the running kernel",
    "replay": "replay a trace through the allocator",
    "who": "show which call sites hold the memory",
    "sizes": "show the distribution of sizes and alignments",
    "compare": "replay a trace under several policies and geometries",
    "stats": "print or compare statistics as in /sys/kernel/debug/percpu_stats",
    "check": "drive allocators in lockstep and stop at the first difference",
    "report": "make an HTML page that shows the chunks over time",
    "bench": "measure the port and other allocators",
}

# used while arguments are added; the usual one asks for the terminal's width each time, 2 ms in all
WIDE = partial(argparse.HelpFormatter, width=80)

# exit status; 1 means "they differ", as in diff and grep
TROUBLE = 2
INTERRUPTED = 128 + 2  # as shells report SIGINT
BROKEN_PIPE = 128 + 13  # and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; print an error as one sentence."""
    words = sys.argv[1:] if argv is None else argv
    requested = [word for word in words if not word.startswith("-")][:1]
    names = [name for name in COMMANDS if name in words[:1]] or COMMANDS
    parser = _make_parser(requested, names)
    for word in takewhile("--".__ne__, words):
        if word.startswith("--") and word.endswith("=--"):  # an empty list before Python 3.13
            parser.error(f"{word}: -- is not a value; it ends the options and stands alone")
    args = parser.parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may be any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout = sys.stdout or _ClosedOutput()
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)  # the reader has gone
        return BROKEN_PIPE
    except (PercpuError, OSError, MemoryError) as error:
        notify(_sentence(error))
        _flush()
        return TROUBLE
    except KeyboardInterrupt:
        _flush()
        return INTERRUPTED
    return status


def _flush() -> None:
    """Print what is left, if that is possible."""
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)  # a full disk, for example


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands, with all their arguments.

    It needs neither the compiled core nor a dependency: what describes the commands, such as the
    manual page, is made from it while the package is built.
    """
    return _make_parser(COMMANDS, COMMANDS)


def _make_parser(requested: Collection[str], names: Iterable[str]) -> argparse.ArgumentParser:
    """Make the parser of some commands.

    Only the requested ones are imported and get their arguments.  The others are for ``--help``,
    and take a tenth of the time of a short command.
    """
    parser = argparse.ArgumentParser(
        prog="percpu-ffi",
        description="The first dynamic per-CPU allocator of Linux, in userspace.",
        epilog="The exit status is 2 for trouble, 130 after Ctrl-C.",
        formatter_class=WIDE,
    )
    parser.add_argument("--version", action="version", version=f"percpu-ffi {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        command = commands.add_parser(name, help=COMMANDS[name], formatter_class=WIDE)
        if name in requested:
            import_module(f"percpu_ffi.cli.options.{name}").add_arguments(command)
            command.set_defaults(run=partial(_run, command, name))
    for made in (parser, *commands.choices.values()):
        made.formatter_class = argparse.HelpFormatter
    return parser


def _run(command: argparse.ArgumentParser, name: str, args: argparse.Namespace) -> int:
    """Import a command, check its files, then run it."""
    from percpu_ffi.cli.files import check_files  # noqa: PLC0415 - for commands only

    module = import_module(f"percpu_ffi.cli.{name}")
    others = getattr(module, "other_inputs", None)
    check_files(command, args, others(args) if others else ())
    status: int = module.run(args)
    return status


def _sentence(error: BaseException) -> str:
    """Name the file and the reason, as other commands do, without the error's number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or "out of memory"


class _ClosedOutput(io.StringIO):
    """Standard output that the shell closed; Python would silently drop what is printed."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed; leave it open or redirect it")
