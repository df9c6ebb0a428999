# SPDX-License-Identifier: GPL-2.0-only
"""What ``examples/hidden_space.c`` prints, and whether it is what the policy predicts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernel.outcome import Failure

PROGRAM = "hidden_space"
ROW = re.compile(
    r"^(?P<name>[AB]): (?P<n>\d+) +allocated"
    r" +(?P<inside>\d+) +(?P<elsewhere>\d+) +(?P<made>\d+) +(?P<kib>[+-]\d+) kB$",
    re.MULTILINE,
)


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


def rows(text: str) -> dict[str, Row]:
    """Return the rows A and B of the table; those that are missing are left out."""
    return {
        found["name"]: Row(*(int(found[key]) for key in ("inside", "elsewhere", "made", "kib")))
        for found in ROW.finditer(text)
    }


def check(text: str) -> None:
    """Print what the program printed; return if the space is hidden as predicted.

    The areas freed inside one page do not raise the chunk's hint: A uses none of them, and the
    kernel creates a chunk.  A free in the first page raises one chunk's hint, a page that becomes
    empty the other's: B uses all of them.

    Raises:
        Failure: the kernel did something else, or the program could not measure.

    """
    print("".join(f"  {line}\n" for line in text.splitlines()), end="", flush=True)
    found = rows(text)
    if found.keys() != {"A", "B"}:
        raise Failure(f"{PROGRAM} has no result: {text.strip() or 'it printed nothing'}")
    a, b = found["A"], found["B"]
    if a.inside or not a.elsewhere or not a.made:
        raise Failure(
            f"{PROGRAM}, A: {a.inside:,} of {a.inside + a.elsewhere:,} areas are in the two chunks "
            f"and {a.made:,} chunks were created; the policy predicts 0, and a new chunk"
        )
    if b.elsewhere or not b.inside:
        raise Failure(
            f"{PROGRAM}, B: {b.elsewhere:,} of {b.inside + b.elsewhere:,} areas are not in the two "
            f"chunks; the policy predicts 0"
        )
