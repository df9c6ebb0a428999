# SPDX-License-Identifier: GPL-2.0-only
"""Live bytes at the peak by stack, in the format that flame graphs are made of.

The format is that of Brendan Gregg's stackcollapse scripts: the frames of a stack, the outermost
first, with a semicolon between them, then a space and the stack's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

from percpu_ffi._util.text import printable
from percpu_ffi.analysis.callers import function
from percpu_ffi.analysis.lifetimes import lives_of
from percpu_ffi.analysis.origins import Selection, origins
from percpu_ffi.trace import Trace

ALL = Selection()
UNKNOWN = "(unknown)"


def folded(trace: Trace, chosen: Selection = ALL, copies: int | None = None) -> list[str]:
    """Return a line for each stack with live bytes at the peak of the trace, sorted.

    An allocation without a stack has two frames: its task and its call site.

    Args:
        trace: the trace.
        chosen: the allocations to include.
        copies: by how many the bytes of one CPU's copies are multiplied; None: one.

    Raises:
        ConfigError: no allocation is included, or an argument is of a wrong type.
        TraceError: the trace is damaged.

    """
    chosen.check()
    lives = lives_of(trace)
    found, numbers = origins(trace, lives.born)
    included = [chosen.includes(origin) for origin in found]
    if found and not any(included):
        raise chosen.nothing(trace)
    of_stack = cache(_of_stack)  # many origins have equal stacks
    frames = [of_stack(o.stack) or _joined([o.task, o.kind.site]) for o in found]
    totals: Counter[str] = Counter()
    for area in lives.at_peak(range(len(numbers))):
        if included[number := numbers[area]]:
            size = trace.kinds[lives.kinds[area]].size
            totals[frames[number]] += max(size, 0) * (copies or 1)
    return [f"{stack} {value}" for stack, value in sorted(totals.items()) if value]


def _of_stack(stack: str) -> str:
    return _joined([function(frame) for frame in reversed(stack.splitlines())])


def _joined(names: Iterable[str]) -> str:
    return ";".join(printable(name).replace(";", ":") or UNKNOWN for name in names)
