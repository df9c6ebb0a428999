# SPDX-License-Identifier: GPL-2.0-only
"""The named workloads: the published measurement, steady states, recordings of a real kernel.

The measurement is that of July 2017 by which the kernel replaced the design of 2009: Linux
commit 40064aeca35c ("percpu: replace area map allocator with bitmap", Dennis Zhou), 2^20
objects of 4 to 1,024 bytes, freed in order, alternating and in reverse.  Its second table
has chunks whose second halves are full.
"""

from __future__ import annotations

import random
from array import array
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.bench.threads import numbers_of_threads
from percpu_ffi.bench.workload import (
    DEFAULT_GEOMETRY,
    Geometry,
    Options,
    Phase,
    Workload,
    allocs,
    frees,
    replacements,
)
from percpu_ffi.bench.worst_cases import WORST_CASES
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import BALANCE
from percpu_ffi.trace.source import STDIN, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# nanoseconds of an allocation and of a free with the new bitmap, by the size of the object
PUBLISHED = {4: (490, 70), 16: (515, 75), 64: (610, 80), 256: (950, 100), 1024: (3520, 200)}
SIZES = tuple(PUBLISHED)
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RECORDINGS = {"netns-churn": "netns_churn.ftrace.xz", "fork-storm": "fork_storm.perf.xz"}

# from a counter to a small struct, as most areas in a kernel
CHURN_SIZES = range(8, 257, 8)
# sizes and alignments of all requests in the samples netns_churn and fork_storm
RECORDED_KINDS = (
    (4, 4), (8, 4), (8, 8), (16, 4), (16, 8), (16, 16), (20, 4), (32, 8), (32, 32), (52, 4),
    (56, 8), (80, 8), (128, 8), (128, 64), (176, 8), (240, 8), (260, 4), (264, 8), (304, 8),
    (1088, 8),
)  # fmt: skip
# contenders
OBJECTS = ("port", "bitmap", "upstream", "malloc", "empty")
ALTERNATIVES = ("malloc", "aligned_alloc", "calloc", "jemalloc", "mimalloc")
STEADY_STATE = ("port", "bitmap", "mapped", "bitmap-mapped", "upstream", *ALTERNATIVES, "empty")
SHARED = ("port", "mapped", "bitmap", "malloc")


def objects(size: int, options: Options) -> Workload:
    """Allocate objects of one size, free them in three orders."""
    n = options.objects
    fill = allocs(range(n))
    return Workload(
        name=f"objects-{size}",
        what=f"{plural(n, 'object')} of {size:,} bytes, freed in three orders (Linux 40064aeca35c: "
        "{:,} and {:,} ns with its bitmap)".format(*PUBLISHED[size]),
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
        contenders=OBJECTS,
    )


def half_full(size: int, options: Options, geometry: Geometry = DEFAULT_GEOMETRY) -> Workload:
    """Refill the first halves of chunks whose second halves are full."""
    n = geometry.whole_chunks(options.objects, size)
    first_halves = geometry.first_halves(n, size)
    return Workload(
        name=f"half-full-{size}",
        what=f"{plural(n, 'object')} of {size:,} bytes; the first halves of chunks are refilled "
        "(likewise)",
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
    """Replace random objects; the number of live ones stays the same."""
    kinds = [(size, 8) for size in CHURN_SIZES]
    return _replacing("churn", "of 8 to 256 bytes", kinds, options)


def replacement(options: Options) -> Workload:
    """Replace random objects with the sizes and alignments of the recordings in ``samples/``."""
    return _replacing("replacement", "with the sizes of recordings", RECORDED_KINDS, options)


def _replacing(
    name: str, what: str, kinds: Sequence[tuple[int, int]], options: Options
) -> Workload:
    rng = random.Random(options.seed)

    def some(n: int) -> list[int]:
        return rng.choices(range(len(kinds)), k=n)

    def replace(n: int) -> array[int]:
        return replacements(rng.choices(range(options.live), k=n), some(n))

    return Workload(
        name=name,
        what=f"{plural(options.live, 'object')} {what} live, one after the other is replaced",
        phases=(
            Phase("fill", allocs(range(options.live), some(options.live)), timed=False),
            # each is replaced about three times, until fragmentation is steady
            Phase("settle", replace(3 * options.live), timed=False),
            Phase(name, replace(-(-options.objects // 2))),
        ),
        kinds=tuple(kinds),
        slots=options.live,
        contenders=STEADY_STATE,
        steady=True,
    )


def threads(_options: Options) -> Workload:
    """Allocate and free in several threads that share one allocator."""
    return Workload(
        name="threads",
        what="threads share an allocator; each allocates 64 bytes and frees them, again and again",
        phases=(),
        kinds=((64, 8),),
        slots=0,
        contenders=SHARED,
        threads=numbers_of_threads(),
    )


def load_alone(path: str | Path) -> Trace:
    """Load a trace without a second thread, after which each call would take its lock.

    Raises:
        OSError, TraceError: the file cannot be read.

    """
    with open_source(path, ahead=False) as blocks:
        return Trace.read(blocks)


def recording(name: str, path: str | Path, options: Options) -> Workload:
    """Replay a recording again and again; ``-`` is standard input.

    Raises:
        OSError, TraceError: the file cannot be read.
        ConfigError: it cannot be measured.

    """
    trace = load_alone(path)
    if trace.faults:
        raise ConfigError(f"{path}: a trace that sets faults cannot be measured")
    if BALANCE in trace.ops.cast("I")[3::4].tolist():  # of the kernel, not of its callers
        trace = Trace.from_ops(op for op in trace if op[0] != "balance")
    if not len(trace):
        raise ConfigError(f"{path}: a trace without operations cannot be measured")
    for kind in trace.kinds:
        if kind.align < 1 or kind.align & (kind.align - 1):
            raise ConfigError(
                f"{path}: an alignment of {kind.align}; only powers of two can be measured, since "
                "the 2009 file does not check the alignment (docs/errata.md, 'align')"
            )
    ops = array("I", bytes(trace.ops))
    times = max(-(-options.objects // len(trace)), 1)
    return Workload(
        name=name,
        what=f"{plural(len(trace), 'operation')} of a real kernel, {plural(times, 'time')} over",
        phases=(
            # areas live at its end are freed when the next round reaches the same handle
            Phase("first round", ops),
            Phase("replay", ops * times),
        ),
        kinds=tuple((kind.size, kind.align) for kind in trace.kinds),
        slots=trace.slots,
        contenders=STEADY_STATE,
        steady=True,
    )


def samples() -> dict[str, Path]:
    """Return the recordings by the workload's name; a wheel has none."""
    found = {name: SAMPLES / file for name, file in RECORDINGS.items()}
    return {name: path for name, path in found.items() if path.is_file()}


def _sample(name: str, options: Options) -> Workload:
    path = samples().get(name)
    if path is None:
        raise ConfigError(
            f"workload {name}: the recordings are part of the source, not of a wheel; measure "
            "another one with --trace FILE"
        )
    return recording(name, path, options)


WORKLOADS: dict[str, Callable[[Options], Workload]] = {
    **{f"objects-{size}": partial(objects, size) for size in SIZES},
    **{f"half-full-{size}": partial(half_full, size) for size in SIZES},
    "churn": churn,
    "replacement": replacement,
    **{name: partial(_sample, name) for name in RECORDINGS},
    **WORST_CASES,
    "threads": threads,
}


def _name(path: str | Path) -> str:
    return "stdin" if path == STDIN else Path(path).name.partition(".")[0]


def make_workloads(
    names: Sequence[str], traces: Sequence[str | Path], options: Options
) -> list[Callable[[], Workload]]:
    """Find workloads by name, and recordings; without any: all workloads that are available.

    Calling one makes it, so that only one is in memory.

    Raises:
        ConfigError: a workload or recording does not exist or cannot be measured, or two
            have the same name.

    """
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(f"workload {name!r}: there are {', '.join(WORKLOADS)}")
        if name in RECORDINGS and name not in samples():
            _sample(name, options)  # raises
    names = list(dict.fromkeys(names))
    # read now, so that a bad one is reported before anything is measured
    recorded = [recording(_name(path), path, options) for path in traces]
    for i, made in enumerate(recorded):
        if made.name in [*names, *(other.name for other in recorded[:i])]:
            raise ConfigError(
                f"--trace {traces[i]}: another workload is called {made.name}, and results are "
                "kept by name; rename the file"
            )
    if not names and not traces:
        names = [name for name in WORKLOADS if name not in RECORDINGS or name in samples()]
    return [
        *(partial(_make, name, options) for name in names),
        *(partial(made.with_options, options) for made in recorded),
    ]


def _make(name: str, options: Options) -> Workload:
    return WORKLOADS[name](options).with_options(options)
