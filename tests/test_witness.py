# SPDX-License-Identifier: GPL-2.0-only
"""``check --against kernel``: bad input, and recordings that lack something.

The recordings here are the port's own, by ``trace_to()``: what the policy chose, it predicts.
"""

from __future__ import annotations

import io
import json
import random
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NETNS, SAMPLES

from percpu_ffi import Allocator, Trace
from percpu_ffi.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIKE = "percpu: Embedded 10 pages/cpu s8192 r8192 d24576 u65536\n"
SETUP: dict[str, Any] = {
    "policy": "bitmap",
    "cpus": 1,
    "static_size": 8192,
    "reserved_size": 8192,
    "dyn_size": 24576,
    "unit_size": 65536,
    "page_size": 4096,
    "memory": "none",
}
BOOT = ("--start", "boot")


@pytest.fixture(scope="module")
def recorded() -> str:
    """Return a recording of 400 operations, in which 3 chunks are created and some destroyed."""
    text, rng, live = io.StringIO(), random.Random(16), list[int]()
    with Allocator(**SETUP) as a, a.trace_to(text):
        for step in range(400):
            if live and rng.random() < (0.3 if step < 200 else 0.7):
                a.free(live.pop(rng.randrange(len(live))))
            else:
                live.append(a.alloc(rng.choice([4, 16, 80, 1000, 9000]), rng.choice([4, 8, 64])))
        a.free_many(live)
    return text.getvalue()


class Checker:
    """Runs ``percpu-ffi check`` on a text."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.like = folder / "boot.txt"
        self.like.write_text(LIKE)
        self.path = folder / "t.ftrace"
        self.capsys = capsys

    def __call__(self, text: str, *options: str, like: bool = True) -> tuple[int, str, str]:
        """Return the exit status, standard output and the messages."""
        self.path.write_text(text)
        more = ["--like", str(self.like)] if like else []
        status = main(["check", str(self.path), "--against", "kernel", *more, *options])
        return (status, *self.capsys.readouterr())

    def json(self, text: str, *options: str) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        found: dict[str, Any] = json.loads(self(text, "--json", *options)[1])
        return found


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, capsys)


@pytest.mark.parametrize("start", [(), BOOT])
def test_own_recording_is_predicted(recorded: str, check: Checker, start: tuple[str, ...]) -> None:
    """Both starts are the true one: nothing in use."""
    status, shown, messages = check(recorded, *start)
    assert (status, messages) == (0, "")
    found = check.json(recorded, *start)
    assert found["start"] == ("boot" if start else "inferred")
    assert found["choices"] == found["chunk_and_offset"] == found["offset_given_chunk"] > 150
    assert found["in_new_chunks"]["choices"] == found["in_new_chunks"]["chunk_and_offset"] > 50
    made, gone = found["chunks_made"], found["chunks_destroyed"]
    assert made["seen"] == made["foretold"] >= 3
    assert gone["seen"] == gone["foretold"] >= 2
    assert f"chunks created             {made['seen']:>9}   {made['seen']} of them" in shown


def test_missed_choice_is_exit_status_1(check: Checker) -> None:
    """The policy chooses the place of the third area for the second."""
    text = io.StringIO()
    with Allocator(**SETUP) as a, a.trace_to(text):
        a.alloc_many([64, 64, 64])
    second, third = (f" off={offset} ptr=" for offset in (64, 128))
    moved = (
        text.getvalue().replace(second, " off= ").replace(third, second).replace(" off= ", third)
    )
    for options in ((), ("--json",)):
        status, shown, messages = check(moved, *BOOT, *options)
        assert (status, messages) == (1, "")
        assert ('"misses": [\n    1\n  ]' in shown) == bool(options)
        assert ("the first miss is operation 1, " in shown) == (not options)


def test_progress_is_shown(check: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar counts operations; 4,096 steps at a time are reported."""
    shown: list[Any] = []

    @contextmanager
    def bar(*arguments: Any) -> Iterator[Any]:
        shown.append(arguments)
        yield shown.append

    monkeypatch.setattr("percpu_ffi.cli.against_kernel.progress_bar", bar)
    text = io.StringIO()
    with Allocator(**SETUP) as a, a.trace_to(text):
        for _ in range(2100):
            a.free(a.alloc(8))
    assert check(text.getvalue())[0] == 0
    assert shown == [("following", 4200, "op"), 4096]


@pytest.mark.parametrize("party", ["port", "model"])
def test_options_are_passed_on(recorded: str, check: Checker, party: str) -> None:
    options = ("--only", party, "--fixes", "chunk-hint", "--reorder", "3")
    found = check.json(recorded, *options)
    assert (found["party"], found["setup"]["fixes"]) == (party, ["chunk-hint"])
    assert found["reordered"]["choices"] == found["choices"]
    shown = check(recorded, *options)[1].splitlines()
    assert shown[0] == (
        f"t.ftrace: what the kernel chose, predicted by the {party}, with chunk-hint fixed"
    )
    assert "  with 0 decisions before those printed earlier" in shown
    assert check.json(recorded)["party"] == "port"
    assert check.json(recorded)["reordered"] is None


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "kernel"], "--against kernel requires a TRACE"),
        (["--against", "kernel", "--random"], "--against kernel requires a TRACE"),
        ([NETNS, "--against", "kernel", "--random"], "--random does not apply to --against kernel"),
        (
            [NETNS, "--against", "kernel", "--setup", '{"cpus": 2}'],
            "--setup does not apply to --against kernel",
        ),
        (
            [NETNS, "--against", "kernel", "--calls", "single"],
            "--calls does not apply to --against kernel",
        ),
        (
            [NETNS, "--against", "kernel", "--policy", "area-map"],
            "--against kernel requires --policy bitmap: no kernel of 2009 records",
        ),
        (
            [NETNS, "--against", "kernel", "--only", "port", "model"],
            "--only port model: with --against kernel one party predicts",
        ),
        ([NETNS, "--against", "kernel", "--only", "mine"], "--only mine: there are port, model"),
        (
            [NETNS, "--against", "kernel", "--reorder", "-1"],
            "--reorder -1: a number of lines from 0 is needed",
        ),
        ([NETNS, "--start", "boot"], "--start requires --against kernel"),
        ([NETNS, "--reorder", "600"], "--reorder requires --against kernel"),
        ([NETNS, "--json"], "--json requires --against kernel"),
        ([], "give either a TRACE or --random"),
        ([NETNS, "--random"], "give either a TRACE or --random"),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


def test_policy_may_be_named(recorded: str, check: Checker) -> None:
    assert check(recorded, "--policy", "bitmap", "--only", "port")[0] == 0


# --- the geometry


def test_geometry_is_needed(recorded: str, check: Checker) -> None:
    status, shown, messages = check(recorded, like=False)
    assert (status, shown) == (2, "")
    assert "the geometry of the recorded machine is not known" in messages
    assert "with --like FILE" in messages


@pytest.mark.parametrize("name", ["t.meta", "t.ftrace.meta"])
def test_sibling_has_the_geometry(recorded: str, check: Checker, name: str) -> None:
    check.path.with_name(name).write_text(LIKE)
    assert check(recorded, like=False)[0] == 0


def test_sibling_without_a_geometry(recorded: str, check: Checker) -> None:
    check.path.with_name("t.meta").write_text("6.1.0\n")
    status, _, messages = check(recorded, like=False)
    assert status == 2
    assert "t.meta: there is no geometry of a machine" in messages


def test_first_chunk_without_a_dynamic_area(recorded: str, check: Checker) -> None:
    check.like.write_text("percpu: Embedded 10 pages/cpu s32768 r8192 d0 u65536\n")
    status, shown, messages = check(recorded)
    assert (status, shown) == (2, "")
    assert "the first chunk of the machine has no dynamic area (d0)" in messages


def test_geometry_that_is_impossible(recorded: str, check: Checker) -> None:
    """The areas of the first chunk do not fit into the unit."""
    check.like.write_text("percpu: Embedded 10 pages/cpu s8192 r8192 d24576 u32768\n")
    status, _, messages = check(recorded)
    assert status == 2
    assert "unit_size=32768" in messages


def test_geometry_of_another_machine(recorded: str, check: Checker) -> None:
    """Its units end before the areas of this recording."""
    check.like.write_text("percpu: Embedded 10 pages/cpu s8192 r8192 d24576 u40960\n")
    status, _, messages = check(recorded, *BOOT)
    assert status == 2
    assert "where an area is, or the chunk ends" in messages
    assert "give --start and --like" in messages


# --- the start


@pytest.mark.parametrize("text", ["", LIKE, "# tracer: nop\n"])
def test_start_that_is_no_dump(recorded: str, check: Checker, text: str) -> None:
    start = check.path.with_name("start.txt")
    start.write_text(text)
    status, _, messages = check(recorded, "--start", str(start))
    assert status == 2
    assert "start.txt: " in messages
    assert "no dump of percpu_stats" in messages


def test_start_that_does_not_exist(recorded: str, check: Checker) -> None:
    status, _, messages = check(recorded, "--start", "bot")
    assert status == 2
    assert "bot: No such file or directory" in messages


def test_start_is_a_dump(recorded: str, check: Checker) -> None:
    with Allocator(**SETUP) as a:
        start = check.path.with_name("start.txt")
        start.write_text(a.percpu_stats())
    assert check.json(recorded, "--start", str(start))["start"] == "stats"


# --- what the recording lacks


def test_recording_without_allocations(recorded: str, check: Checker) -> None:
    frees = "".join(line for line in recorded.splitlines(True) if "alloc_percpu" not in line)
    failed = frees + "  a-1 [000] ..... 9.0: percpu_alloc_percpu_fail: reserved=0 is_atomic=1 "
    for text in (frees, failed + "size=8 align=8\n"):
        status, shown, messages = check(text)
        assert (status, shown) == (2, "")
        assert "the recording has no allocation: there is nothing to predict" in messages
        assert "call_site" not in messages


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        (r" base_addr=\w+ off=\d+", "where the kernel placed its areas (base_addr= and off=)"),
        (r" is_atomic=\d", "whether a request was atomic (is_atomic=)"),
    ],
)
def test_recording_without_a_field(
    recorded: str, check: Checker, lacking: str, message: str
) -> None:
    status, shown, messages = check(re.sub(lacking, "", recorded))
    assert (status, shown) == (2, "")
    assert message in messages
    assert "record it with `percpu-ffi record`" in messages


def test_line_without_a_place(recorded: str, check: Checker) -> None:
    """One of them: it is counted by its number."""
    lines = recorded.splitlines(True)
    at = [i for i, line in enumerate(lines) if "_alloc_percpu: " in line][3]
    lines[at] = re.sub(r" base_addr=\w+ off=\d+", "", lines[at])
    status, _, messages = check("".join(lines))
    assert status == 2
    assert "its line has no place of the area (base_addr= and off=)" in messages


def test_recording_without_call_sites(recorded: str, check: Checker) -> None:
    """As of a kernel before 5.19: the figures are printed, with a warning."""
    text = re.sub(r" call_site=\S+", "", recorded)
    status, _, messages = check(text)
    assert status == 0
    assert "has no call_site: its kernel is older than 5.19" in messages
    assert "the policy is confirmed on Linux 6.1, 6.12 and 6.18 only" in messages
    (remark,) = check.json(text)["remarks"]
    assert remark in messages


def test_one_line_without_a_call_site_is_not_remarked(recorded: str, check: Checker) -> None:
    assert check(re.sub(r" call_site=\S+", "", recorded, count=1))[2] == ""


def test_recording_without_chunk_events(recorded: str, check: Checker) -> None:
    text = "".join(line for line in recorded.splitlines(True) if "_chunk: " not in line)
    assert "has no percpu_create_chunk and no percpu_destroy_chunk" in check(text, *BOOT)[2]
    found = check.json(text, *BOOT)
    assert found["in_new_chunks"]["choices"] == found["chunks_made"]["seen"] == 0
    assert len(found["remarks"]) == 1


def test_two_chunks_need_chunk_events(check: Checker) -> None:
    text = io.StringIO()
    with Allocator(**SETUP) as a, a.trace_to(text):
        a.alloc_many([20_000, 20_000])
    assert check(text.getvalue(), *BOOT)[2] == ""
    lines = [line for line in text.getvalue().splitlines(True) if "_chunk: " not in line]
    assert "has no percpu_create_chunk" in check("".join(lines), *BOOT)[2]


def test_one_chunk_needs_no_chunk_events(recorded: str, check: Checker) -> None:
    """A short recording of the first chunk is complete."""
    lines = recorded.splitlines(True)
    first = next(i for i, line in enumerate(lines) if "_chunk: " in line)
    assert check("".join(lines[:first]), *BOOT)[2] == ""


@pytest.mark.parametrize(
    ("line", "lost"), [("LOST 17 EVENTS", "17 events"), ("LOST EVENTS", "at least 1 event")]
)
def test_lost_events(recorded: str, check: Checker, line: str, lost: str) -> None:
    lines = recorded.splitlines(True)
    lines.insert(100, f"CPU:0 [{line}]\n")
    status, _, messages = check("".join(lines), *BOOT)
    assert status == 0  # each choice that was recorded is predicted
    remark = f"the recorder lost {lost}: what depends on them is not known"
    assert remark in messages
    assert remark in check.json("".join(lines), *BOOT)["remarks"]


# --- recordings that contradict themselves


def place(line: str) -> str:
    found = re.search(r"base_addr=\w+ off=\d+ ptr=\w+", line)
    assert found
    return found[0]


#   |aaaa|bbbb|        b is put where a is, and a was not freed
#   |aaaa|
#   |bbbb|
@pytest.mark.parametrize("start", [(), BOOT])
def test_overlapping_areas(recorded: str, check: Checker, start: tuple[str, ...]) -> None:
    lines = recorded.splitlines(True)
    a, b = [i for i, line in enumerate(lines) if "_alloc_percpu: " in line][:2]
    ours, other = place(lines[b]), place(lines[a])
    other_ptr = re.sub(r"ptr=\w+", "ptr=0000000000777000", other)
    text = "".join([*lines[:b], lines[b].replace(ours, other_ptr), *lines[b + 1 :]])
    status, shown, messages = check(text, *start)
    assert (status, shown) == (2, "")
    assert "operation 1: the kernel places " in messages
    assert "where an area is, or the chunk ends: events were lost, or the start" in messages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((r"off=\d+", "off=65536"), "at offset 65536 of chunk 0, which is past the end of a unit"),
        ((r"off=\d+", "off=65533"), "where an area is, or the chunk ends"),
        ((r"off=\d+", "off=3"), "where an area is, or the chunk ends"),
        ((r" size=\d+", " size=32769"), "which no kernel with this policy serves"),
        ((r" align=\d+", " align=8192"), "which no kernel with this policy serves"),
        ((r" align=\d+", " align=24"), "which no kernel with this policy serves"),
    ],
)
def test_impossible_choices(
    recorded: str, check: Checker, change: tuple[str, str], message: str
) -> None:
    lines = recorded.splitlines(True)
    at = [i for i, line in enumerate(lines) if "_alloc_percpu: " in line][-1]
    lines[at] = re.sub(*change, lines[at])
    number = sum("_percpu: " in line for line in lines[:at])
    status, shown, messages = check("".join(lines), *BOOT)
    assert (status, shown) == (2, "")
    assert f"operation {number}: " in messages
    assert message in messages


def test_not_a_recording_of_a_kernel(check: Checker) -> None:
    """A trace that was made by hand has no places."""
    Trace.from_ops([("alloc", 1, 8, 8)]).save(check.path)
    status = main(["check", str(check.path), "--against", "kernel", "--like", str(check.like)])
    assert status == 2
    assert "where the kernel placed its areas" in check.capsys.readouterr().err


def test_samples_of_2009_have_no_geometry(capsys: pytest.CaptureFixture[str]) -> None:
    for path in (NETNS, str(SAMPLES / "fork_storm.perf.xz")):
        assert main(["check", path, "--against", "kernel"]) == 2
        assert "the geometry of the recorded machine is not known" in capsys.readouterr().err
