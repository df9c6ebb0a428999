# SPDX-License-Identifier: GPL-2.0-only
"""Binary recordings, read through the tool that wrote them: perf and trace-cmd."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi.errors import TraceError
from percpu_ffi.trace.source import BLOCK

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks


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
    """Let a tool print a recording, which it gets as a temporary file.

    Yields: its output, in blocks.

    Raises:
        TraceError: the tool is not installed, or refuses the file.

    """
    program = tool.command[0]
    if not shutil.which(program):
        raise TraceError(
            f"this is {program}'s own file, and {program} is not installed: install it (Debian: "
            f"{tool.package}), or run `{' '.join(tool.command)} FILE` where it is and read that",
            blocks.name,
        )
    with tempfile.NamedTemporaryFile(prefix="percpu-") as copy, tempfile.TemporaryFile() as errors:
        for block in blocks:
            copy.write(block)
        copy.flush()
        with subprocess.Popen(
            [*tool.command, copy.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            try:
                yield _output(process)
            except TraceError:
                if (process.poll() or 0) <= 0:
                    raise
            finally:
                process.kill()
        if process.returncode > 0:
            errors.seek(0)
            said = errors.read(200).decode(errors="replace").strip().partition("\n")[0]
            raise TraceError(f"{program} cannot read it: {said}", blocks.name)


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    stdout: Any = process.stdout
    while block := stdout.read(BLOCK):
        yield block
    process.wait()
