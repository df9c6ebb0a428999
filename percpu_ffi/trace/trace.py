# SPDX-License-Identifier: GPL-2.0-only
"""A trace: a sequence of allocations and frees."""

from __future__ import annotations

import copy
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator
from types import NoneType
from typing import TYPE_CHECKING, Any, overload

from percpu_ffi._util.text import plural
from percpu_ffi.errors import (
    ConfigError,
    TraceError,
    check_path,
    check_progress,
    check_type,
    damaged_trace,
    not_an_operation,
    shown,
    wrong_type,
)
from percpu_ffi.trace.file import MAGICS, read_file, write_file
from percpu_ffi.trace.operations import (
    FAULT,
    FREE,
    NO_PLACE,
    NO_TIME,
    NOTE,
    OP,
    ORPHAN,
    Key,
    Kind,
    Op,
    Operations,
    Places,
    TraceStats,
    checked_fault,
    checked_setup,
)
from percpu_ffi.trace.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY = (1 << 64) - 1

# binary files that a tool converts to text
BINARY = {
    b"BZh": "this is compressed by bzip2: run `bunzip2` and read the result",
    b"\x28\xb5\x2f\xfd": "this is compressed by zstd: run `unzstd` and read the result",
    b"PERFILE2": "this is perf's own file: run `perf script > FILE` and read that",
    b"\x17\x08\x44tracing": "this is trace-cmd's own file: run `trace-cmd report > FILE`, "
    "read that",
}


class Trace:
    """A sequence of operations: ``("alloc", key, size, align)`` and ``("free", key)``.

    A third one, ``("inject", site, {"nth": 3})``, calls ``inject()`` with these arguments.
    Keys are names for areas: kernel pointers in a recording, any integers or strings in
    traces made by :meth:`from_ops`.  Freeing a key without a live area does nothing;
    allocating a key with one frees that area first.  Sizes and alignments are in bytes.
    """

    __slots__ = ("_data",)

    def __init__(self, operations: Operations) -> None:
        """Wrap operations; users call :meth:`load` or :meth:`from_ops`."""
        self._data = operations

    @classmethod
    def load(cls, path: str | Path, progress: Callable[[int], object] | None = None) -> Trace:
        """Read a trace: what ftrace or perf script printed, or a file of :meth:`save`.

        Args:
            path: the file; plain, gzip or xz according to its first bytes.
            progress: called with the number of bytes of the file read since its last call.

        Raises:
            OSError: the file cannot be read.
            TraceError: it is empty, cut, binary, or not a trace; with file and line.
            ConfigError: an argument is of a wrong type.

        """
        check_path(path)
        check_progress(progress)
        with open_source(path, progress) as blocks:
            if blocks.head.startswith(MAGICS):
                return cls(read_file(blocks))
            for magic, message in BINARY.items():
                if blocks.head.startswith(magic):
                    raise TraceError(message, blocks.name)
            from percpu_ffi.trace.text import read_text  # noqa: PLC0415 - needs the compiled core

            return cls(read_text(blocks, blocks.name))

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
        data = _assemble(ops)
        if setup is not None:
            data.setup = checked_setup(setup)
        if times is not None:
            data.notes = _notes(times, len(data.ops) // OP.size)
        return cls(data)

    def save(self, path: str | Path) -> None:
        """Write the trace to a small file that :meth:`load` reads without parsing text.

        Raises:
            OSError: it cannot be written.
            ConfigError: the path is of a wrong type.

        """
        check_path(path)
        write_file(path, self._data)

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
        times = memoryview(self._data.notes).toreadonly().cast("Q")[::2]
        return times if _has_values(times, NO_TIME) else None

    @property
    def places(self) -> Places | None:
        """The place of each operation's area in the recording kernel; read only, without a copy.

        The kernel prints a chunk's address: a chunk created later at the same address has the
        same number.  None where all places are unknown.
        """
        words = memoryview(self._data.notes).toreadonly().cast("I")
        places = Places(words[2::4], words[3::4])
        return places if any(_has_values(column, NO_PLACE) for column in places) else None

    @property
    def kinds(self) -> list[Kind]:
        """The distinct requests: size, alignment and call site."""
        return self._data.kinds

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

    def __repr__(self) -> str:
        stats = self.stats
        allocs, frees = plural(stats.allocs, "allocation", ""), plural(stats.frees, "free", "")
        return f"<Trace, {allocs}, {frees}, {self.slots} at a time>"

    def __len__(self) -> int:
        return len(self._data.ops) // OP.size

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
            if kind == FAULT:
                site, plan = self._data.faults[handle]
                return ("inject", site, dict(plan))
            name = key if self._data.names is None else self._data.names[key]
            if kind == FREE:
                return ("free", name)
            wanted = self._data.kinds[kind]
        except IndexError:
            raise damaged_trace() from None
        return ("alloc", name, wanted.size, wanted.align)


def _has_values(column: memoryview, nothing: int) -> bool:
    """Return whether a column of the notes has a value."""
    return any(map(nothing.__ne__, column))


def _notes(times: Iterable[int], n: int) -> bytearray:
    """Return notes with times and without places."""
    column = array("Q")
    for number, time in enumerate(times, 1):
        try:
            column.append(time)
        except (TypeError, OverflowError):
            raise TraceError(
                f"time {shown(time)}: an integer of 64 bits is needed, nanoseconds, from 0; "
                f"{NO_TIME} where there is none",
                line=number,
            ) from None
    if len(column) != n:
        given, needed = plural(len(column), "time", ""), plural(n, "operation", "")
        raise TraceError(f"{given} for {needed}; give one for each")
    notes = bytearray(b"\xff") * (n * NOTE.size)
    memoryview(notes).cast("Q")[::2] = memoryview(column)
    return notes


class _Assembler:
    """Assigns handles and kinds to operations, as the reader in C does."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.handle_of: dict[Key, int] = {}
        self.free_handles: list[int] = []
        self.kinds: dict[tuple[int, int], int] = {}
        self.faults: list[tuple[str, dict[str, Any]]] = []
        self.reallocs = 0
        self.rows: list[tuple[int, int]] = []

    def alloc(self, key: Key, size: int, align: int) -> None:
        handle = self.handle_of.get(key)
        if handle is not None:
            self.reallocs += 1
        elif self.free_handles:
            handle = self.free_handles.pop()
        else:
            handle = len(self.handle_of)
        self.handle_of[key] = handle
        self.keys.append(key)
        self.rows.append((handle, self.kinds.setdefault((size, align), len(self.kinds))))

    def free(self, key: Key) -> None:
        handle = self.handle_of.pop(key, ORPHAN)
        if handle != ORPHAN:
            self.free_handles.append(handle)
        self.keys.append(key)
        self.rows.append((handle, FREE))

    def inject(self, site: Any, plan: Any) -> None:
        self.keys.append(0)
        self.rows.append((len(self.faults), FAULT))
        self.faults.append((site, checked_fault(site, plan)))

    def operations(self) -> Operations:
        names: list[Key] | None = None
        numbers: Iterable[Any] = self.keys
        if not all(isinstance(key, int) and 0 <= key <= MAX_KEY for key in self.keys):
            number_of = {key: i for i, key in enumerate(dict.fromkeys(self.keys))}
            names = list(number_of)
            numbers = (number_of[key] for key in self.keys)
        rows = zip(numbers, self.rows, strict=True)
        frees = sum(kind == FREE for _, kind in self.rows)
        return Operations(
            ops=bytearray().join(OP.pack(number, *row) for number, row in rows),
            kinds=[Kind(size, align, "") for size, align in self.kinds],
            faults=self.faults,
            slots=len(self.handle_of) + len(self.free_handles),
            names=names,
            stats=TraceStats(
                events=len(self.rows),
                allocs=len(self.rows) - frees - len(self.faults),
                frees=frees,
                orphan_frees=self.rows.count((ORPHAN, FREE)),
                reallocs=self.reallocs,
            ),
        )


def _assemble(ops: Iterable[tuple[Any, ...]]) -> Operations:
    assembler = _Assembler()
    for number, op in enumerate(ops, 1):
        match op:
            case ("alloc", int() | str() as key, size, align):
                try:
                    request = array("q", (size, align))
                except (TypeError, OverflowError):
                    raise TraceError(
                        f"{shown(op)}: size and alignment are integers of 64 bits", line=number
                    ) from None
                assembler.alloc(key, *request)
            case ("free", int() | str() as key):
                assembler.free(key)
            case ("inject", site, plan):
                try:
                    assembler.inject(site, plan)
                except ConfigError as error:
                    raise TraceError(str(error), line=number) from None
            case _:
                raise not_an_operation(op, number)
    return assembler.operations()
