# SPDX-License-Identifier: GPL-2.0-only
"""The files of a command, checked before the work, which may take long.

The type of an argument says whether it names an input or an output, so one check serves all
commands: an output can be written, and is neither an input nor another output, by any name.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from percpu_ffi._util.atomic_write import is_special
from percpu_ffi._util.optional import PLOT_FORMATS, missing_extra
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace.source import STDIN

ROOM = bytes(4096)  # must fit on the disk
STDOUT = "standard output"


class InputFile:
    """The type of an argument that names a file to read."""

    def __call__(self, path: str) -> str:
        """Return the path; reading it will show whether that is possible."""
        return path


class InputFolder(InputFile):
    """The type of an argument that names a folder to read."""


class OutputFile:
    """The type of an argument that names a file to write."""

    def __init__(self, library: str | None = None, suffixes: tuple[str, ...] = ()) -> None:
        """Describe the file.

        Args:
            library: an optional library that makes it.
            suffixes: those that it may have; none: any.

        """
        self.library = library
        self.suffixes = suffixes

    def __call__(self, path: str) -> str:
        """Return the path; :func:`check_files` checks it together with all others."""
        return path

    def check(self, name: str, path: str) -> None:
        """Check that the file can be made.

        Args:
            name: what the argument is called.
            path: its value.

        Raises:
            ConfigError: the library is not installed, or the suffix is another one.

        """
        if self.suffixes and Path(path).suffix not in self.suffixes:
            raise ConfigError(
                f"{name} {path}: a file that ends in {', '.join(self.suffixes)} is needed"
            )
        if self.library and (extra := missing_extra(self.library)):
            raise ConfigError(
                f"{name} needs {self.library}, the extra '{extra}': "
                f"pip install 'percpu_ffi[{extra}]'"
            )


PLOT = OutputFile("matplotlib", PLOT_FORMATS)


def check_files(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    other_inputs: Iterable[tuple[str, str]] = (),
) -> None:
    """Check the files of a command line; existing ones are left alone.

    Args:
        parser: the parser of the command.
        args: its arguments.
        other_inputs: further files that the command reads, each after what names it.

    Raises:
        ConfigError: a name is empty; or an output cannot be written, or is also an input or
            another output.

    """
    files = list(_files(parser, args))
    for name, _, path in files:
        if not path:
            raise ConfigError(f"{name}: the name is empty; give that of a file")
    inputs = [(name, path) for name, kind, path in files if isinstance(kind, InputFile)]
    if sum(path == STDIN for _, path in inputs) > 1:
        raise ConfigError("standard input can be read only once; give files for the others")
    owners = {
        _identity("/dev/stdin" if path == STDIN else path): f"the file of {name}"
        for name, path in (*inputs, *other_inputs)
    }
    printed = _identity("/dev/stdout")
    if printed in owners:
        raise ConfigError(f"{STDOUT} is also {owners[printed]}; redirect it to another file")
    owners[printed] = STDOUT
    for name, kind, path in files:
        if not isinstance(kind, OutputFile):
            continue
        if path == STDIN:
            raise ConfigError(
                f"{name} -: a file is needed; /dev/stdout is standard output, ./- a file called -"
            )
        kind.check(name, path)
        check_writable(name, path)
        identity = _identity(path)
        owner = owners.get(identity)
        meant = owner == STDOUT and path.startswith(("/dev/", "/proc/"))  # such as /dev/stdout
        if owner and not meant:
            raise ConfigError(f"{name} {path}: that is {owner}; name another file")
        owners[identity] = f"the file of {name}"


def check_writable(name: str, path: str | Path) -> None:
    """Check that ``write_whole()`` can write a file; an existing one is left alone.

    Raises:
        ConfigError: it cannot; ``name`` is what the argument is called.

    """
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not is_special(path):
            _try_to_write(os.path.dirname(os.path.realpath(path)))
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(
            f"{name} {path}: a file in a folder that can be written is needed ({error.strerror})"
        ) from None


def _try_to_write(folder: str) -> None:
    trial = Path(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        trial.write_bytes(ROOM)
    finally:
        trial.unlink(missing_ok=True)


def _files(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> Iterator[tuple[str, InputFile | OutputFile, str]]:
    """Yield the files that arguments name: what the argument is called, its type, the path."""
    for action in parser._actions:
        kind, given = action.type, getattr(args, action.dest, None)
        if isinstance(kind, InputFile | OutputFile) and given is not None:
            name = action.option_strings[0] if action.option_strings else str(action.metavar)
            paths = given if isinstance(given, list) else [given]
            yield from ((name, kind, path) for path in paths)


def _identity(path: str) -> object:
    """Return a value that is the same for all names of a file, also of one that does not exist.

    A terminal, a socket and ``/dev/null`` hold nothing that can be overwritten: theirs is never
    the same.
    """
    with suppress(OSError):
        found = os.stat(path)
        if stat.S_ISCHR(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            return object()
        return found.st_dev, found.st_ino
    target = os.path.realpath(path)
    with suppress(OSError):
        folder = os.stat(os.path.dirname(target))
        return folder.st_dev, folder.st_ino, os.path.basename(target)
    return target
