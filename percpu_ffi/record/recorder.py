# SPDX-License-Identifier: GPL-2.0-only
"""Pass the kernel's text to the reader of traces while it arrives.

Only the operations are kept, 16 bytes each: a long recording needs neither a large text file
nor a large buffer in the kernel.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.errors import RecordError, TraceError
from percpu_ffi.trace import Trace
from percpu_ffi.trace.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_ffi.record.period import Period
    from percpu_ffi.record.tracefs import Instance

# seconds between two reads of an empty pipe; a wake-up by the kernel would come with each
# event, and disturb the machine more
PAUSE = 0.01


class LiveText:
    """The kernel's text during a recording period, in blocks."""

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
            if block := self._instance.read():
                yield block
            else:
                time.sleep(PAUSE)
        self._instance.switch(False)
        while block := self._instance.read():
            yield block


class Recording(NamedTuple):
    """The events of a recording period, perhaps not all."""

    trace: Trace
    broken: Exception | None
    """The error that ended it early: a malformed line, or out of memory."""


def record(instance: Instance, period: Period) -> Recording:
    """Start ``period`` and record until it is over.

    Raises:
        RecordError: there was no event, or the command could not be started.
        TraceError: the first event of the kernel is malformed.

    """
    broken: list[Exception] = []
    try:
        operations = read_text(LiveText(instance, period), "trace_pipe", broken.append)
    except TraceError as error:
        if broken:
            raise broken[0] from None
        raise RecordError(
            f"no percpu event in {period.seconds:.2f} s, and no file was written; record "
            "longer, or a COMMAND that starts processes, mounts or makes network namespaces"
        ) from error
    lost = max(operations.stats.lost, instance.lost())
    operations.stats = replace(operations.stats, lost=lost)
    return Recording(Trace(operations), next(iter(broken), None))
