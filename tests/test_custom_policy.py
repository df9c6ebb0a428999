# SPDX-License-Identifier: GPL-2.0-only
"""A policy of the user: its replay, and each promise that it can break."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from conftest import OnePage

import percpu_ffi.replay
from percpu_ffi import (
    ConfigError,
    CustomPolicy,
    InvalidRequest,
    PercpuError,
    PercpuMemoryError,
    PolicyError,
    Trace,
)
from percpu_ffi.custom import Units, chunks, replay_custom
from percpu_ffi.custom.chunks import Chunks
from percpu_ffi.errors import bad_request, shown
from percpu_ffi.work import Work

# two CPUs, units of 8 pages of 64 bytes, a static area that ends in the second page:
#   |SSSSSSSSSSSSSSSS|SSSSSSSSS.......|................|...        ...|
#   0               64       100     128              192           512
UNITS = Units(cpus=2, page_size=64, unit_size=512, static_size=100)

OPS = [("alloc", "a", 32, 8), ("alloc", "b", 32, 8), ("free", "a"), ("free", "b")]


def policy(
    alloc: Callable[..., Any],
    free: Callable[..., Any] = lambda self, chunk, offset: None,
    start: Callable[..., Any] = lambda self: None,
) -> type[CustomPolicy]:
    """Return a class that is called Mine."""
    return type("Mine", (CustomPolicy,), {"alloc": alloc, "free": free, "start": start})


def error_of(mine: Any, ops: Any = OPS) -> str:
    """Return the message of the error that ends a replay."""
    with pytest.raises(PolicyError) as caught:
        replay_custom(mine, Trace.from_ops(ops), UNITS)
    return str(caught.value)


class Next(CustomPolicy):
    """Put each area into the next page of the first chunk, then of a second one."""

    def start(self) -> None:
        self.pages = iter([*((0, page) for page in range(2, 8)), *((1, page) for page in range(8))])

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        self.step(3)
        chunk, page = next(self.pages)
        if chunk and not page:
            assert self.create_chunk() == chunk
        self.populate(chunk, range(page, page + 1))
        return chunk, page * self.page_size

    def free(self, chunk: int, offset: int) -> None:
        self.step()
        self.depopulate(chunk, self.pages_at(offset, 1))


class TestFigures:
    def test_areas_pages_and_chunks(self) -> None:
        """Six areas fill the first chunk, two are in a second one; then the last one is freed."""
        ops = [*(("alloc", key, 32, 8) for key in range(8)), ("free", 7)]
        result, work = replay_custom(Next, Trace.from_ops(ops), UNITS)
        assert [*result.pointers] == [
            *(512 + offset for offset in range(128, 512, 64)),
            *(1024, 1088, 1088),
        ]
        assert (result.live_bytes, result.peak_live_bytes) == (7 * 32, 8 * 32)
        assert result.pages_at_peak == result.peak_populated_pages == 2 * (2 + 8)
        assert result.populated_pages == 2 * (2 + 7)
        assert (result.chunks, result.peak_chunks) == (2, 2)
        assert (result.chunks_created, result.chunks_destroyed) == (1, 0)
        assert work.alloc == Work(operations=8, entries_scanned=24, pages_populated=2 * 8)
        assert work.free == Work(operations=1, entries_scanned=1, pages_depopulated=2 * 1)

    def test_second_calls_count_too(self) -> None:
        ops = [*OPS, ("alloc", "c", 1, 1)]
        result, work = replay_custom(Next, Trace.from_ops(ops), UNITS)
        assert work.free == Work(operations=2, entries_scanned=2, pages_depopulated=2 * 2)
        assert work.alloc.pages_populated == 2 * 3
        assert result.populated_pages == 2 * (2 + 1)

    def test_time(self) -> None:
        before = time.perf_counter_ns()
        result, _ = replay_custom(Next, Trace.from_ops(OPS), UNITS)
        assert 0 < result.elapsed_ns <= time.perf_counter_ns() - before

    def test_destroyed_chunks_take_their_pages_along(self) -> None:
        ops = [*(("alloc", "a", 65, 1), ("free", "a")) * 2, ("alloc", "b", 1, 1)]
        result, work = replay_custom(OnePage, Trace.from_ops(ops), UNITS)
        assert [*result.pointers] == [1024, 1024, 1536, 1536, 2048]
        assert (result.chunks_created, result.chunks_destroyed) == (3, 2)
        assert (result.chunks, result.peak_chunks) == (2, 2)
        assert (result.peak_populated_pages, result.populated_pages) == (2 * 4, 2 * 3)
        assert work.free.pages_depopulated == 2 * 4

    def test_peak_is_the_first_one(self) -> None:
        """The pages of the first of two equal peaks count; the policy keeps all."""

        def alloc(self: Any, size: int, align: int) -> tuple[int, int]:
            self.offset = getattr(self, "offset", 64) + 64
            self.populate(0, self.pages_at(self.offset, size))
            return 0, self.offset

        ops = [("alloc", "a", 64, 1), ("free", "a"), ("alloc", "b", 64, 1)]
        result, _ = replay_custom(policy(alloc), Trace.from_ops(ops), UNITS)
        assert (result.pages_at_peak, result.peak_populated_pages) == (2 * 3, 2 * 4)

    def test_without_areas_the_static_pages_count(self) -> None:
        """Also those that start() populates."""
        mine = policy(lambda *_: None, start=lambda self: self.populate(0, range(5)))
        result, work = replay_custom(mine, Trace.from_ops([("free", "a")]), UNITS)
        assert [*result.pointers] == [0]
        assert result.pages_at_peak == result.populated_pages == 2 * 5
        assert (result.chunks, result.peak_chunks, result.chunks_created) == (1, 1, 0)
        assert work.total == Work()

    def test_static_area_of_a_whole_page(self) -> None:
        units = UNITS._replace(static_size=64)
        result, _ = replay_custom(Next, Trace.from_ops([("free", "a")]), units)
        assert result.populated_pages == 2 * 1

    def test_live_key_is_freed_before_it_is_allocated_again(self) -> None:
        calls: list[Any] = []

        def alloc(self: Any, size: int, align: int) -> tuple[int, int]:
            calls.append("alloc")
            self.populate(0, range(2, 3))
            return 0, 128

        mine = policy(alloc, lambda self, *place: calls.append(place))
        ops = [("alloc", "a", 64, 8), ("alloc", "a", 60, 4)]
        result, _ = replay_custom(mine, Trace.from_ops(ops), UNITS)
        assert calls == ["alloc", (0, 128), "alloc"]
        assert (result.live_bytes, result.peak_live_bytes) == (60, 64)

    def test_flags_faults_and_background_work_have_no_effect(self) -> None:
        ops: list[Any] = [
            ("alloc", "a", 8, 8, ("atomic",)),
            ("balance",),
            ("inject", "map", {"nth": 1}),
            ("alloc", "b", 8, 8),
        ]
        result, _ = replay_custom(Next, Trace.from_ops(ops), UNITS)
        assert [*result.pointers] == [640, 0, 0, 704]
        assert result.ignored_flags == 1

    def test_progress_is_reported_after_each_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A part has two operations here."""
        monkeypatch.setattr(percpu_ffi.replay, "STEP", 2)
        calls: list[Any] = []

        class Noting(Next):
            def alloc(self, size: int, align: int) -> tuple[int, int]:
                calls.append("alloc")
                return super().alloc(size, align)

        five = Trace.from_ops([("alloc", key, 8, 8) for key in range(5)])
        replay_custom(Noting, five, UNITS, calls.append)
        assert calls == ["alloc", "alloc", 2, "alloc", "alloc", 2, "alloc", 1]

    def test_no_steps_are_a_number_of_steps(self) -> None:
        mine = freeing(lambda self, chunk, offset: self.step(0))
        _, work = replay_custom(mine, Trace.from_ops(OPS), UNITS)
        assert work.free.entries_scanned == 0

    def test_integers_of_numpy_are_integers(self) -> None:
        def alloc(self: Any, size: int, align: int) -> Any:
            self.step(np.uint8(1))
            self.populate(np.int64(0), range(2, 3))
            return np.int32(0), np.int64(128)

        result, _ = replay_custom(policy(alloc), Trace.from_ops(OPS[:1]), UNITS)
        assert [*result.pointers] == [640]


class TestFailures:
    @pytest.mark.parametrize("error", [PercpuMemoryError("full"), InvalidRequest("too large")])
    def test_no_place_counts_as_a_failure(self, error: PercpuError) -> None:
        def alloc(self: Any, size: int, align: int) -> Any:
            if size > 40:
                raise error
            self.populate(0, range(2, 3))
            return 0, 128

        ops = [("alloc", "a", 40, 8), ("alloc", "a", 41, 8), ("free", "a"), ("alloc", "b", 4, 4)]
        result, work = replay_custom(policy(alloc), Trace.from_ops(ops), UNITS)
        (failure,) = result.failures
        assert (failure.index, failure.op, failure.error) == (1, ("alloc", "a", 41, 8), error)
        assert [*result.pointers] == [640, 0, 0, 640]
        assert (result.live_bytes, result.peak_live_bytes) == (4, 40)
        assert (work.alloc.operations, work.free.operations) == (3, 1)

    @pytest.mark.parametrize(
        ("size", "align", "valid"),
        [
            *((0, 4, False), (1, 4, True), (512, 4, True), (513, 4, False)),
            *((8, 0, False), (8, 3, False), (8, 64, True), (8, 128, False)),
        ],
    )
    def test_requests_that_no_allocator_serves_do_not_reach_the_policy(
        self, size: int, align: int, valid: bool
    ) -> None:
        requests: list[Any] = []

        def alloc(self: Any, *request: int) -> Any:
            requests.append(request)
            raise PercpuMemoryError("full")

        result, work = replay_custom(
            policy(alloc), Trace.from_ops([("alloc", "a", size, align)]), UNITS
        )
        (failure,) = result.failures
        assert requests == [(size, align)] * valid
        assert work.alloc.operations == valid
        wanted = PercpuMemoryError("full") if valid else bad_request(size, align, 512, 64)
        assert type(failure.error) is type(wanted)
        assert str(failure.error) == str(wanted)


def returning(place: Any) -> type[CustomPolicy]:
    """Return a policy that populates all pages and puts each area at one place."""

    def alloc(self: Any, size: int, align: int) -> Any:
        self.populate(0, range(8))
        return place

    return policy(alloc)


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("not me")

    def __index__(self) -> int:
        raise RuntimeError("no number")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ((0, 99), "the offset has to be a multiple of the alignment, 8"),
        ((0, 96), "the static area is live there; areas must not overlap"),
        ((0, -8), "the offset of an area of 32 bytes in a unit of 512 is an integer from 0 to 480"),
        ((0, 488), "from 0 to 480"),
        ((0, 10**5000), "from 0 to 480"),
        ((0, 104.0), "from 0 to 480"),
        ((0, float("nan")), "from 0 to 480"),
        ((0, True), "from 0 to 480"),
        ((0, None), "from 0 to 480"),
        ((0, "104"), "from 0 to 480"),
        ((0, Unshowable()), "from 0 to 480"),
        ((1, 104), "the chunk is 0, the first one, or the number that create_chunk() returned"),
        ((-1, 104), "the chunk is 0"),
        ((False, 104), "the chunk is 0"),
        ((0.0, 104), "the chunk is 0"),
        (([], 104), "the chunk is 0"),
        (None, "a tuple of two integers is needed, (chunk, offset)"),
        (104, "a tuple of two"),
        ([0, 104], "a tuple of two"),
        ((0, 104, 32), "a tuple of two"),
        ("ab", "a tuple of two"),
        (Unshowable(), "a tuple of two"),
    ],
    ids=type,
)
def test_wrong_places(place: Any, why: str) -> None:
    message = error_of(returning(place))
    assert message.startswith("Mine.alloc(32, 8) at operation 1 of 4 returned ")
    assert why in message
    assert len(message) < 500


def test_last_place_of_a_unit() -> None:
    """Also the first place after the static area, which ends in the middle of a page."""
    ops = Trace.from_ops([("alloc", "a", 32, 4)])
    for offset in (100, 480):
        result, _ = replay_custom(returning((0, offset)), ops, UNITS)
        assert [*result.pointers] == [512 + offset]


def test_areas_must_not_overlap() -> None:
    """The second area is put where the first one is."""
    assert error_of(returning((0, 200))) == (
        "Mine.alloc(32, 8) at operation 2 of 4 returned (0, 200): the area of 32 bytes at 200 is "
        "live there; areas must not overlap"
    )


def test_pages_of_an_area_have_to_be_populated() -> None:
    """The first page that is not is named.

    page    2       3       4       5
         |#######|       |       |#######|
               <------------------->
    """

    def alloc(self: Any, size: int, align: int) -> Any:
        self.populate(0, range(2, 3))
        self.populate(0, range(5, 6))
        return 0, 160

    assert error_of(policy(alloc), [("alloc", "a", 192, 4)]) == (
        "Mine.alloc(192, 4) at operation 1 of 1 returned (0, 160): page 3 of the chunk is not "
        "populated; populate the pages of an area before it is returned"
    )


def freeing(free: Callable[..., Any]) -> type[CustomPolicy]:
    """Return a policy that places areas from 128 on, in a second chunk too."""

    def alloc(self: Any, size: int, align: int) -> Any:
        offset, self.offset = self.offset, self.offset + 32
        self.populate(1, self.pages_at(offset, size))
        return 1, offset

    def start(self: Any) -> None:
        self.offset = 128
        self.create_chunk()

    return policy(alloc, free, start)


@pytest.mark.parametrize(
    ("free", "what"),
    [
        (
            lambda self, chunk, offset: self.depopulate(1, range(8)),
            "called depopulate(1, range(0, 8)): the area of 32 bytes at 160 is live there; only "
            "pages without live areas may be depopulated",
        ),
        (
            lambda self, chunk, offset: self.depopulate(0, range(1, 2)),
            "called depopulate(0, range(1, 2)): the static area is live there; only pages without "
            "live areas may be depopulated",
        ),
        (
            lambda self, chunk, offset: self.destroy_chunk(1),
            "called destroy_chunk(1): the area of 32 bytes at 160 is live in it; only a chunk "
            "without live areas may be destroyed",
        ),
        (
            lambda self, chunk, offset: self.destroy_chunk(0),
            "called destroy_chunk(0): the first chunk is never destroyed",
        ),
        (
            lambda self, chunk, offset: self.destroy_chunk(2),
            "called destroy_chunk(2): the chunk is 0, the first one, or the number that "
            "create_chunk() returned, so far up to 1",
        ),
        (
            lambda self, chunk, offset: self.populate(1, range(9)),
            "called populate(1, range(0, 9)): the pages are a range(first, end) of integers from 0 "
            "to 8, the pages of a unit",
        ),
        (
            lambda self, chunk, offset: self.step(-1),
            "called step(-1): a number of steps from 0 is needed",
        ),
        (
            lambda self, chunk, offset: 1 / 0,
            f"raised ZeroDivisionError: division by zero (line LINE of {__file__.split('/')[-1]})",
        ),
        (
            lambda self, chunk, offset: (_ for _ in ()).throw(PercpuMemoryError("full")),
            f"raised PercpuMemoryError: full (line LINE of {__file__.split('/')[-1]})",
        ),
        (
            lambda self: None,
            "raised TypeError: <lambda>() takes 1 positional argument but 3 were given",
        ),
    ],
)
def test_what_a_policy_may_not_do(free: Callable[..., Any], what: str) -> None:
    """In free(1, 128) of the first of two areas, at 128 and at 160."""
    wanted = re.escape(f"Mine.free(1, 128) at operation 3 of 4 {what}").replace("LINE", r"\d+")
    assert re.fullmatch(wanted, error_of(freeing(free)))


@pytest.mark.parametrize(
    "pages",
    [range(0, 8, 2), range(-1, 1), range(5, 3), range(10**5000), [1], 1, None, "12", Unshowable()],
    ids=type,
)
@pytest.mark.parametrize("method", ["populate", "depopulate"])
def test_wrong_pages(method: str, pages: Any) -> None:
    mine = freeing(lambda self, chunk, offset: getattr(self, method)(1, pages))
    message = error_of(mine)
    assert f" called {method}(1, " in message
    assert "the pages are a range(first, end) of integers from 0 to 8" in message


@pytest.mark.parametrize("chunk", [2, -1, None, True, Unshowable()], ids=type)
@pytest.mark.parametrize("method", ["populate", "depopulate"])
def test_pages_of_wrong_chunks(method: str, chunk: Any) -> None:
    message = error_of(freeing(lambda self, *_: getattr(self, method)(chunk, range(1))))
    assert f" called {method}({shown(chunk)}, range(0, 1)): the chunk is 0, the first" in message


@pytest.mark.parametrize(
    "count", [1.0, float("nan"), True, None, "1", -(10**5000), Unshowable()], ids=type
)
def test_wrong_steps(count: Any) -> None:
    mine = freeing(lambda self, chunk, offset: self.step(count))
    assert "a number of steps from 0 is needed" in error_of(mine)


def test_destroyed_chunk_is_gone() -> None:
    def start(self: Any) -> None:
        self.destroy_chunk(self.create_chunk())
        self.populate(1, range(1))

    assert error_of(policy(lambda *_: None, start=start)) == (
        "Mine.start() called populate(1, range(0, 1)): chunk 1 was destroyed"
    )


def test_endless_loop_of_chunks_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chunks.MOST_CHUNKS == 1 << 20
    monkeypatch.setattr(chunks, "MOST_CHUNKS", 3)
    made: list[int] = []

    def start(self: Any) -> None:
        while True:
            made.append(self.create_chunk())

    assert error_of(policy(lambda *_: None, start=start)) == (
        "Mine.start() called create_chunk(): 3 chunks at a time are the most"
    )
    assert made == [1, 2]


def test_broken_promise_cannot_be_caught() -> None:
    """The first one counts, whatever the policy returns after it."""

    def alloc(self: Any, size: int, align: int) -> Any:
        for chunk in (7, 8):
            with suppress(ValueError):
                self.destroy_chunk(chunk)
        raise PercpuMemoryError("full")

    assert "Mine.alloc(32, 8) at operation 1 of 4 called destroy_chunk(7)" in error_of(
        policy(alloc)
    )


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), MemoryError(), PolicyError("x")])
def test_other_errors_are_those_of_the_policy(error: BaseException) -> None:
    def alloc(self: Any, size: int, align: int) -> Any:
        raise error

    message = error_of(policy(alloc))
    assert f"operation 1 of 4 raised {type(error).__name__}: {error} (line " in message


def test_free_of_a_lost_free_names_its_operation() -> None:
    mine = freeing(lambda self, chunk, offset: 1 / 0)
    message = error_of(mine, [("alloc", "a", 32, 8), ("alloc", "a", 32, 8)])
    assert message.startswith("Mine.free(1, 128) at operation 2 of 2 raised ZeroDivisionError")


def test_ctrl_c_is_the_users() -> None:
    def alloc(self: Any, size: int, align: int) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay_custom(policy(alloc), Trace.from_ops(OPS), UNITS)


class TestClass:
    def test_policy_gets_the_geometry(self) -> None:
        seen: list[Any] = []

        def start(self: Any) -> None:
            seen.append((self.cpus, self.page_size, self.unit_size, self.static_size))
            seen.append(self.pages_at(64, 65))

        replay_custom(policy(lambda *_: None, start=start), Trace.from_ops([("free", 1)]), UNITS)
        assert seen == [tuple(UNITS), range(1, 3)]

    def test_sizes_that_a_policy_refuses(self) -> None:
        def start(self: Any) -> None:
            raise ConfigError("units of a page at least are needed")

        with pytest.raises(ConfigError, match="units of a page"):
            replay_custom(policy(lambda *_: None, start=start), Trace.from_ops(OPS), UNITS)

    def test_later_it_cannot_refuse_them(self) -> None:
        def alloc(self: Any, size: int, align: int) -> Any:
            raise ConfigError("too late")

        assert "raised ConfigError: too late" in error_of(policy(alloc))

    def test_abstract_class(self) -> None:
        class Half(CustomPolicy):
            def free(self, chunk: int, offset: int) -> None:
                pass

        assert re.match(r"Half\(\) raised TypeError: .*abstract.*alloc", error_of(Half))

    def test_constructor_of_the_base_is_needed(self) -> None:
        class Own(Next):
            def __init__(self, chunks: Any) -> None:
                self.own = chunks

        assert error_of(Own) == (
            "Own() does not call the constructor of CustomPolicy; leave it as it is, and prepare "
            "what the policy needs in start()"
        )

    def test_attributes_of_any_name(self) -> None:
        """The chunks of the base and those of a policy have different names."""

        class Many(Next):
            def start(self) -> None:
                super().start()
                self.chunks = self._chunks = self.live = self.broken = self.tally = 7

        result, _ = replay_custom(Many, Trace.from_ops(OPS), UNITS)
        assert result.peak_live_bytes == 64

    @pytest.mark.parametrize("wrong", [None, "Next", object, int, Next.alloc, len])
    def test_other_classes(self, wrong: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            replay_custom(wrong, Trace.from_ops(OPS), UNITS)
        assert str(caught.value) == (
            f"policy={shown(wrong)}: a subclass of percpu_ffi.CustomPolicy is needed"
        )

    @pytest.mark.parametrize("name", ["trace", "units", "progress"])
    def test_other_arguments_of_wrong_types(self, name: str) -> None:
        arguments: dict[str, Any] = {"trace": Trace.from_ops(OPS), "units": UNITS, name: "x"}
        with pytest.raises(ConfigError, match=f"{name}='x'"):
            replay_custom(Next, **arguments)


class TestUnits:
    def test_defaults_are_those_of_an_allocator(self) -> None:
        assert Units.of(page_size=4096) == (4, 4096, 65536, 8192)

    def test_automatic_unit_holds_the_static_area(self) -> None:
        assert Units.of(page_size=64, static_size=1025).unit_size == 1088
        assert Units.of(page_size=64, static_size=1024).unit_size == 1024

    def test_unit_of_a_page(self) -> None:
        assert Units.of(1, 64, 64, 64) == (1, 64, 64, 64)

    @pytest.mark.parametrize(
        ("sizes", "why"),
        [
            ({"unit_size": 64, "static_size": 65}, "static_size=65, unit_size=64"),
            ({"unit_size": 65}, "unit_size=65: a multiple of the page size"),
            ({"cpus": 0}, "cpus=0"),
            ({"cpus": "x"}, "cpus='x'"),
            ({"page_size": 3}, "page_size=3"),
            ({"static_size": 0}, "static_size=0"),
        ],
    )
    def test_impossible_ones(self, sizes: dict[str, Any], why: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(why)):
            Units.of(**{"page_size": 64, **sizes})


class Naive:
    """The same rules, byte by byte, to compare with."""

    def __init__(self, units: Units) -> None:
        self.live = {0: {*range(units.static_size)}}
        self.pages = {0: {*range(-(-units.static_size // units.page_size))}}
        self.units = units

    def at(self, offset: int, size: int) -> set[int]:
        return {byte // self.units.page_size for byte in range(offset, offset + size)}

    def may_take(self, chunk: int, offset: int, size: int, align: int) -> bool:
        return (
            chunk in self.live
            and offset >= 0
            and offset + size <= self.units.unit_size
            and offset % align == 0
            and not self.live[chunk] & {*range(offset, offset + size)}
            and self.at(offset, size) <= self.pages[chunk]
        )

    def may_depopulate(self, chunk: int, pages: range) -> bool:
        return chunk in self.live and not {
            byte // self.units.page_size for byte in self.live[chunk]
        } & {*pages}


def allowed(call: Callable[..., Any], ledger: Chunks, *args: Any) -> bool:
    try:
        call(*args)
    except PolicyError:
        ledger.broken = None
        return False
    return True


@pytest.mark.parametrize("seed", range(4))
def test_random_calls_are_allowed_as_byte_by_byte(seed: int) -> None:
    """No promise is checked too strictly or not strictly enough, and pages are counted."""
    rng = random.Random(seed)
    ledger, naive = Chunks(UNITS), Naive(UNITS)
    places: list[tuple[int, int, int]] = []
    answers: list[tuple[str, bool]] = []
    for _ in range(3000):
        chunk = rng.randrange(-1, ledger.created + 2)
        start, end = sorted(rng.choices(range(9), k=2))
        kind = rng.choice(["take"] * 4 + ["release"] * 2 + ["populate", "depopulate", "destroy"])
        if kind == "take":
            area = (rng.randrange(-8, 512), rng.randrange(1, 80), rng.choice([1, 1, 4, 16]))
            allow = naive.may_take(chunk, *area)
            got = allowed(ledger.take, ledger, (chunk, area[0]), *area[1:])
            if allow:
                naive.live[chunk] |= {*range(area[0], area[0] + area[1])}
                places.append((chunk, *area[:2]))
        elif kind == "release":
            if places:
                chunk, offset, size = places.pop(rng.randrange(len(places)))
                ledger.release(chunk, offset)
                naive.live[chunk] -= {*range(offset, offset + size)}
            continue
        elif kind == "populate":
            allow = chunk in naive.live
            got = allowed(ledger.populate, ledger, chunk, range(start, end))
            if allow:
                naive.pages[chunk] |= {*range(start, end)}
        elif kind == "depopulate":
            allow = naive.may_depopulate(chunk, range(start, end))
            got = allowed(ledger.depopulate, ledger, chunk, range(start, end))
            if allow:
                naive.pages[chunk] -= {*range(start, end)}
        elif len(ledger.chunks) < 3:
            number = ledger.create()
            naive.live[number], naive.pages[number] = set(), set()
            continue
        else:
            allow = chunk > 0 and naive.live.get(chunk) == set()
            got = allowed(ledger.destroy, ledger, chunk)
            if allow:
                del naive.live[chunk], naive.pages[chunk]
        assert got == allow, (kind, chunk)
        assert ledger.pages == sum(map(len, naive.pages.values()))
        assert {*ledger.chunks} == {*naive.live}
        assert all([*chunk.starts] == sorted(chunk.ends) for chunk in ledger.chunks.values())
        answers.append((kind, got))
    kinds = ("take", "populate", "depopulate", "destroy")
    assert {*answers} == {(kind, got) for kind in kinds for got in (True, False)}
    assert ledger.most_pages >= ledger.pages
