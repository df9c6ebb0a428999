# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi report``: chunks over time, on one page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import FORK, NETNS, TINY
from pages import LONG, NAMES, Page, rename_sites

from percpu_ffi import Allocator, Trace
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.explain import explain_worst
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, STATIC, Timeline, _thin, collect
from percpu_ffi.analysis.totals import ChunkUser, by_site, by_size, chunk_users
from percpu_ffi.cli import main
from percpu_ffi.reports.axes import set_byte_ticks
from percpu_ffi.reports.page import make_page
from percpu_ffi.reports.page.bundle import ADDRESS
from percpu_ffi.reports.replay import timeline_figures


def report(*args: object) -> int:
    return main(["report", *map(str, args)])


def tiny(*ops: tuple[Any, ...], **options: Any) -> Any:
    return collect(Trace.from_ops(ops), TINY, **options)


class TestTimeline:
    def test_figures_are_those_after_each_operation(self) -> None:
        found = tiny(("alloc", 1, 60, 4), ("alloc", 2, 8, 4), ("free", 1), ("free", 2))
        assert list(found.curves.live) == [0, 60, 68, 8, 0]
        # a page of static area, then one for the first 60 bytes, and one for the rest
        assert [pages // 2 for pages in found.curves.pages] == [1, 2, 3, 3, 3]
        assert list(found.curves.chunks) == [1] * 5

    def test_live_bytes_follow_failures_and_lost_frees(self) -> None:
        ops = [
            ("alloc", 1, 60, 4),
            ("alloc", 1, 4, 4),  # its free is missing
            ("inject", "alloc_page", {"nth": 1}),
            ("alloc", 2, 512, 4),  # fails
            ("alloc", 1, 700, 3),  # frees the old one, then fails: no such alignment
            ("free", 7),
        ]
        found = tiny(*ops)
        assert list(found.curves.live) == [0, 60, 4, 4, 4, 0, 0]
        assert found.curves.live[-1] == found.result.live_bytes
        assert len(found.result.failures) == 2
        assert [(kind.size, born, died) for kind, born, died in found.areas()] == [
            (60, 0, 1),
            (4, 1, 4),
        ]

    @pytest.mark.parametrize("path", [NETNS, FORK])
    def test_curves_agree_with_the_replay(self, path: str) -> None:
        trace = Trace.load(path)
        found = collect(trace, {"cpus": 2}, moments=5)
        with Allocator(cpus=2, memory="none") as a:
            result = a.replay(trace)
        assert max(found.curves.live) == result.peak_live_bytes
        assert found.curves.live[-1] == result.live_bytes
        assert max(found.curves.pages) == result.peak_populated_pages
        assert found.curves.pages[found.peak] == result.pages_at_peak
        assert found.curves.chunks[-1] == result.chunks

    def test_moments_show_what_state_shows(self) -> None:
        trace = Trace.load(FORK)
        found = collect(trace, {"cpus": 2}, moments=7)
        states: list[tuple[int, ...]] = []
        with Allocator(cpus=2, memory="none") as a:
            stops = [moment.done for moment in found.moments]
            at = 0

            def look(done: int) -> None:
                nonlocal at
                at += done
                if at in stops:
                    states.append(a.state().chunks[0].map)

            look(0)
            a.replay(trace, look, stops)
        for moment, sizes in enumerate(states):
            used = [-size for size in sizes if size < 0]
            shown = [p for p in found.patches_at(moment) if p.kind >= 0 or p.kind == STATIC]
            if sizes:  # none before the first request
                assert [p.end - p.start for p in sorted(shown, key=lambda p: p.start)] == used

    def test_area_is_identified_by_its_allocation(self) -> None:
        # the second area has the place of the first one
        found = tiny(("alloc", 1, 8, 4), ("free", 1), ("alloc", 2, 8, 4))
        areas = {p: stays for p, stays in found.patches.items() if p.kind >= 0}
        assert {(p.start, p.born): stays for p, stays in areas.items()} == {
            (64, 0): [(1, 1)],
            (64, 2): [(3, 3)],
        }

    def test_peak_and_worst_moment_are_always_among_the_moments(self) -> None:
        ops: list[tuple[Any, ...]] = [("alloc", i, 500, 4) for i in range(9)]
        ops += [("free", i) for i in range(9)] + [("alloc", 99, 4, 4), ("free", 99)] * 200
        found = tiny(*ops, moments=3, most_patches=0)
        dones = [moment.done for moment in found.moments]
        assert found.peak == 9
        assert {0, found.peak, found.worst, len(ops)} <= set(dones)
        assert dones == sorted(dones)

    def test_thinned_moments_show_the_same(self) -> None:
        ops: list[tuple[Any, ...]] = []
        for i in range(40):
            ops += [("alloc", i, 8 + i, 4)] + ([("free", i - 3)] if i > 2 else [])
        every, some = tiny(*ops, moments=80), tiny(*ops, moments=80, most_patches=30)
        assert len(some.moments) < len(every.moments)
        for moment in some.moments:
            shown = [set(t.patches_at(t.moment_at(moment.done))) for t in (every, some)]
            assert shown[0] == shown[1]

    def test_thinning_ends_at_the_special_moments(self) -> None:
        # Every moment at an even index was kept.  One between special moments could remain
        # forever, and the report of a long trace with many areas did not end.
        found = tiny(*[("alloc", i, 8, 4) for i in range(20)])
        special = {0, 4, 12, 20}
        for _ in range(5):
            _thin(found, special)
        assert {moment.done for moment in found.moments} == special

    def test_progress_adds_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("percpu_ffi.analysis.timeline.STEP", 3)
        steps: list[int] = []
        tiny(*[("alloc", i, 4, 4) for i in range(7)], progress=steps.append)
        assert steps[:3] == [3, 3, 1]
        assert sum(steps) == 2 * 7

    def test_worst_moment_has_the_most_stranded_bytes(self) -> None:
        found = tiny(("alloc", 1, 640, 4), ("alloc", 2, 640, 4), ("free", 1), ("free", 2))
        # the pages of both units stay: |S|..........|     |..........|
        assert found.worst == 4
        assert found.stranded(4) == 2 * 640
        assert found.fragmentation(4) == 1280 / (1280 + 64)

    def test_worst_moment_is_explained(self) -> None:
        found = tiny(
            ("alloc", 1, 900, 4), ("alloc", 2, 900, 4), ("alloc", 3, 60, 4), ("alloc", 4, 60, 4),
            ("free", 2), ("free", 1),
        )  # fmt: skip
        assert explain_worst(found) == [
            "Worst moment: after operation 6 of 6, 1,800 of the 1,984 populated bytes in each "
            "CPU's units (90.7%) were stranded; 2 chunks held 120 live bytes, which "
            "would fit into 1.",
            "Chunk 0 strands 900 bytes: it holds 1 area of 60 bytes, allocated at operation 3.",
            "Chunk 1 strands 900 bytes: only 1 area of 60 bytes pins it, allocated at operation 4.",
        ]

    def test_call_sites_that_pin_chunks_are_named(self) -> None:
        # Only the oldest area of a chunk was named.  In a recording of memory cgroups this
        # was a reference count of 8 bytes in each of 36 chunks; the areas that pinned them
        # were the cgroups' own statistics.  |S|ref|stat|....|  |ref|stat|....|  |stat|....|
        trace = Trace.from_ops(
            [("alloc", "a", 8, 4), ("alloc", "b", 500, 4), ("alloc", 1, 452, 4),
             ("alloc", "c", 8, 4), ("alloc", "d", 500, 4), ("alloc", 2, 516, 4),
             ("alloc", "e", 500, 4), ("alloc", 3, 520, 4),
             ("free", 1), ("free", 2), ("free", 3)]
        )  # fmt: skip
        names = {8: "ref", 500: "stat"}
        trace.kinds[:] = [kind._replace(site=names.get(kind.size, "")) for kind in trace.kinds]
        found = collect(trace, TINY)
        rows = chunk_users(found, found.patches_at(found.moment_at(found.worst)))
        assert rows == [ChunkUser("stat", 3, 1, 3, 1500), ChunkUser("ref", 2, 0, 2, 16)]
        _, sites, *chunks = explain_worst(found)
        assert sites == (
            "Call sites in the most chunks: stat in 3 of 3 (1,500 bytes), ref in 2 of 3 (16 bytes)."
        )
        assert "only 1 area of 500 bytes pins it, by stat, allocated at operation 7" in chunks[0]
        assert "bytes pin it, 500 of these bytes by stat, the oldest one since" in chunks[1]

    def test_nothing_to_explain(self) -> None:
        assert "At no moment" in explain_worst(tiny(("alloc", 1, 64, 4)))[0]

    def test_times_never_go_back(self) -> None:
        trace = Trace.from_ops(
            [("alloc", 1, 8, 4), ("free", 1), ("alloc", 2, 8, 4)],
            times=[5_000_000_000, 4_000_000_000, 6_000_000_000],
        )
        found = collect(trace, TINY)
        assert found.seconds is not None
        assert list(found.seconds) == [0.0, 1.0, 1.0, 2.0]

    def test_populated_pages_are_ranges(self) -> None:
        found = tiny(("alloc", 1, 8, 4))
        pages = [p for p in found.patches_at(1) if p.kind == PAGES]
        assert [(p.start, p.end) for p in pages] == [(0, 128)]
        assert [p.end for p in found.patches_at(1) if p.kind == FREE_SPACE] == [1024]

    def test_curves_with_few_points_keep_every_peak(self) -> None:
        found = collect(Trace.load(NETNS), {"cpus": 2}, moments=2)
        items = thinned(found, buckets=20)
        assert len(items) < 20 * 9
        assert max(found.curves.live[i] for i in items) == found.curves.live[found.peak]
        assert max(map(found.stranded, items)) == found.stranded(found.worst)

    def test_sums_by_site_and_by_size(self) -> None:
        found = collect(Trace.load(NETNS), {"cpus": 2}, moments=2)
        for rows in (by_site(found), by_size(found)):
            assert sum(row.allocs for row in rows) == 2305
            assert sum(row.at_peak for row in rows) == found.result.peak_live_bytes
            assert sum(row.left for row in rows) == found.result.live_bytes


class TestFiles:
    def test_still_pictures(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("matplotlib")
        png, svg = tmp_path / "a.png", tmp_path / "a.svg"
        Trace.from_ops([("alloc", 1, 8, 4)]).save(tmp_path / "a & b")
        assert report(tmp_path / "a & b", "--png", png, "--svg", svg) == 0
        assert png.read_bytes().startswith(b"\x89PNG")
        said = capsys.readouterr().out.splitlines()
        assert said == [f"{path}: {path.stat().st_size:,} bytes" for path in (png, svg)]
        # for a screen reader
        title = ElementTree.parse(svg).getroot().findtext("{http://www.w3.org/2000/svg}title")
        assert str(title).startswith("a & b: Worst moment: after operation 1 of 1, 4,088 of the ")

    @pytest.mark.parametrize("most", [0, 1, 5, 4096, 65_536, 326_400, 327_681, 1 << 40])
    def test_ticks_of_bytes_do_not_cover_each_other(self, most: int) -> None:
        # 326,400 bytes had ten ticks instead of five, with overlapping labels
        figure = pytest.importorskip("matplotlib.figure").Figure()
        axes = figure.subplots()
        axes.set_xlim(0, most or 1)
        set_byte_ticks(axes.xaxis, most, 5)
        ticks = [tick for tick in axes.xaxis.get_majorticklocs() if 0 < tick <= (most or 1)]
        assert len(ticks) in ((1, 2, 3, 4, 5) if most else (1,))

    def test_names_are_escaped_for_matplotlib(self, tmp_path: Path) -> None:
        trace = tmp_path / "<b>$x^$ <_script>\udcff.trace"  # a name has no slash
        found = Trace.from_ops([("alloc", i, 100 + i, 8) for i in range(9)])
        found.kinds[:] = [kind._replace(site=f"<i>{kind.size}$^\ud800") for kind in found.kinds]
        found.save(trace)
        assert report(trace, "--svg", tmp_path / "a.svg") == 0

    # The sentences were wrapped after dollars were escaped: a line that began with a dollar was
    # the start of a formula for matplotlib, and an invalid formula ended in a traceback.
    def test_dollars_in_a_wrapped_sentence_are_escaped(self, tmp_path: Path) -> None:
        found = Trace.from_ops([("alloc", 1, 100, 8)])
        site = "a" * 15 + "$" + r"\frac{".ljust(128, "b") + "$"
        found.kinds[:] = [kind._replace(site=site) for kind in found.kinds]
        found.save(tmp_path / "t")
        assert report(tmp_path / "t", "--svg", tmp_path / "a.svg", "--cpus", 2) == 0

    # there was no room for bars, and matplotlib printed a warning
    def test_long_call_site_leaves_room_for_its_bar(self, tmp_path: Path) -> None:
        found = Trace.from_ops([("alloc", 1, 100, 8)])
        found.kinds[:] = [kind._replace(site="a" * 1000) for kind in found.kinds]
        found.save(tmp_path / "t")
        assert report(tmp_path / "t", "--svg", tmp_path / "a.svg") == 0

    # realpath() of a pipe, such as /dev/stdout, does not exist
    def test_page_into_a_pipe(self, tmp_path: Path) -> None:
        pytest.importorskip("bokeh")
        Trace.from_ops([("alloc", 1, 8, 4)]).save(tmp_path / "t")
        reader, writer = os.pipe()
        with open(reader, encoding="utf-8") as end, ThreadPoolExecutor() as pool:
            text = pool.submit(end.read)
            assert report(tmp_path / "t", "-o", f"/dev/fd/{writer}") == 0
            os.close(writer)
            assert text.result().startswith("<!DOCTYPE html>")

    def test_trace_without_sites_and_times(self, tmp_path: Path) -> None:
        pytest.importorskip("bokeh")
        Trace.from_ops([("alloc", 1, 8, 4)]).save(tmp_path / "a.trace")
        page = tmp_path / "a.html"
        assert report(tmp_path / "a.trace", "-o", page) == 0
        text = page.read_text(encoding="utf-8")
        assert "has no times" in text
        assert "no call sites" in text

    def test_trace_without_successful_allocations(self, tmp_path: Path) -> None:
        pytest.importorskip("bokeh")
        Trace.from_ops([("alloc", 1, 0, 4), ("free", 1)]).save(tmp_path / "a.trace")
        outputs = ("-o", tmp_path / "a.html", "--svg", tmp_path / "a.svg")
        with pytest.warns(match="illegal size"):
            assert report(tmp_path / "a.trace", *outputs) == 0
        assert "1 operation failed" in (tmp_path / "a.html").read_text(encoding="utf-8")


class TestRefusals:
    @pytest.fixture(autouse=True)
    def _in_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def refused(self, capsys: pytest.CaptureFixture[str], *args: object) -> str:
        before = sorted(Path.cwd().iterdir())
        assert report(*args) == 2
        assert sorted(Path.cwd().iterdir()) == before  # nothing half-written
        return capsys.readouterr().err

    def test_nothing_to_write(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "give -o OUT.html" in self.refused(capsys, NETNS)

    @pytest.mark.parametrize("option", ["-o", "--png", "--svg"])
    @pytest.mark.parametrize("path", ["missing/a", "."])
    def test_output_is_checked_before_the_work(
        self, capsys: pytest.CaptureFixture[str], option: str, path: str
    ) -> None:
        # and the trace is not opened
        assert f"{option} {path}: a file in a folder" in self.refused(
            capsys, "no.trace", option, path
        )

    def test_trace_that_cannot_be_read(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no.trace" in self.refused(capsys, "no.trace", "--svg", "a.svg")
        Path("some.txt").write_text("nothing of percpu\n", encoding="utf-8")
        assert "some.txt" in self.refused(capsys, "some.txt", "--svg", "a.svg")

    def test_trace_without_operations(self, capsys: pytest.CaptureFixture[str]) -> None:
        Trace.from_ops([]).save("a.trace")
        assert "a.trace: the trace has no operations" in self.refused(
            capsys, "a.trace", "--svg", "a.svg"
        )

    def test_trace_is_not_written_over(self, capsys: pytest.CaptureFixture[str]) -> None:
        Trace.from_ops([("alloc", 1, 8, 4)]).save("a.svg")
        assert "that is the file of TRACE" in self.refused(capsys, "a.svg", "--svg", "./a.svg")
        assert len(Trace.load("a.svg")) == 1

    # the second one replaced the first, and both were reported as written
    def test_two_pictures_in_one_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.refused(capsys, NETNS, "--png", "a", "--svg", "./a")
        assert "--svg ./a: that is the file of --png" in said

    def test_invalid_setup(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "cpus" in self.refused(capsys, NETNS, "--svg", "a.svg", "--cpus", "0")

    @pytest.mark.parametrize(
        ("option", "library", "extra"),
        [
            ("-o", "bokeh", "report"),
            ("--png", "matplotlib", "plot"),
            ("--svg", "matplotlib", "plot"),
        ],
    )
    def test_missing_library_names_its_extra(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        option: str,
        library: str,
        extra: str,
    ) -> None:
        monkeypatch.setattr(
            "percpu_ffi._util.optional.find_spec", lambda name: None if name == library else 1
        )
        said = self.refused(capsys, NETNS, option, "a")
        assert f"{option} needs {library}, the extra '{extra}'" in said

    def test_existing_file_is_kept_when_the_replay_fails(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("a.svg").write_text("old", encoding="utf-8")
        self.refused(capsys, "no.trace", "--svg", "a.svg")
        assert Path("a.svg").read_text(encoding="utf-8") == "old"


def test_modules_are_imported_without_the_extras() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['bokeh', 'numpy', 'matplotlib']))\n"
        "import percpu_ffi.reports.page, percpu_ffi.reports.still\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def figures_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text)
    assert found
    figures: dict[str, Any] = json.loads(found[1])
    return figures


def test_page_is_small_and_its_figures_are_those_of_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("bokeh")
    setup = ("--cpus", "3", "--static-size", "20480", "--first-chunk", "embed")
    assert report(NETNS, "-o", tmp_path / "a.html", *setup) == 0
    capsys.readouterr()
    assert main(["replay", NETNS, "--json", "--memory", "none", *setup]) == 0
    expected = json.loads(capsys.readouterr().out)
    del expected["operations_per_second"]
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert figures_of(text) == expected
    assert len(text) < 1_500_000


# attributes of which a browser loads the address
LOADED = ("src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href")


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    """The timeline of a trace in which every call site has a hostile name."""
    trace = Trace.from_ops(
        [
            *(("alloc", i, 8 << i, 4) for i in range(len(NAMES))),
            *(("free", i) for i in range(len(NAMES) - 2)),
        ],
        times=[10**9 * i for i in range(2 * len(NAMES) - 2)],
    )
    sites = [kind._replace(site=str(kind.size)) for kind in trace.kinds]
    trace.kinds[:] = sites
    rename_sites(trace)
    return collect(trace, {**TINY, "first_chunk": "4k"})


@pytest.fixture(scope="module")
def text(timeline: Timeline) -> str:
    """The page."""
    pytest.importorskip("bokeh")
    return make_page(timeline, timeline_figures(timeline, f"a{NAMES[0]}\ud800"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """The elements of the page."""
    return Page(text)


class TestPage:
    """What a reader, a screen reader and a browser without a network need of the page."""

    def test_head_describes_the_page(self, page: Page) -> None:
        assert [html.attributes["lang"] for html in page.all("html")] == ["en"]
        (title,) = page.all("title")
        assert title.text == f"a{NAMES[0]}?: per-CPU memory over time"
        named = {meta.attributes.get("name"): meta.attributes for meta in page.all("meta")}
        assert named["viewport"]["content"] == "width=device-width, initial-scale=1"
        assert named["color-scheme"]["content"] == "light dark"

    def test_headings_and_landmarks_are_in_order(self, page: Page) -> None:
        levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(level - before <= 1 for before, level in pairwise(levels))
        (main_part,) = page.all("main")
        outside = [e for e in page.elements if main_part not in (e, *e.parents)]
        assert {e.tag for e in outside} <= {"html", "head", "meta", "title", "link", "style",
                                            "script", "body"}  # fmt: skip

    def test_every_control_has_a_name(self, page: Page) -> None:
        labels = page.all("label")
        controls = page.all("input", "button", "select", "textarea", "summary", "a")
        for control in controls:
            around = control.inside("label")
            own = [e for e in labels if e.attributes.get("for") == control.attributes.get("id", "")]
            names = (control.text, *(e.text for e in own), around.text if around else "")
            assert any(re.search(r"\w", name) for name in names), control
        assert len(controls) >= 12
        for group in page.all("fieldset"):
            assert any(e.text for e in page.all("legend") if e.parents[-1] is group)
        for group in (*page.all(role="group"), *page.all(role="region"), *page.all(role="img")):
            assert group.attributes["aria-label"]

    def test_slider_has_a_value_in_words(self, page: Page) -> None:
        (slider,) = page.all("input", type="range")
        assert slider.attributes["aria-valuetext"] == "worst moment"
        (label,) = page.all("label", **{"for": slider.attributes["id"]})
        assert label.text == "Moment"

    def test_identifiers_are_unique(self, page: Page) -> None:
        ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
        assert sorted(set(ids)) == sorted(ids)

    def test_every_chart_has_a_sentence_and_a_table(self, page: Page) -> None:
        charts = [e for e in page.elements if "data-root-id" in e.attributes]
        assert len(charts) == 3
        for chart in charts:
            sentence = chart.parents[-1].attributes
            assert sentence["role"] == "img"
            assert len(sentence["aria-label"].split()) > 4
            around = chart.inside("figure")
            assert [t for t in page.all("table") if around and around in t.parents]

    def test_tables_have_captions_and_headings(self, page: Page) -> None:
        tables = page.all("table")
        assert len(tables) == 5
        for table in tables:
            assert next(e.text for e in page.all("caption") if e.parents[-1] is table)
            (scroller,) = [e for e in table.parents if e.attributes.get("class", "")[:4] == "wide"]
            assert scroller.attributes["tabindex"] == "0"  # the keyboard scrolls it
            for cell in page.all("th"):
                if table in cell.parents:
                    head = cell.inside("thead") is not None
                    assert cell.attributes["scope"] == ("col" if head else "row")
                    assert cell.text
            for row in page.all("tr"):
                if table in row.parents and row.inside("tbody"):
                    cells = [e.tag for e in page.all("th", "td") if e.parents[-1] is row]
                    assert cells == ["th"] + ["td"] * (len(cells) - 1)

    def test_tables_have_the_figures_of_the_charts(self, page: Page, timeline: Timeline) -> None:
        curves, sizes = (
            list(page.table(table))
            for table in page.all("table")
            if table.inside("details")
            and table.inside("figure")
            and len(list(page.table(table))) > 1
        )
        live, stranded = timeline.curves.live, timeline.stranded
        assert len(curves) == 1 + len(live)
        for done, row in enumerate(curves[1:]):
            assert row[:3] == [f"{done:,}", f"{max(done - 1, 0):,}.000000", f"{live[done]:,}"]
            assert row[4] == f"{stranded(done):,}"
            assert row[3] == f"{timeline.held(done):,}"
        notes = {row[0]: row[-1] for row in curves[1:] if row[-1]}
        assert notes == {str(timeline.peak): "peak", str(timeline.worst): "worst moment"}
        assert [row[:2] for row in sizes[1:]] == [[f"{8 << i:,}", "1"] for i in range(len(NAMES))]

    def test_nothing_is_loaded(self, page: Page, text: str) -> None:
        for e in page.elements:
            if e.tag in ("link", "base", "image", "use"):
                assert e.attributes["href"].startswith("data:")
            assert not {*LOADED} & {*e.attributes}, e
            styles = e.attributes.get("style", "") + (e.text if e.tag == "style" else "")
            assert not re.search(r"url\(|@import", styles)
        assert not re.search(r"\b(import|importScripts)\(\s*[\"'`]http", text)

    # bokeh loads MathJax and fonts of icons from there as soon as a text or an icon needs them
    def test_bokeh_has_no_address_to_load_from(self, page: Page) -> None:
        scripts = [
            e.text for e in page.all("script") if e.attributes.get("type") != "application/json"
        ]
        library = max(scripts, key=len)
        assert len(library) > 1_000_000
        assert "cdn." not in library
        assert not ADDRESS.search(library)
        assert not re.search(r"\b(src|href) ?= ?[\"'`]https?:", library)

    def test_policy_forbids_to_load_anything(self, page: Page) -> None:
        (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.split(maxsplit=1) for rule in policy.attributes["content"].split(";"))
        assert rules["default-src"] == "'none'"
        loads = {source for name, sources in rules.items() for source in sources.split()}
        assert loads == {"'none'", "data:", "'unsafe-inline'", "'unsafe-eval'"}
        # it holds for what comes after it
        assert page.elements.index(policy) < min(
            map(page.elements.index, page.all("script", "link"))
        )

    def test_names_are_text(self, page: Page) -> None:
        shown = [e.text for e in page.all("bdi")]
        for name in NAMES:
            plain = "".join(c if c.isprintable() else "?" for c in name)
            assert shown.count(" ".join(plain.split())) == 2  # legend and table
        assert LONG in shown
        assert not page.all("img")
        assert len(page.all("script")) == 4  # bokeh, its log level, figures, charts
