# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark measures what it says, and keeps and shows what it measured."""

from __future__ import annotations

import json
import math
import os
import random
import socket
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES, Kind

from percpu_ffi import Allocator, ConfigError, PerCpu, Trace
from percpu_ffi._core import lib
from percpu_ffi.bench import bounds, contenders, gallery, workloads
from percpu_ffi.bench import run as run_module
from percpu_ffi.bench.contenders import CONTENDERS, InPython, choose_contenders
from percpu_ffi.bench.geometry import Geometry
from percpu_ffi.bench.histogram import Histogram, bucket_end
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.measure import measure
from percpu_ffi.bench.percpu_c import WrongFile
from percpu_ffi.bench.report import bounds_table, workload_tables
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
from percpu_ffi.bench.upstream import Upstream, percpu_c_named
from percpu_ffi.bench.workload import Workload
from percpu_ffi.bench.workloads import WORKLOADS, Options, make_workloads
from percpu_ffi.cli import main
from percpu_ffi.trace.operations import FREE, OP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from percpu_ffi.bench.workload import Phase

# units of 1 KiB, one page of static area: see conftest.TINY
TINY = Geometry(cpus=2, page=64, static=64)
FEW = Options(objects=300, live=40)


def decoded(phase: Phase) -> Iterator[tuple[int, int]]:
    return ((slot, kind) for _key, slot, kind in OP.iter_unpack(phase.ops))


def live_after(workload: Workload) -> Iterator[tuple[str, set[int]]]:
    """Run on sets alone: each free hits what lives, each allocation an empty slot."""
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
            session = InPython(workload, allocator)
            for phase in workload.phases[:2]:
                session.run(phase.ops)
            first, *others = allocator.state().chunks
            assert first.map == (-64, 448, *[-32] * 16)
            assert len(others) == (300 - 30) // 32
            assert all(chunk.map == (512, *[-32] * 16) for chunk in others)
            session.run(workload.phases[2].ops)
            assert all(chunk.free_size == 0 for chunk in allocator.state().chunks)

    def test_churn_keeps_as_many_alive(self) -> None:
        workload = WORKLOADS["churn"](FEW)
        assert {len(live) for _, live in live_after(workload)} == {40}
        assert len(workload.phases[-1]) == 300
        assert min(size for size, _ in workload.kinds) == 8
        assert max(size for size, _ in workload.kinds) == 256

    def test_seed_repeats_its_own_churn(self) -> None:
        ops = [WORKLOADS["churn"](Options(300, 40, seed)).phases[-1].ops for seed in (1, 1, 2)]
        assert ops[0] == ops[1] != ops[2]

    def test_recording_is_run_over_and_over(self) -> None:
        trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        workload = WORKLOADS["netns-churn"](Options(objects=2 * len(trace)))
        once, again = workload.phases
        assert once.ops.tobytes() == trace.ops
        assert not once.timed
        assert again.ops == once.ops * 2

    def test_recordings_are_no_part_of_a_wheel(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(workloads, "SAMPLES", tmp_path)
        with pytest.raises(ConfigError, match="--trace FILE"):
            make_workloads(["fork-storm"], [], FEW)
        names = {make().name for make in make_workloads([], [], FEW)}
        assert names == WORKLOADS.keys() - {"fork-storm", "netns-churn"}
        (bound,) = bounds.replays(Results({}, {}))
        assert bound.holds is None

    def test_recording_of_ones_own(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.trace"
        Trace.from_ops([("alloc", 1, 24, 8), ("free", 1)]).save(path)
        (make,) = make_workloads([], [path], FEW)
        assert make().name == "mine"
        assert make().kinds == ((24, 8),)
        Trace.from_ops([("inject", "map", {"nth": 1})]).save(path)
        with pytest.raises(ConfigError, match="sets faults"):
            make_workloads([], [path], FEW)

    @pytest.mark.parametrize("options", [{"objects": 0}, {"live": 0}, {"objects": 1 << 25}])
    def test_options_out_of_range(self, options: dict[str, int]) -> None:
        with pytest.raises(ConfigError, match="from 1 to"):
            Options(**options)


class Observer:
    """Counts by looking at the state before each call, as the 2009 file would act on it."""

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
        self.scanned += 1  # the one entry of a new chunk
        return ptr

    @staticmethod
    def fit(sizes: tuple[int, ...], size: int, align: int) -> int:
        offset = 0
        for i, entry in enumerate(sizes):
            if entry >= -offset % align + size:
                return i
            offset += abs(entry)
        raise AssertionError("it was served from here")

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


class TestGallery:
    @pytest.mark.parametrize("name", gallery.GALLERY)
    def test_formulas_tell_what_can_be_seen(self, name: str, kind: Kind) -> None:
        workload = gallery.GALLERY[name](400 if name == "aligned-4" else 40, TINY)
        assert workload.expected
        with kind(**TINY.setup) as allocator:
            observer = Observer(allocator)
            session = InPython(workload, observer)
            for phase in workload.phases:
                before = observer.counts()
                session.run(phase.ops)
                after = observer.counts()
                for row in workload.expected:
                    if row.phase == phase.name:
                        assert after[row.counter] - before[row.counter] == row.value, row

    @pytest.mark.parametrize("name", gallery.GALLERY)
    def test_formulas_tell_what_is_counted(self, name: str) -> None:
        workload = gallery.GALLERY[name](400 if name == "aligned-4" else 40, TINY)
        for who in ("port", "model"):
            for row in measure(workload, [who], 1).expected:
                # None: this version has no work counters
                assert row.counted in (None, row.value), row


class TestContenders:
    def test_loop_in_c_does_what_the_loop_in_python_does(self) -> None:
        workload = WORKLOADS["churn"](FEW)
        with CONTENDERS["port"].open(workload) as port, CONTENDERS["model"].open(workload) as model:
            for phase in workload.phases:
                port.run(phase.ops)
                model.run(phase.ops)
                assert state_of(port) == state_of(model)

    @pytest.mark.parametrize("name", ["port", "mapped", "model", "malloc", "empty"])
    def test_all_run_everything(self, name: str) -> None:
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

    def test_upstream_is_the_users_to_bring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PERCPU_C", raising=False)
        with pytest.raises(ConfigError, match="set PERCPU_C"):
            choose_contenders(["upstream"])

    def test_another_file_is_no_upstream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERCPU_C", __file__)
        with pytest.raises(WrongFile, match="is git blob"):
            CONTENDERS["upstream"].open(WORKLOADS["churn"](FEW))


def state_of(session: Any) -> Any:
    return session._allocator.state()


@pytest.mark.skipif(not percpu_c_named(), reason="PERCPU_C names no file of 2009")
class TestUpstream:
    @pytest.fixture
    def upstream(self) -> Iterator[Upstream]:
        percpu_c = percpu_c_named()
        assert percpu_c
        file = Upstream(percpu_c)
        yield file
        file.close()

    def test_it_decides_as_the_port_does(self, upstream: Upstream) -> None:
        """The fakes around it are cheap, but what it decides by is real."""
        rng = random.Random(1)
        live: list[tuple[int, int]] = []
        who = upstream.contender()
        with Allocator(memory="none") as a:
            for i in range(20_000):
                if live and rng.random() < (0.7 if i // 4000 % 2 else 0.3):
                    ours, theirs = live.pop(rng.randrange(len(live)))
                    a.free(ours)
                    who.free(who.pcpu, theirs)
                    continue
                size = rng.choice([1, 3, 4, 8, 24, 300, 5000, 40_000])
                align = rng.choice([1, 4, 8, 64, 4096])
                live.append((a.alloc(size, align), who.alloc(who.pcpu, size, align)))
                ours, theirs = live[-1]
                assert a.locate(ours) == upstream.locate(theirs)
            assert a.state().chunks[-1].id > 50

    def test_there_is_one_at_a_time(self, upstream: Upstream) -> None:
        percpu_c = percpu_c_named()
        assert percpu_c
        with pytest.raises(ConfigError, match="one state"):
            Upstream(percpu_c)


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
        told = Histogram.of_all(counts).percentile(share)
        assert told is not None
        assert exact <= told <= exact * 17 / 16

    def test_nothing_has_no_percentile(self) -> None:
        assert Histogram({}).percentile(50) is None


def some_results() -> Results:
    figures = {
        "port": Figures([10.0, 12.0, 11.0], 0, Histogram({20: 5, 900: 1}), Histogram({})),
        "upstream": Figures([20.0, 24.0, 11.0], 3),
    }
    work = {"entries_scanned": 5000, "chunks_visited": 0}
    phases = [PhaseResult(name, 1000, work, figures) for name in bounds.CELLS]
    return Results(
        {"cpu": "abacus"},
        {"live": 40, "seed": 1},
        [WorkloadResult("objects-4", "objects", phases)],
        [BoundResult("alloc", 1.0, True, [0.5, 0.7])],
        ["model: too slow"],
    )


class TestResults:
    def test_file_gives_the_same_back(self, tmp_path: Path) -> None:
        save(some_results(), tmp_path / "a.json")
        assert load(tmp_path / "a.json") == some_results()

    def test_other_version_is_refused(self, tmp_path: Path) -> None:
        save(some_results(), path := tmp_path / "a.json")
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "version": 99}))
        with pytest.raises(ResultsError, match=r"a\.json: version 99 of the format.*reads 1"):
            load(path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data.pop("format"),
            lambda data: data.pop("workloads"),
            lambda data: data.update(workloads=7),
            lambda data: data.update(surprise=7),
            lambda data: data["workloads"][0]["phases"][0].pop("name"),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(ns=["1"]),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(ns=[]),
            lambda data: data["workloads"][0]["phases"][0]["contenders"]["port"].update(alloc=[1]),
        ],
    )
    def test_damaged_file_is_refused(self, tmp_path: Path, damage: Any) -> None:
        save(some_results(), path := tmp_path / "a.json")
        data = json.loads(path.read_text())
        damage(data)
        path.write_text(json.dumps(data))
        with pytest.raises(ResultsError, match="that bench --json wrote"):
            load(path)

    @pytest.mark.parametrize("text", ["", "[]", "7", "{", "\udcff"])
    def test_no_results(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ResultsError, match="that bench --json wrote"):
            load(tmp_path / "a.json")

    def test_machine_is_described_without_names(self) -> None:
        told = " ".join(describe_machine().values())
        assert socket.gethostname() not in told.split()
        assert os.path.expanduser("~") not in told
        assert "/" not in describe_machine()["flags"]


class TestReport:
    def test_figures_ratios_failures_and_work(self) -> None:
        text = "\n".join(workload_tables(some_results().workloads[0]))
        assert "11.0 +-" in text  # median of the port
        assert "x2.00" in text  # median of 2, 2 and 1
        assert "upstream: 3 of 1,000 operations failed" in text
        assert "entries scanned" in text
        assert "5.00" in text  # of 5,000 in 1,000 operations
        assert "chunks visited" not in text  # there were none

    def test_bounds(self) -> None:
        held, missed, unknown = bounds_table(
            [
                BoundResult("ratio", 1.0, True, [0.5, 0.7]),
                BoundResult("rate", 2_000_000, False, [1e6]),
                BoundResult("other", 1.0, True, why="no file"),
            ]
        )[1:]
        assert held.split() == ["ratio", "0.600", "0.500", "0.700", "at", "most", "1.0", "holds"]
        assert "1,000,000" in missed
        assert missed.endswith("MISSED")
        assert unknown.endswith("not measured: no file")

    def test_bound_is_the_median_of_ratios_side_by_side(self) -> None:
        cells = {bound.what: bound for bound in bounds.cells(some_results())}
        assert len(cells) == 20
        cell = cells["port / upstream, alloc, 4 bytes"]
        assert (cell.values, cell.limit, cell.holds) == ([0.5, 0.5, 1.0], 0.5, True)
        assert cells["port / upstream, alloc, 64 bytes"].limit == 1.0
        assert cells["port / upstream, reverse, 16 bytes"].why == "objects-16 was not run"


def bench(*args: str) -> int:
    return main(
        ["bench", "--objects", "200", "--live", "20", "--repeat", "2", "--seconds", "0", *args]
    )


class TestCommand:
    def test_run_is_printed_and_kept(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.json"
        assert bench("churn", "pinned-chunks", "--json", str(out)) == 0
        text = capsys.readouterr().out
        for words in ("churn: 20 objects", "latency", "(C - 2) U / P", "compiler", "seed 2009"):
            assert words in text
        results = load(out)
        assert [each.name for each in results.workloads] == ["churn", "pinned-chunks"]
        figures = results.workloads[0].phase("churn").contenders
        assert {"port", "mapped", "malloc", "empty"} <= figures.keys()
        assert all(len(each.ns) == 2 for each in figures.values())
        assert not results.partial

    def test_contenders_are_chosen(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.json"
        names = ("--contender", "model", "--contender", "port")
        assert bench("objects-64", *names, "--json", str(out)) == 0
        assert list(load(out).workloads[0].phases[0].contenders) == ["port", "model"]
        assert "left out" not in capsys.readouterr().out

    def test_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert bench("--list") == 0
        assert {*WORKLOADS, *CONTENDERS} <= set(capsys.readouterr().out.split())

    def test_all_bounds_are_measured_or_say_why(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, value in (("ROUNDS", 2), ("CALLS", 50), ("LOADS", 1), ("EVENTS", 1),
                            ("MODEL_ROUNDS", 1), ("MODEL_OBJECTS", 100)):  # fmt: skip
            monkeypatch.setattr(bounds, name, value)
        assert bench("churn", "--bounds") in (0, 1)
        rows = capsys.readouterr().out.partition("\nbound ")[2].splitlines()[1:]
        assert len(rows) == 20 + 2 + 2 + 1 + 1 + 2
        unknown = [row for row in rows if "not measured: objects-" in row]
        assert len(unknown) == 20
        assert all(row.endswith(("holds", "MISSED")) for row in rows if row not in unknown)

    @pytest.mark.parametrize(("figure", "status"), [(0.5, 0), (1.5, 1)])
    def test_status_tells_of_missed_bounds(
        self, monkeypatch: pytest.MonkeyPatch, figure: float, status: int
    ) -> None:
        monkeypatch.setattr(
            run_module, "BOUNDS", [lambda _: [BoundResult("it", 1.0, True, [figure])]]
        )
        assert bench("objects-1024", "--bounds") == status

    @pytest.mark.parametrize("turns", [0, 5, 9, 11])
    def test_interrupted_run_keeps_whole_repetitions(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        turns: int,
    ) -> None:
        """Two contenders take turns; a number is a repetition, L the latencies.

        objects-64  1 1 2 2 L L    objects-256  1 1 2 2 L L
        stopped at  0         5                       9   11
        """
        left = turns
        open_port, open_empty = CONTENDERS["port"].open, CONTENDERS["empty"].open

        def until_stopped(open_: Any) -> Any:
            def opener(workload: Workload) -> Any:
                nonlocal left
                if not left:
                    raise KeyboardInterrupt
                left -= 1
                return open_(workload)

            return opener

        for name, open_ in (("port", open_port), ("empty", open_empty)):
            stopping = CONTENDERS[name]._replace(open=until_stopped(open_))
            monkeypatch.setitem(contenders.CONTENDERS, name, stopping)
        out = tmp_path / "a.json"
        chosen = ("--contender", "port", "--contender", "empty")
        assert bench("objects-64", "objects-256", *chosen, "--json", str(out)) == 130
        assert "interrupted" in capsys.readouterr().err
        results = load(out)
        assert results.partial
        kept = {each.name: each.whole_repetitions for each in results.workloads}
        expected = {0: {}, 5: {"objects-64": 2}, 9: {"objects-64": 2, "objects-256": 1},
                    11: {"objects-64": 2, "objects-256": 2}}  # fmt: skip
        assert kept == expected[turns]

    def test_compare(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
        save(some_results(), a)
        other = some_results()
        del other.workloads[0].phases[1:]
        figures = other.workloads[0].phases[0].contenders
        figures["port"].ns = [30.0, 33.0, 40.0]
        del figures["upstream"]
        other.partial = True
        save(other, b)
        assert bench("--compare", a, b) == 0
        out = capsys.readouterr().out
        row = next(line for line in out.splitlines() if line.startswith("objects-4 "))
        assert row.split()[2:] == ["port", "11.0", "+-5%", "33.0", "+-8%", "3.00", "slower"]
        assert "B, interrupted" in out
        assert "only in A, all or some of it: objects-4" in out

    def test_chart(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        chart = tmp_path / "a.svg"
        assert bench("churn", "--plot", str(chart)) == 0
        assert "<svg" in chart.read_text()
        assert bench("churn", "--plot", str(tmp_path / "a.dance")) == 2

    def test_chart_needs_an_extra(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("percpu_ffi.bench.plot.find_spec", lambda _: None)
        assert bench("churn", "--plot", "a.svg") == 2
        assert "pip install 'percpu_ffi[plot]'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["dance"], "workload 'dance': there are objects-4,"),
            (["--contender", "slub"], "contender 'slub': there are port,"),
            (["--repeat", "0"], "--repeat 0: from 1"),
            (["--seconds", "-1"], "--seconds -1.0: from 0"),
            (["--live", "0"], "--live 0: from 1"),
            (["--json", "nowhere/a.json"], "--json nowhere/a.json: a file"),
            (["--trace", "nowhere"], "No such file"),
            (["--compare", __file__, __file__], "that bench --json wrote"),
        ],
    )
    def test_errors_are_one_sentence(
        self, capsys: pytest.CaptureFixture[str], args: list[str], words: str
    ) -> None:
        assert bench(*args) == 2
        err = capsys.readouterr().err
        assert err.startswith("percpu-ffi: ")
        assert words in err
        assert err.count("\n") == 1


def test_model_is_slower_by_far() -> None:
    figures = measure(WORKLOADS["churn"](FEW), ["port", "model"], 1).phase("churn").contenders
    assert figures["model"].median > 5 * figures["port"].median
