# SPDX-License-Identifier: GPL-2.0-only
"""What the free space costs that Linux 5.2 to 6.18 does not see: figures of docs/hidden-space.md.

Usage: hidden_space.py recordings [TRACE...] | steady | generations | plot FILE.png |
                       pattern FILE.trace

The first three print a table each, recordings that of samples/ or of your own; plot draws them with
matplotlib.  The last one saves the trace of two generations.  Pages are those of one CPU.
The same requests are served twice: with today's policy, and with the fix "chunk-hint".  No chunk
has an area at first, and the background work runs at once.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from percpu_ffi import Allocator, Trace
from percpu_ffi.analysis.outcome import steps

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
FIX = ("chunk-hint",)
UNITS = [32 << 10 << power for power in range(7)]  # bytes; up to 2 MiB
PAGE = 4096
SETUP: dict[str, Any] = {
    "policy": "bitmap", "cpus": 1, "static_size": PAGE, "page_size": PAGE, "memory": "none",
}  # fmt: skip
STOPS = 400  # moments of a mean
FEW_PAGES = 40  # a recording with fewer at the peak says little


class Cost(NamedTuple):
    """What serving a trace takes."""

    peak: int
    """The most pages."""
    mean: float
    """Pages, as the mean of moments that are evenly spread over the operations."""
    hidden: int
    """The most bytes that are free in chunks whose contig hint is 0."""
    alloc: float
    """Steps of an allocation."""
    live: int
    """The most live bytes."""


def cost(trace: Trace, unit: int, fixes: tuple[str, ...] = (), start: int = 0) -> Cost:
    """Serve a trace; the mean is that of the operations from ``start`` on."""
    pages: list[int] = []
    done = 0
    with Allocator(**SETUP, unit_size=unit, fixes=fixes) as allocator:

        def note(operations: int) -> None:
            nonlocal done
            done += operations
            if done > start:
                pages.append(allocator.pages)

        end = len(trace)
        result = allocator.replay(
            trace, note, [start + (end - start) * i // STOPS for i in range(STOPS)]
        )
        work = allocator.work().alloc
    return Cost(
        result.peak_populated_pages,
        sum(pages) / len(pages),
        result.peak_hidden_bytes,
        steps(work),
        result.peak_live_bytes,
    )


def pair(trace: Trace, unit: int, start: int = 0) -> tuple[Cost, Cost]:
    """Serve a trace with today's policy, and with the fix."""
    return cost(trace, unit, start=start), cost(trace, unit, FIX, start=start)


# --- what is served


def recordings(paths: Sequence[str] = ()) -> dict[str, Trace]:
    """Return recordings by name: of files, or those of samples/ that take some pages."""
    if paths:
        return {Path(path).name: Trace.load(path) for path in paths}
    found = {}
    for path in sorted(SAMPLES.rglob("*.xz")) + sorted(SAMPLES.rglob("*.trace")):
        trace = Trace.load(path)
        if cost(trace, UNITS[0], FIX).peak >= FEW_PAGES:
            found[re.sub(r"\.(ftrace\.xz|perf\.xz|trace)$", "", path.name)] = trace
    return found


# sizes in bytes, as often as they are listed
MIXES = {
    "64 alone": [64],
    "8 to 256": range(8, 257, 8),
    "powers, 4 to 4096": [1 << power for power in range(2, 13)],
    # the sizes of netns_stacks and cgroup_stacks, about as often
    "as recorded": [4] * 30 + [8] * 30 + [16, 32] * 10 + [64, 128, 320] * 5 + [1088] * 2 + [2048],
    "512 to 8192": [512 << power for power in range(5)],
}
LIVE_BYTES = 2 << 20  # so that the largest unit is full
ROUNDS = 4  # how often each area is replaced, in the mean; the second half counts


def steady(sizes: Any, seed: int = 2026) -> tuple[Trace, int]:
    """Replace areas at random; return the trace, and where its second half begins."""
    chance = random.Random(seed)
    choices = list(sizes)
    live = LIVE_BYTES * len(choices) // sum(choices)
    ops: list[Any] = [("alloc", key, chance.choice(choices), 4) for key in range(live)]
    held = list(range(live))
    for key in range(live, live * (ROUNDS + 1)):
        place = chance.randrange(live)
        ops += [("free", held[place]), ("alloc", key, chance.choice(choices), 4)]
        held[place] = key
    return Trace.from_ops(ops), len(ops) // 2


AREA = 64  # bytes
AREAS = 400 * PAGE // AREA  # of a generation
GENERATIONS = (1, 2, 5, 10, 20)
UNIT = 256 << 10


def generations(count: int) -> Trace:
    """Allocate areas, free all but one of each page, and so on; no page becomes empty.

    Areas in the first page of a chunk stay: a free there would make the chunk's hint right.  A user
    does not know where his areas are; this trace is made for today's policy and units of 256 KiB.
    """
    ops: list[Any] = []
    with Allocator(**SETUP, unit_size=UNIT) as allocator:
        for first in range(0, count * AREAS, AREAS):
            places = {}
            for key in range(first, first + AREAS):
                places[key] = allocator.alloc(AREA, AREA)
                ops.append(("alloc", key, AREA, AREA))
            seen = set()
            for key, ptr in places.items():
                chunk, offset = allocator.locate(ptr)
                page = chunk, offset // PAGE
                if page in seen and offset >= PAGE:
                    allocator.free(ptr)
                    ops.append(("free", key))
                seen.add(page)
    return Trace.from_ops(ops)


# --- tables and the picture

Table = dict[str, list[tuple[Cost, Cost]]]
"""For each row the costs with each unit, today and with the fix."""


def recordings_table(paths: Sequence[str] = ()) -> Table:
    """Return the cost of each recording."""
    traces = recordings(paths)
    return {name: [pair(trace, unit) for unit in UNITS] for name, trace in traces.items()}


def steady_table() -> Table:
    """Return the cost of each mix of sizes."""
    table: Table = {}
    for name, sizes in MIXES.items():
        trace, start = steady(sizes)
        table[name] = [pair(trace, unit, start) for unit in UNITS]
    return table


def generations_table() -> dict[int, tuple[Cost, Cost]]:
    """Return the cost of so many generations."""
    return {count: pair(generations(count), UNIT) for count in GENERATIONS}


def more(today: float, fixed: float) -> float:
    """Return how many per cent more today's policy takes."""
    return 100 * (today / fixed - 1)


def unit_name(unit: int) -> str:
    """Return the size of a unit, such as 32K."""
    return f"{unit >> 10}K" if unit < 1 << 20 else f"{unit >> 20}M"


def print_table(table: Table) -> None:
    """Print a row for each trace and a column for each size of a unit."""
    width = max(map(len, table))
    columns: dict[str, Callable[[Cost, Cost], str]] = {
        "most pages, today / with the fix": lambda a, b: f"{a.peak} / {b.peak}",
        "pages in the mean, today's more than with the fix": _percent,
        "steps of an allocation, today / with the fix": lambda a, b: (
            f"{a.alloc:.0f} / {b.alloc:.0f}"
        ),
    }
    for title, cell in columns.items():
        print(title)
        print(f"  {'':{width}}" + "".join(f"{unit_name(unit):>11}" for unit in UNITS))
        for name, costs in table.items():
            print(f"  {name:{width}}" + "".join(f"{cell(*both):>11}" for both in costs))


def _percent(today: Cost, fixed: Cost) -> str:
    return f"{more(today.mean, fixed.mean):+.1f} %"


def print_generations() -> None:
    """Print a row for each number of generations."""
    print("generations  most live bytes  most pages  with the fix  most hidden bytes")
    for count, (today, fixed) in generations_table().items():
        print(f"{count:>11}{today.live:>17,}{today.peak:>12,}{fixed.peak:>14,}{today.hidden:>19,}")


def plot(path: str) -> None:
    """Draw the three tables next to each other."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - not needed for the tables

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subplots(ncols=3)
    for axes, title, table, place in (
        (left, "recordings", recordings_table(), "lower right"),
        (middle, "random replacement", steady_table(), "upper right"),
    ):
        for name, costs in table.items():
            axes.plot([more(a.mean, b.mean) for a, b in costs], marker=".", label=name)
        axes.set_title(f"{title}: pages in the mean")
        axes.set_ylabel("per cent more than with the fix")
        axes.set_xticks(range(len(UNITS)), map(unit_name, UNITS))
        axes.set_xlabel("bytes of a unit")
        axes.legend(fontsize=7, loc=place)
    counts = generations_table()
    for which, label in enumerate(("today", "with the fix")):
        right.plot(
            list(counts), [both[which].peak for both in counts.values()], marker=".", label=label
        )
    right.set_title("one area of each page stays")
    right.set_ylabel("most pages")
    right.set_xlabel("generations")
    right.legend(fontsize=7)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    figure.savefig(path, dpi=80)


def main(arguments: list[str]) -> int:
    """Run a command; return the exit status."""
    match arguments:
        case ["recordings", *paths]:
            print_table(recordings_table(paths))
        case ["steady"]:
            print_table(steady_table())
        case ["generations"]:
            print_generations()
        case ["plot", path]:
            plot(path)
        case ["pattern", path]:
            generations(2).save(path)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
