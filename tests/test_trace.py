# SPDX-License-Identifier: GPL-2.0-only
"""Traces: what a recording has, and traces made by hand."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from conftest import SAMPLES, TINY
from test_trace_text import FTRACE, OLD, load

from percpu_ffi import Allocator, ConfigError, Model, PercpuWarning, Trace, TraceError, TraceStats
from percpu_ffi.trace import Event, Task
from percpu_ffi.trace.operations import CREATED, DESTROYED, FAILED, LOST

if TYPE_CHECKING:
    pass


CASES = Path(__file__).parent / "cases"

OPS = (
    ("alloc", 1, 64, 8),
    ("alloc", 2, 100, 4),
    ("free", 1),
    ("alloc", 3, 8, 8),
    ("alloc", 2, 16, 8),
    ("free", 99),
    ("free", 3),
)


class TestNotes:
    """When each operation happened, and where the recording kernel had the area."""

    def test_times_are_nanoseconds(self, tmp_path: Path) -> None:
        times = load(tmp_path, FTRACE).times
        assert times is not None
        assert times.tolist() == [522635392000, 522654654000, 522644762000, 522654700000]
        assert (times.format, times.readonly) == ("Q", True)

    def test_places_are_chunks_and_offsets(self, tmp_path: Path) -> None:
        text = FTRACE.replace("94005a45 off=512", "94005a46 off=512")
        places = load(tmp_path, text).places
        assert places is not None
        assert places.chunks.tolist() == [0, 0, 0, 1]
        assert places.offsets.tolist() == [26848, 27008, 26848, 512]
        assert (places.chunks.format, places.offsets.format) == ("I", "I")
        assert places.chunks.readonly
        assert places.offsets.readonly

    def test_there_is_one_for_each_operation(self) -> None:
        trace = Trace.load(SAMPLES / "fork_storm.perf.xz")
        assert trace.times is not None
        assert trace.places is not None
        assert len(trace.times) == len(trace.places.chunks) == len(trace.places.offsets)
        assert len(trace.times) == len(trace)
        assert trace.times.tolist() == sorted(trace.times)

    def test_clock_that_counts_ticks_gives_no_times(self, tmp_path: Path) -> None:
        trace = load(tmp_path, FTRACE.replace("522.", "522"))
        assert trace.times is None
        assert trace.places is not None

    def test_one_time_alone_is_enough(self, tmp_path: Path) -> None:
        times = load(tmp_path, FTRACE.replace("522.6353", "5226353")).times
        assert times is not None
        assert times[:2].tolist() == [2**64 - 1, 522654654000]

    def test_lines_without_a_place(self, tmp_path: Path) -> None:
        text = FTRACE.replace(" base_addr=", " old_base=").replace(" off=", " old_off=")
        trace = load(tmp_path, text)
        assert trace.places is None
        assert trace.times is not None

    def test_an_offset_without_a_chunk(self, tmp_path: Path) -> None:
        places = load(tmp_path, FTRACE.replace(" base_addr=", " old_base=")).places
        assert places is not None
        assert places.chunks.tolist() == [0xFFFFFFFF] * 4
        assert places.offsets[0] == 26848

    def test_by_hand_there_are_none(self) -> None:
        trace = Trace.from_ops(OPS)
        assert trace.times is None
        assert trace.places is None

    def test_times_do_not_make_traces_differ(self) -> None:
        early, late, none = (
            Trace.from_ops(OPS, times=times) for times in (range(7), range(7, 14), None)
        )
        assert early == late == none
        assert early != Trace.from_ops(OPS[:-1], times=range(6))

    def test_recording_equals_its_operations(self, tmp_path: Path) -> None:
        """Without the times, places and call sites that only the recording has."""
        recorded = load(tmp_path, FTRACE)
        assert recorded == Trace.from_ops(recorded)
        assert recorded.times is not None

    def test_by_hand_with_times(self) -> None:
        trace = Trace.from_ops(OPS, times=range(7))
        assert trace.times is not None
        assert trace.times.tolist() == list(range(7))
        assert trace.places is None

    def test_times_of_one_trace_may_be_given_to_another(self) -> None:
        trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        assert Trace.from_ops(trace, times=trace.times).times == trace.times

    @pytest.mark.parametrize("time", [-1, 2**64, 1.5, "now", None])
    def test_no_time(self, time: Any) -> None:
        with pytest.raises(TraceError, match="nanoseconds") as caught:
            Trace.from_ops(OPS[:3], times=[1, time, 3])
        assert caught.value.line == 2
        assert repr(time) in str(caught.value)

    @pytest.mark.parametrize(
        ("times", "n", "message"),
        [
            (0, 7, "0 times for 7 operations"),
            (8, 7, "8 times for 7 operations"),
            (1, 2, "1 time for 2 operations"),
            (2, 1, "2 times for 1 operation;"),
            (1000, 1001, "1000 times for 1001 operations"),
        ],
    )
    def test_as_many_times_as_operations(self, times: int, n: int, message: str) -> None:
        with pytest.raises(TraceError, match=message):
            Trace.from_ops([("free", 1)] * n, times=range(times))

    def test_they_do_not_count_when_traces_are_compared(self) -> None:
        trace = Trace.from_ops(OPS)
        assert Trace.from_ops(OPS, times=range(7)) == trace
        assert Trace.from_ops(OPS, times=range(1, 8)) == Trace.from_ops(OPS, times=range(7))


class TestOps:
    """Traces made by hand."""

    def test_iterating_gives_the_same_tuples(self) -> None:
        assert tuple(Trace.from_ops(OPS)) == OPS

    def test_figures(self) -> None:
        trace = Trace.from_ops(OPS)
        stats = trace.stats
        assert (stats.events, stats.allocs, stats.frees) == (7, 4, 3)
        assert (stats.orphan_frees, stats.reallocs, trace.slots) == (1, 1, 2)

    def test_figures_with_faults(self) -> None:
        ops: list[Any] = [
            ("alloc", 1, 8, 8),
            ("inject", "map", {}),
            ("alloc", 1, 8, 8),
            ("free", 1),
        ]
        trace = Trace.from_ops([*ops, ("inject", "vmalloc", {}), *ops, ("alloc", 2, 8, 8)])
        assert trace.stats == TraceStats(events=10, allocs=5, frees=2, reallocs=2)

    @pytest.mark.parametrize(
        ("ops", "text"),
        [
            ([], "<Trace, 0 allocations, 0 frees, 0 at a time>"),
            ([("alloc", 1, 8, 8), ("free", 1)], "<Trace, 1 allocation, 1 free, 1 at a time>"),
            (
                [("alloc", 1, 8, 8), ("free", 1)] * 1000,
                "<Trace, 1000 allocations, 1000 frees, 1 at a time>",
            ),
        ],
        ids=["empty", "one", "many"],
    )
    def test_repr(self, ops: Any, text: str) -> None:
        assert repr(Trace.from_ops(ops)) == text

    def test_layout_is_that_of_c(self) -> None:
        """Key, handle and kind: see struct pcpu_op in percpu.h."""
        none = 0xFFFFFFFF
        ops: list[Any] = [*OPS, ("alloc", 2**64 - 1, 64, 8), ("inject", "map", {})]
        rows = [
            (1, 0, 0),
            (2, 1, 1),
            (1, 0, none),
            (3, 0, 2),  # takes the handle that is free again
            (2, 1, 3),  # keeps its handle
            (99, none, none),
            (3, 0, none),
            (2**64 - 1, 0, 0),
            (0, 0, none - 1),
        ]
        trace = Trace.from_ops(ops)
        assert trace.ops == b"".join(struct.pack("=QII", *row) for row in rows)
        assert trace.ops.readonly
        assert [kind[:2] for kind in trace.kinds] == [(64, 8), (100, 4), (8, 8), (16, 8)]
        assert trace.slots == 2

    @pytest.mark.parametrize("key", ["b", -1, 2**64])
    def test_names_are_numbered_in_order(self, key: int | str) -> None:
        ops: Any = [("alloc", 7, 8, 8), ("alloc", key, 8, 8), ("free", 7), ("free", key)]
        numbers = Trace.from_ops(ops).ops.cast("Q")[::2].tolist()
        assert numbers == [0, 1, 0, 1]

    def test_handle_that_was_free_last_is_used_first(self) -> None:
        """As in C: an allocator that is replayed sees the same order."""
        allocs = [("alloc", key, 8, 8) for key in range(6)]
        trace = Trace.from_ops([*allocs[:3], ("free", 0), ("free", 2), *allocs[3:]])
        assert trace.ops.cast("I")[2::4].tolist() == [0, 1, 2, 0, 2, 2, 0, 3]
        assert trace.slots == 4

    @pytest.mark.parametrize("key", [0, 2**64 - 1, -1, 2**64, "name", "näme", ""])
    def test_keys(self, tmp_path: Path, key: int | str) -> None:
        ops = [("alloc", 7, 8, 8), ("alloc", key, 64, 8), ("free", key), ("free", 7)]
        trace = Trace.from_ops(ops)
        assert list(trace) == ops
        trace.save(tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == ops

    def test_sizes_that_no_allocator_serves(self) -> None:
        ops = [("alloc", 1, size, align) for size in (0, -1, 2**40, -(2**63)) for align in (0, 3)]
        assert list(Trace.from_ops(ops)) == ops

    @pytest.mark.parametrize("number", [-(2**63), 2**32 + 8, 2**63 - 1])
    def test_all_of_64_bits_count(self, tmp_path: Path, number: int) -> None:
        ops = [("alloc", 1, number, 8), ("alloc", 2, 8, number)]
        trace = Trace.from_ops(ops)
        assert list(trace) == ops
        trace.save(tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == ops

    def test_later_changes_of_arguments_and_results_have_no_effect(self) -> None:
        plan, quirks = {"nth": 3}, ["rollback"]
        setup: dict[str, Any] = {"cpus": 2, "quirks": quirks}
        ops: list[Any] = [("inject", "map", plan), ("alloc", 1, 8, 8)]
        trace = Trace.from_ops(ops, setup)
        plan["nth"] = setup["cpus"] = 4
        ops.pop()
        quirks.clear()
        for _ in range(2):  # also those of the first time
            assert list(trace) == [("inject", "map", {"nth": 3}), ("alloc", 1, 8, 8)]
            assert trace.faults == [("map", {"nth": 3})]
            assert trace.setup == {"cpus": 2, "quirks": ["rollback"]}
            trace[0][2].clear()  # type: ignore[union-attr, misc]
            trace.faults[0][1].clear()
            trace.setup["quirks"].clear()
            trace.setup.clear()

    def test_equality(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(OPS, {"cpus": 2})
        trace.save(tmp_path / "saved")
        assert trace == Trace.load(tmp_path / "saved")
        assert trace != Trace.from_ops(OPS, {"cpus": 3})
        assert trace != Trace.from_ops(OPS[:-1], {"cpus": 2})
        assert trace != Trace.from_ops([*OPS, ("free", 1)], {"cpus": 2})
        assert trace != Trace.from_ops([*OPS[:-1], ("free", 2)], {"cpus": 2})
        assert trace != list(trace)
        assert trace == mock.ANY  # which compares equal to anything

    def test_equal_operations_of_other_numbers(self) -> None:
        """The same sequence, with other names and kinds before it in the tables."""
        one, other = (Trace.from_ops(ops) for ops in ([("free", "a")], [("free", "a")] * 2))
        one._data.names = ["b", "a"]
        one._data.ops[:8] = struct.pack("=Q", 1)
        assert one == Trace.from_ops([("free", "a")])
        assert one != other

    def test_index_and_slice(self) -> None:
        trace = Trace.from_ops(OPS)
        assert trace[0] == OPS[0]
        assert trace[-1] == OPS[-1]
        assert trace[2:4] == list(OPS[2:4])
        with pytest.raises(IndexError):
            trace[7]
        wrong: Any = "seven"
        with pytest.raises(ConfigError, match=r"^index='seven': an integer or a slice is"):
            trace[wrong]

    @pytest.mark.parametrize("name", ["ops", "times"])
    def test_argument_of_a_wrong_type(self, name: str) -> None:
        arguments: Any = {"ops": OPS, name: 5}
        with pytest.raises(ConfigError, match=f"^{name}=5: an iterable of "):
            Trace.from_ops(**arguments)

    def test_empty(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([])
        assert (list(trace), len(trace)) == ([], 0)
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved") == trace

    @pytest.mark.parametrize(
        "setup",
        [
            {"units": 2},
            {"cpus": "many"},
            {"cpus": 2.5},
            {"cpus": None},
            {"memory": 1},
            {"quirks": 1},
            {"page_limit": [1]},
            {"cpus": "many", "nodes": 2},
            [("cpus",)],
            7,
            0,
        ],
        ids=str,
    )
    def test_set_up_of_wrong_names_or_types(self, setup: Any) -> None:
        with pytest.raises(ConfigError, match="arguments of an allocator") as caught:
            Trace.from_ops(OPS, setup)
        assert str(caught.value).startswith(f"set-up {setup}: ")
        assert str(caught.value).endswith(f"from {', '.join(self.SETTINGS)}")

    SETTINGS = MappingProxyType(
        {
            "balance": "none",
            "cpus": 2,
            "dyn_size": 0,
            "first_chunk": "embed",
            "fixes": ["a fix"],
            "free_size": 0,
            "memory": "none",
            "nodes": 1,
            "page_limit": None,
            "page_size": 64,
            "policy": "area-map",
            "quirks": ["rollback"],
            "reserved_size": 8,
            "static_size": 8,
            "unit_size": 65536,
        }
    )

    def test_all_settings(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(OPS, dict(self.SETTINGS))
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved").setup == trace.setup == self.SETTINGS

    def test_values_become_those_of_json(self, tmp_path: Path) -> None:
        """Numbers as numpy's have `__index__` or `__float__`; quirks may be in any collection."""
        setup = {"cpus": Index(2), "quirks": ("b", "c", "a"), "page_size": None}
        plan = {"nth": Index(3), "probability": Fraction(1, 4)}
        trace = Trace.from_ops([("inject", "map", plan), ("alloc", 1, Index(8), Index(4))], setup)
        trace.save(tmp_path / "saved")
        again = Trace.load(tmp_path / "saved")
        assert again.setup == {"cpus": 2, "quirks": ["a", "b", "c"], "page_size": None}
        assert list(again) == [
            ("inject", "map", {"nth": 3, "probability": 0.25}),
            ("alloc", 1, 8, 4),
        ]

    def test_set_up_may_have_any_values_of_their_types(self) -> None:
        setup = {"cpus": 0, "first_chunk": "none", "quirks": ["walk"], "page_limit": None}
        assert Trace.from_ops(OPS, setup).setup == setup

    @pytest.mark.parametrize(
        ("site", "plan", "message"),
        [
            ("nowhere", {}, "2: site 'nowhere': the services that can fail are kmalloc, vmalloc, "),
            ("map", 5, "2: fault 5: a mapping of arguments of inject() is needed"),
            ("map", {"n": 3}, "2: fault {'n': 3}: a mapping of arguments of inject() is needed"),
            ("map", {"nth": -1}, "2: nth=-1: an integer from "),
        ],
    )
    def test_invalid_fault(self, site: str, plan: Any, message: str) -> None:
        with pytest.raises(TraceError) as caught:
            Trace.from_ops([("alloc", 1, 8, 8), ("inject", site, plan)])
        assert caught.value.line == 2
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        "op",
        [
            ("realloc", 1),
            ("alloc", 1, 8),
            ("alloc", 1.5, 8, 8),
            ("alloc", 1, 8.0, 8),
            ("alloc", 1, 2**63, 8),
            ("alloc", 1, 8, -(2**63) - 1),
            ("free",),
            ("free", None),
            ("free", 1, 2),
            7,
            "free",
        ],
        ids=str,
    )
    def test_invalid_operation(self, op: Any) -> None:
        with pytest.raises(TraceError) as caught:
            Trace.from_ops([("alloc", 1, 8, 8), op])
        assert caught.value.line == 2
        assert repr(op) in str(caught.value)


class TestFlags:
    """An allocation with flags has a fifth item; background work is an operation."""

    OPS = (
        ("alloc", 1, 8, 8, ("atomic",)),
        ("alloc", 2, 8, 8),
        ("balance",),
        ("alloc", "n", 8, 8, ("atomic", "reserved")),
        ("alloc", 1, 8, 8, ("reserved",)),
        ("balance",),
        ("free", 1),
    )

    def test_iterating_gives_the_same_tuples(self) -> None:
        trace = Trace.from_ops(self.OPS)
        assert tuple(trace) == self.OPS
        assert (trace[2], trace[-1], trace[3:5]) == (self.OPS[2], self.OPS[-1], [*self.OPS[3:5]])
        assert tuple(Trace.from_ops(trace)) == self.OPS

    def test_figures(self) -> None:
        trace = Trace.from_ops(self.OPS)
        assert trace.stats == TraceStats(events=7, allocs=4, frees=1, reallocs=1)
        assert (trace.slots, len(trace)) == (3, 7)
        assert repr(trace) == "<Trace, 4 allocations, 1 free, 3 at a time>"

    def test_requests_that_differ_in_flags_are_two(self) -> None:
        trace = Trace.from_ops(self.OPS)
        assert [kind.flags for kind in trace.kinds] == [
            ("atomic",),
            (),
            ("atomic", "reserved"),
            ("reserved",),
        ]

    def test_layout_is_that_of_c(self) -> None:
        """Background work has the key and the handle 0."""
        trace = Trace.from_ops([("balance",), ("alloc", 5, 8, 8, ("reserved",))])
        assert trace.ops == struct.pack("=QIIQII", 0, 0, 0xFFFFFFFD, 5, 0, 0)

    @pytest.mark.parametrize(
        "flags",
        [
            ["atomic", "reserved"],
            ("reserved", "atomic"),
            {"atomic", "reserved"},
            frozenset(("atomic", "reserved")),
            ("reserved", "atomic", "atomic"),
        ],
        ids=["list", "tuple", "set", "frozenset", "twice"],
    )
    def test_any_collection_in_any_order(self, flags: Any) -> None:
        (op,) = Trace.from_ops([("alloc", 1, 8, 8, flags)])
        assert op == ("alloc", 1, 8, 8, ("atomic", "reserved"))

    @pytest.mark.parametrize(
        "flags",
        [(), [], "atomic", "", None, 1, ("large",), ("atomic", 1), [["atomic"]], {"atomic": 1}],
    )
    def test_other_flags(self, flags: Any) -> None:
        with pytest.raises(TraceError) as caught:
            Trace.from_ops([("balance",), ("alloc", 1, 8, 8, flags)])
        assert caught.value.line == 2
        assert str(caught.value) == (
            f"2: {('alloc', 1, 8, 8, flags)}: flags are a tuple of atomic, reserved, or left out"
        )

    def test_they_count_when_traces_are_compared(self) -> None:
        plain = Trace.from_ops([("alloc", 1, 8, 8)])
        atomic = Trace.from_ops([("alloc", 1, 8, 8, ("atomic",))])
        assert plain != atomic
        assert atomic == Trace.from_ops([("alloc", 1, 8, 8, ["atomic"])])
        assert atomic != Trace.from_ops([("alloc", 1, 8, 8, ("reserved",))])

    def test_background_work_counts_when_traces_are_compared(self) -> None:
        assert Trace.from_ops([("balance",)]) == Trace.from_ops([("balance",)])
        assert Trace.from_ops([("balance",)]) != Trace.from_ops([])
        assert Trace.from_ops([("balance",)]) != Trace.from_ops([("free", 0)])

    @pytest.mark.parametrize("kind", [Allocator, Model])
    def test_replay_ignores_them_under_this_policy(self, kind: Any) -> None:
        plain = [op[:4] for op in self.OPS if op[0] != "balance"]
        with kind(**TINY) as a, kind(**TINY) as b:
            flagged, expected = a.replay(Trace.from_ops(self.OPS)), b.replay(Trace.from_ops(plain))
            assert a.state() == b.state()
            assert a.counters() == b.counters()
        pointers = [*expected.pointers]
        assert list(flagged.pointers) == [*pointers[:2], 0, *pointers[2:4], 0, pointers[4]]
        assert flagged.failures == ()

    @pytest.mark.parametrize("kind", [Allocator, Model])
    def test_failure_of_a_flagged_request(self, kind: Any) -> None:
        ops: list[Any] = [("balance",), ("alloc", 1, 1 << 20, 8, ("atomic",)), ("free", 1)]
        with kind(**TINY) as a, pytest.warns(PercpuWarning):
            (failure,) = a.replay(Trace.from_ops(ops)).failures
        assert (failure.index, failure.op) == (1, ops[1])


class TestRecorded:
    """What only a recording has."""

    def test_by_hand_there_is_none_of_it(self) -> None:
        trace = Trace.from_ops(OPS)
        assert (trace.tasks, trace.stacks, trace.bases, trace.events) == ([], [], [], [])
        assert (trace.skipped, trace.remarks, trace.machine) == ([], [], {})

    def test_tables(self, tmp_path: Path) -> None:
        trace = load(tmp_path, OLD + FTRACE)
        assert trace.tasks == [
            Task("kworker/0:1", 29), Task("bash", 2090), Task("ip", 2094), Task("seq", 2093),
        ]  # fmt: skip
        assert trace.bases == [0xAAAAAAAA, 0x94005A45]
        assert [(e.before, e.kind, e.value) for e in trace.events] == [
            (0, CREATED, 0),
            (1, FAILED, 1),  # the second request
            (1, DESTROYED, 0),
        ]
        assert [e.time for e in trace.events] == [5_000_000_000, 5_000_002_000, 5_000_004_000]
        assert trace.kinds[1][:4] == (8, 8, "", ("atomic",))
        assert {(e.task, e.cpu) for e in trace.events} == {(0, 0)}

    def test_chunk_that_comes_again_has_another_number(self, tmp_path: Path) -> None:
        """At the same address: numbers name lives."""
        trace = load(tmp_path, OLD * 2)
        assert trace.places is not None
        assert trace.places.chunks.tolist() == [0, 1]
        assert trace.bases == [0xAAAAAAAA, 0xAAAAAAAA]

    def test_machine_is_a_copy(self) -> None:
        trace = Trace.from_ops([])
        trace._data.machine = {"kernel": "6.18"}
        trace.machine.clear()
        assert trace.machine == {"kernel": "6.18"}

    def test_stacks(self) -> None:
        trace = Trace.load(CASES / "ftrace_stacks.txt.xz")
        column = trace.columns()["stack"]
        assert trace.stacks[column[0]].split("\n")[-1].startswith("entry_SYSCALL_64_after_hwframe")
        assert "" not in trace.stacks

    def test_none_of_it_counts_when_traces_are_compared(self) -> None:
        """Two recordings of the same operations."""
        one, other = (Trace.load(CASES / name) for name in ("plain.txt", "docker_json.txt"))
        one._data.events = [Event(0, 0, 0, 0, 0, LOST)]
        one._data.machine = {"kernel": "6.18"}
        one._data.tables.names.append("more")
        assert one == other


def test_operation_of_a_damaged_trace() -> None:
    """Tables without the rows that operations refer to."""
    for ops, table in (
        ([("alloc", 1, 8, 8)], "kinds"),
        ([("inject", "map", {})], "faults"),
        ([("free", "a")], "names"),
    ):
        trace = Trace.from_ops(ops)
        getattr(trace._data if table != "kinds" else trace._data.tables, table).clear()
        with pytest.raises(TraceError, match="the trace is damaged"):
            list(trace)


class Index:
    """An integer of another type."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value
