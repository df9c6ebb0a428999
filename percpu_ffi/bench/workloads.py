# SPDX-License-Identifier: GPL-2.0-only
"""The named workloads: the published measurement, steady states, recordings of a real kernel.

The measurement is that of July 2017 by which the kernel left the design of 2009: Linux
commit 40064aeca35c ("percpu: replace area map allocator with bitmap", Dennis Zhou), 2^20
objects of 4 to 1,024 bytes, freed in order, alternating and in reverse.  Its second table
has chunks whose second halves are full.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi.bench import gallery
from percpu_ffi.bench.geometry import USUAL, Geometry
from percpu_ffi.bench.workload import Phase, Workload, allocs, frees, replacements
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_ffi.bench.workload import Kind

__all__ = ["SIZES", "WORKLOADS", "Options", "make_workloads", "samples"]

SIZES = (4, 16, 64, 256, 1024)
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RECORDINGS = {"netns-churn": "netns_churn.ftrace.xz", "fork-storm": "fork_storm.perf.xz"}

# from a counter to a small struct; mostly small ones live in a kernel, too
CHURN_SIZES = range(8, 257, 8)


@dataclass(frozen=True)
class Options:
    """How large the workloads are."""

    objects: int = 1 << 16
    """Objects to allocate; of the published measurement 2^20."""
    live: int = 4096
    """Objects alive in a steady state."""
    seed: int = 2009
    """Of all random numbers."""

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name, least, most in (("objects", 1, 1 << 24), ("live", 1, 1 << 20)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"--{name} {getattr(self, name)}: from {least} to {most:,}")


def objects(size: int, options: Options) -> Workload:
    """Allocate objects of one size, free them in three orders."""
    n = options.objects
    fill = allocs(range(n))
    return Workload(
        name=f"objects-{size}",
        what=f"{n:,} objects of {size:,} bytes, freed in three orders (Linux 40064aeca35c)",
        phases=(
            Phase("alloc", fill),
            Phase("in order", frees(range(n))),
            Phase("alloc", fill),
            Phase("alternating", frees([*range(0, n, 2), *range(1, n, 2)])),
            Phase("alloc", fill),
            Phase("reverse", frees(range(n - 1, -1, -1))),
        ),
        kinds=((size, 4),),
        slots=n,
    )


def half_full(size: int, options: Options, geometry: Geometry = USUAL) -> Workload:
    """Refill the first halves of chunks whose second halves are full."""
    n = geometry.whole_chunks(options.objects, size)
    first_halves = geometry.first_halves(n, size)
    return Workload(
        name=f"half-full-{size}",
        what=f"{n:,} objects of {size:,} bytes; the first halves of chunks are refilled (likewise)",
        phases=(
            Phase("fill", allocs(range(n)), timed=False),
            Phase("empty", frees(first_halves), timed=False),
            Phase("refill", allocs(first_halves)),
            Phase("free", frees(range(n))),
        ),
        kinds=((size, 4),),
        slots=n,
        geometry=geometry,
    )


def churn(options: Options) -> Workload:
    """Replace random objects, so that always as many live."""
    kinds: tuple[Kind, ...] = tuple((size, 8) for size in CHURN_SIZES)
    rng = random.Random(options.seed)

    def some(n: int) -> list[int]:
        return rng.choices(range(len(kinds)), k=n)

    def replace(n: int) -> array[int]:
        return replacements(rng.choices(range(options.live), k=n), some(n))

    return Workload(
        name="churn",
        what=f"{options.live:,} objects of 8 to 256 bytes live, one after the other is replaced",
        phases=(
            Phase("fill", allocs(range(options.live), some(options.live)), timed=False),
            # each is replaced some three times, until holes look as they will
            Phase("settle", replace(3 * options.live), timed=False),
            Phase("churn", replace(-(-options.objects // 2))),
        ),
        kinds=kinds,
        slots=options.live,
        contenders=("port", "mapped", "upstream", "malloc", "empty"),
    )


def recording(name: str, path: Path, options: Options) -> Workload:
    """What a kernel asked of its allocator, over and over."""
    trace = Trace.load(path)
    if trace.faults:
        raise ConfigError(f"{path}: a trace that sets faults cannot be measured")
    if not len(trace):
        raise ConfigError(f"{path}: a trace without operations cannot be measured")
    for kind in trace.kinds:
        if kind.align < 1 or kind.align & (kind.align - 1):
            raise ConfigError(
                f"{path}: an alignment of {kind.align}; what is measured has powers of two, since "
                "the 2009 file does not check it (docs/errata.md, 'align')"
            )
    ops = array("I", bytes(trace.ops))
    times = max(-(-options.objects // len(trace)), 1)
    return Workload(
        name=name,
        what=f"{len(trace):,} operations of a real kernel, {times:,} times over",
        phases=(
            # what is left at its end is freed when the next round comes to the same slot
            Phase("first round", ops, timed=False),
            Phase("replay", ops * times),
        ),
        kinds=tuple((kind.size, kind.align) for kind in trace.kinds),
        slots=trace.slots,
        contenders=("port", "mapped", "upstream", "malloc", "empty"),
    )


def samples() -> dict[str, Path]:
    """Find the recordings; a wheel has none."""
    found = {name: SAMPLES / file for name, file in RECORDINGS.items()}
    return {name: path for name, path in found.items() if path.is_file()}


def _sample(name: str, options: Options) -> Workload:
    path = samples().get(name)
    if path is None:
        raise ConfigError(
            f"workload {name}: the recordings come with the source, not with a wheel; name one "
            "with --trace FILE"
        )
    return recording(name, path, options)


def _gallery(make: Callable[[int], Workload], options: Options) -> Workload:
    return make(options.objects)


WORKLOADS: dict[str, Callable[[Options], Workload]] = {
    **{f"objects-{size}": partial(objects, size) for size in SIZES},
    **{f"half-full-{size}": partial(half_full, size) for size in SIZES},
    "churn": churn,
    **{name: partial(_sample, name) for name in RECORDINGS},
    **{name: partial(_gallery, make) for name, make in gallery.GALLERY.items()},
}


def make_workloads(
    names: Sequence[str], traces: Sequence[Path], options: Options
) -> list[Callable[[], Workload]]:
    """Find workloads by name; each is made when it is called, so that one is in memory.

    Args:
        names: keys of :data:`WORKLOADS`; none and no traces: all that can be had.
        traces: recordings to run beside them.
        options: how large they are to be.

    Raises:
        ConfigError: there is no such workload or recording, one that cannot be measured, or
            two of one name.

    """
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(f"workload {name!r}: there are {', '.join(WORKLOADS)}")
        if name in RECORDINGS and name not in samples():
            _sample(name, options)  # it says what to do
    names = list(dict.fromkeys(names))
    # at once, so that a bad one is told before anything is measured
    recorded = [recording(path.name.partition(".")[0], path, options) for path in traces]
    for i, made in enumerate(recorded):
        if made.name in [*names, *(other.name for other in recorded[:i])]:
            raise ConfigError(
                f"--trace {traces[i]}: there is another workload {made.name}, and results are "
                "kept by name; give the file another one"
            )
    if not names and not traces:
        names = [name for name in WORKLOADS if name not in RECORDINGS or name in samples()]
    return [
        *(partial(WORKLOADS[name], options) for name in names),
        *(partial(lambda made: made, made) for made in recorded),
    ]
