# SPDX-License-Identifier: GPL-2.0-only
"""The first chunk as today's x86 sets it up, and the size of all units.

    page   0           1           2           3           4
           |SSSSSSSSSSSSSSSSRRRRRRRRRRRRRRRDDDDDDDDDDDDDDDD......  not used
    reserved chunk     |hhhhRRRRRRRRRRRRRRRhhhh|
    first chunk                    |hhhhhhhDDDDDDDDDDDDDDDD|

Static area, reserved part and dynamic part follow each other; all their pages are present.  The
reserved part, for modules, and the dynamic part are a chunk each, which begins at the start of a
page; what it hides at its ends counts as in use.  The static area is in no chunk.

Source: ``pcpu_embed_first_chunk`` and ``pcpu_setup_first_chunk`` of Linux 5.14 to 6.x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.config import GRANULE, MAX_UNIT_SIZE

if TYPE_CHECKING:
    from percpu_ffi.config import Config

DYNAMIC_RESERVE = 28 << 10  # PERCPU_DYNAMIC_RESERVE, bytes
LARGE_PAGE = 2 << 20  # bytes; units divide it


class FirstUnit(NamedTuple):
    """The parts of the first units, in bytes from their start."""

    unit_size: int
    """Bytes of each CPU's unit, here and in all later chunks."""
    reserved: int
    """Start of the reserved part: the end of the static area, in whole granules."""
    dynamic: int
    """Start of the dynamic part, where the reserved one ends."""
    end: int
    """Its end."""


def first_unit(config: Config) -> FirstUnit:
    """Work out the sizes that were left open.

    Raises:
        ConfigError: the sizes do not fit together.

    """
    reserved = up(config.static_size, GRANULE)
    dynamic = reserved + config.reserved_size
    end = dynamic + config.dyn_size
    if not config.dyn_size:
        end = up(dynamic + DYNAMIC_RESERVE, config.page_size)
    least = max(up(end, config.page_size), config.max_size)
    unit_size = config.unit_size or best_unit_size(config.cpus, least)
    if not least <= unit_size <= MAX_UNIT_SIZE:
        raise config.misfit()
    return FirstUnit(unit_size, reserved, dynamic, end)


def best_unit_size(cpus: int, least: int) -> int:
    """Divide large pages into units of ``least`` bytes or more (``pcpu_build_alloc_info``).

    At most a third of the CPUs may be wasted as units that no CPU has.  Then few large pages are
    better, and then large units.
    """

    def large_pages(units: int) -> int:
        return -(-cpus // units)

    possible = [
        units
        for units in (1 << i for i in range(LARGE_PAGE.bit_length()))
        if LARGE_PAGE // units >= least and large_pages(units) * units - cpus <= cpus // 3
    ]
    return LARGE_PAGE // min(possible, key=lambda units: (large_pages(units), units), default=1)


def up(size: int, whole: int) -> int:
    """Round up to a multiple."""
    return -(-size // whole) * whole
