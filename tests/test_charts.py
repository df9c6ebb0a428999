# SPDX-License-Identifier: GPL-2.0-only
"""What charts, pictures and tables show, without files and without a browser.

It is read from the models of bokeh, the figures of matplotlib and lines of text.

One trace for all, on units of 1 KiB in pages of 64 bytes; ``old`` and ``new`` are call sites:

    operation      chunk 0             chunk 1
    1 old a 8      |SSSS|a|.......|
    2 old b 1000   |SSSS|a|.......|    |bbbbbbbbbbbbb|
    3 new c 60     |SSSS|a|ccc|...|    |bbbbbbbbbbbbb|
    4 free b       |SSSS|a|ccc|...|    |.............|  kept as a spare
    5 free c       |SSSS|a|.......|    |.............|
    6 new d 60     |SSSS|a|ddd|...|    |.............|
"""

from __future__ import annotations

import re
from array import array
from base64 import b64decode
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import decompress

import pytest
from conftest import TINY
from test_bench_command import some_results
from test_recorded import LINES, read
from test_timeline_bitmap import SMALL

from percpu_ffi import ChunkState, Trace
from percpu_ffi.analysis.curves import thinned
from percpu_ffi.analysis.recorded import read_history
from percpu_ffi.analysis.replayed import ReplayTimeline, _page_patches, collect
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.analysis.timeline import FREE_SPACE, PAGES, Patch
from percpu_ffi.analysis.totals import Row
from percpu_ffi.bench.results import Figures
from percpu_ffi.reports.axes import bytes_label
from percpu_ffi.reports.bench_chart import plot
from percpu_ffi.reports.bench_difference import _change
from percpu_ffi.reports.colours import COLOURS, OTHERS, SITES, site_keys
from percpu_ffi.reports.page import _ages, _legend, _notes, _plots
from percpu_ffi.reports.page.tables import curves_table, origins_table, sizes_table
from percpu_ffi.reports.page.view import view_of
from percpu_ffi.reports.recording import caveats
from percpu_ffi.reports.replay import timeline_figures
from percpu_ffi.reports.size_chart import plot_sizes
from percpu_ffi.reports.sizes import _histogram
from percpu_ffi.reports.still import draw_chunks, make_still
from percpu_ffi.trace import TraceStats

OPS: list[tuple[Any, ...]] = [
    ("alloc", "a", 8, 4),
    ("alloc", "b", 1000, 4),
    ("alloc", "c", 60, 4),
    ("free", "b"),
    ("free", "c"),
    ("alloc", "d", 60, 4),
]
SECONDS = [0, 1, 2, 5, 9, 10, 17]  # after each operation; the first one begins
LIVE = [0, 8, 1008, 1068, 68, 8, 68]


def timeline_of(
    ops: list[tuple[Any, ...]], sites: dict[int, str], **options: Any
) -> ReplayTimeline:
    """Replay operations; each size has its call site."""
    trace = Trace.from_ops(ops, **options)
    trace.kinds[:] = [kind._replace(site=sites.get(kind.size, "")) for kind in trace.kinds]
    return collect(trace, {**TINY, "first_chunk": "4k"})


@pytest.fixture(scope="module")
def timeline() -> ReplayTimeline:
    """The timeline of the trace above."""
    times = [10**9 * second for second in SECONDS[1:]]
    return timeline_of(OPS, {8: "old", 1000: "old", 60: "new"}, times=times)


def rgb(colour: str) -> tuple[float, ...]:
    """Return the parts of a colour, rounded."""
    return tuple(round(int(colour[i : i + 2], 16) / 255, 2) for i in (1, 3, 5))


class TestThinnedCurves:
    """Curves are drawn with some items of each bucket of the x axis."""

    LIVE = (0, 5, 9, 9, 1, 4, 4, 7, 3, 3, 8, 2, 6, 6, 0, 0, 9, 5, 5, 4)
    PAGES = (1, 1, 2, 2, 9, 4, 3, 5, 4, 4, 4, 7, 7, 4, 4, 3, 3, 3, 0, 3)
    CHUNKS = (1, 1, 1, 2, 2, 2, 3, 1, 2, 2, 2, 2, 5, 2, 2, 2, 2, 1, 1, 1)

    @pytest.mark.parametrize(
        "seconds", [None, [i**3 / 1000 for i in range(20)]], ids=["operations", "seconds"]
    )
    def test_ends_and_extremes_of_each_bucket_are_kept(self, seconds: Any) -> None:
        curves = SimpleNamespace(live=self.LIVE, chunks=self.CHUNKS, hidden=None)
        fake: Any = SimpleNamespace(curves=curves, seconds=seconds, stranded_bytes=self.PAGES)
        x = seconds or range(20)
        expected = set()
        for bucket in range(5):  # the last one holds only the end
            items = [i for i in range(20) if int(4 * x[i] / x[-1]) == bucket]
            expected |= {items[0], items[-1]}
            for values in (self.LIVE, self.PAGES, self.CHUNKS):
                expected |= {min(items, key=values.__getitem__), max(items, key=values.__getitem__)}
        assert thinned(fake, buckets=4) == sorted(expected)
        assert 5 < len(expected) < 20

    def test_items_are_in_order(self) -> None:
        curves = SimpleNamespace(live=range(1025), chunks=[1] * 1025, hidden=None)
        fake: Any = SimpleNamespace(curves=curves, seconds=None, stranded_bytes=range(1025))
        assert thinned(fake, buckets=2) == [0, 511, 512, 1023, 1024]

    def test_all_at_one_time(self) -> None:
        curves = SimpleNamespace(live=[0, 1, 3, 2, 1], chunks=[1, 1, 1, 2, 1], hidden=None)
        fake: Any = SimpleNamespace(curves=curves, seconds=[0.0] * 5, stranded_bytes=[4] * 5)
        assert thinned(fake, buckets=1) == [0, 2, 3, 4]

    def test_extremes_of_hidden_bytes_are_kept(self) -> None:
        curves = SimpleNamespace(live=[1] * 6, chunks=[1] * 6, hidden=[8, 8, 0, 8, 16, 8])
        fake: Any = SimpleNamespace(curves=curves, seconds=[0.0] * 6, stranded_bytes=[4] * 6)
        assert thinned(fake, buckets=1) == [0, 2, 4, 5]

    def test_few_items_are_all_kept(self) -> None:
        fake: Any = SimpleNamespace(curves=SimpleNamespace(live=self.LIVE))
        assert thinned(fake, buckets=5) == list(range(20))

    def test_there_are_as_many_buckets_as_a_screen_has_columns(self) -> None:
        for n, kept in (4000, 4000), (4001, 2001):  # of each bucket of 4 items the two ends
            curves = SimpleNamespace(live=range(n), chunks=[1] * n, hidden=None)
            fake: Any = SimpleNamespace(curves=curves, seconds=None, stranded_bytes=range(n))
            assert len(thinned(fake)) == kept


# A failed allocation of 2009 can take the pages of its neighbours, and leave a hole.
def test_populated_pages_with_a_hole_are_two_ranges() -> None:
    fake: Any = SimpleNamespace(static_size=64, page_size=64)
    chunk = ChunkState(0, 896, 896, (-64, -64, 896), 16, False, (2, 1, 0, 2) + (0,) * 12)
    patches = [(p.start, p.end) for p in _page_patches(fake, chunk) if p.kind == PAGES]
    assert patches == [(0, 128), (192, 256)]


class TestPage:
    """The page, without a browser."""

    @pytest.fixture(autouse=True)
    def _bokeh(self) -> None:
        pytest.importorskip("bokeh")

    @pytest.fixture
    def models(self, timeline: ReplayTimeline) -> list[Any]:
        """All models of the page."""
        return self.references(timeline)

    def references(self, timeline: ReplayTimeline) -> list[Any]:
        view = view_of(timeline, timeline_figures(timeline, "t"))
        plots = _plots(timeline, view, site_keys(["old", "new"]))
        found: set[Any] = set().union(*(plot.references() for plot in plots.values()))
        callbacks = next(iter(plots.values())).document.callbacks._js_event_callbacks
        for callback in callbacks["document_ready"]:
            found |= callback.references()
        return list(found)

    def named(self, models: list[Any], name: str) -> Any:
        (model,) = [model for model in models if model.name == name]
        return model

    def script(self, models: list[Any], argument: str) -> Any:
        """Return the value of an argument of a script."""
        (value,) = [m.args[argument] for m in models if argument in getattr(m, "args", {})]
        return value

    def test_curves_and_moments_have_the_figures_of_the_timeline(
        self, models: list[Any], timeline: ReplayTimeline
    ) -> None:
        for name in ("curves", "moments"):
            data = {key: list(column) for key, column in self.named(models, name).data.items()}
            assert (
                data["x"]
                == data["seconds"]
                == [second - SECONDS[1] if second else 0 for second in SECONDS]
            )
            assert data["done"] == list(range(7))
            assert data["live"] == LIVE
            assert data["used"] == [64 + live for live in LIVE]
            assert data["held"] == [timeline.held(i) for i in range(7)]
            assert data["stranded"] == [timeline.held(i) - 64 - LIVE[i] for i in range(7)]
            assert data["share"] == [timeline.fragmentation(i) for i in range(7)]
            assert data["chunks"] == list(timeline.curves.chunks)
        assert data["free_ranges"] == [moment.free_ranges for moment in timeline.moments]
        assert data["largest"] == [moment.largest_free for moment in timeline.moments]

    def test_marks_know_their_place_on_both_axes(
        self, models: list[Any], timeline: ReplayTimeline
    ) -> None:
        spans = [m for m in models if type(m).__name__ == "Span"]
        found = {(tuple(span.tags), span.location) for span in spans if span.tags}
        assert (timeline.peak, timeline.worst) == (3, 5)
        assert found == {((4.0, 3), 4.0), ((9.0, 5), 9.0)}
        assert sum(not span.tags for span in spans) == 3  # of the slider

    def test_bars_are_shares_of_their_own_total(self, models: list[Any]) -> None:
        data = self.named(models, "sizes").data
        assert data["size"] == ["8", "16", "32", "64", "128", "256", "512", "1,024"]
        assert data["share_allocs"] == [1 / 4, 0, 0, 2 / 4, 0, 0, 0, 1 / 4]
        assert data["share_bytes"] == [8 / 1068, 0, 0, 60 / 1068, 0, 0, 0, 1000 / 1068]

    def test_patches_are_packed_in_the_order_of_drawing(
        self, models: list[Any], timeline: ReplayTimeline
    ) -> None:
        np = pytest.importorskip("numpy")
        planes = np.frombuffer(decompress(b64decode(self.script(models, "packed"))), np.uint8)
        columns = [
            np.cumsum(np.ascontiguousarray(column.T).view("<i4").ravel()).tolist()
            for column in planes.reshape(11, 4, -1)
        ]
        rows = list(zip(*columns, strict=True))
        tick = self.script(models, "tick")
        assert sorted((*row[:5], *row[6:9]) for row in rows) == sorted(
            (p.chunk, p.start, p.end - p.start, p.kind, p.born + 1, first, last - first, p.hint)
            for p, stays in timeline.patches.items()
            for first, last in stays
        )
        assert [row[3] == FREE_SPACE for row in rows] == sorted(
            (row[3] == FREE_SPACE for row in rows), reverse=True
        )
        for row in rows:
            if row[3] >= 0:
                assert timeline.seconds is not None
                assert row[5] * tick == pytest.approx(timeline.seconds[row[4]], abs=1e-6)

    def test_areas_have_callers_and_tasks(self) -> None:
        """A tooltip names them if the recording has stacks, and tasks."""
        ops = [("alloc", "a", 8, 4), ("alloc", "b", 16, 4), ("alloc", "c", 32, 4)]
        trace = Trace.from_ops(ops)
        data = trace._data
        data.tables.names, data.tables.tasks = ["x\x1b"], [(0, 7)]
        data.tables.stacks = ["percpu_ref_init\nnet_init"]
        data.columns = {"tasks": array("I", [0, 0, 2**32 - 1])}
        for stacks, known in (([], False), ([2**32 - 1, 0, 0], True)):
            if stacks:
                data.columns["stacks"] = array("I", stacks)
            found = collect(trace, {**TINY, "first_chunk": "4k"})
            models = self.references(found)
            np = pytest.importorskip("numpy")
            planes = np.frombuffer(decompress(b64decode(self.script(models, "packed"))), np.uint8)
            columns = [
                np.cumsum(np.ascontiguousarray(column.T).view("<i4").ravel()).tolist()
                for column in planes.reshape(11, 4, -1)
            ]
            callers, tasks = self.script(models, "callers"), self.script(models, "tasks")
            rows = {
                kind: (callers[caller], tasks[task])
                for kind, caller, task in zip(columns[3], *columns[9:], strict=True)
            }
            net = "net_init" if known else "unknown"
            assert [rows[kind] for kind in range(3)] == [
                ("unknown", "x? (7)"), (net, "x? (7)"), (net, "unknown")
            ]  # fmt: skip
            assert {rows[kind] for kind in rows if kind < 0} == {("", "")}
            tips = [dict(m.tooltips) for m in models if getattr(m, "attachment", "") == "above"]
            assert [("caller" in tip, "task" in tip) for tip in tips] == [(known, True)]

    def test_kinds_have_their_call_sites(self, timeline: ReplayTimeline) -> None:
        view = view_of(timeline, timeline_figures(timeline, "t"))
        plots = _plots(timeline, view, site_keys(["new", "old", ""]))
        callbacks = next(iter(plots.values())).document.callbacks._js_event_callbacks
        (args,) = {
            id(m): m.args
            for callback in callbacks["document_ready"]
            for m in callback.references()
            if "kind_size" in getattr(m, "args", {})
        }.values()
        names = [args["site_names"][site] for site in args["kind_site"]]
        kinds = zip(args["kind_size"], args["kind_align"], names, strict=True)
        assert sorted(kinds) == [(8, 4, "old"), (60, 4, "new"), (1000, 4, "old")]
        assert args["site_names"] == ["new", "old", "unknown"]
        assert args["site_keys"] == ["site0", "site1", "site2"]
        assert (args["peak"], args["worst"], args["trace_seconds"]) == (3, 5, 16.0)

    # Two chunks that were alive at one moment could be drawn over each other.
    def test_chunks_of_one_moment_have_their_own_lanes(self) -> None:
        from percpu_ffi.reports.page.chunks import _lanes  # noqa: PLC0415 - needs bokeh

        stays = {
            0: [(0, 9)],
            1: [(2, 4)],
            2: [(4, 6)],
            3: [(5, 5), (8, 8)],
            4: [(7, 9)],
            5: [(9, 9)],
        }
        patches = {Patch(chunk, 0, 1024, FREE_SPACE, -1): spans for chunk, spans in stays.items()}
        patches[Patch(3, 0, 64, PAGES, -1)] = [(5, 9)]
        fake: Any = SimpleNamespace(patches=patches)
        lanes = _lanes(fake)
        assert lanes == [0, 1, 2, 1, 2, 1, 0]  # the last is for the reserved chunk
        for one, other in combinations(stays, 2):
            apart = stays[one][-1][1] < stays[other][0][0] or stays[other][-1][1] < stays[one][0][0]
            assert apart or lanes[one] != lanes[other]

    def test_ages_double_up_to_the_length_of_the_trace(self, timeline: ReplayTimeline) -> None:
        ages = _ages(timeline)
        assert [age for age, _ in ages][-3:] == ["4.00 s", "8.00 s", "16.0 s"]
        assert [key for _, key in ages] == [f"age{i}" for i in range(8)]
        untimed = timeline_of([("alloc", i, 8, 4) for i in range(256)], {})
        assert [age for age, _ in _ages(untimed)] == [
            "2 operations", "4 operations", "8 operations", "16 operations", "32 operations",
            "64 operations", "128 operations", "256 operations",
        ]  # fmt: skip

    def test_legend_adds_up_the_call_sites_without_a_colour(self) -> None:
        keys = site_keys(["", "x\x00", *map(str, range(len(SITES)))])
        legend = _legend(keys)
        assert legend[:2] == [("unknown call site", "site0"), ("x?", "site1")]
        assert legend[-1] == ("2 other call sites", "others")
        assert len(legend) == len(SITES) + 1
        assert all(key in COLOURS for key in keys.values())
        assert _legend(site_keys(["a"])) == [("a", "site0")]

    def test_notes_name_what_is_missing(self) -> None:
        found = timeline_of([("alloc", 1, 8, 4), ("alloc", 2, 8, 3), ("free", 7)], {})
        notes = _notes(found)
        assert [note.split()[0] for note in notes] == ["The", "The", "1", "1"]
        assert notes[3].startswith("1 operation failed in this replay. The first, number 2: ")


class TestTables:
    """The tables behind the charts."""

    def test_curves(self, timeline: ReplayTimeline) -> None:
        table = curves_table(timeline)
        assert table.label == (
            "Bytes, fragmentation and chunks over 16.0 s, 6 operations: 1,068 live bytes at the "
            f"peak, {timeline.stranded(5):,} stranded bytes at the worst moment, at most 2 chunks."
        )
        assert [row[-1] for row in table.rows] == ["", "", "", "peak", "", "worst moment", ""]

    def test_peak_that_is_the_worst_moment(self) -> None:
        table = curves_table(timeline_of([("alloc", 1, 8, 4)], {}))
        assert table.heads == (
            "operations done", "live bytes", "populated", "stranded", "fragmentation", "chunks",
            "note",
        )  # fmt: skip
        assert table.rows == [
            ("0", "0", "64", "0", "0.0%", "1", ""),
            ("1", "8", "128", "56", "43.8%", "1", "peak, worst moment"),
        ]

    def test_sizes(self, timeline: ReplayTimeline) -> None:
        table = sizes_table(timeline)
        assert (
            "up to 64 bytes is the most frequent, up to 1,024 bytes takes the most." in table.label
        )
        assert table.rows[0] == ("8", "1", "25.0%", "8", "0.7%")
        assert table.rows[-1] == ("1,024", "1", "25.0%", "1,000", "93.6%")
        assert len(table.rows) == 8

    def test_origins(self) -> None:
        """Names are from another machine; rows after the twelfth are counted."""
        rows = [Row(f"f{i}", at_peak=1000 - i, areas_at_peak=i) for i in range(14)]
        rows[0] = replace(rows[0], name="")
        rows[1] = replace(rows[1], name="f\x1b")
        table = origins_table("task", rows)
        assert table.caption == "The tasks with the most bytes at the peak"
        assert table.heads == ("task", "bytes at peak", "areas")
        assert table.rows[:3] == [
            ("unknown", "1,000", "0"), ("f?", "999", "1"), ("f2", "998", "2")
        ]  # fmt: skip
        assert (len(table.rows), table.label) == (12, "and 2 more.")
        assert origins_table("task", rows[:12]).label == ""
        assert origins_table("task", rows[:13]).label == "and 1 more."


@pytest.mark.parametrize(
    ("value", "label"),
    [(0, "0"), (1023, "1023"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 20, "1 MiB")],
)
def test_labels_of_bytes(value: int, label: str) -> None:
    assert bytes_label(value, 0) == label


def test_highest_bar_of_a_histogram_fills_its_column() -> None:
    # all live bytes at the peak are in one bucket, which has a third of the allocations
    ops = [("alloc", 1, 8, 4), ("free", 1), ("alloc", 1, 8, 4), ("free", 1), ("alloc", 1, 1000, 4)]
    lines = _histogram(sizes(Trace.from_ops(ops)).histogram())
    bars = [max(map(len, re.findall("#+", line)), default=0) for line in lines]
    assert max(bars) == 30
    assert bars[1] == 20


def test_each_kind_of_missing_event_has_a_sentence() -> None:
    for name, number, words in (
        ("lost", 1, "1 lost event: areas may be missing"),
        ("orphan_frees", 2, "2 frees of unknown pointers"),
        ("reallocs", 1, "1 allocation of pointers still in use"),
    ):
        (line,) = caveats(TraceStats(**{name: number}))
        assert line.startswith(words)


def test_ranges_that_touch_are_no_change() -> None:
    one = Figures([1.0, 2.0])
    others = ([2.0, 3.0], [2.1, 3.0], [0.5, 1.0], [0.5, 0.9])
    changes = [_change(one, Figures(other)) for other in others]
    assert changes == ["", "slower", "", "faster"]


def test_utilisation_counts_the_pages_held_at_the_peak_of_live_bytes() -> None:
    # |SSSS|a   |b   |c   |..|  then without a and c, and with d in a chunk of its own
    ops = [
        *(("alloc", name, 300, 4) for name in "abc"),
        *(("free", name) for name in "ac"),
        ("alloc", "d", 400, 4),
    ]
    figures = timeline_figures(timeline_of(ops, {}), "t")
    assert figures["peak_live_bytes"] == 900
    assert figures["peak_populated_pages"] == 2 * (16 + 7)
    assert figures["utilisation_at_peak"] == round((64 + 900) / 1024, 4)


class TestPictures:
    """The figures of matplotlib, which are not written."""

    @pytest.fixture(autouse=True)
    def drawn(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The figures that would be written."""
        figures: list[Any] = []
        figure = pytest.importorskip("matplotlib.figure")
        monkeypatch.setattr(figure.Figure, "savefig", lambda self, *_, **__: figures.append(self))
        return figures

    @pytest.fixture
    def still(self, timeline: ReplayTimeline, drawn: list[Any]) -> dict[str, Any]:
        """The axes of the picture of the timeline."""
        make_still(timeline, "t", "svg")
        names = ("bytes", "share", "chunks", "map", "sizes", "sites")
        return dict(zip(names, drawn[0].axes, strict=True))

    def test_curves(self, still: dict[str, Any], timeline: ReplayTimeline) -> None:
        for axes, values in (
            (still["share"], [100 * timeline.fragmentation(i) for i in range(7)]),
            (still["chunks"], list(timeline.curves.chunks)),
        ):
            curve, peak, worst = axes.lines
            assert list(curve.get_xdata()) == [0, 0, 1, 4, 8, 9, 16]
            assert list(curve.get_ydata()) == values
            assert (peak.get_xdata()[0], worst.get_xdata()[0]) == (4, 9)
            assert peak.get_label() == "peak of live bytes"
        tops = [max(path[:, 1]) for area in still["bytes"].collections
                for path in [area.get_paths()[0].vertices]]  # fmt: skip
        assert tops == [max(map(timeline.held, range(7))), 64 + 1068]

    def test_chunks(self, still: dict[str, Any]) -> None:
        (boxes,) = still["map"].collections
        drawn = []
        for path, colour, line in zip(
            boxes.get_paths(), boxes.get_facecolors(), boxes.get_linewidths(), strict=True
        ):
            (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            value = "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
            drawn.append((value, left, right, round(low, 2), round(high, 2), line))
        free, static, pages = COLOURS["free"], COLOURS["static"], COLOURS["pages"]
        assert [box[0] for box in drawn[:2]] == [free, free]  # below the others
        assert sorted(drawn[:2]) == [
            (free, 0, 1024, 0.1, 0.68, 0),
            (free, 0, 1024, 1.1, 1.68, 0),
        ]
        assert sorted(drawn[2:]) == sorted([
            (static, 0, 64, 0.1, 0.68, 0.8),
            (SITES[0], 64, 72, 0.1, 0.68, 0.8),
            (pages, 0, 192, 0.72, 0.86, 0.8),
            (pages, 0, 1024, 1.72, 1.86, 0.8),
        ])  # fmt: skip
        assert still["map"].get_ylim() == (2, 0)  # the first chunk on top
        names = [label.get_text() for label in still["map"].get_yticklabels()]
        assert names == ["chunk 0", "chunk 1"]

    def test_chunks_of_bitmaps(self, drawn: list[Any]) -> None:
        """Chunk 0 has hidden space; half of the blocks of chunk 2, sidelined, are free.

        ::

            chunk 0   |++++|+.++|...    hatched below its areas
            chunk 1   |.....+++++...
            chunk 2   |_____+++++...    outlined above them
            chunk 3   |.....            made by the background work, for its empty pages
        """
        ops: list[tuple[Any, ...]] = [
            *(("alloc", i, 16, 4) for i in range(32)),
            *(("alloc", 100 + i, 64, 64) for i in range(32)),
            ("free", 6),
            *(("free", 100 + i) for i in (*range(5), *range(16, 21))),
        ]
        found = collect(Trace.from_ops(ops), {**SMALL, "memory": "none"})
        axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
        draw_chunks(found, len(found.moments) - 1, [*range(4)], {"": "#123456"}, axes)
        (boxes,) = axes.collections
        hatched, outlined = axes.patches
        assert (hatched.get_hatch(), hatched.get_xy()) == ("////", (0, 0.1))
        assert hatched.get_width() == 512
        assert hatched.get_zorder() < boxes.get_zorder() < outlined.get_zorder()
        assert (outlined.get_fill(), outlined.get_xy(), outlined.get_width()) == (
            False, (0, 2.1), 1024
        )  # fmt: skip
        drawn_boxes = [
            (tuple(map(float, path.vertices[0])), tuple(round(float(part), 2) for part in colour))
            for path, colour in zip(boxes.get_paths(), boxes.get_facecolors(), strict=True)
        ]
        free = [box for box in drawn_boxes if box[1][:3] == rgb(COLOURS["free"])]
        assert [y for (_, y), _ in free] == [1.1, 2.1, 3.1]  # that of chunk 0 is hatched
        blocks = {
            xy: colour[3] for xy, colour in drawn_boxes if colour[:3] == rgb(COLOURS["blocks"])
        }
        assert blocks[0, 0.64] == 1
        assert blocks[0, 2.64] == 0.08
        empty = [xy for xy, colour in drawn_boxes if colour[:3] == rgb(COLOURS["empty"])]
        assert empty == [(0, 1.8), (0, 3.8)]
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["chunk 0", "chunk 1", "chunk 2, sidelined", "chunk 3"]

    def test_kernel_has_no_fragmentation(self, drawn: list[Any], tmp_path: Path) -> None:
        make_still(read_history(read(tmp_path, *LINES)), "t", "svg")
        size, chunks, chunk_map, *_ = drawn[0].axes
        legend = [text.get_text() for text in size.get_legend().get_texts()]
        assert legend == ["pages with recorded areas", "recorded areas", "peak of live bytes"]
        assert list(chunks.lines[0].get_ydata()) == [0, 2, 2, 2, 2, 1, 1]
        names = [label.get_text() for label in chunk_map.get_yticklabels()]
        assert names == ["chunk 0, older", "chunk 1"]
        assert chunk_map.get_title(loc="left") == (
            "the chunks at the peak, coloured by call site, each above its pages with recorded "
            "areas\nareas older than the recording dark"
        )

    def test_sizes_and_sites(self, still: dict[str, Any]) -> None:
        allocs, at_peak = ([bar.get_height() for bar in bars] for bars in still["sizes"].containers)
        assert allocs == [25, 0, 0, 50, 0, 0, 0, 25]
        assert at_peak == pytest.approx([800 / 1068, 0, 0, 6000 / 1068, 0, 0, 0, 100_000 / 1068])
        (bars,) = still["sites"].containers
        assert [bar.get_width() for bar in bars] == [1008, 60]
        assert [label.get_text() for label in still["sites"].get_yticklabels()] == ["old", "new"]
        assert still["sites"].yaxis_inverted()

    def test_others_share_a_colour(self, drawn: list[Any]) -> None:
        ops = [("alloc", i, 8 + i, 4) for i in range(12)]
        make_still(timeline_of(ops, {8 + i: f"site {i}" for i in range(12)}), "t", "png")
        (bars,) = drawn[0].axes[5].containers
        colours = [
            "#" + "".join(f"{round(255 * part):02x}" for part in bar.get_facecolor()[:3])
            for bar in bars
        ]
        assert colours == [*SITES, OTHERS]  # the first ten
        assert drawn[0].axes[5].get_yticklabels()[0].get_text() == "site 11"

    def test_distributions_are_cumulative(self, drawn: list[Any], tmp_path: Path) -> None:
        ops = [
            *(("alloc", 1, 16, 8), ("alloc", 2, 16, 8), ("free", 1)),
            *(("alloc", 3, 100, 8), ("alloc", 4, 100, 4)),
        ]
        plot_sizes({"_one": sizes(Trace.from_ops(ops))}, tmp_path / "a.svg")
        left, right = drawn[0].axes
        for axes, shares in ((left, [0, 1 / 2, 3 / 4, 1]), (right, [0, 1 / 3, 2 / 3, 1])):
            (line,) = axes.lines
            assert list(line.get_ydata()) == pytest.approx(shares)
            assert list(line.get_xdata()) == [0, 16, 100, 100]
            assert line.get_drawstyle() == "steps-post"
        assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["one"]

    def test_many_distributions_are_a_heat_map(self, drawn: list[Any], tmp_path: Path) -> None:
        """Of 12 traces and all together, a row each; the last one has other sizes."""
        plain = sizes(Trace.from_ops([("alloc", 1, 16, 8), ("alloc", 2, 100, 8), ("free", 1)]))
        last = sizes(Trace.from_ops([("alloc", 1, 16, 8), ("free", 1), ("alloc", 2, 30, 8)]))
        plot_sizes({**{f"a/{i}.trace": plain for i in range(12)}, "_b/$": last}, tmp_path / "a.svg")
        panels = drawn[0].axes
        assert [axes.get_title() for axes in panels] == [
            "% of allocations", "% of areas at the peak", "% of bytes at the peak"
        ]  # fmt: skip
        assert [label.get_text() for label in panels[0].get_xticklabels()] == [
            "16", "32", "64", "128"
        ]  # fmt: skip
        names = [label.get_text() for label in panels[0].get_yticklabels()]
        assert names == [*map(str, range(12)), r"\$"]
        shares = [axes.images[0].get_array().tolist() for axes in panels]
        assert [rows[0] for rows in shares] == [
            [0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], pytest.approx([16 / 116, 0, 0, 100 / 116])
        ]  # fmt: skip
        assert [rows[12] for rows in shares] == [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
        assert {axes.images[0].get_clim() for axes in panels} == {(0, 1)}
        texts = [(*text.get_position(), text.get_text()) for text in panels[2].texts]
        assert texts[:2] == [(0, 0, "14"), (3, 0, "86")]
        assert texts[-1] == (1, 12, "100")

    def test_bench_chart_has_a_row_for_each_phase(self, drawn: list[Any], tmp_path: Path) -> None:
        results = some_results()
        plot(results, tmp_path / "a.svg")
        (axes,) = drawn[0].axes
        phases = [phase.name for phase in results.workloads[0].phases]
        assert [t.get_text() for t in axes.get_yticklabels()] == [f"objects-4: {p}" for p in phases]
        assert axes.yaxis_inverted()
        port, upstream = axes.containers
        assert (port.get_label(), upstream.get_label()) == ("port", "upstream")
        for bars, (low, middle, high) in ((port, (10, 11, 12)), (upstream, (11, 20, 24))):
            point, _, (ranges,) = bars
            assert list(point.get_xdata()) == [middle] * len(phases)
            ends = [sorted(x for x, _ in segment) for segment in ranges.get_segments()]
            assert ends == [[low, high]] * len(phases)
            assert list(point.get_ydata()) == sorted(point.get_ydata())
