# SPDX-License-Identifier: GPL-2.0-only
"""Find the dumps of ``percpu_stats`` in a text, which may be a mail, a log or a session of a shell.

Kernels since 4.13 print a dump with CONFIG_PERCPU_STATS, all in the same layout; some have a
field more or less.  So any field is read, by name, and the order is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from percpu_ffi.errors import StatsError, shown

TITLE = "Percpu Memory Statistics"
ALLOCATION, TOTALS, CHUNKS = "Allocation Info:", "Global Stats:", "Per Chunk Stats:"
SECTIONS = (ALLOCATION, TOTALS, CHUNKS)

FIELD = re.compile(r"(\w+)\s*:\s*(-?\d{1,20})")
CHUNK = re.compile(r"Chunk(:| ?\(\w+\):?)( <- [ -~]*)?")
LONGEST = 1000  # characters of a line of a dump with what is around it

# of a chunk, in all kernels so far; the last one is in every kernel
LAST = "cur_max_alloc"
KNOWN = ("nr_alloc", "max_alloc_size", "empty_pop_pages", "first_bit", "free_bytes",
         "contig_bytes", "sum_frag", "max_frag", "cur_min_alloc", "cur_med_alloc", LAST,
         "memcg_aware")  # fmt: skip

HINT = "pass the output of `cat /sys/kernel/debug/percpu_stats` or of percpu_stats()"
CUT = "the dump is cut (truncated)"


class Found(NamedTuple):
    """A dump in a text."""

    line: int
    """The line of its title, from 1."""
    allocation: dict[str, int]
    totals: dict[str, int]
    chunks: list[tuple[str, dict[str, int]]]
    """The title and the figures of each chunk."""


def find_dumps(text: str, name: str | None) -> list[Found]:
    """Return all dumps in a text, at least one.

    A title without a heading below it is a part of the text around.

    Raises:
        StatsError: there is none, or one is cut or damaged; with file and line.

    """
    if f"{TITLE}\\n{ALLOCATION}" in text:  # a string in JSON
        text = text.replace("\\n", "\n")
    # files that were joined have a BOM each; pages of HTML have no-break spaces
    lines = text.replace("\ufeff", "").replace("\xa0", " ").split("\n")
    starts = [number for number, line in enumerate(lines) if TITLE in line]
    if not starts:
        what = f"there is no line {TITLE!r}" if text.strip("\ufeff \t\r\n") else "the file is empty"
        raise StatsError(f"{what}: no dump of percpu_stats; {HINT}", name)
    parts = [*zip(starts, [*starts[1:], len(lines)], strict=True)]
    whole = [part for part in parts if any(ALLOCATION in line for line in lines[slice(*part)])]
    return [_parse(lines[start:end], start, name) for start, end in whole or parts[-1:]]


def _parse(lines: list[str], before: int, name: str | None) -> Found:
    """Parse a dump line by line; fields belong to the last section or chunk.

    ``before`` is the number of lines before the first of ``lines``, which has the title.
    """
    bare = _unwrapped(lines)
    sections: dict[str, dict[str, int]] = {title: {} for title in SECTIONS}
    chunks: list[tuple[str, dict[str, int]]] = []
    section = ""
    fields: dict[str, int] | None = None
    widths, last_field = [], 0
    last_heading = max((i for i, line in enumerate(bare) if _is_heading(line)), default=0)
    for number, line in enumerate(bare[1:], 1):
        if not line or line.startswith("---"):
            continue
        if line in sections:
            section = line
            fields = None if line == CHUNKS else sections[line]
        elif section == CHUNKS and CHUNK.fullmatch(line):
            fields = {}
            chunks.append((line, fields))
        elif (found := FIELD.fullmatch(line)) and fields is not None:
            ended = LAST in fields and number > last_heading and not bare[number - 1]
            if ended and found[1] not in (*KNOWN, *chunks[0][1]):
                break  # such a line of the text after the dump
            if found[1] in fields:
                raise StatsError(f"{found[1]} is here twice", name, before + number + 1)
            fields[found[1]] = int(found[2])
            widths.append(len(line))
            last_field = number
        elif section == CHUNKS and chunks and number > last_heading:
            break  # the text after the dump
        else:
            raise StatsError(
                f"{shown(line[:80])} is no line of percpu_stats, which has `name : number`; the "
                "dump is cut or damaged, copy it again",
                name,
                before + number + 1,
            )
    missing = next((title for title in (ALLOCATION, TOTALS) if not sections[title]), None)
    lacks = [f"{missing} has no figures"] if missing else []
    if section != CHUNKS:
        lacks.append(f"{CHUNKS} has no figures")
    lacks += _chunk_lacks([fields for _, fields in chunks])
    # numbers end in one column; the last one has no line feed
    if 0 < last_field == len(lines) - 1 and widths[-1] < min(widths[:-1], default=0):
        lacks.append("its last number has lost digits")
    if lacks:
        raise StatsError(f"{CUT}: {lacks[0]}; copy it again", name, before + len(lines))
    return Found(before + 1, sections[ALLOCATION], sections[TOTALS], chunks)


def _is_heading(line: str | None) -> bool:
    return line is not None and (line in SECTIONS or bool(CHUNK.fullmatch(line)))


def _chunk_lacks(chunks: Sequence[dict[str, int]]) -> Iterator[str]:
    """Yield what chunks lack that the other ones, or all kernels, have."""
    needed = {name for fields in chunks for name in KNOWN if name in fields}
    if len(chunks) == 1:
        needed.add(LAST)
    for number, fields in enumerate(chunks, 1):
        what = "its last chunk" if number == len(chunks) else f"chunk {number}"
        if not fields:
            yield f"{what} has no figures"
        elif lacking := [name for name in KNOWN if name in needed - fields.keys()]:
            yield f"{what} has no {', '.join(lacking)}"


def _unwrapped(lines: list[str]) -> list[str | None]:
    r"""Return the lines without what a mailer or a log puts around each; None: it is not there.

    That is what the title has around it, with other digits and spaces::

        > > Percpu Memory Statistics
        Jan  2 10:00:00 host stats[77]: Percpu Memory Statistics
        {"log":"Percpu Memory Statistics\n","time":"10:00:00"}
    """
    if len(lines[0]) <= LONGEST:
        start, _, end = lines[0].partition(TITLE)
        head, tail = re.compile(_shape(start)), re.compile(_shape(end) + r"\Z")
        bare = [_between(head, line.strip(), tail) for line in lines]
        if ALLOCATION in bare:
            return bare
    return [line.strip() for line in lines]  # these words are on the line of the title alone


def _between(head: re.Pattern[str], line: str, tail: re.Pattern[str]) -> str | None:
    if len(line) > LONGEST or not (start := head.match(line)):
        return None
    end = tail.search(line, start.end())
    return line[start.end() : end.start()].strip() if end else None


def _shape(text: str) -> str:
    """Return the pattern of a text with any digits and spaces in the places of its own."""
    parts = re.findall(r"\d+|\s+|[^\d\s]+", text.strip())
    return "".join(
        r"(?<!\d)\d+" if part[0].isdecimal() else r"\s+" if part.isspace() else re.escape(part)
        for part in parts
    )
