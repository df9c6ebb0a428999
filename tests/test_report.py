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
from conftest import NETNS, TINY
from pages import LONG, NAMES, Page, rename_sites

from percpu_ffi import Trace
from percpu_ffi.analysis.replayed import ReplayTimeline, collect
from percpu_ffi.cli import main
from percpu_ffi.reports.axes import set_byte_ticks
from percpu_ffi.reports.page import make_page
from percpu_ffi.reports.page.bundle import ADDRESS, inline_bokeh
from percpu_ffi.reports.replay import timeline_figures


def report(*args: object) -> int:
    return main(["report", *map(str, args)])


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

    def test_only_failures(self, capsys: pytest.CaptureFixture[str]) -> None:
        fail = "percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=16 align=8"
        Path("t").write_text(f" nft-900 [000] ..... 10.0: {fail}\n")
        error = self.refused(capsys, "t", "-o", "a.html")
        assert "the trace has no operations; 1 allocation failed in the recorded kernel" in error

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
    assert len(text) < len(inline_bokeh()) + 200_000


class TestOrigins:
    """Callers and tasks are shown if the recording has stacks, and tasks."""

    FRAMES = "=> percpu_ref_init (ffffffff815c7276)\n=> net_init (ffffffff815c7277)\n"

    def page_of(self, tmp_path: Path, text: str) -> Page:
        pytest.importorskip("bokeh")
        (tmp_path / "t").write_text(text)
        assert report(tmp_path / "t", "-o", tmp_path / "a.html") == 0
        return Page((tmp_path / "a.html").read_text(encoding="utf-8"))

    def alloc(self, task: str, size: int, ptr: int) -> str:
        return (
            f" {task} [000] ..... 5.{ptr:06}: percpu_alloc_percpu: call_site=percpu_ref_init+0x1 "
            f"reserved=0 is_atomic=0 size={size} align=4 base_addr=0x1000 off=64 ptr=0x{ptr:x}\n"
        )

    def test_tables(self, tmp_path: Path) -> None:
        one = self.alloc("sh-1", 16, 1) + " sh-1 [000] ..... 5.1: <stack trace>\n" + self.FRAMES
        fail = (
            " ip-2 [000] ..... 5.2: percpu_alloc_percpu_fail: reserved=0 is_atomic=0 size=8 align=8"
        )
        page = self.page_of(tmp_path, f"{one}{self.alloc('ip-2', 8, 2)}{fail}\n")
        assert page.all("h2")[-1].text == "Callers and tasks"
        callers, tasks = (list(page.table(table)) for table in page.all("table")[-2:])
        assert callers == [
            ["caller", "bytes at peak", "areas"],
            ["net_init", "16", "1"],
            ["percpu_ref_init (caller unknown)", "8", "1"],
        ]
        assert tasks == [["task", "bytes at peak", "areas"], ["sh", "16", "1"], ["ip", "8", "1"]]
        (caption,) = [e.text for e in page.all("figcaption") if "size" in e.text]
        assert "its size, age and call site, caller, task, or next to" in " ".join(caption.split())
        notes = [e.text for e in page.all("p") if e.attributes.get("class") == "note"]
        assert any(note.startswith("1 allocation failed in the recorded kernel") for note in notes)

    def test_tasks_alone(self, tmp_path: Path) -> None:
        page = self.page_of(tmp_path, self.alloc("sh-1", 16, 1))
        assert page.all("h2")[-1].text == "Tasks"
        assert [e.text for e in page.all("caption")][
            -1
        ] == "The tasks with the most bytes at the peak"
        assert "caller" not in " ".join(e.text for e in page.all("p", "th", "figcaption"))

    def test_neither(self, page: Page) -> None:
        assert page.all("h2")[-1].text == "Call sites"


# attributes of which a browser loads the address
LOADED = ("src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href")


@pytest.fixture(scope="module")
def timeline() -> ReplayTimeline:
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
def text(timeline: ReplayTimeline) -> str:
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

    def test_tables_have_the_figures_of_the_charts(
        self, page: Page, timeline: ReplayTimeline
    ) -> None:
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
