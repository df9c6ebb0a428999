# SPDX-License-Identifier: GPL-2.0-only
"""Lies are found next to the witness too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import liar_matrix
import liars

from percpu_ffi import Model

if TYPE_CHECKING:
    from upstream.witness import WitnessFactory


def test_lies_are_found_by_the_witness(fixed: WitnessFactory) -> None:
    """Each lie by one of the entry points, in places in turn."""
    gaps = {}
    with liar_matrix.in_this_process():
        for number, lie in enumerate(liars.lies()):
            entry = list(liar_matrix.ENTRIES)[number % 6]
            if (lie.method, entry) != ("close", "drive"):
                wrong = liar_matrix.cell(lie, entry, number // 6 % 3 + 1, (fixed, Model))
                gaps.update({(lie.name, entry): wrong} if wrong else {})
    assert gaps == {}
