# SPDX-License-Identifier: GPL-2.0-only
"""What a trace holds: 16 bytes an operation, and what they refer to.

The layout is that of ``struct pcpu_op`` in percpu.h, so that C replays it as it is:
a 64-bit key, a 32-bit slot, a 32-bit kind.  The key is the recorder's name for an area.
The slot is ours while the area lives; it is used again afterwards, so that a table of
slots is as long as the most areas alive at one time.  The kind says what an allocation
asks for, or that the operation frees.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["FREE", "OP", "ORPHAN", "Key", "Kind", "Op", "Operations", "TraceStats"]

Key = int | str
Op = tuple[Literal["alloc"], Key, int, int] | tuple[Literal["free"], Key]

OP = struct.Struct("=QII")
FREE = 0xFFFFFFFF  # as a kind: the operation frees
ORPHAN = 0xFFFFFFFF  # as a slot: nothing to free


class Kind(NamedTuple):
    """What an allocation asks for."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    site: str
    """The kernel function that called, as printed; empty where the kernel did not tell."""


@dataclass(frozen=True)
class TraceStats:
    """Figures of a trace, and of the kernel that was recorded."""

    events: int = 0
    """Events of ``percpu:``, of any kind."""
    allocs: int = 0
    """Allocations."""
    frees: int = 0
    """Frees, orphans included."""
    orphan_frees: int = 0
    """Frees of pointers that were never seen allocated."""
    reallocs: int = 0
    """Allocations of pointers that were not seen freed since the last one."""
    lost: int = 0
    """Events that the recorder lost, as it says itself."""
    cpus: int = 0
    """CPUs that the recording names; 0: none."""
    kernel_failures: int = 0
    """Allocations that failed in the recording kernel."""
    kernel_created: int = 0
    """Chunks that the recording kernel made."""
    kernel_destroyed: int = 0
    """Chunks that it gave back."""
    kernel_chunks: int = 0
    """Different chunks in which it placed areas."""
    kernel_pages: int = 0
    """Pages of 4 KiB that these areas touched, in one CPU's units."""
    kernel_extent: int = 0
    """End of the highest area in a unit, bytes."""


@dataclass
class Operations:
    """The operations of a trace and what they refer to."""

    ops: bytearray = field(default_factory=bytearray)
    """``OP`` structures, one behind the other."""
    kinds: list[Kind] = field(default_factory=list)
    """What the kinds stand for."""
    slots: int = 0
    """Most areas alive at one time."""
    names: list[Key] | None = None
    """What the keys stand for; None: they stand for themselves."""
    stats: TraceStats = TraceStats()
    """Figures."""
