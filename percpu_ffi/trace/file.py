# SPDX-License-Identifier: GPL-2.0-only
"""The trace file of this package: small, written as it comes, and loaded without parsing text.

Layout: the 8 bytes of MAGIC, then blocks: one ``HEAD``, a ``ROWS`` for each batch, one ``TAIL``.
A file without ``TAIL`` is that of a recorder that was killed; what was written is there.

``HEAD`` and ``TAIL`` are JSON.  ``ROWS`` has the length of its JSON, 32 bits, little-endian; the
JSON: additions to the tables, events, figures so far; and the columns that it names.  Three of them
are the operations: ``keys``, ``handles`` and ``kinds``.  Items are little-endian, and stored as all
first bytes, then all second bytes, and so on: most of these are nearly constant and compress well.
Times are differences, in ticks, modulo 2^64.

A file may be damaged, or made to do harm.  It is read block by block up to the first wrong one, and
its JSON is checked value by value.  No number in it is trusted: memory is taken for the bytes that
are there.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import asdict
from functools import reduce
from io import BytesIO
from itertools import accumulate, pairwise
from math import gcd
from typing import IO, TYPE_CHECKING, Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import plural
from percpu_ffi.errors import TraceError
from percpu_ffi.trace.blocks import read_blocks, write_block
from percpu_ffi.trace.json_values import DAMAGED, fault, integer, of, request
from percpu_ffi.trace.operations import (
    COLUMNS,
    CREATED,
    DESTROYED,
    FAILED,
    FAULT,
    FREE,
    OP,
    ORPHAN,
    SPECIAL,
    Batch,
    Event,
    Operations,
    Skipped,
    StackOf,
    Tables,
    TraceStats,
    checked_setup,
)
from percpu_ffi.trace.source import BLOCK, Limit, Pieces

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi.trace.source import Blocks

MAGIC = b"PCPUTRC3"
HEAD, ROWS, TAIL = b"HEAD", b"ROWS", b"TAIL"
LENGTH = struct.Struct("<I")
BATCH = 1 << 16  # operations of a block
WORDS = 1 << 64

# of a file that was compressed once more: JSON of consecutive numbers shrinks to 1/70
CONTENTS = Limit(4 << 20, 100)
# of the blocks: zlib reaches 1,032 (https://zlib.net/zlib_tech.html)
EXPANDED = Limit(64 << 20, 1032)

# --- write


class TraceWriter:
    """Writes a trace in batches; each is in the file when :meth:`write` returns."""

    def __init__(self, file: IO[bytes], head: dict[str, Any], level: int = 6) -> None:
        """Write the head, plain values: ``setup``, ``faults``, ``names``, ``machine``."""
        self._file = file
        self._level = level
        file.write(MAGIC)
        write_block(file, HEAD, _json(head), level)
        file.flush()

    def write(self, batch: Batch) -> None:
        """Append a batch.

        Raises:
            OSError: it cannot be written.

        """
        write_block(self._file, ROWS, _encode(batch), self._level)
        self._file.flush()

    def finish(self, tail: dict[str, Any]) -> None:
        """End the file; ``tail`` has plain values: ``stats``, ``machine``, ``skipped``."""
        write_block(self._file, TAIL, _json(tail), self._level)
        self._file.flush()


def write_file(path: str | Path, operations: Operations) -> None:
    """Write a trace, atomically.

    Raises:
        OSError: it cannot be written.

    """
    file = BytesIO()
    head = {
        "setup": operations.setup,
        "faults": operations.faults,
        "names": operations.names,
        "machine": operations.machine,
    }
    writer = TraceWriter(file, head, level=9)
    for batch in _batches(operations):
        writer.write(batch)
    writer.finish({"stats": asdict(operations.stats), "skipped": operations.skipped})
    write_whole(path, file.getvalue())


def _batches(operations: Operations) -> Iterator[Batch]:
    """Split operations; the tables and the events are in the first batch."""
    n = len(operations)
    for start in range(0, max(n, 1), BATCH):
        end = min(start + BATCH, n)
        first = start == 0
        yield Batch(
            ops=bytes(operations.ops[start * OP.size : end * OP.size]),
            columns={name: column[start:end] for name, column in operations.columns.items()},
            events=operations.events if first else [],
            stacks_of=[StackOf(row, stack, 1) for row, stack in operations.event_stacks.items()]
            if first
            else [],
            tables=operations.tables if first else Tables(),
            stats=operations.stats,
            slots=operations.slots,
            flags_known=operations.flags_known,
        )


def _encode(batch: Batch) -> bytes:
    words = memoryview(batch.ops)
    columns = {
        "keys": array("Q", words.cast("Q")[::2]),
        "handles": array("I", words.cast("I")[2::4]),
        "kinds": array("I", words.cast("I")[3::4]),
        **batch.columns,
    }
    tick = 1
    if "times" in columns:
        tick = reduce(gcd, columns["times"], 0) or 1
        columns["times"] = _differences(columns["times"], tick)
    head = {
        "rows": len(batch.ops) // OP.size,
        "columns": list(columns),
        "tick": tick,
        "tables": asdict(batch.tables),
        "events": batch.events,
        "stacks_of": batch.stacks_of,
        "stats": asdict(batch.stats),
        "slots": batch.slots,
        "flags_known": batch.flags_known,
    }
    text = _json(head)
    return b"".join([LENGTH.pack(len(text)), text, *map(_transposed, columns.values())])


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _transposed(column: array[int]) -> bytes:
    """Return all first bytes of the items, then all second ones, and so on."""
    data, size = _little_endian(column).tobytes(), column.itemsize
    return b"".join(data[i::size] for i in range(size))


def _little_endian(column: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return column
    swapped = column[:]
    swapped.byteswap()
    return swapped


def _differences(times: array[int], tick: int) -> array[int]:
    ticks = (time // tick for time in times)
    return array("Q", ((b - a) % WORDS for a, b in pairwise((0, *ticks))))


# --- read


def read_file(blocks: Blocks) -> Operations:
    """Read a file of :func:`write_file` or of a :class:`TraceWriter`.

    Raises:
        TraceError: the file is damaged, or is cut before the first batch.

    """
    try:
        return _read_file(blocks)
    except TraceError:
        raise
    except DAMAGED as error:
        raise TraceError(f"the file is damaged ({error}); copy it again", blocks.name) from error


def _read_file(blocks: Blocks) -> Operations:
    pieces = Pieces(blocks.limited(blocks, CONTENTS))
    pieces.take(len(MAGIC))
    expanded = _Expanded(blocks)
    found, batches, ended = Operations(), 0, False
    for number, (tag, data) in enumerate(read_blocks(pieces)):
        contents = expanded.take(data)
        if (tag == HEAD) != (number == 0) or ended:
            raise ValueError(f"a block {tag!r} is not in its place")
        if tag == HEAD:
            _read_head(found, contents)
        elif tag == ROWS:
            found.extend(_decode(contents, found))
            batches += 1
        elif tag == TAIL:
            _read_tail(found, contents)
            ended = True
    if not batches:
        raise TraceError("the file is cut before its first operation; copy it again", blocks.name)
    if not ended:
        found.remarks.append(
            f"the recorder was ended early: the file holds {plural(len(found), 'operation')}, and "
            "its figures are those up to there"
        )
    _check_references(found)
    return found


class _Expanded:
    """Decompresses blocks, within a limit for all of them."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._total = 0

    def take(self, data: bytes) -> bytes:
        inflater = zlib.decompressobj()
        parts = []
        part = inflater.decompress(data, BLOCK)
        while part:
            parts.append(part)
            self._total += len(part)
            if self._total > EXPANDED.floor + EXPANDED.factor * self._blocks.taken:
                raise ValueError("it expands to far more than a trace does")
            part = inflater.decompress(inflater.unconsumed_tail, BLOCK)
        if not inflater.eof or inflater.unused_data:
            raise ValueError("a block is not one compressed stream")
        return b"".join(parts)


def _read_head(found: Operations, contents: bytes) -> None:
    head = of(dict, json.loads(contents))
    names = head.get("names")
    if names is not None and not all(isinstance(name, int | str) for name in of(list, names)):
        raise ValueError("a name is neither an integer nor a string")
    found.names = names
    found.faults = [fault(*of(list, item)) for item in of(list, head.get("faults", []))]
    found.setup = checked_setup(of(dict, head.get("setup", {})))
    found.machine = of(dict, head.get("machine", {}))


def _read_tail(found: Operations, contents: bytes) -> None:
    tail = of(dict, json.loads(contents))
    found.machine |= of(dict, tail.get("machine", {}))
    found.skipped = [_skipped(*of(list, row)) for row in of(list, tail.get("skipped", []))]
    if "stats" in tail:
        found.stats = _stats(tail["stats"])


def _decode(contents: bytes, found: Operations) -> Batch:
    """Return a batch that :func:`_encode` made; ``found`` is what was read before."""
    (length,) = LENGTH.unpack(contents[: LENGTH.size])
    head = of(dict, json.loads(contents[LENGTH.size : LENGTH.size + length]))
    rows = integer(head["rows"], 0, BATCH + 1)
    columns = _columns(contents[LENGTH.size + length :], rows, of(list, head["columns"]))
    ops = bytearray(rows * OP.size)
    if rows:
        memoryview(ops).cast("Q")[::2] = memoryview(columns.pop("keys"))
        memoryview(ops).cast("I")[2::4] = memoryview(columns.pop("handles"))
        memoryview(ops).cast("I")[3::4] = memoryview(columns.pop("kinds"))
    if "times" in columns:
        _sum(columns["times"], integer(head["tick"], 1, WORDS))
    tables = of(dict, head["tables"])
    return Batch(
        ops=bytes(ops),
        columns={name: column for name, column in columns.items() if name in COLUMNS},
        events=[Event(*_integers(event, 6)) for event in of(list, head["events"])],
        stacks_of=[StackOf(*_integers(row, 3)) for row in of(list, head["stacks_of"])],
        tables=Tables(
            kinds=[request(*of(list, row)) for row in of(list, tables["kinds"])],
            names=[of(str, name) for name in of(list, tables["names"])],
            tasks=[(*_integers(row, 2),) for row in of(list, tables["tasks"])],
            stacks=[of(str, row) for row in of(list, tables["stacks"])],
            bases=_integers(tables["bases"]),
        ),
        stats=_stats(head["stats"]),
        slots=integer(head["slots"], found.slots, found.slots + rows + 1),
        flags_known=of(bool, head["flags_known"]),
    )


def _columns(data: bytes, rows: int, names: list[Any]) -> dict[str, array[int]]:
    codes = {name: code for name, (code, _) in COLUMNS.items()}
    codes |= {"keys": "Q", "handles": "I", "kinds": "I"}
    columns, start = {}, 0
    for name in names:
        column = array(codes[name])
        size = column.itemsize
        end = start + rows * size
        if len(data) < end:
            raise ValueError(f"fewer than {plural(rows, 'operation', '')}")
        plain = bytearray(rows * size)
        for i in range(size):
            plain[i::size] = data[start + i * rows : start + (i + 1) * rows]
        column.frombytes(plain)
        columns[name] = _little_endian(column)
        start = end
    if start < len(data):
        raise ValueError("something follows the columns")
    return columns


def _sum(times: array[int], tick: int) -> None:
    """Undo :func:`_differences` in place; OverflowError where a time has more than 64 bits."""
    for i, ticks in enumerate(accumulate(times)):
        times[i] = ticks % WORDS * tick


def _stats(values: Any) -> TraceStats:
    return TraceStats(**{name: integer(n, 0, WORDS) for name, n in of(dict, values).items()})


def _integers(row: Any, n: int | None = None) -> list[int]:
    values = [integer(value, 0, WORDS) for value in of(list, row)]
    if n is not None and len(values) != n:
        raise ValueError(f"{n} integers are needed")
    return values


def _skipped(kind: Any, count: Any, line: Any, text: Any) -> Skipped:
    count, line = (integer(n, 0, WORDS) for n in (count, line))
    return Skipped(of(str, kind), count, line, of(str, text))


def _check_references(found: Operations) -> None:
    """Check that all indices are those of rows that exist."""
    tables = found.tables
    words = memoryview(found.ops).cast("I")
    pairs = set(zip(words[2::4].tolist(), words[3::4].tolist(), strict=True))
    kinds = [kind for _, kind in pairs if kind < SPECIAL]
    handles = [handle for handle, kind in pairs if kind < SPECIAL]
    handles += [handle for handle, kind in pairs if kind == FREE and handle != ORPHAN]
    faults = [handle for handle, kind in pairs if kind == FAULT]
    requests = [event.value for event in found.events if event.kind == FAILED]
    chunks = [event.value for event in found.events if event.kind in (CREATED, DESTROYED)]
    _check("kind", [*kinds, *requests], len(tables.kinds))
    _check("handle", handles, found.slots)
    _check("fault", faults, len(found.faults))
    if tables.bases:  # files of version 2 have no addresses
        _check("chunk", [*chunks, *_used(found, "chunks")], len(tables.bases))
    _check("task", [*_used(found, "tasks")], len(tables.tasks))
    _check("name", [name for name, _ in tables.tasks], len(tables.names))
    _check("stack", [*_used(found, "stacks"), *found.event_stacks.values()], len(tables.stacks))
    _check("event", [*found.event_stacks], len(found.events))
    if found.names is not None:
        keys = memoryview(found.ops).cast("Q")[::2].tolist()
        _check("name", keys, len(found.names))


def _used(found: Operations, name: str) -> set[int]:
    """Return the values of a column, without that of unknown items."""
    return set(found.columns.get(name, ())) - {COLUMNS[name][1]}


def _check(what: str, indices: list[int], n: int) -> None:
    if max(indices, default=-1) >= n:
        raise LookupError(f"a {what} is named that the file does not have")
