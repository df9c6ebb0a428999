# SPDX-License-Identifier: GPL-2.0-only
"""A chart of sizes; matplotlib is the extra ``plot``."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from percpu_ffi._util.optional import plain, save_plot
from percpu_ffi.outputs import check_plot

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from percpu_ffi.analysis.sizes import Ask, Distribution

__all__ = ["plot_sizes"]

MOST_NAMES = 12  # more do not fit into a legend


def plot_sizes(named: Mapping[str, Distribution], path: str | Path) -> None:
    """Draw which share of the areas is at most so large: allocated, and alive at the peak.

    Args:
        named: what to draw, by the name in the legend.
        path: where to; its suffix says in which of the formats of :func:`check_plot`.

    Raises:
        ConfigError: matplotlib is not installed, or there is no such format.
        OSError: the file cannot be written.

    """
    check_plot(path)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5), layout="constrained")
    left, right = figure.subplots(ncols=2, sharey=True)
    for name, distribution in named.items():
        label = plain(name).lstrip("_")  # a name that begins so has no line in the legend
        for axes, counts in ((left, distribution.allocated), (right, distribution.at_peak)):
            sizes, shares = _cumulative(counts)
            axes.step(sizes, shares, where="post", label=label)
    for axes, title in ((left, "allocations"), (right, "areas at the peak")):
        axes.set_title(title)
        axes.set_xscale("symlog", base=2, linthresh=1)  # a size of 0 has its place too
        axes.xaxis.set_major_formatter(_bytes)
        axes.tick_params(axis="x", labelsize=8)  # powers of two up to 32K stand side by side
        axes.set_xlabel("bytes asked for, on one CPU")
        axes.grid(alpha=0.3)
    left.set_ylabel("share that is at most so large")
    if len(named) <= MOST_NAMES:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    save_plot(figure, path)


def _bytes(size: float, _position: int) -> str:
    return f"{size:g}" if size < 1 << 10 else f"{size / (1 << 10):g}K"


def _cumulative(counts: Counter[Ask]) -> tuple[list[int], list[float]]:
    """Sizes, and the share of areas up to each; from nothing at 0."""
    asks, areas = sorted(counts), counts.total()
    so_far = accumulate(counts[ask] for ask in asks)
    return [0, *(ask.size for ask in asks)], [0.0, *(count / areas for count in so_far)]
