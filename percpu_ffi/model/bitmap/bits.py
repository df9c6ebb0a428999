# SPDX-License-Identifier: GPL-2.0-only
"""A string of bits, with a byte for each: so Python searches it at the speed of memory."""

from __future__ import annotations


class Bits(bytearray):
    """Bits that are 0 or 1; a range is [start, end)."""

    def next_set(self, start: int, end: int) -> int:
        """Return the first 1 of a range, or its end."""
        found = self.find(1, start, end)
        return end if found < 0 else found

    def next_clear(self, start: int, end: int) -> int:
        """Return the first 0 of a range, or its end."""
        found = self.find(0, start, end)
        return end if found < 0 else found

    def after_last_set(self, start: int, end: int) -> int:
        """Return the bit after the last 1 of a range, or its start."""
        found = self.rfind(1, start, end)
        return start if found < 0 else found + 1

    def fill(self, start: int, end: int, bit: int) -> None:
        """Set or clear a range."""
        self[start:end] = bytes([bit]) * (end - start)
