# SPDX-License-Identifier: GPL-2.0-only
"""A file of blocks with checksums, readable up to where its writer was killed.

Each block has a head of 16 bytes: a tag of 4 bytes; the length of its data, their CRC-32, and the
CRC-32 of these 12 bytes, 32 bits each, little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO

from percpu_ffi.trace.source import Pieces

HEAD = struct.Struct("<4sII")
CHECKSUM = struct.Struct("<I")

ZEROES = 16  # bytes at the end of a file that are no head and no compressed data


def write_block(file: IO[bytes], tag: bytes, data: bytes) -> None:
    """Append a block.

    Raises:
        OSError: it cannot be written.

    """
    head = HEAD.pack(tag, len(data), zlib.crc32(data))
    file.write(head + CHECKSUM.pack(zlib.crc32(head)) + data)


def read_blocks(pieces: Pieces) -> Iterator[tuple[bytes, bytearray]]:
    """Yield the tag and the data of each block, up to the first that is cut.

    Zeroes up to the end of the file are not data: after a crash of the machine a file system may
    have them in place of what it had not yet written.

    Raises:
        ValueError: a block is damaged.

    """
    while len(head := pieces.take(HEAD.size)) == HEAD.size:
        checksum = pieces.take(CHECKSUM.size)
        if len(checksum) < CHECKSUM.size:
            return
        if checksum != CHECKSUM.pack(zlib.crc32(head)):
            if _ends_in_zeroes(head + checksum, pieces):
                return
            raise ValueError("the checksum of a block's head is wrong")
        tag, length, checksum_of_data = HEAD.unpack(head)
        data = pieces.take(length)
        if len(data) < length:
            return
        if zlib.crc32(data) != checksum_of_data:
            if _ends_in_zeroes(data, pieces):
                return
            raise ValueError(f"the checksum of a block {tag.decode('latin-1')!r} is wrong")
        yield tag, data


def only_zeroes(pieces: Pieces) -> bool:
    """Return whether nothing but zeroes is left; up to there all is taken."""
    return not any(part.strip(b"\0") for part in pieces)


def _ends_in_zeroes(data: bytearray, pieces: Pieces) -> bool:
    """Return whether zeroes in the data go on to the end of the file."""
    data += pieces.take(ZEROES)
    return data.endswith(bytes(ZEROES)) and only_zeroes(pieces)
