# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: workloads, contenders, histograms."""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES, Kind

from percpu_ffi import ConfigError, PerCpu, Trace
from percpu_ffi._core import lib
from percpu_ffi.bench import bounds, contenders, workloads
from percpu_ffi.bench.contenders import CONTENDERS, PythonSession, choose_contenders
from percpu_ffi.bench.histogram import Histogram, bucket_end
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.results import Results
from percpu_ffi.bench.workload import Geometry, Options, Workload
from percpu_ffi.bench.workloads import WORKLOADS, make_workloads
from percpu_ffi.bench.worst_cases import WORST_CASES
from percpu_ffi.trace.operations import FREE, OP

if TYPE_CHECKING:
    from collections.abc import Iterator

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


AS_IMPORTED = workloads.SAMPLES  # before the fixture of conftest.py


class TestWorkloads:
    def test_recordings_are_next_to_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the source; a wheel has none."""
        monkeypatch.setattr(workloads, "SAMPLES", AS_IMPORTED)
        source = SAMPLES.parent / "percpu_ffi" / "bench"
        is_source = source == Path(workloads.__file__).resolve().parent
        names = ["netns-churn", "fork-storm"] if is_source else []
        assert [*workloads.samples()] == names

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

    def test_refill_is_timed_and_filling_is_not(self) -> None:
        """Of 300 objects of 32 bytes, 14 and 16 a chunk are in the first halves."""
        workload = workloads.half_full(32, FEW, TINY)
        halves = {*range(14)}
        for start in range(30, 300 - 18, 32):
            halves |= {*range(start, start + 16)}
        everything = set(range(286))
        assert list(live_after(workload)) == [
            ("fill", everything), ("empty", everything - halves), ("refill", everything),
            ("free", set()),
        ]  # fmt: skip
        assert [phase.timed for phase in workload.phases] == [False, False, True, True]
        assert workload.geometry == TINY

    def test_churn_keeps_the_number_of_live_objects(self) -> None:
        """Each is replaced three times before the time is taken; 299 operations are 150 pairs."""
        workload = WORKLOADS["churn"](Options(objects=299, live=40))
        assert {len(live) for _, live in live_after(workload)} == {40}
        assert [(phase.name, len(phase), phase.timed) for phase in workload.phases] == [
            ("fill", 40, False), ("settle", 2 * 3 * 40, False), ("churn", 300, True)
        ]  # fmt: skip
        assert workload.kinds == tuple((size, 8) for size in range(8, 257, 8))

    def test_churn_takes_all_objects_and_sizes(self) -> None:
        fill, _, churn = WORKLOADS["churn"](Options(objects=40_000, live=1000)).phases
        assert [slot for slot, _ in decoded(fill)] == [*range(1000)]
        assert {kind for _, kind in decoded(fill)} == {*range(32)}
        slots, kinds = zip(*decoded(churn), strict=True)
        assert set(slots) == set(range(1000))
        assert set(kinds) == {FREE, *range(32)}

    def test_same_seed_makes_the_same_churn(self) -> None:
        ops = [WORKLOADS["churn"](Options(300, 40, seed)).phases[-1].ops for seed in (1, 1, 2)]
        assert ops[0] == ops[1] != ops[2]

    def test_replacement_has_the_kinds_of_the_samples(self) -> None:
        """They are kept in the package, which has no samples when it is a wheel."""
        kinds = {
            (kind.size, kind.align)
            for sample in ("netns_churn.ftrace.xz", "fork_storm.perf.xz")
            for kind in Trace.load(SAMPLES / sample).kinds
        }
        workload = WORKLOADS["replacement"](Options(objects=40_000, live=1000))
        assert list(workload.kinds) == sorted(kinds)
        assert [(phase.name, len(phase), phase.timed) for phase in workload.phases] == [
            ("fill", 1000, False), ("settle", 6000, False), ("replacement", 40_000, True)
        ]  # fmt: skip

    def test_recording_is_repeated(self) -> None:
        """Until there are as many operations as objects, rounded up; once at least."""
        trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        n = len(trace)
        for objects, times in ((1, 1), (2 * n, 2), (2 * n + 1, 3)):
            workload = WORKLOADS["netns-churn"](Options(objects=objects))
            once, again = workload.phases
            assert (once.name, once.timed) == ("first round", True)
            assert (again.name, again.timed) == ("replay", True)
            assert once.ops.tobytes() == trace.ops
            assert again.ops == once.ops * times
            assert workload.name == "netns-churn"
            assert workload.slots == trace.slots
            assert workload.kinds == tuple((kind.size, kind.align) for kind in trace.kinds)

    def test_default_contenders(self) -> None:
        """Real memory matters in a steady state; the model takes too long for any."""
        steady = {"churn", "replacement", "netns-churn", "fork-storm"}
        for name, make in WORKLOADS.items():
            workload = make(FEW)
            bitmap = ["bitmap"] if name.startswith("objects-") else []
            expected = ["port", *bitmap, "upstream", "malloc", "empty"]
            if name in steady:
                mapped = ["bitmap", "mapped", "bitmap-mapped"]
                libraries = ["aligned_alloc", "calloc", "jemalloc", "mimalloc"]
                expected = ["port", *mapped, "upstream", "malloc", *libraries, "empty"]
            if name == "threads":
                expected = ["port", "mapped", "bitmap", "malloc"]
            assert [*workload.contenders] == expected
            assert workload.name == name
            assert workload.steady is (name in steady)

    def test_sizes_and_slots_of_the_published_measurement(self) -> None:
        for size in (4, 16, 64, 256, 1024):
            workload = WORKLOADS[f"objects-{size}"](FEW)
            assert (workload.kinds, workload.slots) == (((size, 4),), 300)
            assert all(phase.timed for phase in workload.phases)
            halves = WORKLOADS[f"half-full-{size}"](FEW)
            assert halves.kinds == ((size, 4),)
            assert halves.slots == len(halves.phases[0])
            assert halves.geometry == Geometry(cpus=4, page_size=4096, static_size=8192)

    def test_wheel_has_no_recordings(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(workloads, "SAMPLES", tmp_path)
        with pytest.raises(ConfigError, match=r"^workload fork-storm: .*--trace FILE"):
            make_workloads(["fork-storm"], [], FEW)
        names = {make().name for make in make_workloads([], [], FEW)}
        assert names == WORKLOADS.keys() - {"fork-storm", "netns-churn"}
        (bound,) = bounds.replays(Results({}, {}))
        assert bound.holds is None

    def test_recording_of_the_user(self, tmp_path: Path) -> None:
        """It is called by its name up to the first point."""
        path = tmp_path / "mine.april.trace"
        Trace.from_ops([("alloc", 1, 24, 8), ("alloc", 2, 3, 1), ("free", 1)]).save(path)
        (make,) = make_workloads([], [path], FEW)
        assert make().name == "mine"
        assert make().kinds == ((24, 8), (3, 1))
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

    def test_options_have_limits(self) -> None:
        assert Options() == Options(objects=65536, live=4096, seed=2009)
        Options(objects=1, live=1)
        Options(objects=1 << 24, live=1 << 20)
        for name, most in (("objects", 1 << 24), ("live", 1 << 20), ("cpus", 1 << 16)):
            for number in (0, most + 1):
                with pytest.raises(ConfigError, match=f"--{name} {number}: from 1 to {most:,}"):
                    Options(**{name: number})  # type: ignore[arg-type]

    def test_policy_is_that_of_the_options(self, tmp_path: Path) -> None:
        """The formulas are those of the area map."""
        Trace.from_ops([("alloc", 1, 24, 8)]).save(path := tmp_path / "mine.trace")
        options = replace(FEW, policy="bitmap+chunk-hint")
        for make in make_workloads(["lying-hint"], [path], options):
            made = make()
            assert made.geometry.policy == "bitmap+chunk-hint"
            assert made.expected == ()
            with CONTENDERS["port"].open(made) as port, CONTENDERS["bitmap"].open(made) as bitmap:
                assert port._allocator.policy == bitmap._allocator.policy == "bitmap"
                assert port._allocator.unit_size == bitmap._allocator.unit_size == 16 * 4096
                fixes = [session._allocator._config.fixes for session in (port, bitmap)]
                assert fixes == [{"chunk-hint"}, set()]
        assert WORKLOADS["lying-hint"](FEW).with_options(FEW) == WORKLOADS["lying-hint"](FEW)

    def test_workload_is_made_when_it_is_called(self, tmp_path: Path) -> None:
        """In the order of the command line, each once; recordings come last."""
        Trace.from_ops([("alloc", 1, 24, 8)]).save(path := tmp_path / "mine.trace")
        makers = make_workloads(["lying-hint", "churn", "lying-hint"], [path], FEW)
        assert [make().name for make in makers] == ["lying-hint", "churn", "mine"]
        assert makers[1]() == WORKLOADS["churn"](FEW)
        with pytest.raises(ConfigError, match="workload 'dance': there are objects-4, "):
            make_workloads(["churn", "dance"], [], FEW)


class TestGeometry:
    """Objects of 32 bytes in the units of TINY.

    chunk 0  |SSSS|0|1|...|13|14|...|29|    chunk 1  |30|31|...|45|46|...|61|
             0    64        512     1024             0            512     1024
    """

    def test_units_and_frames(self) -> None:
        assert (TINY.unit, TINY.chunk_frames) == (1024, 2 * 16)
        assert (Geometry().unit, Geometry().chunk_frames) == (65536, 4 * 16)
        assert TINY.setup == {
            "cpus": 2, "page_size": 64, "static_size": 64, "first_chunk": "4k", "memory": "none",
            "policy": "area-map",
        }  # fmt: skip

    def test_objects_of_a_chunk(self) -> None:
        assert TINY.per_chunk(32) == (30, 32)
        assert TINY.per_chunk(100) == (9, 10)
        assert TINY.starts(30, 32) == [0]
        assert TINY.starts(31, 32) == [0, 30]
        assert TINY.starts(95, 32) == [0, 30, 62, 94]

    @pytest.mark.parametrize(
        ("objects", "whole"),
        [(1, 62), (30, 62), (62, 62), (93, 62), (94, 94), (125, 94), (126, 126)],
    )
    def test_whole_chunks(self, objects: int, whole: int) -> None:
        """The first one and another one at least: 30 and 32 objects."""
        assert TINY.whole_chunks(objects, 32) == whole

    def test_first_halves(self) -> None:
        """14 objects of the first chunk, after the static area, 16 of each later one."""
        assert TINY.first_halves(62, 32) == [*range(14), *range(30, 46)]
        assert TINY.first_halves(94, 32) == [*range(14), *range(30, 46), *range(62, 78)]
        assert TINY.first_halves(19, 100) == [*range(4), *range(9, 14)]


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

    @pytest.mark.parametrize(
        ("name", "objects", "phases"),
        [
            # the work grows with the square of the objects
            ("aligned-4", 10, {"alloc": 10, "in order": 10}),
            ("aligned-4", 1 << 24, {"alloc": 16384, "in order": 16384}),
            # 896 objects of 64 bytes in the first chunk, 1,024 in each later one
            ("pinned-chunks", 10, {"fill": 1920, "free others": 1918, "free last": 2}),
            ("pinned-chunks", 1 << 24, {"fill": 16256, "free others": 16240, "free last": 16}),
            ("border-thrash", 10, {"fill": 1, "one more": 20, "two more": 40}),
            ("border-thrash", 1 << 24, {"fill": 1, "one more": 8192, "two more": 16384}),
            # 1,792 objects of 32 bytes in the first chunk, 2,048 in each of seven more
            ("lying-hint", 10, {"fill": 16144, "aligned to 64": 20, "aligned to 4": 20}),
            ("lying-hint", 1 << 24, {"fill": 16144, "aligned to 64": 2048, "aligned to 4": 2048}),
        ],
    )
    def test_size_is_limited(self, name: str, objects: int, phases: dict[str, int]) -> None:
        workload = WORST_CASES[name](Options(objects))
        assert {phase.name: len(phase) for phase in workload.phases} == phases
        assert workload.geometry == Geometry(cpus=4, page_size=4096, static_size=8192)

    @pytest.mark.parametrize(
        ("name", "sizes"),
        [
            ("aligned-4", {"alloc": {(4, 8)}, "in order": set()}),
            ("pinned-chunks", {"fill": {(64, 4)}, "free others": set(), "free last": set()}),
            ("border-thrash",
             {"fill": {(1024 - 64, 4)}, "one more": {(8, 8)}, "two more": {(1024, 4)}}),
            ("lying-hint",
             {"fill": {(32, 4)}, "aligned to 64": {(64, 64)}, "aligned to 4": {(64, 4)}}),
        ],
    )  # fmt: skip
    def test_sizes_of_each_phase(self, name: str, sizes: dict[str, set[tuple[int, int]]]) -> None:
        """Size and alignment of all that a phase allocates."""
        workload = WORST_CASES[name](Options(40), TINY)
        assert sizes == {
            phase.name: {workload.kinds[kind] for _, kind in decoded(phase) if kind != FREE}
            for phase in workload.phases
        }

    @pytest.mark.parametrize("name", WORST_CASES)
    def test_areas_are_freed_once(self, name: str) -> None:
        workload = WORST_CASES[name](Options(40), TINY)
        slots = [slot for phase in workload.phases for slot, _ in decoded(phase)]
        assert workload.slots == max(slots) + 1
        *_, (_, left) = live_after(workload)
        assert bool(left) == (name in {"border-thrash", "lying-hint"})

    @pytest.mark.parametrize("name", WORST_CASES)
    def test_each_timed_phase_has_a_formula(self, name: str) -> None:
        workload = WORST_CASES[name](Options(40), TINY)
        assert all(row.formula for row in workload.expected)
        explained = {row.phase for row in workload.expected}
        for phase in workload.phases:
            assert phase.timed is (phase.name in explained)


class TestContenders:
    def test_loops_in_c_and_in_python_do_the_same(self) -> None:
        workload = WORKLOADS["churn"](FEW)
        with CONTENDERS["port"].open(workload) as port, CONTENDERS["model"].open(workload) as model:
            for phase in workload.phases:
                port.run(phase.ops)
                model.run(phase.ops)
                assert state_of(port) == state_of(model)

    @pytest.mark.parametrize("name", CONTENDERS)
    def test_every_contender_runs_every_phase(self, name: str) -> None:
        if why := CONTENDERS[name].missing():
            pytest.skip(why)
        with CONTENDERS[name].open(workload := WORKLOADS["netns-churn"](FEW)) as session:
            for phase in workload.phases:
                assert session.run(phase.ops) > 0
            assert session.failures == 0

    def test_bitmap_does_not_replace_the_work_of_the_port(self) -> None:
        """It has the policy of bitmaps, in the geometry of the others."""
        with CONTENDERS["bitmap"].open(WORKLOADS["objects-4"](FEW)) as session:
            assert session.work() is None
            assert session._allocator.policy == "bitmap"
            assert session._allocator.unit_size == 16 * 4096
        result = measure(WORKLOADS["objects-4"](FEW), ["bitmap", "port"], 1)
        with CONTENDERS["port"].open(WORKLOADS["objects-4"](FEW)) as session:
            assert session.work() is not None
        assert all(phase.work for phase in result.phases)  # the port's

    def test_failures_are_counted(self) -> None:
        workload = Workload("", "", (), ((100_000, 8),), 1)
        ops = WORKLOADS["objects-4"](Options(objects=1)).phases[0].ops
        for name in ("port", "model"):
            with CONTENDERS[name].open(workload) as session:
                for failures in (1, 2):
                    with pytest.warns(match="illegal size"):
                        session.run(ops)
                    assert session.failures == failures

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
        with pytest.raises(
            ConfigError, match=r"'slub': there are port, bitmap, mapped, bitmap-mapped, model"
        ):
            choose_contenders(["slub"])

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
        assert figures["empty"].ns == [1 / 900, 1 / 900]  # three times 300 objects


def state_of(session: Any) -> Any:
    return session._allocator.state()


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

    def test_sum_has_the_calls_of_both(self) -> None:
        assert Histogram({1: 2, 3: 1}) + Histogram({1: 3, 7: 1}) == {1: 5, 3: 1, 7: 1}

    def test_empty_histogram_has_no_percentile(self) -> None:
        assert Histogram({}).percentile(50) is None


def test_model_is_much_slower() -> None:
    figures = measure(WORKLOADS["churn"](FEW), ["port", "model"], 1).phase("churn").contenders
    assert figures["model"].median > 5 * figures["port"].median
