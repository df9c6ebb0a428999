# SPDX-License-Identifier: GPL-2.0-only
"""Random cases: the form that a number decides, the set-up, the operations, and what is given."""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from itertools import islice
from random import Random
from typing import Any

import numpy as np
import pytest

from percpu_ffi import ConfigError, InvalidRequest, Model, Trace
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.errors import without_warnings
from percpu_ffi.lockstep import Mix
from percpu_ffi.lockstep.campaign import FORMAT
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.random_traces import (
    ORDERS,
    PAGE_SIZES,
    PERIOD,
    Form,
    _long_map,
    _many_chunks,
    _refused,
    fault,
    form_of,
    random_setup,
    random_trace,
    victim,
)

REPLAYED, MAPPED = {2, 10, 18, 26, 34}, {3, 13, 23}
IN_BATCHES = set(range(1, 40, 4))  # 17 and 37 are deep
SETUP: dict[str, Any] = {
    **{"cpus": 2, "static_size": 64, "page_size": 64, "memory": "none"},
    **{"unit_size": 1024, "free_size": 0, "first_chunk": "4k"},
}


# --- forms


def test_number_decides_the_form() -> None:
    for number in range(PERIOD):
        calls = "replay" if number in REPLAYED else "many" if number in IN_BATCHES else "single"
        deep = {17: "map", 37: "chunks"}.get(number, "")
        expected = Form(calls, deep, number in MAPPED)
        assert form_of(number, 1000, CALLS) == form_of(number + PERIOD, 1000, CALLS) == expected


@pytest.mark.parametrize(
    ("length", "deep"), [(1, False), (499, False), (500, True), (3000, True), (3001, False)]
)
def test_only_cases_of_some_length_are_deep(length: int, deep: bool) -> None:
    """A deep one is at least as long."""
    for number in (17, 37):
        assert bool(form_of(number, length, CALLS).deep) == deep
        assert form_of(number, length, ["single"]) == Form("single")
        assert form_of(number, length, ["replay", "single"]).deep == ""


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (["many"], ("many", "many", "many")),
        (["replay", "many"], ("many", "many", "replay")),
        (["many", "single"], ("single", "many", "single")),
        (["replay"], ("replay", "replay", "replay")),
    ],
)
def test_each_case_is_called_in_one_of_the_given_ways(
    calls: list[str], expected: tuple[str, ...]
) -> None:
    assert tuple(form_of(number, 10, calls).calls for number in (0, 1, 2)) == expected


# --- set-ups


def accepted(setup: dict[str, Any]) -> bool:
    try:
        Model(**setup).close()
    except ConfigError:
        return False
    return True


def test_set_ups_are_small_and_of_every_kind() -> None:
    rng = Random(1)
    setups = [random_setup(rng, 64, Form()) for _ in range(300)]
    good = [setup for setup in setups if accepted(setup)]
    assert len(good) > 150
    for setup in setups:
        assert setup["page_size"] == 64
        assert 1 <= setup["nodes"] <= setup["cpus"] <= 5
        assert 1 <= setup["static_size"] <= 20 * 64
        assert setup.get("unit_size", 64) % 64 == 0
        assert setup["memory"] == "none"
    assert {setup["first_chunk"] for setup in good} == {"4k", "embed", "remap"}
    for name in ("unit_size", "free_size", "page_limit", "quirks"):
        assert len({name in setup for setup in good}) == 2
    assert {setup["cpus"] for setup in good} == {1, 2, 3, 4, 5}


def test_set_up_with_real_memory() -> None:
    """Its pages are the host's; it has at most two CPUs, and not the quirk that forbids views."""
    rng = Random(2)
    setups = [random_setup(rng, 64, Form(mapped=True)) for _ in range(100)]
    assert {setup["page_size"] for setup in setups} == {mmap.PAGESIZE}
    assert {setup["memory"] for setup in setups} == {"mapped"}
    assert {setup["cpus"] for setup in setups} == {1, 2}
    assert not any("quirks" in setup for setup in setups)


@pytest.mark.parametrize("deep", ["map", "chunks"])
def test_set_up_of_a_deep_case_has_no_limits(deep: str) -> None:
    rng = Random(3)
    setups = [random_setup(rng, 1, Form("many", deep)) for _ in range(60)]
    assert all(accepted(setup) for setup in setups)
    assert not any({"page_limit", "quirks"} & setup.keys() for setup in setups)
    pages = {setup["page_size"] for setup in setups}
    units = {setup["unit_size"] // setup["page_size"] for setup in setups}
    assert (pages, units) == (({4096}, {20, 21, 22, 23}) if deep == "map" else
                              ({16, 64, 4096}, {16}))  # fmt: skip


# --- operations


SINGLE = Form()


def trace_of(seed: int, form: Form = SINGLE, **changes: Any) -> Trace:
    arguments = {"form": form, "faults": False, "mix": Mix(), **changes}
    return random_trace(Random(seed), SETUP, 400, **arguments)


@pytest.mark.parametrize("form", [Form(), Form("many"), Form("replay")])
def test_operations_are_as_many_as_requested(form: Form) -> None:
    for seed in range(5):
        for faults in (False, True):
            assert len(trace_of(seed, form, faults=faults)) == 400


def test_areas_that_have_a_chunk_each_fill_it_or_leave_a_little() -> None:
    """Nothing, up to 8 bytes, or up to two fifths of the unit."""
    first: list[Any] = [next(_many_chunks(Random(seed), SETUP, False)) for seed in range(300)]
    rests = {1024 - size for _, _, size, _ in first}
    assert rests > set(range(9))
    assert 380 < max(rests) <= 409


@pytest.mark.parametrize("form", [Form(), Form("many")])
def test_areas_are_freed_once(form: Form) -> None:
    """Each free is of a live area, and few allocations of a live key."""
    again = 0
    for seed in range(10):
        live: set[Any] = set()
        for op in trace_of(seed, form):
            if op[0] == "alloc":
                again += op[1] in live
                live.add(op[1])
            else:
                assert op[0] == "free"
                live.remove(op[1])
    assert again < 20 if form.calls == "single" else again == 0


def test_faults_are_set_at_every_site_and_in_every_way() -> None:
    rng = Random(4)
    faults: list[Any] = [fault(rng) for _ in range(600)]
    assert {site for _, site, _ in faults} == set(FAULT_SITES)
    ways = Counter(tuple(sorted(plan)) for _, _, plan in faults)
    assert ways.keys() == {
        *((), ("nth",), ("nth", "times"), ("interval", "nth", "times")),
        *(("probability", "seed"), ("interval", "probability", "seed")),
    }
    assert min(ways.values()) > 60
    with Model(**SETUP) as model:
        for _, site, plan in faults:
            model.inject(site, **plan)


def test_cases_with_faults_set_them_where_maps_grow() -> None:
    found = Counter(site for seed in range(10) for site, _ in trace_of(seed, faults=True).faults)
    assert found.keys() == set(FAULT_SITES)
    assert not any(trace_of(seed).faults for seed in range(10))


@pytest.mark.parametrize("form", [Form(), Form("many")])
def test_faults_leave_room_for_requests(form: Form) -> None:
    for seed in range(30):
        kinds = Counter(op[0] for op in trace_of(seed, form, faults=True))
        assert kinds["alloc"] > 100
        assert kinds["inject"] < 150


def test_refused_requests_are_refused() -> None:
    rng = Random(5)
    requests = {_refused(rng, 64) for _ in range(200)}
    assert requests > {(0, 1), (1025, 1), (1, 128), (1, -8), (1, 0)}
    assert any(size < -1 for size, _ in requests)
    with Model(**SETUP) as model:
        for size, align in requests:
            with pytest.raises(InvalidRequest), without_warnings():
                model.alloc(size, align)


def test_order_of_frees() -> None:
    assert ORDERS == ("random", "newest", "oldest", "every other")
    rng = Random(6)
    assert victim(rng, "newest", 3, 10) == 9
    assert victim(rng, "oldest", 3, 10) == 0
    assert [victim(rng, "every other", turn, 5) for turn in range(5)] == [0, 2, 4, 1, 3]
    assert {victim(rng, "random", 0, 4) for _ in range(100)} == {0, 1, 2, 3}


@pytest.mark.parametrize("form", [Form(), Form("many")])
def test_given_sizes_and_alignments(form: Form) -> None:
    """Of the others, a few are invalid on purpose, or of a live key."""
    mix = Mix(sizes=[24, 24, 40], aligns=[4, 16])
    sizes, aligns = Counter[int](), Counter[int]()
    for seed in range(4):
        for op in trace_of(seed, form, mix=mix):
            if op[0] == "alloc":
                sizes[op[2]] += 1
                aligns[op[3]] += 1
    assert sizes[24] > 1.5 * sizes[40] > 0
    assert sizes[24] + sizes[40] > 0.97 * sizes.total()
    assert aligns[4] + aligns[16] > 0.97 * aligns.total()
    assert min(aligns[4], aligns[16]) > 0.1 * aligns.total()


@pytest.mark.parametrize("form", [Form(), Form("many"), Form("many", "chunks")])
def test_given_faults_are_set_first_and_no_others(form: Form) -> None:
    plans: Any = [("map", {"nth": 3}), ("kmalloc", {"probability": 0.5, "seed": 1})]
    mix = Mix(plans=plans)
    trace = trace_of(7, form, faults=True, mix=mix)
    assert list(trace[:2]) == [("inject", *plan) for plan in plans]
    assert trace.faults == plans
    assert trace_of(7, form, faults=False, mix=mix).faults == []


# --- the same in every version


def test_format_of_campaigns_changes_with_what_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change FORMAT of campaigns with the digest; test_lockstep.py has that of whole cases."""
    monkeypatch.setattr(mmap, "PAGESIZE", 4096)
    digest = hashlib.blake2b(digest_size=8)
    forms = [Form(), Form(mapped=True), Form("many", "map"), Form("many", "chunks")]
    pages = sorted(set(PAGE_SIZES))
    for number in range(1600):
        form, page = forms[number % 4], pages[number // 4 % len(pages)]
        digest.update(repr(random_setup(Random(number), page, form)).encode())
    rng = Random(8)
    for _ in range(500):
        digest.update(repr((fault(rng), _refused(rng, 64))).encode())
    for seed in range(24):
        form = Form("many") if seed % 2 else Form()
        faults, length = seed % 3 > 0, 3000 if seed < 8 else 500
        setup = {"page_size": (4096, 64, 16)[seed // 2 % 3]}
        trace = random_trace(Random(seed), setup, length, form=form, faults=faults, mix=Mix())
        digest.update(repr(list(trace)).encode())
    large = {**SETUP, "page_size": 4096, "static_size": 4096, "unit_size": 1 << 17}
    for seed in range(20):
        start = islice(_long_map(Random(seed), large, True), 17)  # up to the fault
        digest.update(repr(list(start)).encode())
    for seed in range(4):
        form, setup = (forms[2], large) if seed % 2 else (forms[3], SETUP)
        faults = seed > 1
        trace = random_trace(Random(seed), setup, 1, form=form, faults=faults, mix=Mix())
        digest.update(repr((trace.setup, list(trace))).encode())
    assert (FORMAT, digest.hexdigest()) == (2, "d47a0b0f335cfc1b")


# --- what is given


def test_mix_has_integers_and_faults_of_the_package() -> None:
    sizes: Any = np.array([8, 16])
    aligns: Any = (np.int8(n) for n in (1, 2))
    mix = Mix(sizes, aligns, [["map", {"nth": np.int64(2)}]])  # type: ignore[list-item]
    assert (mix.sizes, mix.aligns) == ((8, 16), (1, 2))
    assert {type(number) for number in (*mix.sizes, *mix.aligns)} == {int}
    assert mix.plans == (("map", {"nth": 2}),)
    assert Mix() == Mix((), (), ())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sizes": 3}, "sizes=3: a sequence is needed"),
        ({"aligns": 3}, "aligns=3: a sequence is needed"),
        ({"plans": 3}, "plans=3: a sequence is needed"),
        ({"sizes": [8, 1.5]}, "sizes=[8, 1.5]: integers are needed"),
        ({"aligns": ["x"]}, "aligns=['x']: integers are needed"),
        ({"plans": ["map"]}, "plan='map': a service and a mapping is needed"),
        ({"plans": ["ab"]}, "plan='ab': a service and a mapping is needed"),
        ({"plans": [("map",)]}, "plan=('map',): a service and a mapping is needed"),
        ({"plans": [("map", {}, 3)]}, "plan=('map', {}, 3): a service and a mapping is needed"),
    ],
)
def test_wrong_mix(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Mix(**given)
    assert str(caught.value) == words
