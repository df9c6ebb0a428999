# SPDX-License-Identifier: GPL-2.0-only
"""From tuples to the data of a trace."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

from percpu_ffi._util.text import plural
from percpu_ffi.errors import ConfigError, TraceError, not_an_operation, shown
from percpu_ffi.trace.figures import counted
from percpu_ffi.trace.operations import (
    BALANCE,
    FAULT,
    FLAGS,
    FREE,
    NO_TIME,
    OP,
    ORPHAN,
    Key,
    Kind,
    Operations,
    Tables,
    checked_fault,
)

MAX_KEY = (1 << 64) - 1


def assemble(ops: Iterable[tuple[Any, ...]]) -> Operations:
    """Return the data of a trace of these operations.

    Raises:
        TraceError: a tuple is not an operation; ``line`` is its number, from 1.

    """
    assembler = _Assembler()
    for number, op in enumerate(ops, 1):
        match op:
            case ("alloc", int() | str() as key, size, align):
                assembler.alloc(key, *_request(op, size, align, number))
            case ("alloc", int() | str() as key, size, align, flags):
                assembler.alloc(key, *_request(op, size, align, number), _flags(op, flags, number))
            case ("free", int() | str() as key):
                assembler.free(key)
            case ("inject", site, plan):
                try:
                    assembler.inject(site, plan)
                except ConfigError as error:
                    raise TraceError(str(error), line=number) from None
            case ("balance",):
                assembler.special(0, BALANCE)
            case _:
                raise not_an_operation(op, number)
    return assembler.operations()


def _request(op: tuple[Any, ...], size: Any, align: Any, number: int) -> tuple[int, int]:
    try:
        first, second = array("q", (size, align))
    except (TypeError, OverflowError):
        raise TraceError(
            f"{shown(op)}: size and alignment are integers of 64 bits", line=number
        ) from None
    return first, second


def _flags(op: tuple[Any, ...], flags: Any, number: int) -> tuple[str, ...]:
    """Return flags in their own order, each once."""
    some = isinstance(flags, tuple | list | set | frozenset) and len(flags) > 0
    if not some or any(flag not in FLAGS for flag in flags):
        raise TraceError(
            f"{shown(op)}: flags are a tuple of {', '.join(FLAGS)}, or left out", line=number
        )
    return tuple(flag for flag in FLAGS if flag in flags)


def times_column(times: Iterable[int], n: int) -> array[int]:
    """Return the column of these times, for ``n`` operations.

    Raises:
        TraceError: a time is invalid, or there are more or fewer times than operations.

    """
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
    return column


class _Assembler:
    """Assigns handles and kinds to operations, as the reader in C does."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.handle_of: dict[Key, int] = {}
        self.free_handles: list[int] = []
        self.kinds: dict[Kind, int] = {}
        self.faults: list[tuple[str, dict[str, Any]]] = []
        self.rows: list[tuple[int, int]] = []

    def alloc(self, key: Key, size: int, align: int, flags: tuple[str, ...] = ()) -> None:
        handle = self.handle_of.get(key)
        if handle is None:
            handle = self.free_handles.pop() if self.free_handles else len(self.handle_of)
            self.handle_of[key] = handle
        self.keys.append(key)
        kind = Kind(size, align, flags=flags)
        self.rows.append((handle, self.kinds.setdefault(kind, len(self.kinds))))

    def free(self, key: Key) -> None:
        handle = self.handle_of.pop(key, ORPHAN)
        if handle != ORPHAN:
            self.free_handles.append(handle)
        self.keys.append(key)
        self.rows.append((handle, FREE))

    def inject(self, site: Any, plan: Any) -> None:
        self.faults.append((site, checked_fault(site, plan)))
        self.special(len(self.faults) - 1, FAULT)

    def special(self, handle: int, kind: int) -> None:
        self.keys.append(0)
        self.rows.append((handle, kind))

    def operations(self) -> Operations:
        names: list[Key] | None = None
        numbers: Iterable[Any] = self.keys
        if not all(isinstance(key, int) and 0 <= key <= MAX_KEY for key in self.keys):
            number_of = {key: i for i, key in enumerate(dict.fromkeys(self.keys))}
            names = list(number_of)
            numbers = (number_of[key] for key in self.keys)
        found = Operations(
            ops=bytearray().join(
                OP.pack(number, *row) for number, row in zip(numbers, self.rows, strict=True)
            ),
            tables=Tables(kinds=[*self.kinds]),
            faults=self.faults,
            slots=len(self.handle_of) + len(self.free_handles),
            names=names,
            flags_known=True,
        )
        found.stats = counted(found)
        return found
