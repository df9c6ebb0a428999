# SPDX-License-Identifier: GPL-2.0-only
"""What a trace holds: 16 bytes an operation, and what they refer to.

The layout is that of ``struct pcpu_op`` in percpu.h, so that C replays it as it is:
a 64-bit key, a 32-bit slot, a 32-bit kind.  The key is the recorder's name for an area.
The slot is ours while the area lives; it is used again afterwards, so that a table of
slots is as long as the most areas alive at one time.  The kind says what an allocation
asks for, or that the operation frees.  A trace that was made by hand or found by a
random campaign may also set faults, and tell the set-up that it belongs to.

A recording has a note beside each operation, 16 bytes as ``struct pcpu_trace_note`` in
percpu_trace.h: a 64-bit time, the kernel's chunk and the offset there, 32 bits each.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from percpu_ffi.config import FAULT_SITES, FaultPlan
from percpu_ffi.errors import ConfigError, bad_site, shown

__all__ = [
    "FAULT",
    "FREE",
    "NOTE",
    "NO_PLACE",
    "NO_TIME",
    "OP",
    "ORPHAN",
    "Key",
    "Kind",
    "Op",
    "Operations",
    "Places",
    "TraceStats",
]

Key = int | str
Op = (
    tuple[Literal["alloc"], Key, int, int]
    | tuple[Literal["free"], Key]
    | tuple[Literal["inject"], str, dict[str, Any]]
)

OP = struct.Struct("=QII")
FREE = 0xFFFFFFFF  # as a kind: the operation frees
FAULT = 0xFFFFFFFE  # as a kind: the operation sets the fault at index slot
ORPHAN = 0xFFFFFFFF  # as a slot: nothing to free

NOTE = struct.Struct("=QII")
NO_TIME = 0xFFFFFFFFFFFFFFFF
NO_PLACE = 0xFFFFFFFF  # as a chunk or an offset

# arguments of an allocator that a file can hold
SETTINGS = frozenset(
    {
        "cpus",
        "first_chunk",
        "free_size",
        "memory",
        "nodes",
        "page_limit",
        "page_size",
        "quirks",
        "static_size",
        "unit_size",
    }
)


class Kind(NamedTuple):
    """What an allocation asks for."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    site: str
    """The kernel function that called, as printed; empty where the kernel did not tell."""


class Places(NamedTuple):
    """Where the recording kernel had the areas; an item for each operation."""

    chunks: memoryview
    """Chunks by order of first appearance, unsigned 32-bit integers; 2^32 - 1: not told."""
    offsets: memoryview
    """Bytes in a chunk's unit, unsigned 32-bit integers; 2^32 - 1: not told."""


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
    notes: bytearray = field(default_factory=bytearray, compare=False)
    """``NOTE`` structures, one for each operation, or none at all."""
    kinds: list[Kind] = field(default_factory=list)
    """What the kinds stand for."""
    faults: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Faults that are set on the way: a site and the arguments of ``inject()``."""
    setup: dict[str, Any] = field(default_factory=dict)
    """Arguments of the allocator that the operations were made for."""
    slots: int = 0
    """Most areas alive at one time."""
    names: list[Key] | None = None
    """What the keys stand for; None: they stand for themselves."""
    stats: TraceStats = TraceStats()
    """Figures."""


def checked_fault(site: Any, plan: Any) -> dict[str, Any]:
    """Check the arguments of ``inject()``; in values that a file can hold.

    Raises:
        ConfigError: no such site, or a value out of range.

    """
    if site not in FAULT_SITES:
        raise bad_site(site, FAULT_SITES)
    try:
        FaultPlan.check(**plan)
        return {name: _plain(value) for name, value in dict(plan).items()}
    except TypeError:
        raise ConfigError(
            f"fault {shown(plan)}: a mapping of arguments of inject() is needed: nth, times, "
            "interval, probability, seed"
        ) from None


def checked_setup(setup: Any) -> dict[str, Any]:
    """Check that a set-up names arguments of an allocator, in values that a file can hold.

    Whether they fit together is for the allocator to say.

    Raises:
        ConfigError: it does not.

    """
    try:
        settings = dict(setup)
        if settings.keys() <= SETTINGS:
            return {name: _plain(value) for name, value in settings.items()}
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"set-up {shown(setup)}: a mapping of arguments of an allocator is needed, from "
        + ", ".join(sorted(SETTINGS))
    )


def _plain(value: Any) -> Any:
    """Make JSON's own types of numpy's numbers and of sets of quirks."""
    if value is None or isinstance(value, str | float):
        return value
    if hasattr(value, "__index__"):
        return operator.index(value)
    return float(value) if hasattr(value, "__float__") else sorted(map(str, value))
