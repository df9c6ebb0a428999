# SPDX-License-Identifier: GPL-2.0-only
"""The trace file of this package: small, and loaded without parsing text.

Layout: the 8 bytes of MAGIC; the length of the head, 32 bits, little-endian; the head,
JSON in UTF-8; the operations, compressed.  The operations are 16-byte structures, stored in
16 rows: the n-th bytes of all of them.  Most rows are nearly constant and compress well.

A trace with notes has NOTED in place of MAGIC, and 16 more rows in the same stream: the
notes, likewise, with each time as its difference from the one before, in ticks, modulo 2^64.
The head has the nanoseconds of a tick.

A file may be damaged, or made to do harm.  It is read in blocks up to the first wrong one, and
its head is checked value by value.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from dataclasses import asdict
from functools import reduce
from itertools import accumulate, chain, pairwise
from math import gcd
from typing import TYPE_CHECKING, Any, TypeVar

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import plural
from percpu_ffi.errors import TraceError, shown
from percpu_ffi.trace.operations import (
    FAULT,
    FREE,
    NOTE,
    OP,
    ORPHAN,
    Kind,
    Operations,
    TraceStats,
    checked_fault,
    checked_setup,
)
from percpu_ffi.trace.source import BLOCK, Limit, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from percpu_ffi.trace.source import Blocks

_T = TypeVar("_T")

MAGIC = b"PCPUTRC1"
NOTED = b"PCPUTRC2"
MAGICS = MAGIC, NOTED
LENGTH = struct.Struct("<I")
MAX_REQUEST = 1 << 63  # sizes and alignments are 64-bit integers
WORDS = 1 << 64  # times and figures are unsigned ones
DAMAGED = (  # exceptions of reading arbitrary bytes
    struct.error, ValueError, LookupError, TypeError, OverflowError, RecursionError, zlib.error,
)  # fmt: skip


# of a file that was compressed once more: JSON of consecutive numbers shrinks to 1/70
CONTENTS = Limit(4 << 20, 100)
# of operations and notes: zlib alone reaches 1,032 (https://zlib.net/zlib_tech.html)
ROWS = Limit(64 << 20, 1032)


def write_file(path: str | Path, operations: Operations) -> None:
    """Write a trace, atomically.

    Raises:
        OSError: it cannot be written.

    """
    tick = _tick(operations.notes)
    head = {
        "byteorder": sys.byteorder,
        "ops": len(operations.ops) // OP.size,
        "slots": operations.slots,
        "kinds": operations.kinds,
        "names": operations.names,
        "faults": operations.faults,
        "setup": operations.setup,
        "stats": asdict(operations.stats),
        "tick": tick,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    rows = _rows(operations.ops, OP.size)
    if operations.notes:
        rows += _rows(_differences(operations.notes, tick), NOTE.size)

    magic = NOTED if operations.notes else MAGIC
    data = magic + LENGTH.pack(len(text)) + text + zlib.compress(rows, 9)
    write_whole(path, data)


def read_file(blocks: Blocks) -> Operations:
    """Read a file of :func:`write_file`.

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
    rows = Pieces(blocks.limited(_inflate(data), ROWS))
    operations.ops = _columns(rows, n, OP.size)
    if magic == NOTED:
        operations.notes = _columns(rows, n, NOTE.size)
        _sums(operations.notes, tick)
    if rows.take(1):
        raise ValueError(f"more than {plural(n, 'operation', '')}")
    _check_references(operations)
    return operations


def _inflate(data: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress in blocks; the compressed stream is all there is."""
    inflater = zlib.decompressobj()
    for piece in data:
        block = inflater.decompress(piece, BLOCK)
        while block:
            yield block
            block = inflater.decompress(inflater.unconsumed_tail, BLOCK)
        if inflater.unused_data:
            raise ValueError("something follows the operations")
    if not inflater.eof:
        raise ValueError("the operations have no end")


def _rows(data: bytearray, size: int) -> bytes:
    """Return all first bytes of structures of ``size`` bytes, then all second ones, and so on."""
    return b"".join(bytes(data[i::size]) for i in range(size))


def _check_references(operations: Operations) -> None:
    """Check that the head has the handles, kinds, faults and names of all operations."""
    slots, kinds, faults = operations.slots, len(operations.kinds), len(operations.faults)
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
    """Undo :func:`_rows` for ``n`` structures: put each row in its place."""
    data = bytearray()
    for i in range(size):
        row = rows.take(n)
        if len(row) < n:
            raise ValueError(f"fewer than {plural(n, 'operation', '')}")
        # now there are n bytes: so many structures are credible
        data = data or bytearray(n * size)
        data[i::size] = row
    return data


def _tick(notes: bytearray) -> int:
    """Return the nanoseconds that all times are multiples of: 1,000 for most recorders."""
    return reduce(gcd, _times(notes), 0) or 1


def _differences(notes: bytearray, tick: int) -> bytearray:
    """Return the notes, each time as its difference from the one before, in ticks."""
    changed = notes.copy()
    ticks = chain([0], (time // tick for time in _times(notes)))
    _times(changed)[:] = memoryview(array("Q", ((b - a) % WORDS for a, b in pairwise(ticks))))
    return changed


def _sums(notes: bytearray, tick: int) -> None:
    """Undo :func:`_differences` in place; OverflowError where a time has more than 64 bits."""
    times = _times(notes)
    times[:] = memoryview(array("Q", (ticks % WORDS * tick for ticks in accumulate(times))))


def _times(notes: bytearray) -> memoryview:
    return memoryview(notes).cast("Q")[::2]


def _read_head(text: str) -> tuple[Operations, int, int, str]:
    """Return the operations without their data, their number, a tick, and the byte order.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: it is not as :func:`write_file` writes
            it.

    """
    head = _of(dict, json.loads(text))
    byteorder = _of(str, head["byteorder"])
    if byteorder not in ("little", "big"):
        raise ValueError(f"byte order {shown(byteorder)}")
    stats = TraceStats(
        **{name: _integer(n, 0, WORDS) for name, n in _of(dict, head["stats"]).items()}
    )
    faults = [_fault(*_of(list, fault)) for fault in _of(list, head.get("faults", []))]
    n = _integer(head["ops"], 0, MAX_REQUEST)
    if n != stats.allocs + stats.frees + len(faults):
        counts = (n, "operation"), (stats.allocs, "allocation"), (stats.frees, "free")
        total, *parts = (plural(count, noun, "") for count, noun in counts)
        raise ValueError(f"{total}, but {' and '.join(parts)}")
    names = head["names"]
    if names is not None and not all(isinstance(name, int | str) for name in _of(list, names)):
        raise ValueError("a name is neither an integer nor a string")
    operations = Operations(
        kinds=[_kind(*_of(list, kind)) for kind in _of(list, head["kinds"])],
        faults=faults,
        setup=checked_setup(_of(dict, head.get("setup", {}))),
        slots=_integer(head["slots"], 0, n + 1),
        names=names,
        stats=stats,
    )
    return operations, n, _integer(head.get("tick", 1), 1, WORDS), byteorder


def _of(kind: type[_T], value: Any) -> _T:
    """Return a value of exactly this type; True is not an integer."""
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} is needed, not {shown(value)}")
    return value


def _integer(value: Any, low: int, high: int) -> int:
    """Return an integer from ``low`` to ``high - 1``."""
    number = _of(int, value)
    if not low <= number < high:
        raise ValueError(f"{shown(number)} is out of range")
    return number


def _kind(size: Any, align: Any, site: Any) -> Kind:
    size, align = (_integer(n, -MAX_REQUEST, MAX_REQUEST) for n in (size, align))
    return Kind(size, align, _of(str, site))


def _fault(site: Any, plan: Any) -> tuple[str, dict[str, Any]]:
    return site, checked_fault(site, _of(dict, plan))
