# SPDX-License-Identifier: GPL-2.0-only
"""What a recorded kernel itself did, as a timeline of its own chunks and offsets.

The recording of most tests, after each operation; ``?`` is an area that it does not allocate, and
whose free it has::

    done   chunk 0, older         chunk 1
    1      |..A...?....|          |............|   created after the first operation
    2      |..A...?....|          |...B........|
    3      |..A........|          |...B........|   the background work runs
    4      |..A........|          |...C........|   the free of B was lost
    5      |..A........|
    6      |...........|
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NETNS, SAMPLES
from test_witness_steps import BASES, WORK, alloc, free, load

from percpu_ffi import ConfigError, Trace, TraceError
from percpu_ffi.analysis.explain import explain_peak
from percpu_ffi.analysis.lifetimes import lives_of
from percpu_ffi.analysis.recorded import KernelTimeline, read_history
from percpu_ffi.analysis.timeline import (
    FREE_SPACE,
    OLD_AREA,
    OLD_CHUNK,
    PAGES,
    Moment,
    Patch,
)
from percpu_ffi.analysis.totals import chunk_users
from percpu_ffi.geometry import Geometry
from percpu_ffi.trace import Skipped
from percpu_ffi.trace.text import SKIPS

BOOT = str(SAMPLES / "boot_k61tcg.ftrace.xz")
CREATE, DESTROY = (f"percpu_{what}_chunk: base_addr={BASES[1]}" for what in ("create", "destroy"))
LINES = (
    alloc(0, 64, 10, 4),  # A
    CREATE,
    alloc(1, 4092, 12, 4),  # B, on two pages
    free(0, 640),
    WORK.format("start"),
    WORK.format("end"),
    alloc(1, 4092, 12, 4),  # C
    free(1, 4092),
    DESTROY,
    free(0, 64),
)


def read(tmp_path: Path, *lines: str) -> Trace:
    return load(tmp_path, *(("task-1", line) for line in lines))


def area(chunk: int, start: int, size: int, kind: int, born: int) -> Patch:
    return Patch(chunk, start, start + size, kind, born)


def whole(chunk: int, kind: int, end: int = 8192) -> Patch:
    return Patch(chunk, 0, end, kind, -1)


OLDER = area(0, 640, 4, OLD_AREA, -1)


class TestHistory:
    @pytest.fixture
    def found(self, tmp_path: Path) -> KernelTimeline:
        """The timeline of the recording above."""
        return read_history(read(tmp_path, *LINES))

    def test_patches(self, found: KernelTimeline) -> None:
        """Sizes are multiples of 4; the unit is a power of two above all areas."""
        assert found.patches == {
            whole(0, FREE_SPACE): [(1, 6)],
            whole(0, OLD_CHUNK): [(1, 6)],
            whole(1, FREE_SPACE): [(1, 4)],
            area(0, 64, 12, 0, 0): [(1, 5)],
            area(1, 4092, 12, 1, 1): [(2, 3)],
            area(1, 4092, 12, 1, 3): [(4, 4)],
            OLDER: [(1, 2)],
            whole(0, PAGES, 4096): [(1, 5)],
            whole(1, PAGES): [(2, 4)],
        }
        assert found.moments == [Moment(done) for done in range(7)]

    def test_curves(self, found: KernelTimeline) -> None:
        assert list(found.curves.live) == [0, 10, 22, 22, 22, 10, 0]
        assert list(found.curves.pages) == [0, 1, 3, 3, 3, 1, 0]
        assert list(found.curves.chunks) == [0, 2, 2, 2, 2, 1, 1]
        assert found.runs is not None
        assert list(found.runs) == [0, 0, 0, 1, 1, 1, 1]
        assert (found.curves.hidden, found.held(2), found.peak) == (None, 3 * 4096, 2)
        assert found.static_size == 0

    def test_lives(self, found: KernelTimeline) -> None:
        lives = [(kind.size, born, died) for kind, born, died in found.areas()]
        assert lives == [(12, 1, 3), (12, 3, 4), (10, 0, 5)]

    def test_call_sites_are_alone_only_in_chunks_that_are_known_from_their_start(
        self, found: KernelTimeline
    ) -> None:
        (user,) = chunk_users(found, found.patches_at(2))
        assert (user.chunks, user.alone, user.areas, user.bytes) == (2, 1, 2, 24)

    def test_peak_is_explained(self, found: KernelTimeline) -> None:
        summary, sites = explain_peak(found)
        assert summary == (
            "Peak: after operation 2 of 6, 2.00 us after the first, recorded areas had 22 live "
            "bytes in each CPU's units, in 2 chunks, on pages of 12,288 bytes."
        )
        assert sites == "Call sites in the most chunks: f in 2 of 2 (24 bytes)."

    def test_chunks_without_areas_do_not_count_at_the_peak(self, tmp_path: Path) -> None:
        (summary,) = explain_peak(read_history(read(tmp_path, CREATE, alloc(0, 0, 8, 8))))
        assert "in 1 chunk, on pages of 4,096 bytes." in summary


class TestMissing:
    """What a recording does not have is not invented."""

    @pytest.mark.parametrize(
        "line",
        ["CPU:0 [LOST 3 EVENTS]", " a-1 [000] ..... 1.0: percpu_free_percpu: base_addr=0x1 off="],
    )
    def test_nothing_is_older_if_events_may_be_missing(self, tmp_path: Path, line: str) -> None:
        """The allocation of the freed area may be among them."""
        read(tmp_path, *LINES)
        path = tmp_path / "recording"
        path.write_text(f"{line}\n{path.read_text()}")
        found = read_history(Trace.load(path))
        assert OLD_AREA not in {patch.kind for patch in found.patches}

    @pytest.mark.parametrize("kind", SKIPS)
    def test_nothing_is_older_if_skipped_lines_may_be_events(
        self, tmp_path: Path, kind: str
    ) -> None:
        trace = read(tmp_path, *LINES)
        trace._data.skipped = [Skipped(kind, 1, 1, "")]
        kinds = {patch.kind for patch in read_history(trace).patches}
        assert (OLD_AREA in kinds) == (kind in ("text", "other_event"))

    def test_area_of_a_new_chunk_is_never_older(self, tmp_path: Path) -> None:
        found = read_history(read(tmp_path, CREATE, alloc(1, 0, 8, 8), free(1, 64)))
        assert {patch.kind for patch in found.patches} == {FREE_SPACE, PAGES, 0}
        assert found.kept == set()

    def test_chunk_is_known_from_the_first_operation_in_it(self, tmp_path: Path) -> None:
        found = read_history(read(tmp_path, alloc(0, 0, 8, 8), free(1, 64), free(1, 128)))
        assert found.patches[whole(1, FREE_SPACE, 4096)] == [(2, 3)]
        assert found.patches[area(1, 128, 4, OLD_AREA, -1)] == [(2, 2)]
        assert area(1, 64, 4, OLD_AREA, -1) not in found.patches

    def test_areas_of_a_destroyed_chunk_are_gone(self, tmp_path: Path) -> None:
        """Its kernel freed them; the recording lacks the frees."""
        lines = CREATE, alloc(1, 0, 8, 8), alloc(1, 8, 4, 4), DESTROY, alloc(0, 0, 4, 4)
        found = read_history(read(tmp_path, *lines))
        assert list(found.curves.live) == [0, 8, 0, 4]
        assert list(found.curves.pages) == [0, 1, 0, 1]
        areas = {patch: stays for patch, stays in found.patches.items() if patch.kind >= 0}
        assert areas == {area(0, 0, 8, 0, 0): [(1, 1)], area(1, 0, 4, 1, 2): [(3, 3)]}

    def test_runs_are_unknown_without_events_of_workqueues(self, tmp_path: Path) -> None:
        assert read_history(read(tmp_path, alloc(0, 0, 8, 8))).runs is None

    def test_recording_without_allocations(self, tmp_path: Path) -> None:
        found = read_history(read(tmp_path, free(0, 64)))
        assert explain_peak(found) == ["The recording has no allocation."]


class TestGeometry:
    GIVEN = Geometry(100, 0, 100, 65536, page_size=64, cpus=3)

    def test_of_the_machine(self, tmp_path: Path) -> None:
        found = read_history(read(tmp_path, *LINES), self.GIVEN)
        assert (found.unit_size, found.page_size, found.unit_is_known) == (65536, 64, True)
        assert found.possible_cpus == 3
        assert found.patches[Patch(1, 63 * 64, 65 * 64, PAGES, -1)] == [(2, 4)]

    @pytest.mark.parametrize(
        ("offset", "unit"), [(4092, 4096), (4093, 8192), (4096, 8192), (8188, 8192), (8192, 16384)]
    )
    def test_unknown_unit_is_a_power_of_two(self, tmp_path: Path, offset: int, unit: int) -> None:
        found = read_history(read(tmp_path, free(0, offset)))
        assert (found.unit_size, found.page_size, found.unit_is_known) == (unit, 4096, False)
        assert found.possible_cpus is None

    def test_page_size_may_be_unknown(self, tmp_path: Path) -> None:
        given = replace(self.GIVEN, page_size=None, cpus=None)
        found = read_history(read(tmp_path, *LINES), given)
        assert (found.page_size, found.possible_cpus) == (4096, None)

    def test_of_another_machine_is_refused(self, tmp_path: Path) -> None:
        given = replace(self.GIVEN, unit_size=4100)
        with pytest.raises(ConfigError, match="unit of 4,100 bytes: the recording has an area that "
                                              "ends at offset 4,104, so this is not"):  # fmt: skip
            read_history(read(tmp_path, *LINES), given)
        assert read_history(read(tmp_path, *LINES), replace(given, unit_size=4104))

    @pytest.mark.parametrize("size", [0, -4096, 32, 4097, 1 << 27])
    def test_impossible_page_is_refused(self, tmp_path: Path, size: int) -> None:
        with pytest.raises(ConfigError, match=f"page of {size:,} bytes: a power of two from 64 to"):
            read_history(read(tmp_path, *LINES), replace(self.GIVEN, page_size=size))

    @pytest.mark.parametrize("size", [64, 1 << 26])
    def test_smallest_and_largest_page(self, tmp_path: Path, size: int) -> None:
        found = read_history(read(tmp_path, *LINES), replace(self.GIVEN, page_size=size))
        assert found.page_size == size

    def test_impossible_unit_is_refused(self, tmp_path: Path) -> None:
        """A recording may note any boot line."""
        trace = read(tmp_path, *LINES)
        with pytest.raises(ConfigError, match="unit of 1,073,741,825 bytes: at most 1,073,741,824"):
            read_history(trace, replace(self.GIVEN, unit_size=(1 << 30) + 1))
        assert read_history(trace, replace(self.GIVEN, unit_size=1 << 30)).unit_size == 1 << 30

    def test_impossible_chunk_is_refused(self, tmp_path: Path) -> None:
        """The first two chunks of one operation and one event are numbers 0 and 1."""
        trace = read(tmp_path, CREATE, alloc(1, 0, 8, 4))
        chunks = trace._data.columns["chunks"]
        chunks[0] = 2
        with pytest.raises(TraceError, match="an area in chunk 2, but chunks are numbered by the"):
            read_history(trace)
        chunks[0] = 1
        assert list(read_history(trace).curves.chunks) == [1, 2]

    def test_impossible_offset_is_refused(self, tmp_path: Path) -> None:
        """Only a file that no recorder wrote has it."""
        trace = read(tmp_path, alloc(0, 0, 8, 4))
        offsets = trace._data.columns["offsets"]
        offsets[0] = (1 << 30) - 4
        with pytest.raises(TraceError, match="ends at offset 1,073,741,828 of a unit; no kernel"):
            read_history(trace)
        offsets[0] -= 4
        assert read_history(trace).unit_size == 1 << 30


def test_places_are_required() -> None:
    with pytest.raises(TraceError, match=r"where the kernel placed its areas \(base_addr= and off"):
        read_history(Trace.from_ops([("alloc", 1, 8, 4)]))


def test_atomic_flags_are_not(tmp_path: Path) -> None:
    """Unlike a prediction, a history needs no is_atomic=."""
    trace = read(tmp_path, alloc(0, 0, 8, 8).replace("is_atomic=0 ", ""))
    assert len(read_history(trace).lives.born) == 1


def test_moments_are_dropped_if_there_are_too_many_patches(tmp_path: Path) -> None:
    found = read_history(read(tmp_path, *LINES), most_patches=8)
    assert [moment.done for moment in found.moments] == [0, 2, 3, 5, 6]
    assert len(found.patches) == 8


@pytest.mark.parametrize("moments", [0, 2])
def test_peak_is_among_few_moments(tmp_path: Path, moments: int) -> None:
    found = read_history(read(tmp_path, *LINES), moments=moments)
    assert {0, found.peak, 6} <= {moment.done for moment in found.moments}
    assert len(found.moments) <= 4


def test_progress_counts_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("percpu_ffi.analysis.recorded.STEP", 2)
    steps: list[int] = []
    read_history(read(tmp_path, *LINES), progress=steps.append)
    assert steps == [2, 2, 2, 0]


@pytest.mark.parametrize("path", [BOOT, NETNS])
def test_areas_are_at_the_offsets_of_the_recording(path: str) -> None:
    trace = Trace.load(path)
    found, lives, places = read_history(trace, moments=9), lives_of(trace), trace.places
    assert places is not None
    for number, moment in enumerate(found.moments):
        shown = {(p.chunk, p.start, p.end) for p in found.patches_at(number) if p.kind >= 0}
        live = [
            (places.chunks[born], places.offsets[born], trace.kinds[kind].size)
            for kind, born, died in zip(lives.kinds, lives.born, lives.died, strict=True)
            if born < moment.done <= died
        ]
        assert shown == {(chunk, at, at + (size + 3) // 4 * 4) for chunk, at, size in live}
        assert found.curves.live[moment.done] == sum(size for _, _, size in live)
        pages = {
            (chunk, page)
            for chunk, at, size in live
            for page in range(at // 4096, (at + size + 4095) // 4096)
        }
        assert found.curves.pages[moment.done] == len(pages)
        runs = [(p.chunk, p.start, p.end) for p in found.patches_at(number) if p.kind == PAGES]
        assert sum(end - start for _, start, end in runs) == 4096 * len(pages)
        starts = {(chunk, start) for chunk, start, _ in runs}
        assert starts.isdisjoint((chunk, end) for chunk, _, end in runs)  # they do not touch
    dones = [moment.done for moment in found.moments]
    assert dones == sorted(dones)
    assert found.peak == lives.peak + 1
