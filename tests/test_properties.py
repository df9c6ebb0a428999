# SPDX-License-Identifier: GPL-2.0-only
"""Properties of all sequences of calls: a state machine over the whole API.

Port and model are driven together; after each step all that they show is compared.  The
units are tiny, so that every border is near.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from percpu_ffi import Allocator, Model, PerCpu, Trace
from percpu_ffi.config import FAULT_SITES

PAGE = 64
UNIT = 16 * PAGE

SETUPS = st.fixed_dictionaries(
    {
        "cpus": st.integers(1, 3),
        "static_size": st.sampled_from([1, 3, 63, 64, 66, 500, UNIT - 5, UNIT]),
        "memory": st.just("none"),
        "page_size": st.just(PAGE),
        "quirks": st.sampled_from([(), (), ("rollback",)]),
    },
    optional={"page_limit": st.integers(10, 60), "nodes": st.just(1)},
) | st.fixed_dictionaries(
    {
        "cpus": st.integers(1, 2),
        "first_chunk": st.sampled_from(["embed", "remap"]),
        "static_size": st.sampled_from([1, 64, 66, 500]),
        "unit_size": st.just(UNIT + 2 * PAGE),
        "free_size": st.sampled_from([5, 64, 130]),
        "memory": st.just("none"),
        "page_size": st.just(PAGE),
    }
)
SIZES = st.one_of(st.integers(1, 4), st.integers(1, 100), st.sampled_from([PAGE, 200, UNIT]))
ALIGNS = st.sampled_from([1, 2, 4, 8, PAGE])
ANY_INTEGER = st.one_of(st.integers(-5, 3 * UNIT), st.integers(-(2**65), 2**65))


class Together(RuleBasedStateMachine):
    """Port and model, which must give the same results."""

    areas: Bundle[int] = Bundle("areas")

    @initialize(setup=SETUPS)
    def open(self, setup: dict[str, Any]) -> None:
        self.port, self.model = Allocator(**setup), Model(**setup)
        self.live: dict[int, int] = {}
        self.freed: list[int] = []

    def both(self, call: Callable[[PerCpu], Any]) -> Any:
        """Call a method of both; return the result, which can be an error."""
        answers = []
        for allocator in (self.port, self.model):
            try:
                answers.append(call(allocator))
            except Exception as error:
                answers.append(f"{type(error).__name__}: {error}")
        assert answers[0] == answers[1]
        return answers[0]

    # --- valid calls

    @rule(target=areas, size=SIZES, align=ALIGNS)
    def alloc(self, size: int, align: int) -> Any:
        ptr = self.both(lambda a: a.alloc(size, align))
        if not isinstance(ptr, int):
            assert "out of memory" in ptr
            return multiple()
        assert self.port.locate(ptr).offset % align == 0
        assert all(ptr + size <= other or other + old <= ptr for other, old in self.live.items()), (
            "areas overlap"
        )
        self.live[ptr] = size
        return ptr

    @rule(ptr=consumes(areas))
    def free(self, ptr: int) -> None:
        if ptr not in self.live:
            return  # freed in a batch
        assert self.both(lambda a: a.free(ptr)) is None
        del self.live[ptr]
        self.freed.append(ptr)

    @rule(target=areas, sizes=st.lists(SIZES, max_size=6), align=ALIGNS)
    def alloc_many(self, sizes: list[int], align: int) -> Any:
        ptrs = self.both(lambda a: a.alloc_many(sizes, align))
        if isinstance(ptrs, str):
            return multiple()
        self.live.update(zip(ptrs, sizes, strict=True))
        return multiple(*ptrs)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free_many(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(sorted(self.live)), unique=True))
        assert self.both(lambda a: a.free_many(some)) is None
        for ptr in some:
            del self.live[ptr]
            self.freed.append(ptr)

    @rule(sizes=st.lists(SIZES, max_size=5))
    def replay(self, sizes: list[int]) -> None:
        ops: list[tuple[Any, ...]] = [("alloc", key, size, 1) for key, size in enumerate(sizes)]
        ops += [("free", key) for key in range(len(sizes))]
        trace = Trace.from_ops(ops)

        def run(a: PerCpu) -> Any:
            result = a.replay(trace)
            return result.pointers, str(result.failures), result.peak_live_bytes

        self.both(run)

    @rule(
        site=st.sampled_from(FAULT_SITES),
        nth=st.integers(1, 6),
        times=st.sampled_from([1, 2, -1]),
        interval=st.integers(1, 3),
        probability=st.sampled_from([1.0, 0.5]),
    )
    def inject(self, site: str, **plan: Any) -> None:
        self.both(lambda a: a.inject(site, **plan))

    @rule()
    def clear(self) -> None:
        for site in FAULT_SITES:
            self.both(lambda a: a.inject(site))  # noqa: B023

    # --- invalid calls

    @rule(size=ANY_INTEGER, align=ANY_INTEGER)
    def alloc_anything(self, size: int, align: int) -> None:
        if 1 <= size <= UNIT and align in (1, 2, 4, 8, 16, 32, 64):
            return
        before = self.port.state()
        assert "InvalidRequest" in self.both(lambda a: a.alloc(size, align))
        assert self.port.state() == before

    @rule(ptr=ANY_INTEGER, data=st.data())
    def touch_anything(self, ptr: int, data: st.DataObject) -> None:
        if data.draw(st.booleans()) and self.live:
            ptr = data.draw(st.sampled_from(sorted(self.live))) + ptr % 7
        if data.draw(st.booleans()) and self.freed:
            ptr = self.freed[-1]
        self.both(lambda a: a.locate(ptr))
        self.both(lambda a: a.address(ptr, 0))
        if ptr not in self.live and ptr:
            before = self.port.state()
            assert isinstance(self.both(lambda a: a.free(ptr)), str)
            assert self.port.state() == before

    # --- invariants

    @invariant()
    def both_look_the_same(self) -> None:
        if hasattr(self, "port"):
            assert self.port.state() == self.model.state()
            assert self.port.counters() == self.model.counters()
            assert self.port.work() == self.model.work()
            assert self.port._partial_failure_count() == self.model._partial_failure_count()
            assert repr(self.port)[10:] == repr(self.model)[6:]

    @invariant()
    def both_are_sound(self) -> None:
        if hasattr(self, "port"):
            self.port.validate(self.live)
            self.model.validate(self.live)

    def teardown(self) -> None:
        if hasattr(self, "port"):
            self.clear()
            self.both(lambda a: a.free_many(list(self.live)))
            self.live.clear()
            self.both_look_the_same()
            self.both_are_sound()
            self.both(lambda a: a.close())


TestTogether = pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")(Together.TestCase)
TestTogether.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
