# SPDX-License-Identifier: GPL-2.0-only
"""Files of older versions of this package: read, no longer written.

Layout: the 8 bytes of MAGIC; the length of the head, 32 bits, little-endian; the head,
JSON in UTF-8; the operations, compressed.  The operations are 16-byte structures, stored in
16 rows: the n-th bytes of all of them.

A trace with notes has NOTED in place of MAGIC, and 16 more rows in the same stream: a note for each
operation, a 64-bit time, the kernel's chunk and the offset there, 32 bits each.  A time is stored
as its difference from the one before, in ticks, modulo 2^64.  The head has the nanoseconds of a
tick.

A file may be damaged, or made to do harm.  It is read in blocks up to the first wrong one, and
its head is checked value by value.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.errors import TraceError, shown
from percpu_ffi.trace.json_values import DAMAGED, MAX_REQUEST, fault, integer, of, request
from percpu_ffi.trace.operations import (
    COLUMNS,
    FAULT,
    FREE,
    OP,
    ORPHAN,
    Column,
    Operations,
    Tables,
    TraceStats,
    checked_setup,
)
from percpu_ffi.trace.source import Limit, Pieces, inflate

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks

MAGIC = b"PCPUTRC1"
NOTED = b"PCPUTRC2"
MAGICS = MAGIC, NOTED
LENGTH = struct.Struct("<I")
NOTE = struct.Struct("=QII")
WORDS = 1 << 64  # times and figures are unsigned ones

# of a file that was compressed once more: JSON of consecutive numbers shrinks to 1/70
CONTENTS = Limit(4 << 20, 100)
# of operations and notes: zlib alone reaches 1,032 (https://zlib.net/zlib_tech.html)
ROWS = Limit(64 << 20, 1032)


def read_file(blocks: Blocks) -> Operations:
    """Read a file of version 1 or 2.

    No number in the head is trusted: memory is taken for the bytes that are there.

    Raises:
        TraceError: the file is cut or damaged, or comes from a machine of another byte order.

    """
    try:
        return _read_file(blocks)
    except TraceError:
        raise
    except DAMAGED as error:
        raise TraceError(
            f"the file is cut or damaged ({error}); save it again", blocks.name
        ) from error


def _read_file(blocks: Blocks) -> Operations:
    data = Pieces(blocks.limited(blocks, CONTENTS))
    magic = data.take(len(MAGIC))
    (length,) = LENGTH.unpack(data.take(LENGTH.size))
    operations, n, tick, byteorder = _read_head(data.take(length).decode())
    if byteorder != sys.byteorder:
        raise TraceError(
            f"the file was saved on a {byteorder}-endian machine, this one is "
            f"{sys.byteorder}-endian; load the kernel's text and save it here",
            blocks.name,
        )
    rows = Pieces(blocks.limited(inflate(data, "operations"), ROWS))
    operations.ops = _columns(rows, n, OP.size)
    if magic == NOTED:
        notes = _columns(rows, n, NOTE.size)
        _sums(notes, tick)
        operations.columns = _known(notes)
    if rows.take(1):
        raise ValueError(f"more than {plural(n, 'operation', '')}")
    _check_references(operations)
    return operations


def _check_references(operations: Operations) -> None:
    """Check that the head has the handles, kinds, faults and names of all operations."""
    slots, kinds, faults = operations.slots, len(operations.tables.kinds), len(operations.faults)
    for _, handle, kind in OP.iter_unpack(operations.ops):
        if handle < slots and (kind < kinds or kind == FREE):
            continue
        if (handle, kind) != (ORPHAN, FREE) and (handle >= faults or kind != FAULT):
            raise LookupError("an operation names a handle or a kind that it does not have")
    if operations.names is not None:
        keys = memoryview(operations.ops).cast("Q")[::2]
        if max(keys, default=-1) >= len(operations.names):
            raise LookupError("an operation has a key without a name")


def _columns(rows: Pieces, n: int, size: int) -> bytearray:
    """Return ``n`` structures: put each row in its place."""
    data = bytearray()
    for i in range(size):
        row = rows.take(n)
        if len(row) < n:
            raise ValueError(f"fewer than {plural(n, 'operation', '')}")
        # now there are n bytes: so many structures are credible
        data = data or bytearray(n * size)
        data[i::size] = row
    return data


def _sums(notes: bytearray, tick: int) -> None:
    """Turn differences into times, in place; OverflowError where one has more than 64 bits."""
    times = _times(notes)
    times[:] = memoryview(array("Q", (ticks % WORDS * tick for ticks in accumulate(times))))


def _known(notes: bytearray) -> dict[str, Column]:
    """Return the columns of the notes that say something."""
    words = memoryview(notes).cast("I")
    columns = {
        "times": array("Q", _times(notes)),
        "chunks": array("I", words[2::4]),
        "offsets": array("I", words[3::4]),
    }
    return {
        name: column
        for name, column in columns.items()
        if column.count(COLUMNS[name][1]) < len(column)
    }


def _times(notes: bytearray) -> memoryview:
    return memoryview(notes).cast("Q")[::2]


def _read_head(text: str) -> tuple[Operations, int, int, str]:
    """Return the operations without their data, their number, a tick, and the byte order.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: it is damaged.

    """
    head = of(dict, json.loads(text))
    byteorder = of(str, head["byteorder"])
    if byteorder not in ("little", "big"):
        raise ValueError(f"byte order {shown(byteorder)}")
    stats = TraceStats(
        **{name: integer(n, 0, WORDS) for name, n in of(dict, head["stats"]).items()}
    )
    faults = [fault(*of(list, row)) for row in of(list, head.get("faults", []))]
    n = integer(head["ops"], 0, MAX_REQUEST)
    if n != stats.allocs + stats.frees + len(faults):
        counts = (n, "operation"), (stats.allocs, "allocation"), (stats.frees, "free")
        total, *parts = (plural(count, noun, "") for count, noun in counts)
        raise ValueError(f"{total}, but {' and '.join(parts)}")
    names = head["names"]
    if names is not None and not all(isinstance(name, int | str) for name in of(list, names)):
        raise ValueError("a name is neither an integer nor a string")
    operations = Operations(
        tables=Tables(kinds=[request(*of(list, row)) for row in of(list, head["kinds"])]),
        faults=faults,
        setup=checked_setup(of(dict, head.get("setup", {}))),
        slots=integer(head["slots"], 0, n + 1),
        names=names,
        stats=stats,
    )
    return operations, n, integer(head.get("tick", 1), 1, WORDS), byteorder
