# SPDX-License-Identifier: GPL-2.0-only
"""What ``init.sh`` sends through a serial port: named texts, each compressed and encoded.

begin trace
H4sIAAAAAAAAA...        gzip, as base64
end trace
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

SECTION = re.compile(rb"^begin (\w+)\n(.*?)^end \1\n", re.MULTILINE | re.DOTALL)
GZIP = 16 + zlib.MAX_WBITS  # the format, for zlib
LOST = re.compile(r"^(overrun|commit overrun|dropped events): ([1-9]\d*)$", re.MULTILINE)


class BadData(ValueError):
    """The data is incomplete or damaged."""


def read_section(data: bytes, name: str) -> bytes:
    """Return the text that was sent as ``name``.

    Raises:
        BadData: it is missing, cut off or damaged.

    """
    lines = data.replace(b"\r\n", b"\n")  # a terminal ends its lines so
    sections = {found[1].decode(): found[2] for found in SECTION.finditer(lines)}
    if name not in sections:
        raise BadData(f"{len(data):,} bytes came, without a complete section '{name}'")
    try:
        packed = base64.b64decode(b"".join(sections[name].split()), validate=True)
        return zlib.decompress(packed, GZIP)
    except (binascii.Error, zlib.error) as error:
        raise BadData(f"section '{name}' is damaged: {error}") from error


def lost_events(meta: str) -> int:
    """Return how many events the buffers lost, by the statistics in a ``.meta`` text."""
    return sum(int(number) for _, number in LOST.findall(meta))
