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
import struct
import sys
import tempfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi.errors import TraceError
from percpu_ffi.trace.operations import OP, Kind, Operations, TraceStats

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks

__all__ = ["MAGIC", "read_file", "write_file"]

MAGIC = b"PCPUTRC1"
LENGTH = struct.Struct("<I")


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
        "stats": asdict(operations.stats),
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    rows = b"".join(bytes(operations.ops[i :: OP.size]) for i in range(OP.size))

    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + LENGTH.pack(len(text)) + text + zlib.compress(rows, 9))
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
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
        head = json.loads(data[start : start + length])
        rows = zlib.decompress(data[start + length :])
        operations = Operations(
            ops=bytearray(len(rows)),
            kinds=[Kind(size, align, site) for size, align, site in head["kinds"]],
            slots=head["slots"],
            names=head["names"],
            stats=TraceStats(**head["stats"]),
        )
        n, byteorder = head["ops"], head["byteorder"]
    except (struct.error, ValueError, KeyError, TypeError, zlib.error) as error:
        raise TraceError(f"the file is cut or damaged ({error}); save it again", blocks.name) from (
            error
        )
    if len(rows) != n * OP.size:
        raise TraceError(
            f"the file is damaged: {n} operations were saved, {len(rows) // OP.size} are left; "
            "save it again",
            blocks.name,
        )
    if byteorder != sys.byteorder:
        raise TraceError(
            f"the file was saved on a {byteorder}-endian machine, this one is "
            f"{sys.byteorder}-endian; load the kernel's text and save it here",
            blocks.name,
        )
    for i in range(OP.size):
        operations.ops[i :: OP.size] = rows[i * n : (i + 1) * n]
    return operations
