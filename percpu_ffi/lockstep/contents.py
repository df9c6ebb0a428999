# SPDX-License-Identifier: GPL-2.0-only
"""Patterns in the areas of an allocator with real memory, written and verified."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

PERIOD = 61  # bytes of a pattern; prime, so that it differs from page to page


class Contents:
    """What was written to the live areas of an allocator."""

    def __init__(self, allocator: Any, cpus: int) -> None:
        self.allocator = allocator
        self.cpus = cpus  # 0: it has no memory
        self.areas = 0  # written so far
        self.written: dict[int, tuple[int, int]] = {}  # number and size, by pointer

    @classmethod
    def of(cls, allocator: Any) -> Contents:
        """Make the contents of a new allocator: it has memory if its static area has."""
        cpus = 0
        with suppress(Exception), allocator.view(allocator.static_ptr, 0):
            cpus = allocator.cpus
        return cls(allocator, cpus)

    def write(self, pointer: int, size: int) -> None:
        """Fill a new area, a different pattern for each CPU.

        Raises:
            AssertionError: the area was not zeroed.

        """
        if not self.cpus:
            return
        self.areas += 1
        self.written[pointer] = self.areas, size
        for cpu in range(self.cpus):
            with self.allocator.view(pointer, cpu) as view:
                if view[:size] != bytes(size):
                    raise AssertionError(f"CPU {cpu}'s copy is not zeroed")
                view[:size] = pattern(self.areas, cpu, size)

    def verify(self, pointer: int) -> None:
        """Compare an area, which is freed next, with what was written.

        Raises:
            AssertionError: they differ.

        """
        if not self.cpus:
            return
        number, size = self.written.pop(pointer)
        for cpu in range(self.cpus):
            with self.allocator.view(pointer, cpu) as view:
                if view[:size] != pattern(number, cpu, size):
                    raise AssertionError(f"CPU {cpu}'s copy has changed")


def pattern(number: int, cpu: int, size: int) -> bytes:
    """Return the contents of one CPU's copy of an area."""
    block = hashlib.blake2b(f"{number} {cpu}".encode(), digest_size=PERIOD).digest()
    return (block * (size // PERIOD + 1))[:size]
