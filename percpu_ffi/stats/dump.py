# SPDX-License-Identifier: GPL-2.0-only
"""A dump of ``percpu_stats``: parsing and writing its text.

Kernels since 4.13 print it with CONFIG_PERCPU_STATS, all in the same layout; some have a
field more or less.  So any field is read, by name, and the order is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from percpu_ffi.errors import StatsError, check_type, shown

TITLE = "Percpu Memory Statistics"
ALLOCATION, TOTALS, CHUNKS = "Allocation Info:", "Global Stats:", "Per Chunk Stats:"
RULE = "-" * 40
FIRST, OTHER = "Chunk: <- First Chunk", "Chunk:"

FIELD = re.compile(r"(\w+) *: *(-?\d{1,20})")
CHUNK = re.compile(r"Chunk(:| ?\(\w+\):?)( <- [ -~]*)?")

HINT = "pass the output of `cat /sys/kernel/debug/percpu_stats` or of percpu_stats()"


@dataclass(frozen=True)
class Chunk:
    """One chunk of a dump."""

    title: str
    """The line above its figures, as in ``Chunk: <- First Chunk``."""
    fields: Mapping[str, int]
    """Its figures by name, in order."""

    @property
    def mark(self) -> str:
        """The title without ``Chunk``: empty for most."""
        return self.title.removeprefix("Chunk").strip(" :")


@dataclass(frozen=True)
class Dump:
    """A whole dump; figures by name, in order."""

    allocation: Mapping[str, int] = field(default_factory=dict)
    """Geometry of the allocator."""
    totals: Mapping[str, int] = field(default_factory=dict)
    """Figures of all chunks together."""
    chunks: tuple[Chunk, ...] = ()
    """Chunks in the order of the slot lists: the fullest first."""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield TITLE
        for title, fields in ((ALLOCATION, self.allocation), (TOTALS, self.totals)):
            yield from (title, RULE, *_rows(fields), "")
        yield from (CHUNKS, RULE)
        for chunk in self.chunks:
            yield from (chunk.title, *_rows(chunk.fields), "")
        if not self.chunks:
            yield ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "allocation": dict(self.allocation),
            "totals": dict(self.totals),
            "chunks": [{"mark": chunk.mark, **chunk.fields} for chunk in self.chunks],
        }

    @classmethod
    def parse(cls, text: str, name: str | None = None) -> Dump:
        """Parse the text of a dump.

        Args:
            text: the output of a kernel or of :meth:`percpu_stats`.
            name: of the file, for errors.

        Raises:
            StatsError: it is not a dump, or cut or damaged; with file and line.
            ConfigError: an argument is of a wrong type.

        """
        check_type("text", text, str, "a str")
        check_type("name", name, (str, NoneType), "a str, or None,")
        return _parse(text, name)


def _rows(fields: Mapping[str, int]) -> Iterator[str]:
    return (f"  {name:<20}: {value:>12}" for name, value in fields.items())


def _parse(text: str, name: str | None) -> Dump:
    """Parse line by line; fields belong to the last section or chunk."""
    lines = text.splitlines()
    if not any(line.strip() == TITLE for line in lines):
        what = "the file is empty" if not text.strip() else f"there is no line {TITLE!r}"
        raise StatsError(f"{what}: no dump of percpu_stats; {HINT}", name)
    sections: dict[str, dict[str, int]] = {ALLOCATION: {}, TOTALS: {}, CHUNKS: {}}
    chunks: list[Chunk] = []
    started, section = False, None
    fields: dict[str, int] | None = None
    for number, line in enumerate(map(str.strip, lines), 1):
        if line == TITLE:
            if started:
                raise StatsError("a second dump begins here: split them", name, number)
            started = True
        elif not started or not line or line.startswith("---"):
            continue
        elif line in sections:
            section = line
            fields = None if line == CHUNKS else sections[line]
        elif section == CHUNKS and CHUNK.fullmatch(line):
            fields = {}
            chunks.append(Chunk(line, fields))
        elif (found := FIELD.fullmatch(line)) and fields is not None:
            if found[1] in fields:
                raise StatsError(f"{found[1]} is here twice", name, number)
            fields[found[1]] = int(found[2])
        else:
            raise StatsError(
                f"{shown(line[:80])} is no line of percpu_stats, which has `name : number`; the "
                "dump is cut or damaged, copy it again",
                name,
                number,
            )
    missing = [title for title in (ALLOCATION, TOTALS) if not sections[title]]
    if missing or section != CHUNKS or any(not chunk.fields for chunk in chunks):
        what = missing[0] if missing else CHUNKS if section != CHUNKS else "its last chunk"
        raise StatsError(f"the dump is cut: {what} has no figures; copy it again", name, len(lines))
    return Dump(sections[ALLOCATION], sections[TOTALS], tuple(chunks))
