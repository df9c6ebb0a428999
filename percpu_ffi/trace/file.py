# SPDX-License-Identifier: GPL-2.0-only
"""The trace file of this package: small, written as it comes, and loaded without parsing text.

Layout: the 8 bytes of MAGIC, then blocks: one ``HEAD``, a ``ROWS`` for each batch, one ``TAIL``.
A file without ``TAIL`` is that of a recorder that was killed; what was written is there.  Readers
skip blocks with other tags.

The data of a block are compressed by zlib: the length of a JSON object, 32 bits, little-endian; the
object; and in ``ROWS`` the columns that it names.  It also has the additions to the tables, events
and figures so far.  Three columns are the operations: ``keys``, ``handles`` and ``kinds``.  Items
are little-endian, and stored as all first bytes, then all second bytes, and so on: most of these
are nearly constant and compress well.  Times are differences, in ticks, modulo 2^64.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import reduce
from io import BytesIO
from itertools import pairwise
from math import gcd
from typing import IO, TYPE_CHECKING, Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi.trace.blocks import write_block
from percpu_ffi.trace.operations import (
    COLUMNS,
    OP,
    Batch,
    Column,
    Operations,
    StackOf,
    Tables,
    owned,
)

if TYPE_CHECKING:
    from pathlib import Path


MAGIC = b"PCPUTRC3"
HEAD, ROWS, TAIL = b"HEAD", b"ROWS", b"TAIL"
LENGTH = struct.Struct("<I")
BATCH = 1 << 16  # operations of a block
MOST_ROWS = 1 << 20  # that a reader takes
WORDS = 1 << 64

# the columns of a block
CODES = {"keys": "Q", "handles": "I", "kinds": "I"}
CODES |= {name: code for name, (code, _) in COLUMNS.items()}

SHRINKS = 50  # JSON that shrinks more is stored uncompressed: a reader takes 100


class TraceWriter:
    """Writes a trace in batches; each is in the file when :meth:`write` returns."""

    def __init__(self, file: IO[bytes], head: dict[str, Any], level: int = 6) -> None:
        """Write the head, plain values: ``setup``, ``faults``, ``names``, ``machine``.

        Args:
            file: where to write.
            head: what the whole trace has in common.
            level: of zlib, 0 to 9.

        """
        self._file = file
        self._level = level
        file.write(MAGIC)
        self._write(HEAD, head)

    def write(self, batch: Batch) -> None:
        """Append a batch of up to ``MOST_ROWS`` operations.

        Raises:
            OSError: it cannot be written.

        """
        self._write(ROWS, *_encode(batch))

    def finish(self, tail: dict[str, Any]) -> None:
        """End the file; ``tail`` has plain values: ``stats``, ``machine``, ``skipped``."""
        self._write(TAIL, tail)

    def _write(self, tag: bytes, head: dict[str, Any], columns: Iterable[bytes] = ()) -> None:
        text = json.dumps(head, separators=(",", ":")).encode()
        contents = b"".join([LENGTH.pack(len(text)), text, *columns])
        data = zlib.compress(contents, self._level)
        if len(text) > SHRINKS * len(data):
            data = zlib.compress(contents, 0)
        write_block(self._file, tag, data)
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
    """Split operations; the tables are in the first batch."""
    n = len(operations)
    befores = [event.before for event in operations.events]
    events = 0  # before the batch
    for start in range(0, max(n, 1), BATCH):
        end = min(start + BATCH, n)
        until = bisect_right(befores, end)
        yield Batch(
            ops=operations.ops[start * OP.size : end * OP.size],
            columns={name: column[start:end] for name, column in operations.columns.items()},
            events=operations.events[events:until],
            stacks_of=[
                StackOf(row, operations.event_stacks[row], 1)
                for row in range(events, until)
                if row in operations.event_stacks
            ],
            tables=Tables() if start else operations.tables,
            stats=operations.stats,
            slots=min(operations.slots, end),  # an operation takes one new handle at most
            flags_known=operations.flags_known,
        )
        events = until


def _encode(batch: Batch) -> tuple[dict[str, Any], list[bytes]]:
    """Return the JSON and the columns of a batch."""
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
        "rows": len(batch),
        "columns": list(columns),
        "tick": tick,
        "tables": asdict(batch.tables),
        "events": batch.events,
        "stacks_of": batch.stacks_of,
        "stats": asdict(batch.stats),
        "slots": batch.slots,
        "flags_known": batch.flags_known,
    }
    return head, [_transposed(column) for column in columns.values()]


def _transposed(column: Column) -> bytes:
    """Return all first bytes of the items, then all second ones, and so on."""
    data, size = little_endian(column).tobytes(), column.itemsize
    return b"".join(data[i::size] for i in range(size))


def little_endian(column: Column) -> Column:
    """Return a column in the byte order of files."""
    if sys.byteorder == "little":
        return column
    swapped: array[int] = owned(column)[:]
    swapped.byteswap()
    return swapped


def _differences(times: Column, tick: int) -> array[int]:
    ticks = (time // tick for time in times)
    return array("Q", ((b - a) % WORDS for a, b in pairwise((0, *ticks))))
