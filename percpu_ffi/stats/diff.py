# SPDX-License-Identifier: GPL-2.0-only
"""The difference of two dumps of ``percpu_stats``, field by field, chunks in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from percpu_ffi.errors import check_type
from percpu_ffi.stats.dump import ALLOCATION, CHUNKS, TOTALS, Chunk, Dump

NOTHING: Mapping[str, int] = {}


def diff(a: Dump, b: Dump) -> dict[str, Any]:
    """Return two dumps and their difference as plain values.

    Returns: ``allocation``, ``totals`` and each of ``chunks``: for each field its value in the
        first dump, in the second, and the difference; None where a dump lacks it.

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
            for left, right in zip_longest(a.chunks, b.chunks)
        ],
    }


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
    if a == b:
        return f" {a}".rstrip()
    names = {"": "no mark", None: "not there"}
    return f" {names.get(a, a)} | {names.get(b, b)}"
