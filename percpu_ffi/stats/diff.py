# SPDX-License-Identifier: GPL-2.0-only
"""The difference of two dumps of ``percpu_stats``, field by field; ``pairs`` matches the chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from percpu_ffi.errors import check_type
from percpu_ffi.stats.dump import Chunk, Dump
from percpu_ffi.stats.pairs import paired
from percpu_ffi.stats.text import ALLOCATION, CHUNKS, TOTALS

NO_MARK = "no mark"
NOTHING: Mapping[str, int] = {}


def diff(a: Dump, b: Dump) -> dict[str, Any]:
    """Return two dumps and their difference as plain values.

    Returns: ``allocation``, ``totals`` and each of ``chunks``: for each field its value in the
        first dump, in the second, and the difference; None where a dump lacks it.  ``marks`` has
        the two of a chunk; None in a dump without it: the chunk is new, or gone.

    Raises:
        ConfigError: one of them is not a dump.

    """
    for dump in (a, b):
        check_type("dump", dump, Dump, "a Dump")
    return {
        "allocation": _fields(a.allocation, b.allocation),
        "totals": _fields(a.totals, b.totals),
        "chunks": [
            {
                "marks": [left and left.mark, right and right.mark],
                **_fields(_of(left), _of(right)),
            }
            for left, right in paired(a.chunks, b.chunks)
        ],
    }


def differ(a: Dump, b: Dump) -> bool:
    """Return whether a line differs; the order of chunks and fields does not matter."""
    found = diff(a, b)
    marks = [chunk.pop("marks") for chunk in found["chunks"]]
    sections = (found["allocation"], found["totals"], *found["chunks"])
    return any(left != right for left, right in marks) or any(
        change != 0 for fields in sections for _, _, change in fields.values()
    )


def diff_text(a: Dump, b: Dump) -> str:
    """Return the same as text, a line for each field."""
    return "\n".join(_lines(a, b))


def _lines(a: Dump, b: Dump) -> Iterator[str]:
    found = diff(a, b)
    yield from (ALLOCATION, *_rows(found["allocation"]), "")
    yield from (TOTALS, *_rows(found["totals"]), "")
    yield CHUNKS
    for number, chunk in enumerate(found["chunks"]):
        yield f"Chunk {number}:{_marks(*chunk.pop('marks'))}"
        yield from (*_rows(chunk), "")


def _fields(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, list[int | None]]:
    """Return the fields of both, in the order of the first."""
    return {
        name: [a.get(name), b.get(name), b[name] - a[name] if name in a and name in b else None]
        for name in {**a, **b}
    }


def _rows(fields: Mapping[str, list[int | None]]) -> Iterator[str]:
    for name, (left, right, change) in fields.items():
        shown = f"{change:+}" if change else ""
        yield f"  {name:<20}: {_number(left):>12} {_number(right):>12} {shown:>12}".rstrip()


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _of(chunk: Chunk | None) -> Mapping[str, int]:
    return chunk.fields if chunk else NOTHING


def _marks(a: str | None, b: str | None) -> str:
    if a is None:
        return f" {b} new".replace("  ", " ")
    if b is None:
        return f" {a} gone".replace("  ", " ")
    return f" {a}".rstrip() if a == b else f" {a or NO_MARK} | {b or NO_MARK}"
