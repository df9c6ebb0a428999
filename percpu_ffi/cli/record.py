# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi record``: keep what the running kernel asks of its per-CPU allocator."""

from __future__ import annotations

import argparse
import math
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi._util.atomic_write import is_special
from percpu_ffi.cli.messages import tell
from percpu_ffi.errors import RecordError
from percpu_ffi.record import Instance, Period, find_tracefs, record

if TYPE_CHECKING:
    from percpu_ffi.trace import Trace

__all__ = ["add_parser"]

OUTPUT = "percpu.trace"
BUFFER_KB = 4096  # for each CPU: some 40,000 events until we read them
ROOM = 4096  # bytes that have to fit on the disk before anything is started


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "record",
        help="record what the running kernel asks of its per-CPU allocator",
        usage="%(prog)s [-h] [-o FILE] [--seconds N] [--buffer-kb KIB] [-- COMMAND ...]",
        description="Record the percpu events of the whole machine while COMMAND runs, for some "
        "seconds, or until Ctrl-C, into a file for `percpu-ffi replay` and `check`. Takes root. "
        "Other tracing is left alone.",
        epilog="The exit status is that of COMMAND; 0 without one, or 128 and the number of the "
        "signal that broke the recording off; 2 if nothing could be recorded or kept.",
    )
    parser.add_argument(
        "-o", dest="output", metavar="FILE", default=OUTPUT, help="the file (%(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="N",
        help="end the recording then, also if COMMAND goes on",
    )
    parser.add_argument(
        "--buffer-kb",
        type=_kib,
        default=BUFFER_KB,
        metavar="KIB",
        help="buffer in the kernel, for each CPU (%(default)s)",
    )
    parser.add_argument(
        "--tracefs", metavar="DIR", help="where tracefs is mounted, if at no usual place"
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with arguments"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record, save, tell."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    _check_output(args.output)
    tracefs = find_tracefs(args.tracefs)
    with Period(command, args.seconds, tell) as period:
        with Instance(tracefs, args.buffer_kb, tell) as instance:
            if not command and args.seconds is None:
                tell("recording, until Ctrl-C")
            trace, broken = record(instance, period)
        _save(trace, args.output)
        tell(_summary(args.output, trace, period.seconds))
        if broken:
            raise RecordError(f"{broken}; {args.output} holds what came before") from broken
    return period.status


def _seconds(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    raise argparse.ArgumentTypeError(f"{text}: give seconds as a number above 0")


def _kib(text: str) -> int:
    with suppress(ValueError):
        size = int(text)
        if size > 0:
            return size
    raise argparse.ArgumentTypeError(f"{text}: give KiB as a whole number from 1")


def _check_output(output: str) -> None:
    """Find out now, not after an hour, that a file cannot be written."""
    path = Path(output)
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "that is a directory")
        if path.is_fifo():  # whoever reads it may be gone at the end
            raise OSError(0, "that is a pipe, and a recording is written at its end")
        if is_special(path):
            path.open("ab").close()
            return
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        raise RecordError(
            f"{output}: {error.strerror}; nothing was recorded, give a FILE that can be written"
        ) from error


def _save(trace: Trace, output: str) -> None:
    """Write the recording, which nobody can make again: if not there, for temporary files."""
    try:
        trace.save(output)
    except OSError as error:
        try:
            spare = Path(tempfile.gettempdir(), f"percpu-{secrets.token_hex(4)}.trace")
            trace.save(spare)
        except OSError:
            kept = "the recording is lost, make room or give another FILE"
        else:
            kept = f"the recording is in {spare} instead, move it where there is room"
        raise RecordError(f"{output}: {error.strerror}; {kept}") from error


def _summary(output: str, trace: Trace, seconds: float) -> str:
    stats = trace.stats
    lines = [
        f"{output}: {stats.events:,} events in {seconds:.2f} s, {stats.allocs:,} allocations and "
        f"{stats.frees:,} frees, {stats.lost:,} events lost",
        "they are those of the whole machine, the recorder itself included",
    ]
    if stats.lost:
        lines.append("events were lost: give a larger --buffer-kb")
    return "\n            ".join(lines)
