# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: workloads, contenders, histograms."""

from __future__ import annotations

import math
import random
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES, Kind

from percpu_ffi import Allocator, ConfigError, PerCpu, Trace
from percpu_ffi._core import lib
from percpu_ffi.bench import bounds, contenders, percpu_c, workloads
from percpu_ffi.bench.contenders import CONTENDERS, PythonSession, choose_contenders
from percpu_ffi.bench.histogram import Histogram, bucket_end
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.percpu_c import CannotCompile, WrongFile, compile_with
from percpu_ffi.bench.results import Results
from percpu_ffi.bench.upstream import Upstream, percpu_c_named
from percpu_ffi.bench.workload import Geometry, Options, Workload
from percpu_ffi.bench.workloads import WORKLOADS, make_workloads
from percpu_ffi.bench.worst_cases import WORST_CASES
from percpu_ffi.trace.operations import FREE, OP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from percpu_ffi.bench.workload import Phase

# units of 1 KiB, one page of static area: see conftest.TINY
TINY = Geometry(cpus=2, page_size=64, static_size=64)
FEW = Options(objects=300, live=40)


def decoded(phase: Phase) -> Iterator[tuple[int, int]]:
    return ((slot, kind) for _key, slot, kind in OP.iter_unpack(phase.ops))


def live_after(workload: Workload) -> Iterator[tuple[str, set[int]]]:
    """Yield the live handles after each phase.

    Each free is of a live handle, each allocation of one that is not.
    """
    live: set[int] = set()
    for phase in workload.phases:
        for slot, kind in decoded(phase):
            if kind == FREE:
                live.remove(slot)
            else:
                assert kind < len(workload.kinds)
                assert slot not in live
                live.add(slot)
            assert slot < workload.slots
        yield phase.name, set(live)


class TestWorkloads:
    def test_objects_are_freed_in_three_orders(self) -> None:
        workload = WORKLOADS["objects-16"](Options(objects=6))
        assert workload.kinds == ((16, 4),)
        orders = {p.name: [slot for slot, _ in decoded(p)] for p in workload.phases}
        assert orders["in order"] == [0, 1, 2, 3, 4, 5]
        assert orders["alternating"] == [0, 2, 4, 1, 3, 5]
        assert orders["reverse"] == [5, 4, 3, 2, 1, 0]
        everything = set(range(6))
        assert list(live_after(workload)) == [
            ("alloc", everything), ("in order", set()), ("alloc", everything),
            ("alternating", set()), ("alloc", everything), ("reverse", set()),
        ]  # fmt: skip

    def test_second_halves_are_full(self, kind: Kind) -> None:
        """After the phase "empty", before the refill, a chunk is half full.

        chunk 0  |SS|......|################|        chunk 1  |........|########|
                 0  64    512             1024
        """
        workload = workloads.half_full(32, FEW, TINY)
        with kind(**TINY.setup) as allocator:
            session = PythonSession(workload, allocator)
            for phase in workload.phases[:2]:
                session.run(phase.ops)
            first, *others = allocator.state().chunks
            assert first.map == (-64, 448, *[-32] * 16)
            assert len(others) == (300 - 30) // 32
            assert all(chunk.map == (512, *[-32] * 16) for chunk in others)
            session.run(workload.phases[2].ops)
            assert all(chunk.free_size == 0 for chunk in allocator.state().chunks)

    def test_churn_keeps_the_number_of_live_objects(self) -> None:
        workload = WORKLOADS["churn"](FEW)
        assert {len(live) for _, live in live_after(workload)} == {40}
        assert len(workload.phases[-1]) == 300
        assert min(size for size, _ in workload.kinds) == 8
        assert max(size for size, _ in workload.kinds) == 256

    def test_same_seed_makes_the_same_churn(self) -> None:
        ops = [WORKLOADS["churn"](Options(300, 40, seed)).phases[-1].ops for seed in (1, 1, 2)]
        assert ops[0] == ops[1] != ops[2]

    def test_recording_is_repeated(self) -> None:
        trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        workload = WORKLOADS["netns-churn"](Options(objects=2 * len(trace)))
        once, again = workload.phases
        assert once.ops.tobytes() == trace.ops
        assert not once.timed
        assert again.ops == once.ops * 2

    def test_wheel_has_no_recordings(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(workloads, "SAMPLES", tmp_path)
        with pytest.raises(ConfigError, match="--trace FILE"):
            make_workloads(["fork-storm"], [], FEW)
        names = {make().name for make in make_workloads([], [], FEW)}
        assert names == WORKLOADS.keys() - {"fork-storm", "netns-churn"}
        (bound,) = bounds.replays(Results({}, {}))
        assert bound.holds is None

    def test_recording_of_the_user(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.trace"
        Trace.from_ops([("alloc", 1, 24, 8), ("free", 1)]).save(path)
        (make,) = make_workloads([], [path], FEW)
        assert make().name == "mine"
        assert make().kinds == ((24, 8),)
        Trace.from_ops([("inject", "map", {"nth": 1})]).save(path)
        with pytest.raises(ConfigError, match="sets faults"):
            make_workloads([], [path], FEW)

    @pytest.mark.parametrize(
        ("ops", "why"),
        [
            ([], "without operations"),
            ([("alloc", 1, 8, 0)], "an alignment of 0; only powers of two can be measured"),
            ([("alloc", 1, 8, 24)], "an alignment of 24"),
        ],
    )
    def test_unsuitable_recording_is_refused(
        self, tmp_path: Path, ops: list[Any], why: str
    ) -> None:
        Trace.from_ops(ops).save(path := tmp_path / "mine.trace")
        with pytest.raises(ConfigError, match=why):
            make_workloads([], [path], FEW)

    def test_duplicate_name_is_refused(self, tmp_path: Path) -> None:
        """Results are kept by name: a second workload with that name was lost."""
        Trace.from_ops([("alloc", 1, 24, 8)]).save(path := tmp_path / "churn.trace")
        for names, paths in ((["churn"], [path]), ([], [path, path])):
            with pytest.raises(ConfigError, match="another workload is called churn"):
                make_workloads(names, paths, FEW)
        assert len(make_workloads(["objects-4"], [path], FEW)) == 2

    @pytest.mark.parametrize("options", [{"objects": 0}, {"live": 0}, {"objects": 1 << 25}])
    def test_options_out_of_range(self, options: dict[str, int]) -> None:
        with pytest.raises(ConfigError, match="from 1 to"):
            Options(**options)


class Observer:
    """Counts the 2009 file's work from the state before each call."""

    def __init__(self, allocator: PerCpu) -> None:
        self.allocator = allocator
        self.scanned = 0

    def alloc(self, size: int, align: int) -> int:
        state = self.allocator.state()
        chunks = {chunk.id: chunk for chunk in state.chunks}
        ptr = self.allocator.alloc(size, align)
        served = self.allocator.locate(ptr).chunk
        for id_ in (id_ for slot in state.slots[max(size.bit_length() - 3, 1) :] for id_ in slot):
            chunk = chunks[id_]
            sizes = chunk.map or (-self.allocator.static_size, chunk.free_size)
            if size > chunk.contig_hint:
                continue
            if id_ == served:
                self.scanned += self.fit(sizes, size, align) + 1
                return ptr
            self.scanned += len(sizes)
        self.scanned += 1  # the only entry of a new chunk
        return ptr

    @staticmethod
    def fit(sizes: tuple[int, ...], size: int, align: int) -> int:
        offset = 0
        for i, entry in enumerate(sizes):
            if entry >= -offset % align + size:
                return i
            offset += abs(entry)
        raise AssertionError("this chunk served the request")

    def free(self, ptr: int) -> None:
        place = self.allocator.locate(ptr)
        (chunk,) = (c for c in self.allocator.state().chunks if c.id == place.chunk)
        offset = 0
        for i, entry in enumerate(chunk.map):
            if offset == place.offset:
                self.scanned += i + 1
                break
            offset += abs(entry)
        self.allocator.free(ptr)

    def counts(self) -> dict[str, int]:
        calls = self.allocator.counters()
        return {
            "entries_scanned": self.scanned,
            "pages_populated": calls["alloc_page"],
            "pages_depopulated": calls["free_page"],
        }


class TestWorstCases:
    @pytest.mark.parametrize("name", WORST_CASES)
    def test_formulas_match_what_is_observed(self, name: str, kind: Kind) -> None:
        workload = WORST_CASES[name](Options(400 if name == "aligned-4" else 40), TINY)
        assert workload.expected
        with kind(**TINY.setup) as allocator:
            observer = Observer(allocator)
            session = PythonSession(workload, observer)
            for phase in workload.phases:
                before = observer.counts()
                session.run(phase.ops)
                after = observer.counts()
                for row in workload.expected:
                    if row.phase == phase.name:
                        assert after[row.counter] - before[row.counter] == row.value, row

    @pytest.mark.parametrize("name", WORST_CASES)
    def test_formulas_match_what_is_counted(self, name: str) -> None:
        workload = WORST_CASES[name](Options(400 if name == "aligned-4" else 40), TINY)
        for contender in ("port", "model"):
            for row in measure(workload, [contender], 1).expected:
                assert row.counted == row.value, row


class TestContenders:
    def test_loops_in_c_and_in_python_do_the_same(self) -> None:
        workload = WORKLOADS["churn"](FEW)
        with CONTENDERS["port"].open(workload) as port, CONTENDERS["model"].open(workload) as model:
            for phase in workload.phases:
                port.run(phase.ops)
                model.run(phase.ops)
                assert state_of(port) == state_of(model)

    @pytest.mark.parametrize("name", ["port", "mapped", "model", "malloc", "empty"])
    def test_every_contender_runs_every_phase(self, name: str) -> None:
        with CONTENDERS[name].open(workload := WORKLOADS["netns-churn"](FEW)) as session:
            for phase in workload.phases:
                assert session.run(phase.ops) > 0
            assert session.failures == 0

    def test_failures_are_counted(self) -> None:
        workload = Workload("", "", (), ((100_000, 8),), 1)
        ops = WORKLOADS["objects-4"](Options(objects=1)).phases[0].ops
        for name in ("port", "model"):
            with CONTENDERS[name].open(workload) as session:
                with pytest.warns(match="illegal size"):
                    session.run(ops)
                assert session.failures == 1

    def test_short_workloads_are_repeated_more_often(self) -> None:
        for repeat, seconds in ((2, 0.0), (1, 0.05)):
            result = measure(WORKLOADS["objects-64"](FEW), ["empty"], repeat, seconds)
            assert result.whole_repetitions > 10 if seconds else result.whole_repetitions == 2

    def test_each_call_is_timed(self) -> None:
        phase = WORKLOADS["churn"](FEW).phases[-1]
        with CONTENDERS["empty"].open(WORKLOADS["churn"](FEW)) as session:
            session.run(WORKLOADS["churn"](FEW).phases[0].ops)
            taken = session.run_timed(phase.ops)
        assert taken
        assert taken.alloc.calls == taken.free.calls == len(phase) // 2

    def test_unknown(self) -> None:
        with pytest.raises(ConfigError, match=r"'slub': there are port, mapped, model"):
            choose_contenders(["slub"])

    def test_upstream_needs_percpu_c(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PERCPU_C", raising=False)
        with pytest.raises(ConfigError, match="set PERCPU_C"):
            choose_contenders(["upstream"])

    def test_upstream_refuses_another_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERCPU_C", __file__)
        with pytest.raises(WrongFile, match="is git blob"):
            CONTENDERS["upstream"].open(WORKLOADS["churn"](FEW))

    def test_upstream_refuses_a_missing_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PERCPU_C", str(tmp_path / "percpu.c"))
        with pytest.raises(ConfigError, match=r"PERCPU_C=.*no such file.*or unset PERCPU_C"):
            choose_contenders(["upstream"])

    def test_long_phases_run_in_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C acts between two steps; the result is the same."""
        workload = WORKLOADS["churn"](FEW)
        states = []
        for step in (1 << 16, 7):
            monkeypatch.setattr(contenders, "STEP", step)
            with CONTENDERS["port"].open(workload) as session:
                for phase in workload.phases:
                    assert session.run(phase.ops) > 0
                states.append((state_of(session), session.work()))
        assert states[0] == states[1]

    def test_clock_may_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contenders.CSession, "run", lambda _self, _ops: 0)
        figures = measure(WORKLOADS["objects-4"](FEW), ["port", "empty"], 2).phases[0].contenders
        assert figures["empty"].ratios(figures["port"]) == [1, 1]


def state_of(session: Any) -> Any:
    return session._allocator.state()


@pytest.mark.parametrize("cc", ["/nowhere/cc", '"'])
def test_compiler_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cc: str) -> None:
    (tmp_path / "percpu.c").touch()
    monkeypatch.setattr(percpu_c, "BLOB", percpu_c.blob_id(b""))
    monkeypatch.setenv("CC", cc)
    with pytest.raises(CannotCompile, match=r"no C compiler.*install gcc, or set CC"):
        compile_with(tmp_path / "percpu.c", "FILE", [], [], tmp_path / "a.so")
    assert "none found" in describe_machine()["compiler"]


@pytest.mark.skipif(not percpu_c_named(), reason="PERCPU_C does not name the 2009 file")
class TestUpstream:
    @pytest.fixture
    def upstream(self) -> Iterator[Upstream]:
        named = percpu_c_named()
        assert named
        file = Upstream(named)
        yield file
        file.close()

    def test_decisions_are_those_of_the_port(self, upstream: Upstream) -> None:
        """Its fake services are cheap, but do not change its decisions."""
        rng = random.Random(1)
        live: list[tuple[int, int]] = []
        functions = upstream.contender()
        with Allocator(memory="none") as a:
            for i in range(20_000):
                if live and rng.random() < (0.7 if i // 4000 % 2 else 0.3):
                    ours, theirs = live.pop(rng.randrange(len(live)))
                    a.free(ours)
                    functions.free(functions.pcpu, theirs)
                    continue
                size = rng.choice([1, 3, 4, 8, 24, 300, 5000, 40_000])
                align = rng.choice([1, 4, 8, 64, 4096])
                theirs = functions.alloc(functions.pcpu, size, align)
                live.append((a.alloc(size, align), theirs))
                ours, theirs = live[-1]
                assert a.locate(ours) == upstream.locate(theirs)
            assert a.state().chunks[-1].id > 50

    def test_only_one_at_a_time(self, upstream: Upstream) -> None:
        named = percpu_c_named()
        assert named
        with pytest.raises(ConfigError, match="one state"):
            Upstream(named)


class TestHistogram:
    def test_buckets_are_those_of_c(self) -> None:
        for index in range(lib.PCPU_LATENCY_BUCKETS):
            end = bucket_end(index)
            assert lib.pcpu_latency_bucket(end) == index
            if index + 1 < lib.PCPU_LATENCY_BUCKETS:
                assert lib.pcpu_latency_bucket(end + 1) == index + 1

    @pytest.mark.parametrize("share", [0, 1, 50, 90, 99, 99.9, 100])
    def test_percentiles_are_those_of_a_sorted_list(self, share: float) -> None:
        rng = random.Random(7)
        values = sorted(int(rng.lognormvariate(5, 2)) for _ in range(5000))
        counts = array("Q", bytes(8 * lib.PCPU_LATENCY_BUCKETS))
        for value in values:
            counts[lib.pcpu_latency_bucket(value)] += 1
        exact = values[max(math.ceil(share * len(values) / 100), 1) - 1]
        found = Histogram.of_all(counts).percentile(share)
        assert found is not None
        assert exact <= found <= exact * 17 / 16

    @pytest.mark.parametrize(("share", "found"), [(0, 1), (33, 1), (34, 2), (50, 2), (67, 3)])
    def test_rank_is_rounded_up(self, share: float, found: int) -> None:
        """Of three calls, 1.5 are half of them: the second one has ended."""
        assert Histogram({1: 1, 3: 1, 2: 1}).percentile(share) == found

    def test_empty_histogram_has_no_percentile(self) -> None:
        assert Histogram({}).percentile(50) is None


def test_model_is_much_slower() -> None:
    figures = measure(WORKLOADS["churn"](FEW), ["port", "model"], 1).phase("churn").contenders
    assert figures["model"].median > 5 * figures["port"].median
