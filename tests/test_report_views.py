# SPDX-License-Identifier: GPL-2.0-only
"""What the page says of a replay of 2009, of one through today's policy, of a kernel itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, TINY
from pages import Page
from test_recorded import LINES, read
from test_timeline_bitmap import PAGE_OF, SMALL, TestHiddenSpace, free

from percpu_ffi import Trace
from percpu_ffi.analysis.recorded import KernelTimeline, read_history
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.cli import main
from percpu_ffi.geometry import Geometry
from percpu_ffi.reports.history import history_figures
from percpu_ffi.reports.page import make_page
from percpu_ffi.reports.page.bundle import inline_bokeh
from percpu_ffi.reports.page.figures import curve_figures, moment_figures
from percpu_ffi.reports.page.tables import curves_table
from percpu_ffi.reports.page.view import View, view_of
from percpu_ffi.reports.replay import timeline_figures

HIDDEN = TestHiddenSpace.FULL  # ends with 16 hidden bytes
AREA_MAP_LEGEND = ["static area", "free", "populated pages, below each chunk"]
BITMAP_LEGEND = [
    "free",
    "blocks: a strong colour is a small contig hint",
    "populated pages, below each chunk",
    "populated pages that are all free",
]


def replay_view(setup: dict[str, Any], *ops: tuple[Any, ...]) -> View:
    timeline = collect(Trace.from_ops(ops), setup)
    return view_of(timeline, timeline_figures(timeline, "t"))


def legend(view: View) -> list[str]:
    return [mark.text for mark in view.legend]


def history(tmp_path: Path, geometry: Geometry | None = None) -> KernelTimeline:
    return read_history(read(tmp_path, *LINES), geometry)


class TestLegend:
    """It has what the chunks have at some moment, and nothing else."""

    def test_of_2009(self) -> None:
        assert legend(replay_view(TINY, ("alloc", 1, 8, 4))) == AREA_MAP_LEGEND

    def test_of_bitmaps(self) -> None:
        assert legend(replay_view(SMALL, ("alloc", 1, 8, 4))) == BITMAP_LEGEND

    @pytest.mark.parametrize(
        ("ops", "setup", "more"),
        [
            (HIDDEN, {}, "hidden: free, in a chunk whose contig hint is 0"),
            ([("alloc", 1, 8, 4)], {"static_size": 100}, "not of this chunk"),
            ([*PAGE_OF, *free(*range(8, 13), *range(24, 29))], {}, "sidelined chunk"),
            (
                [*PAGE_OF, *free(*range(8, 13), *range(24, 29))],
                {"balance": "manual"},
                "chunk to be depopulated",
            ),
        ],
    )
    def test_of_what_is_not_always_there(
        self, ops: list[Any], setup: dict[str, Any], more: str
    ) -> None:
        assert {*legend(replay_view({**SMALL, **setup}, *ops))} - {*BITMAP_LEGEND} == {more}

    def test_of_a_kernel(self, tmp_path: Path) -> None:
        timeline = history(tmp_path)
        assert legend(view_of(timeline, history_figures(timeline, "t"))) == [
            "no recorded area",
            "older area, freed later; its size is not known",
            "pages with recorded areas, below each chunk",
        ]


class TestAbout:
    @pytest.mark.parametrize(
        ("setup", "about"),
        [
            (
                {**TINY, "first_chunk": "4k"},
                "replayed through the allocator of February 2009 on 2 CPUs: first chunk 4k, static "
                "area of 64 bytes, units of 1,024, pages of 64.",
            ),
            (
                SMALL,
                "replayed through today's policy on 2 CPUs: static area of 64 bytes, which is in "
                "no chunk, units of 1,024, pages of 64.",
            ),
            (
                {**SMALL, "cpus": 1, "fixes": ["chunk-hint"]},
                "replayed through today's policy with the fix chunk-hint on 1 CPU: static area of "
                "64 bytes, which is in no chunk, units of 1,024, pages of 64.",
            ),
        ],
    )
    def test_replay(self, setup: dict[str, Any], about: str) -> None:
        view = replay_view(setup, ("alloc", 1, 8, 4))
        assert view.about == f"The allocations of a kernel, {about}"

    @pytest.mark.parametrize(
        ("geometry", "where", "sizes"),
        [
            (None, " on 1 CPU", "units of 8,192 bytes, pages of 4,096. The unit size is not in the "
                       "recording: it is taken from the highest recorded offset."),
            (Geometry(0, 0, 0, 65536, 64, 16), " on 16 CPUs",
             "units of 65,536 bytes, pages of 64."),
        ],
    )  # fmt: skip
    def test_kernel(
        self, tmp_path: Path, geometry: Geometry | None, where: str, sizes: str
    ) -> None:
        timeline = history(tmp_path, geometry)
        assert view_of(timeline, history_figures(timeline, "t")).about == (
            f"The allocations of a kernel{where}, where it placed them: its own chunks and "
            f"offsets, without an allocator of ours; {sizes} Areas that are older than the "
            "recording are not known."
        )


class TestFigures:
    def names(self, figures: list[Any]) -> list[str]:
        return [figure.name for figure in figures]

    def test_hidden_bytes_are_next_to_stranded_ones(self) -> None:
        timeline = collect(Trace.from_ops(HIDDEN), SMALL)
        figures = curve_figures(timeline)
        assert self.names(figures) == [
            "live", "populated", "stranded", "hidden", "fragmentation", "chunks"
        ]  # fmt: skip
        # the background work has populated 3 pages, in a second chunk
        assert [figure.text(33) for figure in figures] == ["496", "768", "208", "16", "27.1%", "2"]
        assert self.names(moment_figures(timeline)) == ["free ranges", "largest"]
        table = curves_table(timeline)
        assert ", at most 16 hidden bytes, at most 2 chunks." in table.label
        assert table.rows[-1][4] == "16"

    def test_of_2009_have_no_hidden_bytes(self) -> None:
        timeline = collect(Trace.from_ops(HIDDEN), TINY)
        assert "hidden" not in self.names(curve_figures(timeline))
        assert "hidden" not in curves_table(timeline).label

    def test_of_a_kernel(self, tmp_path: Path) -> None:
        timeline = history(tmp_path)
        table = curves_table(timeline)
        assert table.heads == (
            "operations done", "seconds", "live bytes", "pages with recorded areas", "chunks",
            "background runs so far", "note",
        )  # fmt: skip
        assert table.rows[2] == ("2", "0.000002", "22", "12,288", "2", "0", "peak")
        assert table.label == (
            "Bytes and chunks over 9.00 us, 6 operations: 22 live bytes at the peak, at most 2 "
            "chunks."
        )
        assert moment_figures(timeline) == []

    def test_of_a_kernel_as_plain_values(self, tmp_path: Path) -> None:
        figures = history_figures(history(tmp_path), "t")
        assert figures.pop("recording")["events"] == 8
        assert figures == {
            "trace": "t", "geometry": {"unit_size": 8192, "page_size": 4096},
            "possible_cpus": 1, "events": 8, "allocs": 3, "frees": 3, "orphan_frees": 1,
            "reallocs": 1, "lost_events": 0, "failures": 0, "peak_live_bytes": 22, "live_bytes": 0,
            "chunks_created": 1, "chunks_destroyed": 1, "chunks": 1, "peak_pages": 3,
            "background_runs": 1,
        }  # fmt: skip


class TestPages:
    """The text of whole pages."""

    @pytest.fixture(autouse=True)
    def _bokeh(self) -> None:
        pytest.importorskip("bokeh")

    def words(self, page: Page) -> str:
        """Return the visible text."""
        (body,) = page.all("body")
        scripts = [e for e in page.all("script", "noscript", "style") if body in e.parents]
        text = "".join(body.texts)
        for script in scripts:
            text = text.replace("".join(script.texts), "")
        return " ".join(text.split())

    def replay_page(self, setup: dict[str, Any]) -> Page:
        timeline = collect(Trace.from_ops(HIDDEN), setup)
        return Page(make_page(timeline, timeline_figures(timeline, "t")))

    def test_hidden_space_is_explained_where_it_is(self) -> None:
        for setup, there in ((SMALL, True), ({**SMALL, "fixes": ["chunk-hint"]}, False)):
            text = self.words(self.replay_page(setup))
            assert ("Hidden are free bytes of chunks whose contig hint is 0" in text) == there
            assert ("hidden: free" in text) == there

    def test_page_of_2009_has_no_word_of_bitmaps(self) -> None:
        text = self.words(self.replay_page(TINY))
        for word in ("idden", "contig", "lock:", "sidelined", "depopulated", "recorded areas"):
            assert word not in text

    def test_kernel_has_no_word_of_what_it_does_not_know(self, tmp_path: Path) -> None:
        """A recording has neither the populated pages nor the free space."""
        timeline = history(tmp_path)
        page = Page(make_page(timeline, history_figures(timeline, "t")))
        text = self.words(page)
        for word in ("tranded", "ragmentation", "tilisation", "worst", "free ranges", "pinned by"):
            assert word not in text
        assert text.count("populated") == 1
        assert "Which pages the kernel had populated is not in a recording." in text
        assert [e.text for e in page.all("button") if "data-to" in e.attributes] == ["peak"]
        shown = {e.attributes["data-figure"]: e.text for e in page.all("dd")}
        assert shown["background_runs"] == "1"
        assert shown["orphan_frees"] == "1"
        # it is shown
        notes = [e.text for e in page.all("p") if e.attributes.get("class") == "note"]
        assert [note for note in notes if "unknown pointers" in note] == []
        assert [note for note in notes if "still in use" in note] != []


class TestCommand:
    BOOT = str(SAMPLES / "boot_k61tcg.ftrace.xz")

    def report(self, *args: object) -> int:
        return main(["report", *map(str, args)])

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--policy", "bitmap"], "--policy"),
            (["--policy", "area-map"], "--policy"),
            (["--fixes", "chunk-hint"], "--fixes"),
            (["--cpus", "0"], "--cpus"),
            (["--unit-size", "64K", "--first-chunk", "4k"], "--first-chunk, --unit-size"),
        ],
    )
    def test_setup_of_a_kernel_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
    ) -> None:
        """Before the trace is read."""
        out = tmp_path / "a.svg"
        assert self.report("no.trace", "--as", "kernel", *options, "--svg", out) == 2
        error = capsys.readouterr().err
        assert f"{named} with --as kernel: the history of a kernel has no allocator" in error
        assert not out.exists()

    def test_kernel_without_places_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Trace.from_ops([("alloc", 1, 8, 4)]).save(tmp_path / "a")
        assert self.report(tmp_path / "a", "--as", "kernel", "--svg", tmp_path / "a.svg") == 2
        assert "(base_addr= and off=)" in capsys.readouterr().err

    def test_geometry_of_another_machine_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        like = tmp_path / "boot"
        like.write_text("percpu: Embedded 8 pages/cpu s8192 r0 d24576 u32768\n")
        options = ("--as", "kernel", "--like", like, "--svg", tmp_path / "a.svg")
        assert self.report(self.BOOT, *options) == 2
        assert "unit of 32,768 bytes: the recording has an area that" in capsys.readouterr().err

    def test_standard_input_is_read_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.report("-", "--as", "kernel", "--like", "-", "--svg", "a.svg") == 2
        assert "standard input can be read only once" in capsys.readouterr().err

    def test_files(self, tmp_path: Path) -> None:
        """The unit size is that of the file next to the sample."""
        pytest.importorskip("bokeh")
        page = tmp_path / "a.html"
        assert self.report(self.BOOT, "--as", "kernel", "-o", page) == 0
        text = page.read_text(encoding="utf-8")
        assert "units of 2,097,152 bytes, pages of 4,096. Areas" in text
        assert len(text) < len(inline_bokeh()) + 200_000

    def test_pictures(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        for name, options in (("a.svg", ["--as", "kernel"]), ("b.svg", ["--policy", "bitmap"])):
            assert self.report(self.BOOT, *options, "--svg", tmp_path / name) == 0
            assert (tmp_path / name).stat().st_size > 50_000
