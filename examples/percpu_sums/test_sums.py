# SPDX-License-Identifier: GPL-2.0-only
"""C sums the numbers that Python wrote, in the same memory."""

import pytest
from percpu_sums import sums
from percpu_sums._sums import ffi, lib

from percpu_ffi import Allocator


def test_sums_are_those_of_what_python_wrote() -> None:
    with Allocator(cpus=4) as allocator:
        area = allocator.area(16)
        for cpu in range(4):
            area[cpu].cast("q")[0] = 10**cpu
            area[cpu].cast("q")[1] = -cpu
        assert sums(allocator, area) == [1111, -6]


def test_closed_allocator_is_refused_by_c_too() -> None:
    allocator = Allocator(cpus=2)
    area = allocator.area(8)
    allocator.close()
    with pytest.raises(ValueError, match="closed"):
        sums(allocator, area)


def test_functions_of_percpu_h_are_there_too() -> None:
    with Allocator(cpus=2) as allocator:
        ptr = lib.pcpu_alloc(allocator.handle, 8, 8)
        copy = ffi.cast("int64_t *", lib.pcpu_address(allocator.handle, ptr, 1))
        copy[0] = 42
        assert allocator.view(ptr, 1).cast("q")[0] == 42
        with pytest.raises(LookupError) as refused:
            lib.pcpu_alloc(allocator.handle, 8, 3)
        assert refused.value.args == (-lib.PCPU_E_ALIGN,)
