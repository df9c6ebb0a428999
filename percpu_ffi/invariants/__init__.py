# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of every allocator between two calls, checked on its state.

``area_map`` and ``bitmap`` have those of the policies, ``areas`` what both share; ``live``
compares a state with the areas that the caller knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from percpu_ffi.config import AREA_MAP
from percpu_ffi.invariants import area_map, bitmap
from percpu_ffi.invariants import live as live_areas

if TYPE_CHECKING:
    from percpu_ffi.config import Buffer
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import State


def violations(
    allocator: PerCpu, live: Mapping[int, int | Sequence[Buffer]] | None = None
) -> list[str]:
    """Return a sentence for each broken invariant; ``live`` is as for :meth:`PerCpu.validate`."""
    state = allocator.state()
    policy = area_map if allocator.policy == AREA_MAP else bitmap
    found = [*_lists(state), *policy.violations(state, allocator)]
    if live is not None:
        found += live_areas.violations(allocator, state, policy, live)
    return found


def _lists(state: State) -> Iterator[str]:
    """Check that each chunk is on one list; the reserved one, with a negative id, is on none."""
    listed = sorted(id for ids in state.slots for id in ids)
    known = [chunk.id for chunk in state.chunks if chunk.id >= 0]
    if listed != known:
        yield f"the lists hold the chunks {listed}, the address tree {known}"
