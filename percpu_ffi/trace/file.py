# SPDX-License-Identifier: GPL-2.0-only
"""Our own trace file: small, and loaded without parsing.

Layout: the 8 bytes of MAGIC; the length of the head, 32 bits, little-endian; the head,
JSON in UTF-8; the operations, compressed.  The operations are 16-byte structures whose
n-th bytes are put side by side before compression: most of these rows are nearly
constant, so they shrink to little.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import sys
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi.errors import TraceError
from percpu_ffi.trace.operations import (
    OP,
    Kind,
    Operations,
    TraceStats,
    checked_fault,
    checked_setup,
)

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks

__all__ = ["MAGIC", "read_file", "write_file"]

MAGIC = b"PCPUTRC1"
LENGTH = struct.Struct("<I")
MAX_ASK = 1 << 63  # sizes and alignments are 64-bit integers


def write_file(path: str | Path, operations: Operations) -> None:
    """Write a trace; the file appears under its name only when it is whole.

    Raises:
        OSError: it cannot be written.

    """
    head = {
        "byteorder": sys.byteorder,
        "ops": len(operations.ops) // OP.size,
        "slots": operations.slots,
        "kinds": operations.kinds,
        "names": operations.names,
        "faults": operations.faults,
        "setup": operations.setup,
        "stats": asdict(operations.stats),
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    rows = b"".join(bytes(operations.ops[i :: OP.size]) for i in range(OP.size))

    data = MAGIC + LENGTH.pack(len(text)) + text + zlib.compress(rows, 9)

    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # a pipe or a device: nothing to replace
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_file(blocks: Blocks) -> Operations:
    """Read what :func:`write_file` wrote.

    Raises:
        TraceError: the file is cut or damaged, or comes from a machine of another byte order.

    """
    data = b"".join(blocks)
    start = len(MAGIC) + LENGTH.size
    try:
        (length,) = LENGTH.unpack_from(data, len(MAGIC))
        operations, n, byteorder = _read_head(data[start : start + length])
        # no more than was promised: a small file can hold gigabytes of zeroes
        inflater = zlib.decompressobj()
        rows = inflater.decompress(data[start + length :], n * OP.size + 1)
    except (struct.error, ValueError, LookupError, TypeError, RecursionError, zlib.error) as error:
        raise TraceError(
            f"the file is cut or damaged ({error}); save it again", blocks.name
        ) from error
    if len(rows) != n * OP.size or not inflater.eof or inflater.unused_data:
        raise TraceError(
            f"the file is cut or damaged: {n} operations were saved, {len(rows) // OP.size} are "
            "left; save it again",
            blocks.name,
        )
    if byteorder != sys.byteorder:
        raise TraceError(
            f"the file was saved on a {byteorder}-endian machine, this one is "
            f"{sys.byteorder}-endian; load the kernel's text and save it here",
            blocks.name,
        )
    operations.ops = bytearray(len(rows))
    for i in range(OP.size):
        operations.ops[i :: OP.size] = rows[i * n : (i + 1) * n]
    return operations


def _read_head(text: bytes) -> tuple[Operations, int, str]:
    """Read the head: everything but the operations, their number, and the byte order."""
    head = json.loads(text)
    n, slots, names, byteorder = head["ops"], head["slots"], head["names"], head["byteorder"]
    kinds = [Kind(size, align, site) for size, align, site in head["kinds"]]
    stats = TraceStats(**head["stats"])
    faults = [(site, checked_fault(site, plan)) for site, plan in head.get("faults", [])]
    setup = checked_setup(head.get("setup", {}))

    if type(n) is not int or type(slots) is not int or not 0 <= slots <= n:
        raise ValueError(f"{slots} slots for {n} operations")
    for kind in kinds:
        if not all(type(ask) is int and -MAX_ASK <= ask < MAX_ASK for ask in kind[:2]):
            raise ValueError(f"{kind} is no kind")
    if names is not None and not all(isinstance(name, int | str) for name in list(names)):
        raise ValueError("a name is neither an integer nor a string")
    if not all(type(value) is int for value in vars(stats).values()):
        raise ValueError("a figure is no integer")
    operations = Operations(
        kinds=kinds, faults=faults, setup=setup, slots=slots, names=names, stats=stats
    )
    return operations, n, byteorder
