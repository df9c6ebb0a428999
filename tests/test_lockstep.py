# SPDX-License-Identifier: GPL-2.0-only
"""Lockstep: port and model do the same, and a model with a defect is found."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import liars
import numpy as np
import pytest
from conftest import RECORDINGS, SAMPLES, TINY
from liar_matrix import Here, trace_of

from percpu_ffi import Allocator, ConfigError, Model, PercpuError, Trace
from percpu_ffi.cli import main
from percpu_ffi.executors import WorkerPool
from percpu_ffi.lockstep import ASPECTS, Campaign, Mix, Totals, drive, lockstep, shorten
from percpu_ffi.lockstep import campaign as campaign_module
from percpu_ffi.lockstep.campaign import CASES_A_TASK, FORMAT, run_task
from percpu_ffi.lockstep.contents import Contents, pattern
from percpu_ffi.lockstep.driver import Outcome, batches
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.random_traces import PERIOD
from percpu_ffi.lockstep.reach import CLASSES, Reach, missed
from percpu_ffi.model.area_map import AreaMap

BOTH = {"port": Allocator, "model": Model}


WAYS = ("many", "single", "replay")

RESULTS = [aspect for aspect in ASPECTS if aspect != "work"]


class LastFitMap(AreaMap):
    """Tries the fullest chunk last."""

    def _find_area(self, size: int, align: int) -> Any:
        for slot in reversed(self.slots[self._size_to_slot(size) :]):
            for chunk in list(slot):
                offset = None
                if size <= chunk.contig_hint:
                    offset = self._alloc_area(chunk, size, align)
                if offset is not None:
                    return chunk, offset
        return super()._find_area(size, align)


class StaleHintMap(AreaMap):
    """Does not raise the hint when four bytes are freed."""

    def _free_area(self, chunk: Any, offset: int) -> None:
        hint, free = chunk.contig_hint, chunk.free_size
        super()._free_area(chunk, offset)
        if chunk.free_size - free == 4:
            chunk.contig_hint = hint


class NoScanMap(AreaMap):
    """Frees an area without a scan of the map."""

    def _free_area(self, chunk: Any, offset: int) -> None:
        work = self.kernel.work
        scanned = work.entries_scanned
        super()._free_area(chunk, offset)
        work.entries_scanned = scanned


class LastFit(Model):
    """A model that tries the fullest chunk last."""

    POLICIES = {"area-map": LastFitMap}  # noqa: RUF012


class StaleHint(Model):
    """A model that does not raise the hint when four bytes are freed."""

    POLICIES = {"area-map": StaleHintMap}  # noqa: RUF012


class NoScan(Model):
    """A model that frees an area without a scan of the map."""

    POLICIES = {"area-map": NoScanMap}  # noqa: RUF012


class ExtraMap(Model):
    """A model that maps one page too many."""

    def _alloc(self, size: int, align: int) -> int:
        ptr = super()._alloc(size, align)
        if size == 13:
            self._policy.kernel.count("map")
        return ptr


class ShortErrors(Model):
    """A model with other error messages."""

    def _bad_request(self, size: Any, align: Any) -> Any:
        error = super()._bad_request(size, align)
        return type(error)("no")


def with_port(variant: type[Model]) -> dict[str, Any]:
    return {"port": Allocator, "variant": variant}


@pytest.mark.parametrize(("name", "calls"), [*zip(RECORDINGS, WAYS, strict=True)])
def test_port_and_model_agree_on_a_recording(name: str, calls: str) -> None:
    trace = Trace.from_ops(Trace.load(SAMPLES / name), {"memory": "none", "cpus": 2})
    assert lockstep(BOTH, trace, calls=calls) is None


def test_port_and_model_agree_on_random_operations() -> None:
    """Forty cases have every form; the campaign fails if it misses a class."""
    totals = Campaign(BOTH, operations=PERIOD * 1000, seed=1).run()
    assert totals.difference is None, str(totals.difference)
    assert missed(totals.reach) == []
    assert totals.operations >= PERIOD * 1000
    assert totals.cases == PERIOD
    assert len(totals.geometries) >= PERIOD - 2
    assert totals.faults > 500
    assert totals.failures > 500


@pytest.mark.parametrize(
    ("ops", "variant", "aspect"),
    [
        ([("alloc", 1, 900, 4), ("alloc", 2, 900, 4), ("alloc", 3, 8, 4)], LastFit, "pointers"),
        ([("alloc", 1, 13, 1)], ExtraMap, "counters"),
        ([("alloc", 1, 8, 3)], ShortErrors, "errors"),
        ([("alloc", 1, 8, 8), ("free", 1)], NoScan, "work"),
        ([("alloc", 1, 4, 4), ("alloc", 2, 956, 4), ("free", 1)], StaleHint, "state"),
    ],
)
def test_first_difference_stops_the_run(ops: list[Any], variant: type[Model], aspect: str) -> None:
    # another policy does other work from the start
    compare = ASPECTS if aspect == "work" else RESULTS
    difference = lockstep(with_port(variant), Trace.from_ops(ops, TINY), compare=compare)
    assert difference
    assert difference.aspect == aspect
    assert difference.index == len(ops) - 1
    assert difference.names == ("port", "variant")


def test_difference_shows_the_operation_the_answers_and_the_maps() -> None:
    # |SSSS|aaaaaa|....| b |    the port takes chunk 2, which is fuller, the variant chunk 1
    ops = [("alloc", i, size, 4) for i, size in enumerate([960, 512, 896, 16])]
    text = str(lockstep(with_port(LastFit), Trace.from_ops(ops, TINY), compare=RESULTS))
    for words in (
        "pointers differ after operation 3, ('alloc', 3, 16, 4)",
        "cpus=2, static_size=64, page_size=64, memory='none'",
        "port     0x1400",
        "variant  0xa40",
        "chunk 1, bytes 256 to 768 of a unit; the maps part at 512",
        "[################################................................]",
        "-512 +512",
        "chunk 1, free_size: port 512; variant 496",
    ):
        assert words in text, text


def test_difference_shows_the_counts_that_differ() -> None:
    ops: list[Any] = [*(("alloc", i, 8, 8) for i in range(5)), ("free", 3)]
    text = str(lockstep(with_port(NoScan), Trace.from_ops(ops, TINY)))
    assert "work differs after operation 5, ('free', 3)" in text
    assert "entries_scanned for free: port 5; variant 0" in text
    assert text.count("port") == 2  # nothing else differs


def test_work_of_another_type_is_shown_as_it_is() -> None:
    class Plain(Model):
        def work(self) -> Any:
            return {"steps": 3}

    text = str(lockstep(with_port(Plain), Trace.from_ops([], TINY)))
    assert "work differs after the set-up" in text
    assert "variant {'steps': 3}" in text


def test_comparing_less() -> None:
    # an allocator with another policy still has to serve and refuse the same requests
    ops = [("alloc", i, size, 4) for i, size in enumerate([960, 512, 896, 16, 5000])]
    trace = Trace.from_ops([*ops, ("free", 1)], TINY)
    assert lockstep(with_port(LastFit), trace, compare=["errors"]) is None
    assert lockstep(with_port(LastFit), trace) is not None


class Recorder(Model):
    """A model that notes how it is called."""

    notes: list[Any]

    def alloc(self, size: int, align: int = 8) -> int:
        self.notes.append(("alloc", size, align))
        return super().alloc(size, align)

    def free(self, ptr: int) -> None:
        self.notes.append(("free",))
        super().free(ptr)

    def alloc_many(self, sizes: Any, align: int = 8) -> Any:
        self.notes.append(("alloc_many", *sizes, align))
        return super().alloc_many(sizes, align)

    def free_many(self, ptrs: Any) -> None:
        self.notes.append(("free_many", len(ptrs)))
        super().free_many(ptrs)

    def replay(self, trace: Trace, progress: Any = None, stops: Any = ()) -> Any:
        self.notes.append(("replay", len(trace), *stops))
        return super().replay(trace, progress, stops)


OPS: list[Any] = [
    ("alloc", 1, 8, 8),
    ("alloc", 2, 16, 8),
    ("alloc", 3, 4, 4),
    ("free", 2),
    ("free", 9),  # is not live
    ("free", 1),
    ("inject", "map", {"nth": 900}),
    ("inject", "map", {}),
    ("alloc", 3, 8, 8),  # is live
    ("alloc", 3, 8, 8),
]


@pytest.mark.parametrize(
    ("calls", "notes"),
    [
        (
            "single",
            [
                *(("alloc", 8, 8), ("alloc", 16, 8), ("alloc", 4, 4), ("free",), ("free",)),
                *(("free",), ("alloc", 8, 8), ("free",), ("alloc", 8, 8)),
            ],
        ),
        (
            "many",
            [
                *(("alloc_many", 8, 16, 8), ("alloc_many", 4, 4), ("free_many", 2)),
                *(("free_many", 1), ("alloc_many", 8, 8), ("free_many", 1), ("alloc_many", 8, 8)),
            ],
        ),
        ("replay", [("replay", 10, 10)]),
    ],
)
def test_ways_to_call(calls: str, notes: list[Any]) -> None:
    recorder: Any = type("TheRecorder", (Recorder,), {"notes": []})
    steps: list[int] = []
    factories = {"port": Allocator, "recorder": recorder}
    trace = Trace.from_ops(OPS, TINY)
    assert lockstep(factories, trace, calls=calls, progress=steps.append) is None
    assert recorder.notes == notes
    assert sum(steps) == len(OPS)


def test_neighbours_of_one_kind_are_a_batch() -> None:
    assert list(batches(OPS)) == [
        *(OPS[:2], OPS[2:3], OPS[3:6], OPS[6:7], OPS[7:8], OPS[8:9], OPS[9:])
    ]
    assert list(batches([])) == []


def test_replay_is_compared_every_50_operations() -> None:
    recorder: Any = type("TheRecorder", (Recorder,), {"notes": []})
    ops = [("alloc", key, 4, 4) for key in range(120)]
    parties = {"port": Allocator, "recorder": recorder}
    assert lockstep(parties, Trace.from_ops(ops, TINY), calls="replay") is None
    assert recorder.notes == [("replay", 120, 50, 100, 120)]
    many = [("alloc", 1, 4, 4), ("free", 1)] * 10_000
    assert (
        lockstep(parties, Trace.from_ops(many, TINY), calls="replay", compare=["pointers"]) is None
    )
    assert recorder.notes[1] == ("replay", 20_000, *range(100, 20_001, 100))


def test_calls_without_batches() -> None:
    """An allocator without alloc_many() takes part as before, also in a campaign."""

    class Few:
        def __init__(self, **settings: Any) -> None:
            self.model = Model(**settings)
            for name in ("alloc", "free", "state", "counters", "work", "inject"):
                setattr(self, name, getattr(self.model, name))

    factories: dict[str, Any] = {"port": Allocator, "few": Few}
    for calls in CALLS:
        assert lockstep(factories, Trace.from_ops(OPS, TINY), calls=calls) is None
    totals = Campaign(factories, 100, length=10).run(Here())
    assert totals.difference is None
    assert totals.reach["alloc_many"] == totals.reach["replay"] == 0
    with pytest.raises(ConfigError, match="calls='twice': choose from single, many, replay"):
        lockstep(factories, Trace.from_ops([], TINY), calls="twice")


@pytest.mark.parametrize("calls", CALLS)
def test_difference_names_the_call_and_the_party(calls: str) -> None:
    """The state differs after the third allocation, in a batch after all of it."""

    class Off(Model):
        def state(self) -> Any:
            state = super().state()
            (first, *others) = state.chunks
            wrong = replace(first, contig_hint=first.contig_hint + (len(first.map) >= 5))
            return replace(state, chunks=(wrong, *others))

    ops = [("alloc", key, 8, 8) for key in range(70)]
    parties: dict[str, Any] = {"port": Allocator, "off": Off, "model": Model}
    difference = lockstep(parties, Trace.from_ops(ops, TINY), calls=calls)
    assert difference
    assert (difference.aspect, difference.minority) == ("state", ("off",))
    assert difference.calls == calls
    first_line = str(difference).splitlines()[0]
    assert (
        first_line
        == {
            "single": "the state of off differs after operation 2, ('alloc', 2, 8, 8)",
            "many": "the state of off differs after operations 0 to 69, with calls='many'",
            "replay": "the state of off differs after operations 0 to 49, with calls='replay'",
        }[calls]
    )
    two = lockstep({"off": Off, "model": Model}, Trace.from_ops(ops, TINY), calls=calls)
    assert two
    assert two.minority == ("off", "model")  # either may be wrong
    assert "the state differs after" in str(two)


def test_replay_that_fails_differently_shows_the_operation() -> None:
    class Strict(Model):
        def _alloc_percpu(self, size: int, align: int, **flags: Any) -> int:
            return super()._alloc_percpu(size + (size == 24), align, **flags)

    ops = [("alloc", key, 24 if key == 60 else 8, 8) for key in range(70)]
    difference = lockstep(with_port(Strict), Trace.from_ops(ops, TINY), calls="replay")
    assert difference
    # the pointer of the next one
    assert (difference.aspect, difference.index) == ("pointers", 61)
    assert difference.states == ()  # they are those after a later operation


@pytest.mark.parametrize("at", [0, 49, 50, 69])
def test_replay_with_another_error_shows_its_operation(at: int) -> None:
    ops = [("alloc", key, 0 if key == at else 8, 8) for key in range(70)]
    difference = lockstep(with_port(ShortErrors), Trace.from_ops(ops, TINY), calls="replay")
    assert difference
    assert (difference.aspect, difference.index) == ("errors", at)


def test_replay_that_raises() -> None:
    class Broken(Model):
        def replay(self, *arguments: Any, **named: Any) -> Any:
            super().replay(*arguments, **named)
            raise ValueError("broken")

    trace = Trace.from_ops([("alloc", key, 8, 8) for key in range(70)], TINY)
    difference = lockstep(with_port(Broken), trace, calls="replay")
    assert difference
    assert (difference.aspect, difference.index) == ("errors", 69)
    assert difference.answers == ("done", "ValueError: broken")
    assert lockstep({"one": Broken, "two": Broken}, trace, calls="replay") is None


def test_replay_that_skips_a_stop() -> None:
    class Hasty(Model):
        def replay(self, trace: Trace, progress: Any = None, stops: Any = ()) -> Any:
            return super().replay(trace, progress)

    trace = Trace.from_ops([("alloc", key, 8, 8) for key in range(70)], TINY)
    difference = lockstep(with_port(Hasty), trace, calls="replay")
    assert difference
    assert "went past a stop, to 70" in difference.answers[1]


@pytest.mark.parametrize("calls", ["single", "many"])
@pytest.mark.parametrize("kind", [Allocator, Model])
def test_contents_are_written_and_verified(
    kind: type[Any], calls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy of an area has its own pattern, which is verified before the free or at the end."""
    seen: list[Any] = []

    def verify(self: Contents, pointer: int) -> None:
        for cpu in range(3):
            with self.allocator.view(pointer, cpu) as view:
                seen.append(bytes(view[:100]))
        verify_all(self, pointer)

    verify_all = Contents.verify
    monkeypatch.setattr(Contents, "verify", verify)
    ops = [("alloc", 1, 9000, 8), ("alloc", 2, 100, 8), ("free", 1)]
    trace = Trace.from_ops(ops, {"cpus": 3})
    assert lockstep({"one": kind, "two": kind}, trace, calls=calls) is None
    one, two = seen[:3], seen[3:6]
    assert one == two  # of area 1 in both, then of area 2
    assert len({*one, *seen[6:9]}) == 6
    assert len(seen) == 12
    assert not any(bytes(100) == contents for contents in seen)


def test_pattern_differs_from_page_to_page() -> None:
    contents = pattern(1, 0, 5 * 4096)
    assert len(contents) == 5 * 4096
    assert len({contents[start : start + 4096] for start in range(0, 5 * 4096, 4096)}) == 5
    assert pattern(1, 0, 7) == contents[:7]
    assert len({pattern(area, cpu, 8) for area in range(9) for cpu in range(9)}) == 81


@pytest.mark.parametrize("aspect", [aspect for aspect in ASPECTS if aspect != "errors"])
def test_success_is_always_compared(aspect: str) -> None:
    class Shy(Model):
        def alloc(self, size: int, align: int = 8) -> int:
            super().alloc(size, align)
            raise PercpuError("no")

    difference = lockstep(with_port(Shy), Trace.from_ops(OPS, TINY), compare=[aspect])
    assert difference
    assert (difference.aspect, difference.index) == ("errors", 0)
    refused = Trace.from_ops([("alloc", 1, 0, 8)], TINY)
    assert lockstep(with_port(ShortErrors), refused, compare=[aspect]) is None


def test_drive_takes_existing_allocators() -> None:
    with Allocator(**TINY) as port, Model(**TINY) as model:
        assert drive({"port": port, "model": model}, [("alloc", 1, 8, 8)]) is None
        model.alloc(8)
        difference = drive({"port": port, "model": model}, [("free", 1)])
        assert difference
        assert difference.aspect == "state"
        assert "after the set-up" in str(difference)


def test_faults_are_part_of_a_trace(tmp_path: Path) -> None:
    ops = [("inject", "map", {"nth": 2}), ("alloc", 1, 8, 8), ("inject", "map", {})]
    trace = Trace.from_ops(ops, TINY)
    trace.save(tmp_path / "trace")
    again = Trace.load(tmp_path / "trace")
    assert list(again) == ops
    assert again.setup == TINY
    assert lockstep(BOTH, again) is None
    for maker in BOTH.values():
        with maker(**again.setup) as allocator:
            (failure,) = allocator.replay(again).failures
            assert "map failed" in str(failure.error)


def test_shortened_trace_still_shows_the_difference() -> None:
    campaign = Campaign(with_port(StaleHint), 1000, seed=5, length=400)
    differences = (lockstep(campaign.factories, campaign.case(i)) for i in range(50))
    found = next(each for each in differences if each and len(each.trace) > 10)
    short = shorten(campaign.factories, found)
    assert len(short.trace) <= 4
    assert lockstep(campaign.factories, short.trace)


@pytest.mark.parametrize("name", ["pointer", "alloc_many, last item", "chunks of replay",
                                  "calls of warn", "InvalidRequest, another text"])  # fmt: skip
def test_shortened_trace_shows_what_the_difference_says(name: str) -> None:
    """Also if it shows only in a batch, or in a replay."""
    (lie,) = (lie for lie in liars.lies() if lie.name == name)
    liar = type("Party", (liars.Liar,), {"lie": lie})
    parties = {"port": Allocator, "liar": liar, "model": Model}
    found = lockstep(parties, trace_of(real=False), calls=lie.calls)
    assert found
    short = shorten(parties, found)
    again = lockstep(parties, short.trace, calls=short.calls)
    assert again
    assert str(again) == str(short)
    assert len(again.trace) == len(short.trace) <= len(found.trace)
    assert lie.calls == "single" or len(short.trace) < len(found.trace)
    assert (short.minority, short.calls) == (("liar",), lie.calls)


def test_shortening_compares_what_was_compared() -> None:
    """Another policy does other work, which here is no difference."""
    ops = [("alloc", i, size, 4) for i, size in enumerate([8, 16, 960, 512, 896, 16])]
    found = lockstep(with_port(LastFit), Trace.from_ops(ops, TINY), compare=["pointers"])
    assert found
    short = shorten(with_port(LastFit), found, compare=["pointers"])
    assert short.aspect == "pointers"
    assert lockstep(with_port(LastFit), short.trace, compare=["pointers"])


def test_campaign_is_the_same_in_every_run() -> None:
    campaigns = [Campaign(BOTH, 1000, seed=3, length=50) for _ in range(2)]
    assert campaigns[0].case(4) == campaigns[1].case(4)
    assert campaigns[0].case(4) != campaigns[0].case(5)
    assert campaigns[0].case(4) != Campaign(BOTH, 1000, seed=4, length=50).case(4)


def test_campaign_keeps_the_given_arguments() -> None:
    campaign = Campaign(BOTH, setup={"cpus": 3, "page_size": 4096, "unit_size": 1 << 17})
    for number in range(20):
        setup = campaign.case(number).setup
        assert (setup["cpus"], setup["page_size"], setup["unit_size"]) == (3, 4096, 1 << 17)


def test_campaign_takes_sizes_alignments_and_faults() -> None:
    plans: list[Any] = [("map", {"probability": 0.5}), ("kmalloc", {"nth": 3})]
    mix = Mix(sizes=[8, 24], aligns=[4], plans=plans)
    campaign = Campaign(BOTH, length=200, mix=mix, faults=1)
    trace = campaign.case(0)
    assert trace.faults == plans
    requests = {op[2:] for op in trace if op[0] == "alloc"}
    assert requests >= {(8, 4), (24, 4)}
    assert len(requests) <= 4  # a few are invalid, or of a live key
    with pytest.raises(ConfigError, match="integers are needed"):
        Mix(sizes=[1.5])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="services that can fail"):
        Mix(plans=[("mmap", {})])


def test_campaign_resumes(tmp_path: Path) -> None:
    def stop(_operations: int) -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    steps: list[int] = []
    state = tmp_path / "campaign.json"
    campaign = Campaign(BOTH, operations=10_000, length=100)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            campaign.run(executor, progress=stop, state=state)
        kept = json.loads(state.read_text())["totals"]["operations"]
        assert 0 < kept < 10_000
        first: list[int] = []
        totals = campaign.run(executor, progress=first.append, state=state)
    assert first[0] == kept
    assert totals.operations == sum(first) == 10_000
    assert len(totals.geometries) == 100

    other = Campaign(BOTH, operations=10_000, length=100, seed=7)
    with pytest.raises(ConfigError, match="other seed"):
        other.run(state=state)


class Nothing(ThreadPoolExecutor):
    """Runs no task."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a task was submitted")


def test_campaign_that_was_stopped_anywhere_runs_each_case_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its totals are those of a campaign that was not stopped."""

    def run_case(_factories: Any, trace: Trace, *_: Any) -> Outcome:
        ran.append(trace)
        return Outcome(None, 1, Reach({"size 1": len(trace)}))

    def stop(_operations: int) -> None:
        steps.append(1)
        if len(steps) == stop_at:
            raise KeyboardInterrupt

    ran: list[Trace] = []
    steps: list[int] = []
    monkeypatch.setattr(campaign_module, "run", run_case)
    campaign = Campaign(BOTH, operations=400, length=10, seed=3)
    whole = campaign.run(Here())
    cases, ran = ran, []
    for stop_at in range(1, 6):
        ran, steps, state = [], [], tmp_path / str(stop_at)
        with pytest.raises(KeyboardInterrupt):
            campaign.run(Here(), progress=stop, state=state)
        assert campaign.run(Here(), state=state) == whole
        assert ran == cases
        assert campaign.run(Nothing(), state=state) == whole  # all is done
    assert whole.reach == {"size 1": 400}
    assert (whole.cases, whole.failures) == (40, 40)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda saved: saved.clear(), "holds no campaign"),
        (lambda saved: saved.pop("format"), "another version, whose cases are other traces"),
        (lambda saved: saved.update(format=FORMAT - 1), "another version"),
        (lambda saved: saved["totals"].pop("reach"), "holds no campaign"),
        (lambda saved: saved["totals"].update(operations="1"), "holds no campaign"),
        (lambda saved: saved.update(done=-1), "holds no campaign"),
        (lambda saved: saved.update(done=2), "holds no campaign"),
        (lambda saved: saved["totals"].update(cases=7), "holds no campaign"),
        (lambda saved: saved["campaign"].update(calls=["single"]), "other calls"),
    ],
)
def test_file_of_another_campaign_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    campaign = Campaign(BOTH, operations=10, length=1)
    campaign.run(Here(), state=state)
    saved = json.loads(state.read_text())
    change(saved)
    state.write_text(json.dumps(saved))
    with pytest.raises(ConfigError, match=words):
        campaign.run(Here(), state=state)


OTHER: dict[str, Any] = {
    "factories": {"port": Allocator, "other": Model},
    "operations": 11,
    "seed": 1,
    "length": 2,
    "faults": 0.5,
    "setup": {"cpus": 2},
    "mix": Mix(sizes=[8]),
    "compare": ("errors",),
    "calls": ("many",),
}


def test_campaign_is_known_by_each_of_its_arguments(tmp_path: Path) -> None:
    campaign = Campaign(BOTH, operations=10, length=1)
    campaign.run(Here(), state=tmp_path / "state")
    assert OTHER.keys() == {field.name for field in fields(Campaign)}
    for name, value in OTHER.items():
        shown = "parties" if name == "factories" else name
        with pytest.raises(ConfigError, match=f"belongs to a campaign with other {shown};"):
            replace(campaign, **{name: value}).run(Here(), state=tmp_path / "state")


def test_format_changes_with_the_cases() -> None:
    """A file of an older version would mix two campaigns: change FORMAT with the digest."""
    campaign = Campaign(BOTH, seed=7)
    digest = hashlib.blake2b(digest_size=8)
    for number in range(PERIOD):
        trace = campaign.case(number)
        if trace.setup["memory"] == "none":  # the others have the host's page size
            digest.update(repr((trace.setup, list(trace), campaign.calls_of(number))).encode())
    assert (FORMAT, digest.hexdigest()) == (2, "7f57dd5702c32ade")


@pytest.mark.parametrize("length", [1, 7, 499, 500, 1000, 3000, 3001])
def test_no_case_is_shorter_than_requested(length: int) -> None:
    campaign = Campaign(BOTH, length=length)
    for number in (0, 1, 2, 3, 17, 37):
        least = length if number in (17, 37) and 500 <= length <= 3000 else 0
        assert length <= len(campaign.case(number)) <= (least or length) + 12_000 * bool(least)


@pytest.mark.parametrize(
    ("operations", "length"), [(1, 1), (1, 1000), (100, 10), (101, 10), (999, 33), (10**9, 1)]
)
def test_no_fewer_operations_than_requested(operations: int, length: int) -> None:
    tasks = len(Campaign(BOTH, operations, length=length)._tasks())
    assert (tasks - 1) * CASES_A_TASK * length < operations <= tasks * CASES_A_TASK * length


@pytest.mark.parametrize("executor", [WorkerPool, lambda: ThreadPoolExecutor(3)])
def test_totals_are_those_of_all_tasks(executor: Any) -> None:
    mix = Mix(plans=[("map", {"nth": 3})])
    campaign = Campaign(BOTH, operations=300, length=10, seed=8, mix=mix, faults=1)
    expected = Totals()
    for task in range(3):
        expected.add(run_task(campaign, task))
    with executor() as pool:
        assert campaign.run(pool) == expected
    assert expected.reach["several NUMA nodes"]
    assert (expected.cases, expected.faults) == (30, 30)
    assert expected.operations == sum(len(campaign.case(n)) for n in range(30)) == 30 * 11


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"operations": 0}, "operations=0"), ({"length": -1}, "length=-1"), ({"faults": 2}, "share")],
)
def test_impossible_campaign(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Campaign(BOTH, **arguments)


@pytest.mark.parametrize("calls", [(), ("twice",), "single"])
def test_calls_of_a_campaign(calls: Any) -> None:
    with pytest.raises(ConfigError, match="choose from single, many, replay"):
        Campaign(BOTH, calls=calls)


def test_campaign_takes_the_types_that_an_allocator_takes(tmp_path: Path) -> None:
    """A set or a number of numpy could not be saved, and a tuple did not match its list."""
    operations: Any = np.int64(100)
    for quirks in ({"rollback"}, ("rollback",), ["rollback"]):
        campaign = Campaign(
            BOTH, operations=operations, length=100, setup={"quirks": quirks, "cpus": np.int8(2)}
        )
        with ThreadPoolExecutor(1) as executor:
            assert campaign.run(executor, state=tmp_path / "state").operations == 1000
    with pytest.raises(ConfigError, match="arguments of an allocator"):
        Campaign(BOTH, setup={"units": 2})


def test_first_difference_is_the_same_for_every_executor() -> None:
    """The one that was found first was reported, not the first in order."""
    campaign = Campaign(with_port(StaleHint), operations=20_000, length=100, seed=1)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(7) as seven:
        totals = [campaign.run(one), campaign.run(seven), campaign.run()]
    assert totals[0].difference
    assert [str(t.difference) for t in totals] == [str(totals[0].difference)] * 3
    assert [t.operations for t in totals] == [totals[0].operations] * 3


def test_campaign_ends_with_the_first_difference() -> None:
    campaign = Campaign(with_port(StaleHint), operations=20_000, length=100, seed=1)
    totals = campaign.run(Here())
    found = (
        lockstep(campaign.factories, campaign.case(number), calls=campaign.calls_of(number))
        for number in range(totals.cases)
    )
    *before, last = found
    assert not any(before)
    assert str(last) == str(totals.difference)


def test_given_sizes_are_used_in_every_case() -> None:
    """No case is of a form that chooses its own."""
    for mix in (Mix(sizes=[40]), Mix(aligns=[16])):
        campaign = Campaign(BOTH, mix=mix)
        for number in range(PERIOD):
            trace = campaign.case(number)
            assert len(trace) <= 1000
            assert trace.setup["memory"] == "none"


def test_refused_requests_do_not_warn() -> None:
    trace = Trace.from_ops([("alloc", 1, 0, 8)], TINY)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for calls in CALLS:
            assert lockstep(BOTH, trace, calls=calls) is None
    assert caught == []


def test_threads_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as executor:
        Campaign(BOTH, operations=5000, length=100).run(executor)
    assert warnings.filters == before


class Fatal(Model):
    """A model that ends the process, as a fault in C does."""

    def alloc(self, size: int, align: int = 8) -> int:
        os._exit(9)


def test_dead_worker_is_reported_with_its_cases() -> None:
    campaign = Campaign(with_port(Fatal), operations=100, length=10, seed=4)
    with pytest.raises(PercpuError, match="lost 3 times in the cases 0 to 9 of seed 4"):
        campaign.run()


def test_campaign_with_impossible_geometry() -> None:
    with pytest.raises(ConfigError, match="unit_size=1000"):
        Campaign(BOTH, setup={"unit_size": 1000, "page_size": 64}).case(0)


@pytest.mark.parametrize(
    ("allocator", "missing"),
    [
        (object(), "alloc, free, state, counters, work"),
        (type("Half", (), {"alloc": min, "free": min, "state": min})(), "counters, work"),
    ],
)
def test_missing_methods_are_named(small: Any, allocator: Any, missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"allocator 'mine' \(\w+\) lacks {missing}:"):
        drive({"port": small, "mine": allocator}, [])


def test_faults_need_inject(small: Any) -> None:
    allocator = type("NoFaults", (), {"alloc": small.alloc, "free": small.free})()
    ops: list[Any] = [("inject", "map", {"nth": 1})]
    with pytest.raises(ConfigError, match="lacks inject"):
        drive({"port": small, "mine": allocator}, ops, compare=["errors"])


def raising(method: str, error: BaseException) -> type[Model]:
    def broken(_self: object, *_args: object) -> None:
        raise error

    return type("Broken", (Model,), {method: broken})


@pytest.mark.parametrize("method", ["state", "counters", "work", "close", "alloc", "_open"])
@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3)])
def test_any_exception_is_an_answer(method: str, error: BaseException) -> None:
    trace = Trace.from_ops([("alloc", 1, 8, 8)], TINY)
    difference = lockstep(with_port(raising(method, error)), trace)
    assert difference
    assert difference.aspect == "errors"
    assert type(error).__name__ in difference.answers[1]
    assert type(error).__name__ in str(difference)


def test_error_in_close_does_not_hide_the_difference() -> None:
    class Both(LastFit):
        def close(self) -> None:
            raise BufferError

    ops = [("alloc", i, size, 4) for i, size in enumerate([960, 512, 896, 16])]
    difference = lockstep(with_port(Both), Trace.from_ops(ops, TINY), compare=RESULTS)
    assert difference
    assert difference.aspect == "pointers"


def test_shortening_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_operations: int) -> None:
        raise KeyboardInterrupt

    campaign = Campaign(with_port(StaleHint), 1000, seed=5, length=400)
    found = next(filter(None, (lockstep(campaign.factories, campaign.case(i)) for i in range(50))))
    assert shorten(campaign.factories, found, progress=stop) is found


def test_one_allocator_is_not_enough(small: Any) -> None:
    with pytest.raises(ConfigError, match="two or more"):
        drive({"port": small}, [])


def test_unknown_aspect(small: Any) -> None:
    with pytest.raises(ConfigError, match="choose from errors, pointers, state, counters, work"):
        drive({"a": small, "b": small}, [], compare=["speed"])


def test_trace_with_impossible_geometry() -> None:
    trace = Trace.from_ops([], {"unit_size": 1000})
    with pytest.raises(ConfigError, match="unit_size=1000"):
        lockstep(BOTH, trace)
    with pytest.raises(ConfigError, match="units"):
        Trace.from_ops([], {"units": 1000})


def test_set_up_that_one_allocator_refuses_is_a_difference() -> None:
    class Strict(Model):
        def _open(self, config: Any) -> None:
            raise ConfigError("no geometry is possible")

    difference = lockstep(with_port(Strict), Trace.from_ops([], TINY))
    assert difference
    assert difference.answers == ("accepted it", "ConfigError: no geometry is possible")
    assert "the errors differ after the set-up" in str(difference)


# --- the command


def test_check_of_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SAMPLES / "netns_churn.ftrace.xz")]) == 0
    assert capsys.readouterr().out == "port, model: 4,605 operations, no difference\n"


def test_check_of_random_operations(capsys: pytest.CaptureFixture[str]) -> None:
    mix = ["--sizes", "8", "100", "--aligns", "8", "--plan", 'map={"probability": 0.1}']
    command = ["check", "--random", "--operations", "5000", "--seed", "9", "--jobs", "1"]
    assert main([*command, *mix]) == 0
    out = capsys.readouterr().out
    assert "operations                   10,00" in out
    assert "differences                  0" in out


def test_options_of_check_are_arguments_of_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(parties: Any, **arguments: Any) -> None:
        made.append((parties, arguments))
        raise ConfigError("enough")

    made: list[Any] = []
    monkeypatch.setattr("percpu_ffi.cli.check.Campaign", make)
    plan = ("map", {"nth": 2})
    command = ["check", "--random", "--operations", "7", "--seed", "3", "--length", "5"]
    command += ["--faults", "0.25", "--setup", '{"cpus": 3}', "--compare", "errors", "work"]
    command += ["--calls", "many", "--sizes", "8", "--aligns", "4", "--plan", 'map={"nth": 2}']
    assert main([*command, "--only", "model", "port"]) == 2
    ((parties, arguments),) = made
    assert list(parties.items()) == [("model", Model), ("port", Allocator)]
    assert arguments == {
        "operations": 7,
        "seed": 3,
        "length": 5,
        "faults": 0.25,
        "setup": {"cpus": 3},
        "compare": ("errors", "work"),
        "calls": ("many",),
        "mix": Mix([8], [4], [plan]),
    }
    assert arguments.keys() == OTHER.keys() - {"factories"}


def test_check_compares_less_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An allocator with another policy serves the same requests."""
    monkeypatch.chdir(tmp_path)
    command = ["check", "--random", "--operations", "10", "--length", "30", "--jobs", "1"]
    command += ["--faults", "0", "--setup", json.dumps(TINY), "--sizes", "900", "500", "16"]
    command += ["--with", f"mine={__name__}:LastFit", "--only", "port", "mine"]
    assert main([*command, "--compare", "errors"]) == 0
    assert main([*command, "--compare", "errors", "pointers"]) == 1
    assert "the pointers differ after" in capsys.readouterr().out


def test_check_shows_what_a_campaign_reached(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["check", "--random", "--operations", "50", "--length", "5", "--jobs", "1"]
    assert main([*command, "--calls", "many", "--setup", '{"page_size": 256}']) == 0
    rows = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    table = {row[0].strip(): row[-1] for row in rows}
    assert table.keys() >= set(CLASSES)
    assert table["pages of 256 B"] == "10"
    assert table["pages of 64 B"] == table["replay"] == "0"
    assert int(table["alloc_many"]) > 0


def test_check_calls_a_trace_in_each_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Trace.from_ops(OPS, TINY).save("ops.trace")
    assert main(["check", "ops.trace", "--calls", *CALLS]) == 0
    assert capsys.readouterr().out == "port, model: 10 operations, no difference\n"
    option = f"mine={__name__}:OneTooMany"
    assert main(["check", "ops.trace", "--with", option]) == 0
    for calls in ("many", "replay"):
        assert main(["check", "ops.trace", "--with", option, "--calls", calls]) == 1
        assert f"with calls='{calls}'" in capsys.readouterr().out


class OneTooMany(Model):
    """A model that counts one operation too many in batches and replays."""

    wrong = 0

    def alloc_many(self, *arguments: Any) -> Any:
        self.wrong += 1
        return super().alloc_many(*arguments)

    def replay(self, *arguments: Any, **named: Any) -> Any:
        self.wrong += 1
        return super().replay(*arguments, **named)

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "warn": self.wrong}


def test_check_with_an_allocator_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    option = f"mine={__name__}:StaleHint"
    command = ["check", "--random", "--jobs", "1", "--with", option, "--only", "model", "mine"]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "differences                  1" in out
    assert "saved as difference.trace" in out
    assert main(["check", "difference.trace", "--with", option, "--save", "again.trace"]) == 1
    assert Trace.load("difference.trace") == Trace.load("again.trace")
    assert main(["check", "difference.trace", "--save", "again.trace"]) == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "either a TRACE or --random"),
        (["x", "--random"], "either a TRACE or --random"),
        (["--random", "--with", "mine"], "NAME=MODULE:OBJECT"),
        (["--random", "--with", "mine=nowhere:It"], "No module named 'nowhere'"),
        (["--random", "--with", "mine=json:It"], "no attribute 'It'"),
        (["--random", "--only", "port", "mine"], "there are port, model"),
        (["--random", "--only", "port"], "two or more"),
        (["--random", "--jobs", "0"], "from 1 to 256 processes"),
        (["--random", "--with", "mine=os:path"], "is not a class or function"),
        (["--random", "--with", "mine=antigravity.x:y"], "cannot be imported"),
        (["--random", "--with", "port=json:loads"], "the name port is taken"),
        (["x", "--resume", "y"], "--resume requires --random"),
        (["x", "--save", "/nowhere/at/all"], "--save /nowhere/at/all"),
        (["x", "--save", "."], "--save ."),
        (["--random", "--resume", "/nowhere/at/all"], "No such file"),
        (["--random", "--operations", "0"], "operations=0"),
        (["--random", "--setup", '{"cpus": 0}'], "cpus=0"),
    ],
)
def test_check_errors_are_one_sentence(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *args]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def operations_kept(state: Path) -> int:
    kept = json.loads(state.read_text()) if state.exists() else {"totals": {"operations": 0}}
    return int(kept["totals"]["operations"])


def test_interrupted_check_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    command = [sys.executable, "-m", "percpu_ffi", "check", "--random", "--resume", str(state)]
    command += ["--operations", "60000", "--length", "100"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not operations_kept(state):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (
        130,
        f"percpu-ffi: stopped; the same command goes on from {state}\n",
    )
    assert 0 < operations_kept(state) < 60_000
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "operations                   60,000" in done.stdout


def runs(pid: str) -> bool:
    """Return whether a process has not ended yet."""
    try:
        status = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_hanging_allocator_does_not_block_the_command(tmp_path: Path, number: int) -> None:
    """Workers survived the command, and Ctrl-C waited for them."""
    (tmp_path / "sleeper.py").write_text(
        "import os, time\n"
        "from percpu_ffi import Model\n"
        "class Sleeper(Model):\n"
        "    def alloc(self, size, align=8):\n"
        "        open(str(os.getpid()) + '.pid', 'w').close()\n"
        "        time.sleep(1000)\n"
    )
    command = [sys.executable, "-m", "percpu_ffi", "check", "--random", "--jobs", "1"]
    command += ["--with", "sleeper=sleeper:Sleeper", "--only", "model", "sleeper"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not (workers := list(tmp_path.glob("*.pid"))):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(timeout=20)
    for _ in range(200):
        if not runs(workers[0].stem):
            return
        time.sleep(0.05)
    raise AssertionError("the worker still runs")


def test_totals_add_up() -> None:
    totals = Totals(cases=1, operations=10, geometries={"a"}, reach=Reach(x=1))
    totals.add(Totals(cases=2, operations=5, geometries={"a", "b"}, reach=Reach(x=2, y=1)))
    assert (totals.cases, totals.operations, len(totals.geometries)) == (3, 15, 2)
    assert totals.reach == {"x": 3, "y": 1}
