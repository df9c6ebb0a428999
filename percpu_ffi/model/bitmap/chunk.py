# SPDX-License-Identifier: GPL-2.0-only
"""One chunk: its bitmaps and hints, and how areas are found in it, taken and freed.

A bit is a granule of 4 bytes.  One map has the granules in use, the other the bounds of areas:
the first granule of each, and the granule after it.  A page has a block of hints, the chunk
has hints of its own.  After areas of 3, 2 and 4 granules, of which the second was freed:

    in use   ###..####.......
    bounds   |..|.|...|          a free finds the length by the next bound
    hints    contig 7 at 9, scan 2 at 3, left 0, right 7, first_free 3

A search goes from the coarse to the fine, and only the last step reads the map:

    1  the chunk's hints    may there be a place at all, and where does the search start?
    2  the blocks' hints    which block, or which blocks in a row, have a run long enough?
    3  the map              where is the first aligned place from there on?

So an area is placed where the hints lead to, and what they do not know is not used.

Source: ``mm/percpu.c`` of Linux 5.14 to 6.x by Dennis Zhou.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.config import GRANULE
from percpu_ffi.model.bitmap.bits import Bits
from percpu_ffi.model.bitmap.block import Hints, better_aligned, up
from percpu_ffi.model.chunk import Chunk

if TYPE_CHECKING:
    from percpu_ffi.model.memory import Memory
    from percpu_ffi.model.rules import Rules


class Run(NamedTuple):
    """Free granules in a row."""

    start: int
    """The first one, from the start of the chunk."""
    bits: int
    """How many."""


NOTHING = Run(0, 0)
WORD = 64  # granules of a word of the map


class BitmapChunk(Chunk):
    """A chunk with its bitmaps."""

    def __init__(
        self,
        number: int,
        pages: int,
        memory: Memory,
        *,
        page_size: int,
        mended: bool,
        rules: Rules,
    ) -> None:
        """All granules are free.

        Args:
            number: its id.
            pages: of a unit, those that the chunk has.
            memory: contents.
            page_size: bytes.
            mended: the fix ``"chunk-hint"``.
            rules: counts those that apply.

        """
        super().__init__(number, pages, memory)
        self.mended, self.rules = mended, rules
        self.block_bits = page_size // GRANULE
        self.nr_bits = pages * self.block_bits
        self.used = Bits(self.nr_bits)
        self.bounds = Bits(self.nr_bits + 1)
        self.hints = Hints(self.nr_bits, mended=mended, rules=rules)
        self.blocks = [Hints(self.block_bits, mended=mended, rules=rules) for _ in range(pages)]
        self.free_bits = self.nr_bits
        self.served = range(self.nr_bits)  # the other granules are hidden, as if in use
        self.empty_pages = 0  # populated pages that are all free
        self.isolated = False  # its empty pages are to be depopulated
        self.read = 0  # blocks, and words of the map, that were read: see percpu_ffi.Work

    # --- areas

    def area_end(self, start: int) -> int:
        """Return the granule after the area that starts at one."""
        return self.bounds.next_set(start + 1, self.nr_bits + 1)

    def sizes(self) -> list[int]:
        """Return areas and free ranges as signed sizes in bytes: positive free, negative in use."""
        found, at = [], 0
        while at < self.nr_bits:
            is_used = self.used[at]
            end = self.area_end(at) if is_used else self.used.next_set(at, self.nr_bits)
            found.append((at - end if is_used else end - at) * GRANULE)
            at = end
        return found

    @property
    def hidden(self) -> int:
        """Bytes that are free, but no search finds: the contig hint says that there are none."""
        return 0 if self.hints.contig_hint else self.free_bits * GRANULE

    def _count_words(self, start: int, end: int) -> None:
        """Count the words of the map in [start, end) as read."""
        if start < end:
            self.read += (end - 1) // WORD - start // WORD + 1

    # --- search

    def find_fit(self, bits: int, align: int, *, populated_only: bool) -> int | None:
        """Find by the hints where an area may be, or None (``pcpu_find_block_fit``).

        Args:
            bits: granules of the area.
            align: granules, a power of two.
            populated_only: for an atomic request: all pages there are populated.

        """
        if not self.hints.fits(bits, align):
            return None
        at = self.hints.next_hint(bits)
        while at < self.nr_bits:
            run = self._next_fit(at, bits, align)
            if run is None:
                self.rules.note("hints of the blocks have no place, those of the chunk had")
                return None
            skip = self._unpopulated_end(run) if populated_only else None
            if skip is None:
                return run.start
            self.rules.note("atomic search goes on after unpopulated pages")
            at = skip
        return None

    def _next_fit(self, start: int, bits: int, align: int) -> Run | None:
        """Return the first answer of the blocks from a granule on (``pcpu_next_fit_region``).

        The answer is a range that has a place at its end, whatever is before it.
        """
        n = self.block_bits
        first, inside = divmod(start, n)
        carry = NOTHING  # a run that touches the end of the block before
        for number in range(first, len(self.blocks)):
            block = self.blocks[number]
            self.read += 1
            if carry.bits:
                carry = Run(carry.start, carry.bits + block.left_free)
                if carry.bits >= bits:
                    return carry
                if block.left_free == n:
                    continue
            if block.contig_hint and block.contig_hint_start >= inside and block.fits(bits, align):
                place = block.next_hint(bits)
                return Run(number * n + place, block.aligned(align) + bits - place)
            right = up(n - block.right_free, align)
            carry = Run(number * n + right, n - right)
            if carry.bits >= bits:
                return carry
            inside = 0
        return None

    def _unpopulated_end(self, run: Run) -> int | None:
        """Return where the first unpopulated pages under a run end; None: there are none."""
        n = self.block_bits
        pages = range(run.start // n, -(-(run.start + run.bits) // n))
        missing = False
        for page in pages:
            if not self.populated[page]:
                missing = True
            elif missing:
                return page * n
        return pages.stop * n if missing else None

    def find_place(self, start: int, bits: int, align: int) -> tuple[int | None, Run]:
        """Find an aligned place in the map (``pcpu_find_zero_area``).

        It ends at most a block after the place that the hints promised.

        Returns: its first granule, or None; and the longest run on the way that was too small,
            to be learnt when the place is taken.

        """
        used, skipped = self.used, NOTHING
        limit = min(start + bits + self.block_bits, self.nr_bits)
        origin = start
        while True:
            start = up(used.next_clear(start, limit), align)
            if start + bits > limit:
                self.rules.note("map has no place, the hints had")
                self._count_words(origin, limit)
                return None, skipped
            blocker = used.next_set(start, start + bits)
            if blocker == start + bits:
                self._count_words(origin, blocker)
                return start, skipped
            skipped = _longer(skipped, Run(start, blocker - start))
            start = blocker + 1

    # --- take

    def take(self, start: int, bits: int, skipped: Run = NOTHING) -> int:
        """Take free granules for an area (``pcpu_alloc_area``).

        Args:
            start: the first one.
            bits: how many.
            skipped: a run that the search found to be too small.

        Returns: the number of blocks that were all free.

        """
        end = start + bits
        if skipped.bits:
            self._learn_skipped(skipped)
        self.used.fill(start, end, 1)
        self.bounds.fill(start + 1, end, 0)
        self.bounds[start] = self.bounds[end] = 1
        self.free_bits -= bits
        return self._hints_after_take(start, end)

    def _learn_skipped(self, run: Run) -> None:
        """Let a block learn a run that is inside it (``pcpu_block_update_scan``)."""
        number, start = divmod(run.start, self.block_bits)
        end = start + run.bits
        if end > self.block_bits:
            self.rules.note("skipped run crosses pages, not learnt")
            return
        self.rules.note("skipped run learnt")
        self.blocks[number].learn(self._free_from(number, start), end)

    def _hints_after_take(self, start: int, end: int) -> int:
        """Update the hints, blocks before the chunk (``pcpu_block_update_hint_alloc``)."""
        n, hints = self.block_bits, self.hints
        (first, start_in), (last, end_in) = divmod(start, n), divmod(end - 1, n)
        end_in += 1
        were_free = int(self.blocks[first].is_free)
        if hints.first_free == start:
            hints.first_free = self.used.next_clear(end, self.nr_bits)
        self._take_in_first(first, start_in, end_in if first == last else n)
        if last > first:
            were_free += self.blocks[last].is_free + last - first - 1
            self._take_in_last(last, end_in)
            for block in self.blocks[first + 1 : last]:
                block.set_full()
        hints.forget_scan(start, end)
        if hints.loses_contig(start, end):
            self._refresh_chunk(full=False)
        return were_free

    def _take_in_first(self, number: int, start: int, end: int) -> None:
        """Update the block where an area starts: |....####..| or |....######|######...."""
        block = self.blocks[number]
        if block.first_free == start:
            block.first_free = self._next_free(number, end)
        block.forget_scan(start, end)
        if block.loses_contig(start, end):
            if start == 0:
                block.left_free = 0
            self._refresh_block(number)
        else:
            block.left_free = min(block.left_free, start)
            block.right_free = min(block.right_free, self.block_bits - end)

    def _take_in_last(self, number: int, end: int) -> None:
        """Update the block where an area ends that started before: ...######|####......|."""
        block = self.blocks[number]
        block.first_free = self._next_free(number, end)
        if end == self.block_bits:
            block.set_full()
            return
        if end > block.scan_hint_start:
            block.scan_hint = 0
        block.left_free = 0
        if end > block.contig_hint_start:
            self._refresh_block(number)
        else:
            block.right_free = min(block.right_free, self.block_bits - end)

    # --- free

    def release(self, start: int) -> int:
        """Free the granules of the area that starts at one (``pcpu_free_area``).

        Returns: the number of blocks that are all free now, and were not.

        """
        end = self.area_end(start)
        self.used.fill(start, end, 0)
        self.free_bits += end - start
        return self._hints_after_free(start, end)

    def _hints_after_free(self, start: int, end: int) -> int:
        """Update the hints (``pcpu_block_update_hint_free``)."""
        n, hints = self.block_bits, self.hints
        (first, start_in), (last, end_in) = divmod(start, n), divmod(end - 1, n)
        end_in += 1
        hints.first_free = min(hints.first_free, start)

        # the run that the freed granules are in now: contig hints spare a look at the map
        before, after = self.blocks[first], self.blocks[last]
        if before.contig_hint and before.contig_hint_start + before.contig_hint == start_in:
            run_start = before.contig_hint_start
        else:
            run_start = self._free_from(first, start_in)
        if after.contig_hint and after.contig_hint_start == end_in:
            run_end = end_in + after.contig_hint
        else:
            run_end = self._next_used(last, end_in)

        if first == last:
            before.learn(run_start, run_end)
            is_free = run_end - run_start == n
            if is_free:
                self._refresh_chunk(full=True)
            else:
                self._learn_in_chunk(first * n, run_start, run_end)
            return is_free

        before.learn(run_start, n)
        after.learn(0, run_end)
        for block in self.blocks[first + 1 : last]:
            block.set_free()
        self._refresh_chunk(full=True)
        return (run_start == 0) + (run_end == n) + last - first - 1

    def _learn_in_chunk(self, block_start: int, run_start: int, run_end: int) -> None:
        """Let the chunk learn a run inside one block, as the measured kernels do.

        They pass the start in the chunk, but the end in the block.  In every block but the first
        the run so has a negative length, and changes nothing: the chunk's contig hint stays too
        small until a free fills a block or crosses the boundary of two.

            chunk   |##########|####....##|          run 14 to 18 in the chunk
                               0   4   8             passed on as 14 to 8

        Source: patch 20190228021839.55779-12-dennis@kernel.org of Linux 5.2.
        """
        if self.mended:
            run_end += block_start
        if block_start + run_start > run_end:
            self.rules.note("chunk does not learn a freed run")
        self.hints.learn(block_start + run_start, run_end)

    # --- refresh

    def _refresh_block(self, number: int) -> None:
        """Learn a block's runs from the map: its contig hint is lost (``pcpu_block_refresh_hint``).

        ``left_free`` is not learnt anew unless the search starts at 0, and a promoted scan hint
        that touches the right edge leaves ``right_free`` 0: both as in the kernel.
        """
        block, n = self.blocks[number], self.block_bits
        if block.scan_hint:
            self.rules.note("block refreshed from the scan hint's end")
            end = block.promote()
            if end == n:
                self.rules.note("promoted scan hint at the right edge")
        else:
            self.rules.note("block refreshed from its first free granule")
            block.contig_hint, end = 0, block.first_free
        if block.left_free:
            self.rules.note("left_free kept in a refresh")
        block.right_free = 0
        self._count_words(number * n + end, (number + 1) * n)
        while (start := self._next_free(number, end)) < n:
            end = self._next_used(number, start)
            block.learn(start, end)

    def _refresh_chunk(self, *, full: bool) -> None:
        """Learn the chunk's runs from the hints of its blocks (``pcpu_chunk_refresh_hint``).

        Runs that no block knows as contig, left or right are not seen.  In a full refresh the
        scan hint stays.
        """
        hints = self.hints
        if hints.scan_hint and not full:
            self.rules.note("chunk refreshed from the scan hint's end")
            at = hints.promote()
        else:
            self.rules.note(
                "chunk refreshed in full" if full else "chunk refreshed from first_free"
            )
            if hints.scan_hint:
                self.rules.note("scan hint kept in a full refresh")
            hints.contig_hint, at = 0, hints.first_free
        self.read += len(self.blocks) - at // self.block_bits
        while at < self.nr_bits:
            run = self._next_known(at)
            if not run.bits:
                return
            hints.learn(run.start, run.start + run.bits)
            at = run.start + run.bits + 1  # the granule after a run is in use

    def _next_known(self, start: int) -> Run:
        """Return the next run from a granule on that blocks know (``pcpu_next_md_free_region``).

        That is a block's contig hint; or, if it touches the edge, or is before ``start``, the run
        at the right edge, with what follows in the next blocks.
        """
        n = self.block_bits
        first, inside = divmod(start, n)
        run = NOTHING
        for number in range(first, len(self.blocks)):
            block = self.blocks[number]
            if run.bits:
                run = Run(run.start, run.bits + block.left_free)
                if block.left_free < n:
                    return run
                continue
            at, bits = block.contig_hint_start, block.contig_hint
            if bits and at >= inside and at + bits < n:
                return Run(number * n + at, bits)
            run = Run((number + 1) * n - block.right_free, block.right_free)
            inside = 0
        return run

    # --- the map of one block; granules count from its start

    def _next_free(self, number: int, bit: int) -> int:
        base = number * self.block_bits
        return self.used.next_clear(base + bit, base + self.block_bits) - base

    def _next_used(self, number: int, bit: int) -> int:
        base = number * self.block_bits
        return self.used.next_set(base + bit, base + self.block_bits) - base

    def _free_from(self, number: int, bit: int) -> int:
        """Return where the free run starts that ends at a granule."""
        base = number * self.block_bits
        return self.used.after_last_set(base, base + bit) - base


def _longer(run: Run, other: Run) -> Run:
    """Return the longer run; of equal ones the other, if its start is better aligned.

    A start of 0 has the best alignment, and one that is kept stays.
    """
    if other.bits > run.bits:
        return other
    if other.bits == run.bits and run.start and better_aligned(other.start, run.start):
        return other
    return run
