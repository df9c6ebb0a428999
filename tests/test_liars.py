# SPDX-License-Identifier: GPL-2.0-only
"""The comparison is not blind: it finds every lie, and with a blind spot put in it does not.

``make liars`` prints the whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import liar_matrix
import liars
import pytest
from conftest import TINY
from liar_matrix import ENTRIES, PLACES, cell
from liars import Lie
from upstream import check

from percpu_ffi import Allocator, Model, State, Trace, WorkByCall
from percpu_ffi.config import SERVICES
from percpu_ffi.lockstep import ASPECTS, Campaign, Totals, lockstep, shorten
from percpu_ffi.lockstep import campaign as campaign_module
from percpu_ffi.lockstep import difference as difference_module
from percpu_ffi.lockstep import driver as driver_module
from percpu_ffi.lockstep import party as party_module
from percpu_ffi.lockstep.contents import Contents
from percpu_ffi.lockstep.driver import Driver
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.reach import CLASSES, Reach
from percpu_ffi.state import ChunkState
from percpu_ffi.work import Work

RECORDINGS, RUN = check.recordings, check.run  # replaced in the tests below

LIES = {lie.name: lie for lie in liars.lies()}


@pytest.fixture(autouse=True)
def _here() -> Iterator[None]:
    with liar_matrix.in_this_process():
        yield


def gaps(cells: list[tuple[Lie, str, int]]) -> list[str]:
    found = ((lie, entry, place, cell(lie, entry, place)) for lie, entry, place in cells)
    return [f"{lie.name}, {entry}, {place}: {text}" for lie, entry, place, text in found if text]


def test_every_lie_is_found() -> None:
    """By lockstep and by one of the other entry points in turn, in places in turn."""
    others = [entry for entry in ENTRIES if entry not in ("lockstep", "drive")]
    cells = []
    for number, lie in enumerate(LIES.values()):
        cells.append((lie, "lockstep", PLACES[number % 3]))
        cells.append((lie, others[number % 4], PLACES[number // 4 % 3]))
    assert gaps(cells) == []


def test_every_entry_point_finds_every_aspect_in_every_place() -> None:
    kinds = {(lie.aspect, lie.calls, lie.setup is liars.REAL): lie for lie in LIES.values()}
    assert {aspect for aspect, _, _ in kinds} == set(ASPECTS)
    assert {calls for _, calls, _ in kinds} == set(CALLS)
    cells = [
        (lie, entry, place)
        for lie in kinds.values()
        for entry in ENTRIES
        for place in PLACES
        if (lie.method, entry) != ("close", "drive")
    ]
    assert gaps(cells) == []


def test_there_is_a_lie_for_each_field_service_count_and_slot() -> None:
    rows = "\n".join(LIES)
    for each in fields(ChunkState):
        for chunk in ("first", "middle", "last"):
            assert f"{each.name} of the {chunk} chunk" in rows
    for service in SERVICES:
        assert f"calls of {service}" in LIES
    for call in fields(WorkByCall):
        for count in fields(Work):
            assert f"{count.name} of {call.name}" in LIES
    with Allocator(**liars.SMALL) as allocator:
        assert len(allocator.state().slots) == liars.NR_SLOTS
    for slot in range(liars.NR_SLOTS):
        assert f"slot {slot}, an item more" in LIES


def test_matrix_shows_a_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(liar_matrix, "CASES", 1)
    monkeypatch.delenv("PERCPU_C", raising=False)
    some = [LIES["pointer"], LIES["close"]]
    monkeypatch.setattr(liar_matrix, "lies", lambda: some)
    assert liar_matrix.main() == 0
    assert "2 lies, 36 cells, 0 gaps" in capsys.readouterr().out
    monkeypatch.setattr(
        liar_matrix, "lies", lambda: [replace(some[0], tell=lambda right, _: right)]
    )
    assert liar_matrix.main() == 1
    out = capsys.readouterr().out
    assert "18 gaps" in out
    assert "pointer, drive, party 2: it was not told" in out


# --- blind spots, put in


def ignoring(kind: type[Any], name: str) -> Callable[[Any, object], bool]:
    """Return an ``__eq__`` of a dataclass that does not compare a field."""
    names = [each.name for each in fields(kind) if each.name != name]

    def equal(self: Any, other: object) -> bool:
        return all(getattr(self, each) == getattr(other, each) for each in names)

    return equal


@pytest.mark.parametrize(
    ("kind", "name", "lie"),
    [
        *((ChunkState, f.name, f"{f.name} of the last chunk") for f in fields(ChunkState)),
        *((State, f.name, f.name) for f in fields(State)),
        *((Work, f.name, f"{f.name} of alloc") for f in fields(Work)),
        *((WorkByCall, f.name, f"operations of {f.name}") for f in fields(WorkByCall)),
    ],
)
def test_field_that_is_not_compared(
    kind: type[Any], name: str, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "__eq__", ignoring(kind, name))
    ways = (lie, f"{lie}, last item", f"{lie}, an item less", f"{lie}, an item more")
    found = next(LIES[way] for way in ways if way in LIES)
    assert cell(found, "lockstep", 3) == "it was not found"


def narrowed(narrow: Callable[[str, Any], Any]) -> Callable[[Any, str], Any]:
    """Return ``inspect()`` with narrower results."""
    inspect = party_module.inspect
    return lambda allocator, method: narrow(method, inspect(allocator, method))


def half_of_the_services(method: str, result: Any) -> Any:
    return dict(list(result.items())[:7]) if method == "counters" else result


def first_chunk(method: str, result: Any) -> Any:
    return replace(result, chunks=result.chunks[:1]) if method == "state" else result


def last_chunk(method: str, result: Any) -> Any:
    return replace(result, chunks=result.chunks[-1:]) if method == "state" else result


@pytest.mark.parametrize(
    ("narrow", "lie"),
    [
        (half_of_the_services, "calls of warn"),
        (first_chunk, "free_size of the last chunk"),
        (last_chunk, "free_size of the first chunk"),
        (last_chunk, "free_size of the middle chunk"),
    ],
)
def test_part_that_is_not_compared(
    narrow: Callable[[str, Any], Any], lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "inspect", narrowed(narrow))
    assert cell(LIES[lie], "lockstep", 2) == "it was not found"


def change_driver(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any, Any], Any]) -> None:
    """Let each driver get other allocators and aspects."""
    make = Driver.__init__

    def init(self: Driver, allocators: Any, compare: Any, *more: Any) -> None:
        make(self, *change(allocators, compare), *more)

    monkeypatch.setattr(Driver, "__init__", init)


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_aspect_that_is_not_compared(
    aspect: str, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"errors": "InvalidRequest, another text", "pointers": "pointer 0",
             "state": "slot 7, an item more", "counters": "calls of warn",
             "work": "operations of free"}  # fmt: skip
    change_driver(monkeypatch, lambda some, compare: (some, set(compare) - {aspect}))
    assert cell(LIES[names[aspect]], entry, 3)


@pytest.mark.parametrize("entry", ["Campaign", "check --random", "check-upstream"])
def test_campaign_that_compares_less(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver_module.run

    def run_less(factories: Any, trace: Any, compare: Any, *more: Any) -> Any:
        return run(factories, trace, compare[:3], *more)

    monkeypatch.setattr(campaign_module, "run", run_less)
    assert cell(LIES["calls of warn"], entry, 3)
    assert cell(LIES["operations of free"], entry, 1)


@pytest.mark.parametrize("entry", ENTRIES)
def test_party_that_is_not_compared(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change_driver(monkeypatch, lambda some, compare: (dict(list(some.items())[:2]), compare))
    assert cell(LIES["pointer"], entry, 3) in ("it was not found", "it was not told")


def test_every_other_operation_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compare, calls = Driver._compare, []

    def sometimes(self: Driver, step: Any) -> Any:
        calls.append(step)
        return compare(self, step) if len(calls) % 2 else None

    monkeypatch.setattr(Driver, "_compare", sometimes)
    found = [cell(LIES["calls of warn"], "lockstep", 2) for _ in range(2)]
    assert "it was found 1 calls late" in found


def test_other_party_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "minority", lambda names, _values: names[:1])
    assert "of one were reported" in cell(LIES["pointer"], "lockstep", 3)
    monkeypatch.setattr(driver_module, "minority", difference_module.minority)
    assert cell(LIES["pointer"], "lockstep", 3) == ""


@pytest.mark.parametrize("lie", [name for name in LIES if name.startswith("contents")])
def test_contents_that_are_not_compared(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contents, "write", lambda *_: None)
    monkeypatch.setattr(Contents, "verify", lambda *_: None)
    assert cell(LIES[lie], "lockstep", 3) == "it was not told"  # no view is taken


@pytest.mark.parametrize("lie", [name for name in LIES if name.endswith(" of replay")])
def test_replay_whose_result_is_not_compared(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "first_difference", lambda *_: None)
    assert cell(LIES[lie], "lockstep", 3) == "it was not found"


# --- values that are the same, and those that are not


class Odd(Model):
    """A model whose answers have other types."""

    change: Callable[[State], State]

    def state(self) -> State:
        return type(self).change(super().state())


def with_chunk(**changes: Callable[[Any], Any]) -> type[Odd]:
    def change(state: State) -> State:
        chunk = state.chunks[0]
        wrong = {name: of(getattr(chunk, name)) for name, of in changes.items()}
        return replace(state, chunks=(replace(chunk, **wrong),))

    return type("OddModel", (Odd,), {"change": staticmethod(change)})


def test_numbers_are_compared_by_value_and_a_list_is_no_tuple() -> None:
    trace = Trace.from_ops([("alloc", 1, 8, 8)], TINY)
    for same in (with_chunk(immutable=int), with_chunk(free_size=float)):
        assert lockstep({"port": Allocator, "odd": same}, trace) is None
    for other in (with_chunk(map=list), with_chunk(populated=list), with_chunk(free_size=str)):
        difference = lockstep({"port": Allocator, "odd": other}, trace)
        assert difference
        assert difference.aspect == "state"


# --- check-upstream, with other allocators in the place of the witness


class Late(Model):
    """A model that counts one page too many after some operations."""

    def counters(self) -> dict[str, int]:
        calls = super().counters()
        return {**calls, "alloc_page": calls["alloc_page"] + (sum(calls.values()) > 60)}


def test_recordings_are_compared(tmp_path: Path) -> None:
    ops = [("alloc", key, 4000, 8) for key in range(40)]
    Trace.from_ops(ops).save(tmp_path / "a.trace")
    Trace.from_ops(ops[:1]).save(tmp_path / "b.trace")
    good = RECORDINGS({"witness": Model, "port": Allocator}, tmp_path)
    assert (good.difference, good.cases, good.operations) == (None, 6, 3 * 41)
    assert good.geometries == {"4k", "embed", "remap"}
    liar_first: dict[str, Any] = {"witness": Late, "port": Allocator}
    liar_second: dict[str, Any] = {"witness": Model, "port": Late}
    for parties in (liar_first, liar_second):
        bad = RECORDINGS(parties, tmp_path)
        assert bad.difference
        assert bad.difference.aspect == "counters"


def test_difference_of_a_campaign_is_shortened_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "shorten", shorten)
    parties: dict[str, Any] = {"witness": Late, "port": Allocator, "model": Model}
    totals = RUN(Campaign(parties, 1, length=200, setup=TINY), tmp_path / "progress")
    assert totals.difference
    saved = Trace.load(tmp_path / "difference.trace")
    short = lockstep(parties, saved)
    assert short
    assert len(saved) <= len(totals.difference.trace)
    out = capsys.readouterr().out
    assert "the counters of witness differ after" in str(short)
    assert str(short).splitlines()[0] in out
    assert "\nsaved as difference.trace" in out
    assert (tmp_path / "progress" / "3-parties.json").exists()


def test_check_upstream_drives_witness_port_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    campaigns = []

    def run(campaign: Any, keep: Any) -> Totals:
        campaigns.append(campaign)
        return Totals(operations=campaign.operations)

    monkeypatch.setattr(check, "run", run)
    monkeypatch.setattr(check, "recordings", lambda parties: Totals(cases=len(parties)))
    monkeypatch.setattr(check, "build", lambda *_: tmp_path)
    monkeypatch.setattr("sys.argv", ["check.py", "percpu.c", "--operations", "1000", "--seed", "5"])
    assert check.main() == 1
    two, three = campaigns
    assert list(two.factories) == ["witness", "port"]
    assert three.factories == {**two.factories, "model": Model}
    assert two.factories["port"] is Allocator
    assert (two.operations, three.operations, two.seed, three.seed) == (1000, 100, 5, 6)
    assert two.setup == {}  # both rollbacks
    assert two.compare == three.compare == ASPECTS
    assert "not reached: first chunk 4k, " in capsys.readouterr().out


@pytest.mark.parametrize("ways", [{}, {"difference": 1}, {"missing": "rollback, default"}])
def test_status_of_check_upstream(ways: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 0 needs each class in some run, and no difference in any."""
    missing = ways.get("missing", "")
    trace = Trace.from_ops([("alloc", key, 900, 8) for key in range(9)], TINY)
    difference = lockstep({"a": Allocator, "b": Late}, trace)
    assert difference
    totals = iter(
        [
            Totals(reach=Reach({name: 1 for name in CLASSES if name != missing})),
            Totals(),
            Totals(difference=difference if ways.get("difference") else None),
        ]
    )
    monkeypatch.setattr(check, "run", lambda *_: next(totals))
    monkeypatch.setattr(check, "recordings", lambda *_: next(totals))
    parties: dict[str, Any] = {"witness": Model, "port": Allocator, "model": Model}
    assert check.compare(parties, 1000, 0) == (not ways)
