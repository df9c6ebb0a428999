# SPDX-License-Identifier: GPL-2.0-only
"""A dump of ``percpu_stats``: its figures, and the text that a kernel prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from percpu_ffi.errors import StatsError, check_type
from percpu_ffi.stats.text import ALLOCATION, CHUNKS, TITLE, TOTALS, Found, find_dumps

RULE = "-" * 40
# titles of chunks; the last two since Linux 5.14, one of them without a colon
FIRST, RESERVED, OTHER = "Chunk: <- First Chunk", "Chunk: <- Reserved Chunk", "Chunk:"
SIDELINED, DEPOPULATE = "Chunk (sidelined):", "Chunk (to_depopulate)"
RESERVED_MARK = RESERVED.removeprefix(OTHER).strip()
OWN_MARKS = (FIRST.removeprefix(OTHER).strip(), RESERVED_MARK)
"""Marks of which a dump has one each."""


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

    @property
    def missing_chunks(self) -> int:
        """Chunks that the totals count and the dump lacks: it is cut between two chunks.

        The kernel does not count the reserved chunk, which is a part of the first unit.
        """
        counted = sum(chunk.mark != RESERVED_MARK for chunk in self.chunks)
        return max(self.totals.get("nr_chunks", 0) - counted, 0)

    @classmethod
    def parse(cls, text: str, name: str | None = None) -> Dump:
        """Parse a text with one dump.

        Args:
            text: the output of a kernel or of :meth:`percpu_ffi.PerCpu.percpu_stats`; as
                :meth:`parse_all` takes it.
            name: of the file, for errors.

        Raises:
            StatsError: there is none, or another one, or it is cut or damaged; with file and line.
            ConfigError: an argument is of a wrong type.

        """
        found = _found(text, name)
        if len(found) > 1:
            raise StatsError("a second dump begins here: split them", name, found[1].line)
        return cls._of(found[0])

    @classmethod
    def parse_all(cls, text: str, name: str | None = None) -> list[Dump]:
        """Parse all dumps of a text, in order.

        There may be other text before and after each, and the same before and after each line,
        except for digits: the quote marks of a mail, the time and the sender of a log.

        Raises:
            StatsError: there is none, or one is cut or damaged; with file and line.
            ConfigError: an argument is of a wrong type.

        """
        return [cls._of(found) for found in _found(text, name)]

    @classmethod
    def _of(cls, found: Found) -> Dump:
        return cls(found.allocation, found.totals, tuple(Chunk(*chunk) for chunk in found.chunks))


def _found(text: str, name: str | None) -> list[Found]:
    check_type("text", text, str, "a str")
    check_type("name", name, (str, NoneType), "a str, or None,")
    return find_dumps(text, name)


def _rows(fields: Mapping[str, int]) -> Iterator[str]:
    return (f"  {name:<20}: {value:>12}" for name, value in fields.items())
