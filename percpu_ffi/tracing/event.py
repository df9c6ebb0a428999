# SPDX-License-Identifier: GPL-2.0-only
"""The record that an allocator keeps of an event.

The layout is that of ``struct pcpu_record`` in csrc/percpu_hooks.h, the kinds are those of
``enum pcpu_event_kind``.
"""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple

ALLOC, FREE, ALLOC_FAIL, CREATE_CHUNK, DESTROY_CHUNK = range(5)

RECORD = struct.Struct("=HHi5qQii")

ATOMIC, RESERVED = 1, 2  # flags of a request, as in percpu.h


class Record(NamedTuple):
    """One event; fields that do not apply are 0."""

    kind: int
    """``ALLOC``, ``FREE``, ``ALLOC_FAIL``, ``CREATE_CHUNK`` or ``DESTROY_CHUNK``."""
    flags: int
    """Of a request: ``ATOMIC``, ``RESERVED``."""
    error: int
    """C's error code of a failure; 0 in the model."""
    ptr: int
    """Per-CPU pointer of the area, or of the chunk's start."""
    chunk: int
    """Ordinal of the chunk's creation."""
    offset: int
    """Bytes from the start of a unit."""
    size: int
    """Bytes, as requested or, for a free, as in the map."""
    align: int
    """Bytes, as requested."""
    ns: int
    """Time, as ``time.monotonic_ns()``."""
    cpu: int
    """CPU of the caller; -1: unknown."""
    tid: int
    """Kernel's id of the calling thread."""

    @classmethod
    def now(
        cls,
        kind: int,
        ptr: int = 0,
        chunk: int = 0,
        offset: int = 0,
        size: int = 0,
        align: int = 0,
        flags: int = 0,
    ) -> Record:
        """Return the record of an event of this thread."""
        return cls(
            *(kind, flags, 0, ptr, chunk, offset, size, align),
            *(time.monotonic_ns(), _cpu(), threading.get_native_id()),
        )


def _cpu() -> int:
    """Return the CPU of this thread: field 39 of ``stat`` in proc(5)."""
    try:
        fields = Path("/proc/thread-self/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[36])
    except (OSError, IndexError, ValueError):
        return -1


def own_name() -> str:
    """Return the kernel's name of this process."""
    try:
        return Path("/proc/self/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "python"
