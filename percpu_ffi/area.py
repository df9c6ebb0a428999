# SPDX-License-Identifier: GPL-2.0-only
"""One per-CPU area as an object."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from percpu_ffi import errors
from percpu_ffi._util.text import plural

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu


class Area:
    """A per-CPU area: ``len(area)`` copies, ``area[cpu]`` a writable view of one.

    Made by :meth:`Allocator.area <percpu_ffi.Allocator.area>`.  It is freed by
    :meth:`free` or at the end of a ``with`` block, not when the object is deleted.  Threads may
    share it: one :meth:`free` succeeds, the others raise DoubleFree.
    """

    __slots__ = {
        "_allocator": None,
        "_freed": None,
        "ptr": "Per-CPU pointer of the area.",
        "size": "Bytes of each copy, as requested.",
    }

    def __init__(self, allocator: PerCpu, ptr: int, size: int) -> None:
        """Take over a pointer that ``allocator.alloc(size)`` returned."""
        self._allocator = allocator
        # a flag that only one thread can set; no thread waits for it
        self._freed = threading.Lock()
        self.ptr = ptr
        self.size = size

    def __repr__(self) -> str:
        freed = ", freed" if self._freed.locked() else ""
        size, cpus = plural(self.size, "byte", ""), plural(len(self), "CPU", "")
        return f"<Area {self.ptr:#x}, {size} on {cpus}{freed}>"

    def __len__(self) -> int:
        return self._allocator.cpus

    def __getitem__(self, cpu: int) -> memoryview:
        """Return a writable view of one CPU's copy, ``size`` bytes; -1 is the last CPU.

        Raises:
            IndexError: no such CPU.
            InvalidPointer: the area was freed.
            ConfigError: the allocator maps no memory, or ``cpu`` is not an integer.

        """
        self._check()
        cpus = len(self)
        try:
            number = operator.index(cpu)
        except TypeError:
            raise errors.wrong_type("cpu", cpu, "an integer") from None
        if not -cpus <= number < cpus:
            raise IndexError(f"cpu {errors.shown(cpu)}: this area has CPUs 0 to {cpus - 1}")
        # the map may have rounded a few bytes into the area: they are not the caller's
        view = self._allocator.view(self.ptr, number % cpus)[: self.size]
        # the view keeps the area from being freed; another thread may have freed it before
        self._check()
        return view

    def __iter__(self) -> Iterator[memoryview]:
        """Return views of all copies, CPU 0 first."""
        return (self[cpu] for cpu in range(len(self)))

    def __enter__(self) -> Area:
        return self

    def __exit__(self, *error: object) -> None:
        if self._freed.acquire(blocking=False):
            self._free()

    def free(self) -> None:
        """Free the area.

        Raises:
            BufferError: a view of it is alive.
            DoubleFree: it was freed before.

        """
        if not self._freed.acquire(blocking=False):
            raise errors.DoubleFree.of(self.ptr)
        self._free()

    def _free(self) -> None:
        """Free the area, which only this thread has marked as freed."""
        try:
            self._allocator.free(self.ptr)
        except (errors.PercpuError, BufferError):
            self._freed.release()
            raise

    def _check(self) -> None:
        """Refuse a freed area: its pointer may be that of another area by now."""
        if self._freed.locked():
            raise errors.DoubleFree.of(self.ptr)
