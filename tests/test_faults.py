# SPDX-License-Identifier: GPL-2.0-only
"""Injected failures of kernel services, and the state after them."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Make

from percpu_ffi import (
    ConfigError,
    PerCpu,
    PercpuMemoryError,
)
from percpu_ffi.config import FAULT_SITES


def attempts(allocator: PerCpu, n: int) -> str:
    """Allocate areas of one page ``n`` times: ``x`` for a failure."""
    marks = ""
    for _ in range(n):
        try:
            allocator.alloc(64, 64)
            marks += "."
        except PercpuMemoryError:
            marks += "x"
    return marks


@pytest.fixture
def lone(tiny: Make) -> PerCpu:
    """One CPU, so that each area of a page is one call to alloc_page."""
    return tiny(cpus=1, unit_size=4096)


@pytest.mark.parametrize(
    ("plan", "marks"),
    [
        ({"nth": 1}, "x......."),
        ({"nth": 3}, "..x....."),
        ({"nth": 3, "times": 2}, "..xx...."),
        ({"nth": 3, "times": -1}, "..xxxxxx"),
        ({"nth": 2, "times": -1, "interval": 3}, ".x..x..x"),
        ({"interval": 2}, "x.x.x.x."),
        ({"times": 2}, "xx......"),
        ({"probability": 1.0}, "xxxxxxxx"),
    ],
    ids=str,
)
def test_plan(lone: PerCpu, plan: dict[str, Any], marks: str) -> None:
    lone.inject("alloc_page", **plan)
    assert attempts(lone, 8) == marks


def test_probability_repeats_with_its_seed(tiny: Make) -> None:
    def run(seed: int) -> str:
        with tiny(cpus=1, unit_size=8192) as a:
            a.inject("alloc_page", probability=0.5, seed=seed)
            return attempts(a, 100)

    assert run(1) == run(1) != run(2)
    assert 25 < run(1).count("x") < 75


# the first numbers of splitmix64 for the seed 1234567, as its authors' program prints them
SPLITMIX = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


@pytest.mark.parametrize("number", range(5))
def test_random_numbers_are_those_of_splitmix64(tiny: Make, number: int) -> None:
    """A call fails if the upper half of its number, as a fraction, is below the probability."""
    upper = SPLITMIX[number] >> 32
    for threshold, mark in ((upper, "."), (upper + 1, "x")):
        with tiny(cpus=1) as a:
            a.inject("alloc_page", probability=threshold / 2**32, seed=1234567)
            assert attempts(a, 5)[number] == mark


def test_smallest_probability_is_one_in_2_to_the_32(lone: PerCpu) -> None:
    # seeds whose first number has an upper half of 0, and of 1
    for seed, marks in ((0x61C8864680B583EB, "x."), (0x29EBAE5523F436F, "..")):
        lone.inject("alloc_page", probability=1e-30, seed=seed)
        assert attempts(lone, 2) == marks


def test_plan_is_cleared(lone: PerCpu) -> None:
    lone.inject("alloc_page", times=-1)
    lone.inject("alloc_page", None)
    assert attempts(lone, 3) == "..."


def test_plans_of_sites_are_independent(lone: PerCpu) -> None:
    lone.inject("vmalloc", 1)
    lone.inject("get_vm_area", 1)
    assert attempts(lone, 3) == "..."


@pytest.mark.parametrize(
    "plan",
    [
        {"nth": 0},
        {"nth": -1},
        {"nth": 1.5},
        {"times": 0},
        {"times": -2},
        {"interval": 0},
        {"probability": 0.0},
        {"probability": 1.01},
        {"probability": float("nan")},
        {"probability": "often"},
        {"seed": -1},
    ],
    ids=str,
)
def test_plan_out_of_range(lone: PerCpu, plan: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        lone.inject("alloc_page", **plan)
    assert attempts(lone, 3) == "..."


@pytest.mark.parametrize("site", ["kfree", "warn", "malloc", None])
def test_site_that_cannot_fail(lone: PerCpu, site: Any) -> None:
    with pytest.raises(ConfigError, match="kmalloc, vmalloc, get_vm_area, alloc_page, map"):
        lone.inject(site, 1)


@pytest.mark.parametrize("site", FAULT_SITES)
def test_error_names_the_service(tiny: Make, site: str) -> None:
    # the 17th map entry of a tiny chunk is the first vmalloc, the full chunk the first area
    with tiny() as a:
        a.inject(site, 1)
        with pytest.raises(PercpuMemoryError, match=f"{site} failed") as caught:
            a.alloc_many([32] * 100)
        assert caught.value.service == site
        assert "32 bytes aligned to 8" in str(caught.value)
        assert isinstance(caught.value, MemoryError)
        assert a.alloc(32) > 0  # the fault was a single one


@pytest.mark.parametrize("site", ["kmalloc", "get_vm_area"])
def test_failed_chunk_leaves_nothing(tiny: Make, site: str) -> None:
    with tiny() as a:
        a.alloc(960)
        before, calls = a.state(), a.counters()
        a.inject(site, 1)
        with pytest.raises(PercpuMemoryError):
            a.alloc(8)
        after = a.counters()
        assert a.state() == before
        assert after["kmalloc"] - calls["kmalloc"] - (site == "kmalloc") == (
            after["kfree"] - calls["kfree"]
        )


def test_failed_call_is_counted(tiny: Make) -> None:
    with tiny(cpus=3) as a:
        a.inject("alloc_page", 2)
        with pytest.raises(PercpuMemoryError):
            a.alloc(8)
        counters = a.counters()
        assert counters["alloc_page"] == 2
        assert counters["free_page"] == 1  # the first CPU's frame is released
        assert counters["unmap"] == 3
        assert counters["flush_cache_vunmap"] == counters["flush_tlb"] == 1


def test_pages_of_a_node_run_out(tiny: Make) -> None:
    # CPUs 0 and 1 are on node 0, CPUs 2 and 3 on node 1: each page takes 2 frames of each
    with tiny(cpus=4, nodes=2, page_limit=4) as a:
        assert attempts(a, 4) == "..xx"
        assert a.counters()["alloc_page"] == 4 + 4 + 1 + 1  # CPU 0 is refused at once
        with pytest.raises(PercpuMemoryError) as caught:
            a.alloc(64, 64)
        assert caught.value.service == "alloc_page"
        assert a.pages == 4 + 8  # those of the static area, and of two areas


@pytest.mark.parametrize(
    ("cpus", "nodes", "limit", "refused"),
    [
        (4, 2, 5, 1),  # nodes 0 0 1 1: after two pages node 0 has 4, and a frame for CPU 0
        (5, 2, 7, 1),  # 0 0 0 1 1: node 0 has 6
        (5, 2, 8, 2),
        (5, 3, 4, 0),  # 0 0 1 1 2: nodes 0 and 1 have 4
        (3, 3, 2, 0),
    ],
)
def test_nodes_have_even_blocks_of_cpus(
    tiny: Make, cpus: int, nodes: int, limit: int, refused: int
) -> None:
    with tiny(cpus=cpus, nodes=nodes, page_limit=limit) as a:
        assert attempts(a, 3) == "..x"
        assert a.counters()["alloc_page"] == 2 * cpus + refused + 1


def test_freed_frames_can_be_allocated_again(tiny: Make) -> None:
    with tiny(cpus=1, page_limit=40) as a:
        a.alloc(960)  # 15 frames
        first, second = a.alloc(1024), a.alloc(512)  # 16 and 8
        with pytest.raises(PercpuMemoryError, match="alloc_page"):
            a.alloc(512)
        a.free(first)
        assert a.pages == 1 + 15 + 16 + 8
        a.free(second)  # the chunk with 16 frames is destroyed
        assert a.pages == 1 + 15 + 8
        assert a.alloc(1024) > 0  # 8 frames more in the other one
        assert attempts(a, 10) == ".........x"
        assert a.pages == 1 + 40
