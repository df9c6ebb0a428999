# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi record``: record the per-CPU allocations of the running kernel."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from percpu_ffi._util.atomic_write import is_special
from percpu_ffi.cli.messages import notify
from percpu_ffi.errors import RecordError
from percpu_ffi.record import Instance, Period, find_tracefs, record
from percpu_ffi.reports.recording import recording_summary


def run(args: argparse.Namespace) -> int:
    """Record, print a summary."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if command[:1] == [""]:
        raise RecordError("COMMAND is empty; give a program and its arguments, or leave it out")
    tracefs = find_tracefs(args.tracefs)
    with Period(command, args.seconds, notify) as period:
        with (
            _opened(args.output, force=args.force) as file,
            Instance(tracefs, args.buffer_kb, notify, stacks=args.stacks) as instance,
        ):
            if not command and args.seconds is None:
                notify("recording, until Ctrl-C")
            stats, skipped = record(instance, period, file)
        notify(recording_summary(args.output, stats, skipped, period.seconds))
    return period.status


@contextmanager
def _opened(output: str, *, force: bool) -> Iterator[IO[bytes]]:
    """Open the file; remove it if nothing was recorded.  A pipe or device is not replaced.

    Raises:
        RecordError: it exists, or cannot be written.

    """
    try:
        with Path(output).open("wb" if force or is_special(output) else "xb") as file:
            yield file
    except FileExistsError:
        raise RecordError(
            f"-o {output}: the file exists; give another name, or --force to replace it"
        ) from None
    except OSError as error:
        raise RecordError(
            f"{output}: {error.strerror}; the file holds what was written before"
        ) from error
    except RecordError:
        if not is_special(output):
            Path(output).unlink(missing_ok=True)
        raise
