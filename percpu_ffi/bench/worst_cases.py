# SPDX-License-Identifier: GPL-2.0-only
"""Worst cases of the 2009 design: four workloads, with the work that they must take.

Each has formulas for the entries scanned or the pages held; the report prints them next to
what was counted.  In all of them

    P, S, U   bytes of a page, of the static area, of a unit
    n0, n1    objects in the first chunk when it is full, and in a later one
    m0, m     objects that are in the first chunk, and in a later one
    C, R      chunks, rounds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.bench.workload import DEFAULT_GEOMETRY, Expected, Phase, Workload, allocs, frees

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_ffi.bench.workload import Geometry, Options

MAX_OBJECTS = 1 << 14  # of aligned_4 the work grows with their square
MAX_ROUNDS = 1 << 12  # of border_thrash
MAX_VAIN_ROUNDS = 1 << 10  # of lying_hint


def aligned_4(options: Options, geometry: Geometry = DEFAULT_GEOMETRY) -> Workload:
    """4-byte objects at 8-byte alignment: each leaves a free range that is never used.

    Each allocation scans all maps that are full of such ranges, since their hints are 4:

        |SSSS|#.#.#.#.#.#.#.#.|      # 4 bytes in use   . 4 bytes free

    A full first chunk has 1 + 2 n0 entries, a later one 2 n1.  In a chunk that is being
    filled, the k-th object is found at entry 2k (2k + 1 after the static area).
    """
    size, align = 4, 8
    n = min(options.objects, MAX_OBJECTS)
    n0, n1 = geometry.per_chunk(align)
    here = min(n, n0)
    scanned = here * here + 1
    before = 1 + 2 * n0  # entries of the full chunks before the one being filled
    freed = 3 * here - 1
    for start in range(n0, n, n1):
        here = min(n - start, n1)
        scanned += here * (here - 1) + 1 + here * before
        freed += 2 * here - 1
        before += 2 * n1
    formula = "m0^2 + 1; each later chunk m(m-1) + 1 + m(entries before it)"
    return Workload(
        name="aligned-4",
        what=f"{plural(n, 'object')} of 4 bytes aligned to 8: every free range is scanned, none "
        "is used",
        phases=(Phase("alloc", allocs(range(n))), Phase("in order", frees(range(n)))),
        kinds=((size, align),),
        slots=n,
        geometry=geometry,
        expected=(
            Expected("alloc", "entries_scanned", formula, scanned),
            Expected("in order", "entries_scanned", "3 m0 - 1; each later chunk 2m - 1", freed),
        ),
    )


def pinned_chunks(options: Options, geometry: Geometry = DEFAULT_GEOMETRY) -> Workload:
    """One live area in each chunk keeps all of its pages.

    Reported in 2021 ("percpu: partial chunk depopulation", Roman Gushchin): memory cgroups
    die, but a few percpu areas of each chunk live on.  C chunks hold all their pages until
    the last area goes, and one empty chunk is always kept.
    """
    size = 64
    n = geometry.whole_chunks(min(options.objects, MAX_OBJECTS), size)
    survivors = geometry.starts(n, size)
    others = [i for i in range(n) if i not in survivors]
    chunks, frames = len(survivors), geometry.chunk_frames
    populated = chunks * frames - geometry.static_size // geometry.page_size * geometry.cpus
    released = (chunks - 2) * frames
    return Workload(
        name="pinned-chunks",
        what=f"{plural(chunks, 'chunk', '')} full of {size}-byte objects; all but one of each are "
        "freed",
        phases=(
            Phase("fill", allocs(range(n))),
            Phase("free others", frees(others)),
            Phase("free last", frees(survivors)),
        ),
        kinds=((size, 4),),
        slots=n,
        geometry=geometry,
        expected=(
            Expected("fill", "pages_populated", "(C U - S) / P, on each CPU", populated),
            Expected("free others", "pages_depopulated", "0: every chunk is pinned", 0),
            Expected("free last", "pages_depopulated", "(C - 2) U / P, on each CPU", released),
        ),
    )


def border_thrash(options: Options, geometry: Geometry = DEFAULT_GEOMETRY) -> Workload:
    """Chunks are created and destroyed at the border of what fits.

    The first chunk is full.  One more area is allocated and freed R times: the chunk that it
    needs stays when it is empty, so it is created once.  Then two areas of a whole unit: two
    chunks are empty after each round, so one is destroyed, and the next round creates it
    again.
    """
    rounds = min(options.objects, MAX_ROUNDS)
    cpus, frames = geometry.cpus, geometry.chunk_frames
    populated, depopulated = (rounds + 1) * frames - cpus, rounds * frames
    return Workload(
        name="border-thrash",
        what=f"a full chunk; {plural(rounds, 'time')} one area more, then two units more",
        phases=(
            Phase("fill", allocs([0]), timed=False),
            Phase("one more", (allocs([1], 1) + frees([1])) * rounds),
            Phase("two more", (allocs([1, 2], 2) + frees([1, 2])) * rounds),
        ),
        kinds=((geometry.unit - geometry.static_size, 4), (8, 8), (geometry.unit, 4)),
        slots=3,
        geometry=geometry,
        expected=(
            Expected("one more", "entries_scanned", "2 R", 2 * rounds),
            Expected("one more", "pages_populated", "1, on each CPU", cpus),
            Expected("one more", "pages_depopulated", "0: the empty chunk is kept", 0),
            Expected("two more", "entries_scanned", "4 R", 4 * rounds),
            Expected("two more", "pages_populated", "(R + 1) U / P - 1, on each CPU", populated),
            Expected("two more", "pages_depopulated", "R U / P, on each CPU", depopulated),
        ),
    )


def lying_hint(options: Options, geometry: Geometry = DEFAULT_GEOMETRY) -> Workload:
    """The hint is large enough, but no free range fits the alignment.

    C full chunks of 32-byte objects, two neighbours freed in each, so that every hint is
    64.  But the free range starts 32 bytes after a multiple of 64:

        |SSSS|####|........|####|####|  ...        # 32 bytes
              0    32       96

    A request of 64 bytes aligned to 64 scans every map in vain, and the next one again.
    Aligned to 4 it is served from the chunk whose range was freed last.
    """
    size, chunks = 32, 8
    rounds = min(options.objects, MAX_VAIN_ROUNDS)
    n0, n1 = geometry.per_chunk(size)
    n = n0 + (chunks - 1) * n1
    freed = [start + k for start in geometry.starts(n, size) for k in (1, 2)]
    vain = rounds * (n0 + (chunks - 1) * (n1 - 1) + 2)
    return Workload(
        name="lying-hint",
        what=f"{plural(chunks, 'chunk', '')} with free ranges of 64 bytes, none of them aligned "
        "to 64",
        phases=(
            Phase("fill", allocs(range(n)) + frees(freed), timed=False),
            Phase("aligned to 64", (allocs([n], 1) + frees([n])) * rounds),
            Phase("aligned to 4", (allocs([n], 2) + frees([n])) * rounds),
        ),
        kinds=((size, 4), (64, 64), (64, 4)),
        slots=n + 1,
        geometry=geometry,
        expected=(
            Expected("aligned to 64", "entries_scanned", "R (n0 + (C-1)(n1-1) + 2)", vain),
            Expected("aligned to 4", "entries_scanned", "4 R", 4 * rounds),
        ),
    )


WORST_CASES: dict[str, Callable[..., Workload]] = {
    "aligned-4": aligned_4,
    "pinned-chunks": pinned_chunks,
    "border-thrash": border_thrash,
    "lying-hint": lying_hint,
}
