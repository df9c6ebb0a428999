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


def test_a_picture_stays_small() -> None:
    many = State(((),), (LONG,) * 1000)
    assert len(LONG._repr_html_()) < 4_000
    html = many._repr_html_()
    assert len(html) < 100_000
    assert "and 976 more chunks" in html
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
