# SPDX-License-Identifier: GPL-2.0-only
"""What an allocator keeps of an event: what happened, when, where, and who asked.

Laid out as ``struct pcpu_record`` in csrc/percpu_hooks.h, kinds as ``enum pcpu_event_kind``.
"""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ALLOC",
    "ALLOC_FAIL",
    "CREATE_CHUNK",
    "DESTROY_CHUNK",
    "FREE",
    "RECORD",
    "Record",
    "own_name",
]

ALLOC, FREE, ALLOC_FAIL, CREATE_CHUNK, DESTROY_CHUNK = range(5)

RECORD = struct.Struct("=ii5qQii")


class Record(NamedTuple):
    """One event; what does not apply is 0."""

    kind: int
    """``ALLOC``, ``FREE``, ``ALLOC_FAIL``, ``CREATE_CHUNK`` or ``DESTROY_CHUNK``."""
    error: int
    """Why it failed, by C's number; the model has none."""
    ptr: int
    """Per-CPU pointer of the area, or of the chunk's start."""
    chunk: int
    """Ordinal of the chunk's creation."""
    offset: int
    """Bytes from the start of a unit."""
    size: int
    """Bytes: as asked, or as the map has them."""
    align: int
    """Bytes, as asked."""
    ns: int
    """When: ``time.monotonic_ns()``."""
    cpu: int
    """Where the caller ran; -1: unknown."""
    tid: int
    """Its thread, by the kernel's number."""

    @classmethod
    def now(
        cls, kind: int, ptr: int = 0, chunk: int = 0, offset: int = 0, size: int = 0, align: int = 0
    ) -> Record:
        """Record an event of this thread."""
        return cls(
            *(kind, 0, ptr, chunk, offset, size, align),
            *(time.monotonic_ns(), _cpu(), threading.get_native_id()),
        )


def _cpu() -> int:
    """Tell the CPU of this thread, by field 39 of proc(5)'s ``stat``."""
    try:
        fields = Path("/proc/thread-self/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[36])
    except (OSError, IndexError, ValueError):
        return -1


def own_name() -> str:
    """Tell what the kernel calls this process."""
    try:
        return Path("/proc/self/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "python"
