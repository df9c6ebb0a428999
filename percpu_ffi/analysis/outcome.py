# SPDX-License-Identifier: GPL-2.0-only
"""What the replay of a trace under one geometry gives: its figures, or why it is impossible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from percpu_ffi.work import Work, WorkByCall

STEPS = ("slots_visited", "chunks_visited", "entries_scanned", "entries_moved", "tree_steps")


@dataclass(frozen=True)
class Outcome:
    """The figures of one geometry; live bytes are those of one CPU's copies."""

    geometry: dict[str, Any]
    """The settings named in ``GEOMETRY``, with automatic values filled in; sizes in bytes.

    ``first_chunk`` is None except with the area map.  A reserved area counts as a part of the
    static one.
    """
    failures: int
    """Operations that failed."""
    failure_reasons: dict[str, int]
    """Message -> count, the most frequent first."""
    live_bytes: int
    """Live bytes at the end."""
    peak_live_bytes: int
    """Live bytes at the peak."""
    pages: int
    """Page frames held at the end, by all CPUs, including static ones."""
    pages_at_peak: int
    """Page frames held at the peak of live bytes."""
    peak_pages: int
    """The most page frames held at any time."""
    chunks: int
    """Chunks at the end, including the first one."""
    peak_chunks: int
    """The most chunks at any time, including the first one."""
    chunks_created: int
    """Chunks created."""
    chunks_destroyed: int
    """Chunks destroyed."""
    hidden: int | None
    """Free bytes on all CPUs at the end, in chunks whose contig hint says that there are none.

    None: a policy of the user has no hints.
    """
    peak_hidden: int | None
    """The most of them at any time."""
    work: WorkByCall
    """What the kernel's code has to do for the same requests; of a policy of the user, what it
    reports."""
    offsets_known: int
    """Allocations whose offset in the recording kernel is in the trace."""
    same_offsets: int | None
    """How many of them have the kernel's offset in a unit, in whatever chunk; None: none known."""
    shift: int | None
    """The most frequent difference, the kernel's offset less ours, bytes: areas in the kernel's
    chunk that are older than the recording shift all that follow."""
    same_shifted: int | None
    """How many allocations have this difference."""

    @property
    def utilisation_at_peak(self) -> float:
        """Static and live bytes as a share of the page frames, at the peak."""
        held = self.pages_at_peak * int(self.geometry["page_size"])
        return self._used(self.peak_live_bytes) / held

    @property
    def stranded_at_peak(self) -> int:
        """Bytes of page frames that are neither static nor live, on all CPUs, at the peak."""
        return self._stranded(self.pages_at_peak, self.peak_live_bytes)

    @property
    def stranded(self) -> int:
        """The same at the end."""
        return self._stranded(self.pages, self.live_bytes)

    def _used(self, live: int) -> int:
        return int(self.geometry["static_size"] + live) * int(self.geometry["cpus"])

    def _stranded(self, pages: int, live: int) -> int:
        # with the quirk "rollback" live areas may have lost their pages
        return max(pages * int(self.geometry["page_size"]) - self._used(live), 0)


@dataclass(frozen=True)
class Refusal:
    """An impossible geometry."""

    geometry: dict[str, Any]
    """The settings named in ``GEOMETRY``, as requested; 0 for sizes that were not given."""
    reason: str
    """The message of the error."""


def steps(work: Work) -> float:
    """Return the steps of the kernel's code for one call: lists, chunks, map entries, tree nodes.

    With bitmaps: lists, chunks, blocks and words of the map.
    """
    each = work.per_operation()
    return sum(each[name] for name in STEPS)
