# SPDX-License-Identifier: GPL-2.0-only
"""What must hold of the pages of a chunk and of its areas, under either policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import ChunkState


def partly_held(chunk: ChunkState, allocator: PerCpu) -> Iterator[str]:
    """Check that each page is held by all CPUs or none."""
    if not set(chunk.populated) <= {0, allocator.cpus}:
        yield f"some pages are held by some CPUs only: {chunk.populated}"


def missing_pages(
    chunk: ChunkState, what: str, offset: int, size: int, page_size: int
) -> Iterator[str]:
    """Check that the pages under a range of bytes are held."""
    pages = range(offset // page_size, -(-(offset + size) // page_size))
    # with bitmaps the static area is before page 0
    missing = [page for page in pages if page >= 0 and not chunk.populated[page]]
    if missing:
        yield f"{what} is in pages {missing}, which are not held"
