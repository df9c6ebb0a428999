# SPDX-License-Identifier: GPL-2.0-only
"""The keys and the figures of the rows of :mod:`percpu_ffi.analysis.call_sites`.

Keys have the names of the kernel's tools/mm/page_owner_sort.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.analysis.callers import function

if TYPE_CHECKING:
    from percpu_ffi.analysis.origins import Origin

Value = str | int | bool | None
"""The value of a key; None or an empty text: unknown."""

CULL: dict[str, Callable[[Origin], Value]] = {
    "site": lambda origin: origin.kind.site,
    "function": lambda origin: function(origin.kind.site),
    "caller": lambda origin: origin.caller,
    "stacktrace": lambda origin: origin.stack,
    "task": lambda origin: origin.task,
    "pid": lambda origin: origin.pid,
    "size": lambda origin: origin.kind.size,
    "align": lambda origin: origin.kind.align,
    "gfp": lambda origin: origin.kind.gfp,
    "atomic": lambda origin: "atomic" in origin.kind.flags,
}
TEXT = ("site", "size", "align")  # what "txt" means: all that every recording has

# keys that a recording may lack: the column, what it is, where it comes from
TASKS = (
    "recordings of ftrace and perf have them, but not files that versions before 0.2 saved: "
    "read the kernel's text again, or `percpu-ffi record`"
)
REQUESTS = "kernels before 5.19 do not print them"
NEEDS = {
    "stacktrace": ("stack", "stacks", "record them: `percpu-ffi record --stacks`, `perf record -g` "
                   "or `trace-cmd record -T`; --cull caller does without"),
    "task": ("task", "tasks", TASKS),
    "pid": ("pid", "ids of tasks", TASKS),
    "gfp": ("gfp", "gfp flags", REQUESTS),
    "atomic": ("atomic", "flags of allocations, whether they are atomic", "files that versions "
               "before 0.2 saved do not: read the kernel's text again, or `percpu-ffi record`"),
}  # fmt: skip

# other names, most of them of page_owner_sort
CULL_NAMES = {"st": "stacktrace", "fn": "function", "p": "pid", "name": "task", "n": "task"}
SORT_NAMES = {
    **CULL_NAMES,
    "memory": "peak_bytes",
    "times": "allocs",
    "alloc_ts": "first_alloc",
    "at": "first_alloc",
    "free_ts": "last_free",
    "ft": "last_free",
}
TEXT_NAMES = ("txt", "T")
NOT_RECORDED = ("tgid", "tg", "allocator", "ator")
DEFAULT_SORT = "-memory"


class Figures(NamedTuple):
    """Figures of the areas in a row; bytes are those of one CPU's copies, or of ``copies``."""

    peak_bytes: int
    """Live bytes at the peak of the whole trace."""
    peak_areas: int
    """Live areas at the peak."""
    end_bytes: int
    """Live bytes at the end."""
    never_freed: int
    """Live areas at the end."""
    allocs: int
    """Allocations: ``frees`` + ``reallocs`` + ``never_freed``."""
    frees: int
    """Areas whose free was recorded."""
    reallocs: int
    """Areas whose free was not recorded, but whose pointer was allocated again."""
    bytes: int
    """Bytes of all allocations."""
    life_p50: int | None
    """Median of the known lifetimes of areas whose free was recorded, ns or operations."""
    life_p99: int | None
    """The 99th percentile."""
    min_size: int
    """Bytes."""
    max_size: int
    """Bytes."""
    common_size: int
    """The most frequent size, bytes; the smallest of several."""
    first_alloc: int | None
    """Time of the first allocation, ns or operations; None: unknown."""
    last_free: int | None
    """Time of the last recorded free."""
    life_unknown: int
    """Areas whose free was recorded, but is timed before the allocation, or a time is unknown."""
    life_uncertain: int
    """Areas with lost events between the allocation and the recorded free."""


FIGURES = Figures._fields
