# SPDX-License-Identifier: GPL-2.0-only
"""A first benchmark: ratios to what the same work costs at least, measured side by side.

Contenders take turns in one run and the median of the ratios counts, so that a noisy
machine disturbs both alike.
"""

from __future__ import annotations

import lzma
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi import Allocator, Trace
from percpu_ffi._core import ffi, lib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "build/bench"))

import _floor  # type: ignore[import-not-found]  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

FTRACE = ROOT / "samples/netns_churn.ftrace.xz"
PERF = ROOT / "samples/fork_storm.perf.xz"

ROUNDS = 41
CALLS = 3000  # of each contender in each round
EVENTS = 500_000  # that a plain text to be loaded has at least


class Bound(NamedTuple):
    """One line of the table."""

    what: str
    values: list[float]
    limit: float
    at_most: bool
    """The limit is an upper one."""

    def __str__(self) -> str:
        middle = statistics.median(self.values)
        holds = middle <= self.limit if self.at_most else middle >= self.limit
        word = "at most" if self.at_most else "at least"
        return (
            f"{self.what:<44} {middle:>12,.2f}   {min(self.values):,.2f} to "
            f"{max(self.values):,.2f}   {word} {self.limit:,}   {'holds' if holds else 'MISSED'}"
        )


def clock_ns() -> float:
    """Nanoseconds that reading the clock takes, to be taken off what lies between."""
    clock = time.perf_counter_ns
    spent = 0
    for _ in range(CALLS):
        start = clock()
        spent += clock() - start
    return spent / CALLS


def our_ns(a: Allocator) -> tuple[float, float]:
    """Nanoseconds of one ``alloc`` and of one ``free`` of the same warm area."""
    clock = time.perf_counter_ns
    in_alloc = in_free = 0
    for _ in range(CALLS):
        start = clock()
        ptr = a.alloc(64, 8)
        middle = clock()
        a.free(ptr)
        in_free += clock() - middle
        in_alloc += middle - start
    return in_alloc / CALLS, in_free / CALLS


def floor_ns(lib: Any, null: Any) -> tuple[float, float]:
    """The same with functions that do nothing: what a call through cffi costs at least."""
    clock = time.perf_counter_ns
    in_alloc = in_free = 0
    for _ in range(CALLS):
        start = clock()
        ptr = lib.floor_alloc(null, 64, 8)
        middle = clock()
        lib.floor_free(null, ptr)
        in_free += clock() - middle
        in_alloc += middle - start
    return in_alloc / CALLS, in_free / CALLS


def single_calls() -> Iterator[Bound]:
    """``Allocator.alloc`` and ``.free`` against empty cffi calls of the same signatures."""
    allocs, frees = [], []
    null = _floor.ffi.cast("struct pcpu *", 0)
    with Allocator() as a:
        a.free(a.alloc(64, 8))  # page and map are there from now on
        for _ in range(ROUNDS):
            clock = clock_ns()
            floor_alloc, floor_free = floor_ns(_floor.lib, null)
            our_alloc, our_free = our_ns(a)
            allocs.append((our_alloc - clock) / (floor_alloc - clock))
            frees.append((our_free - clock) / (floor_free - clock))
    yield Bound("Allocator.alloc / empty cffi call", allocs, 1.6, at_most=True)
    yield Bound("Allocator.free / empty cffi call", frees, 1.6, at_most=True)


def replays() -> Iterator[Bound]:
    """``Allocator.replay`` against a plain loop in C over the public functions."""
    for path in (FTRACE, PERF):
        trace = Trace.load(path)
        ratios = []
        for _ in range(ROUNDS):
            with Allocator(memory="none") as a:
                ours = a.replay(trace).elapsed_ns
            with Allocator(memory="none") as a:
                ratios.append(ours / loop_ns(a, trace))
        yield Bound(f"replay / loop in C, {path.stem}", ratios, 1.1, at_most=True)


def loop_ns(a: Allocator, trace: Trace) -> int:
    """Nanoseconds of the loop in C."""
    kinds = ffi.new("struct pcpu_kind[]", [(kind.size, kind.align) for kind in trace.kinds])
    ptrs = _floor.ffi.new("int64_t[]", trace.slots)

    def pointer(value: object) -> object:
        return _floor.ffi.cast("void *", int(ffi.cast("uintptr_t", value)))

    elapsed: int = _floor.lib.floor_replay(
        pointer(a._pcpu),
        pointer(ffi.addressof(lib, "pcpu_alloc")),
        pointer(ffi.addressof(lib, "pcpu_free")),
        _floor.ffi.from_buffer(trace.ops),
        len(trace),
        pointer(kinds),
        ptrs,
    )
    return elapsed


def loading() -> Iterator[Bound]:
    """``Trace.load`` of plain text, events a second."""
    for path in (FTRACE, PERF):
        text = lzma.decompress(path.read_bytes())
        events = Trace.load(path).stats.events
        rates = []
        with tempfile.NamedTemporaryFile() as file:
            times = -(-EVENTS // events)
            file.write(text * times)
            file.flush()
            for _ in range(5):
                start = time.perf_counter()
                trace = Trace.load(file.name)
                rates.append(trace.stats.events / (time.perf_counter() - start))
        yield Bound(f"events a second, text of {path.stem}", rates, 500_000, at_most=False)


def main() -> int:
    """Print the table; the status tells whether every bound holds."""
    missed = False
    for measure in (single_calls, replays, loading):
        for bound in measure():
            line = str(bound)
            print(line, flush=True)
            missed |= line.endswith("MISSED")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
