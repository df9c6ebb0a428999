# SPDX-License-Identifier: GPL-2.0-only
"""Binary recordings, read through the tool that wrote them: perf and trace-cmd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from percpu_ffi._util.text import printable
from percpu_ffi.errors import TraceError
from percpu_ffi.trace.source import BLOCK

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks


FIRST = 200  # bytes of a tool's errors that are kept


class Tool(NamedTuple):
    """A tool that prints a binary recording."""

    magic: bytes
    """How its files begin."""
    command: tuple[str, ...]
    """Program and arguments, before the file."""
    package: str
    """The Debian package."""


TOOLS = (
    # all lost events, the CPUs in the head, times in ns; files of others may be read
    Tool(
        b"PERFILE2",
        ("perf", "script", "--header", "--show-lost-events", "--ns", "--force", "-i"),
        "linux-perf",
    ),
    Tool(b"\x17\x08\x44tracing", ("trace-cmd", "report", "-t", "-i"), "trace-cmd"),
)


def tool_for(head: bytes) -> Tool | None:
    """Return the tool for a file that begins so, None for others."""
    return next((tool for tool in TOOLS if head.startswith(tool.magic)), None)


@contextmanager
def printed(blocks: Blocks, tool: Tool) -> Iterator[Iterator[bytes]]:
    """Let a tool print a recording.

    Yields: its output, in blocks.

    Raises:
        TraceError: the tool is not installed, refuses the file, prints nothing, or is killed.
        OSError: there is no room for a temporary file.

    """
    program = tool.command[0]
    if not shutil.which(program):
        raise TraceError(
            f"this is {program}'s own file, and {program} is not installed: install it (Debian: "
            f"{tool.package}), or run `{' '.join(tool.command)} FILE` where it is and read that",
            blocks.name,
        )
    pipe = subprocess.PIPE
    with (
        _on_disk(blocks) as path,
        subprocess.Popen(
            [*tool.command, path],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,  # a group to kill: tools start others
        ) as process,
    ):
        said: list[bytes] = []
        listener = threading.Thread(target=_listen, args=(process.stderr, said))
        listener.start()
        try:
            yield _output(process, blocks.name)
        except TraceError:
            if not process.poll():  # what it printed is wrong
                raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            listener.join()
        if process.returncode < 0:
            reason = f"was ended by signal {-process.returncode} before it had printed everything"
            raise TraceError(f"{program} {reason}; run it again", blocks.name)
        if process.returncode:
            first = printable(said[0].decode(errors="replace").strip().partition("\n")[0])
            reason = first or f"exit status {process.returncode}"
            raise TraceError(f"{program} cannot read it: {reason}", blocks.name)


@contextmanager
def _on_disk(blocks: Blocks) -> Iterator[str]:
    """Yield the path of a file, or of a decompressed copy that is then removed."""
    if blocks.path:
        yield blocks.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        with open(path, "wb", buffering=0) as copy:
            for block in blocks:
                _write(copy, block)
        yield path


def _write(file: IO[bytes], block: bytes) -> None:
    left = memoryview(block)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        advice = "set TMPDIR to a folder with room for the decompressed recording"
        raise OSError(error.errno, f"{error.strerror}; {advice}", tempfile.gettempdir()) from error


def _output(process: subprocess.Popen[bytes], name: str) -> Iterator[bytes]:
    stdout: Any = process.stdout
    block = stdout.read(BLOCK)
    if not block and process.wait() == 0:
        raise TraceError("its tool prints nothing: the recording has no events, or is cut", name)
    while block:
        yield block
        block = stdout.read(BLOCK)
    process.wait()


def _listen(pipe: IO[bytes], said: list[bytes]) -> None:
    """Read a pipe to its end; keep how it begins."""
    said.append(pipe.read(FIRST))
    while pipe.read(BLOCK):
        pass
