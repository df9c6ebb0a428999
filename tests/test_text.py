# SPDX-License-Identifier: GPL-2.0-only
"""Counts, times, names and tables as text; values in messages; integers of buffers."""

from __future__ import annotations

import re
from array import array

import numpy as np
import pytest

from percpu_ffi import InvalidPointer, TraceError
from percpu_ffi._util.integers import integer, integer_buffer, integers
from percpu_ffi._util.text import cell, csv_text, duration, plural, printable, table
from percpu_ffi.errors import SHOWN, DoubleFree, not_an_operation, out_of_memory, shown


def test_counts_with_their_nouns() -> None:
    counts = [plural(n, "area") for n in (0, 1, 2, 1000)]
    assert counts == ["0 areas", "1 area", "2 areas", "1,000 areas"]
    assert plural(1000, "byte", "") == "1000 bytes"
    assert (plural(1, "entry"), plural(2, "entry"), plural(2, "geometry")) == (
        "1 entry", "2 entries", "2 geometries"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 us"),
        (9_994, "9.99 us"),
        (10_000, "10.0 us"),
        (99_900, "99.9 us"),
        (100_000, "100 us"),
        (999_400, "999 us"),
        (1_000_000, "1.00 ms"),
        (12_340_000, "12.3 ms"),
        (1_000_000_000, "1.00 s"),
        (61_500_000_000, "61.5 s"),
        (123_456_000_000_000, "123,456 s"),
    ],
)
def test_times_have_three_digits_at_least(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_names_for_a_terminal() -> None:
    assert printable("mm_init+0x2/ß \x1b[2J\n\udcff\u2028") == "mm_init+0x2/ß ?[2J???"
    longest = "a" * 31 + "b" * 32
    assert cell(longest) == longest
    assert cell(longest + "c") == "a" * 30 + "..." + "b" * 29 + "c"
    assert cell("\t") == "?"


def test_columns_are_aligned() -> None:
    """The first one to the left, the others to the right; no line ends with blanks."""
    rows = [("name", "n", "of"), ("x", "1,000", ""), ("", "7", "100")]
    assert table(rows) == ["  name      n   of", "  x     1,000", "            7  100"]
    assert table(rows[:1], indent="") == ["name  n  of"]
    assert table([]) == []


def test_values_separated_by_commas() -> None:
    rows: list[list[object]] = [
        ["a,b", 1, None],
        ["=1", -2, 0.5],
        ["@x", True, "-"],
        ["a=1", "", "\x1b"],
    ]
    assert csv_text(["name", "n", "x"], rows).splitlines() == [
        "name,n,x", '"a,b",1,', "'=1,-2,0.5", "'@x,True,'-", "a=1,,?"
    ]  # fmt: skip
    assert csv_text(["name"], []) == "name"


def test_values_in_a_message_are_cut() -> None:
    assert shown("x") == "'x'"
    assert shown("x" * (SHOWN - 2)) == repr("x" * (SHOWN - 2))
    assert shown("x" * (SHOWN - 1)) == f"'{'x' * (SHOWN - 1)}..."

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("not me")

    assert re.fullmatch(r"<.*Shy object at 0x[0-9a-f]+>", shown(Shy()))
    assert shown([10**5000]).startswith("<list with a number of over 4,300 digits>")


def test_places_in_a_message() -> None:
    """As compilers print them; the exception has them, too."""
    for file, line, start in (
        ("t", 7, "t:7: why"), ("t", None, "t: why"), (None, 7, "7: why"), (None, None, "why")
    ):  # fmt: skip
        error = TraceError("why", file, line)
        assert (str(error), error.file, error.line) == (start, file, line)
    assert str(not_an_operation(("x",), 3)).startswith("3: ('x',): an operation is")


def test_pointers_and_areas_in_a_message() -> None:
    assert str(DoubleFree.of(0x3040)).startswith("pointer 0x3040: no area")
    assert str(InvalidPointer.of("x")).startswith("pointer 'x': a per-CPU pointer")
    assert len(str(InvalidPointer.of(1 << 5000))) < SHOWN + 100
    for size, what in (
        (1, "an area of 1 byte aligned to 8"),
        (2, "an area of 2 bytes aligned to 8"),
        (0, "the first chunk"),
    ):
        error = out_of_memory("map", size, 8)
        assert str(error).startswith(f"out of memory: map failed for {what}; ")
        assert error.service == "map"


def test_integers_have_64_bits() -> None:
    for number in (0, -(1 << 63), (1 << 63) - 1, True):
        assert integer(number) == number
    for other in (1 << 63, -(1 << 63) - 1, 1.0, "1", None):
        assert integer(other) is None


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_integers_of_a_buffer(code: str) -> None:
    """In the machine's byte order, signed or not, whatever their width."""
    bits = 8 * array(code).itemsize
    least = -(1 << bits - 1) if code.islower() else 0
    numbers = [least, 1, 100, least + (1 << bits) - 1]
    view = integer_buffer(array(code, numbers), "sizes", ValueError)
    assert integers(view) == numbers
    assert integers(integer_buffer(iter([3, -4]), "sizes", ValueError)) == [3, -4]
    of_another_machine = np.array([1], np.dtype(np.int64).newbyteorder())
    for wrong in (memoryview(bytes(8)).cast("d"), [1 << 63], [0.5], "12", of_another_machine):
        with pytest.raises(ValueError, match=r"^sizes .*: a C-contiguous buffer of integers"):
            integer_buffer(wrong, "sizes", ValueError)
