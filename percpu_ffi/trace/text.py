# SPDX-License-Identifier: GPL-2.0-only
"""Reader for what kernels print: ftrace and perf, old and new fields.

The parser is in C (csrc/trace/); this module feeds it blocks, takes batches, and words the
errors.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from struct import calcsize
from typing import TYPE_CHECKING, Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.errors import TraceError, host_out_of_memory
from percpu_ffi.trace.operations import (
    COLUMNS,
    EVENT,
    FLAGS,
    OP,
    STACK_OF,
    TASK,
    Batch,
    Column,
    Event,
    Kind,
    Operations,
    Skipped,
    StackOf,
    Tables,
    TraceStats,
)
from percpu_ffi.trace.plain import plain_text
from percpu_ffi.trace.remarks import HINT, add_remarks, nothing_found

if TYPE_CHECKING:
    from struct import Struct

NUMBER = re.compile(r"-?[0-9]{1,20}")  # a call site without a name
ADDRESS_MASK = (1 << 64) - 1
BLOCKS_OF_TABLES = 2  # after so many the tables grow, with the interpreter's lock held
HEAD = 1 << 16  # bytes that show what a text without events may be

MESSAGES = {
    lib.PCPU_T_MISSING: "the event has no `{field}=`; the line is damaged, or no kernel's",
    lib.PCPU_T_NUMBER: "`{field}=` is not a number as kernels print it; the line is damaged",
    lib.PCPU_T_POINTER: "`{field}=` is masked, as kernels do early at boot; pointers "
    "cannot be distinguished: record later, or boot with no_hash_pointers",
    lib.PCPU_T_CUT: "the trace is cut in mid-line; copy it again, or delete its last line",
    lib.PCPU_T_BINARY: f"this is binary data, not the text of a trace; {HINT}",
    lib.PCPU_T_TOO_MANY: "more than 2^32 areas are live; split the trace",
}

# reasons to skip a line, in the order of enum pcpu_trace_skip_kind
SKIPS = ("text", "other_event", "damaged", "masked", "torn", "cut", "binary")

READ = [name for name in COLUMNS if name != "stacks"]  # those of struct pcpu_trace_rows
FLAG_SETS = [
    tuple(name for bit, name in enumerate(FLAGS) if bits >> bit & 1)
    for bits in range(1 << len(FLAGS))
]
FIGURES = [*TraceStats.__dataclass_fields__]


class TextReader:
    """Text in pieces of any size; what was read is taken in batches."""

    def __init__(self, *, strict: bool = False) -> None:
        """Begin; a strict reader refuses what others skip.

        Raises:
            MemoryError: the host has no memory.

        """
        flags = lib.PCPU_TRACE_STRICT if strict else 0
        self._reader = ffi.gc(lib.pcpu_trace_reader_new(flags), lib.pcpu_trace_reader_free)
        if not self._reader:
            raise host_out_of_memory()
        self._stats = ffi.new("struct pcpu_trace_stats *")
        self._rows = ffi.new("struct pcpu_trace_rows *")
        self._request = ffi.new("struct pcpu_trace_request *")
        self._length = ffi.new("size_t *")
        self._taken = {"kinds": 0, "names": 0, "tasks": 0, "stacks": 0, "chunks": 0}

    def feed(self, text: bytes) -> bool:
        """Read more text; False: an error ended the reading."""
        return not lib.pcpu_trace_feed(self._reader, text, len(text))

    def finish(self) -> bool:
        """Read the last line; False: an error ended the reading, now or before."""
        return not lib.pcpu_trace_finish(self._reader)

    @property
    def lines(self) -> int:
        """Lines read so far."""
        lib.pcpu_trace_stats(self._reader, self._stats)
        return int(self._stats.lines)

    def take(self) -> Batch:
        """Return what was read since the last call."""
        batch = self._batch(_copy)
        lib.pcpu_trace_take(self._reader)
        return batch

    def rest(self) -> Batch:
        """Return the same without a copy; the reader cannot be used any more."""
        batch = self._batch(self._view)
        self._reader = ffi.NULL
        return batch

    def take_tables(self) -> Tables:
        """Return the new rows of the tables alone."""
        lib.pcpu_trace_stats(self._reader, self._stats)
        return Tables(
            kinds=[self._kind(i) for i in self._new("kinds")],
            names=[self._name(i) for i in self._new("names")],
            tasks=self._new_tasks(),
            stacks=[self._stack(i) for i in self._new("stacks")],
            bases=[lib.pcpu_trace_chunk(self._reader, i) for i in self._new("chunks")],
        )

    def _batch(self, contents: Callable[[Any, str, int], Any]) -> Batch:
        """Return what was read.

        Args:
            contents: makes a column of some memory, the code of its items, their number.

        """
        tables, stats, rows = self.take_tables(), self._stats, self._rows
        lib.pcpu_trace_rows(self._reader, rows)
        columns = {name: _known(name, contents(getattr(rows, name), COLUMNS[name][0], rows.n))
                   for name in READ}  # fmt: skip
        return Batch(
            ops=contents(rows.ops, "B", rows.n * OP.size),
            columns={name: column for name, column in columns.items() if column},
            events=[*map(Event._make, self._unpacked(EVENT, lib.pcpu_trace_events))],
            stacks_of=[*map(StackOf._make, self._unpacked(STACK_OF, lib.pcpu_trace_stacks))],
            tables=tables,
            stats=TraceStats(**{name: getattr(stats, name) for name in FIGURES}),
            slots=stats.handles,
            flags_known=bool(stats.flags_printed),
        )

    def _view(self, data: Any, code: str, n: int) -> memoryview:
        """Return memory of the reader, which stays as long as the view."""
        kept = ffi.gc(data, partial(_let_go, self._reader))
        return _buffer(kept, code, n)

    def _unpacked(self, layout: Struct, rows_of: Any) -> Iterator[tuple[int, ...]]:
        rows = rows_of(self._reader, self._length)
        return layout.iter_unpack(_buffer(rows, "B", self._length[0] * layout.size))

    def skipped(self) -> list[Skipped]:
        """Return the lines that were not used."""
        found = []
        skip = ffi.new("struct pcpu_trace_skip *")
        for number, kind in enumerate(SKIPS):
            lib.pcpu_trace_skipped(self._reader, number, skip)
            if skip.count:
                text = _text(skip.text, skip.length)
                found.append(Skipped(kind, skip.count, skip.line, text))
        return found

    def error(self, name: str) -> Exception:
        """Return the error that ended the reading of a file."""
        stop = ffi.new("struct pcpu_trace_stop *")
        lib.pcpu_trace_stop(self._reader, stop)
        if stop.error == lib.PCPU_T_HOST:
            return host_out_of_memory()
        field = ffi.string(stop.field).decode() if stop.field else ""
        return TraceError(MESSAGES[stop.error].format(field=field), name, stop.line)

    def _new(self, table: str) -> range:
        """Return the indices of rows that a table got since the last call."""
        start, self._taken[table] = self._taken[table], getattr(self._stats, table)
        return range(start, self._taken[table])

    def _new_tasks(self) -> list[tuple[int, ...]]:
        new = self._new("tasks")
        tasks = lib.pcpu_trace_tasks(self._reader, self._length)
        return [*TASK.iter_unpack(_buffer(tasks + new.start, "B", len(new) * TASK.size))]

    def _kind(self, index: int) -> Kind:
        request = self._request
        lib.pcpu_trace_request(self._reader, index, request)
        return Kind(
            request.kind.size,
            request.kind.align,
            _site(_text(request.site, request.site_length)),
            FLAG_SETS[request.kind.flags],
            _text(request.gfp, request.gfp_length),
            request.bytes_alloc,
        )

    def _name(self, index: int) -> str:
        name = lib.pcpu_trace_name(self._reader, index, self._length)
        return _text(name, self._length[0])

    def _stack(self, index: int) -> str:
        stack = lib.pcpu_trace_stack(self._reader, index, self._length)
        return _text(stack, self._length[0])


def _copy(data: Any, code: str, n: int) -> bytearray | array[int]:
    """Return the contents of memory of C."""
    view = _buffer(data, code, n)
    return bytearray(view) if code == "B" else array(code, bytes(view))


def _buffer(data: Any, code: str, n: int) -> memoryview:
    """Return memory of C, as items of a type."""
    buffer: Any = memoryview(ffi.buffer(data, n * calcsize(code)) if n else b"")
    view: memoryview = buffer.cast("B").cast(code)
    return view


def _let_go(*_of: Any) -> None:
    """Do nothing: what the call refers to is not needed any more."""


def _known(name: str, column: Column) -> Column | None:
    """Return a column, unless all is unknown, as then all bits are set."""
    if column and column[0] == COLUMNS[name][1] and not bytes(column).strip(b"\xff"):
        return None
    return column


def _text(data: Any, length: int) -> str:
    return ffi.unpack(data, length).decode(errors="replace") if length else ""


def _site(text: str) -> str:
    """Return a call site; a number as the address that it is, in hexadecimal.

    `perf trace` prints the lower 32 bits with a sign: on x86-64 its extension is the address.
    """
    return f"{int(text) & ADDRESS_MASK:#x}" if NUMBER.fullmatch(text) else text


def read_text(blocks: Iterable[bytes], name: str, *, strict: bool = False) -> Operations:
    """Read the text of a trace to the end.

    Args:
        blocks: the text.
        name: its file, for error messages.
        strict: whether what cannot be read is an error; else it is skipped.

    Raises:
        TraceError: there is no percpu event; or a strict reader found a line that is damaged,
            masked, cut or binary.

    """
    reader = TextReader(strict=strict)
    found, head = Operations(), b""
    for number, block in enumerate(plain_text(blocks, HEAD), 1):
        head = head or block[:HEAD]
        if not reader.feed(block):
            break
        if not number % BLOCKS_OF_TABLES:
            found.tables.extend(reader.take_tables())
    if not reader.finish():
        raise reader.error(name)
    found.skipped, lines = reader.skipped(), reader.lines
    found.extend(reader.rest())
    if not found.stats.events:
        raise TraceError(nothing_found(lines, found.skipped, head), name)
    add_remarks(found)
    return found
