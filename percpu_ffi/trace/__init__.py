# SPDX-License-Identifier: GPL-2.0-only
"""Traces: sequences of operations, and readers for what kernels print.

``operations`` has the data of a trace; ``text``, ``file_reader`` and ``old_file`` read it, ``file``
writes it; ``rows`` does in C what a file needs for each operation, ``slow_rows`` without C;
``source`` opens files, ``trace`` has the public class; ``steps`` reads a recording as a kernel's
history.
"""

from percpu_ffi.trace.columns import Columns
from percpu_ffi.trace.operations import (
    Event,
    Key,
    Kind,
    Op,
    Places,
    Skipped,
    Task,
    TraceStats,
)
from percpu_ffi.trace.trace import Trace

__all__ = [
    "Columns",
    "Event",
    "Key",
    "Kind",
    "Op",
    "Places",
    "Skipped",
    "Task",
    "Trace",
    "TraceStats",
]
