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
from percpu_ffi.reports.recording import caveats, missing_events, recording_summary
from percpu_ffi.reports.replay import ReplayReport
from percpu_ffi.trace import TraceStats

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


class Recorded(list[None]):
    """A trace of some operations."""

    stats = STATS


@pytest.fixture
def report() -> ReplayReport:
    trace: Any = Recorded([None] * 10_000)
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
  peak live bytes        20,480   in one CPU's copies
  chunks                     43   41 created, 42 destroyed, without the first
  pages at peak           1,002   of 4,096 bytes, on 2 CPUs; utilisation 70.0%
  kernel's own            2,200   pages touched, in 34 chunks, offsets up to 230,976
  speed               5,000,000   operations per second

S static   # in use   + in part   . free
chunk 0: 49,152 of 65,536 bytes free, contig hint 40,960, 5 of 16 pages populated
[SSSS####........................]
chunk 7: 40,960 of 65,536 bytes free, contig hint 36,864, 6 of 16 pages populated
[####....########................]"""
    )


def test_json(report: ReplayReport) -> None:
    figures = report.to_json()
    assert list(figures["failure_reasons"].items()) == [
        ("b", 3), ("a", 2), ("g", 2), ("c", 1), ("d", 1), ("e", 1), ("f", 1)
    ]  # fmt: skip
    assert figures == {
        "trace": "t",
        "geometry": GEOMETRY,
        "events": 4605,
        "allocs": 2305,
        "frees": 2300,
        "orphan_frees": 21,
        "reallocs": 22,
        "lost_events": 23,
        "failures": 11,
        "failure_reasons": figures["failure_reasons"],
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
    }
    assert json.loads(json.dumps(figures)) == figures


def test_end_of_a_recording() -> None:
    summary = recording_summary("a.trace", STATS, 1.234)
    first, _, advice = (line.strip() for line in summary.splitlines())
    assert first == (
        "a.trace: 4,605 events in 1.23 s, 2,305 allocations and 2,300 frees, 23 events lost"
    )
    assert advice == "events were lost: give a larger --buffer-kb"
    assert "--buffer-kb" not in recording_summary("a.trace", replace(STATS, lost=0), 1.234)


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
