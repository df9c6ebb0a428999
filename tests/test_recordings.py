# SPDX-License-Identifier: GPL-2.0-only
"""Inputs that people have, in ``cases/``: what tools, mailers and logs make of the same events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Trace, TraceError
from percpu_ffi.cli import main
from percpu_ffi.trace.operations import LOST, Task

if TYPE_CHECKING:
    from percpu_ffi.trace import Op

CASES = Path(__file__).resolve().parent / "cases"


def load(name: str, **options: Any) -> Trace:
    return Trace.load(CASES / name, **options)


# two areas of 16 bytes in one chunk, at offsets 1000 and 1016, freed in the same order
PAIR: list[Op] = [("alloc", 0x1000, 16, 8), ("alloc", 0x1001, 16, 8), ("free", 0x1000)]
PAIR.append(("free", 0x1001))


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt",
        "annotated.txt",  # words after ptr=
        "tabs.txt",
        "docker_json.txt",
        "mail_qp.txt",  # quoted-printable
    ],
)
def test_same_events_in_another_dress(name: str) -> None:
    trace = load(name)
    assert list(trace) == PAIR
    assert trace.times is not None
    assert [time // 10**8 for time in trace.times] == [100, 101, 102, 103]
    assert trace.places is not None
    assert trace.places.offsets.tolist() == [1000, 1016, 1000, 1016]
    assert trace.tasks == [Task("worker", 101)]
    assert trace.kinds[0].site == "net_one_init+0x1f/0x90"
    assert trace.kinds[0].gfp == "GFP_KERNEL"
    assert (trace.stats.cpus, trace.skipped, trace.remarks) == (1, [], [])


def test_prefix_of_a_log_has_no_cpu_and_no_time() -> None:
    trace = load("journal_logger.txt")  # ftrace[40321]: percpu_alloc_percpu: ...
    assert list(trace) == PAIR
    assert (trace.stats.cpus, trace.times, trace.tasks) == (0, None, [])


def test_wrapped_mail() -> None:
    trace = load("mail_wrapped.txt")
    assert list(trace) == [("alloc", 0x3DC000A62300, 2408, 8)]
    assert trace.kinds[0].gfp == "GFP_KERNEL_ACCOUNT"  # on the fourth line
    assert trace.kinds[0].bytes_alloc == 14448


def test_perf_trace() -> None:
    trace = load("perf_trace.txt")
    assert list(trace) == [("alloc", 0x60795BB06930, 16, 8), ("free", 0x60795BB06930)]
    assert trace.times is not None
    assert trace.times.tolist() == [0, 653_000]
    assert trace.tasks == [Task("sh", 2450)]
    assert trace.kinds[0][2:] == ("0xffffffff8135580f", (), "3264", 64)
    assert "atomic" in trace.columns()  # perf trace does not print what is 0


def test_latency_format() -> None:
    trace = load("verbose_latency.txt")  # [25265631] is the time in microseconds, hexadecimal
    assert trace.times is not None
    assert trace.times.tolist() == [623_269_425_000, 623_269_427_000]
    assert (trace.stats.cpus, trace.tasks) == (2, [Task("worker", 101)])


def test_option_fields() -> None:
    trace = load("fields_option.txt")  # size=0x10 (16) reserved=(0) ptr=0x60795bb0f690 (...)
    assert list(trace) == [("alloc", 0x60795BB0F690, 16, 8)]
    assert trace.places is not None
    assert trace.places.offsets[0] == 91792


def test_pointers_in_decimal() -> None:
    trace = load("failed_to_parse_dec.txt")
    assert list(trace) == [("alloc", 106075035724880, 16, 8), ("free", 106075035724880)]
    assert trace.bases == [18446718784937918464]


@pytest.mark.parametrize(
    ("name", "cpus"),
    [
        ("tc_header_cpus.txt", 64),  # cpus=64
        ("perf_header_cpus.txt", 64),  # # nrcpus avail : 64
        ("plain.txt", 1),
        ("trace_cmd_sched.txt.xz", 2),  # priorities of sched events are in brackets, too
    ],
)
def test_cpus(name: str, cpus: int) -> None:
    assert load(name).stats.cpus == cpus


@pytest.mark.parametrize(
    ("name", "events", "skipped"),
    [
        ("trace_cmd_sched.txt.xz", 201, {"other_event": 250}),
        ("torn.txt", 3, {"torn": 1}),
        ("cut_mid.txt", 3, {"cut": 1}),
        ("perf_trace_long.txt.xz", 144, {}),
    ],
)
def test_skipped_lines(name: str, events: int, skipped: dict[str, int]) -> None:
    trace = load(name)
    assert trace.stats.events == events
    assert {row.kind: row.lines for row in trace.skipped} == skipped


def test_skipped_line_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(CASES / "cut_mid.txt")]) == 0
    said = capsys.readouterr().err
    assert said.startswith("percpu-ffi: skipped 1 cut line at the end; line 4 is the first: ")
    assert "percpu_free_percpu: base_addr=00000000aa11bb22" in said


@pytest.mark.parametrize(("name", "line"), [("torn.txt", 1), ("cut_mid.txt", 4)])
def test_strict_reader_refuses_damage(name: str, line: int) -> None:
    with pytest.raises(TraceError) as caught:
        load(name, strict=True)
    assert caught.value.line == line


def test_failures_of_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("fails_only.txt", "fails_mixed.txt"):
        assert main(["replay", "--json", str(CASES / name)]) == 0
        recording = json.loads(capsys.readouterr().out)["recording"]
        assert recording["kernel_failures"] == [
            {"size": 16, "align": 8, "atomic": True, "count": 3}
        ]
        trace = load(name)
        assert [trace.kinds[event.value].flags for event in trace.events] == [("atomic",)] * 3
    assert [event.before for event in load("fails_mixed.txt").events] == [2, 2, 2]


def test_gap() -> None:
    trace = load("gap.txt")
    assert trace.stats.lost == 500
    (event,) = trace.events
    assert (event.kind, event.before, event.value) == (LOST, 1, 500)


def test_unreported_loss_is_remarked() -> None:
    """Without ``perf script --show-lost-events`` nothing says that events were lost."""
    trace = load("perf_script_lost.txt.xz")
    assert trace.stats.lost > 0
    assert trace.remarks == []
    assert trace.stats.reallocs > 3
    assert "many were probably lost" in load("perf_trace_stacks.txt.xz").remarks[-1]


def test_times_that_are_differences() -> None:
    trace = load("deltatime.txt")
    assert trace.times is None
    assert "--deltatime" in trace.remarks[0]


def test_times_that_run_backwards() -> None:
    trace = load("backwards.txt")
    assert trace.times is not None
    assert trace.remarks == [
        "the time runs backwards at 2 operations: lifetimes that would be negative are unknown"
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ftrace_off.txt", "tracing was off"),
        ("sched_only.txt", "1 event of other kinds"),
        ("srcline.txt", "no percpu event"),
    ],
)
def test_text_without_events(name: str, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        load(name)


INIT = ["__percpu_counter_init_many", "mm_init"]


@pytest.mark.parametrize(
    ("name", "stacks"),
    [
        ("ftrace_stacks.txt.xz", 40),
        ("trace_cmd_stacks.txt.xz", 40),
        ("perf_script_stacks.txt.xz", 75),
        ("perf_trace_stacks.txt.xz", 51),
    ],
)
def test_stacks(name: str, stacks: int) -> None:
    """Each event has its stack; the second allocation is that of the counters of a process."""
    trace = load(name)
    assert len(trace.stacks) == stacks
    column = trace.columns()["stack"]
    assert min(column) == 0
    frames = [frame.partition("+")[0] for frame in trace.stacks[column[1]].split("\n")]
    at = frames.index("pcpu_alloc_noprof")
    assert frames[at + 1 : at + 3] == INIT
