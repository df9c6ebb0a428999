# SPDX-License-Identifier: GPL-2.0-only
"""Text as terminals, editors and web pages save it, turned into plain UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # redirection in PowerShell

COLOUR = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")  # ECMA-48, 5.4: a control sequence
NO_BREAK = b"\xc2\xa0"  # a space of HTML, in UTF-8
MARKS = re.compile(rb"\x1b\[|\xc2\xa0")
PART = re.compile(rb"(\x1b[^\x1b]{,30}|\xc2)\Z")  # of a mark, or a whole one, at the end
MOST = 32  # bytes of that


def plain_text(blocks: Iterable[bytes], head: int) -> Iterator[bytes]:
    """Return the blocks in UTF-8, without colours and no-break spaces.

    Args:
        blocks: the text.
        head: bytes at the start of the text that show what it needs: mostly nothing.

    """
    blocks = iter(blocks)
    first = next(blocks, b"")
    blocks = chain([first], blocks)
    if first.startswith(UTF_16):
        return (part.encode() for part in codecs.iterdecode(blocks, "utf-16", "replace"))
    return _clean(blocks) if MARKS.search(first[:head]) else blocks


def _clean(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        text = rest + block
        part = PART.search(text, max(len(text) - MOST, 0))
        end = part.start() if part else len(text)
        yield COLOUR.sub(b"", text[:end]).replace(NO_BREAK, b" ")
        rest = text[end:]
    yield COLOUR.sub(b"", rest).replace(NO_BREAK, b" ")
