# SPDX-License-Identifier: GPL-2.0-only
"""The trace file of this package: small, and loaded without parsing text.

Layout: the 8 bytes of MAGIC; the length of the head, 32 bits, little-endian; the head,
JSON in UTF-8; the operations, compressed.  The operations are 16-byte structures, stored in
16 rows: the n-th bytes of all of them.  Most rows are nearly constant and compress well.

A trace with notes has NOTED in place of MAGIC, and 16 more rows in the same stream: the
notes, likewise, with each time as its difference from the one before, in ticks, modulo 2^64.
The head has the nanoseconds of a tick.
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
from typing import TYPE_CHECKING

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi.errors import TraceError
from percpu_ffi.trace.operations import (
    NOTE,
    OP,
    Kind,
    Operations,
    TraceStats,
    checked_fault,
    checked_setup,
)

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi.trace.source import Blocks

MAGIC = b"PCPUTRC1"
NOTED = b"PCPUTRC2"
MAGICS = MAGIC, NOTED
LENGTH = struct.Struct("<I")
MAX_REQUEST = 1 << 63  # sizes and alignments are 64-bit integers
TIMES = 1 << 64
DAMAGED = (  # exceptions of reading arbitrary bytes
    struct.error, ValueError, LookupError, TypeError, OverflowError, RecursionError, zlib.error,
)  # fmt: skip


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

    Raises:
        TraceError: the file is cut or damaged, or comes from a machine of another byte order.

    """
    data = b"".join(blocks)
    start = len(MAGIC) + LENGTH.size
    width = OP.size + NOTE.size if data.startswith(NOTED) else OP.size
    try:
        (length,) = LENGTH.unpack_from(data, len(MAGIC))
        operations, n, tick, byteorder = _read_head(data[start : start + length])
        # limited: a small file can expand to gigabytes of zeroes
        inflater = zlib.decompressobj()
        rows = inflater.decompress(data[start + length :], n * width + 1)
    except DAMAGED as error:
        raise TraceError(
            f"the file is cut or damaged ({error}); save it again", blocks.name
        ) from error
    if len(rows) != n * width or not inflater.eof or inflater.unused_data:
        raise TraceError(
            f"the file is cut or damaged: {n} operations were saved, {len(rows) // width} are "
            "left; save it again",
            blocks.name,
        )
    if byteorder != sys.byteorder:
        raise TraceError(
            f"the file was saved on a {byteorder}-endian machine, this one is "
            f"{sys.byteorder}-endian; load the kernel's text and save it here",
            blocks.name,
        )
    operations.ops = _columns(rows[: n * OP.size], OP.size)
    operations.notes = _columns(rows[n * OP.size :], NOTE.size)
    try:
        _sums(operations.notes, tick)
    except OverflowError as error:
        raise TraceError(
            "the file is cut or damaged: a time has more than 64 bits; save it again", blocks.name
        ) from error
    return operations


def _rows(data: bytearray, size: int) -> bytes:
    """Return all first bytes of structures of ``size`` bytes, then all second ones, and so on."""
    return b"".join(bytes(data[i::size]) for i in range(size))


def _columns(rows: bytes, size: int) -> bytearray:
    """Undo :func:`_rows`."""
    n = len(rows) // size
    data = bytearray(len(rows))
    for i in range(size):
        data[i::size] = rows[i * n : (i + 1) * n]
    return data


def _tick(notes: bytearray) -> int:
    """Return the nanoseconds that all times are multiples of: 1,000 for most recorders."""
    return reduce(gcd, _times(notes), 0) or 1


def _differences(notes: bytearray, tick: int) -> bytearray:
    """Return the notes, each time as its difference from the one before, in ticks."""
    changed = notes.copy()
    ticks = chain([0], (time // tick for time in _times(notes)))
    _times(changed)[:] = memoryview(array("Q", ((b - a) % TIMES for a, b in pairwise(ticks))))
    return changed


def _sums(notes: bytearray, tick: int) -> None:
    """Undo :func:`_differences` in place; OverflowError where a time has more than 64 bits."""
    times = _times(notes)
    times[:] = memoryview(array("Q", (ticks % TIMES * tick for ticks in accumulate(times))))


def _times(notes: bytearray) -> memoryview:
    return memoryview(notes).cast("Q")[::2]


def _read_head(text: bytes) -> tuple[Operations, int, int, str]:
    """Return the operations without their data, their number, a tick, and the byte order."""
    head = json.loads(text)
    n, slots, names, byteorder = head["ops"], head["slots"], head["names"], head["byteorder"]
    kinds = [Kind(size, align, site) for size, align, site in head["kinds"]]
    stats = TraceStats(**head["stats"])
    faults = [(site, checked_fault(site, plan)) for site, plan in head.get("faults", [])]
    setup = checked_setup(head.get("setup", {}))
    tick = head.get("tick", 1)

    if type(tick) is not int or not 0 < tick < TIMES:
        raise ValueError(f"a tick of {tick} nanoseconds")
    if type(n) is not int or type(slots) is not int or not 0 <= slots <= n:
        raise ValueError(f"{slots} slots for {n} operations")
    for kind in kinds:
        numbers = all(type(n) is int and -MAX_REQUEST <= n < MAX_REQUEST for n in kind[:2])
        if not numbers or not isinstance(kind.site, str):
            raise ValueError(f"{kind} is not a kind")
    if names is not None and not all(isinstance(name, int | str) for name in list(names)):
        raise ValueError("a name is neither an integer nor a string")
    if not all(type(value) is int for value in vars(stats).values()):
        raise ValueError("a figure is not an integer")
    operations = Operations(
        kinds=kinds, faults=faults, setup=setup, slots=slots, names=names, stats=stats
    )
    return operations, n, tick, byteorder
