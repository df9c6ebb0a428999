# SPDX-License-Identifier: GPL-2.0-only
"""Draw the pictures of README.md and docs/ from the samples.

Usage: pictures.py FOLDER

Those of pages are screenshots by Debian's chromium; ``sizes.png`` and ``size-distributions.png``
are the output of the command, ``hidden-space.png`` is that of the example.  The two of
docs/pinned-chunks.md are drawn here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from percpu_ffi import Allocator, Trace
from percpu_ffi.analysis.replayed import ReplayTimeline, collect
from percpu_ffi.analysis.totals import by_site
from percpu_ffi.cli import main
from percpu_ffi.reports.colours import COLOURS, site_colours
from percpu_ffi.reports.still import draw_chunks
from percpu_ffi.stats import figures

ROOT = Path(__file__).resolve().parents[1]
PINNED = "samples/pinned_cgroups.trace"
BOOT = "samples/boot_k61tcg.ftrace.xz"
SAMPLES = ("samples/fork_storm.perf.xz", "samples/netns_churn.ftrace.xz", PINNED)
CORPUS = "samples/corpus"
SETUP: dict[str, Any] = {"cpus": 2, "memory": "none"}
DPI = 80
SITES = 4  # of the legend
POINTS = 600  # of a curve
WINDOW = "1280,2260"  # pixels of a screenshot of the whole page
BITMAP_WINDOW, HIDDEN_WINDOW, KERNEL_WINDOW = "1100,866", "1100,700", "1100,500"
# of a page, only its head and the chunks are left
CHUNKS_ONLY = """<style>
main > :not(h1, h1 + p, :has(#map)), .wide.sites, .wide.sites + p { display: none }
</style>"""


def two_moments(timeline: ReplayTimeline, path: Path) -> None:
    """Draw all chunks at the peak of live bytes, and at the end."""
    colours = site_colours([row.name for row in by_site(timeline)])
    lanes = [chunk.id for chunk in timeline.state.chunks]
    figure = Figure(figsize=(13, 5), layout="constrained")
    moments = {"all groups are there": timeline.peak, "ten of eleven are gone": len(timeline.trace)}
    for axes, (title, done) in zip(figure.subplots(1, 2), moments.items(), strict=True):
        draw_chunks(timeline, timeline.moment_at(done), lanes, colours, axes)
        live, held = timeline.curves.live[done], timeline.held(done)
        axes.set_title(f"{title}: {live:,} bytes live, {held:,} held", fontsize=11, loc="left")
    figure.legend(
        handles=[Patch(color=colours[name], label=name) for name in list(colours)[:SITES]],
        loc="outside lower center", ncols=SITES,
    )  # fmt: skip
    figure.savefig(path, dpi=DPI)


def pages_held(trace: Trace, path: Path) -> None:
    """Draw the pages held: as in 2009, with empty pages released, and with lifetimes apart."""
    stays: set[object] = set()
    op: Any
    for op in trace:
        (stays.add if op[0] == "alloc" else stays.discard)(op[1])
    held, used = _pages(trace, lambda _: True)
    long, short = (
        _pages(trace, takes)[0] for takes in (stays.__contains__, lambda key: key not in stays)
    )
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    axes = figure.subplots()
    x = _stops(trace)
    axes.plot(x, held, color=COLOURS["bad"], label="2009: a chunk goes as a whole")
    axes.plot(x, used, color=COLOURS["pages"], label="2021: pages without an area go")
    axes.plot(x, [a + b for a, b in zip(long, short, strict=True)], color=COLOURS["chunks"],
              label="2009, those that stay in an allocator of their own")  # fmt: skip
    axes.set_xlabel("operations done")
    axes.set_ylabel("pages held, on 2 CPUs")
    axes.set_xlim(len(trace) // 2, len(trace))
    axes.set_ylim(0, 1.3 * max(held))
    axes.grid(alpha=0.3)
    axes.legend(ncols=3, loc="upper left")
    figure.savefig(path, dpi=DPI)


def _stops(trace: Trace) -> list[int]:
    return [len(trace) * i // POINTS for i in range(1, POINTS + 1)]


def _pages(trace: Trace, takes: Callable[[object], bool]) -> tuple[list[int], list[int]]:
    """Replay a part of a trace, and count pages at each stop: all, and those with an area."""
    stops, held, used = set(_stops(trace)), [], []
    areas: dict[object, int] = {}
    with Allocator(**SETUP) as allocator:
        op: Any
        for done, op in enumerate(trace, 1):
            verb, key, *request = op
            if takes(key):
                if verb == "alloc":
                    areas[key] = allocator.alloc(*request[:2])
                else:
                    allocator.free(areas.pop(key))
            if done in stops:
                empty = figures(allocator).totals["empty_pop_pages"]
                held.append(allocator.pages)
                used.append(allocator.pages - allocator.cpus * empty)
    return held, used


def screenshot(path: Path, window: str, *arguments: str, style: str = "") -> None:
    """Open a page of the command in a browser without a window, and save a screenshot.

    Args:
        path: of the picture.
        window: width and height in pixels.
        arguments: of ``percpu-ffi report``.
        style: added to the page.

    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        _run("report", *arguments, "-o", str(page))
        page.write_text(page.read_text(encoding="utf-8") + style, encoding="utf-8")
        command = [
            "chromium", "--headless=new", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={folder}/browser", f"--window-size={window}",
            "--virtual-time-budget=30000", f"--screenshot={path}", page.as_uri(),
        ]  # fmt: skip
        if os.getuid() == 0:
            command.append("--no-sandbox")  # Chromium requires it
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _run(*arguments: str) -> None:
    if status := main(arguments):
        sys.exit(status)


def _hidden_space(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "examples/hidden_space.py", *arguments], check=True)


def make(folder: Path) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(exist_ok=True)
    trace = Trace.load(PINNED)
    two_moments(collect(trace, SETUP), folder / "pinned-chunks.png")
    pages_held(trace, folder / "pinned-pages.png")
    _run("sizes", *SAMPLES, "--plot", str(folder / "sizes.png"))
    corpus = sorted(map(str, Path(CORPUS).glob("*.trace")))
    _run("sizes", *corpus, "--plot", str(folder / "size-distributions.png"))
    _hidden_space("plot", folder / "hidden-space.png")
    screenshot(folder / "page.png", WINDOW, PINNED)
    bitmap = ("--policy", "bitmap", "--unit-size", "128K")
    screenshot(folder / "page-bitmap.png", BITMAP_WINDOW, PINNED, *bitmap, style=CHUNKS_ONLY)
    with tempfile.TemporaryDirectory() as saved:
        pattern = Path(saved) / "pattern.trace"
        _hidden_space("pattern", pattern)
        hidden = ("--policy", "bitmap", "--static-size", "4K", "--unit-size", "256K")
        screenshot(
            folder / "page-hidden.png", HIDDEN_WINDOW, str(pattern), *hidden, style=CHUNKS_ONLY
        )
    kernel = (BOOT, "--as", "kernel")
    screenshot(folder / "page-kernel.png", KERNEL_WINDOW, *kernel, style=CHUNKS_ONLY)


if __name__ == "__main__":
    into = Path(sys.argv[1]).resolve()
    os.chdir(ROOT)  # legends show the paths of the samples
    make(into)
