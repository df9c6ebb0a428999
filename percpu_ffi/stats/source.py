# SPDX-License-Identifier: GPL-2.0-only
"""Dumps of ``percpu_stats`` in files: texts, compressed or not, and recordings."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from percpu_ffi.errors import StatsError
from percpu_ffi.stats.dump import Dump
from percpu_ffi.stats.text import TITLE
from percpu_ffi.trace import Trace
from percpu_ffi.trace.trace import is_own_file

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks

LARGEST = 64 << 20  # bytes of a text
EVENT = "percpu_alloc_percpu: "  # of a recording, which may have a dump before or after it


def is_dump(head: bytes) -> bool:
    """Return whether a file that begins so has a dump, and is not a recording."""
    text = decoded(head)
    return not is_own_file(head) and TITLE in text and EVENT not in text


def read_dumps(blocks: Blocks) -> list[Dump]:
    """Return all dumps in a file: those in a text, or those before and after a recording.

    Raises:
        StatsError: there is none, or one is cut or damaged.
        TraceError: a recording, or a compressed file, is damaged.

    """
    if not is_own_file(blocks.head):
        return Dump.parse_all(read_text(blocks), blocks.name)
    machine = Trace.read(blocks).machine
    dumps = [
        dump
        for when in ("stats_before", "stats_after")
        if isinstance(text := machine.get(when), str)
        for dump in Dump.parse_all(text, f"{blocks.name}, {when}")
    ]
    if not dumps:
        raise StatsError(
            "the recording has no dump of percpu_stats; `percpu-ffi record` adds one before and "
            "one after it where the kernel has CONFIG_PERCPU_STATS and debugfs is mounted",
            blocks.name,
        )
    return dumps


def read_text(blocks: Blocks) -> str:
    """Return the text of a file.

    Raises:
        StatsError: it is larger than any such text.

    """
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > LARGEST:
            raise StatsError(
                f"the text has more than {LARGEST >> 20} MiB: cut out the part that is meant",
                blocks.name,
            )
    return decoded(data)


def decoded(data: bytes | bytearray) -> str:
    """Return a text in UTF-8, or in UTF-16, which other systems may write."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8", errors="replace")
