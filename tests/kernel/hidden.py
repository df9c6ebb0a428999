# SPDX-License-Identifier: GPL-2.0-only
"""What ``examples/hidden_space.c`` prints, and whether it is what the policy predicts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernel.outcome import Failure

PROGRAM = "hidden_space"
ROW = re.compile(
    r"^(?P<name>[AB]): \d+ +allocated"
    r" +(?P<inside>\d+) +(?P<elsewhere>\d+) +(?P<made>\d+) +(?P<kib>[+-]\d+) kB$",
    re.MULTILINE,
)


class Disturbed(Failure):
    """Not as predicted; but other processes may have made chunks before A, or room before B."""


@dataclass(frozen=True)
class Row:
    """Where the areas of one step are."""

    inside: int
    """Areas in the two chunks."""
    elsewhere: int
    """Areas in other chunks."""
    made: int
    """Chunks that the kernel created."""
    kib: int
    """Growth of ``Percpu:`` in /proc/meminfo."""

    def __str__(self) -> str:
        """Return the row in words, without the memory."""
        return (
            f"{self.inside:,} areas are in the two chunks, {self.elsewhere:,} elsewhere, "
            f"{self.made:,} chunks made"
        )


def rows(text: str) -> dict[str, Row]:
    """Return the rows of the table by name, those that there are."""
    return {
        found["name"]: Row(*(int(found[key]) for key in ("inside", "elsewhere", "made", "kib")))
        for found in ROW.finditer(text)
    }


def check(text: str) -> None:
    """Print what the program printed, and return if the space is hidden, as predicted.

    A free inside one page does not raise the chunk's hint: A uses none of that space, and the
    kernel creates a chunk.  A free in the first page raises the hint of one chunk, a page that
    becomes empty that of the other: B uses all of it.

    Raises:
        Disturbed: A needed no new chunk, or a part of B is elsewhere.
        Failure: the kernel used the space, or the program could not measure.

    """
    a, b = _print_rows(text)
    if a.inside or not a.elsewhere:
        raise Failure(f"{PROGRAM}: A: {a}; the policy predicts none, all and at least 1")
    if not a.made or b.elsewhere or not b.inside:
        raise Disturbed(
            f"{PROGRAM}: A: {a}; B: {b}; the policy predicts none, all and at least 1 for A, "
            "all and none for B"
        )


def check_corrected(text: str) -> None:
    """Print what the program printed, and return if the space is used.

    Raises:
        Failure: it is not, or the program could not measure.

    """
    a, _ = _print_rows(text)
    if a.elsewhere or not a.inside or a.made:
        raise Failure(f"{PROGRAM}, corrected: A: {a}; the policy predicts all, none and 0")


def _print_rows(text: str) -> tuple[Row, Row]:
    print("".join(f"  {line}\n" for line in text.splitlines()), end="", flush=True)
    found = rows(text)
    if found.keys() != {"A", "B"}:
        raise Failure(f"{PROGRAM} has no result: {text.strip() or 'it printed nothing'}")
    return found["A"], found["B"]
