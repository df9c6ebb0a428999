# SPDX-License-Identifier: GPL-2.0-only
"""Shorten a trace that shows a difference.

Source of the algorithm: delta debugging, Zeller and Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", 2002: remove ever smaller pieces while the remaining operations still
show a difference.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from percpu_ffi.errors import check_progress, check_type
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.lockstep.driver import ASPECTS, Factory, lockstep
from percpu_ffi.trace import Op, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def shorten(
    factories: Mapping[str, Factory],
    difference: Difference,
    *,
    compare: Collection[str] = ASPECTS,
    progress: Callable[[int], object] | None = None,
) -> Difference:
    """Find a short trace that also shows a difference, perhaps at another operation.

    Ctrl-C ends the search; the shortest trace so far is returned.  ``compare`` is as it was
    when the difference was found; ``progress`` is called with the number of operations removed
    since its last call.

    Returns: the difference of the short trace.

    Raises:
        ConfigError: an argument is of a wrong type.

    """
    check_type("difference", difference, Difference, "a Difference")
    check_progress(progress)
    best, pieces = difference, 2
    with suppress(KeyboardInterrupt):
        while len(best.trace):
            ops = list(best.trace)
            size = -(-len(ops) // pieces)
            for start in range(0, len(ops), size):
                rest = _without_stray_frees(ops[:start] + ops[start + size :])
                trace = Trace.from_ops(rest, best.trace.setup)
                if found := lockstep(factories, trace, compare=compare, calls=difference.calls):
                    if progress:
                        progress(len(ops) - len(found.trace))
                    best, pieces = found, max(pieces - 1, 2)
                    break
            else:
                if size == 1:
                    break
                pieces *= 2
    return best


def _without_stray_frees(ops: list[Op]) -> list[Op]:
    """Leave out frees of keys that are not live: they do nothing."""
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
