# SPDX-License-Identifier: GPL-2.0-only
"""The first dynamic per-CPU allocator of Linux, in userspace.

A port of mm/percpu.c as it entered Linux in February 2009 (commit 8d408b4be37b, by
Tejun Heo), in C, with real per-CPU memory, and a reader for the traces that kernels
print of their own per-CPU allocator.  And the same again in pure Python, to be read.

>>> from percpu_ffi import Allocator
>>> with Allocator(cpus=2) as allocator:
...     counter = allocator.area(8)
...     counter[0][0] = 42
...     counter[1][0]
...     counter.free()
0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from percpu_ffi.allocator import Allocator
    from percpu_ffi.area import Area
    from percpu_ffi.embed import get_include, get_library, get_sources
    from percpu_ffi.embed.builder import get_ffibuilder
    from percpu_ffi.errors import (
        ClosedError,
        ConfigError,
        DoubleFree,
        InteriorPointer,
        InvalidPointer,
        InvalidRequest,
        InvariantError,
        OtherUnitPointer,
        PercpuError,
        PercpuMemoryError,
        PercpuWarning,
        StaticPointer,
        StatsError,
        TraceError,
        WildPointer,
    )
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.model import Model
    from percpu_ffi.replay import Failure, Replay
    from percpu_ffi.state import ChunkState, Location, State
    from percpu_ffi.trace import Places, Trace, TraceStats
    from percpu_ffi.tracing.ftrace import Tracing
    from percpu_ffi.work import Work, WorkByCall

__all__ = [
    "Allocator",
    "Area",
    "ChunkState",
    "ClosedError",
    "ConfigError",
    "DoubleFree",
    "Failure",
    "InteriorPointer",
    "InvalidPointer",
    "InvalidRequest",
    "InvariantError",
    "Location",
    "Model",
    "OtherUnitPointer",
    "PerCpu",
    "PercpuError",
    "PercpuMemoryError",
    "PercpuWarning",
    "Places",
    "Replay",
    "State",
    "StaticPointer",
    "StatsError",
    "Trace",
    "TraceError",
    "TraceStats",
    "Tracing",
    "WildPointer",
    "Work",
    "WorkByCall",
    "get_ffibuilder",
    "get_include",
    "get_library",
    "get_sources",
]

__version__ = "0.1.0"


# Where things are; each is loaded when it is first asked for.  So the allocator alone needs
# what is compiled, and pytest, which loads our plugin in every project, little of all this.
_HOMES = {
    "allocator": "Allocator",
    "area": "Area",
    "embed": "get_include get_library get_sources",
    "embed.builder": "get_ffibuilder",
    "errors": "ClosedError ConfigError DoubleFree InteriorPointer InvalidPointer InvalidRequest "
    "InvariantError OtherUnitPointer PercpuError PercpuMemoryError PercpuWarning StaticPointer "
    "StatsError TraceError WildPointer",
    "interface": "PerCpu",
    "model": "Model",
    "replay": "Failure Replay",
    "state": "ChunkState Location State",
    "trace": "Places Trace TraceStats",
    "tracing.ftrace": "Tracing",
    "work": "Work WorkByCall",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
