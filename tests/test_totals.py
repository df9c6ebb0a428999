# SPDX-License-Identifier: GPL-2.0-only
"""The areas of a timeline by call site and by size, and the call sites in each chunk."""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import TINY

from percpu_ffi import Trace
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Patch, Timeline
from percpu_ffi.analysis.totals import (
    ChunkUser,
    Row,
    by_caller,
    by_site,
    by_size,
    by_task,
    chunk_users,
)


def timeline_of(*ops: tuple[Any, ...], sites: dict[int, str]) -> Timeline:
    """Replay operations; each size has its call site."""
    trace = Trace.from_ops(ops)
    trace.kinds[:] = [kind._replace(site=sites[kind.size]) for kind in trace.kinds]
    return collect(trace, TINY)


@pytest.fixture
def timeline() -> Timeline:
    """Return the timeline of some areas: a line for each, a column for each operation.

    ::

        operation        0    1    2    3    4    5    6    7    8
        a   f  100       o----x                                       dies before the peak
        b   g    8                 o---------(                        its free is missing
        b   g    4                           o----------------...     allocated after the peak
        c   f  100                      o---------x                   makes the peak
        d   h  104                                     o----x         does not exceed it
        e   g    2                                               o...
        live bytes     100    0    8  108  104    4  108    4    6
    """
    return timeline_of(
        ("alloc", "a", 100, 4), ("free", "a"),
        ("alloc", "b", 8, 4), ("alloc", "c", 100, 4), ("alloc", "b", 4, 4),
        ("free", "c"), ("alloc", "d", 104, 4), ("free", "d"), ("alloc", "e", 2, 2),
        sites={100: "f", 8: "g", 4: "g", 104: "h", 2: "g"},
    )  # fmt: skip


class TestSums:
    def test_by_site(self, timeline: Timeline) -> None:
        assert by_site(timeline) == [
            Row("f", allocs=2, bytes=200, at_peak=100, left=0, areas_at_peak=1),
            Row("g", allocs=3, bytes=14, at_peak=8, left=6, areas_at_peak=1),
            Row("h", allocs=1, bytes=104, at_peak=0, left=0),
        ]

    def test_by_size(self, timeline: Timeline) -> None:
        """100 and 104 bytes are up to 128; ranges without areas have rows, too."""
        assert by_size(timeline) == [
            Row("2", allocs=1, bytes=2, at_peak=0, left=2),
            Row("4", allocs=1, bytes=4, at_peak=0, left=4),
            Row("8", allocs=1, bytes=8, at_peak=8, left=0, areas_at_peak=1),
            Row("16"),
            Row("32"),
            Row("64"),
            Row("128", allocs=3, bytes=304, at_peak=100, left=0, areas_at_peak=1),
        ]
        assert Row("16") == Row("16", allocs=0, bytes=0, at_peak=0, left=0, areas_at_peak=0)

    def test_ranges_end_with_a_power_of_two(self) -> None:
        sizes = (1, 2, 3, 4, 5, 8, 9)
        found = timeline_of(
            *(("alloc", size, size, 1) for size in sizes), sites=dict.fromkeys(sizes, "")
        )
        counts = [(row.name, row.allocs) for row in by_size(found)]
        assert counts == [("1", 1), ("2", 1), ("4", 2), ("8", 2), ("16", 1)]

    def test_order_of_sites(self) -> None:
        """Live bytes at the peak, then bytes of all allocations, then names decide."""
        found = timeline_of(
            ("alloc", 1, 1, 1), ("alloc", 2, 8, 1), ("free", 2), ("alloc", 3, 8, 1),
            ("alloc", 4, 9, 1), ("alloc", 5, 4, 1), ("alloc", 6, 5, 1), ("alloc", 7, 16, 1),
            sites={1: "z", 8: "few", 9: "b", 4: "a", 5: "a", 16: "most"},
        )  # fmt: skip
        rows = [(row.name, row.at_peak, row.bytes) for row in by_site(found)]
        assert rows == [("most", 16, 16), ("a", 9, 9), ("b", 9, 9), ("few", 8, 16), ("z", 1, 1)]

    def test_bytes_of_all_allocations_decide_at_a_tie(self) -> None:
        """The sites a and b have 8 bytes at the peak, but b allocated them twice."""
        found = timeline_of(
            ("alloc", 1, 6, 1), ("free", 1), ("alloc", 2, 6, 1), ("alloc", 3, 2, 1),
            ("alloc", 4, 8, 1), sites={6: "b", 2: "b", 8: "a"},
        )  # fmt: skip
        assert [(row.name, row.at_peak) for row in by_site(found)] == [("b", 8), ("a", 8)]

    def test_no_areas(self) -> None:
        found = timeline_of(sites={})
        assert by_site(found) == by_size(found) == []


def test_callers_and_tasks() -> None:
    """Two helpers allocate for ``net``; the area of ``vfs`` is freed before the peak.

    ::

        task   call site   stack         bytes
        one    ref         ref < vfs        64   o--x
        two    ref         ref < net         8         o-----...
        two    many        many < net       16            o--...
        one    f           none             32               o...
    """
    ops = [("alloc", "a", 64, 4), ("free", "a"), ("alloc", "b", 8, 4), ("alloc", "c", 16, 4),
           ("alloc", "d", 32, 4), ("alloc", "e", 16, 4)]  # fmt: skip
    trace = Trace.from_ops(ops)
    data = trace._data
    trace.kinds[:] = [kind._replace(site="f") for kind in trace.kinds]
    data.tables.names, data.tables.tasks = ["two", "one"], [(1, 1), (0, 2)]
    data.tables.stacks = ["percpu_ref_init\nvfs", "percpu_ref_init\nnet",
                          "__percpu_counter_init_many\nnet"]  # fmt: skip
    none = 2**32 - 1
    data.columns = {
        "tasks": array("I", [0, 1, 1, 1, 0, none]),
        "stacks": array("I", [0, none, 1, 2, none, 2]),
    }
    found = collect(trace, TINY)
    assert by_caller(found) == [
        Row("net", allocs=3, bytes=40, at_peak=40, left=40, areas_at_peak=3),
        Row("f", allocs=1, bytes=32, at_peak=32, left=32, areas_at_peak=1),
        Row("vfs", allocs=1, bytes=64, at_peak=0, left=0, areas_at_peak=0),
    ]
    assert by_task(found) == [
        Row("one", allocs=2, bytes=96, at_peak=32, left=32, areas_at_peak=1),
        Row("two", allocs=2, bytes=24, at_peak=24, left=24, areas_at_peak=2),
        Row("", allocs=1, bytes=16, at_peak=16, left=16, areas_at_peak=1),
    ]
    assert (found.has_stacks, found.has_tasks) == (True, True)
    third = found.origins[found.origin_of[3]]
    assert (third.caller, third.pid) == ("net", 2)
    data.columns.clear()
    found = collect(trace, TINY)
    assert (found.has_stacks, found.has_tasks) == (False, False)


def test_users_of_chunks() -> None:
    """Letters are call sites.

    ::

        chunk 0   |SSSS|ff|.......|    the first chunk stays in any case
        chunk 1   |ff|............|    only f has areas in 1 and 2
        chunk 2   |f|...|fff|.....|
        chunk 3   |f|g|jj|h|i|....|
        chunk 4   |g|j|h|i|.......|
    """
    sites = "fghij"
    trace = Trace.from_ops([("alloc", size, size, 4) for size in range(8, 8 + len(sites))])
    trace.kinds[:] = [
        kind._replace(site=site) for kind, site in zip(trace.kinds, sites, strict=True)
    ]
    areas = [
        (4, 0, 8, "i"), (4, 8, 16, "h"), (4, 16, 24, "j"), (4, 24, 25, "g"),
        (3, 0, 8, "f"), (3, 8, 15, "g"), (3, 16, 32, "j"), (3, 32, 40, "h"), (3, 40, 48, "i"),
        (2, 0, 8, "f"), (2, 64, 88, "f"), (1, 0, 16, "f"), (0, 64, 80, "f"),
    ]  # fmt: skip
    patches = [
        Patch(chunk, start, end, sites.index(site), born)
        for born, (chunk, start, end, site) in enumerate(areas)
    ]
    patches += [Patch(0, 0, 64, STATIC, -1), Patch(4, 0, 128, PAGES, -1)]
    patches += [Patch(4, 0, 1024, FREE_SPACE, -1)]
    timeline: Any = SimpleNamespace(trace=trace, kept=frozenset({0}))
    assert chunk_users(timeline, patches) == [
        ChunkUser("f", chunks=4, alone=2, areas=5, bytes=16 + 16 + 8 + 24 + 8),
        ChunkUser("j", chunks=2, alone=0, areas=2, bytes=24),
        ChunkUser("h", chunks=2, alone=0, areas=2, bytes=16),
        ChunkUser("i", chunks=2, alone=0, areas=2, bytes=16),
        ChunkUser("g", chunks=2, alone=0, areas=2, bytes=8),
    ]
