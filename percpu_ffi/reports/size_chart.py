# SPDX-License-Identifier: GPL-2.0-only
"""Draw a chart of size distributions with matplotlib."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

from percpu_ffi._util.optional import plain, save_plot
from percpu_ffi._util.text import cell
from percpu_ffi.analysis.sizes import Distribution, Request
from percpu_ffi.reports.axes import bytes_label

MOST_NAMES = 12  # more do not fit into a legend


def plot_sizes(named: Mapping[str, Distribution], path: str | Path) -> None:
    """Draw the cumulative distributions of sizes: allocations, and live areas at the peak.

    Args:
        named: the distributions by their names in the legend.
        path: the file; its suffix is one of the formats of ``save_plot()``.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(ncols=2, sharey=True)
    for name, distribution in named.items():
        label = plain(cell(name)).lstrip("_")  # matplotlib leaves such names out
        for axes, counts in ((left, distribution.allocated), (right, distribution.at_peak)):
            sizes, shares = _cumulative(counts)
            axes.step(sizes, shares, where="post", label=label)
    for axes, title in ((left, "allocations"), (right, "areas at the peak")):
        axes.set_title(title)
        axes.set_xscale("symlog", base=2, linthresh=1)  # shows a size of 0, too
        axes.xaxis.set_major_formatter(bytes_label)
        axes.tick_params(axis="x", labelsize=8, labelrotation=40)
        axes.set_xlabel("requested bytes, on one CPU")
        axes.grid(alpha=0.3)
    left.set_ylabel("share of this size or less")
    if len(named) <= MOST_NAMES:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    title = "Cumulative distributions of the sizes of allocations, and of live areas at the peak: "
    save_plot(figure, path, title + ", ".join(named))


def _cumulative(counts: Counter[Request]) -> tuple[list[int], list[float]]:
    """Return the sizes, and the share of areas up to each; both start at 0."""
    requests, areas = sorted(counts), counts.total()
    so_far = accumulate(counts[request] for request in requests)
    return [0, *(request.size for request in requests)], [0.0, *(count / areas for count in so_far)]
