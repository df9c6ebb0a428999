# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's arithmetic: turns, ratios, bounds, on contenders and clocks without noise."""

from __future__ import annotations

import lzma
import mmap
import re
from array import array
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from conftest import SAMPLES

from percpu_ffi import Allocator, ClosedError, ConfigError, Trace
from percpu_ffi._core import ffi
from percpu_ffi.bench import bounds, contenders
from percpu_ffi.bench import measure as measure_module
from percpu_ffi.bench import run as run_module
from percpu_ffi.bench.contenders import CONTENDERS, Contender, CSession, Latencies, Session
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.results import (
    BoundResult,
    Figures,
    PhaseResult,
    Results,
    ResultsError,
    WorkloadResult,
    load,
    save,
)
from percpu_ffi.bench.run import Plan, new_results, run
from percpu_ffi.bench.workload import Expected, Geometry, Options, Phase, Workload, allocs, frees
from percpu_ffi.bench.workloads import SIZES, WORKLOADS
from percpu_ffi.reports import bench_chart
from percpu_ffi.reports.bench import (
    bounds_table,
    choices,
    final_lines,
    plan_line,
    spread,
    workload_tables,
)
from percpu_ffi.reports.bench_difference import difference
from percpu_ffi.trace.operations import FREE, OP, ORPHAN
from percpu_ffi.work import Work, WorkByCall

if TYPE_CHECKING:
    from collections.abc import Iterator

# 3 operations in "settle", 4 and 2 in "use", 5 in "end"
WORKLOAD = Workload(
    "sample",
    "",
    phases=(
        Phase("settle", allocs(range(3)), timed=False),
        Phase("use", allocs(range(4))),
        Phase("end", frees(range(5))),
        Phase("use", frees(range(2))),
    ),
    kinds=((8, 8),),
    slots=5,
)


class FakeSession(Session):
    """Takes ``ns`` for each operation; one of its frees and two of its allocations fail."""

    open: ClassVar[list[Session]] = []
    """At most one at a time, and none at the end."""

    def __init__(self, ns: int, counts: bool) -> None:
        super().__init__(self)
        assert not self.open
        self.open.append(self)
        self.ns = ns
        self.counts = counts
        self.failures = 0
        self.done = Work()

    def run(self, ops: array[int]) -> int:
        operations = len(ops) // 4
        self.failures += {3: 100, 4: 2, 5: 1, 2: 0}[operations]
        self.done += Work(operations=operations, entries_scanned=10 * operations)
        return self.ns * operations

    def run_timed(self, ops: array[int]) -> Latencies | None:
        operations = len(ops) // 4
        return Latencies(Histogram({operations: 1}), Histogram({10 * operations: 2}))

    def work(self) -> Any:
        return WorkByCall(self.done, Work(entries_scanned=1)) if self.counts else None

    def close(self) -> None:
        self.open.remove(self)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace three contenders: "a" takes 10 ns for an operation, "b" 20 ns, "c" 30 ns.

    Returns: their names, in the order in which they are opened.
    """
    order: list[str] = []

    def contender(name: str, ns: int) -> Contender:
        def open_session(_: Workload) -> Session:
            order.append(name)
            return FakeSession(ns, counts=name != "c")

        return Contender(name, "", open_session)

    for name, ns in (("a", 10), ("b", 20), ("c", 30)):
        monkeypatch.setitem(CONTENDERS, name, contender(name, ns))
    yield order
    assert not FakeSession.open


class TestMeasure:
    def test_turns_rotate(self, opened: list[str]) -> None:
        """Each contender is the first one as often as the others; the latencies come last."""
        measure(WORKLOAD, ["a", "b", "c"], 4)
        assert "".join(opened) == "abcbcacababcabc"

    def test_phases_with_one_name_are_one_result(self, opened: list[str]) -> None:
        result = measure(WORKLOAD, ["a", "b"], 3)
        assert [(phase.name, phase.operations) for phase in result.phases] == [
            ("use", 4 + 2),
            ("end", 5),
        ]
        for phase in result.phases:
            assert phase.contenders["a"].ns == [10, 10, 10]
            assert phase.contenders["b"].ns == [20, 20, 20]

    def test_failures_are_those_of_one_phase_of_one_repetition(self, opened: list[str]) -> None:
        result = measure(WORKLOAD, ["a"], 3)
        assert result.phase("use").contenders["a"].failures == 2
        assert result.phase("end").contenders["a"].failures == 1

    def test_work_is_that_of_one_repetition(self, opened: list[str]) -> None:
        result = measure(WORKLOAD, ["c", "a"], 2)
        use, end = result.phase("use").work, result.phase("end").work
        assert use
        assert end
        assert (use["operations"], use["entries_scanned"]) == (6, 60)
        assert (end["operations"], end["entries_scanned"]) == (5, 50)
        assert measure(WORKLOAD, ["c"], 1).phase("use").work is None

    def test_latencies_of_allocations_and_frees(self, opened: list[str]) -> None:
        result = measure(WORKLOAD, ["a"], 2)
        use, end = (result.phase(name).contenders["a"] for name in ("use", "end"))
        assert (use.alloc, use.free) == ({4: 1, 2: 1}, {40: 2, 20: 2})
        assert (end.alloc, end.free) == ({5: 1}, {50: 2})

    def test_formulas_are_paired_with_the_counts_of_their_phase(self, opened: list[str]) -> None:
        formulas = (
            Expected("use", "entries_scanned", "10 N", 60),
            Expected("end", "entries_scanned", "10 N", 51),
        )
        workload = Workload(**{**vars(WORKLOAD), "expected": formulas})
        counted = [row.counted for row in measure(workload, ["a"], 1).expected]
        assert counted == [60, 50]
        assert [row.counted for row in measure(workload, ["c"], 1).expected] == [None, None]

    def test_repeats_for_the_given_time(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each run takes a second of this clock."""
        fake = SimpleNamespace(monotonic=lambda: len(opened))
        monkeypatch.setattr(measure_module, "time", fake)
        for repeat, seconds, repetitions in ((1, 0, 1), (2, 4, 4), (1, 3, 3), (5, 4, 5)):
            assert measure(WORKLOAD, ["a"], repeat, seconds).whole_repetitions == repetitions

    def test_number_of_repetitions_is_limited(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However short they are, but not below the requested number."""
        short = Workload("", "", (Phase("use", frees([0, 1])),), ((8, 8),), 2)
        assert measure(short, ["c"], 2, seconds=1000).whole_repetitions == 1000
        monkeypatch.setattr(measure_module, "MAX_REPETITIONS", 7)
        assert measure(short, ["c"], 9, seconds=1000).whole_repetitions == 9

    def test_progress_counts_the_promised_runs(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Repetitions of which only the time decides are not announced; each run is a second."""
        fake = SimpleNamespace(monotonic=lambda: len(opened))
        monkeypatch.setattr(measure_module, "time", fake)
        steps: list[int] = []
        result = measure(WORKLOAD, ["a", "b"], 3, 18, steps.append)
        assert result.whole_repetitions == 9
        assert steps == [1] * (3 + 1) * 2

    def test_interruption_keeps_whole_repetitions(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The third repetition begins with "a" and stops at "b"."""
        original = CONTENDERS["b"].open

        def until_third(workload: Workload) -> Session:
            if opened.count("b") == 2:
                raise KeyboardInterrupt
            return original(workload)

        monkeypatch.setitem(CONTENDERS, "b", CONTENDERS["b"]._replace(open=until_third))
        result = measure(WORKLOAD, ["a", "b"], 5)
        assert result.partial
        lengths = [len(f.ns) for phase in result.phases for f in phase.contenders.values()]
        assert lengths == [2, 2, 2, 2]


class TestRun:
    def test_default_contenders_are_those_available(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(CONTENDERS, "b", CONTENDERS["b"]._replace(missing=lambda: "gone"))
        workload = Workload(**{**vars(WORKLOAD), "contenders": ("c", "b", "a")})
        monkeypatch.delenv("PERCPU_C", raising=False)
        plan = Plan([lambda: workload], [], Options(), 2, 0, bounds=False)
        results = new_results(plan)
        bars: list[tuple[str, int, str]] = []
        done: list[WorkloadResult] = []

        def progress_bar(*args: Any) -> Any:
            bars.append(args)
            return nullcontext()

        run(plan, results, progress_bar, done.append)
        assert list(results.workloads[0].phases[0].contenders) == ["c", "a"]
        assert bars == [("sample", (2 + 1) * 2, "run")]
        assert done == results.workloads
        assert not results.partial
        assert results.bounds == []
        assert "b: gone" in results.notes
        assert results.notes[-1].startswith("model: only with --contender model")
        assert len([note for note in results.notes if note.startswith("upstream")]) == 1

    def test_bounds_come_last_and_in_order(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[int] = []

        def bound(n: int) -> Any:
            def measured(results: Results) -> list[BoundResult]:
                made.append(len(results.workloads))
                return [BoundResult(f"bound {n}", 1, True, [1.0])]

            return measured

        monkeypatch.setattr(run_module, "BOUNDS", [bound(1), bound(2)])
        plan = Plan([lambda: WORKLOAD, lambda: WORKLOAD], ["a"], Options(), 1, 0, bounds=True)
        results = new_results(plan)
        bars: list[tuple[Any, ...]] = []
        steps: list[int] = []

        def progress_bar(*args: Any) -> Any:
            bars.append(args)
            return nullcontext(steps.append)

        run(plan, results, progress_bar, lambda _: None)
        assert bars == [("sample", 2, "run"), ("sample", 2, "run"), ("bounds", 2, "bound")]
        assert steps == [1] * 6
        assert made == [2, 2]
        assert [bound.what for bound in results.bounds] == ["bound 1", "bound 2"]
        assert results.notes == []

    def test_interrupted_bounds_are_partial(
        self, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C during the second of three bounds: the first one is kept."""
        kept = BoundResult("first", 1, True, [1.0])

        def interrupted(_: Results) -> list[BoundResult]:
            raise KeyboardInterrupt

        monkeypatch.setattr(run_module, "BOUNDS", [lambda _: [kept], interrupted, interrupted])
        plan = Plan([lambda: WORKLOAD], ["a"], Options(), 1, 0, bounds=True)
        results = new_results(plan)
        run(plan, results, lambda *_: nullcontext(), lambda _: None)
        assert results.bounds == [kept]
        assert results.partial
        assert [each.name for each in results.workloads] == ["sample"]

    def test_options_are_kept(self) -> None:
        plan = Plan([], ["port"], Options(5, 6, 7), 8, 9.5, bounds=False)
        results = new_results(plan)
        expected = {"objects": 5, "live": 6, "seed": 7, "cpus": 4, "repeat": 8, "seconds": 9.5}
        assert results.options == expected
        assert results.partial

    def test_plan_line(self) -> None:
        plan = Plan([lambda: WORKLOAD], ["a"], Options(), 1500, 2.5, bounds=True)
        assert plan_line(plan) == "1 workload, each 1,500 times and 2.5 s at least, then the bounds"


def results_with(*workloads: WorkloadResult) -> Results:
    return Results({}, {"objects": 1, "live": 4, "seed": 3}, list(workloads))


def workload_with(name: str, phases: tuple[str, ...], **ns: list[float]) -> WorkloadResult:
    figures = {contender: Figures(values) for contender, values in ns.items()}
    return WorkloadResult(name, "", [PhaseResult(phase, 10, None, figures) for phase in phases])


class TestBounds:
    """Each bound's formula, from figures that are known."""

    def test_ratios_are_those_of_each_repetition(self) -> None:
        assert Figures([6.0, 4.0, 12.0]).ratios(Figures([2.0, 4.0, 3.0])) == [3, 1, 4]
        with pytest.raises(ValueError, match="longer"):
            Figures([6.0]).ratios(Figures([2.0, 4.0]))

    @pytest.mark.parametrize(
        ("at_most", "values", "holds"),
        [
            (True, [1.0, 9.0, 2.0], True),
            (True, [2.1, 1.0, 9.0], False),
            (True, [1.0, 3.1], False),
            (False, [2.0, 1.0, 9.0], True),
            (False, [1.9, 9.0, 1.0], False),
            (True, [], None),
        ],
    )
    def test_median_decides(self, at_most: bool, values: list[float], holds: bool | None) -> None:
        """A limit of 2: the median of 2 still holds, as an upper and as a lower limit."""
        bound = BoundResult("", 2, at_most, values)
        assert bound.holds is holds
        assert Results({}, {}, bounds=[bound]).missed is (holds is False)

    def test_one_missed_bound_is_enough(self) -> None:
        good, bad = BoundResult("", 2, True, [1]), BoundResult("", 2, True, [3])
        assert Results({}, {}, bounds=[good, bad, good]).missed
        assert not Results({}, {}, bounds=[good, BoundResult("", 2, True)]).missed

    def test_cells_of_the_published_measurement(self) -> None:
        """Half the time for small objects in "alloc" and "reverse", the same time elsewhere."""
        results = results_with(
            *(workload_with(f"objects-{n}", bounds.CELLS, port=[2.0, n], upstream=[8.0, 2.0 * n])
              for n in SIZES)
        )  # fmt: skip
        rows = bounds.cells(results)
        assert [row.what for row in rows] == [
            f"port / upstream, {phase}, {size} bytes"
            for phase in ("alloc", "in order", "alternating", "reverse")
            for size in (4, 16, 64, 256, 1024)
        ]
        assert all(row.at_most and row.values == [0.25, 0.5] for row in rows)
        assert {row.why for row in rows} == {""}
        half = [row.what.partition(", ")[2] for row in rows if row.limit == 0.5]
        assert half == [
            "alloc, 4 bytes", "alloc, 16 bytes", "reverse, 4 bytes", "reverse, 16 bytes"
        ]  # fmt: skip
        assert {row.limit for row in rows} == {0.5, 1.0}

    def test_bitmap_cells(self) -> None:
        """At most three times the area map's; the kernel's own figures are in the text."""
        results = results_with(
            *(workload_with(f"objects-{n}", bounds.CELLS, port=[2.0, n], bitmap=[5.0, 3.0 * n])
              for n in SIZES)
        )  # fmt: skip
        rows = bounds.bitmap_cells(results)
        assert len(rows) == 20
        assert all(row.at_most and row.limit == 3 and row.values == [2.5, 3] for row in rows)
        assert [row.what for row in rows[:6]] == [
            "bitmap / port, alloc, 4 bytes (kernel 490 ns)",
            "bitmap / port, alloc, 16 bytes (kernel 515 ns)",
            "bitmap / port, alloc, 64 bytes (kernel 610 ns)",
            "bitmap / port, alloc, 256 bytes (kernel 950 ns)",
            "bitmap / port, alloc, 1024 bytes (kernel 3,520 ns)",
            "bitmap / port, in order, 4 bytes (kernel 70 ns)",
        ]
        assert rows[-1].what == "bitmap / port, reverse, 1024 bytes (kernel 200 ns)"

    def test_bitmap_replays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both policies replay the recording in turns, with units of the same size."""
        setups: list[dict[str, Any]] = []

        class Replaying(Allocator):
            def __init__(self, **setup: Any) -> None:
                setups.append(setup)
                super().__init__(**setup)

            def replay(self, trace: Trace, *_: Any) -> Any:
                assert len(trace) == 4605
                return SimpleNamespace(elapsed_ns=50 if self.policy == "bitmap" else 25)

        monkeypatch.setattr(bounds, "Allocator", Replaying)
        netns = SAMPLES / "netns_churn.ftrace.xz"
        monkeypatch.setattr(bounds, "samples", lambda: {"netns-churn": netns})
        (row,) = bounds.bitmap_replays(results_with())
        assert (row.what, row.limit) == ("bitmap / port, replay of netns-churn", 2.5)
        assert (row.values, row.at_most) == ([2] * 41, True)
        bitmap, area_map = setups[:2]
        assert bitmap == {
            "policy": "bitmap", "cpus": 4, "page_size": 4096, "static_size": 8192,
            "unit_size": 65536, "dyn_size": 57344, "memory": "none", "fixes": (),
        }  # fmt: skip
        with Allocator(**area_map) as a:
            assert (a.policy, a.unit_size, a._free_size) == ("area-map", 65536, 57344)

    def test_real_memory(self) -> None:
        results = results_with(workload_with("churn", ("churn",), mapped=[6.0], port=[4.0]))
        (row,) = bounds.real_memory(results)
        assert (row.values, row.limit, row.at_most) == ([1.5], 1.5, True)
        assert row.what == "mapped / port, churn"

    def test_contender_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PERCPU_C", raising=False)
        results = results_with(workload_with("objects-4", bounds.CELLS, port=[1.0]))
        row = bounds.cells(results)[0]
        assert row.holds is None
        assert "set PERCPU_C" in row.why
        (row,) = bounds.real_memory(results_with(workload_with("churn", ("churn",), port=[1.0])))
        assert row.why == "mapped did not take part"
        (row,) = bounds.real_memory(results)
        assert row.why == "churn was not run"

    def test_single_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The loop's 10 ns are subtracted from both: (46 - 10) / (40 - 10), (22 - 10) / (20 - 10).

        The first round, which populates pages, is left out; 200 follow.
        """
        rounds = iter([(1000, 1000), *[(46, 22), (43, 21)] * 100])
        monkeypatch.setattr(bounds, "_loop_ns", lambda: 10)
        monkeypatch.setattr(bounds, "_empty_ns", lambda: (40, 20))
        monkeypatch.setattr(bounds, "_port_ns", lambda _: next(rounds))
        alloc, free = bounds.single_calls(results_with())
        assert alloc.values == [1.2, 1.1] * 100
        assert free.values == [1.2, 1.1] * 100
        assert {(row.limit, row.at_most) for row in (alloc, free)} == {(1.3, True)}
        assert (alloc.what[:16], free.what[:15]) == ("Allocator.alloc ", "Allocator.free ")

    def test_loops_are_timed_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clock says 100, 130, 190: 30 ns for the allocations, 60 for the frees."""
        calls: list[Any] = []

        class Recorder:
            def alloc(self, *args: int) -> int:
                calls.append(args)
                return len(calls)

            def free(self, ptr: int) -> None:
                calls.append(ptr)

        def clock() -> None:
            times = iter([100, 130, 190, 250])
            monkeypatch.setattr(
                bounds, "time", SimpleNamespace(perf_counter_ns=lambda: next(times))
            )

        monkeypatch.setattr(bounds, "CALLS", 3)
        clock()
        recorder: Any = Recorder()
        assert bounds._port_ns(recorder) == (30, 60)
        assert calls == [(64, 8)] * 3 + [1, 2, 3]
        clock()
        assert bounds._empty_ns() == (30, 60)
        clock()
        assert bounds._loop_ns() == 30

    def test_empty_calls_have_the_arguments_of_real_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[Any] = []

        def alloc(pcpu: Any, size: int, align: int) -> int:
            calls.append((pcpu, size, align))
            return len(calls)

        empty = SimpleNamespace(
            pcpu_empty_alloc=alloc, pcpu_empty_free=lambda *args: calls.append(args)
        )
        monkeypatch.setattr(bounds, "lib", empty)
        bounds._empty_ns()
        null = ffi.NULL
        assert calls == [(null, 64, 8)] * 1000 + [(null, i + 1) for i in range(1000)]

    def test_replays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """30 ns for the replay, 20 for the plain loop over the same operations."""
        path = SAMPLES / "netns_churn.ftrace.xz"
        trace = Trace.load(path)
        ran: list[bytes] = []

        class Replaying:
            def __init__(self, **setup: Any) -> None:
                assert setup["memory"] == "none"

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def replay(self, replayed: Trace) -> Any:
                assert replayed.ops == trace.ops
                return SimpleNamespace(elapsed_ns=30)

        class Loop(FakeSession):
            def run(self, ops: Any) -> int:
                ran.append(bytes(ops))
                return 20

        monkeypatch.setattr(bounds, "Allocator", Replaying)
        port = CONTENDERS["port"]._replace(open=lambda _: Loop(1, counts=False))
        monkeypatch.setitem(CONTENDERS, "port", port)
        monkeypatch.setattr(bounds, "samples", lambda: {"netns-churn": path})
        (row,) = bounds.replays(results_with())
        assert row.values == [1.5] * 41
        assert (row.what, row.limit, row.at_most) == ("replay / loop in C, netns-churn", 1.05, True)
        assert ran == [bytes(trace.ops)] * 41

    def test_model_speed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        def measured(workload: Workload, names: Any, repeat: int) -> WorkloadResult:
            assert workload == WORKLOADS["churn"](Options(objects=4000, live=4, seed=3))
            asked.append((names, repeat))
            return workload_with("churn", ("churn",), port=[2.0, 4.0], model=[300.0, 200.0])

        monkeypatch.setattr(bounds, "measure", measured)
        (row,) = bounds.model_speed(results_with())
        assert row.values == [150, 50]
        assert (row.limit, row.at_most, row.holds) == (100, False, True)
        assert asked == [(("port", "model"), 3)]

    def test_interrupted_model_speed_is_no_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        partial = workload_with("churn", ("churn",), port=[1.0], model=[1.0])
        partial.partial = True
        monkeypatch.setattr(bounds, "measure", lambda *_: partial)
        with pytest.raises(KeyboardInterrupt):
            bounds.model_speed(results_with())

    def test_trace_reader(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The text is repeated until it has EVENTS events; a load takes 0.5 s."""
        lines = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        text = lzma.decompress((SAMPLES / "netns_churn.ftrace.xz").read_bytes())
        path = tmp_path / "few.xz"
        path.write_bytes(lzma.compress(b"".join(text.splitlines(keepends=True)[:30])))
        events = Trace.load(path).stats.events
        assert 10 < events < len(lines)
        monkeypatch.setattr(bounds, "samples", lambda: {"few": path})
        for least, times in ((2 * events, 2), (2 * events + 1, 3), (1, 1)):
            clock = iter(range(100))
            monkeypatch.setattr(bounds, "EVENTS", least)
            fake = SimpleNamespace(perf_counter=lambda clock=clock: next(clock) / 2)
            monkeypatch.setattr(bounds, "time", fake)
            (row,) = bounds.trace_reader(results_with())
            assert row.values == [times * events / 0.5] * 7
            assert row.what == "events a second, text of few"
            assert (row.limit, row.at_most) == (2_000_000, False)

    def test_text_to_be_loaded_has_half_a_million_events(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        loaded: list[bytes] = []
        path = tmp_path / "some.xz"
        path.write_bytes(lzma.compress(b"text;"))
        for events, times in ((250_000, 2), (249_999, 3), (500_000, 1)):

            def load(name: Any, events: int = events) -> Any:
                loaded.append(Path(name).read_bytes())
                return SimpleNamespace(stats=SimpleNamespace(events=events))

            monkeypatch.setattr(bounds, "Trace", SimpleNamespace(load=load))
            monkeypatch.setattr(bounds, "load_alone", load)
            bounds._load_rates(path)
            assert loaded.pop() == b"text;" * times

    def test_without_recordings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wheel has none: one row for both, and why it was not measured."""
        monkeypatch.setattr(bounds, "samples", dict)
        why = "the recordings are part of the source, not of a wheel"
        assert bounds.replays(results_with()) == [
            BoundResult("replay / loop in C", 1.05, True, why=why)
        ]
        assert bounds.bitmap_replays(results_with()) == [
            BoundResult("bitmap / port, replay", 2.5, True, why=why)
        ]
        assert bounds.trace_reader(results_with()) == [
            BoundResult("events a second", 2_000_000, False, why=why)
        ]

    def test_all_bounds_are_measured(self) -> None:
        assert set(bounds.BOUNDS) == {
            bounds.cells, bounds.bitmap_cells, bounds.single_calls, bounds.replays,
            bounds.bitmap_replays, bounds.model_speed, bounds.real_memory, bounds.two_threads,
            bounds.trace_reader,
        }  # fmt: skip


class TestSessions:
    def test_steps_add_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Times of the steps are added, and each operation runs once."""
        counts: list[int] = []

        def run_step(_bench: object, _ops: object, n: int) -> int:
            counts.append(n)
            return 10 * n

        monkeypatch.setattr(contenders, "STEP", 4)
        session = CONTENDERS["empty"].open(WORKLOAD)
        monkeypatch.setattr(contenders, "lib", SimpleNamespace(pcpu_bench_run=run_step))
        assert session.run(allocs([0] * 10)) == 100
        assert counts == [4, 4, 2]

    def test_latencies_are_of_the_right_call(self) -> None:
        with CONTENDERS["port"].open(WORKLOAD) as session:
            taken = session.run_timed(allocs(range(4)))
            assert taken
            assert (taken.alloc.calls, taken.free.calls) == (4, 0)
            taken = session.run_timed(frees(range(3)))
            assert taken
            assert (taken.alloc.calls, taken.free.calls) == (0, 3)

    def test_later_runs_are_not_timed(self) -> None:
        with CONTENDERS["port"].open(WORKLOAD) as session:
            assert isinstance(session, CSession)
            used = session._bench.contender
            before = used.alloc, used.free, used.pcpu
            session.run_timed(allocs(range(4)))
            assert (used.alloc, used.free, used.pcpu) == before

    def test_time_of_a_loop_in_python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter([100, 130])
        with CONTENDERS["model"].open(WORKLOAD) as session:
            fake = SimpleNamespace(perf_counter_ns=lambda: next(clock))
            monkeypatch.setattr(contenders, "time", fake)
            assert session.run(allocs(range(4))) == 30

    def test_model_runs_without_latencies(self) -> None:
        with CONTENDERS["model"].open(WORKLOAD) as session:
            assert session.run_timed(allocs(range(4))) is None
            assert session.work().alloc.operations == 4

    def test_free_of_an_unknown_area_is_left_out(self) -> None:
        """A recording that began late frees areas that it has not seen born."""
        ops = array("I")
        for handle, kind in ((0, 0), (ORPHAN, FREE), (1, 0), (0, FREE)):
            ops.frombytes(OP.pack(0, handle, kind))
        for name in ("port", "model"):
            with CONTENDERS[name].open(WORKLOAD) as session:
                session.run(ops)
                done = session.work()
                assert (done.alloc.operations, done.free.operations) == (2, 1)

    @pytest.mark.parametrize("name", ["port", "mapped", "model"])
    def test_memory_is_released_at_the_end(self, name: str) -> None:
        with CONTENDERS[name].open(WORKLOAD) as session:
            pass
        with pytest.raises(ClosedError):
            session._allocator.alloc(8)

    def test_areas_are_freed_where_there_is_no_allocator_to_close(self) -> None:
        """Such as those of malloc: the next contender runs in the same process."""
        live: set[int] = set()

        def alloc(_: Any, size: int, _align: int) -> int:
            assert size == WORKLOAD.kinds[0][0]
            live.add(1 + len(live))
            return len(live)

        def free(_: Any, ptr: int) -> int:
            live.remove(ptr)
            return 0

        contender = ffi.new("struct pcpu_contender *")
        kept: list[Any] = [
            ffi.callback(ffi.typeof(contender.alloc))(alloc),
            ffi.callback(ffi.typeof(contender.free))(free),
        ]
        contender.alloc, contender.free = kept
        with CSession(WORKLOAD, contender[0]) as session:
            session.run(allocs(range(5)))
            assert len(live) == 5
        assert not live

    def test_replaced_area_is_freed_first(self) -> None:
        for name in ("port", "model"):
            with CONTENDERS[name].open(WORKLOAD) as session:
                session.run(allocs([0, 0, 0, 1]))
                done = session.work()
                assert (done.alloc.operations, done.free.operations) == (4, 2)

    def test_mapped_has_real_memory(self) -> None:
        with CONTENDERS["mapped"].open(WORKLOAD) as mapped, CONTENDERS["port"].open(WORKLOAD) as p:
            assert mapped._allocator.address(mapped._allocator.alloc(8), 0)
            with pytest.raises(ConfigError, match="memory"):
                p._allocator.address(p._allocator.alloc(8), 0)

    def test_pages_of_mapped_are_those_of_the_system_at_least(self) -> None:
        page = mmap.PAGESIZE
        for wanted, size in ((64, page), (page, page), (2 * page, 2 * page)):
            geometry = Geometry(cpus=2, page_size=wanted, static_size=wanted)
            workload = Workload(**{**vars(WORKLOAD), "geometry": geometry})
            with CONTENDERS["mapped"].open(workload) as session:
                allocator = session._allocator
                found = allocator.cpus, allocator.page_size, allocator.static_size
                assert found == (2, size, wanted)


class TestReport:
    def test_spread_is_half_of_the_interquartile_range(self) -> None:
        """Quartiles of 8 to 12 are 9, 10 and 11."""
        assert spread([12, 8, 11, 9, 10]) == (11 - 9) / 2 / 10
        assert spread([8, 12]) == (11 - 9) / 2 / 10
        assert spread([10]) == 0
        assert spread([0, 0, 0]) == 0

    def test_ratio_is_to_the_port(self) -> None:
        result = workload_with("w", ("p",), port=[2.0, 4.0, 4.0], other=[6.0, 4.0, 12.0])
        port, other = "\n".join(workload_tables(result)).splitlines()[3:5]
        assert other.split()[-1] == "x3.00"
        assert other.count("x") == 1
        assert "x" not in port

    def test_latencies_are_in_order(self) -> None:
        """Of 1,000 calls the 500th took 3 ns, the 990th 8, the 999th 9."""
        result = workload_with("w", ("p",), port=[1.0])
        figures = result.phases[0].contenders["port"]
        figures.alloc = Histogram({3: 500, 5: 400, 8: 91, 9: 8, 14: 1})
        figures.free = Histogram({3: 1})
        text = "\n".join(workload_tables(result))
        assert "3 / 8 / 9" in text
        assert "3 / 3 / 3" in text
        assert text.index("3 / 8 / 9") < text.index("3 / 3 / 3")
        assert re.search("latency +p, alloc +p, free", text)

    def test_verdict_on_a_formula(self) -> None:
        result = workload_with("w", ("p",), port=[1.0])
        for counted in (7, 8, 6, None):
            result.expected.append(Expected("p", "entries_scanned", "N", 7, counted))
        rows = [line.split() for line in "\n".join(workload_tables(result)).splitlines()[-4:]]
        assert [row[-1] for row in rows] == ["equal", "OFF", "OFF", "counted"]
        assert rows[1] == ["p", "entries", "scanned", "N", "7", "8", "OFF"]

    def test_tables_of_a_workload(self) -> None:
        """All phases; a contender without latencies; counts that are 0 in every phase left out."""
        fill, free = workload_with("", ("fill", "free"), port=[10, 12, 11], empty=[5, 6, 11]).phases
        fill.operations, free.operations = 1000, 10
        fill.work = {"operations": 1000, "slots_visited": 0, "tree_steps": 2500, "bytes_moved": 0}
        free.work = {"operations": 10, "slots_visited": 0, "tree_steps": 30, "bytes_moved": 40}
        free.contenders = {name: Figures([20.0, 20.0, 20.0]) for name in ("port", "empty")}
        fill.contenders["port"].alloc = Histogram({7: 10})
        free.contenders["port"].free = Histogram({9: 10})
        fill.contenders["empty"].failures, free.contenders["port"].failures = 1, 2
        result = WorkloadResult("w", "what it does", [fill, free], partial=True)
        lines = "\n".join(workload_tables(result)).splitlines()
        assert [line.split() for line in lines] == [
            ["w:", "what", "it", "does"],
            ["ns", "fill", "free"],
            ["operations", "1,000", "10"],
            ["port", "11.0", "+-", "5%", "20.0", "+-", "0%"],
            ["empty", "6.0", "+-25%", "x0.50", "20.0", "+-", "0%", "x1.00"],
            ["latency", "fill,", "alloc", "free,", "free"],
            ["port", "7", "/", "7", "/", "7", "9", "/", "9", "/", "9"],
            ["work", "tree", "bytes"],
            ["steps", "moved"],
            ["fill", "2.50", "0.00"],
            ["free", "3.00", "4.00"],
            ["empty:", "1", "of", "1,000", "operations", "failed,", "fill"],
            ["port:", "2", "of", "10", "operations", "failed,", "free"],
            ["interrupted", "after", "3", "repetitions"],
        ]

    def test_tables_without_rows_are_left_out(self) -> None:
        lines = workload_tables(workload_with("w", ("p",), port=[1.0], empty=[0.5]))
        names = [line.split()[0] for line in lines]
        assert names == ["w:", "ns", "operations", "port", "empty"]

    def test_end_of_a_run(self) -> None:
        results = Results({"cpu": "abacus"}, {"live": 3, "seed": 4}, notes=["model: too slow"])
        assert final_lines(results) == [
            "cpu         abacus",
            "options     live 3, seed 4",
            "left out    model: too slow",
        ]
        results.bounds = [BoundResult("b", 1, True, [1.0])]
        assert final_lines(results)[3] == ""
        assert final_lines(results)[4:] == bounds_table(results.bounds)

    def test_choices(self) -> None:
        contender = Contender("a", "fast", CONTENDERS["port"].open, lambda: "is gone")
        assert choices([WORKLOAD], [contender, contender._replace(missing=str)]) == [
            "workloads",
            "  sample          ",
            "",
            "contenders",
            "  a               fast",
            "                  not available: is gone",
            "  a               fast",
        ]

    def test_columns_of_a_bound(self) -> None:
        (_, row) = bounds_table([BoundResult("b", 9.5, False, [10.0, 30.0, 11.0])])
        assert row.split() == ["b", "11.000", "10.000", "30.000", "at", "least", "9.5", "holds"]
        (_, row) = bounds_table([BoundResult("b", 10, False, [10.4])])
        assert row.split()[1:4] == ["10", "10", "10"]


class TestDifference:
    @pytest.mark.parametrize(
        ("a", "b", "ratio", "verdict"),
        [
            ([1.0, 2.0], [3.0, 5.0], "2.67", "slower"),
            ([3.0, 5.0], [1.0, 2.0], "0.38", "faster"),
            ([1.0, 3.0], [3.0, 5.0], "2.00", ""),
            ([3.0, 5.0], [1.0, 3.0], "0.50", ""),
        ],
    )
    def test_changed_if_the_ranges_do_not_overlap(
        self, a: list[float], b: list[float], ratio: str, verdict: str
    ) -> None:
        before = results_with(workload_with("w", ("p",), port=a))
        after = results_with(workload_with("w", ("p",), port=b))
        row = next(line for line in difference(before, after) if line.startswith("w "))
        assert row.split()[7:] == [ratio, *verdict.split()]

    def test_what_only_one_has(self) -> None:
        one = workload_with("one", ("p", "q"), port=[1.0])
        two = workload_with("two", ("p",), port=[1.0])
        text = difference(results_with(one), results_with(two))
        assert "the two files have no figure in common" in text
        assert text[-2:] == [
            "only in A, completely or in part: one",
            "only in B, completely or in part: two",
        ]

    def test_machines_of_both_are_shown(self) -> None:
        a, b = Results({"cpu": "old"}, {"live": 3}), Results({"cpu": "new"}, {}, partial=True)
        assert difference(a, b)[:6] == [
            "A", "  cpu         old", "  options     live 3",
            "B, interrupted", "  cpu         new", "  options     ",
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["objects", "live", "seed", "cpus"])
    def test_each_option_that_changes_a_workload(self, name: str) -> None:
        a, b = results_with(), results_with()
        b.options[name] = 99
        assert any(line.startswith(f"{name} ") and "99 in B" in line for line in difference(a, b))
        assert not any("in B: workloads" in line for line in difference(a, a))


def test_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each phase; point and bar are the median and the range of a contender."""
    pytest.importorskip("matplotlib")
    saved: list[Any] = []
    monkeypatch.setattr(bench_chart, "save_plot", lambda *args: saved.append(args))
    results = results_with(
        workload_with("w", ("fill", "free"), port=[10, 13, 11], empty=[5, 6, 4]),
        workload_with("v", ("use",), empty=[7]),
    )
    results.machine = {"cpu": "abacus"}
    bench_chart.plot(results, "a.svg")
    [(figure, path, _)] = saved
    assert path == "a.svg"
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.yaxis_inverted()  # the first row is the top one
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["w: fill", "w: free", "v: use"]
    assert axes.get_title() == "abacus"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["port", "empty"]
    drawn: dict[str, Any] = {}
    for container in axes.containers:
        line, _, (bars,) = container.lines
        rows = [pytest.approx(row) for row in line.get_ydata()]
        ranges = [(low[0], high[0]) for low, high in bars.get_segments()]
        drawn[container.get_label()] = (list(line.get_xdata()), rows, ranges)
    assert drawn == {
        "port": ([11, 11], [-0.15, 0.85], [(10, 13), (10, 13)]),
        "empty": ([5, 5, 7], [0.15, 1.15, 2.15], [(4, 6), (4, 6), (7, 7)]),
    }
    results.partial = True
    bench_chart.plot(results, "a.svg")
    assert saved[1][0].axes[0].get_title() == "abacus, interrupted"


def test_results_are_whole_unless_they_are_marked() -> None:
    results = results_with(workload_with("w", ("p",), port=[1.0]))
    workload = results.workload("w")
    assert workload
    assert not workload.partial
    assert not results.partial
    assert not results.missed


@pytest.mark.parametrize("ns", [0, -1, float("inf"), float("nan")])
def test_time_in_a_file_is_positive_and_finite(tmp_path: Path, ns: float) -> None:
    save(results_with(workload_with("w", ("p",), port=[1.0, ns])), tmp_path / "a.json")
    with pytest.raises(ResultsError, match="not times"):
        load(tmp_path / "a.json")


def test_every_field_of_a_file_is_read(tmp_path: Path) -> None:
    result = workload_with("w", ("p", "q"), port=[1.0, 2.0], other=[3.0, 4.0])
    figures = result.phases[1].contenders["other"]
    figures.failures, figures.alloc, figures.free = 3, Histogram({2: 1}), Histogram({3: 4})
    result.phases[0].work = {"operations": 5}
    result.expected = [Expected("p", "operations", "N", 7, 5), Expected("q", "operations", "M", 1)]
    result.partial = True
    results = Results({"cpu": "x"}, {"live": 2.5}, [result], notes=["n"], partial=True)
    results.bounds = [BoundResult("b", 1.5, False, [1.0]), BoundResult("c", 2, True, why="w")]
    save(results, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == results
