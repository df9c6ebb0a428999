# SPDX-License-Identifier: GPL-2.0-only
"""How allocators and their states are shown in a terminal and in a notebook."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from conftest import Kind, Make
from pages import contrast

from percpu_ffi import ChunkState, State
from percpu_ffi.drawing import COLOURS, FREE, HELD, MIXED, STATIC, USED, picture

LONG = ChunkState(1, 40_000, 4, (-4, 4) * 10_000, 32_768, False, (2,) * 20)


def parsed(html: str) -> ElementTree.Element:
    """Parse the HTML, which is XML except for one entity."""
    return ElementTree.fromstring(html.replace("&nbsp;", " "))


def test_a_short_chunk_can_be_evaluated() -> None:
    chunk = ChunkState(0, 952, 952, (-64, -8, 952), 16, False, (2, 2) + (0,) * 14)
    assert eval(repr(chunk)) == chunk
    assert "map=(-64, -8, 952)" in repr(chunk)
    assert "populated=(2,) * 2 + (0,) * 14" in repr(chunk)


def test_a_long_map_is_cut_short() -> None:
    assert len(repr(LONG)) < 300
    assert "... 19,992 more" in repr(LONG)


# |static|a|......|
def test_a_bar_of_a_chunk() -> None:
    chunk = ChunkState(0, 32, 32, (-16, -16, 32), 16, False, ())
    assert chunk.bar(8) == "SS##...."
    assert chunk.bar(8, unit_size=128) == "S#..    "
    assert ChunkState(0, 960, 960, (), 0, False, ()).bar(8) == " " * 8


def test_smallest_area_is_visible() -> None:
    # It can be the only area of its chunk, which was shown as empty in terminal and notebook.
    chunk = ChunkState(1, 65_528, 32_768, (32_760, -8, 32_768), 16, False, (2,) * 16)
    assert chunk.bar(8) == "...+...."
    fills = [e.get("fill") for e in parsed(picture("", [chunk], 65_536, 0)).iter("rect")]
    assert len(set(fills[:3])) == 2  # free, the area, free


def test_state_has_a_line_for_each_chunk(tiny: Make) -> None:
    with tiny() as a:
        a.alloc_many([1000] * 40)
        text = repr(a.state())
    assert text.startswith("<State, 41 chunks in ")
    assert len(text.splitlines()) == 14
    assert text.endswith("and 29 more>")
    assert "1 area, 16 of 16 pages held" in text


def test_a_state_without_chunks() -> None:
    assert repr(State((), ())) == "<State, 0 chunks in 0 of 0 slots>"


def test_an_allocator_in_one_line(tiny: Make) -> None:
    """The first chunk has pages for 64 static and 8 other bytes, the second one all 16."""
    with tiny(cpus=3, first_chunk="4k") as a:
        a.alloc_many([8, 1024])
        name = type(a).__name__
        assert repr(a) == f"<{name} 4k, 3 CPUs x 1,024 bytes, 2 chunks, 54 pages>"
        title = parsed(a._repr_html_()).findall("div")[0].text
        assert title == repr(a)


def test_a_picture_has_a_bar_for_each_chunk(tiny: Make) -> None:
    with tiny() as a:
        a.alloc(8)
        a.alloc(1000)
        html = a._repr_html_()
        state = a.state()
    root = parsed(html)
    assert len(root.findall("svg")) == 2
    first = root.findall("svg")[0].findall("rect")
    # static, in use, free; then the populated pages below; then the frame
    assert [rect.get("fill") for rect in first[:2]] == ["#777777", "#3b75af"]
    assert first[0].get("width") == str(640 // 16)
    assert first[-2].get("y") == "17"
    assert first[-2].get("width") == str(2 * 640 // 16)
    assert parsed(state._repr_html_()).findall("svg")
    assert parsed(state.chunks[0]._repr_html_()).findall("svg")


def runs(chunk: ChunkState, y: str) -> list[tuple[int, int, str | None]]:
    """Return the rectangles at a height: place, width, colour."""
    *rects, _frame = parsed(picture("", [chunk], None, 64)).iter("rect")
    return [
        (int(rect.get("x", "")), int(rect.get("width", "")), rect.get("fill"))
        for rect in rects
        if rect.get("y") == y
    ]


# |SSSS|aaaa|....|bbbb|................|   a letter is 16 bytes, and 4 of them a page
# |page|page|    |page|                |   a failed allocation of 2009 may leave a hole
def test_a_picture_of_areas_and_of_a_hole_in_the_pages() -> None:
    chunk = ChunkState(0, 832, 768, (-64, -64, 64, -64, 768), 16, False, (2, 2, 0, 1) + (0,) * 12)
    static, used, free = (COLOURS[kind][1] for kind in (STATIC, USED, FREE))
    assert runs(chunk, "0") == [
        (0, 40, static), (40, 40, used), (80, 40, free), (120, 40, used), (160, 480, free)
    ]  # fmt: skip
    assert runs(chunk, "17") == [(0, 80, HELD[1]), (120, 40, HELD[1])]


@pytest.mark.parametrize(("page", "place"), [(0, 0), (499, 318), (999, 638)])
def test_a_single_page_of_many_is_visible(page: int, place: int) -> None:
    """1,000 pages on 320 cells: the one held is in one cell, which is 2 pixels wide."""
    populated = tuple(int(i == page) for i in range(1000))
    chunk = ChunkState(1, 64_000, 64_000, (64_000,), 16, False, populated)
    assert runs(chunk, "17") == [(place, 2, HELD[1])]


def test_a_page_in_two_cells_is_visible_in_both() -> None:
    populated = tuple(int(i == 1) for i in range(480))
    chunk = ChunkState(1, 480, 480, (480,), 16, False, populated)
    assert runs(chunk, "17") == [(0, 4, HELD[1])]


def test_a_chunk_in_one_line() -> None:
    """The static area is none of the areas; a page is held even if not by all CPUs."""
    chunk = ChunkState(0, 1064, 1000, (-64, -8, 1000, -8, 64), 16, True, (2, 1, 0, 2))
    assert chunk.summary() == (
        "chunk 0: 1,064 bytes free, largest hole up to 1,000, 2 areas, 3 of 4 pages held, immutable"
    )
    later = ChunkState(12, 1, 2, (-64, -8, 1), 16, False, (0,) * 1024)
    assert later.summary() == (
        "chunk 12: 1 byte free, largest hole up to 2, 2 areas, 0 of 1,024 pages held"
    )
    unused = ChunkState(0, 960, 960, (), 0, False, (2,))
    assert "0 areas, 1 of 1 pages held" in unused.summary()


def test_a_state_with_a_chunk_before_its_map() -> None:
    """All bars have the scale of the largest unit; slots count that have chunks."""
    first = ChunkState(0, 96, 96, (), 0, False, (2, 0))
    small = ChunkState(1, 64, 64, (-64, 64), 16, False, (2, 0))
    large = ChunkState(2, 192, 192, (-64, 192), 16, False, (2, 0))
    lines = repr(State(((), (1,), (2, 0), ()), (first, small, large))).splitlines()
    assert lines[0] == "<State, 3 chunks in 2 of 4 slots"
    bars = [line[2:36] for line in lines[1:]]
    assert bars == [f"[{' ' * 32}]", f"[{'#' * 8}{'.' * 8}{' ' * 16}]", f"[{'#' * 8}{'.' * 24}]"]


def test_long_rows_of_pages_are_cut_short() -> None:
    pages = (1, 0) * 2
    assert "populated=(1,) * 1 + (0,) * 1 + (1,) * 1 + (0,) * 1)" in repr(
        ChunkState(1, 8, 8, (8,), 16, False, pages)
    )
    assert "(0,) * 1 + ...)" in repr(ChunkState(1, 8, 8, (8,), 16, False, (*pages, 2)))
    entries = (-4, 4) * 4
    assert f"map={entries}, " in repr(ChunkState(1, 8, 8, entries, 16, False, ()))
    longer = repr(ChunkState(1, 8, 8, (*entries, -4), 16, False, ()))
    assert "map=(-4, 4, -4, 4, -4, 4, -4, 4, ... 1 more), " in longer


def test_a_picture_stays_small() -> None:
    many = State(((),), (LONG,) * 1000)
    assert len(LONG._repr_html_()) < 4_000
    html = many._repr_html_()
    assert len(html) < 100_000
    assert "and 976 more chunks" in html
    assert len(parsed(html).findall("svg")) == 24
    short = ChunkState(1, 8, 8, (8,), 16, False, ())
    assert "more chunk" not in picture("", (short,) * 24, None, None)
    assert "and 1 more chunk<" in picture("", (short,) * 25, None, None)
    mixed = ChunkState(1, 0, 0, (-64, 64) * 512, 1024, False, (1, 0) * 5000)
    assert len(mixed._repr_html_()) < 40_000


def test_picture_needs_no_other_files(kind: Kind) -> None:
    with kind() as a:
        html = a._repr_html_()
    assert not any(word in html for word in ("http", "<script", "<link", "url("))


def test_a_picture_is_described_and_fits_a_narrow_page(tiny: Make) -> None:
    # It was 640 pixels wide on a phone, too, and nothing for a screen reader.
    with tiny() as a:
        a.alloc(8)
        (chunk,) = a.state().chunks
        (svg,) = parsed(chunk._repr_html_()).findall("svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == chunk.summary()
    assert svg.get("viewBox") == f"0 0 {svg.get('width')} {svg.get('height')}"
    assert "max-width:100%" in str(svg.get("style"))


@pytest.mark.parametrize("below", [0, 255])
def test_colours_are_readable_on_white_and_on_black(below: int) -> None:
    # Free ranges were the brightest part of a picture on black.
    def shown(colour: str) -> str:
        parts = [int(colour[i : i + 2], 16) for i in range(1, len(colour), 2)]
        share = parts[3] / 255 if parts[3:] else 1.0
        return "#" + "".join(f"{round(share * p + (1 - share) * below):02x}" for p in parts[:3])

    free = shown(COLOURS[FREE][1])
    for kind in (STATIC, USED, MIXED):
        assert contrast(shown(COLOURS[kind][1]), free) > 1.5
    assert contrast(HELD[1], shown("#00000000")) > 3
    assert contrast(free, shown("#00000000")) < 1.7
    html = parsed(picture("title", [LONG], None, None))
    assert all(span.text == "\N{BLACK SQUARE}" for span in html.iter("span"))  # text has no colour


def test_a_title_is_escaped() -> None:
    assert "<b>" not in picture("<b>&", [], None, None)


def test_a_closed_allocator_is_shown_as_such(kind: Kind) -> None:
    a = kind()
    a.close()
    assert f"&lt;{kind.__name__}, closed&gt;" in a._repr_html_()
