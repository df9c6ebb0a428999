# SPDX-License-Identifier: GPL-2.0-only
"""Each class of what a campaign reaches is counted when it is reached, and not before."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import Allocator, Model, PercpuMemoryError, State, Trace
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.lockstep import Totals
from percpu_ffi.lockstep.driver import ASPECTS, run
from percpu_ffi.lockstep.random_traces import PAGE_SIZES
from percpu_ffi.lockstep.reach import CLASSES, Reach, missed
from percpu_ffi.reports.lockstep import campaign_text
from percpu_ffi.state import ChunkState

TWO: dict[str, Any] = {"one": Allocator, "two": Allocator}


def reach(ops: list[Any], calls: str = "single", **changes: Any) -> Reach:
    """Return what some operations reach, on units of 1 KiB with pages of 64 bytes."""
    outcome = run(TWO, Trace.from_ops(ops, {**TINY, **changes}), ASPECTS, calls)
    assert outcome.difference is None
    assert set(outcome.reach) <= set(CLASSES)
    return Reach({name: n for name, n in outcome.reach.items() if n})


def allocs(count: int, size: int, align: int = 1, start: int = 0) -> list[Any]:
    return [("alloc", key, size, align) for key in range(start, start + count)]


def frees(keys: Any) -> list[Any]:
    return [("free", key) for key in keys]


PAGES = sorted(set(PAGE_SIZES))
CHUNK = ChunkState(0, 0, 0, (), 0, immutable=True, populated=())


@pytest.mark.parametrize(
    ("name", "changes", "count"),
    [
        ("first chunk 4k", {}, 1),
        ("first chunk 4k", {"first_chunk": "embed"}, 0),
        ("first chunk embed", {"first_chunk": "embed", "unit_size": 1024}, 1),
        ("first chunk remap", {"first_chunk": "remap", "unit_size": 1024, "free_size": 960}, 1),
        *((f"pages of {page:,} B", {"page_size": page, "static_size": 1}, 1) for page in PAGES),
        ("several NUMA nodes", {"nodes": 2}, 1),
        ("several NUMA nodes", {"nodes": 1}, 0),
        ("free size below the rest of the unit", {"unit_size": 1024, "free_size": 959}, 1),
        ("free size below the rest of the unit", {"unit_size": 1024, "free_size": 960}, 0),
    ],
)
def test_set_up(name: str, changes: dict[str, Any], count: int) -> None:
    assert reach([], **changes)[name] == count


@pytest.mark.parametrize(
    ("ops", "changes", "expected"),
    [
        (allocs(2, 1), {}, {"size 1": 2}),
        (allocs(1, 2), {}, {"size 2": 1}),
        (allocs(1, 3), {}, {"size 3": 1}),
        (allocs(1, 4), {}, {}),
        (allocs(1, 1023), {}, {}),
        (allocs(3, 1024), {}, {"size of 16 pages": 3}),
        (allocs(1, 8, 32), {}, {}),
        (allocs(1, 8, 64), {}, {"alignment of a page": 1}),
        (allocs(1, 8, 128), {"page_size": 256}, {"alignment above 64": 1}),
        (
            allocs(1, 8, 256),
            {"page_size": 256},
            {"alignment above 64": 1, "alignment of a page": 1},
        ),
        ([("alloc", 1, 0, 1), ("alloc", 1, 8, 3)], {}, {"request refused": 2}),
        # 17 entries: the map of 16, 64 bytes, grows out of a page
        (allocs(15, 8), {}, {"map moves from kmalloc to vmalloc": 1}),
        (allocs(14, 8), {}, {}),
        (allocs(15, 8), {"page_size": 256}, {"map grows in kmalloc": 1}),
        (allocs(3, 1024) + frees([1]), {}, {"size of 16 pages": 3, "spare chunk kept": 1}),
        (
            allocs(3, 1024) + frees([1, 0]),
            {},
            {"size of 16 pages": 3, "spare chunk kept": 1, "chunk killed": 1},
        ),
        (allocs(99, 1020), {}, {}),
        (allocs(101, 1020), {}, {"over 100 chunks": 2}),
        (
            [("inject", "map", {"nth": 1}), *allocs(2, 1020)],
            {},
            {"map failed": 1, "rollback, default": 1},
        ),
        (
            [("inject", "map", {"nth": 2}), *allocs(1, 1020)],
            {},
            {"map failed": 1, "failed after some CPUs were mapped": 1, "rollback, default": 1},
        ),
        ([("inject", "alloc_page", {"nth": 1}), *allocs(1, 1020)], {}, {"alloc_page failed": 1}),
        (
            [("inject", "alloc_page", {"nth": 2}), *allocs(1, 1020)],
            {},
            {
                "alloc_page failed": 1,
                "failed after some pages were populated": 1,
                "rollback, default": 1,
            },
        ),
        (
            [*allocs(1, 32), ("inject", "alloc_page", {"nth": 1}), *allocs(1, 100, start=1)],
            {"quirks": ["rollback"]},
            {"alloc_page failed": 1, "rollback of 2009": 1},
        ),
        (
            [*allocs(1, 64), ("inject", "alloc_page", {"nth": 2}), *allocs(1, 100, start=1)],
            {"quirks": ["rollback"]},
            {"alloc_page failed": 1, "failed after some pages were populated": 1},
        ),
        (
            allocs(1, 128),
            {"page_limit": 1},
            {
                "alloc_page failed": 1,
                "page limit reached": 1,
                "rollback, default": 1,
                "failed after some pages were populated": 1,
            },
        ),
        # a plan that is cleared is none
        (
            [("inject", "alloc_page", {"nth": 9}), ("inject", "alloc_page", {}), *allocs(1, 64)],
            {"page_limit": 1, "cpus": 2},
            {
                "alloc_page failed": 1,
                "page limit reached": 1,
                "rollback, default": 1,
                "failed after some pages were populated": 1,
            },
        ),
        (
            [("inject", "alloc_page", {"nth": 9}), *allocs(1, 64)],
            {"page_limit": 1, "cpus": 2},
            {
                "alloc_page failed": 1,
                "rollback, default": 1,
                "failed after some pages were populated": 1,
            },
        ),
        ([("inject", "kmalloc", {"nth": 1}), *allocs(1, 1020)], {}, {"kmalloc failed": 1}),
        ([("inject", "get_vm_area", {}), *allocs(1, 8)], {}, {}),
        (
            [("inject", "get_vm_area", {"interval": 2, "probability": 0.99}), *allocs(1, 1024)],
            {},
            {"get_vm_area failed": 1, "failed by an interval with a probability": 1},
        ),
        (
            [("inject", "get_vm_area", {"interval": 2, "probability": 1}), *allocs(1, 1024)],
            {},
            {"get_vm_area failed": 1},
        ),
        (
            [("inject", "get_vm_area", {"probability": 0.99}), *allocs(1, 1024)],
            {},
            {"get_vm_area failed": 1},
        ),
        # the 15th area has a head of 2 bytes, and the map no room for its tail
        (
            [*allocs(14, 5), ("inject", "vmalloc", {"nth": 1}), ("alloc", 20, 8, 8)],
            {},
            {"vmalloc failed": 1, "failed after a head was given away": 1},
        ),
    ],
)
def test_operations(ops: list[Any], changes: dict[str, Any], expected: dict[str, int]) -> None:
    found = reach(ops, **changes)
    assert {
        name: n for name, n in found.items() if not name.startswith(("first", "pages"))
    } == expected


def failing(site: str, nth: int, *ops: Any) -> list[Any]:
    """Let a service fail once in some operations."""
    return [("inject", site, {"nth": nth}), *ops]


REAL = {"page_size": 4096, "static_size": 4096}
ODD = {"interval": 2, "probability": 0.99}


@pytest.mark.parametrize(
    ("calls", "ops", "changes", "expected"),
    [
        ("single", allocs(2, 8, 128), {"page_size": 256}, {"alignment above 64": 2}),
        ("single", allocs(2, 8, 64), {}, {"alignment of a page": 2}),
        ("single", allocs(3, 1024) + frees([1, 0, 2]), {}, {"chunk killed": 2}),
        (
            "single",
            allocs(3, 1024) + frees([1]) + allocs(1, 1024) + frees([0]),
            {},
            {"spare chunk kept": 2},
        ),
        # 16 areas and a free range in each of two chunks
        (
            "single",
            allocs(16, 8) + allocs(1, 832, start=20) + allocs(16, 8, start=30),
            {},
            {"map moves from kmalloc to vmalloc": 2},
        ),
        (
            "many",
            allocs(513, 8, 16) + allocs(1, 53240, 8, 600) + allocs(513, 8, 16, 700),
            REAL,
            {"the same with pages of 4,096 B": 2, "map moves from kmalloc to vmalloc": 2},
        ),
        ("many", allocs(2048, 8, 16), REAL, {"map grows in vmalloc, pages of 4,096 B": 2}),
        (
            "single",
            failing("map", 1, *allocs(1, 1020)) * 2,
            {},
            {"map failed": 2, "rollback, default": 2},
        ),
        (
            "single",
            failing("map", 2, *allocs(1, 1020)) * 2,
            {},
            {"failed after some CPUs were mapped": 2},
        ),
        (
            "single",
            failing("alloc_page", 2, *allocs(1, 1020)) * 2,
            {},
            {"failed after some pages were populated": 2},
        ),
        ("single", allocs(2, 128), {"page_limit": 1}, {"page limit reached": 2}),
        # the second one fails at once
        (
            "single",
            failing("alloc_page", 2, *allocs(1, 1020)) + failing("alloc_page", 1, *allocs(1, 1020)),
            {},
            {"rollback, default": 1, "failed after some pages were populated": 1},
        ),
        (
            "single",
            failing("map", 2, *allocs(1, 1020)) + failing("map", 1, *allocs(1, 1020)),
            {},
            {"failed after some CPUs were mapped": 1, "map failed": 2},
        ),
        # with a fault at another service
        (
            "single",
            failing("map", 900, *allocs(1, 128)),
            {"page_limit": 1},
            {"page limit reached": 1},
        ),
        (
            "single",
            [("inject", "get_vm_area", ODD), *allocs(3, 1024)],
            {},
            {"failed by an interval with a probability": 2, "size of 16 pages": 1},
        ),
        (
            "single",
            [("inject", "get_vm_area", {"interval": 1, "probability": 0.99}), *allocs(1, 1024)],
            {},
            {"get_vm_area failed": 1, "failed by an interval with a probability": 0},
        ),
        (
            "single",
            [
                *allocs(1, 32),
                *failing("alloc_page", 1, ("alloc", 1, 100, 1)),
                *allocs(1, 16, start=2),  # on the same page
                *failing("alloc_page", 1, ("alloc", 1, 100, 1)),
            ],
            {"quirks": ["rollback"]},
            {"rollback of 2009": 2},
        ),
        # heads of 2 bytes twice, where the map has no room for the tail
        (
            "single",
            [
                *(allocs(14, 5) + failing("vmalloc", 1, ("alloc", 20, 8, 8))),
                *(allocs(15, 5, start=30) + allocs(1, 11, start=50)),
                *failing("vmalloc", 1, ("alloc", 20, 8, 8)),
            ],
            {},
            {"vmalloc failed": 2, "failed after a head was given away": 2},
        ),
        ("many", (allocs(3, 8) + frees(range(3))) * 2, {}, {"alloc_many": 6, "free_many": 6}),
        (
            "many",
            allocs(1001, 4, 4) + allocs(1002, 4, 2, 2000),
            {},
            {"alloc_many of over 1,000 areas": 2003},
        ),
        (
            "many",
            failing("kmalloc", 2, *allocs(3, 500)) + failing("kmalloc", 2, *allocs(4, 500)),
            {},
            {"alloc_many undone": 7},
        ),
        (
            "many",
            [*allocs(1003, 16), ("inject", "map", {}), *allocs(2, 16, start=2000)],
            {"page_size": 1, "static_size": 1},
            {"over 1,000 chunks": 1003 + 1 + 2},
        ),
        (
            "replay",
            [("alloc", 0, 0, 1), *allocs(98, 8), *allocs(2, 0, start=200)],
            {},
            {"replay": 101, "replay with failures": 3, "request refused": 3},
        ),
        # what the failure took back is not known
        (
            "replay",
            failing("map", 1, *allocs(1, 1020)),
            {},
            {"map failed": 1, "rollback, default": 0},
        ),
        ("many", allocs(3, 1), {}, {"size 1": 3}),
    ],
)
def test_counts_add_up(
    calls: str, ops: list[Any], changes: dict[str, Any], expected: dict[str, int]
) -> None:
    found = reach(ops, calls, **changes)
    assert {name: found[name] for name in expected} == expected


def test_free_size_is_compared_with_the_default_static_area() -> None:
    """It has 8,192 bytes."""
    unit = 1 << 20
    for free_size, count in ((unit - 8193, 1), (unit - 8192, 0)):
        setup = {"cpus": 1, "memory": "none", "unit_size": unit, "free_size": free_size}
        found = run(TWO, Trace.from_ops([], setup), ASPECTS, "single").reach
        assert found["free size below the rest of the unit"] == count
        assert found["first chunk 4k"] == 1


def test_contents_of_a_party_with_memory_count() -> None:
    """Also if another one has none."""
    for memory in (("mapped", "none"), ("none", "mapped")):
        parties = {each: partial(Model, memory=each) for each in memory}
        trace = Trace.from_ops(allocs(3, 5000), {"cpus": 1})
        outcome = run(parties, trace, ["errors"], "single")
        assert outcome.difference is None
        assert outcome.reach == {"contents verified": 3}


def test_reach_is_that_of_the_first_party() -> None:
    """Where errors are not compared, another one may describe them in its own words."""

    class Terse(Model):
        def alloc(self, size: int, align: int = 8) -> int:
            try:
                return super().alloc(size, align)
            except PercpuMemoryError:
                raise MemoryError from None

    parties: dict[str, Any] = {"model": Model, "terse": Terse}
    trace = Trace.from_ops(failing("map", 1, *allocs(1, 1020)), TINY)
    compare = set(ASPECTS) - {"errors"}
    for names, count in ((("model", "terse"), 1), (("terse", "model"), 0)):
        outcome = run({name: parties[name] for name in names}, trace, compare, "single")
        assert (outcome.difference, outcome.failures) == (None, 1)
        assert outcome.reach["map failed"] == count


def test_services_that_are_not_counted() -> None:
    """An allocator may count fewer services."""
    plain = type("Plain", (Model,), {"counters": lambda _self: {}})
    trace = Trace.from_ops(allocs(3, 1024) + frees([0, 1]), TINY)
    found = run({"one": plain, "two": plain}, trace, ASPECTS, "single").reach
    assert (found["spare chunk kept"], found["chunk killed"]) == (1, 0)


@pytest.mark.parametrize("site", FAULT_SITES)
def test_failure_of_each_site(site: str) -> None:
    setup = {"page_size": 16, "static_size": 16}
    ops = [("inject", site, {"nth": 1}), *allocs(1, 256)]
    assert reach(ops, "single", **setup)[f"{site} failed"] == 1


def test_maps_of_4_kib_pages() -> None:
    """From 1,024 entries to 2,048 is from kmalloc to vmalloc."""
    setup = {"page_size": 4096, "static_size": 4096}
    # |SS|a...|a...|    an area and a free range for each
    found = reach(allocs(511, 8, 16), "many", **setup)
    assert found["map grows in kmalloc"] == 6
    assert found["the same with pages of 4,096 B"] == 0
    found = reach(allocs(512, 8, 16), "many", **setup)
    assert found["the same with pages of 4,096 B"] == 1
    assert found["map moves from kmalloc to vmalloc"] == 1
    assert found["map grows in vmalloc, pages of 4,096 B"] == 0
    found = reach(allocs(1024, 8, 16), "many", **setup)
    assert found["map grows in vmalloc, pages of 4,096 B"] == 1


def test_map_of_over_8_192_entries() -> None:
    setup = {"page_size": 4096, "static_size": 4096}
    ops = [*allocs(8190, 4, 4), *allocs(1, 4, 64, start=9000), *allocs(2, 4, 4, start=9001)]
    # the map has the static area, and a free range at its end
    assert reach(ops[:8190], "many", **setup)["a map of over 8,192 entries"] == 0
    ops += allocs(1, 60_000, 8, 9100)  # in another chunk
    assert reach(ops, "many", **setup)["a map of over 8,192 entries"] == 4


def test_over_1_000_chunks() -> None:
    setup = {"page_size": 1, "static_size": 1}
    thousand = [*allocs(999, 16), ("inject", "map", {})]
    assert reach(thousand, "many", **setup)["over 1,000 chunks"] == 0
    found = reach([*thousand, *allocs(1, 16, start=2000)], "many", **setup)
    assert found["over 1,000 chunks"] == 1


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        (allocs(20, 8), {"alloc_many": 20}),
        (allocs(3, 8) + frees([0, 2]) + frees([1]), {"alloc_many": 3, "free_many": 3}),
        (allocs(1000, 8), {"alloc_many": 1000}),
        (allocs(1001, 8), {"alloc_many": 1001, "alloc_many of over 1,000 areas": 1001}),
        # the second one needs another chunk
        (
            [("inject", "kmalloc", {"nth": 2}), *allocs(3, 500)],
            {"alloc_many": 3, "alloc_many undone": 3},
        ),
        ([("inject", "alloc_page", {"nth": 1}), *allocs(3, 500)], {"alloc_many": 3}),
        ([*allocs(3, 1), ("alloc", 9, 5000, 1)], {"alloc_many": 4, "request refused": 1}),
    ],
)
def test_batches(ops: list[Any], expected: dict[str, int]) -> None:
    found = reach(ops, "many")
    kept = {name: n for name, n in found.items() if "_many" in name or name in expected}
    assert kept == expected
    assert found["size 1"] == 0


def test_replay() -> None:
    ops = [
        *allocs(120, 8),
        ("alloc", 200, 0, 1),
        ("inject", "map", {"nth": 1}),
        *allocs(2, 900, start=300),
    ]
    found = reach(ops, "replay")
    assert found["replay"] == len(ops)
    assert found["replay with failures"] == 2
    assert (found["request refused"], found["map failed"]) == (1, 1)
    outcome = run(TWO, Trace.from_ops(ops, TINY), ASPECTS, "replay")
    assert outcome.failures == 2
    assert reach(ops)["replay"] == 0


@pytest.mark.parametrize(("calls", "count"), [("single", 3), ("many", 3), ("replay", 0)])
def test_contents(calls: str, count: int) -> None:
    ops = [*allocs(3, 5000), *frees([1])]
    assert reach(ops, calls, page_size=4096, memory="mapped")["contents verified"] == count
    assert reach(ops, calls, page_size=4096)["contents verified"] == 0
    quirk = reach(ops, calls, page_size=4096, memory="mapped", quirks=["rollback"])
    assert quirk["contents verified"] == 0


@pytest.mark.parametrize(
    ("method", "result"),
    [
        *(("state", state) for state in ("as it was", State((), ()), State(((0,),), ()))),
        *(("state", State((), (CHUNK,))), ("counters", []), ("work", 3)),
    ],
)
def test_nothing_is_counted_for_other_types(method: str, result: Any) -> None:
    plain = type("Plain", (Model,), {method: lambda _self: result})
    trace = Trace.from_ops(allocs(2, 1), TINY)
    outcome = run({"one": plain, "two": plain}, trace, ASPECTS, "single")
    assert outcome.difference is None
    assert sum(outcome.reach.values()) == 0


def test_missed_classes_are_named() -> None:
    assert missed(Reach()) == missed(Reach(dict.fromkeys(CLASSES, 0))) == list(CLASSES)
    assert missed(Reach(dict.fromkeys(CLASSES[1:], 1))) == [CLASSES[0]]
    assert len(set(CLASSES)) == len(CLASSES)


def test_table_has_each_class_and_its_count() -> None:
    totals = Totals(reach=Reach({name: 1000 + at for at, name in enumerate(CLASSES)}))
    lines = campaign_text(["a", "b"], 0, totals).splitlines()
    rows = [line.rsplit(maxsplit=1) for line in lines[lines.index("reached") + 1 :]]
    assert [(name.strip(), count) for name, count in rows] == [
        (name, f"{1000 + at:,}") for at, name in enumerate(CLASSES)
    ]
