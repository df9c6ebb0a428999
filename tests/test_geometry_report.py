# SPDX-License-Identifier: GPL-2.0-only
"""The report of ``compare``, of made-up figures that all differ."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from conftest import STATS

from percpu_ffi.analysis.comparison import Comparison, chunk_columns, geometry_table, setting
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.reports.geometries import GeometryReport
from percpu_ffi.work import Work, WorkByCall

SMALL: dict[str, Any] = {
    "policy": "area-map",
    "first_chunk": "4k",
    "unit_size": 65_536,
    "cpus": 2,
    "static_size": 8192,
    "free_size": 57_344,
    "page_size": 4096,
}
# steps of an allocation: 36 / 7; of a free: 5 / 3.  In 23 pages 2 * (8,192 + 20,480) bytes are used
OUTCOME = Outcome(
    geometry=SMALL,
    failures=3,
    failure_reasons={"why": 3},
    live_bytes=1001,
    peak_live_bytes=20_480,
    pages=12,
    pages_at_peak=23,
    peak_pages=25,
    chunks=4,
    peak_chunks=5,
    chunks_created=6,
    chunks_destroyed=7,
    hidden=200,
    peak_hidden=400,
    work=WorkByCall(
        Work(7, 3, 5, 7, 10, 100, 101, 11, 102, 103), Work(3, 1, 1, 1, 1, 50, 51, 1, 52, 53)
    ),
    offsets_known=9,
    same_offsets=4,
    shift=1000,
    same_shifted=6,
)
UNKNOWN_OFFSETS: dict[str, Any] = {
    "offsets_known": 0,
    "same_offsets": None,
    "shift": None,
    "same_shifted": None,
}
# 1,024 * (8,192 + 20,480) bytes are half of 14,336 pages
LARGE = replace(
    OUTCOME,
    geometry={**SMALL, "first_chunk": "embed", "unit_size": 2 << 20, "cpus": 1024},
    pages_at_peak=14_336,
    peak_pages=14_400,
    pages=14_336,
    **UNKNOWN_OFFSETS,
)
ODD = replace(OUTCOME, geometry={**SMALL, "unit_size": 65_600})
REFUSED = Refusal({**SMALL, "unit_size": 0, "cpus": 1 << 50, "free_size": 0}, "too many CPUs")


class Recorded(list[None]):
    """A trace."""

    stats = STATS
    machine: Mapping[str, int] = {}


def report(*rows: Outcome | Refusal, possible: int = 0, **stats: int) -> GeometryReport:
    trace: Any = Recorded()
    trace.machine = {"possible_cpus": possible}
    trace.stats = replace(STATS, **stats)
    return GeometryReport("t", trace, rows)


def test_text() -> None:
    assert report(OUTCOME, LARGE, ODD, REFUSED).to_text() == (
        """\
t: 2,305 allocations, 2,300 frees, recorded on 8 CPUs

                                 at peak:                               most  at end:
first     unit   cpus  failed  live bytes   pages   used    stranded   pages    pages    stranded
4k         64K      2       3      20,480      23  60.9%      36,864      25       12      30,766
embed       2M  1,024       3      20,480  14,336  50.0%  29,360,128  14,400   14,336  49,306,624
4k      65,600      2       3      20,480      23  60.9%      36,864      25       12      30,766
4k        auto      ?  refused: too many CPUs
kernel       -      8      31           -       -      -           -   8,800        -           -

                       chunks:                      steps:        offset:
first     unit   cpus     most  made  gone  at end   alloc  free     same  shifted     by
4k         64K      2        5     6     7       4     5.1   1.7    44.4%    66.7%  1,000
embed       2M  1,024        5     6     7       4     5.1   1.7        -        -      -
4k      65,600      2        5     6     7       4     5.1   1.7    44.4%    66.7%  1,000
4k        auto      ?  refused
kernel       -      8       34    32    33       -       -     -        -        -      -

live bytes: those of one CPU's copies. Pages and stranded bytes: those of all CPUs.
stranded: bytes of pages that are neither static nor live; used: the others.
steps of a call: lists, chunks, map entries and tree nodes that the 2009 file visits.
offset: share of 9 allocations at the kernel's own offset in a unit, in whatever chunk; and of those
  that differ from it by the most frequent number of bytes.
kernel: the chunks of the recorded areas, and the pages that these areas touch, 4,505,600 bytes for
  each CPU, up to offset 230,976."""
    )


@pytest.mark.parametrize(
    ("stats", "first", "failures", "pages"),
    [({}, "kernel - 8", "31", "8,800"), ({"cpus": 0}, "kernel - -", "31", "-")],
)
def test_line_of_the_kernel(stats: dict[str, int], first: str, failures: str, pages: str) -> None:
    """The pages of all CPUs are unknown if their number is."""
    lines = report(OUTCOME, **stats).to_text().splitlines()
    memory, chunks = (" ".join(line.split()) for line in lines if line.startswith("kernel "))
    assert memory == f"{first} {failures} - - - - {pages} - -"
    assert chunks == f"{first} 34 32 33 - - - - - -"


def test_free_size_is_shown_where_it_does_not_follow_from_the_others() -> None:
    other = replace(OUTCOME, geometry={**SMALL, "free_size": 57_000})
    refused = Refusal({**SMALL, "free_size": 0}, "why")
    lines = report(OUTCOME, other, refused).to_text().splitlines()
    rows = [line.split()[:5] for line in lines[3:7]]
    assert rows == [
        ["first", "unit", "cpus", "free", "failed"],
        ["4k", "64K", "2", "56K", "3"],
        ["4k", "64K", "2", "57,000", "3"],
        ["4k", "64K", "2", "auto", "refused:"],
    ]


def kernel_row(**recorded: int) -> list[str]:
    """Return the kernel's row of the first table; that of the second has the same CPUs."""
    lines = report(OUTCOME, **recorded).to_text().splitlines()
    memory, chunks = (line.split() for line in lines if line.startswith("kernel "))
    assert memory[:3] == chunks[:3]
    return memory


def test_pages_of_the_kernel_are_those_of_all_possible_cpus() -> None:
    """8 CPUs recorded events; a kernel has pages also for those that are offline."""
    assert kernel_row() == ["kernel", "-", "8", "31", *"----", "8,800", *"--"]
    assert kernel_row(possible=64) == ["kernel", "-", "64", "31", *"----", "70,400", *"--"]
    assert kernel_row(cpus=0, possible=64)[2] == "64"


def test_pages_of_the_kernel_on_an_unknown_number_of_cpus() -> None:
    assert kernel_row(cpus=0) == ["kernel", "-", "-", "31", *"----", "-", *"--"]


def test_recorded_areas_without_places() -> None:
    """Then there is nothing to say about the kernel, and about offsets only what is known."""
    text = report(replace(OUTCOME, **UNKNOWN_OFFSETS), kernel_chunks=0).to_text()
    assert "kernel" not in text
    assert "share of" not in text
    assert "share of 9 allocations" in report(OUTCOME, kernel_chunks=0).to_text()


def test_json() -> None:
    figures = report(OUTCOME, REFUSED).to_json()
    assert figures == {
        "trace": "t",
        "allocs": 2305,
        "frees": 2300,
        "kernel": {
            "cpus": 8,
            "chunks": 34,
            "chunks_created": 32,
            "chunks_destroyed": 33,
            "bytes_per_cpu": 1100 * 4096,
            "extent": 230_976,
            "failures": 31,
        },
        "geometries": figures["geometries"],
    }
    possible, refused = figures["geometries"]
    assert possible == {
        **SMALL,
        "refused": None,
        "failures": 3,
        "failure_reasons": {"why": 3},
        "live_bytes": 1001,
        "peak_live_bytes": 20_480,
        "pages": 12,
        "pages_at_peak": 23,
        "peak_pages": 25,
        "chunks": 4,
        "peak_chunks": 5,
        "chunks_created": 6,
        "chunks_destroyed": 7,
        "hidden": 200,
        "peak_hidden": 400,
        "offsets_known": 9,
        "same_offsets": 4,
        "shift": 1000,
        "same_shifted": 6,
        "utilisation_at_peak": 0.6087,
        "stranded_at_peak": 23 * 4096 - 2 * (8192 + 20_480),
        "stranded": 12 * 4096 - 2 * (8192 + 1001),
        "steps_per_alloc": 5.14,
        "steps_per_free": 1.67,
        "work_alloc": asdict(OUTCOME.work.alloc),
        "work_free": asdict(OUTCOME.work.free),
    }
    assert list(refused) == list(possible)
    given = {name: value for name, value in refused.items() if value is not None}
    assert given == {**REFUSED.geometry, "refused": "too many CPUs"}


def test_csv() -> None:
    possible, refused = csv.DictReader(report(OUTCOME, REFUSED).to_csv().splitlines())
    assert "failure_reasons" not in possible
    assert (possible["failures"], possible["alloc_entries_moved"]) == ("3", "10")
    assert (possible["free_operations"], possible["free_pages_depopulated"]) == ("3", "53")
    assert (refused["refused"], refused["failures"]) == ("too many CPUs", "")
    for row in (possible, refused):
        assert (row["kernel_chunks"], row["kernel_bytes_per_cpu"]) == ("34", str(1100 * 4096))


def test_columns_of_bitmaps() -> None:
    """Without a first chunk, with hidden bytes; settings are shown that differ."""
    geometry = {**SMALL, "policy": "bitmap+chunk-hint", "first_chunk": None}
    one = replace(OUTCOME, geometry=geometry)
    other = replace(OUTCOME, geometry={**geometry, "static_size": 4096, "page_size": 8192})
    heads, rows, *_ = geometry_table([one, other], chunk_columns([one, other]))
    assert [" ".join(filter(None, head)) for head in heads] == [
        *("policy", "unit", "cpus", "static", "page"),
        *("chunks: most", "chunks: made", "chunks: gone", "chunks: at end"),
        *("hidden: most", "hidden: at end", "steps: alloc", "steps: free"),
        *("offset: same", "offset: shifted", "offset: by"),
    ]
    assert rows[0] == [
        *("bitmap+chunk-hint", "64K", "2", "8K", "4K", "5", "6", "7", "4", "400", "200"),
        *("5.1", "1.7", "44.4%", "66.7%", "1,000"),
    ]


def test_a_free_size_that_follows_from_the_unit_is_not_shown() -> None:
    other = replace(OUTCOME, geometry={**SMALL, "unit_size": 131_072, "free_size": 122_880})
    names = [head.name for head in geometry_table([OUTCOME, other], []).heads]
    assert names == ["first", "unit", "cpus"]


def test_shares_have_four_digits_in_columns() -> None:
    """2 * (8,192 + 20,480) bytes are two thirds of 21 pages."""
    found = Comparison([replace(OUTCOME, pages_at_peak=21)])
    assert found.columns()["utilisation_at_peak"] == [0.6667]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("policy", "bitmap+chunk-hint", "bitmap+chunk-hint"),
        ("first_chunk", "remap", "remap"),
        ("first_chunk", "none", "?"),
        ("first_chunk", None, "-"),
        ("unit_size", "4k", "?"),
        ("unit_size", 0, "auto"),
        ("free_size", 0, "auto"),
        ("static_size", 0, "0"),
        ("cpus", 0, "0"),
        ("cpus", 4096, "4,096"),
        ("page_size", 1000, "1,000"),
        ("page_size", 1024, "1K"),
        ("unit_size", 3 << 20, "3M"),
        ("unit_size", 1 << 30, "1G"),
        ("unit_size", 1 << 40, "1,024G"),
        ("unit_size", (1 << 40) + 1, "?"),
        ("unit_size", -(1 << 41), "?"),
    ],
)
def test_settings_in_a_table(name: str, value: object, text: str) -> None:
    assert setting(name, value) == text
