# SPDX-License-Identifier: GPL-2.0-only
"""The report of ``check --against kernel``: each figure in its row, and under its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from percpu_ffi import Location, Trace
from percpu_ffi.drawing import LEGEND
from percpu_ffi.reports.witness import WitnessReport
from percpu_ffi.state import ChunkState, State
from percpu_ffi.trace.operations import Kind
from percpu_ffi.trace.steps import Alloc
from percpu_ffi.witness.follow import Choices, Figures, Foretold, Miss
from percpu_ffi.witness.start import Start
from percpu_ffi.witness.verdict import Verdict

TRACE = Trace.from_ops([("alloc", 1, 64, 8), ("alloc", 2, 12, 4), ("free", 1)])
SETUP = {
    **{"unit_size": 65536, "static_size": 8192, "reserved_size": 1024, "dyn_size": 28672},
    "fixes": ["chunk-hint"],
}
START = Start("boot", "at boot, with nothing of the first chunk in use", (0,))
STEP = Alloc(1, Kind(12, 4), Location(5, 4096), 0)
FIGURES = Figures(
    all=Choices(8000, 7999, 8000),
    new=Choices(1500, 500, 0),
    made=Foretold(12, 11),
    destroyed=Foretold(10, 9),
    runs=Foretold(None, 77),
    failed=Foretold(6, 5),
    learnt=4,
    lost_frees=3,
    orphans=2222,
    misses=[Miss(STEP, Location(2, 4096), Location(1, 100), 128, None)],
)
AGAIN = Figures(all=Choices(8000, 8000, 8000), new=Choices(1500, 1499, 1498))


def report(figures: Figures, **verdict: Any) -> WitnessReport:
    return WitnessReport("t.ftrace", "port", TRACE, Verdict(SETUP, START, figures, **verdict))


def test_json() -> None:
    found = replace(report(FIGURES, reordered=AGAIN, moves=7), remarks=("It is weak.",)).to_json()
    assert found == {
        "party": "port",
        "setup": SETUP,
        "start": "boot",
        "start_rule": "at boot, with nothing of the first chunk in use",
        "choices": 8000,
        "chunk_and_offset": 7999,
        "offset_given_chunk": 8000,
        "in_new_chunks": {"choices": 1500, "chunk_and_offset": 500, "offset_given_chunk": 0},
        "reordered": {
            "choices": 8000,
            "chunk_and_offset": 8000,
            "offset_given_chunk": 8000,
            "in_new_chunks": {
                "choices": 1500,
                "chunk_and_offset": 1499,
                "offset_given_chunk": 1498,
            },
        },
        "moved": 7,
        "chunks_made": {"seen": 12, "foretold": 11},
        "chunks_destroyed": {"seen": 10, "foretold": 9},
        "background_runs": {"seen": None, "foretold": 77},
        "failed_requests": {"seen": 6, "foretold": 5},
        "learnt": 4,
        "lost_frees": 3,
        "unknown_frees": 2222,
        "misses": [1],
        "remarks": ["It is weak."],
    }


def test_text() -> None:
    assert report(FIGURES, reordered=AGAIN, moves=1234).to_text().splitlines() == [
        "t.ftrace: what the kernel chose, predicted by the port, with chunk-hint fixed",
        "units of 65,536 bytes: static 8,192, reserved 1,024, dynamic 28,672",
        "start: at boot, with nothing of the first chunk in use",
        "",
        "  choices                        8,000",
        "  chunk and offset               7,999   99.987 %",
        "  offset, given the chunk        8,000   100 %",
        "  in chunks that were created during the recording",
        "    choices                      1,500",
        "    chunk and offset               500   33.333 %",
        "    offset, given the chunk          0   0.000 %",
        "  chunks created                    12   11 of them predicted",
        "  chunks destroyed                  10   9 of them predicted",
        "  background runs                   77   by the policy; the recording does not have them",
        "  requests without a place           6   5 of them predicted",
        "  learnt                             4   chunks that the kernel passed over are taken to "
        "be sidelined",
        "  areas without a free               3   others take their place",
        "  unknown frees                  2,222   skipped",
        "  with 1,234 decisions before those printed earlier",
        "    choices                      8,000",
        "    chunk and offset             8,000   100 %",
        "    offset, given the chunk      8,000   100 %",
        "",
        "the first miss is operation 1, ('alloc', 2, 12, 4)",
        LEGEND,
        "  kernel  chunk 2, offset 4,096",
        "  policy  chunk 1, offset 100",
    ]


def test_rows_that_have_nothing_to_show_are_left_out() -> None:
    figures = Figures(all=Choices(5, 5, 5))
    one = WitnessReport("t", "model", TRACE, Verdict({**SETUP, "fixes": []}, START, figures))
    assert one.to_text().splitlines() == [
        "t: what the kernel chose, predicted by the model",
        "units of 65,536 bytes: static 8,192, reserved 1,024, dynamic 28,672",
        "start: at boot, with nothing of the first chunk in use",
        "",
        "  choices                            5",
        "  chunk and offset                   5   100 %",
        "  offset, given the chunk            5   100 %",
        "  chunks created                     0   0 of them predicted",
        "  chunks destroyed                   0   0 of them predicted",
        "  background runs                    0   0 of them predicted",
        "  requests without a place           0   0 of them predicted",
    ]
    found = one.to_json()
    assert (found["reordered"], found["moved"], found["remarks"]) == (None, 0, [])


@pytest.mark.parametrize(
    ("count", "total", "share"),
    [
        (999_999, 1_000_000, "999,999   99.999 %"),
        (999_999_999, 1_000_000_000, "999,999,999   99.999 %"),
        (1, 3, "        1   33.333 %"),
        (0, 0, "        0   "),
    ],
)
def test_share_is_rounded_down_so_that_only_all_is_100(count: int, total: int, share: str) -> None:
    text = report(Figures(all=Choices(total, count, 0))).to_text()
    (row,) = (row for row in text.splitlines() if row.startswith("  chunk and offset"))
    assert row.endswith(share)


def test_all_predicted() -> None:
    assert report(Figures()).all_predicted
    assert not report(FIGURES).all_predicted


# --- the first miss


def state(*maps: tuple[int, tuple[int, ...]]) -> State:
    chunks = (
        ChunkState(
            id=number, free_size=0, contig_hint=0, map=sizes, map_alloc=0, immutable=False,
            populated=()
        )
        for number, sizes in maps
    )  # fmt: skip
    return State((), tuple(chunks))


def miss_lines(miss: Miss, after: State | None) -> list[str]:
    text = report(Figures(all=Choices(1), misses=[miss], after_first_miss=after)).to_text()
    lines = text.splitlines()
    return lines[lines.index(LEGEND) + 1 :]


def test_both_places_of_the_first_miss_are_drawn() -> None:
    """A character is 16 bytes: the 512 before a place and the 512 after it, or fewer at a start.

    chunk 2  |####....  in use up to 4096;  chunk 1  |.....# in use from 640 on
    """
    after = state((1, (640, -64, 1344)), (2, (-4096, 4096)))
    kernel = miss_lines(Miss(STEP, Location(2, 4096), Location(1, 128), 0, 1), after)
    assert kernel == [
        "  kernel  chunk 2, offset 4,096",
        f"          [{'#' * 32}{'.' * 32}]  bytes 3,584 to 4,608",
        f"           {' ' * 32}^",
        "  policy  chunk 1, offset 128",
        # 640 bytes in 64 characters: 128 is the 13th
        f"          [{'.' * 64}]  bytes 0 to 640",
        f"           {' ' * 12}^",
    ]


def test_chunk_that_is_gone_is_not_drawn() -> None:
    missing = miss_lines(Miss(STEP, Location(3, 64), Location(1, 0), 0, 1), state((1, (-64, 576))))
    assert missing == [
        "  kernel  chunk 3, offset 64",
        "  policy  chunk 1, offset 0",
        f"          [{'#' * 8}{'.' * 56}]  bytes 0 to 512",
        "           ^",
    ]


def test_policy_without_a_place() -> None:
    assert miss_lines(Miss(STEP, Location(3, 64), None, None, None), None) == [
        "  kernel  chunk 3, offset 64",
        "  policy  no place",
    ]
