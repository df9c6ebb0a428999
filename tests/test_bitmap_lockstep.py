# SPDX-License-Identifier: GPL-2.0-only
"""Port and model in lockstep under the bitmap policy; a wrong value or a wrong rule is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from random import Random
from typing import Any

import liars
import pytest
from liars import Liar, Lie, changes, in_field, in_item

from percpu_ffi import Allocator, ConfigError, Model, State, Trace
from percpu_ffi.cli import main
from percpu_ffi.lockstep import Campaign, Mix, drive, lockstep
from percpu_ffi.lockstep.bitmap_reach import CLASSES, FOLLOWED, RULES
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.random_bitmaps import PAGE_SIZES, random_setup, random_trace
from percpu_ffi.lockstep.random_traces import PERIOD, Form
from percpu_ffi.lockstep.reach import missed
from percpu_ffi.model.bitmap import Bitmap
from percpu_ffi.reports.lockstep import campaign_text
from percpu_ffi.state import ChunkState

BOTH = {"port": Allocator, "model": Model}
BITMAP = {"policy": "bitmap"}
UNIT = 512  # bytes
SMALL: dict[str, Any] = {
    **{"policy": "bitmap", "cpus": 2, "page_size": 64, "memory": "none", "static_size": 64},
    **{"reserved_size": 64, "dyn_size": 64, "unit_size": UNIT, "balance": "manual"},
}
# two later chunks, one of them isolated; work is requested, an atomic request has failed
SCRIPT: list[Any] = [
    *(("alloc", key, 64, 64) for key in range(17)),
    ("alloc", 20, 12, 4, ("reserved",)),
    *(("free", key) for key in (1, 2, 3, 4, 5, 6, 9, 10, 11, 12)),
    ("alloc", 30, 500, 64, ("atomic",)),
    ("alloc", 31, 8, 4),
    ("balance",),
    ("alloc", 32, 8, 4),
]


def test_port_and_model_agree_on_random_operations() -> None:
    """Forty cases have every form; the campaign fails if it misses a rule."""
    totals = Campaign(BOTH, operations=PERIOD * 600, length=600, seed=1, setup=BITMAP).run()
    assert totals.difference is None, str(totals.difference)
    assert missed(totals.reach, CLASSES) == []
    assert {name for name, n in totals.reach.items() if n} <= {*CLASSES, *FOLLOWED}
    assert totals.operations >= PERIOD * 600
    assert totals.cases == PERIOD
    assert len(totals.geometries) >= PERIOD - 2
    assert totals.faults > 150
    assert totals.failures > 500
    lines = campaign_text(["port", "model"], 1, totals, "bitmap").splitlines()
    assert [line.rsplit(None, 1)[0].strip() for line in lines[-len(CLASSES) :]] == [*CLASSES]


def test_rules_are_counted_once_each() -> None:
    """The counts of six cases."""
    rules: Counter[str] = Counter()
    for seed in range(6):
        form, faults = Form(), seed % 2 == 1
        trace = random_trace(Random(seed), SMALL, 400, form=form, faults=faults, mix=Mix())
        with Model(**SMALL) as model:
            model.replay(trace)
            rules.update(model._policy.rules)
    assert +rules == {
        "longer run before the contig hint": 2140,
        "longer run, contig hint becomes scan hint": 277,
        "longer run before the scan hint": 127,
        "equal run, better aligned": 14,
        "equal run becomes the scan hint": 113,
        "shorter run becomes the scan hint": 101,
        "block refreshed from the scan hint's end": 53,
        "block refreshed from its first free granule": 1240,
        "promoted scan hint at the right edge": 2,
        "left_free kept in a refresh": 7,
        "chunk refreshed from the scan hint's end": 111,
        "chunk refreshed from first_free": 807,
        "chunk refreshed in full": 628,
        "scan hint kept in a full refresh": 82,
        "chunk does not learn a freed run": 68,
        "search skips the scan hint": 131,
        "atomic search goes on after unpopulated pages": 81,
        "hints of the blocks have no place, those of the chunk had": 11,
        "skipped run learnt": 5,
        "reserved request served": 62,
        "reserved request failed": 164,
        "atomic request failed": 89,
        "chunk made by a request": 57,
        "chunk moved to slot 0": 41,
        "request served by a sidelined chunk": 3,
        "chunk reintegrated by a request": 3,
        "area not populated": 29,
        "chunk isolated": 24,
        "chunk isolated again": 38,
        "work requested: few empty pages": 266,
        "work requested: another free chunk": 219,
        "work: chunk destroyed in step 1": 31,
        "work: empty pages depopulated": 29,
        "work: chunk sidelined": 13,
        "work: chunk reintegrated, too few empty pages": 4,
        "work: chunk reintegrated, all free": 13,
        "work: pages populated": 31,
        "work: pages for a failed atomic request": 23,
        "work: chunk made": 10,
        "work: a service failed": 6,
        "work: chunk destroyed in step 4": 5,
    }


def test_classes_differ() -> None:
    assert len({*CLASSES, *FOLLOWED}) == len(CLASSES) + len(FOLLOWED)
    assert set(RULES) <= set(CLASSES)


@pytest.mark.parametrize("calls", CALLS)
def test_flags_and_background_work(calls: str) -> None:
    assert lockstep(BOTH, Trace.from_ops(SCRIPT, SMALL), calls=calls) is None
    with Allocator(**SMALL) as port, Model(**SMALL) as model:
        assert drive({"port": port, "model": model}, SCRIPT, calls=calls) is None
        state = model.state()
        assert (state.chunks[0].id, state.chunks[0].free_size) == (-1, 52)
        assert [chunk.isolated for chunk in state.chunks[2:]] == [False, True]


def test_requests_with_flags_are_calls_of_their_own() -> None:
    """There is no batch for them; each may fail, and the others stay."""
    setup = {**SMALL, "reserved_size": 8}
    ops: list[Any] = [("alloc", key, 4, 4, ("reserved",)) for key in range(3)]
    for calls in CALLS:
        with Allocator(**setup) as port, Model(**setup) as model:
            assert drive({"port": port, "model": model}, ops, calls=calls) is None
            assert port.state().chunks[0].free_size == 0


# --- slots with many chunks, which the port passes in groups of up to 32


def long_slots(rng: Random, chunks: int, turns: int) -> Iterator[Any]:
    """Make chunks, each with an area and 36 to 120 bytes after it; then request such sizes."""
    large, small = [*range(chunks)], list[int]()
    yield from (("alloc", key, UNIT - 4 * rng.randint(9, 30), 4) for key in large)
    for key in range(chunks, chunks + turns):
        what = rng.random()
        if what < 0.02:
            yield ("balance",)
        elif what < 0.1:
            yield ("free", large.pop(rng.randrange(len(large))))
        elif what < 0.5 and small:
            yield ("free", small.pop(rng.randrange(len(small))))
        else:
            flags = [("atomic",)] if what < 0.7 else []
            yield ("alloc", key, rng.randint(36, 130), 4 << rng.randrange(5), *flags)
            small.append(key)


@pytest.mark.parametrize(("calls", "chunks", "turns"), [("single", 80, 300), ("replay", 500, 1500)])
def test_slots_with_many_chunks(calls: str, chunks: int, turns: int) -> None:
    """The port decides and counts as if it visited each chunk, as the model does."""
    lengths = []

    class Watched(Allocator):
        def state(self) -> State:
            state = super().state()
            lengths.append(max(map(len, state.slots[3:-1])))
            return state

    setup = {**SMALL, "reserved_size": 0, "cpus": 1}
    trace = Trace.from_ops(long_slots(Random(1), chunks, turns), setup)
    assert lockstep({"port": Watched, "model": Model}, trace, calls=calls) is None
    assert max(lengths) > chunks // 2


# --- what is wrong is found


def lies() -> Iterator[Lie]:
    """Yield lies about each field of a state, told at the end of the script."""
    with Allocator(**SMALL) as allocator, Model(**SMALL) as model:
        assert drive({"port": allocator, "model": model}, SCRIPT) is None
        state = allocator.state()
    for each in fields(State):
        for change in changes(getattr(state, each.name)):
            if change in ("last item", "first item") and each.name in ("chunks", "slots"):
                continue  # below
            yield Lie(f"{each.name} {change}", "state", "state", in_field(each.name, change))
    for at in range(len(state.chunks)):
        for each in fields(ChunkState):
            for change in changes(getattr(state.chunks[at], each.name)):
                tell = in_item("chunks", at, len(state.chunks), in_field(each.name, change))
                yield Lie(f"{each.name} {change} of chunk {at}", "state", "state", tell)


@pytest.mark.parametrize("lie", [pytest.param(lie, id=lie.name) for lie in lies()])
def test_wrong_value_is_found(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [op for op in SCRIPT if op[0] != "balance" and len(op) < 5]
    monkeypatch.setitem(liars.AFTER, "single", len(counted))
    party = type("Party", (Liar,), {"lie": lie})
    monkeypatch.setattr(Liar, "first", None)
    difference = lockstep({"one": Allocator, "liar": party, "two": Allocator},
                          Trace.from_ops(SCRIPT, SMALL))  # fmt: skip
    assert difference is not None
    assert (difference.aspect, difference.minority) == ("state", ("liar",))


def test_difference_shows_what_the_block_knows() -> None:
    class Shown(Allocator):
        def state(self) -> State:
            state = super().state()
            later = state.chunks[-1]
            if not later.blocks[0].first_free:
                return state
            blocks = (later.blocks[0]._replace(left_free=99), *later.blocks[1:])
            chunks = (*state.chunks[:-1], replace(later, blocks=blocks))
            return replace(state, chunks=chunks, empty_pages=77)

    trace = Trace.from_ops([("alloc", 0, 64, 64)], SMALL)
    difference = lockstep({"port": Allocator, "model": Model, "shown": Shown}, trace)
    assert difference is not None
    rows = str(difference).splitlines()
    assert "empty_pages: port 0; model 0; shown 77" in rows
    (row,) = (row for row in rows if row.startswith("chunk 0, block"))
    assert row.startswith("chunk 0, block 0: port Block(scan_hint=0,")
    assert row.count("left_free=99") == 1


class Forgetful(Bitmap):
    """Does not move a chunk to slot 0 if a fit fails."""

    def move(self, chunk: Any, slot: int, *, head: bool) -> None:
        if slot or not head:
            super().move(chunk, slot, head=head)


class Wrong(Model):
    """A model with a wrong rule."""

    POLICIES = {"bitmap": Forgetful}  # noqa: RUF012


def test_wrong_rule_is_found_and_shortened(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("percpu_ffi.cli.check.Model", Wrong)
    arguments = ["--random", "--policy", "bitmap", "--jobs=1", "--operations=20000"]
    assert main(["check", *arguments, "--calls", "single"]) == 1
    out = capsys.readouterr().out
    assert "the state" in out
    saved = Trace.load(tmp_path / "difference.trace")
    assert saved.setup["policy"] == "bitmap"
    assert lockstep({"port": Allocator, "wrong": Wrong}, saved)
    assert lockstep(BOTH, saved) is None


# --- random cases


def accepted(setup: dict[str, Any]) -> bool:
    try:
        Model(**setup).close()
    except ConfigError:
        return False
    return True


def test_random_set_ups() -> None:
    rng = Random(1)
    setups = [random_setup(rng, page, Form()) for page in PAGE_SIZES * 15]
    assert sum(map(accepted, setups)) > len(setups) // 2
    for name in ("page_limit", "fixes"):
        assert {name in setup for setup in setups} == {True, False}
    assert {setup["balance"] for setup in setups} == {"auto", "manual"}
    assert {setup["cpus"] for setup in setups} == {1, 2, 3, 4}
    assert {setup["page_size"] for setup in setups} == set(PAGE_SIZES)
    assert {bool(setup["reserved_size"]) for setup in setups} == {True, False}
    assert {bool(setup["dyn_size"]) for setup in setups} == {True, False}
    assert all(setup["unit_size"] >= 8 * setup["page_size"] for setup in setups)
    replayed = [random_setup(rng, 64, Form("replay")) for _ in range(20)]
    assert {setup["unit_size"] == 0 for setup in replayed} == {True, False}
    mapped = [random_setup(rng, 64, Form(mapped=True)) for _ in range(20)]
    assert {setup["memory"] for setup in mapped} == {"mapped"}
    assert {setup["cpus"] for setup in mapped} == {1, 2}


@pytest.mark.parametrize("form", [Form(), Form("many")])
def test_random_operations(form: Form) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(20):
        trace = random_trace(Random(seed), SMALL, 400, form=form, faults=seed % 2 == 1, mix=Mix())
        assert trace.setup == SMALL
        assert trace == random_trace(
            Random(seed), SMALL, 400, form=form, faults=seed % 2 == 1, mix=Mix()
        )
        assert 380 <= len(trace) <= 440
        kinds["faults"] += len(trace.faults)
        assert seed % 2 or not trace.faults
        for op in trace:
            kinds[op[0]] += 1
            for flag in op[4] if op[0] == "alloc" and len(op) == 5 else ():
                kinds[flag] += 1
    assert kinds["free"] > 1500
    assert kinds["faults"] > 50
    single = form.calls == "single"
    assert (kinds["balance"] > 50) == single
    assert (kinds["atomic"] > 500) == (kinds["reserved"] > 100) == single


def test_given_sizes_and_faults() -> None:
    mix = Mix(sizes=[20], aligns=[16], plans=[("map", {"nth": 3})])
    trace = random_trace(Random(1), SMALL, 200, form=Form(), faults=True, mix=mix)
    assert trace[0] == ("inject", "map", {"nth": 3})
    assert len(trace.faults) == 1
    requests = {op[2:4] for op in trace if op[0] == "alloc"}
    assert (20, 16) in requests
    assert len(requests - {(20, 16)}) <= 3  # refused ones


def test_campaign_of_given_sizes_has_no_deep_case() -> None:
    for given, deep in (({}, True), ({"balance": "manual"}, True), ({"cpus": 1}, False)):
        campaign = Campaign(BOTH, length=500, setup={**BITMAP, **given})
        ops: list[Any] = list(campaign.case(37))
        page = ops[0][2]
        begins = [("alloc", 0, page, page), ("alloc", 1, page, page)]
        assert (ops[:2] == begins) == deep
        assert campaign.calls_of(17) == "many"
    assert Campaign(BOTH, setup={"cpus": 1}).policy == "area-map"


SHORT = [
    (seed, fixes) for seed in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10) for fixes in ([], ["chunk-hint"])
]


@pytest.mark.parametrize(("seed", "fixes"), SHORT)
def test_short_case(seed: int, fixes: list[str]) -> None:
    """Tiny pages, and every state is compared."""
    rng = Random(seed)
    setup = {**random_setup(rng, 64, Form()), "fixes": fixes}
    trace = random_trace(rng, setup, 250, form=Form(), faults=seed % 2 == 1, mix=Mix())
    assert lockstep(BOTH, trace) is None


def test_three_cases_reach_every_rule() -> None:
    """The model notes a rule where it applies; a campaign asserts the same of many cases."""
    reached: Counter[str] = Counter()
    for seed, form in ((24, Form()), (31, Form()), (1, Form(deep="map"))):
        rng = Random(seed)
        setup = random_setup(rng, 64, form)
        trace = random_trace(rng, setup, 400, form=form, faults=seed % 2 == 1, mix=Mix())
        with Allocator(**setup) as port, Model(**setup) as model:
            assert drive({"port": port, "model": model}, list(trace)) is None
            reached += model._policy.rules
    assert set(RULES) <= set(reached)
