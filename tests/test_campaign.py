# SPDX-License-Identifier: GPL-2.0-only
"""A campaign: its arguments, its cases, how it runs them, and the file that it goes on from."""

from __future__ import annotations

import json
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from liar_matrix import Here, Lazy

from percpu_ffi import Allocator, ConfigError, Model, PercpuError, Trace
from percpu_ffi.lockstep import ASPECTS, Campaign, Difference, Mix, Totals
from percpu_ffi.lockstep import campaign as campaign_module
from percpu_ffi.lockstep.campaign import run_task
from percpu_ffi.lockstep.driver import Outcome
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.lockstep.random_traces import PAGE_SIZES, Form
from percpu_ffi.lockstep.reach import Reach

BOTH: dict[str, Any] = {"port": Allocator, "model": Model}
MOST = (1 << 63) - 1


# --- arguments


def with_argument(name: str, value: Any) -> Campaign:
    return Campaign(**{"factories": BOTH, name: value})


def test_default_arguments() -> None:
    campaign = Campaign(BOTH)
    assert {field.name: getattr(campaign, field.name) for field in fields(campaign)} == {
        "factories": BOTH,
        "operations": 100_000,
        "seed": 0,
        "length": 1000,
        "faults": 1 / 3,
        "setup": {},
        "mix": Mix(),
        "compare": ASPECTS,
        "calls": CALLS,
    }
    assert Totals() == Totals(0, 0, 0, 0, set(), Reach(), None)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("operations", 1, MOST), ("length", 1, 1_000_000), ("seed", 0, MOST)],
)
def test_least_and_most_of_each_number(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(with_argument(name, value), name) == value
    for wrong in (least - 1, most + 1, "x"):
        with pytest.raises(ConfigError) as caught:
            with_argument(name, wrong)
        words = f"{name}={wrong!r}: an integer from {least} to {most} is needed"
        assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("factories", 3, "factories=3: a mapping of names to allocators is needed"),
        ("compare", 3, "compare=3: a tuple of aspects is needed"),
        ("calls", 3, "calls=3: some of single, many, replay is needed"),
        ("mix", 3, "mix=3: a Mix is needed"),
        ("faults", "x", "faults='x': a share from 0 to 1 of the cases is needed"),
        ("faults", 1.5, "faults=1.5: a share from 0 to 1 of the cases is needed"),
        ("faults", -0.5, "faults=-0.5: a share from 0 to 1 of the cases is needed"),
        ("calls", (), "calls=(): choose from single, many, replay"),
        ("calls", ("single", "x"), "calls=('single', 'x'): choose from single, many, replay"),
    ],
)
def test_wrong_arguments_are_named(name: str, wrong: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_argument(name, wrong)
    assert str(caught.value) == words


def test_wrong_arguments_of_methods_are_named(tmp_path: Path) -> None:
    campaign: Any = Campaign(BOTH, operations=10, length=1)
    with pytest.raises(ConfigError, match="number='x': an integer is needed"):
        campaign.case("x")
    for wrong, words in (
        ({"executor": 3}, r"executor=3: an object with submit\(\), as in concurrent.futures, is"),
        ({"progress": 3}, "progress=3: a function of a number, or None, is needed"),
        ({"state": 3}, "path=3: a str or Path"),
    ):
        with pytest.raises(ConfigError, match=words):
            campaign.run(**{"executor": Here(), **wrong})
    assert not list(tmp_path.iterdir())


# --- cases


@pytest.mark.parametrize("share", [0, 1 / 3, 0.5, 1])
def test_faults_are_set_in_a_share_of_the_cases(share: float) -> None:
    """Of those of each form, too."""
    mix = Mix(plans=[("map", {"nth": 1})])
    campaign = Campaign(BOTH, length=1, faults=share, mix=mix, seed=5)
    with_faults = [bool(campaign.case(number).faults) for number in range(160)]
    assert abs(sum(with_faults) - share * 160) <= 1
    for turn in range(4):
        assert abs(sum(with_faults[turn::4]) - share * 40) <= 2


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"setup": {"quirks": []}}, True),
        ({"setup": {"cpus": 2}}, False),
        ({"mix": Mix(sizes=[8])}, False),
        ({"mix": Mix(aligns=[8])}, False),
        ({"mix": Mix(plans=[("map", {"nth": 1})])}, True),
        ({"length": 10}, True),
    ],
)
def test_cases_that_choose_their_set_up_and_sizes_are_left_out_where_these_are_given(
    given: dict[str, Any], is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that grow far, and those with real memory."""

    def form_of_case(
        _rng: Any, setup: Any, length: int, *, form: Form, faults: bool, mix: Mix
    ) -> Any:
        assert (length, mix) == (campaign.length, campaign.mix)
        assert (setup["memory"] == "mapped") == form.mapped
        assert isinstance(faults, bool)
        return form

    monkeypatch.setattr(campaign_module, "random_trace", form_of_case)
    campaign = Campaign(BOTH, **given)
    long = is_open and campaign.length == 1000
    assert [campaign.case(number) for number in (0, 2, 3, 17, 37)] == [
        Form("single"),
        Form("replay"),
        Form("single", mapped=is_open),
        Form("many", "map" if long else ""),
        Form("many", "chunks" if long else ""),
    ]
    assert [campaign.calls_of(number) for number in (0, 1, 2)] == ["single", "many", "replay"]


def test_sizes_of_pages_come_in_turn() -> None:
    """Each as often as it is listed, in another order each time."""
    turns = []
    for seed in (0, 1):
        campaign = Campaign(BOTH, length=1, seed=seed, setup={"nodes": 1})
        pages = [campaign.case(number).setup["page_size"] for number in range(60)]
        turns += [pages[:20], pages[20:40], pages[40:]]
    assert [sorted(turn) for turn in turns] == [sorted(PAGE_SIZES)] * 6
    assert len(set(map(tuple, turns))) == 6


def test_case_depends_on_the_seed_and_the_number() -> None:
    campaign = Campaign(BOTH, seed=3, length=20)
    other = Campaign(BOTH, seed=4, length=20)
    cases = [repr((c.setup, list(c))) for n in range(40) for c in (campaign.case(n), other.case(n))]
    assert len(set(cases)) == 80


# --- how it runs


def outcome(difference: Any = None, failures: int = 0, **reach: int) -> Outcome:
    return Outcome(difference, failures, Reach(reach))


def difference_after(trace: Trace, operations: int) -> Difference:
    short = Trace.from_ops(list(trace)[:operations], trace.setup)
    return Difference(short, "state", ("port", "model"), ("", ""), ("model",))


class Runs:
    """Takes the place of run(): notes the cases, and finds a difference in one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, differs: int | None = None) -> None:
        self.cases: list[Any] = []
        self.differs = differs
        monkeypatch.setattr(campaign_module, "run", self)

    def __call__(self, factories: Any, trace: Trace, compare: Any, calls: str) -> Outcome:
        number = len(self.cases)
        self.cases.append((factories, trace, compare, calls))
        if number == self.differs:
            return outcome(difference_after(trace, 2), 5, x=1)
        return outcome(None, 3, x=1, y=2)


def test_task_runs_ten_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(monkeypatch)
    campaign = Campaign(BOTH, length=5, seed=3, faults=1, mix=Mix(plans=[("map", {"nth": 1})]))
    totals = run_task(campaign, 2)
    assert [(factories, compare) for factories, _, compare, _ in runs.cases] == [
        (BOTH, ASPECTS)
    ] * 10
    assert [trace for _, trace, _, _ in runs.cases] == [campaign.case(n) for n in range(20, 30)]
    assert [calls for *_, calls in runs.cases] == [campaign.calls_of(n) for n in range(20, 30)]
    assert (totals.cases, totals.operations, totals.faults, totals.failures) == (10, 60, 10, 30)
    assert (totals.reach, totals.difference) == ({"x": 10, "y": 20}, None)
    assert len(totals.geometries) == 10


def test_task_ends_with_the_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its case, the operations up to it count."""
    runs = Runs(monkeypatch, differs=2)
    campaign = Campaign(BOTH, length=5, faults=1, mix=Mix(plans=[("map", {"nth": 1})]))
    totals = run_task(campaign, 0)
    assert totals.difference
    assert len(runs.cases) == totals.cases == 3
    assert (totals.operations, totals.faults, totals.failures) == (6 + 6 + 2, 3, 11)
    assert totals.reach == {"x": 3, "y": 4}


def test_geometry_is_a_hash_of_the_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the order of its arguments."""
    Runs(monkeypatch)

    def geometries(**setup: Any) -> set[str]:
        case = Trace.from_ops([], setup)
        monkeypatch.setattr(Campaign, "case", lambda *_: case)
        return run_task(Campaign(BOTH), 0).geometries

    (one,) = geometries(cpus=2, page_size=64)
    assert {one} == geometries(page_size=64, cpus=2)
    assert {one} != geometries(cpus=3, page_size=64)
    assert len(bytes.fromhex(one)) == 8


def test_campaign_ends_with_the_task_of_the_first_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = Runs(monkeypatch, differs=14)
    steps: list[int] = []
    totals = Campaign(BOTH, 1000, length=5, faults=0).run(Here(), progress=steps.append)
    assert totals.difference
    assert totals.difference.trace == Trace.from_ops(
        list(runs.cases[-1][1])[:2], runs.cases[-1][1].setup
    )
    assert len(runs.cases) == totals.cases == 15
    assert steps == [0, 50, 22]
    assert totals.operations == 72


class Queue(Executor):
    """Runs a task when its result is needed; notes how many wait."""

    def __init__(self, workers: int) -> None:
        self._max_workers = workers
        self.futures: list[Lazy] = []
        self.most = 0

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Future[Any]:
        """Return a future that runs the task."""
        self.futures.append(Lazy(lambda: function(*args)))
        self.most = max(self.most, sum(not future.done() for future in self.futures))
        return self.futures[-1]


def test_all_workers_have_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    Runs(monkeypatch)
    queue = Queue(32)
    totals = Campaign(BOTH, 1000, length=1).run(queue)
    assert queue.most == 32 + 8
    assert (len(queue.futures), totals.cases) == (100, 1000)


def test_tasks_that_wait_are_cancelled_after_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    Runs(monkeypatch, differs=0)
    queue = Queue(2)
    assert Campaign(BOTH, 1000, length=1).run(queue).difference
    assert [future.cancelled() for future in queue.futures] == [False, True, True, True]


def test_lost_worker_names_the_cases(tmp_path: Path) -> None:
    """Also those of a campaign that was resumed."""

    class Loses(Here):
        def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
            if args[-1] != 4:
                return super().submit(function, *args, **named)
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("it died"))
            return future

    state = tmp_path / "state"
    campaign = Campaign(BOTH, 1000, length=1, seed=6)
    for _ in range(2):
        with pytest.raises(PercpuError) as caught:
            campaign.run(Loses(), state=state)
        assert saved_tasks(state) == 4
        assert str(caught.value) == (
            "a worker was lost 3 times in the cases 40 to 49 of seed 6 (it died); run them one by "
            "one, with the same arguments and --case 40 to --case 49, or with Campaign.case()"
        )
        assert isinstance(caught.value.__cause__, BrokenExecutor)


# --- the file


def saved_tasks(state: Path) -> int:
    return int(json.loads(state.read_text())["done"])


def test_file_of_a_campaign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Runs(monkeypatch)
    state = tmp_path / "state"
    mix = Mix(sizes=[8], plans=[("map", {"nth": 2})])
    totals = Campaign(BOTH, 20, length=1, seed=4, faults=0, setup={"cpus": 2}, mix=mix).run(
        Here(), state=str(state)
    )
    assert json.loads(state.read_text()) == {
        "format": campaign_module.FORMAT,
        "campaign": {
            "parties": ["port", "model"],
            "operations": 20,
            "seed": 4,
            "length": 1,
            "faults": 0,
            "setup": {"cpus": 2},
            "mix": {"sizes": [8], "aligns": [], "plans": [["map", {"nth": 2}]]},
            "compare": list(ASPECTS),
            "calls": list(CALLS),
        },
        "done": 2,
        "totals": {
            **{"cases": 20, "operations": 20, "faults": 0, "failures": 60},
            "geometries": sorted(totals.geometries),
            "reach": {"x": 20, "y": 40},
        },
    }
    assert len(totals.geometries) > 10


def test_file_is_written_at_the_start(tmp_path: Path) -> None:
    """So that a file that cannot be written is known before the work is done."""

    class Stops(Queue):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            seen.append(saved_tasks(state))
            raise KeyboardInterrupt

    seen: list[int] = []
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        Campaign(BOTH, 10, length=1).run(Stops(1), state=state)
    assert seen == [0]


@pytest.mark.parametrize(("step", "kept"), [(1.5, [0, 0, 1, 2, 3]), (0.6, [0, 0, 0, 2, 2])])
def test_file_is_written_every_second(
    step: float, kept: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here a task takes ``step`` seconds."""
    Runs(monkeypatch)
    now, seen, state = [100.0], list[int](), tmp_path / "state"
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(campaign_module, "time", clock)

    def progress(_operations: int) -> None:
        seen.append(saved_tasks(state))
        now[0] += step if len(seen) > 1 else 0

    Campaign(BOTH, 40, length=1).run(Here(), progress=progress, state=state)
    assert seen == kept
    assert saved_tasks(state) == 4


def test_saving_a_large_file_takes_a_small_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A task takes 3 seconds here, and a save takes one: so 20 s and more lie between saves."""
    Runs(monkeypatch)
    now, saves = [100], list[int]()
    monkeypatch.setattr(campaign_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def save(*_: Any) -> None:
        saves.append(now[0])
        now[0] += 1

    def progress(_operations: int) -> None:
        now[0] += 3

    monkeypatch.setattr(Campaign, "_save", save)
    Campaign(BOTH, 180, length=1).run(Here(), progress=progress, state=tmp_path / "state")
    start, *between, _end = saves
    assert start == 100
    assert between == [107, 129, 151]


def test_resumed_campaign_finds_the_difference_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is that of the last task without it."""
    monkeypatch.setattr(campaign_module, "SAVE_EVERY", -1)
    monkeypatch.setattr(campaign_module, "SAVE_SHARE", float("inf"))
    state = tmp_path / "state"
    campaign = Campaign(BOTH, 1000, length=3, faults=0)
    Runs(monkeypatch, differs=24)
    first = campaign.run(Here(), state=state)
    assert saved_tasks(state) == 2
    again = Runs(monkeypatch, differs=4)
    assert campaign.run(Here(), state=state) == first
    assert len(again.cases) == 5


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda saved: saved["totals"].update(cases=7), "ValueError: 7 cases in 1 task"),
        (lambda saved: saved.update(done=0), "ValueError: 10 cases in 0 tasks"),
        (lambda saved: (saved.update(done=2), saved["totals"].update(cases=20)),
         "ValueError: 20 cases in 2 tasks"),
        (lambda saved: saved.pop("campaign"), "KeyError: 'campaign'"),
        (lambda saved: saved.update(done="1"), "TypeError: "),
        (lambda saved: saved.update(campaign=3), "TypeError: "),
        (lambda saved: saved["totals"].update(faults=0.5), "TypeError: "),
        (lambda saved: saved["totals"].update(reach=[]), "AttributeError: "),
        (lambda saved: saved["totals"].update(reach={"x": "y"}), "TypeError: "),
        (lambda _saved: NESTED, "RecursionError: "),
        (lambda _saved: "{", "JSONDecodeError: "),
        (lambda _saved: "[]", "TypeError: "),
        (lambda _saved: b"\xff", "UnicodeDecodeError: "),
    ],
)  # fmt: skip
def test_file_without_a_campaign(change: Any, words: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    campaign = Campaign(BOTH, operations=10, length=1)
    campaign.run(Here(), state=state)
    saved = json.loads(state.read_text())
    text = change(saved)
    raw = text.encode() if isinstance(text, str) else text
    state.write_bytes(raw if isinstance(raw, bytes) else json.dumps(saved).encode())
    with pytest.raises(ConfigError) as caught:
        campaign.run(Here(), state=state)
    message = str(caught.value)
    assert message.startswith(f"{state} holds no campaign ({words}")
    assert message.endswith("); name another file, or remove it")


@pytest.mark.parametrize("version", [None, campaign_module.FORMAT - 1, "x"])
def test_file_of_another_version(version: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    campaign = Campaign(BOTH, operations=10, length=1)
    campaign.run(Here(), state=state)
    saved = json.loads(state.read_text())
    state.write_text(json.dumps({**saved, "format": version}))
    with pytest.raises(ConfigError) as caught:
        campaign.run(Here(), state=state)
    assert str(caught.value) == (
        f"{state} holds a campaign of another version, whose cases are other traces; name another "
        "file, or remove it"
    )


def test_file_of_a_campaign_with_other_arguments(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Campaign(BOTH, operations=10, length=1).run(Here(), state=state)
    with pytest.raises(ConfigError) as caught:
        Campaign(BOTH, operations=10, length=2, seed=3).run(Here(), state=state)
    assert str(caught.value) == (
        f"{state} belongs to a campaign with other seed, length; go on with the same arguments, or "
        "name another file"
    )


def test_totals_of_the_file_are_added_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Two(Here):
        def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
            if args[-1] == 3:
                raise KeyboardInterrupt
            return super().submit(function, *args, **named)

        _max_workers = 1  # and two tasks that wait

    runs, state = Runs(monkeypatch), tmp_path / "state"
    campaign = Campaign(BOTH, 50, length=1, faults=0)
    with pytest.raises(KeyboardInterrupt):
        campaign.run(Two(), state=state)
    done = len(runs.cases)
    steps: list[int] = []
    totals = campaign.run(Here(), state=state, progress=steps.append)
    assert (done, steps) == (10, [10, 10, 10, 10, 10])
    assert [trace for _, trace, _, _ in runs.cases] == [campaign.case(n) for n in range(50)]
    assert (totals.cases, totals.operations, totals.failures) == (50, 50, 150)
    assert totals.reach == {"x": 50, "y": 100}


def test_first_difference_of_totals_is_kept() -> None:
    one, two = (difference_after(Trace.from_ops([("free", n)]), 1) for n in range(2))
    totals = Totals(difference=one)
    totals.add(Totals(difference=two))
    assert totals.difference is one
    other = Totals(1, 2, 3, 4)
    other.add(Totals(10, 20, 30, 40, difference=two))
    assert other == Totals(11, 22, 33, 44, difference=two)
