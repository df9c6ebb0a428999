# SPDX-License-Identifier: GPL-2.0-only
"""Traces: operations, and readers for what kernels print.

``operations`` is what a trace holds, ``text`` and ``file`` read and write it,
``source`` opens files, ``trace`` is the class that users see.
"""

from percpu_ffi.trace.operations import Key, Kind, Op, Places, TraceStats
from percpu_ffi.trace.trace import Trace

__all__ = ["Key", "Kind", "Op", "Places", "Trace", "TraceStats"]
