# SPDX-License-Identifier: GPL-2.0-only
"""The colours of call sites are distinct, also for people who see fewer colours."""

from __future__ import annotations

from itertools import combinations

import pytest

from percpu_ffi.reports.colours import COLOURS, OTHERS, SITES

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


def seen(colour: str, without: str) -> object:
    """Lightness and the two opponent colours, CIELAB."""
    share = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(SEEN_WITHOUT[without]) @ linear, 0, 1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("without", SEEN_WITHOUT)
def test_colours_are_distinct(without: str) -> None:
    # Two of ten colours were equal without red cones, and two equalled the grey of all others.
    shown = [*SITES, OTHERS, COLOURS["static"], COLOURS["free"]]
    for one, other in combinations(shown, 2):
        difference = np.linalg.norm(seen(one, without) - seen(other, without))  # type: ignore[operator]
        assert difference > CLEAR, (one, other)
