# SPDX-License-Identifier: GPL-2.0-only
"""How results are shown in a notebook: the cells of the command's table, as HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import FORK, SAMPLES
from pages import LONG, NAMES, rename_sites

from percpu_ffi import Trace
from percpu_ffi._util.cells import Cells, Head
from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.comparison import Comparison
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.outcome import Refusal
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.cli import main

STACKS = str(SAMPLES / "netns_stacks.trace")
MOST_ROWS = 20
TRACE = Trace.from_ops([("alloc", "a", 4096, 8), ("alloc", "b", 16, 8), ("free", "a")])
SETUPS: list[dict[str, Any]] = [{"cpus": 2}, {"cpus": 0}, {"cpus": 1024, "page_size": 8192}]


def parsed(result: Any) -> ElementTree.Element:
    """Parse the HTML of a result, which is XML, too."""
    root = ElementTree.fromstring(result._repr_html_())
    (table,) = root
    assert table.tag == "table"
    return table


def lines(table: ElementTree.Element, part: str) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in table.findall(f"{part}/tr")]


def results() -> list[Any]:
    trace = Trace.load(STACKS)
    comparison = compare(TRACE, SETUPS)
    return [who(trace, "caller,size"), sizes(trace), sizes(trace, callers=True), comparison]


def test_cells_of_who_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["who", FORK])
    text = capsys.readouterr().out.splitlines()
    table = parsed(who(Trace.load(FORK)))
    rows = [*lines(table, "tbody"), *lines(table, "tfoot")]
    assert [re.split("  +", line.strip()) for line in text[-len(rows) :]] == rows
    assert rows[-1][0] == "all"
    assert lines(table, "thead") == [
        ["call site", "at peak", "at end", "never", "allocs", "frees", "lifetime", "sizes"],
        ["bytes", "areas", "bytes", "freed", "p50", "p99"],
    ]


@pytest.mark.parametrize(("options", "n"), [([], 8), (["--callers"], 10)])
def test_cells_of_sizes_are_those_of_the_command(
    options: list[str], n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sizes", FORK, *options])
    text = [re.split("  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    rows = lines(parsed(sizes(Trace.load(FORK), callers=bool(options))), "tbody")
    assert all(row in text for row in rows)
    assert len(rows) == n


def test_cells_of_compare_are_those_of_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    """The command has two tables with the same first columns."""
    TRACE.save(tmp_path / "t")
    main(["compare", str(tmp_path / "t"), "--cpus", "2,1024", "--unit-size", "64K"])
    text = capsys.readouterr().out.splitlines()
    setups = [{"cpus": cpus, "unit_size": 65536} for cpus in (2, 1024)]
    table = parsed(compare(TRACE, setups))
    for row, memory, chunks in zip(lines(table, "tbody"), text[4:6], text[9:11], strict=True):
        first = memory.split()
        assert row == [*first, *chunks.split()[3:]]
    assert lines(table, "thead")[0][:4] == ["first", "unit", "cpus", "failed"]


def test_columns_of_hidden_bytes_are_those_of_bitmaps() -> None:
    groups = [
        {cell.text for cell in parsed(compare(TRACE, [setup])).findall("thead/tr/th")}
        for setup in ({"policy": "bitmap"}, {"policy": "area-map"}, {"policy": "bitmap", "cpus": 0})
    ]
    assert ["hidden:" in each for each in groups] == [True, False, False]


def test_cells_of_keys() -> None:
    """They name the row; a stack is in one line."""
    trace = Trace.load(STACKS)
    trace._data.tables.stacks[:] = ["inner\nouter" for _ in trace._data.tables.stacks]
    row, *_ = lines(parsed(found := who(trace, "atomic,pid,stacktrace,size,gfp")), "tbody")
    atomic, pid, _, size, gfp = found.rows[0].key
    assert (atomic, row[0]) == (False, "no")
    assert row[1:5] == [str(pid), "inner;outer", f"{size:,}", gfp]
    assert len(str(pid)) > 3
    heads = parsed(found).findall("thead/tr/th[@rowspan]")
    names = ["atomic", "pid", "stacktrace", "size", "gfp flags"]
    assert [head.text for head in heads][:5] == names
    body, foot = (parsed(found).findall(f"{part}/tr") for part in ("tbody", "tfoot"))
    assert [[cell.tag for cell in row].count("th") for row in body[:2] + foot] == [5] * 3
    assert lines(parsed(found), "tfoot")[0][:5] == ["all", "", "", "", ""]
    sleeps = Trace.from_ops([("alloc", 1, 8, 8, ("atomic",))])
    assert lines(parsed(who(sleeps, "atomic")), "tbody")[0][0] == "yes"


@pytest.mark.parametrize(("callers", "keys"), [(False, 2), (True, 3)])
def test_size_alignment_and_caller_name_a_row(callers: bool, keys: int) -> None:
    for row in parsed(sizes(Trace.load(STACKS), callers=callers)).findall("tbody/tr")[:3]:
        assert [cell.tag for cell in row][: keys + 1] == ["th"] * keys + ["td"]


def test_a_refused_geometry_has_the_reason_in_place_of_figures() -> None:
    _, refused, _ = parsed(compare(TRACE, SETUPS)).findall("tbody/tr")
    *settings, reason = refused
    assert [cell.tag for cell in settings] == ["th"] * len(settings)
    assert str(reason.text).startswith("refused: cpus=0: ")
    assert reason.attrib["style"] == "text-align:left;white-space:normal"
    heads = [*parsed(compare(TRACE, SETUPS)).findall("thead/tr/th")]
    columns = [head for head in heads if head.get("scope") == "col"]
    assert int(reason.attrib["colspan"]) == len(columns) - len(settings)


@pytest.mark.parametrize("number", range(4))
def test_a_table_has_a_caption_and_headings(number: int) -> None:
    """Each line of headings and each row covers all columns."""
    result = results()[number]
    table = parsed(result)
    caption = str(table.findtext("caption"))
    assert re.sub("^<[A-Za-z]+, |>$", "", repr(result)) in caption
    assert [part.tag for part in table][:3] == ["caption", "thead", "tbody"]
    top, below = table.findall("thead/tr")
    assert {head.get("scope") for head in (*top, *below)} == {"col", "colgroup"}
    both = [head for head in top if head.get("rowspan") == "2"]
    groups = [head for head in top if head.get("scope") == "colgroup"]
    assert len(both) + len(groups) == len(top)
    assert sum(int(head.get("colspan", 1)) for head in groups) == len(below)
    columns = len(both) + len(below)
    for row in (*table.findall("tbody/tr"), *table.findall("tfoot/tr")):
        assert sum(int(cell.get("colspan", 1)) for cell in row) == columns
        if "colspan" not in row[-1].attrib:
            keys = [cell for cell in row if cell.tag == "th"]
            assert keys == [*row][: len(keys)] != []
            assert {cell.get("scope") for cell in keys} == {"row"}


def test_numbers_are_on_the_right_and_have_separators() -> None:
    table = parsed(who(TRACE, "size"))
    assert "text-align:right" in table.attrib["style"]
    (large, small), head = table.findall("tbody/tr"), table.find("thead/tr/th")
    assert [cell.text for cell in large][:2] == ["4,096", "4,096"]
    assert not any("style" in cell.attrib for row in (large, small) for cell in row)
    assert head is not None
    assert "style" not in head.attrib


def test_names_are_on_the_left() -> None:
    """With their heading; a number that is a name among others, too."""
    heads = [Head("", "name"), Head("", "size"), Head("", "n")]
    table = Cells(heads, [["0x1", "1,000", "1"], ["12", "2", "1"]], keys=2).html("")
    style = ' style="text-align:left"'
    assert f'<th scope="col"{style}>name</th><th scope="col">size</th>' in table
    assert f'<th scope="row"{style}>12</th><th scope="row">2</th><td>1</td>' in table


def test_the_whole_of_a_table_without_groups() -> None:
    """It has one line of headings; the lines of text have two, always."""
    table = Cells([Head("", "a"), Head("", "b")], [["1", "2"]])
    assert table.html("<t>") == (
        '<div style="overflow-x:auto"><table style="text-align:right;white-space:nowrap;'
        'font-variant-numeric:tabular-nums">'
        '<caption style="text-align:left;white-space:normal">&lt;t&gt;</caption>'
        '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
        '<tbody><tr><th scope="row">1</th><td>2</td></tr></tbody></table></div>'
    )
    assert table.lines() == [["", ""], ["a", "b"], ["1", "2"]]


def test_the_whole_of_a_table_with_groups_and_a_foot() -> None:
    heads = [Head("", "a"), Head("g", "b"), Head("g", "c"), Head("h", "d")]
    table = Cells(heads, [["1", "2", "3", "4"]], ["0", "5", "6", "7"])
    assert table.html("t").partition("</caption>")[2] == (
        '<thead><tr><th scope="col" rowspan="2">a</th>'
        '<th scope="colgroup" colspan="2" style="text-align:center">g</th>'
        '<th scope="colgroup" style="text-align:center">h</th></tr>'
        '<tr><th scope="col">b</th><th scope="col">c</th><th scope="col">d</th></tr></thead>'
        '<tbody><tr><th scope="row">1</th><td>2</td><td>3</td><td>4</td></tr></tbody>'
        '<tfoot><tr><th scope="row">0</th><td>5</td><td>6</td><td>7</td></tr></tfoot>'
        "</table></div>"
    )
    assert table.lines() == [["", "g", "", "h"], [*"abcd"], [*"1234"], [*"0567"]]


@pytest.mark.parametrize(
    ("rows", "note"), [(0, None), (1, "1 more row"), (1234, "1,234 more rows")]
)
def test_a_long_table_is_cut_short(rows: int, note: str | None) -> None:
    ops = [("alloc", size, size, 4) for size in range(4, 4 + MOST_ROWS + rows)]
    found = who(Trace.from_ops(ops), "size", "size")
    *shown, last = lines(parsed(found), "tbody")
    assert [row[0] for row in (*shown, last)][:MOST_ROWS] == [
        str(size) for size in range(4, 4 + MOST_ROWS)
    ]
    assert len(shown) == MOST_ROWS - (note is None)
    if note:
        assert last == [f"and {note}, which columns() has"]
    assert lines(parsed(found), "tfoot")[0][2] == f"{MOST_ROWS + rows:,}"


@pytest.mark.parametrize("cull", ["site", "task", "stacktrace"])
def test_names_from_a_hostile_file_are_text(cull: str) -> None:
    trace = Trace.load(STACKS)
    script = "<script>alert(1)</script>"
    rename_sites(trace)
    tables = trace._data.tables
    tables.names[:] = [script for _ in tables.names]
    tables.stacks[:] = [f"{script}\n{stack}" for stack in tables.stacks]
    html = who(trace, cull)._repr_html_()
    root = ElementTree.fromstring(html)
    tags = {element.tag for element in root.iter()}
    assert tags == {"div", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
    shown = " ".join(root.itertext())
    if cull == "site":
        assert NAMES[1] in shown
        assert LONG not in shown
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown
    else:
        assert "<script>alert(1)</script" in shown


def test_a_hostile_caller_and_a_hostile_setting_are_text() -> None:
    trace = Trace.load(STACKS)
    trace._data.tables.stacks[:] = ["<img/>+0x1/0x2" for _ in trace._data.tables.stacks]
    assert "&lt;img/&gt;" in sizes(trace, callers=True)._repr_html_()
    (row,) = compare(TRACE, [{"cpus": 0}])
    assert isinstance(row, Refusal)
    hostile = replace(row, geometry={**row.geometry, "policy": "<b>"}, reason="<i>")
    shown = [cell.text for cell in parsed(Comparison([hostile])).findall("tbody/tr/*")]
    assert (shown[0], shown[-1]) == ("<b>", "refused: <i>")


@pytest.mark.parametrize("number", range(4))
def test_a_table_needs_no_other_files_and_has_the_colours_of_its_page(number: int) -> None:
    html = results()[number]._repr_html_()
    assert not any(
        word in html for word in ("http", "<script", "<link", "url(", "color", "background")
    )


def test_an_unknown_caller_has_a_name() -> None:
    trace = Trace.from_ops([("alloc", "a", 8, 8), ("alloc", "b", 16, 8)])
    trace.kinds[1] = trace.kinds[1]._replace(site="mm_init+0x1")
    rows = lines(parsed(sizes(trace, callers=True)), "tbody")
    assert [row[0] for row in rows] == ["(unknown)", "mm_init"]


def test_a_result_of_an_empty_trace() -> None:
    empty = Trace.from_ops([])
    for result in (who(empty), sizes(empty), Comparison()):
        table = parsed(result)
        assert lines(table, "tbody") == []
        assert table.find("tfoot") is None
