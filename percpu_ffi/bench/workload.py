# SPDX-License-Identifier: GPL-2.0-only
"""What a workload is: phases of operations, in the layout that C runs.

Operations are ``struct pcpu_op`` of percpu.h, four 32-bit words each: two of a key, which
nobody looks at here, a slot and a kind.  Whole columns are written at once, so that a
million operations are made in some milliseconds.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.bench.geometry import USUAL, Geometry
from percpu_ffi.trace.operations import FREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Expected", "Kind", "Phase", "Workload", "allocs", "frees", "replacements"]

WORDS = 4  # of an operation
SLOT, KIND = 2, 3  # which of them

Kind = tuple[int, int]
"""Size and alignment of an allocation, bytes."""


class Expected(NamedTuple):
    """How much work a phase takes, by a formula."""

    phase: str
    counter: str
    """A field of ``Work``."""
    formula: str
    value: int
    """What the formula gives here."""


@dataclass(frozen=True)
class Phase:
    """Operations that belong together.  Timed phases of one name are added up."""

    name: str
    ops: array[int]
    timed: bool = True

    def __len__(self) -> int:
        return len(self.ops) // WORDS


@dataclass(frozen=True)
class Workload:
    """Something to measure."""

    name: str
    what: str
    """In a few words."""
    phases: tuple[Phase, ...]
    kinds: tuple[Kind, ...]
    """What the operations' kinds stand for."""
    slots: int
    """Most areas alive at one time."""
    contenders: tuple[str, ...] = ("port", "upstream", "malloc", "empty")
    """Who takes part unless somebody says otherwise."""
    geometry: Geometry = USUAL
    expected: tuple[Expected, ...] = ()

    @property
    def drain(self) -> array[int]:
        """Operations that free whatever is left."""
        return frees(range(self.slots))


def _ops(slots: Sequence[int], kinds: Iterable[int]) -> array[int]:
    ops = array("I", bytes(4 * WORDS * len(slots)))
    ops[SLOT::WORDS] = array("I", slots)
    ops[KIND::WORDS] = array("I", kinds)
    return ops


def allocs(slots: Sequence[int], kinds: int | Sequence[int] = 0) -> array[int]:
    """Allocate into slots, all of one kind or each of its own."""
    return _ops(slots, [kinds] * len(slots) if isinstance(kinds, int) else kinds)


def frees(slots: Sequence[int]) -> array[int]:
    """Free slots in the order given."""
    return _ops(slots, [FREE] * len(slots))


def replacements(slots: Sequence[int], kinds: Sequence[int]) -> array[int]:
    """Free each slot and allocate into it again."""
    ops = array("I", bytes(8 * WORDS * len(slots)))
    column = array("I", slots)
    ops[SLOT :: 2 * WORDS] = ops[WORDS + SLOT :: 2 * WORDS] = column
    ops[KIND :: 2 * WORDS] = array("I", [FREE]) * len(slots)
    ops[WORDS + KIND :: 2 * WORDS] = array("I", kinds)
    return ops
