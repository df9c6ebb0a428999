# SPDX-License-Identifier: GPL-2.0-only
"""``Trace.columns()``: named buffers that libraries of data frames take without a copy."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_trace_file import RECORDED

from percpu_ffi import Trace
from percpu_ffi.trace import Columns

CASES = Path(__file__).parent / "cases"

ATOMIC: Any = ("atomic",)
ALL: Any = ("atomic", "reserved")
BY_HAND: list[Any] = [
    ("alloc", 7, 64, 8),
    ("inject", "map", {"nth": 3}),
    ("alloc", 2**64 - 1, 2**63 - 1, -(2**63), ATOMIC),
    ("balance",),
    ("free", 7),
    ("alloc", 7, 8, 4, ALL),
]

TEXT = """\
    sh-7  [001]  1.000005: percpu_alloc_percpu: call_site=one+0x1 reserved=0 is_atomic=0 size=16 align=8 base_addr=ffff off=64 ptr=10 bytes_alloc=32 gfp_flags=GFP_KERNEL
  cron-9  [000]  1.000006: percpu_alloc_percpu: call_site=two+0x2 reserved=1 is_atomic=1 size=24 align=4 base_addr=eeee off=128 ptr=20 bytes_alloc=48 gfp_flags=GFP_NOWAIT
    sh-8  [001]  1.000007: percpu_free_percpu: base_addr=ffff off=64 ptr=10
percpu_free_percpu: ptr=30
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Columns:
    (tmp_path / "text").write_text(TEXT)
    return Trace.load(tmp_path / "text").columns()


UNKNOWN = 2**32 - 1

# the columns of TEXT, with the format of their items
EXPECTED: dict[str, tuple[str, list[int]]] = {
    "kind": ("i", [0, 0, 1, 1]),
    "key": ("Q", [0x10, 0x20, 0x10, 0x30]),
    "size": ("q", [16, 24, 0, 0]),
    "align": ("q", [8, 4, 0, 0]),
    "site": ("i", [0, 1, -1, -1]),
    "gfp": ("i", [0, 1, -1, -1]),
    "atomic": ("B", [0, 1, 0, 0]),
    "reserved": ("B", [0, 1, 0, 0]),
    "bytes_alloc": ("q", [32, 48, 0, 0]),
    "time": ("Q", [1_000_005_000, 1_000_006_000, 1_000_007_000, 2**64 - 1]),
    "chunk": ("I", [0, 1, 0, UNKNOWN]),
    "offset": ("I", [64, 128, 64, UNKNOWN]),
    "cpu": ("H", [1, 0, 1, 2**16 - 1]),
    "base": ("Q", [0xFFFF, 0xEEEE, 0xFFFF, 2**64 - 1]),
    "task": ("i", [0, 1, 0, -1]),
    "pid": ("I", [7, 9, 8, UNKNOWN]),
}


def test_names_of_a_recording(recorded: Columns) -> None:
    assert list(recorded) == list(EXPECTED)
    assert len(recorded) == len(EXPECTED)
    assert ("pid" in recorded, "stack" in recorded) == (True, False)


@pytest.mark.parametrize("name", EXPECTED)
def test_column(recorded: Columns, name: str) -> None:
    code, values = EXPECTED[name]
    column = recorded[name]
    assert (column.format, column.tolist()) == (code, values)
    assert column.contiguous
    assert column.readonly
    assert recorded[name] == column  # also the second time


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("kind", ["alloc", "free", "inject", "balance"]),
        ("site", ["one+0x1", "two+0x2"]),
        ("gfp", ["GFP_KERNEL", "GFP_NOWAIT"]),
        ("task", ["sh", "cron"]),
    ],
)
def test_texts_of_codes(recorded: Columns, name: str, texts: list[str]) -> None:
    assert recorded.texts(name) == texts


@pytest.mark.parametrize("name", ["size", "time", "stack", "nothing"])
def test_texts_of_other_columns(recorded: Columns, name: str) -> None:
    with pytest.raises(KeyError):
        recorded.texts(name)


def test_column_that_is_not_there(recorded: Columns) -> None:
    with pytest.raises(KeyError):
        recorded["stack"]
    assert recorded.get("stack") is None


def test_by_hand() -> None:
    columns = Trace.from_ops(BY_HAND).columns()
    assert {name: column.tolist() for name, column in columns.items()} == {
        "kind": [0, 2, 0, 3, 1, 0],
        "key": [7, 0, 2**64 - 1, 0, 7, 7],
        "size": [64, 0, 2**63 - 1, 0, 0, 8],
        "align": [8, 0, -(2**63), 0, 0, 4],
        "atomic": [0, 0, 1, 0, 0, 1],
        "reserved": [0, 0, 0, 0, 0, 1],
    }


def test_names_are_numbered() -> None:
    columns = Trace.from_ops([("alloc", "a", 8, 8), ("alloc", "b", 8, 8), ("free", "a")]).columns()
    assert columns["key"].tolist() == [0, 1, 0]


def test_stacks() -> None:
    columns = Trace(RECORDED).columns()
    assert columns["stack"].tolist() == [-1, 0]
    assert columns["stack"].format == "i"
    assert columns.texts("stack") == ["inner+0x1\nouter+0x2", ""]


def test_requests_without_a_text_have_no_code() -> None:
    """The second of two requests is made; it has a call site, but no gfp flags."""
    columns = Trace(RECORDED).columns()
    assert columns["site"].tolist() == [1, -1]
    assert columns.texts("site") == ["init+0x1/0x2 [mod]", "\N{REPLACEMENT CHARACTER}"]
    assert columns["gfp"].tolist() == [-1, -1]
    assert columns.texts("gfp") == ["GFP_NOWAIT"]


def test_requests_of_one_site_have_one_code(tmp_path: Path) -> None:
    line = "x-1 [0] 1.0: percpu_alloc_percpu: {}size={} align=8 ptr={}\n"
    sites = ["call_site=a ", "call_site=b ", "call_site=a ", ""]
    text = "".join(line.format(site, 8 * i + 8, i + 1) for i, site in enumerate(sites))
    (tmp_path / "text").write_text(text)
    columns = Trace.load(tmp_path / "text").columns()
    assert columns["site"].tolist() == [0, 1, 0, -1]
    assert columns.texts("site") == ["a", "b"]
    assert "gfp" not in columns
    assert "bytes_alloc" not in columns
    assert "atomic" not in columns  # the lines do not have it


def test_chunks_without_addresses() -> None:
    data = Trace.from_ops([("free", 1)])._data
    data.columns["chunks"] = array("I", [5])
    assert "base" not in Trace(data).columns()
    data.tables.bases = [0, 0]  # as after files of early versions
    assert "base" not in Trace(data).columns()


def test_address_without_a_chunk_of_any_operation(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(
        "percpu_create_chunk: base_addr=ffff\npercpu_free_percpu: ptr=30\n"
    )
    trace = Trace.load(tmp_path / "text")
    assert trace.bases == [0xFFFF]
    assert {"base", "chunk"}.isdisjoint(trace.columns())


def test_one_of_two_addresses(tmp_path: Path) -> None:
    line = "percpu_free_percpu: base_addr={} off=0 ptr=30\n"
    (tmp_path / "text").write_text(line.format("0") + line.format("ffff"))
    assert Trace.load(tmp_path / "text").columns()["base"].tolist() == [0, 0xFFFF]


def test_empty() -> None:
    columns = Trace.from_ops([]).columns()
    assert {name: len(column) for name, column in columns.items()} == {
        "kind": 0, "key": 0, "size": 0, "align": 0, "atomic": 0, "reserved": 0,
    }  # fmt: skip


def test_repr() -> None:
    columns = Trace.from_ops([("free", 1)] * 1000).columns()
    assert repr(columns) == (
        "<Columns of 1,000 operations: kind, key, size, align, atomic, reserved>"
    )


@pytest.mark.parametrize("name", ["time", "chunk", "offset", "cpu"])
def test_numpy_shares_the_memory(recorded: Columns, name: str) -> None:
    (original,) = (
        column
        for column in recorded._operations.columns.values()
        if isinstance(column, memoryview)
        and column == recorded[name]
        and column.format == recorded[name].format
    )
    for taken in np.asarray(recorded[name]), np.frombuffer(recorded[name], recorded[name].format):
        assert np.shares_memory(taken, np.frombuffer(original, original.format))
        assert taken.tolist() == original.tolist()
        assert not taken.flags.writeable


@pytest.mark.parametrize("name", ["stack", "size", "kind"])
def test_other_columns_are_made_once(name: str) -> None:
    columns = Trace(RECORDED).columns()
    assert np.shares_memory(np.asarray(columns[name]), np.asarray(columns[name]))


def test_stacks_share_the_memory() -> None:
    """As signed integers, so that an unknown one is -1."""
    taken = np.asarray(Trace(RECORDED).columns()["stack"])
    assert np.shares_memory(taken, np.frombuffer(RECORDED.columns["stacks"], "I"))


def test_codes_select_texts(recorded: Columns) -> None:
    """As pandas.Categorical.from_codes() and pyarrow.DictionaryArray do."""
    texts = np.array([*recorded.texts("task"), None], dtype=object)
    assert texts[np.asarray(recorded["task"])].tolist() == ["sh", "cron", "sh", None]


def test_sums_of_a_recording() -> None:
    """Bytes allocated by call site, in a few lines of numpy."""
    trace = Trace.load(CASES / "perf_script_stacks.txt.xz")
    columns = trace.columns()
    sites, sizes = np.asarray(columns["site"]), np.asarray(columns["size"])
    sums = np.bincount(sites[sites >= 0], sizes[sites >= 0])
    expected: dict[str, int] = {}
    for op, (_, _, kind) in zip(trace, np.asarray(trace.ops).view("u8,u4,u4"), strict=True):
        if op[0] == "alloc":
            site = trace.kinds[kind].site
            expected[site] = expected.get(site, 0) + op[2]
    assert dict(zip(columns.texts("site"), sums.tolist(), strict=True)) == expected
