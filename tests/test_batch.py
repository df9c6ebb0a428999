# SPDX-License-Identifier: GPL-2.0-only
"""Many areas in one call: any buffer of integers, all or none."""

from __future__ import annotations

import gc
import warnings
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import TINY, Make, in_child

from percpu_ffi import (
    Allocator,
    DoubleFree,
    InteriorPointer,
    InvalidPointer,
    InvalidRequest,
    PerCpu,
    PercpuError,
    PercpuMemoryError,
    StaticPointer,
    Trace,
    WildPointer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Remember = Callable[[PerCpu], Callable[[], None]]

SIZES = [8, 16, 100, 4]


def one_by_one(tiny: Make, sizes: list[int]) -> list[int]:
    with tiny() as a:
        return [a.alloc(size) for size in sizes]


@pytest.mark.parametrize(
    "sizes",
    [
        *(array(code, SIZES) for code in "bBhHiIlLqQ"),
        bytes(SIZES),
        bytearray(SIZES),
        memoryview(bytes(SIZES)),
        SIZES,
        tuple(SIZES),
        np.array(SIZES),
        np.array(SIZES, dtype=np.uint16),
        np.array(SIZES, dtype=np.int8).reshape(2, 2),
    ],
    ids=lambda sizes: f"{type(sizes).__name__}-{getattr(sizes, 'typecode', '')}",
)
def test_any_buffer_of_integers(tiny: Make, small: PerCpu, sizes: Any) -> None:
    ptrs = small.alloc_many(sizes)
    assert ptrs.typecode == "q"
    assert ptrs.tolist() == one_by_one(tiny, SIZES)


def test_buffers_may_be_unsigned(small: PerCpu) -> None:
    small.alloc_many(bytes([200]))
    small.alloc_many(array("H", [500]), 4)
    assert small.state().chunks[0].map == (-64, -200, -500, 260)


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize(
    ("code", "value"),
    [("H", 65_535), ("I", 2**32 - 1), ("b", -56), ("h", -1), ("i", -(2**31)), ("q", -(2**63))],
)
def test_integers_of_a_buffer_are_named_as_they_are(small: PerCpu, code: str, value: int) -> None:
    with pytest.raises(InvalidRequest, match=f"^size {value}: "):
        small.alloc_many(array(code, [8, value]))
    with pytest.raises(WildPointer, match=f"^pointer {value:#x} "):
        small.free_many(array(code, [0, value]))


@pytest.mark.parametrize("convert", [list, lambda p: p, np.array, lambda p: np.array(p, np.uint16)])
def test_free_many_accepts_what_alloc_many_returns(small: PerCpu, convert: Any) -> None:
    empty = small.state().chunks[0].free_size
    small.free_many(convert(small.alloc_many(SIZES)))
    assert small.state().chunks[0].free_size == empty


def test_empty_buffers_do_nothing(small: PerCpu) -> None:
    assert small.alloc_many([]).tolist() == []
    assert small.alloc_many(b"").tolist() == []
    small.free_many([])
    small.free_many(array("q"))


def test_frees_are_in_the_given_order(tiny: Make) -> None:
    # the order decides which chunk is released
    with tiny() as a:
        a.alloc(960)
        first, second = a.alloc(1024), a.alloc(1024)
        a.free_many([second, first])
        assert [c.id for c in a.state().chunks] == [0, 1]


@pytest.mark.parametrize("batch", ["alloc_many", "free_many", "replay"])
def test_kept_error_does_not_crash_the_garbage_collector(batch: str) -> None:
    """An error in a variable of the function that caught it is a cycle, with the frame of the call.

    The frame held a view that C data used, and CPython crashed when it collected both.
    """

    def refuse(done: int) -> None:
        raise KeyError(done)

    def keep_the_error() -> None:
        with Allocator(**TINY) as allocator:
            arguments: dict[str, Any] = {
                "alloc_many": array("i", [8, 0]),
                "free_many": array("q", [1]),
                "replay": Trace.from_ops([("alloc", 1, 8, 8)]),
            }
            kept = None
            try:
                if batch == "replay":
                    allocator.replay(arguments[batch], progress=refuse)
                getattr(allocator, batch)(arguments[batch])
            except (PercpuError, KeyError) as error:
                kept = error
            assert kept

    def collect() -> None:
        warnings.simplefilter("ignore")
        gc.freeze()  # what the tests before have left takes long
        for _ in range(20):
            keep_the_error()
            gc.collect()

    assert in_child(collect) == 0


def test_zeroes_are_skipped(small: PerCpu) -> None:
    ptr = small.alloc(8)
    small.free_many([0, ptr, 0])
    assert small.state().chunks[0].map == (-64, 960)


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("bad", [0, -1, 1025, 2**40])
def test_one_bad_size_refuses_all(small: PerCpu, unchanged: Remember, bad: int) -> None:
    check = unchanged(small)
    with pytest.raises(InvalidRequest, match=f"size {bad}"):
        small.alloc_many([8, 8, bad, 8])
    check()


def test_bad_alignment_refuses_all(small: PerCpu, unchanged: Remember) -> None:
    check = unchanged(small)
    for align in (3, 2**80, 8.0):
        with pytest.raises(InvalidRequest, match=f"^alignment {align}: "):
            small.alloc_many([8, 8], align=align)  # type: ignore[arg-type]
    check()


@pytest.mark.parametrize(
    "bad", [[1.5], ["8"], "88", 8, None, [2**70], array("d", [8]), np.arange(8)[::2], [None]]
)
def test_no_buffer_of_integers(small: PerCpu, unchanged: Remember, bad: Any) -> None:
    check = unchanged(small)
    with pytest.raises(InvalidRequest, match="buffer of integers"):
        small.alloc_many(bad)
    with pytest.raises(InvalidPointer, match="buffer of integers"):
        small.free_many(bad)
    check()


def test_bad_alignment_is_refused_without_any_size(small: PerCpu) -> None:
    with pytest.raises(InvalidRequest, match="alignment 3"):
        small.alloc_many([], align=3)


def test_failure_frees_what_was_allocated(small: PerCpu) -> None:
    # the batch needs three chunks, and the second new one cannot be created
    small.inject("get_vm_area", 2)
    with pytest.raises(PercpuMemoryError, match="get_vm_area"):
        small.alloc_many([1024, 900, 1024])
    chunks = small.state().chunks
    assert [chunk.free_size for chunk in chunks] == [960, 1024]


def test_failure_frees_the_last_area_first(small: PerCpu) -> None:
    # chunks 1 and 2 become empty; the one that does so last is kept
    small.inject("get_vm_area", 3)
    with pytest.raises(PercpuMemoryError):
        small.alloc_many([1024, 1024, 1024])
    assert [chunk.id for chunk in small.state().chunks] == [0, 1]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda ptrs, a: 10**9, WildPointer),
        (lambda ptrs, a: -1, WildPointer),
        (lambda ptrs, a: ptrs[0] + 4, InteriorPointer),
        (lambda ptrs, a: a.static_ptr, StaticPointer),
        (lambda ptrs, a: ptrs[1], DoubleFree),
        (lambda ptrs, a: ptrs[-1] + 512, DoubleFree),
    ],
    ids=["wild", "negative", "interior", "static", "doubled", "never-handed-out"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_one_bad_pointer_refuses_all(
    small: PerCpu, unchanged: Remember, bad: Any, error: type[Exception], order: int
) -> None:
    ptrs = small.alloc_many(SIZES).tolist()
    check = unchanged(small)
    wrong = bad(ptrs, small)
    with pytest.raises(error, match=f"^pointer {wrong:#x}"):
        small.free_many([*ptrs[::order], wrong])
    check()
    small.free_many(ptrs)


def test_first_of_several_errors_is_raised(small: PerCpu) -> None:
    ptrs = small.alloc_many(SIZES)
    with pytest.raises(InteriorPointer, match=hex(ptrs[1] + 4)):
        small.free_many([ptrs[0], ptrs[1] + 4, 10**9, -5, ptrs[0]])


def test_pointers_of_many_chunks_in_any_order(tiny: Make) -> None:
    with tiny() as a:
        empty = a.state().slots
        ptrs = np.array(a.alloc_many([200] * 100))
        np.random.default_rng(1).shuffle(ptrs)
        a.free_many(ptrs)
        assert len(a.state().chunks) <= 2
        assert a.state().slots[:-1] == empty[:-1]
