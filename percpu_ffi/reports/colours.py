# SPDX-License-Identifier: GPL-2.0-only
"""The colours of the page, in two schemes, and of the pictures, which are light."""

from __future__ import annotations

from collections.abc import Iterable

# also distinct for people without red, green or blue cones; in order of weight
SITES = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8b0000", "#f0e442", "#762a83",
    "#7f7f00",
)  # fmt: skip
SITES_DARK = (
    "#6d8dfb", "#e3b019", "#08b678", "#ff87d8", "#7bd3ff", "#d64f4f", "#fffa42", "#9e66af",
    "#888009",
)  # fmt: skip
OTHERS, OTHERS_DARK = "#68707a", "#8b949e"

# young to old; each ends at twice the age of the one before it
AGES = ("#fde725", "#a0da39", "#4ac16d", "#1fa187", "#277f8e", "#365c8d", "#46327e", "#440154")
AGES_DARK = (
    "#fde725", "#b8de29", "#73d055", "#3cbb75", "#2aa19a", "#3f8fb0", "#6a7fc8", "#9a6ac0",
)  # fmt: skip


def _scheme(sites: Iterable[str], others: str, ages: Iterable[str], **rest: str) -> dict[str, str]:
    numbered = {f"site{i}": colour for i, colour in enumerate(sites)}
    return {**numbered, "others": others, **{f"age{i}": c for i, c in enumerate(ages)}, **rest}


COLOURS = _scheme(
    SITES, OTHERS, AGES,
    ink="#1f2933", soft="#5f6c7b", line="#dde3ea", paper="#ffffff", back="#f4f6f9",
    grid="#e6eaf0", axis="#9aa5b1", cursor="#111111", note="#e0a800",
    static="#37474f", free="#e8ecf1", faint="#c3cad3", pages="#2a9d8f", held="#b7dcd6",
    live="#3b6fb6", bad="#cc3d3d", chunks="#6b4fa0", second="#e69f00", peak="#3b6fb6",
    hidden="#cc3d3d", apart="#b35900", blocks="#6b4fa0", empty="#c9a227",
)  # fmt: skip
DARK = _scheme(
    SITES_DARK, OTHERS_DARK, AGES_DARK,
    ink="#e6edf3", soft="#9aa7b4", line="#30363d", paper="#161b22", back="#0d1117",
    grid="#262d36", axis="#66717d", cursor="#f0f0f0", note="#e0a800",
    static="#d5dde5", free="#30363d", faint="#4f5964", pages="#2a9d8f", held="#2f5f59",
    live="#6ca0e8", bad="#ff7b72", chunks="#b39ae6", second="#e69f00", peak="#6ca0e8",
    hidden="#ff7b72", apart="#ffa657", blocks="#b39ae6", empty="#e3c65b",
)  # fmt: skip


def site_keys(names: Iterable[str]) -> dict[str, str]:
    """Assign keys of the schemes to call sites; those after the first few share one."""
    return {name: f"site{i}" if i < len(SITES) else "others" for i, name in enumerate(names)}


def site_colours(names: Iterable[str]) -> dict[str, str]:
    """Assign colours of the light scheme to call sites, as :func:`site_keys` does."""
    return {name: COLOURS[key] for name, key in site_keys(names).items()}
