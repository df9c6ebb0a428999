# SPDX-License-Identifier: GPL-2.0-only
r"""Hints: what a chunk, or one of its pages, knows of its free runs.

A block is a page of a unit; a bit of the map is a granule of 4 bytes.  All numbers count
granules.  In a block of 48, with # in use:

    ....####...###........####..###########.........
    \__/    \_/   \______/                 \_______/
    left    scan  contig                   right

Largest known is the contig hint.  The scan hint is a run before it that is smaller, or equal,
and larger than what else is there: a request for more starts its search at its end.  Nothing is
free before ``first_free``.  There may be other runs, here that of 2 granules, and larger ones
than the hints say: they never say too much, but may forget.  Hints change with each area that
is taken or freed, and are learnt anew from the map only when the contig hint is lost.

Source: ``struct pcpu_block_md`` and ``pcpu_block_update`` of Linux 5.2 to 6.x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi.state import Block

if TYPE_CHECKING:
    from percpu_ffi.model.rules import Rules


class Hints:
    """Eight numbers, of a block or of a whole chunk."""

    __slots__ = (*Block._fields, "mended", "rules")

    def __init__(self, nr_bits: int, *, mended: bool, rules: Rules) -> None:
        """All granules are free.

        Args:
            nr_bits: granules covered.
            mended: the fix ``"chunk-hint"``.
            rules: counts those that apply.

        """
        self.mended, self.rules = mended, rules
        self.nr_bits = nr_bits
        self.set_free()

    def describe(self) -> Block:
        """Return the numbers."""
        return Block(
            self.scan_hint,
            self.scan_hint_start,
            self.contig_hint,
            self.contig_hint_start,
            self.left_free,
            self.right_free,
            self.first_free,
            self.nr_bits,
        )

    def set_free(self) -> None:
        """All granules are free (``pcpu_init_md_block``)."""
        self.contig_hint = self.left_free = self.right_free = self.nr_bits
        self.contig_hint_start = self.scan_hint = self.scan_hint_start = self.first_free = 0

    def set_full(self) -> None:
        """No granule is free; positions stay."""
        self.scan_hint = self.contig_hint = self.left_free = self.right_free = 0

    @property
    def is_free(self) -> bool:
        """Whether all granules are free."""
        return self.contig_hint == self.nr_bits

    # --- learn

    def learn(self, start: int, end: int) -> None:
        """Learn a free run that nothing prolongs (``pcpu_block_update``)."""
        run = end - start
        self.first_free = min(self.first_free, start)
        if start == 0:
            self.left_free = run
        if end == self.nr_bits:
            self.right_free = run

        if run > self.contig_hint:
            self._learn_longer(start)
            self.contig_hint_start, self.contig_hint = start, run
        elif run == self.contig_hint:
            self._learn_equal(start)
        elif start < self.contig_hint_start and (
            run > self.scan_hint or (run == self.scan_hint and start > self.scan_hint_start)
        ):
            self.rules.note("shorter run becomes the scan hint")
            self.scan_hint_start, self.scan_hint = start, run

    def _learn_longer(self, start: int) -> None:
        """Keep the contig hint as the scan hint, if it is before the run that replaces it."""
        contig_is_known = self.contig_hint > 0 or not self.mended
        if start <= self.contig_hint_start and contig_is_known:
            self.rules.note("longer run before the contig hint")
            self.scan_hint = 0
        elif self.contig_hint > self.scan_hint:
            self.rules.note("longer run, contig hint becomes scan hint")
            self.scan_hint_start, self.scan_hint = self.contig_hint_start, self.contig_hint
        elif start < self.scan_hint_start:
            self.rules.note("longer run before the scan hint")
            self.scan_hint = 0

    def _learn_equal(self, start: int) -> None:
        """Prefer the better aligned start; the other run may be a scan hint."""
        if self.contig_hint_start and better_aligned(start, self.contig_hint_start):
            self.rules.note("equal run, better aligned")
            self.contig_hint_start = start
            if start < self.scan_hint_start and self.contig_hint > self.scan_hint:
                self.scan_hint = 0
        elif start > self.scan_hint_start or self.contig_hint > self.scan_hint:
            self.rules.note("equal run becomes the scan hint")
            self.scan_hint_start, self.scan_hint = start, self.contig_hint

    def promote(self) -> int:
        """The contig hint is lost: the scan hint takes its place; return where that run ends.

        Nothing before it is larger, so the search for other runs goes on there.
        """
        self.contig_hint_start, self.contig_hint = self.scan_hint_start, self.scan_hint
        self.scan_hint = 0
        return self.contig_hint_start + self.contig_hint

    # --- lose

    def forget_scan(self, start: int, end: int) -> None:
        """Forget the scan hint, if [start, end) was taken from it."""
        if overlap(start, end, self.scan_hint_start, self.scan_hint):
            self.scan_hint = 0

    def loses_contig(self, start: int, end: int) -> bool:
        """Return whether [start, end) was taken from the contig hint."""
        return overlap(start, end, self.contig_hint_start, self.contig_hint)

    # --- search

    def fits(self, bits: int, align: int) -> bool:
        """Return whether the best known run has an aligned place (``pcpu_check_block_hint``)."""
        return self.aligned(align) - self.contig_hint_start + bits <= self.contig_hint

    def aligned(self, align: int) -> int:
        """Return the first aligned granule from the contig hint's start on."""
        return up(self.contig_hint_start, align)

    def next_hint(self, bits: int) -> int:
        """Return where a search starts: what is too small is skipped (``pcpu_next_hint``)."""
        is_before = self.scan_hint > 0 and self.scan_hint_start < self.contig_hint_start
        if not is_before or bits <= self.scan_hint:
            return self.first_free
        self.rules.note("search skips the scan hint")
        return self.scan_hint_start + self.scan_hint


def up(bit: int, align: int) -> int:
    """Round up to a multiple of a power of two."""
    return (bit + align - 1) & -align


def better_aligned(start: int, other: int) -> bool:
    """Return whether a start has more trailing zero bits than another one; 0 has the most."""
    return start == 0 or start & -start > other & -other


def overlap(start: int, end: int, at: int, run: int) -> bool:
    """Return whether [start, end) touches the run at ``at``, as the kernel calculates it."""
    return start < at + run and at < end
