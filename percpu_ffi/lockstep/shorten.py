# SPDX-License-Identifier: GPL-2.0-only
"""Shorten a trace that shows a difference.

Source of the algorithm: delta debugging, Zeller and Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", 2002: take away ever smaller pieces for as long as the rest
still shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi.lockstep.drive import ASPECTS, lockstep
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from percpu_ffi.lockstep.difference import Difference
    from percpu_ffi.lockstep.drive import Maker
    from percpu_ffi.trace import Op

__all__ = ["shorten"]


def shorten(
    makers: Mapping[str, Maker],
    difference: Difference,
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference:
    """Find a short trace that shows a difference too, perhaps at another operation.

    Args:
        makers: who made the parties.
        difference: what was found.
        compare: as it was when that was found.
        progress: called with the number of operations that were got rid of since its last call.

    Returns: the difference that the short trace shows.

    """
    setup = difference.trace.setup
    best, ops = difference, list(difference.trace)
    pieces = 2
    while len(ops) > 1:
        size = -(-len(ops) // pieces)
        for start in range(0, len(ops), size):
            rest = ops[:start] + ops[start + size :]
            found = lockstep(
                makers, Trace.from_ops(_without_stray_frees(rest), setup), compare=compare
            )
            if found:
                gone = len(ops) - len(found.trace)
                if progress:
                    progress(gone)
                best, ops = found, list(found.trace)
                pieces = max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(ops))
    return best


def _without_stray_frees(ops: list[Op]) -> list[Op]:
    """Leave out frees of what is not there: they do nothing."""
    kept, live = [], set()
    for op in ops:
        if op[0] == "alloc":
            live.add(op[1])
        elif op[0] == "free":
            if op[1] not in live:
                continue
            live.remove(op[1])
        kept.append(op)
    return kept
