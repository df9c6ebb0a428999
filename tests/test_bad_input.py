# SPDX-License-Identifier: GPL-2.0-only
"""Bad input raises a typed error with advice and leaves the state unchanged."""

from __future__ import annotations

import contextlib
import decimal
import io
import pickle
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from conftest import TINY, Kind, Make

from percpu_ffi import (
    Allocator,
    ClosedError,
    ConfigError,
    DoubleFree,
    InteriorPointer,
    InvalidPointer,
    InvalidRequest,
    OtherUnitPointer,
    PerCpu,
    PercpuError,
    PercpuMemoryError,
    PercpuWarning,
    StaticPointer,
    Trace,
    WildPointer,
)
from percpu_ffi._core import ffi, lib
from percpu_ffi.errors import without_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    Remember = Callable[[PerCpu], Callable[[], None]]

POINTER_METHODS = ["free", "locate", "address", "view"]


def call(allocator: PerCpu, method: str, ptr: Any) -> object:
    extra = (0,) if method in ("address", "view") else ()
    return getattr(allocator, method)(ptr, *extra)


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("size", [0, -1, 1025, 2**31, 2**64, 2**100, -(2**100), 1.5, 8.0, "8"])
def test_size_out_of_range(small: PerCpu, unchanged: Remember, size: Any) -> None:
    check = unchanged(small)
    with pytest.raises(InvalidRequest, match=r"size .*from 1 to 1024 bytes"):
        small.alloc(size)
    check()


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
def test_numbers_too_long_to_be_printed(kind: Kind, small: PerCpu) -> None:
    # str() of more than 4,300 digits raises an error of its own
    huge = 10**5000
    for call_with in (
        small.alloc,
        lambda n: small.alloc(8, n),
        small.free,
        lambda n: small.view(small.static_ptr, n),
        lambda n: small.inject("map", n),
        lambda n: small.inject("map", probability=n),
        lambda n: kind(cpus=n),
        lambda n: Trace.from_ops([("alloc", 1, n, 8)]),
    ):
        with pytest.raises(PercpuError):
            call_with(huge)


@pytest.mark.parametrize(
    "size",
    [
        *(None, [8], np.array([8, 8]), decimal.Decimal("8.5"), np.float32(8.5), np.True_, b"8"),
    ],
)
def test_size_that_is_not_an_integer(small: PerCpu, unchanged: Remember, size: Any) -> None:
    check = unchanged(small)
    with pytest.raises(InvalidRequest, match="as an integer"):
        small.alloc(size)
    check()


def test_exception_of_index_is_passed_on(kind: Kind) -> None:
    class Strange:
        def __index__(self) -> int:
            raise KeyError("mine")

    strange: Any = Strange()
    with kind(**TINY) as a:
        for call in (a.alloc, a.free):
            with pytest.raises(KeyError, match="mine"):
                call(strange)


class Index:
    """An integer with ``__index__`` only."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_any_integer_is_accepted(small: PerCpu) -> None:
    ptr = small.alloc(Index(8), Index(8))  # type: ignore[arg-type]
    assert small.locate(Index(ptr)) == (0, 64)  # type: ignore[arg-type]
    small.free(Index(ptr))  # type: ignore[arg-type]
    assert len(small.alloc_many([8], Index(8))) == 1  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="as an integer"):
        small.alloc(Index(8), "8")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("traced", [False, True])
def test_refusal_shows_the_arguments_as_given(small: PerCpu, traced: bool) -> None:
    class Mine(Index):
        def __repr__(self) -> str:
            return f"Mine({self.value})"

    with small.trace_to(io.StringIO()) if traced else contextlib.nullcontext():
        with pytest.raises(InvalidRequest, match=r"size Mine\(0\)"):
            small.alloc(Mine(0))  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match=r"alignment Mine\(3\)"):
            small.alloc(8, Mine(3))  # type: ignore[arg-type]


def test_size_of_numpy_is_an_integer(small: PerCpu) -> None:
    numbers: Any = np.int32(8), np.uint8(8)
    assert small.alloc(*numbers) > 0


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("align", [0, -8, 3, 48, 128, 2**40, 2**70, 4.0, None, "8"])
def test_alignment_out_of_range(small: PerCpu, unchanged: Remember, align: Any) -> None:
    check = unchanged(small)
    with pytest.raises(InvalidRequest, match=r"^alignment .*power of two from 1 to 64") as caught:
        small.alloc(8, align)
    assert str(caught.value).startswith(f"alignment {align!r}: ")
    check()


def test_refused_size_warns_as_the_kernel_does(small: PerCpu) -> None:
    with (
        pytest.warns(RuntimeWarning, match="illegal size or align"),
        pytest.raises(InvalidRequest),
    ):
        small.alloc(0)
    assert small.counters()["warn"] == 1


@pytest.mark.parametrize(
    ("size", "align", "warns"),
    [(1024, 64, 0), (1025, 64, 1), (-1, 8, 1), (8, 0, 0), (8, 48, 0), (8, -1, 1), (8, 65, 1)],
)
def test_sizes_and_alignments_that_warn(tiny: Make, size: int, align: int, warns: int) -> None:
    """The 2009 file let alignments pass that are no power of two, 0 among them."""
    with tiny() as a, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(InvalidRequest):
            a.alloc(size, align)
        assert len(caught) == a.counters()["warn"] == warns


def test_warning_as_error_does_not_hide_the_refusal(small: PerCpu) -> None:
    # pytest runs this project with warnings as errors
    with pytest.raises(InvalidRequest):
        small.alloc(0)


def test_warnings_are_suppressed_until_the_last_block_ends(small: PerCpu) -> None:
    def refused() -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(InvalidRequest):
                small.alloc(0)
        return len(caught)

    with without_warnings():
        with without_warnings():
            assert refused() == 0
        assert refused() == 0
    assert refused() == 1
    assert small.counters()["warn"] == 3


@pytest.mark.parametrize("method", POINTER_METHODS)
class TestPointers:
    """Every method that takes a pointer, against every kind of wrong pointer."""

    @pytest.fixture
    def ptr(self, real: PerCpu) -> int:
        real.alloc(64)
        return real.alloc(64)

    def refused(
        self, real: PerCpu, method: str, ptr: Any, error: type[Exception], unchanged: Remember
    ) -> None:
        check = unchanged(real)
        with pytest.raises(error) as caught:
            call(real, method, ptr)
        assert isinstance(caught.value, InvalidPointer)
        named = f"{ptr:#x}" if isinstance(ptr, int) else repr(ptr)
        assert f"pointer {named}" in str(caught.value)
        check()

    def test_wild(self, real: PerCpu, method: str, unchanged: Remember) -> None:
        self.refused(real, method, 10**12, WildPointer, unchanged)

    def test_negative(self, real: PerCpu, method: str, ptr: int, unchanged: Remember) -> None:
        self.refused(real, method, -ptr, WildPointer, unchanged)

    def test_too_high_by_four_gib(
        self, real: PerCpu, method: str, ptr: int, unchanged: Remember
    ) -> None:
        self.refused(real, method, ptr + 2**32, WildPointer, unchanged)

    @pytest.mark.parametrize("wild", [2**63, 2**64 + 12288, -(2**70)])
    def test_beyond_64_bits(
        self, real: PerCpu, method: str, wild: int, unchanged: Remember
    ) -> None:
        self.refused(real, method, wild, WildPointer, unchanged)

    @pytest.mark.parametrize("wild", [None, "12288", 12288.0, decimal.Decimal(12288)])
    def test_not_an_integer(
        self, real: PerCpu, method: str, wild: Any, unchanged: Remember
    ) -> None:
        self.refused(real, method, wild, InvalidPointer, unchanged)

    def test_interior(self, real: PerCpu, method: str, ptr: int, unchanged: Remember) -> None:
        self.refused(real, method, ptr + 8, InteriorPointer, unchanged)

    def test_doubled(self, real: PerCpu, method: str, ptr: int, unchanged: Remember) -> None:
        real.free(ptr)
        self.refused(real, method, ptr, DoubleFree, unchanged)

    def test_never_allocated(
        self, real: PerCpu, method: str, ptr: int, unchanged: Remember
    ) -> None:
        self.refused(real, method, ptr + 4096, DoubleFree, unchanged)

    def test_of_another_unit(
        self, real: PerCpu, method: str, ptr: int, unchanged: Remember
    ) -> None:
        self.refused(real, method, ptr + real.unit_size, OtherUnitPointer, unchanged)

    def test_inside_the_static_area(self, real: PerCpu, method: str, unchanged: Remember) -> None:
        self.refused(real, method, real.static_ptr + 8, StaticPointer, unchanged)

    def test_of_a_destroyed_chunk(self, real: PerCpu, method: str, unchanged: Remember) -> None:
        real.alloc_many([real.max_size // 2] * 1)
        first, second = real.alloc(real.max_size), real.alloc(real.max_size)
        real.free(first)
        real.free(second)  # two empty chunks: the first one is released
        self.refused(real, method, first, WildPointer, unchanged)

    def test_of_another_allocator(
        self, kind: Kind, real: PerCpu, method: str, unchanged: Remember
    ) -> None:
        with kind(cpus=3) as other:
            foreign = other.alloc_many([64] * 100)[-1]
            self.refused(real, method, foreign, DoubleFree, unchanged)


def test_static_area_is_not_freed(real: PerCpu, unchanged: Remember) -> None:
    real.alloc(8)
    check = unchanged(real)
    with pytest.raises(StaticPointer, match=f"pointer {real.static_ptr:#x} is in"):
        real.free(real.static_ptr)
    check()


def test_freed_byte_is_no_area(small: PerCpu) -> None:
    freed, _after = small.alloc(1, 1), small.alloc(1, 1)
    small.free(freed)
    with pytest.raises(DoubleFree):
        small.free(freed)


def test_end_of_a_first_chunk_before_its_unit_ends(tiny: Make) -> None:
    # |SSSS|#######|never used|
    with tiny(first_chunk="remap", unit_size=1024, free_size=128) as a:
        ptr = a.alloc(128)
        for wild in (ptr + 128, a.static_ptr + 1023):
            with pytest.raises(WildPointer, match=f"pointer {wild:#x} is in no chunk"):
                a.locate(wild)
        with pytest.raises(InteriorPointer):
            a.locate(ptr + 127)


@pytest.mark.parametrize("method", ["address", "view"])
@pytest.mark.parametrize("cpu", [-1, 3, 2**70, None, 0.0])
def test_cpu_out_of_range(real: PerCpu, method: str, cpu: Any) -> None:
    ptr = real.alloc(8)
    with pytest.raises(ConfigError, match=f"cpu {cpu}: this allocator has CPUs 0 to 2"):
        getattr(real, method)(ptr, cpu)


def test_view_without_memory(small: PerCpu) -> None:
    ptr = small.alloc(8)
    with pytest.raises(ConfigError, match="memory='none'"):
        small.view(ptr, 0)
    with pytest.raises(ConfigError, match="memory='none'"):
        small.address(ptr, 0)
    with pytest.raises(ConfigError, match="memory='none'"):
        small.area(8)[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"cpus": 0},
        {"cpus": -1},
        {"cpus": 2.0},
        {"cpus": 65537},
        {"static_size": 0},
        {"static_size": -4096},
        {"static_size": 2**31},
        {"first_chunk": "8k"},
        {"first_chunk": None},
        {"unit_size": 65536 + 1},
        {"unit_size": 32768},
        {"unit_size": 2**31},
        {"unit_size": -65536},
        {"free_size": 4096},
        {"free_size": -1},
        {"free_size": 65536, "unit_size": 65536},
        {"static_size": 65537, "unit_size": 65536},
        {"first_chunk": "embed", "unit_size": 65536, "static_size": 70000},
        {"first_chunk": "remap", "static_size": 2**21},
        {"first_chunk": "remap", "unit_size": 2**21, "free_size": 2**21},
        {"static_image": b"x" * 8193},
        {"static_image": "text"},
        {"nodes": 0},
        {"nodes": 5},
        {"page_size": 2048},
        {"page_size": 0},
        {"page_size": 4096 * 3},
        {"page_size": 2**27},
        {"memory": "some"},
        {"page_limit": 0},
        {"page_limit": -1},
        {"quirks": {"walk"}},
        {"quirks": "walk"},
        {"quirks": None},
        {"quirks": 5},
    ],
    ids=str,
)
def test_impossible_geometry(kind: Kind, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**arguments)
    # the value and the advice
    assert len(str(caught.value)) > 30


@pytest.mark.parametrize(
    "arguments",
    [
        {"cpus": 1, "nodes": 1},
        {"cpus": 65536, "memory": "none"},
        {"nodes": 4},
        {"static_size": 1},
        {"static_image": b"x" * 8192},
        {"page_size": 4096},
        {"page_size": 1, "static_size": 1, "memory": "none"},
        {"page_size": 64 << 20, "memory": "none"},
        {"page_limit": 1},
        {"unit_size": 65536, "static_size": 65536},
        {"quirks": "rollback"},
    ],
    ids=",".join,
)
def test_first_and_last_possible_geometry(kind: Kind, arguments: dict[str, Any]) -> None:
    with kind(**arguments) as a:
        for name in arguments.keys() & {"cpus", "page_size", "static_size", "unit_size"}:
            assert getattr(a, name) == arguments[name]


class TestClosed:
    """Use after close raises, never crashes."""

    @pytest.fixture
    def closed(self, kind: Kind) -> PerCpu:
        allocator = kind()
        self.ptr = allocator.alloc(8)
        self.area = allocator.area(8)
        allocator.close()
        return allocator

    USES: ClassVar = {
        "alloc": lambda a: a.alloc(8),
        "alloc_gfp": lambda a: a.alloc_gfp(8),
        "balance": lambda a: a.balance(),
        "follow": lambda a: a.follow(8, 8, None),
        "free": lambda a: a.free(12288),
        "locate": lambda a: a.locate(12288),
        "address": lambda a: a.address(12288, 0),
        "view": lambda a: a.view(12288, 0),
        "area": lambda a: a.area(8),
        "state": lambda a: a.state(),
        "counters": lambda a: a.counters(),
        "work": lambda a: a.work(),
        "inject": lambda a: a.inject("kmalloc", 1),
        "clear": lambda a: a.inject("kmalloc"),
        "alloc_many": lambda a: a.alloc_many([8]),
        "alloc_none": lambda a: a.alloc_many([]),
        "free_many": lambda a: a.free_many([12288]),
        "free_none": lambda a: a.free_many([]),
        "free_null": lambda a: a.free(0),
        "replay": lambda a: a.replay(Trace.from_ops([("alloc", 1, 8, 8)])),
        "replay_nothing": lambda a: a.replay(Trace.from_ops([])),
        "percpu_stats": lambda a: a.percpu_stats(),
        "trace_to": lambda a: a.trace_to(io.StringIO()),
        "validate": lambda a: a.validate(),
        "chunks": lambda a: a.chunks,
        "pages": lambda a: a.pages,
        "hidden_bytes": lambda a: a.hidden_bytes,
    }

    def test_no_method_is_left_out(self) -> None:
        of_arguments = {"cpus", "page_size", "unit_size", "max_size", "static_size", "static_ptr"}
        of_arguments.add("policy")
        public = {name for name in vars(PerCpu) if not name.startswith("_")}
        assert public - of_arguments - {"close"} <= self.USES.keys()

    @pytest.mark.parametrize("use", USES)
    def test_methods(self, closed: PerCpu, use: str) -> None:
        with pytest.raises(ClosedError, match="closed"):
            self.USES[use](closed)

    def test_area(self, closed: PerCpu) -> None:
        with pytest.raises(ClosedError):
            self.area[0]
        with pytest.raises(ClosedError):
            self.area.free()

    def test_closing_again_is_allowed(self, closed: PerCpu) -> None:
        closed.close()
        assert repr(closed) == f"<{type(closed).__name__}, closed>"


def test_wrong_quirks_may_come_from_a_generator_too(kind: Kind) -> None:
    with pytest.raises(ConfigError, match="choose one of 'rollback'"):
        kind(quirks=iter(["walk"]))  # type: ignore[arg-type]


def test_quirks_may_come_from_a_generator(kind: Kind) -> None:
    with kind(quirks=(name for name in ["rollback"])) as a:  # type: ignore[arg-type]
        ptr = a.alloc(8)
        with pytest.raises(ConfigError, match="rollback"):
            a.view(ptr, 0)


def test_errors_survive_pickling(tiny: Make) -> None:
    # a worker process sends them: one that cannot be read back breaks the pool
    with tiny() as a:
        a.inject("map", 1)
        with pytest.raises(PercpuMemoryError) as caught:
            a.alloc(8)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.service) == (str(caught.value), "map")


def test_warning_points_at_the_caller(tiny: Make) -> None:
    with tiny() as a:
        with pytest.warns(PercpuWarning) as caught, pytest.raises(InvalidRequest):
            a.area(0)
        assert caught[0].filename == __file__


def test_every_error_is_a_percpu_error(tiny: Make) -> None:
    with tiny() as a:
        for bad in (lambda: a.free(7), lambda: a.inject("kfree", 1), lambda: a.alloc(8, 3)):
            with pytest.raises(PercpuError) as caught:
                bad()
            assert isinstance(caught.value, ValueError)


def test_reentrant_call_is_refused_as_such() -> None:
    # close() reported every refusal as a live view, other methods as a wrong configuration
    @ffi.callback("void(void *, const struct pcpu_event *)")
    def event(_arg: object, _event: object) -> None:
        for call in (a.close, a.state, lambda: a.alloc(8), lambda: a.free(64)):
            try:
                call()
            except Exception as error:
                refusals.append(error)

    refusals: list[Exception] = []
    hooks = ffi.new("struct pcpu_hooks *", {"event": event})
    request = {"version": lib.PCPU_VERSION, "cpus": 2, "static_size": 64, "hooks": hooks}
    with Allocator(cpus=2) as a:
        its_own = a._pcpu
        a._pcpu = a._untraced = lib.pcpu_create(ffi.new("struct pcpu_config *", request), ffi.NULL)
        a.alloc(8)
        lib.pcpu_destroy(a._pcpu)
        a._pcpu = a._untraced = its_own
    assert len(refusals) >= 4
    for error in refusals:
        assert type(error) is PercpuError
        assert "already inside this allocator" in str(error)
