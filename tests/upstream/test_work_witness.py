# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests of tests/test_work.py on the witness: its work must be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import test_work
from test_work import (  # noqa: F401 - pytest runs them here again
    TestMaps,
    TestMoves,
    TestOperations,
    TestPages,
    TestScans,
    TestSlotsAndChunks,
    TestTree,
    test_closed,
    test_one_allocation_and_one_free,
    test_pages_are_those_requested_from_the_kernel,
    test_set_up_is_no_work,
)

from percpu_ffi import Model
from percpu_ffi.lockstep import lockstep

if TYPE_CHECKING:
    from upstream.witness import WitnessFactory


@pytest.fixture
def kind(fixed: WitnessFactory) -> WitnessFactory:
    """Return the factory for the tests of test_work.py."""
    return fixed


@pytest.mark.parametrize("seed", range(3))
def test_trees_have_the_same_shape(fixed: WitnessFactory, seed: int) -> None:
    makers: dict[str, Any] = {"witness": fixed, "model": Model}
    trace = test_work.churn_of_whole_chunks(seed)
    difference = lockstep(makers, trace, compare=["work"])
    assert difference is None, str(difference)
