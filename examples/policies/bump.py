# SPDX-License-Identifier: GPL-2.0-only
"""The smallest policy that gives memory back: each area comes after the last one.

          |static|area|area|    |area|area|              |
                            free         ^ end             a freed area's place is not used again

A chunk whose last area is freed is destroyed.  So one long-lived area keeps a whole chunk.

    percpu-ffi compare TRACE --with bump=examples.policies.bump:Bump
"""

from collections import Counter

from percpu_ffi import CustomPolicy


class Bump(CustomPolicy):
    """One step for each call, however many areas there are."""

    def start(self) -> None:
        """Start after the static area of the first chunk."""
        self.chunk, self.end = 0, self.static_size
        self.live: Counter[int] = Counter()  # areas of each chunk

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        """Put the area after the last one, in a new chunk if the unit ends."""
        self.step()
        offset = -(-self.end // align) * align
        if offset + size > self.unit_size:
            self.chunk, offset = self.create_chunk(), 0
        self.populate(self.chunk, self.pages_at(offset, size))
        self.end = offset + size
        self.live[self.chunk] += 1
        return self.chunk, offset

    def free(self, chunk: int, offset: int) -> None:
        """Destroy the chunk if this was its last area; the current one starts anew."""
        self.step()
        self.live[chunk] -= 1
        if self.live[chunk] == 0:
            if chunk == self.chunk:
                self.end = 0 if chunk else self.static_size
            elif chunk:
                self.destroy_chunk(chunk)
