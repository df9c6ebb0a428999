# SPDX-License-Identifier: GPL-2.0-only
"""The data of a trace: 16 bytes for each operation, and the tables that they refer to.

The layout is that of ``struct pcpu_op`` in percpu.h, so that C replays it without a copy: a
64-bit key, a 32-bit handle, a 32-bit kind.  The key is the recorder's name for an area.  The
handle stands for the area while it is live and is reused afterwards, so a table of handles is
as long as the most areas live at one time.  The kind is the size and alignment of an
allocation, or says that the operation frees.  A trace made by hand or by a random campaign
may also set faults, and have the set-up of its allocator.

A recording also has a note for each operation, 16 bytes as ``struct pcpu_trace_note`` in
percpu_trace.h: a 64-bit time, the kernel's chunk and the offset there, 32 bits each.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from percpu_ffi.config import FAULT_SITES, FaultPlan
from percpu_ffi.errors import ConfigError, bad_site, shown

Key = int | str
Op = (
    tuple[Literal["alloc"], Key, int, int]
    | tuple[Literal["free"], Key]
    | tuple[Literal["inject"], str, dict[str, Any]]
)

OP = struct.Struct("=QII")
FREE = 0xFFFFFFFF  # as a kind: the operation frees
FAULT = 0xFFFFFFFE  # as a kind: the operation sets a fault, the handle is its index
ORPHAN = 0xFFFFFFFF  # as a handle: nothing to free

NOTE = struct.Struct("=QII")
NO_TIME = 0xFFFFFFFFFFFFFFFF
NO_PLACE = 0xFFFFFFFF  # as a chunk or an offset

# arguments of an allocator that a file can hold, and their types, of JSON
SETTINGS: dict[str, tuple[type, ...]] = {
    "cpus": (int,),
    "first_chunk": (str,),
    "free_size": (int,),
    "memory": (str,),
    "nodes": (int,),
    "page_limit": (int, type(None)),
    "page_size": (int, type(None)),
    "quirks": (list, str),
    "static_size": (int,),
    "unit_size": (int,),
}


class Kind(NamedTuple):
    """Size, alignment and call site of an allocation."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    site: str
    """The calling kernel function, as printed; empty where the kernel does not print it."""


class Places(NamedTuple):
    """Places of the areas in the recording kernel; an item for each operation."""

    chunks: memoryview
    """Chunks by order of first appearance, unsigned 32-bit integers; 2^32 - 1: unknown."""
    offsets: memoryview
    """Bytes in a chunk's unit, unsigned 32-bit integers; 2^32 - 1: unknown."""


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
    """Frees of pointers that the recording never allocated."""
    reallocs: int = 0
    """Allocations of pointers that are live already: the free was lost."""
    lost: int = 0
    """Events that the recorder reports as lost."""
    cpus: int = 0
    """CPUs according to the recording; 0: unknown."""
    kernel_failures: int = 0
    """Allocations that failed in the recording kernel."""
    kernel_created: int = 0
    """Chunks that the recording kernel created."""
    kernel_destroyed: int = 0
    """Chunks that it destroyed."""
    kernel_chunks: int = 0
    """Chunks in which it placed areas."""
    kernel_pages: int = 0
    """Pages of 4 KiB of one CPU's units that these areas touch."""
    kernel_extent: int = 0
    """Bytes up to the end of the highest area in a unit."""


@dataclass
class Operations:
    """The operations of a trace and what they refer to."""

    kinds: list[Kind]
    """The requests that the kinds stand for."""
    slots: int
    """Number of handles: the most areas live at one time."""
    stats: TraceStats
    """Figures."""
    ops: bytearray = field(default_factory=bytearray)
    """``OP`` structures, one after the other."""
    notes: bytearray = field(default_factory=bytearray)
    """``NOTE`` structures, one for each operation, or none."""
    faults: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Faults that operations set: a site and the arguments of ``inject()``."""
    setup: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the allocator that the operations were made for."""
    names: list[Key] | None = None
    """The names that the keys stand for; None: the keys themselves."""


def checked_fault(site: Any, plan: Any) -> dict[str, Any]:
    """Check the arguments of ``inject()``, and return them as values that a file can hold.

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
    """Check names and types of an allocator's arguments, and return values that a file can hold.

    Whether the values are possible is checked by the allocator.

    Raises:
        ConfigError: it is not a mapping of such arguments.

    """
    try:
        settings = dict(setup)
        if settings.keys() <= SETTINGS.keys():
            plain = {name: _plain(value) for name, value in settings.items()}
            if all(isinstance(value, SETTINGS[name]) for name, value in plain.items()):
                return plain
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"set-up {shown(setup)}: a mapping of arguments of an allocator is needed, from "
        + ", ".join(SETTINGS)
    )


def _plain(value: Any) -> Any:
    """Convert numpy's numbers and sets of quirks to types of JSON."""
    if value is None or isinstance(value, str | float):
        return value
    if hasattr(value, "__index__"):
        return operator.index(value)
    return float(value) if hasattr(value, "__float__") else sorted(map(str, value))
