# SPDX-License-Identifier: GPL-2.0-only
"""A recording as the witness: what is predicted, what is followed, which order decisions had.

The kernel is played by the port under the bitmap policy, which writes a trace as ftrace does.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import Allocator, Model, Trace, TraceError
from percpu_ffi.geometry import Geometry
from percpu_ffi.state import Choice
from percpu_ffi.stats import Dump
from percpu_ffi.trace.steps import Alloc, Created, Free, Work
from percpu_ffi.witness.follow import Figures
from percpu_ffi.witness.reorder import reordered
from percpu_ffi.witness.start import Sizes, Start, boot_starts, inferred_start
from percpu_ffi.witness.steps import steps_of
from percpu_ffi.witness.verdict import Verdict, _boot_start, check_recording

GEOMETRY = Geometry(
    static_size=8192, reserved_size=0, dyn_size=28672, unit_size=65536, page_size=4096, cpus=1
)
PLAYED = {**GEOMETRY.setup("bitmap"), "cpus": 1}
PARTIES = pytest.mark.parametrize("maker", [Allocator, Model])


def recording(play: Callable[[Allocator], object], **setup: Any) -> str:
    """Return what a kernel prints while it is used."""
    text = io.StringIO()
    with Allocator(**{**PLAYED, **setup}) as kernel, kernel.trace_to(text):
        play(kernel)
    return text.getvalue()


def load(tmp_path: Path, text: str) -> Trace:
    path = tmp_path / "recording"
    path.write_text(text)
    return Trace.load(path)


def churn(kernel: Allocator, steps: int = 900, seed: int = 1) -> None:
    """Allocate and free areas of all sizes, some of them without sleeping."""
    rng = random.Random(seed)
    live: list[int] = []
    for _ in range(steps):
        if live and rng.random() < 0.45:
            kernel.free(live.pop(rng.randrange(len(live))))
        else:
            size = rng.choice([4, 8, 16, 64, 260, 1008, 5000])
            live.append(kernel.alloc_gfp(size, rng.choice([4, 8, 64]), atomic=rng.random() < 0.2))


def lines_of(text: str) -> list[int]:
    """Return the indices of the lines with allocations."""
    return [i for i, line in enumerate(text.splitlines()) if ": percpu_alloc_percpu:" in line]


def check(trace: Trace, **options: Any) -> Verdict:
    return check_recording(trace, options.pop("maker", Allocator), GEOMETRY, **options)


# --- the policy is asked


@PARTIES
def test_every_choice_is_predicted(tmp_path: Path, maker: Any) -> None:
    verdict = check(load(tmp_path, recording(churn)), maker=maker, boot=True)
    figures = verdict.figures
    assert figures.misses == []
    assert figures.all.choices == figures.all.chunk_and_offset == figures.all.offset_given_chunk
    assert figures.all.choices > 400
    assert figures.new.choices == figures.new.chunk_and_offset > 100
    assert figures.made.seen == figures.made.foretold > 0
    assert figures.runs.seen is None  # the recording does not have them
    assert figures.runs.foretold > 0


def test_port_and_model_predict_the_same(tmp_path: Path) -> None:
    """With the defect mended, most choices are missed, by both alike."""
    trace = load(tmp_path, recording(lambda kernel: churn(kernel, seed=5)))
    one, other = (check(trace, maker=maker, boot=True, fixes=["chunk-hint"]).figures
                  for maker in (Allocator, Model))  # fmt: skip
    assert one == other
    assert 0 < one.all.chunk_and_offset < one.all.choices


def test_a_moved_choice_is_missed_and_followed(tmp_path: Path) -> None:
    """The last area of the recording is said to be 8 KiB higher.

    |aaaaaaaa|........|
             ^policy  ^recording
    """
    text = recording(churn)
    last = lines_of(text)[-1]
    lines = text.splitlines(keepends=True)
    moved = re.sub(r" off=(\d+)", lambda found: f" off={int(found[1]) + 8192}", lines[last])
    verdict = check(load(tmp_path, "".join([*lines[:last], moved])), boot=True)
    (miss,) = verdict.figures.misses
    assert miss.step.place.offset == miss.kernel.offset
    assert miss.chosen is not None
    assert miss.kernel.offset - miss.chosen.offset == 8192
    assert miss.there == miss.chosen.offset
    assert verdict.figures.after_first_miss is not None


def test_follows_a_chunk_that_the_policy_would_not_create(tmp_path: Path) -> None:
    text = recording(lambda kernel: [kernel.alloc(64) for _ in range(3)])
    *head, last = text.splitlines(keepends=True)
    other = re.sub(r"base_addr=\w+", "base_addr=00000000feedf000", last)
    created = re.sub(r": percpu_.*", ": percpu_create_chunk: base_addr=00000000feedf000", last)
    verdict = check(load(tmp_path, "".join([*head, created, other])), boot=True)
    (miss,) = verdict.figures.misses
    assert miss.kernel.chunk == 1
    assert miss.chosen == (0, 128)
    assert miss.there == 0  # the new chunk is empty
    assert verdict.figures.made.foretold == 0


def test_two_areas_in_one_place(tmp_path: Path) -> None:
    text = recording(lambda kernel: [kernel.alloc(64) for _ in range(3)])
    again = re.sub(r"ptr=\w+", "ptr=00000000aaaa0000", text.splitlines(keepends=True)[-1])
    with pytest.raises(TraceError, match="where an area is, or the chunk ends: events were lost"):
        check(load(tmp_path, text + again), boot=True)


# --- the start


def test_early_areas_are_found(tmp_path: Path) -> None:
    """Areas before the recording: [0, 512) and [1024, 1280).

    |####|....|##|..............|
    """

    def boot(kernel: Allocator) -> None:
        churn(kernel, 300)

    with Allocator(**PLAYED) as kernel:
        first, hole, second = kernel.alloc(512), kernel.alloc(512), kernel.alloc(256)
        kernel.free(hole)
        text = io.StringIO()
        with kernel.trace_to(text):
            boot(kernel)
        assert kernel.locate(first) == (0, 0)
        assert kernel.locate(second) == (0, 1024)
    trace = load(tmp_path, text.getvalue())
    verdict = check(trace, boot=True)
    assert verdict.start.used == ((0, 0, 512), (0, 1024, 1280))
    assert verdict.figures.misses == []
    rules = [start.used for start in boot_starts(steps_of(trace), Sizes.of(GEOMETRY, 4096))]
    assert rules[:3] == [(), ((0, 0, 512),), ((0, 0, 512), (0, 1024, 1280))]


def test_running_kernel_is_followed_with_a_guess(tmp_path: Path) -> None:
    """Half of the areas were there before; those in new chunks are predicted all the same."""
    text = recording(lambda kernel: churn(kernel, 1500))
    lines = text.splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    rest = [line for line in lines if not line.startswith("#")][700:]
    trace = load(tmp_path, "".join(head + rest))
    verdict = check(trace)
    figures = verdict.figures
    assert verdict.start.name == "inferred"
    assert figures.orphans > 0
    assert figures.all.choices == trace.stats.allocs
    assert figures.all.offset_given_chunk > 0.7 * figures.all.choices


def test_inferred_start_knows_the_first_chunk_by_its_size(tmp_path: Path) -> None:
    trace = load(tmp_path, recording(churn))
    steps = [step for step in steps_of(trace) if not isinstance(step, Created)]
    start = inferred_start(steps, Sizes.of(GEOMETRY, 4096))
    assert start.chunks[0] == 0
    only_later = [step for step in steps if isinstance(step, Alloc) and step.place.chunk]
    start = inferred_start(only_later, Sizes.of(GEOMETRY, 4096))
    assert start.chunks[0] == -1  # not named: it is full
    assert (0, 0, 28672) in start.used


def test_dump_says_how_much_is_free(tmp_path: Path) -> None:
    """What the recording never uses is in use, or free as the dump says."""
    with Allocator(**PLAYED) as kernel:
        live = [kernel.alloc(1024) for _ in range(60)]
        dump = Dump.parse(kernel.percpu_stats())
        text = io.StringIO()
        with kernel.trace_to(text):
            kernel.free(live.pop())
            kernel.alloc(1024)
    steps = steps_of(load(tmp_path, text.getvalue()))
    sizes = Sizes.of(GEOMETRY, 4096)
    used = {name: start.used for name, start in (
        ("inferred", inferred_start(steps, sizes)), ("stats", inferred_start(steps, sizes, dump))
    )}  # fmt: skip
    taken = {name: sum(end - start for _, start, end in areas) for name, areas in used.items()}
    assert taken["stats"] < taken["inferred"]


def test_boot_is_decided_by_the_first_4000_steps(tmp_path: Path) -> None:
    """The whole recording is followed once, from the start that these say, with progress."""

    def play(kernel: Allocator) -> None:
        for _ in range(2100):
            kernel.free(kernel.alloc(8))

    text = recording(play)
    followed: list[int] = []

    class Counting(Allocator):
        def follow(self, *args: Any, **kwargs: Any) -> Choice:
            followed[-1] += 1
            return super().follow(*args, **kwargs)

        def __enter__(self) -> Counting:
            followed.append(0)
            return super().__enter__()

    done: list[int] = []
    verdict = check(load(tmp_path, text), maker=Counting, boot=True, progress=done.append)
    assert followed == [2000, 2001, 2100]  # of the second start an area is in use
    assert done == [4096]
    assert verdict.figures.all.choices == 2100


def test_start_that_contradicts_the_recording_is_left_out(tmp_path: Path) -> None:
    steps = steps_of(load(tmp_path, recording(late)))

    def follow(start: Start) -> Figures:
        if not start.used:
            raise TraceError("no")
        return Figures()

    assert _boot_start(steps, Sizes.of(GEOMETRY, 4096), follow).used


@pytest.mark.parametrize(("choices", "fits"), [(999, False), (1000, True)])
def test_one_lost_free_in_a_thousand_choices(tmp_path: Path, choices: int, fits: bool) -> None:
    def play(kernel: Allocator) -> None:
        for _ in range(choices):
            kernel.free(kernel.alloc(8))

    lines = recording(play).splitlines(keepends=True)
    *_, last = lines_of("".join(lines))
    lines[last] = re.sub(r"ptr=\w+", "ptr=00000000aaaa0000", lines[last])
    del lines[last + 1], lines[last - 1]  # both frees
    trace = load(tmp_path, "".join(lines))
    if not fits:
        with pytest.raises(TraceError, match="where an area is"):
            check(trace, boot=True)
        return
    figures = check(trace, boot=True).figures
    assert (figures.lost_frees, figures.all.choices, len(figures.misses)) == (1, 1000, 1)


def test_set_up_of_the_allocator(tmp_path: Path) -> None:
    """One CPU stands for all; pages are those of x86 if the geometry does not say."""
    trace = load(tmp_path, recording(late))
    given = {
        "policy": "bitmap",
        "cpus": 1,
        "static_size": 8192,
        "reserved_size": 0,
        "dyn_size": 28672,
        "unit_size": 65536,
        "page_size": 4096,
        "memory": "none",
        "balance": "manual",
    }
    other = replace(GEOMETRY, cpus=4, page_size=None)
    for geometry in (GEOMETRY, other):
        for window in (0, 3):
            verdict = check_recording(trace, Allocator, geometry, boot=True, window=window)
            assert verdict.setup == {**given, "fixes": []}
            assert (verdict.start.name, verdict.moves) == ("boot", 0)
    verdict = check(trace, boot=True, fixes=["chunk-hint"])
    assert verdict.setup == {**given, "fixes": ["chunk-hint"]}


# --- the order of the decisions


def swapped(text: str, first: int, second: int) -> str:
    """Return a recording with a line moved to after a later one, of another task."""
    lines = text.splitlines(keepends=True)
    line = lines.pop(first)
    task = re.sub(r"^\s*\S+", "            other-77", line)
    lines.insert(second, task)
    return "".join(lines)


def late(kernel: Allocator) -> None:
    for size in (64, 64, 4, 64, 64, 8, 64):
        kernel.alloc(size, 4)


def test_decision_that_is_printed_late(tmp_path: Path) -> None:
    """The second of four decisions is printed last: those after it are missed without it.

    decided  a  b  c  d      printed  a  c  d  b
    """
    text = recording(late)
    second = lines_of(text)[1]
    trace = load(tmp_path, swapped(text, second, second + 2))
    recorded = check(trace, boot=True)
    assert len(recorded.figures.misses) >= 2
    assert recorded.reordered is None
    verdict = check(trace, boot=True, window=10)
    assert len(verdict.figures.misses) == len(recorded.figures.misses)
    assert verdict.reordered is not None
    assert verdict.reordered.misses == []
    assert verdict.moves == 1


def test_decision_is_not_moved_over_the_window(tmp_path: Path) -> None:
    text = recording(late)
    second = lines_of(text)[1]
    verdict = check(load(tmp_path, swapped(text, second, second + 3)), boot=True, window=2)
    assert verdict.reordered is not None
    assert verdict.reordered.misses != []


def test_allocation_that_does_not_see_an_interrupts_free(tmp_path: Path) -> None:
    """An interrupt frees an area between the choice and its line, in the name of the same task."""

    def play(kernel: Allocator) -> None:
        live = [kernel.alloc(64) for _ in range(5)]
        kernel.alloc(64)
        kernel.free(live[1])
        kernel.alloc(64)

    text = recording(play)
    lines = text.splitlines(keepends=True)
    sixth = lines_of(text)[5]
    lines[sixth], lines[sixth + 1] = lines[sixth + 1], lines[sixth]
    trace = load(tmp_path, "".join(lines))
    verdict = check(trace, boot=True, window=5)
    assert len(verdict.figures.misses) == 1
    assert verdict.reordered is not None
    assert verdict.reordered.misses == []


def test_allocations_of_a_task_keep_their_order(tmp_path: Path) -> None:
    text = recording(late)
    lines = text.splitlines(keepends=True)
    second = lines_of(text)[1]
    lines.insert(second + 2, lines.pop(second))
    verdict = check(load(tmp_path, "".join(lines)), boot=True, window=10)
    assert verdict.moves == 0
    assert verdict.reordered == verdict.figures


def test_nothing_to_reorder(tmp_path: Path) -> None:
    steps = steps_of(load(tmp_path, recording(late)))
    figures = check(load(tmp_path, recording(late)), boot=True).figures
    assert reordered(steps, 5, figures, lambda order: pytest.fail("needless")) == (figures, 0)


# --- steps

HEAD = "            task-1       [000] .....     1.{:06}: "
WORK = "workqueue_execute_{}: work struct 00000000d0d0d0d0: function pcpu_balance_workfn"


def test_background_work_is_where_the_recording_has_it(tmp_path: Path) -> None:
    text = recording(churn, balance="manual")
    lines = text.splitlines(keepends=True)
    lines += [HEAD.format(n) + WORK.format(what) + "\n" for n, what in enumerate(("start", "end"))]
    trace = load(tmp_path, "".join(lines))
    steps = steps_of(trace)
    assert [step for step in steps if isinstance(step, Work)] == [Work(True), Work(False)]
    figures = check(trace, boot=True).figures
    assert figures.misses == []
    assert (figures.runs.seen, figures.runs.foretold) == (1, 1)


def test_area_whose_free_was_lost(tmp_path: Path) -> None:

    def play(kernel: Allocator) -> None:
        kernel.free(kernel.alloc(64))
        kernel.alloc(64)

    text = recording(play)
    lines = [line for line in text.splitlines(keepends=True) if "percpu_free" not in line]
    steps = steps_of(load(tmp_path, "".join(lines)))
    kinds = [type(step) for step in steps if not isinstance(step, Created)]
    assert kinds == [Alloc, Free, Alloc]
    assert steps[-2] == Free(1, 0, steps[-1].place, steps[-1].task)  # type: ignore[union-attr]


@pytest.mark.parametrize("field", [r" base_addr=\w+", r" off=\d+", r" is_atomic=\d"])
def test_recording_without_what_is_needed(tmp_path: Path, field: str) -> None:
    trace = load(tmp_path, re.sub(field, "", recording(late)))
    with pytest.raises(TraceError, match=r"is_atomic=|no place"):
        check(trace, boot=True)


def test_recording_without_an_allocation(tmp_path: Path) -> None:
    text = recording(lambda kernel: kernel.free(kernel.alloc(8)))
    lines = [line for line in text.splitlines(keepends=True) if "percpu_alloc" not in line]
    with pytest.raises(TraceError, match=r"is_atomic=|no allocation"):
        check(load(tmp_path, "".join(lines)), boot=True)
