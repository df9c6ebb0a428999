# SPDX-License-Identifier: GPL-2.0-only
"""Small files that decompress to gigabytes: commands refuse them, and memory stays small.

A file of 937 KB, a valid head and zeroes in xz, took 21.7 GB; one whose head claimed
180,000,000 operations 15.5 GB.  Here all files are read in one process that may take 100 MB.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SANITIZED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(SANITIZED, reason="AddressSanitizer takes 20 TiB of addresses")

LIMIT = 100 << 20  # bytes of memory for reading a file
MANY = 180_000_000  # operations

# reads each file with a command, prints exit status and messages of each as JSON
READER = """
import contextlib, io, json, resource, sys
from percpu_ffi.cli import main, sizes
from percpu_ffi.trace import text

pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = []
for name in sys.argv[2:]:
    error = io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        found.append((main(["sizes", name]), error.getvalue()))
print(json.dumps(found))
"""


def xz_repeated(data: bytes, times: int) -> bytes:
    """Compress data once, and repeat the stream: that decompresses to ``times`` as much."""
    return lzma.compress(data, preset=0) * times


def gzip_repeated(data: bytes, times: int) -> bytes:
    """Do the same with gzip."""
    return gzip.compress(data, 1) * times


def zlib_zeroes(mib: int) -> bytes:
    """Return a zlib stream of so many MiB of zeroes."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (mib << 20) % 65521 << 16 | 1
    return b"\x78\x01" + block * mib + b"\x03\0" + struct.pack(">I", adler)


def old_file(rows: bytes, ops: int = 1, **changes: Any) -> bytes:
    """Return a file of version 1 whose head is consistent with so many allocations."""
    head = {
        "byteorder": sys.byteorder,
        "ops": ops,
        "slots": 1,
        "kinds": [[8, 8, ""]],
        "names": None,
        "stats": {"events": ops, "allocs": ops, "reallocs": ops - 1},
        **changes,
    }
    text = json.dumps(head).encode()
    return b"PCPUTRC1" + struct.pack("<I", len(text)) + text + rows


def zlib_text(start: bytes, part: bytes, times: int) -> bytes:
    """Return a zlib stream of a start and a part that is repeated."""
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(start), *map(packer.compress, [part] * times), packer.flush()])


def block(tag: bytes, data: bytes, claimed: int | None = None) -> bytes:
    """Return a block of version 3 that claims to have so many bytes."""
    head = struct.pack("<4sII", tag, len(data) if claimed is None else claimed, zlib.crc32(data))
    return head + struct.pack("<I", zlib.crc32(head)) + data


def rows_block(rows: int, columns: bytes = b"", /, **changes: Any) -> bytes:
    """Return a block with as many allocations of one request."""
    tables: dict[str, Any] = {"names": [], "tasks": [], "stacks": [], "bases": []}
    head = {
        "rows": rows,
        "columns": ["keys", "handles", "kinds"],
        "tick": 1,
        "tables": {"kinds": [[8, 8, ""]], **tables},
        "events": [],
        "stacks_of": [],
        "stats": {},
        "slots": 1,
        "flags_known": False,
        **changes,
    }
    text = json.dumps(head).encode()
    columns = columns or bytes(16 * rows)
    return block(b"ROWS", zlib.compress(struct.pack("<I", len(text)) + text + columns, 9))


def end(**stats: int) -> bytes:
    """Return the last block."""
    text = json.dumps({"stats": stats}).encode()
    return block(b"TAIL", zlib.compress(struct.pack("<I", len(text)) + text))


def new_file(*blocks: bytes) -> bytes:
    """Return a file of version 3 with these blocks after an empty head."""
    return b"PCPUTRC3" + block(b"HEAD", zlib.compress(b"\2\0\0\0{}")) + b"".join(blocks)


def with_json(tag: bytes, start: bytes, part: bytes, mib: int) -> bytes:
    """Return a block with about so many MiB of JSON."""
    times = (mib << 20) // (len(part) * 1000)
    length = struct.pack("<I", len(start) + times * len(part) * 1000)
    return block(tag, zlib_text(length + start, part * 1000, times))


def large_head(text: str) -> bytes:
    """Return a file with a head of about 1 GB, in xz."""
    start = b"PCPUTRC1" + struct.pack("<I", 1 << 30)
    return lzma.compress(start, preset=0) + xz_repeated(
        (text * (1 << 20))[: 1 << 20].encode(), 1024
    )


def with_dictionary(code: int) -> bytes:
    """Return an xz file whose header claims a dictionary: 28 is 64 MiB, 37 is 1.5 GiB."""
    data = bytearray(lzma.compress(b"x", preset=0))
    size = 4 * (data[12] + 1)  # of the block's header, in which the 5th byte is the dictionary
    data[12 + 4] = code
    data[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(data[12 : 12 + size - 4]))
    return bytes(data)


ALLOC = "x-1 [0] 1.0: percpu_alloc_percpu: size=8 align=8 base_addr={0:x} off=67000000 ptr={0:x}\n"

# how each file is made, its exit status and words of the message
BOMBS: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "zeroes after a head": (
        lambda: lzma.compress(old_file(b""), preset=0) + xz_repeated(bytes(1 << 20), 2048),
        2,
        "cut or damaged",
    ),
    "more operations than claimed": (
        lambda: old_file(zlib_zeroes(1024)),
        2,
        "more than 1 operation)",
    ),
    "other operations than counted": (
        lambda: old_file(zlib_zeroes(2800), MANY, stats={"allocs": 1}),
        2,
        "180000000 operations, but 1 allocation and 0 frees",
    ),
    "operations that are not there": (
        lambda: old_file(zlib_zeroes(1), MANY),
        2,
        "fewer than 180000000 operations",
    ),
    "honest operations without end": (lambda: old_file(zlib_zeroes(2800), MANY), 2, ""),
    "operations compressed twice": (
        lambda: lzma.compress(old_file(zlib_zeroes(2800), MANY), preset=0),
        2,
        "expands to far more",
    ),
    "a head of blanks": (lambda: large_head(" "), 2, "expands to far more"),
    "a head of small objects": (lambda: large_head("{},"), 2, "expands to far more"),
    "an endless line": (lambda: xz_repeated(b"x" * (1 << 20), 256), 2, "binary data"),
    "an endless line in gzip": (lambda: gzip_repeated(b"x" * (1 << 20), 256), 2, "binary data"),
    "zero bytes": (lambda: xz_repeated(bytes(1 << 20), 256), 2, "binary data"),
    "an endless comment": (lambda: xz_repeated(b"#" * (1 << 20), 256), 2, "binary data"),
    "long comments": (
        lambda: xz_repeated((b"#" * 60000 + b"\n") * 16, 100),
        2,
        "no percpu event in 1600",
    ),
    "a dictionary of 1.5 GiB": (
        lambda: with_dictionary(37),
        2,
        "needs more than 128 MiB of memory",
    ),
    "an endless line in bzip2": (lambda: bz2.compress(b"x" * (1 << 20)) * 256, 2, "binary data"),
    "blocks: JSON of small objects": (
        lambda: new_file(with_json(b"ROWS", b"{", b'"x":{},', 64)),
        2,
        "expands to far more",
    ),
    "blocks: a head of small lists": (
        lambda: b"PCPUTRC3" + with_json(b"HEAD", b'{"names":[', b"[],", 64),
        2,
        "expands to far more",
    ),
    "blocks: small objects in many": (
        lambda: new_file(*[rows_block(0, slots=0, more=[{}] * 100_000)] * 200),
        2,
        "expands to far more",
    ),
    "blocks: JSON that is not there": (
        lambda: new_file(block(b"ROWS", zlib.compress(b"\xff\xff\xff\x7f{}"))),
        2,
        "expands to far more",
    ),
    "blocks: zeroes instead of JSON": (
        lambda: new_file(block(b"ROWS", zlib_zeroes(1024))),
        2,
        "damaged",
    ),
    "blocks: zeroes after the columns": (
        lambda: new_file(
            block(
                b"ROWS",
                zlib_text(struct.pack("<I", 23) + b'{"rows":0,"columns":[]}', bytes(1 << 20), 128),
            )
        ),
        2,
        "too long",
    ),
    "blocks: operations that are not there": (
        lambda: new_file(rows_block(1 << 20, b"x")),
        2,
        "fewer than 1048576 operations",
    ),
    "blocks: more operations than any": (
        lambda: new_file(rows_block(MANY, b"x")),
        2,
        "180000000 is out of range",
    ),
    "blocks: honest operations without end": (
        lambda: new_file(*[rows_block(1 << 18)] * 200),
        2,
        "",
    ),
    "blocks: a block of 4 GiB, in xz": (
        lambda: (
            lzma.compress(new_file(block(b"ROWS", b"", 2**32 - 1)), preset=0)
            + xz_repeated(bytes(1 << 20), 2048)
        ),
        2,
        "expands to far more",
    ),
    "blocks: zeroes at the end, in xz": (
        lambda: (
            lzma.compress(new_file(rows_block(1)), preset=0) + xz_repeated(bytes(1 << 20), 2048)
        ),
        2,
        "expands to far more",
    ),
    "blocks: an unknown one, which is skipped": (
        lambda: new_file(
            rows_block(1), block(b"MORE", zlib_zeroes(2048)), rows_block(1), end(allocs=2)
        ),
        0,
        "",
    ),
    # no bomb: many chunks, each with an area at its end
    "many chunks": (lambda: "".join(map(ALLOC.format, range(100_000))).encode(), 0, ""),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Read all files; return exit status and messages by name."""
    folder: Path = tmp_path_factory.mktemp("bombs")
    for i, (make, _, _) in enumerate(BOMBS.values()):
        (folder / f"{i}.trace").write_bytes(make())
    names = [f"{folder}/{i}.trace" for i in range(len(BOMBS))]
    child = subprocess.run(
        [sys.executable, "-c", READER, str(LIMIT), *names],
        capture_output=True, text=True, timeout=100, check=True,
        # what malloc reserves for a second thread, 64 MiB of addresses, is no memory
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    return dict(zip(BOMBS, json.loads(child.stdout), strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_memory_follows_the_bytes_that_are_there(
    outcomes: dict[str, tuple[int, str]], name: str
) -> None:
    _, status, words = BOMBS[name]
    found, message = outcomes[name]
    assert (found, message.count("\n")) == (status, 1 if status else 0), message
    assert words in message
    assert len(message) < 400
