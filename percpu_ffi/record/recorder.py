# SPDX-License-Identifier: GPL-2.0-only
"""Carry the kernel's text into the reader of traces, as it comes.

Nothing is kept but the operations, 16 bytes each: a long recording needs neither a large
file of text nor a large buffer in the kernel.
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

    from percpu_ffi.record.span import Span
    from percpu_ffi.record.tracefs import Instance

__all__ = ["Recording", "record"]

# seconds between two looks at an empty pipe; to be woken by the kernel instead would be for
# each event, and cost the machine that is measured more
PAUSE = 0.01


class LiveText:
    """What the kernel prints while a span lasts, in blocks."""

    name = "trace_pipe"

    def __init__(self, instance: Instance, span: Span) -> None:
        """Begin with what a trace that is read from a file tells in its head: the CPUs."""
        self._instance = instance
        self._span = span
        self.head = f"# recorded by percpu-ffi   #P:{os.sysconf('SC_NPROCESSORS_ONLN')}\n".encode()

    def __iter__(self) -> Iterator[bytes]:
        """Start it all, give blocks of text until the span is over, then what is left."""
        yield self.head
        self._instance.start()
        self._span.start()
        while not self._span.over():
            if block := self._instance.read():
                yield block
            else:
                time.sleep(PAUSE)
        self._instance.stop()
        while block := self._instance.read():
            yield block


class Recording(NamedTuple):
    """What came, be it all of it or not."""

    trace: Trace
    broken: Exception | None
    """What ended it before its time: a line that is not understood, no memory."""


def record(instance: Instance, span: Span) -> Recording:
    """Record while ``span`` lasts, which is started here.

    Raises:
        RecordError: nothing came, or the command could not be started.
        TraceError: the first event that the kernel printed is not understood.

    """
    broken: list[Exception] = []
    try:
        operations = read_text(LiveText(instance, span), broken.append)
    except TraceError as error:
        if broken:
            raise broken[0] from None
        raise RecordError(
            f"no percpu event came in {span.seconds:.2f} s, and no file was written; record "
            "longer, or a COMMAND that starts processes, mounts or makes network namespaces"
        ) from error
    lost = max(operations.stats.lost, instance.lost())
    operations.stats = replace(operations.stats, lost=lost)
    return Recording(Trace(operations), next(iter(broken), None))
