# SPDX-License-Identifier: GPL-2.0-only
"""The first dynamic per-CPU allocator of Linux, in userspace.

``Allocator`` is a port of the 2009 file (mm/percpu.c as it entered Linux in February 2009,
commit 8d408b4be37b, by Tejun Heo) in C, with real per-CPU memory.  ``Model`` is the same in
pure Python, to be read.  ``Trace`` reads what kernels print of their own per-CPU allocator.

>>> from percpu_ffi import Allocator
>>> with Allocator(cpus=2) as allocator:
...     counter = allocator.area(8)
...     counter[0][0] = 42
...     counter[1][0]
...     counter.free()
0
"""

from importlib import import_module

# The public names, and the module of each, loaded at first use: only the allocator needs the
# compiled core, and pytest, which loads our plugin in every project, needs almost nothing.
with open(f"{__file__}i", encoding="utf-8") as _stub:  # pathlib takes 10 ms to load
    _HOME_OF = {line.split()[3]: line.split()[1] for line in _stub if line.startswith("from ")}

__all__ = sorted(_HOME_OF.keys() - {"__version__"})  # noqa: PLE0605 - type checkers read the stub


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
