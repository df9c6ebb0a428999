# SPDX-License-Identifier: GPL-2.0-only
"""Work in progress: counts that grow where the work is done."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace

from percpu_ffi.work import Work

ENTRY = 4  # sizeof(int): bytes of a map entry


class Tally(SimpleNamespace):
    """The counts of :class:`percpu_ffi.Work`, to be added to."""

    def __init__(self) -> None:
        super().__init__(**asdict(Work()))

    def move(self, entries: int) -> None:
        """Count entries that move inside a map."""
        self.entries_moved += entries
        self.bytes_moved += entries * ENTRY

    def taken(self) -> Work:
        """Return the counts so far."""
        return Work(**vars(self))
