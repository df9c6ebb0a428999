# SPDX-License-Identifier: GPL-2.0-only
"""Text as terminals, editors and web pages save it, turned into plain UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # redirection in PowerShell

COLOUR = re.compile(rb"\x1b\[[\d;]*[mK]")  # ECMA-48: SGR, and EL, which grep adds
NO_BREAK = b"\xc2\xa0"  # a space of HTML, in UTF-8
NUMBER = re.compile(rb"(?m)^ *(\d+)[:\t]")  # of grep -n, cat -n
NUMBERED = 3  # lines that show that all have numbers

MOST = 1 << 16  # bytes of a line


def plain_text(blocks: Iterable[bytes], head: int) -> Iterator[bytes]:
    """Return the blocks in UTF-8, without colours, no-break spaces and numbers of lines.

    Args:
        blocks: the text.
        head: bytes at the start of the text that show what it needs: mostly nothing.

    """
    blocks = iter(blocks)
    first = next(blocks, b"")
    blocks = chain([first], blocks)
    if first.startswith(UTF_16):
        return (part.encode() for part in codecs.iterdecode(blocks, "utf-16", "replace"))
    first = first[:head]
    if b"\r" in first and b"\n" not in first:  # of old editors
        return (block.replace(b"\r", b"\n") for block in blocks)
    if b"\x1b[" in first or NO_BREAK in first:
        blocks = _by_lines(blocks, lambda text: COLOUR.sub(b"", text).replace(NO_BREAK, b" "))
        first = COLOUR.sub(b"", first)
    return _by_lines(blocks, lambda text: NUMBER.sub(b"", text)) if _numbered(first) else blocks


def _numbered(head: bytes) -> bool:
    """Return whether the first lines have numbers, which increase."""
    numbers = [NUMBER.match(line) for line in head.split(b"\n", NUMBERED)[:NUMBERED]]
    return len(numbers) == NUMBERED and all(
        a and b and int(a[1]) < int(b[1]) for a, b in pairwise(numbers)
    )


def _by_lines(blocks: Iterable[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Change whole lines, except those that are longer than any of a recording."""
    rest = b""
    for block in blocks:
        lines, feed, rest = (rest + block).rpartition(b"\n")
        if len(rest) > MOST:
            lines, feed, rest = lines + feed, rest, b""
        yield change(lines + feed)
    yield change(rest)
