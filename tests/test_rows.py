# SPDX-License-Identifier: GPL-2.0-only
"""What reading a file does for each operation: C and Python do the same."""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING

import pytest

from percpu_ffi.trace import rows, slow_rows
from percpu_ffi.trace.operations import BALANCE, FAULT, FREE, NO_INDEX, OP, ORPHAN

if TYPE_CHECKING:
    from types import ModuleType

BOTH = pytest.mark.parametrize("module", [rows, slow_rows], ids=["C", "Python"])
N = 100


@pytest.mark.parametrize(("code", "size"), [("H", 2), ("I", 4), ("Q", 8)])
def test_bytes_of_items_are_put_together(code: str, size: int) -> None:
    items = array(code, (random.Random(size).getrandbits(8 * size) for _ in range(N)))
    plain = b"".join(item.to_bytes(size, "little") for item in items)
    data = bytearray(b"".join(plain[i::size] for i in range(size)))
    for module in (rows, slow_rows):
        joined = array(code, [0]) * N
        module.join(memoryview(joined).cast("B"), size, data, size)
        assert joined == items


@BOTH
class TestTimes:
    def test_are_sums_of_differences(self, module: ModuleType) -> None:
        times = array("Q", [5, 3, 2**64 - 2, 0])
        module.sum_times(times, 1000)
        assert times.tolist() == [5000, 8000, 6000, 6000]

    def test_of_more_than_64_bits(self, module: ModuleType) -> None:
        with pytest.raises(OverflowError, match="int too big to convert"):
            module.sum_times(array("Q", [2**63]), 2)


@BOTH
@pytest.mark.parametrize(
    ("column", "n"), [([], 0), ([NO_INDEX], 0), ([3, NO_INDEX, 7, 0], 8)], ids=str
)
def test_a_table_is_used_up_to_the_highest_index(
    module: ModuleType, column: list[int], n: int
) -> None:
    assert module.used(array("I", column)) == n


@BOTH
@pytest.mark.parametrize(
    ("ops", "found"),
    [
        ([], (0, 0, 0, 0, 0)),
        ([(1, 4, 2), (2, 3, 6), (1, 5, FREE), (0, 9, FAULT), (0, 7, BALANCE)], (6, 7, 10, 2, 1)),
        ([(1, ORPHAN, FREE), (1, ORPHAN, FREE)], (0, 0, 0, 0, 2)),
        ([(1, ORPHAN, BALANCE - 1)], (2**32, BALANCE, 0, 1, 0)),
    ],
    ids=["none", "of each kind", "orphans", "highest numbers"],
)
def test_what_operations_use(
    module: ModuleType, ops: list[tuple[int, int, int]], found: slow_rows.Range
) -> None:
    assert module.range_of(b"".join(OP.pack(*op) for op in ops)) == found
