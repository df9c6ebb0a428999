# SPDX-License-Identifier: GPL-2.0-only
"""A file of blocks with checksums, readable up to where its writer was killed.

Each block has a head of 12 bytes: a tag of 4 bytes, the length of its contents and their CRC-32,
32 bits each, little-endian.  The contents are compressed by zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO

from percpu_ffi.trace.source import Pieces

HEAD = struct.Struct("<4sII")


def write_block(file: IO[bytes], tag: bytes, contents: bytes, level: int) -> None:
    """Append a block; ``level`` is zlib's, 0 to 9.

    Raises:
        OSError: it cannot be written.

    """
    data = zlib.compress(contents, level)
    file.write(HEAD.pack(tag, len(data), zlib.crc32(data)) + data)


def read_blocks(pieces: Pieces) -> Iterator[tuple[bytes, bytes]]:
    """Yield the tag and the compressed contents of each block, up to the first that is cut.

    Raises:
        ValueError: a block is damaged.

    """
    while True:
        head = pieces.take(HEAD.size)
        if len(head) < HEAD.size or not any(head):  # a file system may leave zeroes at the end
            return
        tag, length, checksum = HEAD.unpack(head)
        data = pieces.take(length)
        if len(data) < length:
            return
        if zlib.crc32(data) != checksum:
            raise ValueError(f"the checksum of a block {tag!r} is wrong")
        yield tag, bytes(data)
