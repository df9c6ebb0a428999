# SPDX-License-Identifier: GPL-2.0-only
"""Recordings as terminals, editors, web pages and shells save them."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from percpu_ffi import Trace
from percpu_ffi.trace.plain import MOST, plain_text

if TYPE_CHECKING:
    from collections.abc import Callable

CASE = Path(__file__).resolve().parent / "cases" / "plain.txt"
TEXT = CASE.read_text(encoding="utf-8")


def plain(*blocks: bytes, head: int = 100) -> bytes:
    return b"".join(plain_text(blocks, head))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b""),
        (b"a\n", b"a\n"),
        (b"\x1b[32ma\x1b[0m", b"a"),
        (b"\x1b[01;31m\x1b[Ka\x1b[m\x1b[Kb", b"ab"),  # grep --color
        (b"\x1b[1;32;40mab", b"ab"),
        (b"a\xc2\xa0b", b"a b"),
        ("\ufeffä".encode("utf-16-le"), "ä".encode()),
        ("\ufeffä".encode("utf-16-be"), "ä".encode()),
    ],
)
def test_marks_are_removed_wherever_a_block_ends(text: bytes, expected: bytes) -> None:
    assert plain(text) == expected
    for at in range(3, len(text)):  # the first block shows that there are marks
        assert plain(text[:at], text[at:]) == expected


@pytest.mark.parametrize(
    "text",
    [b"\x1b", b"\x1b[", b"\x1b[32", b"\x1b]0;title", b"\x1b[2J", b"\x1b[?2004h", b"\xc2", b"\x1bc"],
)
def test_other_bytes_stay(text: bytes) -> None:
    assert plain(b"\x1b[ma" + text) == b"a" + text
    assert plain(text, b"\n") == text + b"\n"


def test_a_mark_is_looked_for_in_the_head_only() -> None:
    assert plain(b"12345\x1b[m", head=7) == b"12345"
    assert plain(b"123456\x1b[m", head=7) == b"123456\x1b[m"
    assert plain(b"123456", b"\x1b[m", head=7) == b"123456\x1b[m"


def test_a_long_line_is_not_kept() -> None:
    """It is no line of a recording; its blocks are returned as they come."""
    parts = plain_text([b"\x1b[m" + b"x" * MOST, b"y" * 100, b"\x1b[", b"mz"], 100)
    assert next(parts) == b"x" * MOST
    assert b"".join(parts) == b"y" * 100 + b"z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\rb\r", b"a\nb\n"),
        (b"a\r\nb\r", b"a\r\nb\r"),
        (b"1:a\n2:b\n30:c\n31:d", b"a\nb\nc\nd"),  # grep -n
        (b"     9\ta\n    10\t b\n    11\t\n", b"a\n b\n\n"),  # cat -n
        (b"\x1b[32m1\x1b[m:a\n2:b\n3:c\n", b"a\nb\nc\n"),  # grep -n --color
        (b"1:a\n2:b\n3:c\nd\n5 6:e", b"a\nb\nc\nd\n5 6:e"),
        (b"1:a\n2:b\n2:c\n", b"1:a\n2:b\n2:c\n"),
        (b"1:a\n2:b\nc\n", b"1:a\n2:b\nc\n"),
        (b"1:a\n2:b", b"1:a\n2:b"),
        (b"x1:a\n2:b\n3:c", b"x1:a\n2:b\n3:c"),
        (b"1 a\n2 b\n3 c", b"1 a\n2 b\n3 c"),
    ],
)
def test_lines(text: bytes, expected: bytes) -> None:
    assert plain(text) == expected


def test_numbers_wherever_a_block_ends() -> None:
    text = b"1:a\n2:b\n3:c\n4:5:d\n"
    for at in range(10, len(text)):
        assert plain(text[:at], text[at:]) == b"a\nb\nc\n5:d\n"


def test_half_a_character_of_utf_16() -> None:
    assert plain(codecs.BOM_UTF16_LE + b"a\0b") == "a\ufffd".encode()


def on_each_line(make: Callable[[str], str]) -> bytes:
    return "".join(f"{make(line)}\n" for line in TEXT.splitlines() if line[0] != "#").encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT.encode("utf-16"), id="UTF-16"),
        pytest.param(TEXT.replace(" ", "\xa0").encode(), id="no-break spaces"),
        pytest.param(on_each_line(lambda line: f"\x1b[32m{line}\x1b[0m"), id="colours"),
        pytest.param(
            on_each_line(
                lambda line: line.replace("percpu_", "\x1b[01;31m\x1b[Kpercpu_\x1b[m\x1b[K")
            ),
            id="grep --color",
        ),
        pytest.param(TEXT.replace("\n", "\r").encode(), id="carriage returns"),
        pytest.param(
            "".join(f"{n}:{line}\n" for n, line in enumerate(TEXT.splitlines(), 7)).encode(),
            id="grep -n",
        ),
        pytest.param(on_each_line(lambda line: f'12,"{line}",x'), id="CSV"),
        pytest.param(on_each_line(lambda line: f"{line!r},"), id="Python"),
        pytest.param(on_each_line(lambda line: f"<code>{line}</code>"), id="HTML"),
        pytest.param(on_each_line(lambda line: f"{line};"), id="semicolons"),
        pytest.param(on_each_line(lambda line: f"`{line}`"), id="Markdown"),
        pytest.param(TEXT.replace("\n", "\\n").encode(), id="escaped line ends"),
    ],
)
def test_same_events(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "recording"
    path.write_bytes(data)
    trace, expected = Trace.load(path), Trace.load(CASE)
    assert list(trace) == list(expected)
    assert trace.times == expected.times
    assert trace.tasks == expected.tasks
    assert trace.kinds == expected.kinds
    assert trace.skipped == []
