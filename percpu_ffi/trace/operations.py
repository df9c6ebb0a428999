# SPDX-License-Identifier: GPL-2.0-only
"""The data of a trace: 16 bytes for each operation, columns, and the tables they refer to.

The layout of operations is that of ``struct pcpu_op`` in percpu.h, so that C replays them without
a copy: a 64-bit key, a 32-bit handle, a 32-bit kind.  The key is the recorder's name for an area.
The handle stands for the area while it is live and is reused afterwards, so a table of handles is
as long as the most areas live at one time.  The kind is the request of an allocation, or says that
the operation frees.  A trace made by hand or by a random campaign may also set faults, and have
the set-up of its allocator.

A recording has more: columns with an item for each operation, and events that are no operations.
A source of a trace, text or file, yields it in batches.
"""

from __future__ import annotations

import operator
import struct
from array import array
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeAlias

from percpu_ffi.config import FAULT_SITES, FaultPlan
from percpu_ffi.errors import ConfigError, bad_site, shown

Key = int | str
"""A name that an area has in a trace, from its allocation to its free."""
Op = (
    tuple[Literal["alloc"], Key, int, int]
    | tuple[Literal["alloc"], Key, int, int, tuple[str, ...]]
    | tuple[Literal["free"], Key]
    | tuple[Literal["inject"], str, dict[str, Any]]
    | tuple[Literal["balance"]]
)
"""One operation, as ``Trace.from_ops()`` takes it and iteration returns it; sizes are in bytes."""

OP = struct.Struct("=QII")
FREE = 0xFFFFFFFF  # as a kind: the operation frees
FAULT = 0xFFFFFFFE  # as a kind: the operation sets a fault, the handle is its index
BALANCE = 0xFFFFFFFD  # as a kind: background work runs
SPECIAL = BALANCE  # the lowest kind that is no request
ORPHAN = 0xFFFFFFFF  # as a handle: nothing to free

NO_TIME = 0xFFFFFFFFFFFFFFFF
NO_PLACE = 0xFFFFFFFF  # as a chunk or an offset
NO_INDEX = 0xFFFFFFFF  # as a task or a stack
NO_CPU = 0xFFFF

# flags of an allocation, in the order of their bits in struct pcpu_kind
FLAGS = ("atomic", "reserved")

# arguments of an allocator that a file can hold, and their types, of JSON
SETTINGS: dict[str, tuple[type, ...]] = {
    "balance": (str,),
    "cpus": (int,),
    "dyn_size": (int,),
    "first_chunk": (str,),
    "fixes": (list, str),
    "free_size": (int,),
    "memory": (str,),
    "nodes": (int,),
    "page_limit": (int, type(None)),
    "page_size": (int, type(None)),
    "policy": (str,),
    "quirks": (list, str),
    "reserved_size": (int,),
    "static_size": (int,),
    "unit_size": (int,),
}


class Kind(NamedTuple):
    """The request of an allocation."""

    size: int
    """Bytes."""
    align: int
    """Bytes."""
    site: str = ""
    """The calling kernel function, as printed, or its address, hexadecimal with ``0x``; empty where
    the kernel does not print it."""
    flags: tuple[str, ...] = ()
    """Of ``FLAGS``."""
    gfp: str = ""
    """Flags of the page allocator, as printed; likewise."""
    bytes_alloc: int = 0
    """Bytes on all CPUs, as printed; 0: not printed."""

    @property
    def flag_bits(self) -> int:
        """The flags as a number, as in ``struct pcpu_kind``."""
        return sum(1 << bit for bit, flag in enumerate(FLAGS) if flag in self.flags)


class Task(NamedTuple):
    """A task of the recording kernel."""

    name: str
    """As printed, at most 15 bytes."""
    pid: int
    """Its id."""


TASK = struct.Struct("=II")  # struct pcpu_trace_task


class Places(NamedTuple):
    """Places of the areas in the recording kernel; an item for each operation."""

    chunks: memoryview
    """Chunks by order of first appearance, unsigned 32-bit integers; 2^32 - 1: unknown."""
    offsets: memoryview
    """Bytes in a chunk's unit, unsigned 32-bit integers; 2^32 - 1: unknown."""


# kinds of events, in the order of enum pcpu_trace_event_kind
FAILED, CREATED, DESTROYED, LOST, WORK_STARTED, WORK_ENDED = range(6)


class Event(NamedTuple):
    """An event that is no operation, as ``struct pcpu_trace_event`` in percpu_trace.h."""

    before: int
    """How many operations come before it."""
    time: int
    """Nanoseconds, as in a column; ``NO_TIME``: unknown."""
    value: int
    """The kind of a failed allocation; the chunk; how many were lost, 0: unknown."""
    task: int
    """As in a column."""
    cpu: int
    """As in a column."""
    kind: int
    """``FAILED``, ``CREATED``, ``DESTROYED``, ``LOST``, ``WORK_STARTED`` or ``WORK_ENDED``."""


EVENT = struct.Struct("=QQQIHH")


class StackOf(NamedTuple):
    """The stack of an operation or of an event, as ``struct pcpu_trace_stack_of``.

    A recorder prints it after the row that it belongs to.
    """

    row: int
    """Number of the operation, or of the event."""
    stack: int
    """As in a column."""
    of_event: int
    """1: of an event; 0: of an operation."""


STACK_OF = struct.Struct("=QII")


class Skipped(NamedTuple):
    """Lines of a recording that were not used, for one reason."""

    kind: str
    """The reason: a key of ``trace.text.SKIPS``."""
    lines: int
    """How many."""
    first: int
    """Number of the first, from 1."""
    text: str
    """How that begins."""


@dataclass(frozen=True)
class TraceStats:
    """Figures of a trace, and of the kernel that was recorded."""

    events: int = 0
    """Events of the five tracepoints."""
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
    backwards: int = 0
    """Operations whose time is before that of the previous one."""


# columns: name -> type code of array, value of an unknown item
COLUMNS: dict[str, tuple[str, int]] = {
    "times": ("Q", NO_TIME),
    "chunks": ("I", NO_PLACE),
    "offsets": ("I", NO_PLACE),
    "tasks": ("I", NO_INDEX),
    "cpus": ("H", NO_CPU),
    "stacks": ("I", NO_INDEX),
}

# a view is of memory that the reader of a text filled
Column: TypeAlias = "array[int] | memoryview"


@dataclass
class Tables:
    """What operations, columns and events refer to by index."""

    kinds: list[Kind] = field(default_factory=list)
    """The requests of allocations."""
    names: list[str] = field(default_factory=list)
    """Names of tasks."""
    tasks: list[tuple[int, ...]] = field(default_factory=list)
    """The tasks that made the calls: an index of ``names``, and the task's id."""
    stacks: list[str] = field(default_factory=list)
    """Frames, a line for each, the innermost first."""
    bases: list[int] = field(default_factory=list)
    """The address of each chunk, as printed: a hash in most recordings of ftrace."""

    def extend(self, other: Tables) -> None:
        """Append the rows of other tables."""
        for table in fields(Tables):
            getattr(self, table.name).extend(getattr(other, table.name))


@dataclass
class Batch:
    """A part of a trace: rows, and the additions to the tables."""

    ops: bytearray | memoryview = field(default_factory=bytearray)
    """``OP`` structures, one after the other."""
    columns: dict[str, Column] = field(default_factory=dict)
    """Of ``COLUMNS``, each with an item for each operation; without those that are unknown."""
    events: list[Event] = field(default_factory=list)
    """Events that are no operations."""
    stacks_of: list[StackOf] = field(default_factory=list)
    """Stacks of these and of earlier rows."""
    tables: Tables = field(default_factory=Tables)
    """New rows of the tables."""
    stats: TraceStats = TraceStats()
    """Figures so far."""
    slots: int = 0
    """Number of handles so far."""
    flags_known: bool = False
    """Whether allocations so far say if they are atomic."""

    def __len__(self) -> int:
        return len(self.ops) // OP.size


@dataclass
class Operations:
    """The operations of a trace and what they refer to."""

    ops: bytearray | memoryview = field(default_factory=bytearray)
    """``OP`` structures, one after the other."""
    columns: dict[str, Column] = field(default_factory=dict, compare=False)
    """Of ``COLUMNS``, without those in which all is unknown."""
    events: list[Event] = field(default_factory=list, compare=False)
    """Events that are no operations."""
    event_stacks: dict[int, int] = field(default_factory=dict, compare=False)
    """Stacks of events, by the event's index."""
    tables: Tables = field(default_factory=Tables)
    """The requests that the kinds stand for, and more."""
    faults: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Faults that operations set: a site and the arguments of ``inject()``."""
    setup: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the allocator that the operations were made for."""
    machine: dict[str, Any] = field(default_factory=dict, compare=False)
    """What the recorder knows about its machine."""
    slots: int = 0
    """Number of handles: the most areas live at one time."""
    flags_known: bool = field(default=False, compare=False)
    """Whether allocations say if they are atomic, which recordings may not have."""
    names: list[Key] | None = None
    """The names that the keys stand for; None: the keys themselves."""
    stats: TraceStats = TraceStats()
    """Figures."""
    skipped: list[Skipped] = field(default_factory=list, compare=False)
    """Lines that were not used."""
    remarks: list[str] = field(default_factory=list, compare=False)
    """What a user of the trace has to know, a sentence each."""

    def __len__(self) -> int:
        return len(self.ops) // OP.size

    def extend(self, batch: Batch) -> None:
        """Append a batch; the first one becomes a part of these, without a copy."""
        before, n = len(self), len(batch)
        self.ops = _joined(self.ops, batch.ops)
        for name in {**self.columns, **batch.columns}:
            part = batch.columns.get(name) or unknown(name, n)
            self.columns[name] = _joined(self.columns.get(name) or unknown(name, before), part)
        self.events += batch.events
        self.tables.extend(batch.tables)
        self.stats, self.slots = batch.stats, batch.slots
        self.flags_known = batch.flags_known
        for row, stack, of_event in batch.stacks_of:
            stacks = self.event_stacks if of_event else self._stacks()
            stacks[row] = stack

    def _stacks(self) -> Column:
        if "stacks" not in self.columns:
            self.columns["stacks"] = unknown("stacks", len(self))
        return self.columns["stacks"]

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled; a view cannot be."""
        columns = {name: owned(column) for name, column in self.columns.items()}
        return {**vars(self), "ops": owned(self.ops), "columns": columns}


def unknown(name: str, n: int) -> array[int]:
    """Return a column of ``n`` unknown items."""
    code, nothing = COLUMNS[name]
    return array(code, [nothing]) * n


def _joined(first: Column | bytearray, second: Column | bytearray) -> Any:
    """Return both parts, in the memory of the first if it is not empty."""
    if not first:
        return second
    joined = owned(first)
    joined.extend(second)
    return joined


def owned(part: Column | bytearray) -> Any:
    """Return a part that is no view: its contents, if it is one."""
    if not isinstance(part, memoryview):
        return part
    return bytearray(part) if part.format == "B" else array(part.format, bytes(part))


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
