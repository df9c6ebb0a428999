# SPDX-License-Identifier: GPL-2.0-only
"""Writer for files of versions 1 and 2, as this package saved them before 0.2."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from dataclasses import asdict
from functools import reduce
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_ffi import Trace

WORDS = 1 << 64
UNKNOWN = 0xFFFFFFFF


def save_old(trace: Trace, path: Path) -> None:
    """Write a trace: version 2 if it has times or places, else version 1."""
    data, n, tick = trace._data, len(trace), 1
    rows = _rows(bytes(data.ops), 16)
    if data.columns:
        times = list(data.columns.get("times", [WORDS - 1] * n))
        tick = reduce(gcd, times, 0) or 1
        ticks = [(b - a) // tick % WORDS for a, b in pairwise((0, *times))]
        chunks, offsets = (data.columns.get(name, [UNKNOWN] * n) for name in ("chunks", "offsets"))
        notes = zip(ticks, chunks, offsets, strict=True)
        rows += _rows(b"".join(struct.pack("=QII", *note) for note in notes), 16)
    head = {
        "byteorder": sys.byteorder,
        "ops": n,
        "slots": data.slots,
        "kinds": [(kind.size, kind.align, kind.site) for kind in data.tables.kinds],
        "names": data.names,
        "faults": data.faults,
        "setup": data.setup,
        "stats": asdict(data.stats),
        "tick": tick,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    magic = b"PCPUTRC2" if data.columns else b"PCPUTRC1"
    path.write_bytes(magic + struct.pack("<I", len(text)) + text + zlib.compress(rows, 9))


def _rows(data: bytes, size: int) -> bytes:
    """Return all first bytes of structures, then all second ones, and so on."""
    return b"".join(data[i::size] for i in range(size))
