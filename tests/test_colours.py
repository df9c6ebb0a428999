# SPDX-License-Identifier: GPL-2.0-only
"""The colours are distinct, also for people who see fewer of them, and text can be read.

Each test runs for the light and the dark scheme of the page.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from pages import contrast

from percpu_ffi.reports.colours import COLOURS, DARK, SITES

np = pytest.importorskip("numpy")

# linear red, green and blue as seen without one kind of cones: Machado,
# Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", 2009, severity 1
SEEN_WITHOUT = {
    "nothing": [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
    "red": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998)],
    "green": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
              (-0.011820, 0.042940, 0.968881)],
    "blue": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
             (0.004733, 0.691367, 0.303900)],
}  # fmt: skip
# linear sRGB to XYZ by white D65, IEC 61966-2-1
TO_XYZ = [(0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505), (0.2126, 0.7152, 0.0722),
          (0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089)]  # fmt: skip
CLEAR = 14  # CIE 1976 colour difference; 2.3 is just noticeable side by side


def seen(colour: str, without: str) -> Any:
    """Lightness and the two opponent colours, CIELAB."""
    share = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(SEEN_WITHOUT[without]) @ linear, 0, 1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", [COLOURS, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("without", SEEN_WITHOUT)
def test_colours_are_distinct(without: str, scheme: dict[str, str]) -> None:
    # Two of ten colours were equal without red cones, and two equalled the grey of all others.
    keys = [*(f"site{i}" for i in range(len(SITES))), "others", "static", "free"]
    for one, other in combinations(keys, 2):
        lab = seen(scheme[one], without), seen(scheme[other], without)
        difference = np.linalg.norm(lab[0] - lab[1])
        assert difference > CLEAR, (one, other)


@pytest.mark.parametrize("scheme", [COLOURS, DARK], ids=["light", "dark"])
def test_text_and_parts_of_charts_can_be_read(scheme: dict[str, str]) -> None:
    for text, below in (("ink", "paper"), ("ink", "back"), ("soft", "paper"), ("soft", "back"),
                        ("bad", "paper"), ("peak", "paper")):  # fmt: skip
        assert contrast(scheme[text], scheme[below]) >= 4.5, (text, below)
    for line, below in (("live", "paper"), ("live", "held"), ("chunks", "paper"),
                        ("pages", "paper"), ("cursor", "paper"), ("static", "free")):  # fmt: skip
        assert contrast(scheme[line], scheme[below]) >= 2.5, (line, below)
    ages = [scheme[f"age{i}"] for i in range(8)]
    for one, other in pairwise([*ages, scheme["free"], scheme["paper"], scheme["back"]]):
        assert contrast(one, other) > 1.03, (one, other)


def test_schemes_have_the_same_colours() -> None:
    assert COLOURS.keys() == DARK.keys()
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
