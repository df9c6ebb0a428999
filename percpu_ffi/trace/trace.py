# SPDX-License-Identifier: GPL-2.0-only
"""A trace: what was asked of an allocator, in order."""

from __future__ import annotations

import copy
import operator
from array import array
from typing import TYPE_CHECKING, Any, overload

from percpu_ffi.errors import ConfigError, TraceError, damaged_trace, shown
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
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["Trace"]

MAX_KEY = (1 << 64) - 1


class Trace:
    """A sequence of operations: ``("alloc", key, size, align)`` and ``("free", key)``.

    A third one, ``("inject", site, {"nth": 3})``, calls ``inject()`` with these arguments.
    Keys are names for areas: kernel pointers in a recording, any integers or strings in
    traces made by :meth:`from_ops`.  Freeing a key that is not alive does nothing;
    allocating one that is frees the old area first.  Sizes and alignments are in bytes.
    """

    __slots__ = ("_data",)

    def __init__(self, operations: Operations) -> None:
        """Wrap operations; users call :meth:`load` or :meth:`from_ops`."""
        self._data = operations

    @classmethod
    def load(cls, path: str | Path, progress: Callable[[int], object] | None = None) -> Trace:
        """Read a trace: what ftrace or perf script printed, or a file of :meth:`save`.

        Args:
            path: the file; plain, gzip or xz, told by its first bytes.
            progress: called with the number of bytes of the file read since its last call.

        Raises:
            OSError: the file cannot be read.
            TraceError: it is empty, cut, binary, or not a trace; with file and line.

        """
        with open_source(path, progress) as blocks:
            if blocks.head.startswith(MAGICS):
                return cls(read_file(blocks))
            from percpu_ffi.trace.text import read_text  # noqa: PLC0415 - it alone needs the C code

            return cls(read_text(blocks))

    @classmethod
    def from_ops(
        cls,
        ops: Iterable[tuple[Any, ...]],
        setup: dict[str, Any] | None = None,
        times: Iterable[int] | None = None,
    ) -> Trace:
        """Make a trace from tuples; iterating it gives the same tuples back.

        Args:
            ops: the operations.
            setup: arguments of the allocator that they were made for, which commands take
                as their defaults.
            times: when each operation happened, as :attr:`times` gives them.

        Raises:
            TraceError: a tuple is no operation, or a time is none; ``line`` is its number,
                from 1.  Or there are not as many times as operations.
            ConfigError: the set-up names something that is no argument.

        """
        data = _assemble(ops)
        data.setup = checked_setup(setup or {})
        if times is not None:
            data.notes = _notes(times, len(data.ops) // OP.size)
        return cls(data)

    def save(self, path: str | Path) -> None:
        """Write the trace to a small file that :meth:`load` reads without parsing.

        Raises:
            OSError: it cannot be written.

        """
        write_file(path, self._data)

    @property
    def ops(self) -> memoryview:
        """The operations as C has them, 16 bytes each; read only."""
        return memoryview(self._data.ops).toreadonly()

    @property
    def times(self) -> memoryview | None:
        """When each operation happened: nanoseconds since the zero of the recorder's clock.

        Unsigned 64-bit integers, read only, without a copy; 2^64 - 1 where the recorder does
        not tell.  None where it tells no time at all, and for traces made by hand without.
        Clocks of ftrace that count ticks (``counter``, ``x86-tsc``) tell none.
        """
        times = memoryview(self._data.notes).toreadonly().cast("Q")[::2]
        return times if _tells(times, NO_TIME) else None

    @property
    def places(self) -> Places | None:
        """Where the recording kernel had the area of each operation; read only, without a copy.

        A chunk is known by the address that the kernel prints: one that was made later at
        the same address has the same number.  None where the recorder tells no place at all.
        """
        words = memoryview(self._data.notes).toreadonly().cast("I")
        places = Places(words[2::4], words[3::4])
        return places if any(_tells(column, NO_PLACE) for column in places) else None

    @property
    def kinds(self) -> list[Kind]:
        """The different requests: size, alignment and call site."""
        return self._data.kinds

    @property
    def faults(self) -> list[tuple[str, dict[str, Any]]]:
        """Faults that are set on the way: a site and the arguments of ``inject()``."""
        return [(site, dict(plan)) for site, plan in self._data.faults]

    @property
    def setup(self) -> dict[str, Any]:
        """Arguments of the allocator that the trace was made for; empty for recordings."""
        return copy.deepcopy(self._data.setup)

    @property
    def slots(self) -> int:
        """Most keys alive at one time."""
        return self._data.slots

    @property
    def stats(self) -> TraceStats:
        """Figures of the trace, and of the kernel that was recorded."""
        return self._data.stats

    def __repr__(self) -> str:
        stats = self.stats
        return f"<Trace, {stats.allocs} allocations, {stats.frees} frees, {self.slots} at a time>"

    def __len__(self) -> int:
        return len(self._data.ops) // OP.size

    def __eq__(self, other: object) -> bool:
        """Whether the same is asked, under the same set-up; when and where does not count."""
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
        """Give the operations as tuples."""
        return (self._tuple(*op) for op in OP.iter_unpack(self._data.ops))

    @overload
    def __getitem__(self, index: int) -> Op: ...
    @overload
    def __getitem__(self, index: slice) -> list[Op]: ...
    def __getitem__(self, index: int | slice) -> Op | list[Op]:
        """Give one operation as a tuple, or a list of them."""
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return [self[i] for i in numbers]
        return self._tuple(*OP.unpack_from(self._data.ops, numbers * OP.size))

    def _tuple(self, key: int, slot: int, kind: int) -> Op:
        try:
            if kind == FAULT:
                site, plan = self._data.faults[slot]
                return ("inject", site, dict(plan))
            name = key if self._data.names is None else self._data.names[key]
            if kind == FREE:
                return ("free", name)
            ask = self._data.kinds[kind]
        except IndexError:
            raise damaged_trace() from None
        return ("alloc", name, ask.size, ask.align)


def _tells(column: memoryview, nothing: int) -> bool:
    """Whether a column of the notes has a value; most often its first item says so."""
    if column and column[0] != nothing:
        return True
    return column.tobytes() != b"\xff" * column.nbytes


def _notes(times: Iterable[int], n: int) -> bytearray:
    """Make notes of times alone."""
    column = array("Q")
    for number, time in enumerate(times, 1):
        try:
            column.append(operator.index(time))
        except (TypeError, OverflowError):
            raise TraceError(
                f"time {shown(time)}: an integer of 64 bits is needed, nanoseconds, from 0; "
                f"{NO_TIME} where there is none",
                line=number,
            ) from None
    if len(column) != n:
        raise TraceError(f"{len(column)} times for {n} operations; give one for each")
    notes = bytearray(b"\xff") * (n * NOTE.size)
    memoryview(notes).cast("Q")[::2] = memoryview(column)
    return notes


class _Assembler:
    """Gives slots and kinds to operations, as the reader in C does."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.slot_of: dict[Key, int] = {}
        self.free_slots: list[int] = []
        self.kinds: dict[tuple[int, int], int] = {}
        self.faults: list[tuple[str, dict[str, Any]]] = []
        self.slots = 0
        self.orphans = 0
        self.reallocs = 0
        self.rows: list[tuple[int, int]] = []

    def alloc(self, key: Key, size: int, align: int) -> None:
        slot = self.slot_of.get(key)
        if slot is not None:
            self.reallocs += 1
        elif self.free_slots:
            slot = self.free_slots.pop()
        else:
            slot = self.slots
            self.slots += 1
        self.slot_of[key] = slot
        self.keys.append(key)
        self.rows.append((slot, self.kinds.setdefault((size, align), len(self.kinds))))

    def free(self, key: Key) -> None:
        slot = self.slot_of.pop(key, ORPHAN)
        if slot == ORPHAN:
            self.orphans += 1
        else:
            self.free_slots.append(slot)
        self.keys.append(key)
        self.rows.append((slot, FREE))

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
        data = bytearray(len(self.rows) * OP.size)
        for i, (number, row) in enumerate(zip(numbers, self.rows, strict=True)):
            OP.pack_into(data, i * OP.size, number, *row)
        kinds = [kind for _, kind in self.rows]
        frees = kinds.count(FREE)
        return Operations(
            ops=data,
            kinds=[Kind(size, align, "") for size, align in self.kinds],
            faults=self.faults,
            slots=self.slots,
            names=names,
            stats=TraceStats(
                events=len(self.rows),
                allocs=len(self.rows) - frees - len(self.faults),
                frees=frees,
                orphan_frees=self.orphans,
                reallocs=self.reallocs,
            ),
        )


def _assemble(ops: Iterable[tuple[Any, ...]]) -> Operations:
    assembler = _Assembler()
    for number, op in enumerate(ops, 1):
        match op:
            case ("alloc", int() | str() as key, size, align):
                try:
                    asks = operator.index(size), operator.index(align)
                except TypeError:
                    asks = 1 << 63, 0
                if not all(-(1 << 63) <= ask < 1 << 63 for ask in asks):
                    raise TraceError(
                        f"{shown(op)}: size and alignment are integers of 64 bits", line=number
                    )
                assembler.alloc(key, *asks)
            case ("free", int() | str() as key):
                assembler.free(key)
            case ("inject", site, plan):
                try:
                    assembler.inject(site, plan)
                except ConfigError as error:
                    raise TraceError(str(error), line=number) from None
            case _:
                raise TraceError(
                    f"{shown(op)}: an operation is ('alloc', key, size, align), ('free', key) or "
                    "('inject', site, arguments), its key an integer or a string",
                    line=number,
                )
    return assembler.operations()
