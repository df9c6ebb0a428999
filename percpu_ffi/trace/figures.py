# SPDX-License-Identifier: GPL-2.0-only
"""Figures of a trace that can be counted: in its operations, and in its events."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from percpu_ffi.trace.operations import (
    BALANCE,
    CREATED,
    DESTROYED,
    FAILED,
    FAULT,
    FREE,
    LOST,
    ORPHAN,
    SPECIAL,
)

if TYPE_CHECKING:
    from percpu_ffi.trace.operations import Operations, TraceStats


def allocs_and_frees(ops: bytearray | memoryview) -> tuple[int, int]:
    """Return how many operations allocate, and how many free."""
    kinds = array("I", memoryview(ops).cast("I")[3::4])
    frees = kinds.count(FREE)
    return len(kinds) - frees - kinds.count(FAULT) - kinds.count(BALANCE), frees


def counted(found: Operations) -> TraceStats:
    """Return the figures of a trace; those that cannot be counted are as they were."""
    words = memoryview(found.ops).cast("I")
    rows = [*zip(words[2::4].tolist(), words[3::4].tolist(), strict=True)]
    last = dict(row for row in rows if row[1] not in (FAULT, BALANCE))  # kinds by handle
    live = sum(kind < SPECIAL for kind in last.values())
    allocs, frees = allocs_and_frees(found.ops)
    orphans = rows.count((ORPHAN, FREE))
    stats = replace(
        found.stats,
        events=len(rows),
        allocs=allocs,
        frees=frees,
        orphan_frees=orphans,
        reallocs=allocs - (frees - orphans) - live,  # each ends the life before it
    )
    if not found.events:
        return stats
    of_kind = Counter(event.kind for event in found.events)
    return replace(
        stats,
        events=len(rows) + of_kind[FAILED] + of_kind[CREATED] + of_kind[DESTROYED],
        lost=sum(event.value or 1 for event in found.events if event.kind == LOST),
        kernel_failures=of_kind[FAILED],
        kernel_created=of_kind[CREATED],
        kernel_destroyed=of_kind[DESTROYED],
    )
