# SPDX-License-Identifier: GPL-2.0-only
"""Find the function that wants an area: the first one of the stack that is no per-CPU helper."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property

# functions of Linux 5.x and 6.x that allocate for their caller; * and ? match any characters
HELPERS = (
    # the tracepoint
    "trace_event_*", "trace_buffer_*", "trace_percpu_*", "__traceiter_*", "__do_trace_*",
    "perf_trace_*", "__ftrace_trace_stack",
    # mm/percpu.c, include/linux/percpu.h, drivers/base/devres.c
    "pcpu_alloc*", "alloc_percpu*", "__alloc_percpu*", "__alloc_reserved_percpu",
    "devm_alloc_percpu*", "__devm_alloc_percpu*",
    # lib: counters, references, proportions, bitmaps
    "percpu_counter_init*", "__percpu_counter_init*", "percpu_counter_tree_init*",
    "percpu_ref_init", "fprop_global_init", "fprop_local_init_percpu",
    "sbitmap_init_node", "sbitmap_queue_init_node",
    # kernel: locks, RCU, maps of BPF
    "percpu_init_rwsem", "__percpu_init_rwsem", "init_srcu_struct*", "__init_srcu_struct*",
    "bpf_map_alloc_percpu", "bpf_array_alloc_percpu", "bpf_mem_alloc*init", "pcpu_freelist_init",
    # net: counters of rules and of devices
    "xt_percpu_counter_alloc", "netdev_do_alloc_pcpu_stats", "netdev_alloc_pcpu_stats*",
    "devm_netdev_alloc_pcpu_stats*",
)  # fmt: skip

# follows a helper that is shown because its caller is not known
CALLER_UNKNOWN = " (caller unknown)"

# what a recorder prints for a frame without a symbol
UNRESOLVED = re.compile(r"\[.*|\?+|-?\d+|0x[0-9a-f]+|[0-9a-f]{8,}")

# a call site that a tool prints without its name
ADDRESS = re.compile(r"0x[0-9a-f]+")


def function(frame: str) -> str:
    """Return a call site or a frame without its offset and its module."""
    return frame.partition("+0x")[0].partition(" [")[0]


class Callers:
    """The callers of allocations, by the stack or else by the call site."""

    def __init__(self, helpers: Iterable[str] = ()) -> None:
        """Extend ``HELPERS``; offsets and suffixes of the compiler do not matter."""
        self._patterns = (*HELPERS, *map(_plain, helpers))
        self._found: dict[tuple[str, str], str] = {}

    @cached_property
    def _helpers(self) -> re.Pattern[str]:
        """All patterns as one, which takes 3 ms to compile."""
        return re.compile("|".join(map(translate, self._patterns)))

    def of(self, stack: str, site: str) -> str:
        """Return the name of the caller, empty if neither a stack nor a call site is known.

        Args:
            stack: its frames, a line for each, the innermost first; empty: unknown.
            site: the call site, empty: unknown.

        """
        key = stack, site
        if key not in self._found:
            self._found[key] = self._in_stack(stack) or self._of_site(site)
        return self._found[key]

    def _in_stack(self, stack: str) -> str:
        for frame in stack.splitlines():
            name = function(frame)
            if UNRESOLVED.fullmatch(name):
                break  # it may be a helper
            if not self._is_helper(name):
                return name
        return ""

    def _of_site(self, site: str) -> str:
        name = function(site)
        return name + CALLER_UNKNOWN if self._is_helper(name) else name

    def _is_helper(self, name: str) -> bool:
        return self._helpers.match(_plain(name)) is not None


def _plain(name: str) -> str:
    """Drop what compilers and the profiling of allocations append to a name."""
    return function(name).partition(".")[0].removesuffix("_noprof")
