# SPDX-License-Identifier: GPL-2.0-only
"""The contents of a chunk of the model, and views of them.

A chunk has memory from the first view or address on, all units at once: populating and
depopulating pages changes only ``populated``.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Callable
from typing import Any

from percpu_ffi import errors

# not weakref.finalize(), whose frame a profiler may keep, with the object
_ends: dict[int, tuple[weakref.ref[Any], Callable[[], object]]] = {}


def _end(ref: weakref.ref[Any]) -> None:
    _, at_end = _ends.pop(id(ref))
    at_end()


class Memory:
    """The units of one chunk, zeroed; mapped at its first use."""

    def __init__(self, unit_size: int, cpus: int, page_size: int, image: bytes = b"") -> None:
        """Start without memory of the host; ``image`` is what each unit starts with."""
        self.unit_size, self.cpus, self.page_size, self.image = unit_size, cpus, page_size, image
        self.bytes: mmap.mmap | None = None
        self.start = 0

    def map(self) -> None:
        """Map memory of the host, if that was not done before.

        Raises:
            PercpuMemoryError: the host has none.

        """
        if self.bytes is not None:
            return
        try:
            # private: after a fork each process has its own copy
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self.bytes = mmap.mmap(-1, self.unit_size * self.cpus + self.page_size, flags=flags)
        except (OSError, ValueError, OverflowError):
            raise errors.host_out_of_memory() from None
        # the host aligns to its own page size only
        self.start = -self._real_address(0) % self.page_size
        self._fill(0, self.image)

    def clear(self, offset: int, size: int) -> None:
        """Zero a range of every CPU's unit."""
        if self.bytes is not None:
            self._fill(offset, bytes(size))

    def _fill(self, offset: int, image: bytes) -> None:
        """Write the same bytes into every CPU's unit."""
        assert self.bytes is not None, "mapped before"
        for cpu in range(self.cpus):
            start = self._at(offset, cpu)
            self.bytes[start : start + len(image)] = image

    def address(self, offset: int, cpu: int) -> int:
        """Return the real address of a byte of one CPU's unit."""
        return self._real_address(self._at(offset, cpu))

    def view(self, offset: int, size: int, cpu: int, at_end: Callable[[], object]) -> memoryview:
        """Return a view; ``at_end`` is called when it and all made from it are gone."""
        assert self.bytes is not None, "mapped before"
        copy = (ctypes.c_char * size).from_buffer(self.bytes, self._at(offset, cpu))
        # everything made from the view keeps this object alive
        ref = weakref.ref(copy, _end)
        _ends[id(ref)] = ref, at_end
        try:
            return memoryview(copy).cast("B")
        finally:
            del copy  # or a profiler that keeps this frame keeps it

    def _at(self, offset: int, cpu: int) -> int:
        return self.start + cpu * self.unit_size + offset

    def _real_address(self, at: int) -> int:
        assert self.bytes is not None, "mapped before"
        return ctypes.addressof(ctypes.c_char.from_buffer(self.bytes, at))
