# SPDX-License-Identifier: GPL-2.0-only
"""The colours of the page and of the pictures."""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = {
    "static": "#37474f",
    "free": "#e8ecf1",
    "faint": "#c3cad3",
    "pages": "#2a9d8f",
    "held": "#b7dcd6",
    "live": "#3b6fb6",
    "bad": "#d64545",
    "chunks": "#6b4fa0",
    "second": "#e69f00",
    "peak": "#3b6fb6",
}

# also distinct for people without red, green or blue cones; in order of weight
SITES = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8b0000", "#f0e442", "#762a83",
    "#7f7f00",
)  # fmt: skip
OTHERS = "#68707a"

# young to old; each ends at twice the age of the one before it
AGES = ("#fde725", "#a0da39", "#4ac16d", "#1fa187", "#277f8e", "#365c8d", "#46327e", "#440154")


def site_colours(names: Sequence[str]) -> dict[str, str]:
    """Assign colours to call sites; those after the first few share one."""
    return {name: SITES[i] if i < len(SITES) else OTHERS for i, name in enumerate(names)}
