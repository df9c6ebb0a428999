# SPDX-License-Identifier: GPL-2.0-only
"""Pass the kernel's text to the reader of traces, and what it reads to a file, as it comes.

So a long recording needs neither a large text file nor a large buffer in the kernel, and what was
written before the recorder is killed can be read.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from typing import IO, TYPE_CHECKING

from percpu_ffi.errors import RecordError
from percpu_ffi.record.machine import describe_machine, percpu_stats
from percpu_ffi.trace import Skipped, TraceStats
from percpu_ffi.trace.file import TraceWriter
from percpu_ffi.trace.text import TextReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_ffi.record.period import Period
    from percpu_ffi.record.tracefs import Instance

# seconds between two reads of an empty pipe; a wake-up by the kernel would come with each
# event, and disturb the machine more
PAUSE = 0.01
FLUSH = 0.5  # seconds between two writes
MOST_BLOCKS = 64  # of text between two writes; each has up to 64 KiB


class LiveText:
    """The kernel's text during a recording period, in blocks; empty ones while it is quiet."""

    def __init__(self, instance: Instance, period: Period) -> None:
        """Start with the header of a trace file, which has the number of CPUs."""
        self._instance = instance
        self._period = period
        self._head = f"# recorded by percpu-ffi   #P:{os.sysconf('SC_NPROCESSORS_ONLN')}\n".encode()

    def __iter__(self) -> Iterator[bytes]:
        """Start the period, yield blocks of text until it is over, then the remaining text."""
        yield self._head
        self._instance.switch(True)
        self._period.start()
        while not self._period.over():
            block = self._instance.read()
            if not block:
                time.sleep(PAUSE)
            yield block
        self._instance.switch(False)
        while block := self._instance.read():
            yield block


def record(instance: Instance, period: Period, file: IO[bytes]) -> tuple[TraceStats, list[Skipped]]:
    """Start ``period`` and write what happens until it is over.

    Returns: figures, and the lines that cannot be read.

    Raises:
        RecordError: there was no event, or the command could not be started.
        OSError: the file cannot be written.
        MemoryError: the host has no memory; the file has what came before.

    """
    reader = TextReader()
    head = {"machine": {**describe_machine(), "stats_before": percpu_stats()}}
    writer = TraceWriter(file, head)
    blocks, written = 0, time.monotonic()
    for block in LiveText(instance, period):
        intact = reader.feed(block)
        blocks += bool(block)
        now = time.monotonic()
        if not intact or blocks >= MOST_BLOCKS or (blocks and now >= written + FLUSH):
            writer.write(reader.take())
            blocks, written = 0, now
        if not intact:
            break
    intact = reader.finish()
    batch = reader.take()
    writer.write(batch)
    if not intact:
        raise reader.error("trace_pipe")
    if not batch.stats.events:
        raise RecordError(
            f"no percpu event in {period.seconds:.2f} s, and no file was written; record "
            "longer, or a COMMAND that starts processes, mounts or makes network namespaces"
        )
    stats = replace(batch.stats, lost=max(batch.stats.lost, instance.lost()))
    skipped = reader.skipped()
    writer.finish(
        {
            "stats": asdict(stats),
            "machine": {"stats_after": percpu_stats()},
            "skipped": skipped,
        }
    )
    return stats, skipped
