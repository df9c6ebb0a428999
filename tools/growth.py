# SPDX-License-Identifier: GPL-2.0-only
"""Draw how the cost of an allocation and a free grows with the live areas.

Usage: growth.py FILE.png [FIGURES.json]

Measures ``percpu-ffi bench replacement --live N`` for N from 100 to a million, and keeps the
figures in FIGURES.json; if that file exists, they are drawn without a measurement.  With
PERCPU_C, the 2009 file takes part.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from percpu_ffi.bench.workloads import PUBLISHED
from percpu_ffi.cli import main

LIVE = [100, 1_000, 10_000, 100_000, 1_000_000]
LABELS = {"port": "area map", "bitmap": "bitmap", "upstream": "the 2009 file"}
PUBLISHED_OBJECTS = 1 << 20
OBJECTS = 100_000  # operations of a phase
DPI = 80


def measure(live: int) -> dict[str, float]:
    """Return nanoseconds of an allocation and a free, by contender; medians."""
    names = [name for name in LABELS if name != "upstream" or os.environ.get("PERCPU_C")]
    # the 2009 file takes seconds to minutes for a repetition
    repeat = {name: 1 if name == "upstream" and live > LIVE[1] else 5 for name in names}
    found: dict[str, float] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "results.json")
            arguments = ["bench", "replacement", "--contender", name, "--live", str(live)]
            arguments += ["--objects", str(OBJECTS), "--repeat", str(repeat[name])]
            arguments += ["--seconds", "0", "--no-memory", "--json", str(path)]
            if main(arguments):
                raise SystemExit(f"percpu-ffi {' '.join(arguments)} failed")
            (workload,) = json.loads(path.read_text())["workloads"]
        (phase,) = (each for each in workload["phases"] if each["name"] == "replacement")
        found[name] = 2 * statistics.median(phase["contenders"][name]["ns"])
    return found


def draw(figures: dict[str, dict[str, float]], path: Path) -> None:
    """Draw a line for each contender, and the kernel's published figures as a range."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes: Any = figure.subplots()
    for name, label in LABELS.items():
        points = [(int(live), ns[name]) for live, ns in figures.items() if name in ns]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
    published = [alloc + free for alloc, free in PUBLISHED.values()]
    label = f"the kernel's bitmap of 2017, {min(PUBLISHED)} to {max(PUBLISHED):,} bytes (published)"
    axes.vlines(PUBLISHED_OBJECTS, min(published), max(published), colors="C3", lw=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel="live areas")
    axes.set_ylabel("nanoseconds of an allocation and a free")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=DPI)


if __name__ == "__main__":
    picture, *rest = map(Path, sys.argv[1:])
    if rest and rest[0].exists():
        measured = json.loads(rest[0].read_text())
    else:
        measured = {str(live): measure(live) for live in LIVE}
        if rest:
            rest[0].write_text(json.dumps(measured, indent=1) + "\n")
    draw(measured, picture)
