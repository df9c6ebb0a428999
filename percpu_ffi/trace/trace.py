# SPDX-License-Identifier: GPL-2.0-only
"""A trace: a sequence of allocations and frees."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING, Any, overload

from percpu_ffi._util.text import plural
from percpu_ffi.errors import (
    check_path,
    check_progress,
    check_type,
    damaged_trace,
    wrong_type,
)
from percpu_ffi.trace import file, file_reader, old_file
from percpu_ffi.trace.assemble import assemble, times_column
from percpu_ffi.trace.columns import Columns
from percpu_ffi.trace.operations import (
    BALANCE,
    FAULT,
    FREE,
    OP,
    Column,
    Event,
    Kind,
    Op,
    Operations,
    Places,
    Skipped,
    Task,
    TraceStats,
    checked_setup,
    unknown,
)
from percpu_ffi.trace.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi.trace.source import Blocks


def is_own_file(head: bytes) -> bool:
    """Return whether a file that begins so was written by :meth:`Trace.save` or a recorder."""
    return head.startswith((file.MAGIC, *old_file.MAGICS))


class Trace:
    """A sequence of operations: ``("alloc", key, size, align)`` and ``("free", key)``.

    An allocation with flags has a fifth item, such as ``("atomic",)``.  ``("inject", site, {"nth":
    3})`` calls ``inject()`` with these arguments; ``("balance",)`` stands for background work.
    Keys are names for areas: kernel pointers in a recording, any integers or strings in
    traces made by :meth:`from_ops`.  Freeing a key without a live area does nothing;
    allocating a key with one frees that area first.  Sizes and alignments are in bytes.
    """

    __slots__ = ("_data",)

    def __init__(self, operations: Operations) -> None:
        """Wrap operations; users call :meth:`load` or :meth:`from_ops`."""
        self._data = operations

    @classmethod
    def load(
        cls,
        path: str | Path,
        progress: Callable[[int], object] | None = None,
        *,
        strict: bool = False,
    ) -> Trace:
        """Read a trace: what ftrace or perf printed, or a file of :meth:`save`.

        Args:
            path: the file, plain or compressed; perf.data and trace.dat are read through perf and
                trace-cmd.  ``-`` is standard input.
            progress: called with the number of bytes of the file read since its last call.
            strict: refuse a text with a damaged, masked, cut or binary line; otherwise such
                lines are skipped and counted, see :attr:`skipped`.

        Raises:
            OSError: the file cannot be read.
            TraceError: it is not a trace, or damaged; with file and line.
            ConfigError: an argument is of a wrong type.

        """
        check_path(path)
        check_progress(progress)
        with open_source(path, progress) as blocks:
            return cls.read(blocks, strict=strict)

    @classmethod
    def read(cls, blocks: Blocks, *, strict: bool = False) -> Trace:
        """Read a trace from an open file, as :meth:`load` does.

        Raises:
            TraceError: it is not a trace, or damaged; with file and line.

        """
        if blocks.head.startswith(file.MAGIC):
            return cls(file_reader.read_file(blocks))
        if blocks.head.startswith(old_file.MAGICS):
            return cls(old_file.read_file(blocks))
        from percpu_ffi.trace.text import read_text  # noqa: PLC0415 - needs the compiled core
        from percpu_ffi.trace.tools import printed, tool_for  # noqa: PLC0415 - starts processes

        if tool := tool_for(blocks.head):
            with printed(blocks, tool) as text:
                return cls(read_text(text, blocks.name, strict=strict))
        return cls(read_text(blocks, blocks.name, strict=strict))

    @classmethod
    def from_ops(
        cls,
        ops: Iterable[tuple[Any, ...]],
        setup: dict[str, Any] | None = None,
        times: Iterable[int] | None = None,
    ) -> Trace:
        """Make a trace from tuples; iterating it returns the same tuples.

        Args:
            ops: the operations.
            setup: constructor arguments of the allocator that they were made for, the
                defaults of commands.
            times: the time of each operation, as in :attr:`times`.

        Raises:
            TraceError: a tuple is not an operation, or a time is invalid; ``line`` is its
                number, from 1.  Or there are more or fewer times than operations.
            ConfigError: the set-up has a name that is not an argument, or an argument is of a
                wrong type.

        """
        check_type("ops", ops, Iterable, "an iterable of operations")
        check_type("times", times, (Iterable, NoneType), "an iterable of integers, or None,")
        data = assemble(ops)
        if setup is not None:
            data.setup = checked_setup(setup)
        if times is not None:
            data.columns = {"times": times_column(times, len(data))}
        return cls(data)

    def save(self, path: str | Path) -> None:
        """Write the trace to a small file that :meth:`load` reads without parsing text.

        Raises:
            OSError: it cannot be written.
            ConfigError: the path is of a wrong type.

        """
        check_path(path)
        file.write_file(path, self._data)

    @property
    def ops(self) -> memoryview:
        """The operations in C's layout, 16 bytes each; read only."""
        return memoryview(self._data.ops).toreadonly()

    @property
    def times(self) -> memoryview | None:
        """The time of each operation: nanoseconds since the zero of the recorder's clock.

        Unsigned 64-bit integers, read only, without a copy; 2^64 - 1 where a time is unknown.
        None where all are unknown, as with clocks of ftrace that count ticks (``counter``,
        ``x86-tsc``).
        """
        return self._column("times")

    @property
    def places(self) -> Places | None:
        """The place of each operation's area in the recording kernel; read only, without a copy.

        A chunk's number names its life: a chunk created later at the same address has another
        one.  None where all places are unknown.
        """
        if not {"chunks", "offsets"} & self._data.columns.keys():
            return None
        return Places(
            *(self._column(name) or self._unknown(name) for name in ("chunks", "offsets"))
        )

    def columns(self) -> Columns:
        """Return the operations as columns, which libraries of data frames take without a copy."""
        return Columns(self._data)

    @property
    def kinds(self) -> list[Kind]:
        """The distinct requests: size, alignment and call site."""
        return self._data.tables.kinds

    @property
    def tasks(self) -> list[Task]:
        """The tasks that made the calls: what the column ``tasks`` refers to."""
        names = self._data.tables.names
        return [Task(names[name], pid) for name, pid in self._data.tables.tasks]

    @property
    def stacks(self) -> list[str]:
        """The distinct stacks; a line for each frame, the innermost first."""
        return self._data.tables.stacks

    @property
    def bases(self) -> list[int]:
        """The address of each chunk, as printed: a hash in most recordings of ftrace."""
        return self._data.tables.bases

    @property
    def events(self) -> list[Event]:
        """Events that are no operations: failures, chunks, lost events, background work."""
        return self._data.events

    @property
    def machine(self) -> dict[str, Any]:
        """What the recorder knows about its machine, such as ``kernel`` and ``boot_line``."""
        return dict(self._data.machine)

    @property
    def skipped(self) -> list[Skipped]:
        """The lines of the text that were not used, by reason."""
        return self._data.skipped

    @property
    def remarks(self) -> list[str]:
        """What a user of the trace has to know, a sentence each; mostly none."""
        return self._data.remarks

    @property
    def faults(self) -> list[tuple[str, dict[str, Any]]]:
        """Faults that operations set: a site and the arguments of ``inject()``."""
        return [(site, dict(plan)) for site, plan in self._data.faults]

    @property
    def setup(self) -> dict[str, Any]:
        """Constructor arguments of the allocator the trace was made for; empty for recordings."""
        return copy.deepcopy(self._data.setup)

    @property
    def slots(self) -> int:
        """Number of handles: the most areas live at one time."""
        return self._data.slots

    @property
    def stats(self) -> TraceStats:
        """Figures of the trace, and of the kernel that was recorded."""
        return self._data.stats

    def without_columns(self) -> Trace:
        """Return a trace with the same operations, and none of what is known about each.

        It is smaller, and so is sent to another process in less time.
        """
        return Trace(replace(self._data, columns={}, events=[], event_stacks={}))

    def without_operations(self) -> Trace:
        """Return what is known about the recording as a whole, which is small."""
        columns: dict[str, Column] = {name: unknown(name, 0) for name in self._data.columns}
        return Trace(replace(self._data, ops=bytearray(), columns=columns, names=None))

    def __repr__(self) -> str:
        stats = self.stats
        allocs, frees = plural(stats.allocs, "allocation", ""), plural(stats.frees, "free", "")
        return f"<Trace, {allocs}, {frees}, {self.slots} at a time>"

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        """Whether operations and set-up are equal; times and places are not compared."""
        if not isinstance(other, Trace):
            return NotImplemented
        if self._data == other._data:
            return True
        return (
            self.setup == other.setup
            and len(self) == len(other)
            and all(map(operator.eq, self, other))
        )

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Op]:
        """Iterate over the operations as tuples."""
        return (self._tuple(*op) for op in OP.iter_unpack(self._data.ops))

    @overload
    def __getitem__(self, index: int) -> Op: ...
    @overload
    def __getitem__(self, index: slice) -> list[Op]: ...
    def __getitem__(self, index: int | slice) -> Op | list[Op]:
        """Return one operation as a tuple, or a list of them.

        Raises:
            IndexError: there is no such operation.
            ConfigError: ``index`` is neither an integer nor a slice of integers.

        """
        try:
            numbers = range(len(self))[index]
        except TypeError:
            raise wrong_type("index", index, "an integer or a slice") from None
        if isinstance(numbers, range):
            return [self[i] for i in numbers]
        return self._tuple(*OP.unpack_from(self._data.ops, numbers * OP.size))

    def _tuple(self, key: int, handle: int, kind: int) -> Op:
        try:
            if kind == BALANCE:
                return ("balance",)
            if kind == FAULT:
                site, plan = self._data.faults[handle]
                return ("inject", site, dict(plan))
            name = key if self._data.names is None else self._data.names[key]
            if kind == FREE:
                return ("free", name)
            wanted = self._data.tables.kinds[kind]
        except IndexError:
            raise damaged_trace() from None
        if wanted.flags:
            return ("alloc", name, wanted.size, wanted.align, wanted.flags)
        return ("alloc", name, wanted.size, wanted.align)

    def _column(self, name: str) -> memoryview | None:
        column = self._data.columns.get(name)
        return None if column is None else memoryview(column).toreadonly()

    def _unknown(self, name: str) -> memoryview:
        return memoryview(unknown(name, len(self))).toreadonly()
