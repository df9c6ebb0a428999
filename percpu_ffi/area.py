# SPDX-License-Identifier: GPL-2.0-only
"""One per-CPU area as an object."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING

from percpu_ffi import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from percpu_ffi.interface import PerCpu

__all__ = ["Area"]


class Area:
    """A per-CPU area: ``len(area)`` copies, ``area[cpu]`` a writable view of one.

    Made by :meth:`Allocator.area <percpu_ffi.Allocator.area>`.  It is freed by
    :meth:`free` or at the end of a ``with`` block, not when it is forgotten.  Threads may
    share it: one of those that free it does, the others are told that it was freed.
    """

    __slots__ = ("_allocator", "_freed", "ptr", "size")

    def __init__(self, allocator: PerCpu, ptr: int, size: int) -> None:
        """Take over a pointer that ``allocator.alloc(size)`` gave."""
        self._allocator = allocator
        # a flag that only one thread can set; nobody ever waits for it
        self._freed = threading.Lock()
        self.ptr = ptr
        self.size = size

    def __repr__(self) -> str:
        freed = ", freed" if self._freed.locked() else ""
        return f"<Area {self.ptr:#x}, {self.size} bytes on {len(self)} CPUs{freed}>"

    def __len__(self) -> int:
        return self._allocator.cpus

    def __getitem__(self, cpu: int) -> memoryview:
        """Look at one CPU's copy: ``size`` bytes, writable; -1 is the last CPU.

        Raises:
            IndexError: no such CPU.
            InvalidPointer: the area was freed.
            ConfigError: the allocator maps no memory.

        """
        self._check()
        cpus = len(self)
        number = operator.index(cpu)
        if not -cpus <= number < cpus:
            raise IndexError(f"cpu {number}: this area has CPUs 0 to {cpus - 1}")
        # the map may have rounded a few bytes into the area: not the caller's
        view = self._allocator.view(self.ptr, number % cpus)[: self.size]
        # from now on nobody can free the area; until now somebody could
        self._check()
        return view

    def __iter__(self) -> Iterator[memoryview]:
        """Look at the copies, CPU 0 first."""
        return (self[cpu] for cpu in range(len(self)))

    def __enter__(self) -> Area:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._freed.acquire(blocking=False):
            self._give_back()

    def free(self) -> None:
        """Free the area.

        Raises:
            BufferError: a view of it is alive.
            DoubleFree: it was freed before.

        """
        if not self._freed.acquire(blocking=False):
            raise errors.double_free(self.ptr)
        self._give_back()

    def _give_back(self) -> None:
        """Free the area, which this thread alone has marked as freed."""
        try:
            self._allocator.free(self.ptr)
        except (errors.PercpuError, BufferError):
            self._freed.release()
            raise

    def _check(self) -> None:
        """The pointer of a freed area may stand for somebody else's by now."""
        if self._freed.locked():
            raise errors.double_free(self.ptr)
