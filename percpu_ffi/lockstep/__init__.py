# SPDX-License-Identifier: GPL-2.0-only
"""Compare allocators with each other, operation by operation.

``drive`` and ``lockstep`` run a trace through two or more of them and stop at the first
difference; ``shorten`` finds a short trace that still shows it.  ``Campaign`` does this for
random traces on all cores, and can be resumed.

>>> from percpu_ffi import Allocator, Model, Trace
>>> trace = Trace.from_ops([("alloc", "a", 24, 8), ("free", "a")], {"cpus": 2})
>>> lockstep({"port": Allocator, "model": Model}, trace)
"""

from percpu_ffi.lockstep.campaign import Campaign, Totals
from percpu_ffi.lockstep.difference import Difference
from percpu_ffi.lockstep.driver import ASPECTS, AllocatorLike, Factory, drive, lockstep
from percpu_ffi.lockstep.random_traces import Mix
from percpu_ffi.lockstep.shorten import shorten

__all__ = [
    "ASPECTS",
    "AllocatorLike",
    "Campaign",
    "Difference",
    "Factory",
    "Mix",
    "Totals",
    "drive",
    "lockstep",
    "shorten",
]
