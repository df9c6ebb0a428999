# SPDX-License-Identifier: GPL-2.0-only
"""The first chunk's sizes: what each of the three set-ups requests, and what it gets.

4k     |static pages|  populated on demand         |
embed  |static|  every page present                |    immutable
remap  |static| present up to free|  never used    |    immutable
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.config import MAX_UNIT_SIZE
from percpu_ffi.model.pages import pages_of

if TYPE_CHECKING:
    from percpu_ffi.config import Config

# x86, February 2009
DYNAMIC_RESERVE = 24 << 10  # bytes for modules (8 KiB) and early allocations (16 KiB)
LARGE_PAGE = 2 << 20  # bytes that remap maps for each CPU


class FirstChunk(NamedTuple):
    """The first chunk as it is set up."""

    unit_size: int
    """Bytes of each CPU's unit, here and in all later chunks."""
    free_size: int
    """Free bytes after the static area."""
    present: range
    """Pages of a unit that are there from the start."""


def first_chunk(config: Config) -> FirstChunk:
    """Work out the sizes that were left open.

    Raises:
        ConfigError: the sizes do not fit together.

    Source: ``setup_pcpu_4k``, ``setup_pcpu_embed`` and ``setup_pcpu_remap`` of x86, and
    ``pcpu_setup_first_chunk`` of the 2009 file with its BUG_ONs.

    """
    page, static = config.page_size, config.static_size
    least = config.max_size  # PCPU_MIN_UNIT_SIZE
    static_and_reserve = -(-(static + DYNAMIC_RESERVE) // page) * page

    # what the set-ups of x86 pass on; 4k passes 0
    unit, free = config.unit_size, config.free_size
    if config.first_chunk == "embed":
        unit = unit or max(static_and_reserve, least)
        free = free or unit - static
    elif config.first_chunk == "remap":
        unit = unit or LARGE_PAGE
        free = free or static_and_reserve - static

    # what the 2009 file makes of it
    if free < 0 or unit % page or (static + free > unit if unit else free):
        raise config.misfit()
    unit = unit or max(-(-static // page) * page, least)
    # a smaller unit leaks a chunk for each request that is larger: erratum small-unit
    if not least <= unit <= MAX_UNIT_SIZE:
        raise config.misfit()

    used = {"4k": static, "embed": unit, "remap": static + free}[config.first_chunk]
    return FirstChunk(unit, free or unit - static, pages_of(0, used, page))
