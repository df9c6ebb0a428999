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

from percpu_ffi import errors


class Memory:
    """The units of one chunk, zeroed."""

    def __init__(self, unit_size: int, cpus: int, page_size: int) -> None:
        """Map memory of the host.

        Raises:
            PercpuMemoryError: the host has none.

        """
        self.unit_size, self.cpus = unit_size, cpus
        try:
            # private: after a fork each process has its own copy
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self.bytes = mmap.mmap(-1, unit_size * cpus + page_size, flags=flags)
        except (OSError, ValueError, OverflowError):
            raise errors.host_out_of_memory() from None
        # the host aligns to its own page size only
        self.start = -self._real_address(0) % page_size

    def fill(self, offset: int, image: bytes) -> None:
        """Write the same bytes into every CPU's unit."""
        for cpu in range(self.cpus):
            start = self._at(offset, cpu)
            self.bytes[start : start + len(image)] = image

    def address(self, offset: int, cpu: int) -> int:
        """Return the real address of a byte of one CPU's unit."""
        return self._real_address(self._at(offset, cpu))

    def view(self, offset: int, size: int, cpu: int, at_end: Callable[[], object]) -> memoryview:
        """Return a view; ``at_end`` is called when it and all made from it are gone."""
        copy = (ctypes.c_char * size).from_buffer(self.bytes, self._at(offset, cpu))
        # everything made from the view keeps this object alive
        weakref.finalize(copy, at_end).atexit = False
        return memoryview(copy).cast("B")

    def _at(self, offset: int, cpu: int) -> int:
        return self.start + cpu * self.unit_size + offset

    def _real_address(self, at: int) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(self.bytes, at))
