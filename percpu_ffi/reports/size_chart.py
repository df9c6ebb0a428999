# SPDX-License-Identifier: GPL-2.0-only
"""Draw size distributions with matplotlib: cumulative curves of a few, a heat map of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from percpu_ffi._util.optional import plain, save_plot
from percpu_ffi._util.text import cell
from percpu_ffi.analysis.sizes import Bucket, Distribution, Request
from percpu_ffi.reports.axes import bytes_label
from percpu_ffi.reports.recording import short_names

MOST_CURVES = 12  # more are no longer told apart
PANELS = ("allocations", "areas at the peak", "bytes at the peak")
FEWEST = 0.005  # share of a cell with a number


def plot_sizes(named: Mapping[str, Distribution], path: str | Path) -> None:
    """Draw distributions of sizes: of allocations, and of live areas at the peak.

    Up to ``MOST_CURVES`` are cumulative curves, more are the rows of a heat map.

    Args:
        named: the distributions by their names.
        path: the file; its suffix is one of the formats of ``save_plot()``.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    names = [plain(cell(name)).lstrip("_") for name in named]  # matplotlib leaves such names out
    draw = _curves if len(names) <= MOST_CURVES else _heat_map
    kind = "Cumulative distributions" if draw is _curves else "Distributions"
    title = f"{kind} of the sizes of allocations, and of live areas at the peak: "
    save_plot(draw(names, list(named.values())), path, title + ", ".join(named))


def _curves(names: Sequence[str], found: Sequence[Distribution]) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(ncols=2, sharey=True)
    for name, distribution in zip(names, found, strict=True):
        for axes, counts in ((left, distribution.allocated), (right, distribution.at_peak)):
            sizes, shares = _cumulative(counts)
            axes.step(sizes, shares, where="post", label=name)
    for axes, title in zip((left, right), PANELS, strict=False):
        axes.set_title(title)
        axes.set_xscale("symlog", base=2, linthresh=1)  # shows a size of 0, too
        axes.xaxis.set_major_formatter(bytes_label)
        axes.tick_params(axis="x", labelsize=8, labelrotation=40)
        axes.set_xlabel("requested bytes, on one CPU")
        axes.grid(alpha=0.3)
    left.set_ylabel("share of this size or less")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _heat_map(names: Sequence[str], found: Sequence[Distribution]) -> Any:
    """Draw a row for each distribution, a column for each power of two."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    histograms = [distribution.histogram() for distribution in found]
    columns = sorted({bucket.to_size for buckets in histograms for bucket in buckets}) or [0]
    figure = Figure(figsize=(2 + len(columns), 1.5 + len(names) / 4), layout="constrained")
    panels = figure.subplots(ncols=len(PANELS), sharey=True)
    for number, (axes, title) in enumerate(zip(panels, PANELS, strict=True)):
        rows = [_shares(buckets, columns, number) for buckets in histograms]
        axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for y, row in enumerate(rows):
            for x, share in enumerate(row):
                if share >= FEWEST:
                    colour = "white" if share > 0.5 else "black"
                    axes.text(x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=6,
                              color=colour)  # fmt: skip
        axes.set_title(f"% of {title}")
        axes.set_xticks(range(len(columns)), [bytes_label(size, 0) for size in columns],
                        fontsize=7, rotation=90)  # fmt: skip
        axes.set_xlabel("up to so many bytes, on one CPU")
    panels[0].set_yticks(range(len(names)), short_names(names), fontsize=8)
    return figure


def _shares(buckets: Sequence[Bucket], columns: Sequence[int], panel: int) -> list[float]:
    """Return the share of each column, of allocations, of areas or of bytes at the peak."""
    counts = {
        bucket.to_size: (bucket.allocs, bucket.peak_areas, bucket.peak_bytes)[panel]
        for bucket in buckets
    }
    total = sum(counts.values()) or 1
    return [counts.get(size, 0) / total for size in columns]


def _cumulative(counts: Counter[Request]) -> tuple[list[int], list[float]]:
    """Return the sizes, and the share of areas up to each; both start at 0."""
    requests, areas = sorted(counts), counts.total()
    so_far = accumulate(counts[request] for request in requests)
    return [0, *(request.size for request in requests)], [0.0, *(count / areas for count in so_far)]
