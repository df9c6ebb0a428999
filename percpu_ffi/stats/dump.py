# SPDX-License-Identifier: GPL-2.0-only
"""A dump of ``percpu_stats``: parsing and writing its text.

Kernels since 4.13 print it with CONFIG_PERCPU_STATS, all in the same layout; some have a
field more or less.  So any field is read, by name, and the order is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from percpu_ffi.errors import StatsError, shown

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

        """
        return _Parser(name).parse(text)


def _rows(fields: Mapping[str, int]) -> Iterator[str]:
    return (f"  {name:<20}: {value:>12}" for name, value in fields.items())


class _Parser:
    """Reads line by line; fields belong to the last section or chunk."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.sections: dict[str, dict[str, int]] = {ALLOCATION: {}, TOTALS: {}, CHUNKS: {}}
        self.chunks: list[Chunk] = []
        self.section: str | None = None
        self.fields: dict[str, int] | None = None

    def parse(self, text: str) -> Dump:
        lines = text.splitlines()
        if not any(line.strip() == TITLE for line in lines):
            what = "the file is empty" if not text.strip() else f"there is no line {TITLE!r}"
            raise StatsError(f"{what}: no dump of percpu_stats; {HINT}", self.name)
        started = False
        for number, line in enumerate(map(str.strip, lines), 1):
            if line == TITLE:
                if started:
                    raise StatsError("a second dump begins here: split them", self.name, number)
                started = True
            elif started and line and not line.startswith("---"):
                self.line(line, number)
        missing = [title for title in (ALLOCATION, TOTALS) if not self.sections[title]]
        if missing or self.section != CHUNKS or any(not chunk.fields for chunk in self.chunks):
            what = missing[0] if missing else CHUNKS if self.section != CHUNKS else "its last chunk"
            raise StatsError(
                f"the dump is cut: {what} has no figures; copy it again", self.name, len(lines)
            )
        return Dump(self.sections[ALLOCATION], self.sections[TOTALS], tuple(self.chunks))

    def line(self, line: str, number: int) -> None:
        if line in self.sections:
            self.section = line
            self.fields = None if line == CHUNKS else self.sections[line]
        elif self.section == CHUNKS and CHUNK.fullmatch(line):
            self.fields = {}
            self.chunks.append(Chunk(line, self.fields))
        elif (found := FIELD.fullmatch(line)) and self.fields is not None:
            if found[1] in self.fields:
                raise StatsError(f"{found[1]} is here twice", self.name, number)
            self.fields[found[1]] = int(found[2])
        else:
            raise StatsError(
                f"{shown(line[:80])} is no line of percpu_stats, which has `name : number`; the "
                "dump is cut or damaged, copy it again",
                self.name,
                number,
            )
