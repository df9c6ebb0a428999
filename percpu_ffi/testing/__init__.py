# SPDX-License-Identifier: GPL-2.0-only
"""Tools to test code that allocates per-CPU memory, and allocators themselves.

``Watched`` knows the live areas of an allocator and their contents; ``oom_sweep`` runs a
workload again and again and makes each of its service calls fail once; ``plugin`` has
fixtures for pytest, which loads it in every project: so the rest is loaded at its first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from percpu_ffi.testing.oom import Site, Sweep, SweepFailed, oom_sweep
    from percpu_ffi.testing.watched import Watched

__all__ = ["Site", "Sweep", "SweepFailed", "Watched", "oom_sweep"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from percpu_ffi.testing import oom  # noqa: PLC0415

    return getattr(oom, name)
