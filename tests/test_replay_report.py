# SPDX-License-Identifier: GPL-2.0-only
"""The reports of a replay and of a recording, of made-up figures that all differ.

A replay's shows three sources: the recording, the replay, the memory of the recording kernel.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from typing import Any

import pytest
from conftest import STATS

from percpu_ffi import ChunkState, State
from percpu_ffi.replay import Failure, Replay
from percpu_ffi.reports.recording import (
    caveats,
    failure_counts,
    failure_lines,
    missing_events,
    recorded_on,
    recording_summary,
    skipped_lines,
)
from percpu_ffi.reports.replay import ReplayReport
from percpu_ffi.trace import Event, Kind, Skipped, TraceStats
from percpu_ffi.trace.operations import FAILED, LOST

GEOMETRY = {
    "cpus": 2,
    "first_chunk": "embed",
    "static_size": 8192,
    "unit_size": 65_536,
    "page_size": 4096,
    "memory": "none",
}
# |SSSS|aaaa|aaaa|........|    |aaaa|....|aaaa|aaaa|........|
CHUNKS = (
    ChunkState(0, 49_152, 40_960, (-8192, -8192, 49_152), 16, False, (2, 2, 2, 2, 1) + (0,) * 11),
    ChunkState(7, 40_960, 36_864, (-8192, 8192, -16_384, 32_768), 16, False, (2,) * 6 + (0,) * 10),
)
REASONS = [*"ab" * 2, "b", *"cdefgg"]  # in the order of the operations
RESULT = Replay(
    pointers=array("q"),
    failures=tuple(Failure(i, ("free", i), ValueError(why)) for i, why in enumerate(REASONS)),
    elapsed_ns=2_000_000,
    live_bytes=1001,
    peak_live_bytes=20_480,
    pages_at_peak=20,
    peak_populated_pages=1002,
    populated_pages=1003,
    chunks_created=41,
    chunks_destroyed=42,
    chunks=43,
    peak_chunks=44,
)


SKIPPED = [Skipped("cut", 2, 7, "percpu_")]


class Recorded(list[None]):
    """A trace of some operations; 31 allocations failed in its kernel, 24 of them are known."""

    stats = STATS
    skipped = SKIPPED

    def __init__(self) -> None:
        super().__init__([None] * 10_000)
        self.machine: dict[str, Any] = {}
        self.kinds = [Kind(16, 8, flags=("atomic",)), Kind(16, 8), Kind(2408, 64)]
        failed = [Event(0, 0, kind, 0, 0, FAILED) for kind in [0] * 20 + [1] + [2] * 3]
        self.events = [*failed, *[Event(0, 0, 1, 0, 0, LOST)] * 5]

    def columns(self) -> list[str]:
        return ["kind", "size"]


@pytest.fixture
def trace() -> Any:
    return Recorded()


@pytest.fixture
def report(trace: Any) -> ReplayReport:
    return ReplayReport("t", trace, GEOMETRY, RESULT, State((), CHUNKS), {"alloc_page": 51})


def test_text(report: ReplayReport, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the peak 2 * (8,192 + 20,480) bytes of 20 pages are used: 70 %."""
    monkeypatch.setenv("COLUMNS", "34")
    assert report.to_text() == (
        """\
t, recorded on 8 CPUs
replayed on 2 CPUs, embed, static area of 8,192 bytes, units of 65,536, memory none

  events                  4,605   23 lost by the recorder
  allocations             2,305   22 of pointers still in use
  frees                   2,300   21 of unknown pointers
  failures                   11
    3 x                           b
    2 x                           a
    2 x                           g
    1 x                           c
    1 x                           d
    2 x                           other reasons
  kernel failures            31   while it was recorded; not replayed
    20 x                          16 bytes, aligned to 8, atomic
    3 x                           2,408 bytes, aligned to 64
    1 x                           16 bytes, aligned to 8
    7 x                           unknown requests
  peak live bytes        20,480   in one CPU's copies
  chunks                     43   41 created, 42 destroyed, without the first
  pages at peak           1,002   of 4,096 bytes, on 2 CPUs; utilisation 70.0%
  kernel's own            8,800   pages touched on 8 CPUs of the recording, in 34 chunks, \
offsets up to 230,976
  speed               5,000,000   operations per second

S static   # in use   + in part   . free
chunk 0: 49,152 of 65,536 bytes free, contig hint 40,960, 5 of 16 pages populated
[SSSS####........................]
chunk 7: 40,960 of 65,536 bytes free, contig hint 36,864, 6 of 16 pages populated
[####....########................]"""
    )


# a replay on 64 CPUs of a recording of one counted the kernel's own pages 64 times
@pytest.mark.parametrize(
    ("machine", "cpus", "pages", "where"),
    [
        ({}, 1, "1,100", "1 CPU of the recording"),
        ({"possible_cpus": 4}, 1, "4,400", "4 CPUs of the recording"),
        ({"possible_cpus": "4"}, 3, "3,300", "3 CPUs of the recording"),
        ({"possible_cpus": 0}, 3, "3,300", "3 CPUs of the recording"),
        ({"possible_cpus": 1}, 3, "1,100", "1 CPU of the recording"),
        ({"possible_cpus": 65_536}, 3, "72,089,600", "65,536 CPUs of the recording"),
        ({"possible_cpus": 65_537}, 0, "1,100", "each CPU"),
    ],
)
def test_kernels_own_pages_are_those_of_the_recording(
    report: ReplayReport, trace: Any, machine: dict[str, Any], cpus: int, pages: str, where: str
) -> None:
    trace.machine, trace.stats = machine, replace(STATS, cpus=cpus)
    (line,) = [line for line in report.to_text().splitlines() if "kernel's own" in line]
    assert line.split()[2] == pages
    assert f"  pages touched on {where}, in 34 chunks" in line


def test_bytes_of_the_machine(report: ReplayReport) -> None:
    text = replace(report, copies=64).to_text()
    assert "  peak live bytes     1,310,720   in the copies of 64 possible CPUs (--machine)" in text


class TestKernelFailures:
    """Allocations that failed while the kernel was recorded."""

    def test_sentence(self, trace: Any) -> None:
        (line,) = failure_lines(trace)
        assert line == (
            "31 allocations failed in the recorded kernel, and count in no figure: "
            "20 x 16 bytes, aligned to 8, atomic; 3 x 2,408 bytes, aligned to 64; "
            "1 x 16 bytes, aligned to 8; 7 x unknown requests"
        )

    @pytest.mark.parametrize("unknown", [0, 1, 2])
    def test_rare_requests_are_added_up(self, trace: Any, unknown: int) -> None:
        trace.kinds = [Kind(1 << i, 1) for i in range(8)]
        trace.events = [Event(0, 0, i, 0, 0, FAILED) for i in range(8) for _ in range(8 - i)]
        trace.stats = replace(STATS, kernel_failures=36 + unknown)
        assert failure_counts(trace) == [
            (8, "1 byte, aligned to 1"), (7, "2 bytes, aligned to 1"),
            (6, "4 bytes, aligned to 1"), (5, "8 bytes, aligned to 1"),
            (4, "16 bytes, aligned to 1"), (6 + unknown, "other requests"),
        ]  # fmt: skip

    def test_one_rare_request(self, trace: Any) -> None:
        trace.kinds = [Kind(1 << i, 1) for i in range(6)]
        trace.events = [Event(0, 0, i, 0, 0, FAILED) for i in range(6) for _ in range(6 - i)]
        trace.stats = replace(STATS, kernel_failures=21)
        assert failure_counts(trace)[4:] == [(2, "16 bytes, aligned to 1"), (1, "other requests")]

    def test_none(self, trace: Any) -> None:
        trace.events, trace.stats = [], TraceStats()
        assert failure_lines(trace) == []


def test_json(report: ReplayReport) -> None:
    figures = report.to_json()
    assert list(figures["failure_reasons"].items()) == [
        ("b", 3), ("a", 2), ("g", 2), ("c", 1), ("d", 1), ("e", 1), ("f", 1)
    ]  # fmt: skip
    assert figures == {
        "trace": "t",
        "geometry": GEOMETRY,
        "possible_cpus": 8,
        "events": 4605,
        "allocs": 2305,
        "frees": 2300,
        "orphan_frees": 21,
        "reallocs": 22,
        "lost_events": 23,
        "failures": 11,
        "failure_reasons": figures["failure_reasons"],
        "ignored_flags": 0,
        "live_bytes": 1001,
        "peak_live_bytes": 20_480,
        "chunks_created": 41,
        "chunks_destroyed": 42,
        "chunks": 43,
        "peak_populated_pages": 1002,
        "utilisation_at_peak": 0.7,
        "operations_per_second": 5_000_000,
        "kernel": {
            "chunks": 34,
            "pages_per_cpu": 1100,
            "extent": 230_976,
            "chunks_created": 32,
            "chunks_destroyed": 33,
            "failures": 31,
        },
        "counters": {"alloc_page": 51},
        "recording": {
            "events": 4605,
            "cpus": 8,
            "lost_events": 23,
            "skipped": {"cut": 2},
            "kernel_failures": [
                {"size": 16, "align": 8, "atomic": False, "count": 1},
                {"size": 16, "align": 8, "atomic": True, "count": 20},
                {"size": 2408, "align": 64, "atomic": False, "count": 3},
            ],
            "columns": ["kind", "size"],
        },
    }
    assert json.loads(json.dumps(figures)) == figures


def test_end_of_a_recording() -> None:
    summary = recording_summary("a.trace", STATS, SKIPPED, 1.234)
    first, _, advice, skipped = (line.strip() for line in summary.splitlines())
    assert first == (
        "a.trace: 4,605 events in 1.23 s, 2,305 allocations and 2,300 frees, 23 events lost"
    )
    assert advice == "events were lost: give a larger --buffer-kb"
    assert skipped.startswith("skipped 2 cut lines at the end; line 7 is the first: ")
    assert "--buffer-kb" not in recording_summary("a.trace", replace(STATS, lost=0), [], 1.234)


def test_where_it_was_recorded() -> None:
    assert recorded_on(TraceStats(cpus=1)) == ", recorded on 1 CPU"
    assert recorded_on(TraceStats(cpus=2)) == ", recorded on 2 CPUs"
    assert recorded_on(TraceStats()) == ""


def test_skipped_lines() -> None:
    """In the order of their kinds; the first damaged line is shown."""
    assert skipped_lines([]) == []
    whole = [Skipped("text", 1, 1, "a"), Skipped("other_event", 2, 3, "b")]
    assert skipped_lines(whole) == ["skipped 1 line without an event, 2 lines of other events"]
    damage = [
        Skipped("damaged", 3, 1007, "c"),
        Skipped("masked", 1, 1005, "d\x1b"),
        Skipped("torn", 2, 1006, "e"),
        Skipped("binary", 4, 1009, "f"),
        Skipped("later", 5, 1010, "g"),
    ]
    (line,) = skipped_lines([*whole, *damage])
    assert line == (
        "skipped 1 line without an event, 2 lines of other events, 3 damaged events, 1 event with "
        "masked pointers, as kernels print them early at boot, 2 events interrupted by another "
        "one, 4 lines of binary data, 5 laters; line 1,005 is the first: 'd\\x1b'"
    )


def test_what_a_recording_misses() -> None:
    assert missing_events(STATS) == {"orphan_frees": 21, "reallocs": 22, "lost_events": 23}
    assert set(missing_events(None).values()) == {None}
    counts = [sentence.split(":")[0] for sentence in caveats(STATS)]
    assert counts == [
        "23 lost events",
        "21 frees of unknown pointers",
        "22 allocations of pointers still in use",
    ]
    assert caveats(TraceStats(events=7, allocs=4, frees=3)) == []
