# SPDX-License-Identifier: GPL-2.0-only
"""Where the design of 2009 hurts: four workloads, with the work that they must take.

Each comes with formulas for what the allocator has to look at or to keep; the report
prints them beside what was counted.  In all of them

    P, S, U   bytes of a page, of the static area, of a unit
    n0, n1    objects in the first chunk when it is full, and in a later one
    m0, m     objects that are in the first chunk, and in a later one
    C, R      chunks, rounds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi.bench.geometry import USUAL, Geometry
from percpu_ffi.bench.workload import Expected, Phase, Workload, allocs, frees

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GALLERY", "aligned", "border", "lying_hint", "pinned"]

MOST_ALIGNED = 1 << 14  # objects; the work grows with their square


def aligned(objects: int, geometry: Geometry = USUAL) -> Workload:
    """4-byte objects at 8-byte alignment: each leaves a hole that fits, but is never used.

    Each allocation scans all maps that are full of such holes, since their hints say 4:

        |SSSS|#.#.#.#.#.#.#.#.|      # 4 bytes in use   . 4 bytes free

    A full first chunk has 1 + 2 n0 entries, a later one 2 n1.  In a chunk that is being
    filled, the k-th object is found at entry 2k (2k + 1 behind the static area).
    """
    size, align = 4, 8
    n = min(objects, MOST_ALIGNED)
    n0, n1 = geometry.per_chunk(align)
    here = min(n, n0)
    scanned = here * here + 1
    behind = 1 + 2 * n0  # entries of the full chunks before the one being filled
    freed = 3 * here - 1
    for start in range(n0, n, n1):
        here = min(n - start, n1)
        scanned += here * (here - 1) + 1 + here * behind
        freed += 2 * here - 1
        behind += 2 * n1
    return Workload(
        name="aligned-4",
        what=f"{n:,} objects of 4 bytes aligned to 8: every hole is scanned, none is used",
        phases=(Phase("alloc", allocs(range(n))), Phase("in order", frees(range(n)))),
        kinds=((size, align),),
        slots=n,
        geometry=geometry,
        expected=(
            Expected(
                "alloc",
                "entries_scanned",
                "m0^2 + 1; each later chunk m(m-1) + 1 + m(entries before it)",
                scanned,
            ),
            Expected("in order", "entries_scanned", "3 m0 - 1; each later chunk 2m - 1", freed),
        ),
    )


def pinned(objects: int, geometry: Geometry = USUAL) -> Workload:
    """One survivor in each chunk keeps all of its pages.

    Reported in 2021 ("percpu: partial chunk depopulation", Roman Gushchin): memory cgroups
    die, but a few percpu areas of each chunk live on.  C chunks hold all their pages until
    the last area goes, and one empty chunk is always kept.
    """
    size = 64
    n = geometry.whole_chunks(min(objects, 1 << 14), size)
    survivors = geometry.starts(n, size)
    chunks = len(survivors)
    gone = sorted(set(range(n)) - set(survivors))
    cpus, page, static, unit = geometry.cpus, geometry.page, geometry.static, geometry.unit
    frames = unit // page * cpus
    return Workload(
        name="pinned-chunks",
        what=f"{chunks} chunks full of {size}-byte objects; all but one of each are freed",
        phases=(
            Phase("fill", allocs(range(n))),
            Phase("free others", frees(gone)),
            Phase("free last", frees(survivors)),
        ),
        kinds=((size, 4),),
        slots=n,
        geometry=geometry,
        expected=(
            Expected(
                "fill",
                "pages_populated",
                "(C U - S) / P, on each CPU",
                (chunks * unit - static) // page * cpus,
            ),
            Expected("free others", "pages_depopulated", "0: every chunk is pinned", 0),
            Expected(
                "free last",
                "pages_depopulated",
                "(C - 2) U / P, on each CPU",
                (chunks - 2) * frames,
            ),
        ),
    )


def border(objects: int, geometry: Geometry = USUAL) -> Workload:
    """Chunks made and killed at the border of what fits.

    The first chunk is full.  One area more, allocated and freed R times: the chunk that it
    needs stays when it is empty, so it is made once.  Two areas of a whole unit, allocated
    and freed: two chunks are empty at the end, one is killed, and made again in the next
    round.
    """
    rounds = min(objects, 1 << 12)
    one = (allocs([1], 1) + frees([1])) * rounds
    two = (allocs([1, 2], 2) + frees([1, 2])) * rounds
    cpus, page, static, unit = geometry.cpus, geometry.page, geometry.static, geometry.unit
    frames = unit // page * cpus
    return Workload(
        name="border-thrash",
        what=f"a full chunk; {rounds:,} times one area more, then two units more",
        phases=(
            Phase("fill", allocs([0]), timed=False),
            Phase("one more", one),
            Phase("two more", two),
        ),
        kinds=((unit - static, 4), (8, 8), (unit, 4)),
        slots=3,
        geometry=geometry,
        expected=(
            Expected("one more", "entries_scanned", "2 R", 2 * rounds),
            Expected("one more", "pages_populated", "1, on each CPU", cpus),
            Expected("one more", "pages_depopulated", "0: the empty chunk is kept", 0),
            Expected("two more", "entries_scanned", "4 R", 4 * rounds),
            Expected(
                "two more",
                "pages_populated",
                "(R + 1) U / P - 1, on each CPU",
                (rounds + 1) * frames - cpus,
            ),
            Expected("two more", "pages_depopulated", "R U / P, on each CPU", rounds * frames),
        ),
    )


def lying_hint(objects: int, geometry: Geometry = USUAL) -> Workload:
    """The hint promises room, the alignment has the last word.

    C full chunks of 32-byte objects, two neighbours freed in each, so that every hint says
    64.  But the hole starts 32 bytes behind a multiple of 64:

        |SSSS|####|........|####|####|  ...        # 32 bytes
              0    32       96

    A request of 64 bytes aligned to 64 scans every map in vain, and the next one again.
    Aligned to 4 it is served from the chunk whose hole was made last.
    """
    size, chunks = 32, 8
    rounds = min(objects, 1 << 10)
    n0, n1 = geometry.per_chunk(size)
    n = n0 + (chunks - 1) * n1
    holes = [start + k for start in geometry.starts(n, size) for k in (1, 2)]
    in_vain = n0 + (chunks - 1) * (n1 - 1)
    return Workload(
        name="lying-hint",
        what=f"{chunks} chunks with holes of 64 bytes, none of them aligned to 64",
        phases=(
            Phase("fill", allocs(range(n)) + frees(holes), timed=False),
            Phase("aligned to 64", (allocs([n], 1) + frees([n])) * rounds),
            Phase("aligned to 4", (allocs([n], 2) + frees([n])) * rounds),
        ),
        kinds=((size, 4), (64, 64), (64, 4)),
        slots=n + 1,
        geometry=geometry,
        expected=(
            Expected(
                "aligned to 64",
                "entries_scanned",
                "R (n0 + (C-1)(n1-1) + 2)",
                rounds * (in_vain + 2),
            ),
            Expected("aligned to 4", "entries_scanned", "4 R", 4 * rounds),
        ),
    )


GALLERY: dict[str, Callable[..., Workload]] = {
    "aligned-4": aligned,
    "pinned-chunks": pinned,
    "border-thrash": border,
    "lying-hint": lying_hint,
}
