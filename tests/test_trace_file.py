# SPDX-License-Identifier: GPL-2.0-only
"""The trace file, version 3: blocks with checksums.

|PCPUTRC3|HEAD|ROWS|ROWS|...|TAIL|
^ a recorder was killed here: the operations before it can be read
"""

from __future__ import annotations

import io
import json
import lzma
import re
import struct
import tracemalloc
import zlib
from array import array
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES
from damage import damaged
from old_format import save_old
from test_trace import OPS

from percpu_ffi import Trace, TraceError, TraceStats
from percpu_ffi.cli import main
from percpu_ffi.trace import file as trace_file
from percpu_ffi.trace import file_reader
from percpu_ffi.trace.file import TraceWriter
from percpu_ffi.trace.file_reader import read_file
from percpu_ffi.trace.operations import (
    CREATED,
    DESTROYED,
    FAILED,
    LOST,
    NO_CPU,
    NO_INDEX,
    NO_TIME,
    WORK_ENDED,
    WORK_STARTED,
    Batch,
    Column,
    Event,
    Kind,
    Operations,
    Skipped,
    StackOf,
    Tables,
)
from percpu_ffi.trace.source import BLOCK, Blocks, Limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAMAGE = 0x15  # bits to turn over in a byte

# a recording with everything: an area of a task and its failed request, on a chunk that comes
# and goes twice at one address; half of the columns are unknown at the second operation
RECORDED = Operations(
    ops=bytearray(struct.pack("=QIIQII", 0x1000, 0, 1, 0x1000, 0, 0xFFFFFFFF)),
    columns={
        "times": array("Q", [5_000, NO_TIME]),
        "chunks": array("I", [1, 1]),
        "offsets": array("I", [64, 0xFFFFFFFF]),
        "tasks": array("I", [1, NO_INDEX]),
        "cpus": array("H", [1, NO_CPU]),
        "stacks": array("I", [NO_INDEX, 0]),
    },
    events=[
        Event(0, 1_000, 0, 0, 0, CREATED),
        Event(0, 2_000, 0, 1, 0, DESTROYED),
        Event(0, 3_000, 1, NO_INDEX, NO_CPU, CREATED),
        Event(1, 6_000, 0, 1, 1, FAILED),
        Event(1, NO_TIME, 7, NO_INDEX, NO_CPU, LOST),
        Event(2, 8_000, 0, 2, 0, WORK_STARTED),
        Event(2, 9_000, 0, 2, 0, WORK_ENDED),
    ],
    event_stacks={3: 1, 6: 0},
    tables=Tables(
        kinds=[
            Kind(16, 8, "init+0x1/0x2 [mod]", ("atomic", "reserved"), "GFP_NOWAIT", 64),
            Kind(2**63 - 1, -(2**63), "\N{REPLACEMENT CHARACTER}", (), "", 2**63 - 1),
        ],
        names=["sh", ""],
        tasks=[(0, 7), (1, 2**32 - 1), (0, 0)],
        stacks=["inner+0x1\nouter+0x2", ""],
        bases=[2**64 - 1, 2**64 - 1],
    ),
    setup={"cpus": 2},
    machine={"kernel": "6.18", "boot_line": None, "possible_cpus": 2, "stats_after": "a\nb"},
    slots=1,
    flags_known=True,
    stats=TraceStats(
        events=6, allocs=1, frees=1, cpus=2, lost=7, kernel_failures=1, kernel_created=2,
        kernel_destroyed=1, kernel_chunks=1, kernel_pages=3, kernel_extent=80,
    ),
    skipped=[Skipped("damaged", 2, 5, "a line\x1b")],
)  # fmt: skip

# by hand: names, a fault, flags, background work, a re-allocation, an orphan free
BY_HAND: list[Any] = [
    ("alloc", "a", 64, 8, ("atomic",)),
    ("inject", "map", {"nth": 3}),
    ("alloc", "a", 8, 4),
    ("balance",),
    ("free", "a"),
    ("free", "?"),
]


def load(data: bytes) -> Trace:
    return Trace(read_file(Blocks("saved", io.BytesIO(data))))


def saved(trace: Trace) -> bytes:
    """Return the file of a trace."""
    data: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_file, "write_whole", lambda _, contents: data.append(contents))
        trace.save("not written")
    return data[0]


def written(*batches: Batch, head: dict[str, Any] | None = None, end: bool = True) -> bytes:
    """Return what a recorder writes."""
    file = io.BytesIO()
    writer = TraceWriter(file, head or {})
    for batch in batches:
        writer.write(batch)
    if end:
        stats = batches[-1].stats.__dict__ if batches else {}
        writer.finish({"stats": stats})
    return file.getvalue()


def block(tag: bytes, value: Any, rest: bytes = b"") -> bytes:
    """Return a block, described in another way than by the writer."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    data = zlib.compress(len(text).to_bytes(4, "little") + text + rest, 1)
    return framed(tag, data)


def framed(tag: bytes, data: bytes) -> bytes:
    head = tag + len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little")
    return head + zlib.crc32(head).to_bytes(4, "little") + data


def taken_apart(data: bytes) -> list[tuple[bytes, Any, bytes]]:
    """Return tag, JSON and columns of each block."""
    assert data[:8] == b"PCPUTRC3"
    at, found = 8, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        contents = zlib.decompress(data[at + 16 : at + 16 + length])
        (n,) = struct.unpack_from("<I", contents)
        found.append((data[at : at + 4], json.loads(contents[4 : 4 + n]), contents[4 + n :]))
        at += 16 + length
    return found


def edited(data: bytes, tag: bytes, edit: Callable[[Any], Any]) -> bytes:
    """Return a file with the JSON of a block replaced; ``edit`` returns it, or changes it."""
    blocks = []
    for found, value, columns in taken_apart(data):
        changed = edit(value) if found == tag else None
        blocks.append(block(found, value if changed is None else changed, columns))
    return b"PCPUTRC3" + b"".join(blocks)


def everything(trace: Trace) -> dict[str, Any]:
    """Return all that a file holds, also what does not count when traces are compared."""
    return {**trace._data.__dict__, "remarks": None}


class TestRoundTrip:
    """What is saved is read again."""

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Trace(RECORDED),
            lambda: Trace.from_ops(
                BY_HAND, {"cpus": 2, "policy": "area-map", "quirks": ["rollback"]}
            ),
            lambda: Trace.from_ops(OPS, times=[2**64 - 1, 2**64 - 2, 0, 2**63, 9, 8, 7]),
            lambda: Trace.from_ops([]),
            lambda: Trace.from_ops([("balance",)]),
            lambda: Trace.load(SAMPLES / "fork_storm.perf.xz"),
            lambda: Trace.load(SAMPLES / "netns_churn.ftrace.xz"),
        ],
        ids=["recorded", "by hand", "times", "empty", "work", "perf", "ftrace"],
    )
    def test_of_everything(self, make: Callable[[], Trace]) -> None:
        trace = make()
        again = load(saved(trace))
        assert everything(again) == everything(trace)
        assert again == trace

    def test_file_is_smaller_than_the_compressed_text(self, tmp_path: Path) -> None:
        for name, most in {"fork_storm.perf.xz": 70, "netns_churn.ftrace.xz": 85}.items():
            source = SAMPLES / name
            Trace.load(source).save(tmp_path / "saved")
            assert (tmp_path / "saved").stat().st_size * 100 < most * source.stat().st_size, name

    @pytest.mark.parametrize(
        "times",
        [
            [0] * 7,
            [7, 6, 5, 4, 3, 2, 1],
            [0, 2**64 - 1, 0, 2**64 - 2, 2**63, 1, 0],
            [10**9, 2**64 - 1, 3 * 10**9, 2 * 10**9, 10**9, 0, 10**9],
        ],
        ids=["none passes", "backwards", "far apart", "one unknown"],
    )
    def test_of_any_times(self, times: list[int]) -> None:
        again = load(saved(Trace.from_ops(OPS, times=times)))
        assert again.times is not None
        assert again.times.tolist() == times
        assert again.places is None

    def test_byte_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are little-endian: another host swaps the bytes."""
        column = array("H", [1, 0x0203])
        monkeypatch.setattr("sys.byteorder", "little")
        assert trace_file.little_endian(column) is column
        monkeypatch.setattr("sys.byteorder", "big")
        assert trace_file.little_endian(column) == array("H", [0x0100, 0x0302])
        assert column == array("H", [1, 0x0203])

    def test_times_are_stored_in_ticks(self) -> None:
        data = saved(Trace.from_ops(OPS, times=range(3000, 24000, 3000)))
        (_, rows, _) = taken_apart(data)[1]
        assert rows["tick"] == 3000

    @pytest.mark.parametrize(
        ("n", "rows"), [(0, [0]), (1, [1]), (3, [3]), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])]
    )
    def test_batches(self, monkeypatch: pytest.MonkeyPatch, n: int, rows: list[int]) -> None:
        """Operations, columns and events are in the batch that they belong to."""
        assert trace_file.BATCH == 65_536
        monkeypatch.setattr(trace_file, "BATCH", 4)
        trace = Trace.from_ops([("alloc", key, 8, 8) for key in range(n)], times=range(n))
        befores = sorted({min(before, n) for before in (0, 1, 3, 4, 5, 8, 9)})
        trace._data.events = [Event(at, 0, 0, NO_INDEX, NO_CPU, LOST) for at in befores]
        trace._data.event_stacks = {0: 0, len(befores) - 1: 1}
        trace._data.tables.stacks = ["a", "b"]
        data = saved(trace)
        batches = [value for tag, value, _ in taken_apart(data) if tag == b"ROWS"]
        assert [value["rows"] for value in batches] == rows
        assert [row for value in batches for row in value["stacks_of"]] == [
            [row, stack, 1] for row, stack in trace._data.event_stacks.items()
        ]
        end = 0
        for value in batches:
            start, end = end, end + value["rows"]
            assert value["slots"] == end
            assert all(start <= event[0] <= end for event in value["events"])
        assert everything(load(data)) == everything(trace)

    def test_compressed_once_more(self, tmp_path: Path) -> None:
        for trace in Trace(RECORDED), Trace.load(SAMPLES / "fork_storm.perf.xz"):
            (tmp_path / "saved.xz").write_bytes(lzma.compress(saved(trace)))
            assert Trace.load(tmp_path / "saved.xz") == trace

    def test_file_of_an_old_version_becomes_a_new_one(self, tmp_path: Path) -> None:
        """Chunks have no addresses there."""
        trace = Trace.load(SAMPLES / "fork_storm.perf.xz")
        save_old(trace, tmp_path / "old")
        old = Trace.load(tmp_path / "old")
        new = load(saved(old))
        assert everything(new) == everything(old)
        assert new.places == trace.places

    def test_values_that_repeat_much_are_stored(self) -> None:
        """JSON that expands much looks like an attack; nothing that was saved may do so."""
        trace = Trace.from_ops([("free", "n" * (5 << 20))])
        data = saved(trace)
        assert len(zlib.compress(data)) * 100 < len(data)
        assert load(data) == trace


class TestWriter:
    """A recorder writes batches as they come."""

    FIRST = Batch(
        ops=bytearray(struct.pack("=QII", 1, 0, 0)),
        columns={"cpus": array("H", [3])},
        tables=Tables(kinds=[Kind(8, 8)], stacks=["a"]),
        stats=TraceStats(events=1, allocs=1, cpus=4),
        slots=1,
    )
    SECOND = Batch(
        ops=bytearray(struct.pack("=QIIQII", 2, 1, 0, 1, 0, 0xFFFFFFFF)),
        columns={"times": array("Q", [10, 20])},
        events=[Event(3, 30, 0, NO_INDEX, NO_CPU, WORK_STARTED)],
        stacks_of=[StackOf(0, 1, 0), StackOf(0, 0, 1)],  # of a row before, and of the event
        tables=Tables(stacks=["b"]),
        stats=TraceStats(events=3, allocs=2, frees=1, cpus=4),
        slots=2,
        flags_known=True,
    )

    def test_what_came_in_batches_is_one_trace(self) -> None:
        trace = load(written(self.FIRST, self.SECOND))
        assert list(trace) == [("alloc", 1, 8, 8), ("alloc", 2, 8, 8), ("free", 1)]
        assert trace.times is not None
        assert trace.times.tolist() == [NO_TIME, 10, 20]
        assert {name: list(column) for name, column in trace._data.columns.items()} == {
            "cpus": [3, NO_CPU, NO_CPU],
            "times": [NO_TIME, 10, 20],
            "stacks": [1, NO_INDEX, NO_INDEX],
        }
        assert trace._data.event_stacks == {0: 0}
        assert (trace.slots, trace.stats, trace._data.flags_known) == (2, self.SECOND.stats, True)
        assert trace.remarks == []

    def test_each_batch_is_in_the_file_at_once(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("wb") as file:
            writer = TraceWriter(file, {"machine": {"kernel": "6.18"}})
            with pytest.raises(TraceError, match="cut before its first operation"):
                Trace.load(tmp_path / "file")
            writer.write(self.FIRST)
            trace = Trace.load(tmp_path / "file")
            assert (list(trace), trace.machine) == ([("alloc", 1, 8, 8)], {"kernel": "6.18"})
            writer.write(self.SECOND)
            assert len(Trace.load(tmp_path / "file")) == 3
            writer.finish(
                {"stats": {"allocs": 2, "frees": 1, "lost": 9}, "skipped": [("cut", 1, 2, "x")]}
            )
            trace = Trace.load(tmp_path / "file")
            assert (trace.stats.lost, trace.skipped) == (9, [("cut", 1, 2, "x")])
            assert trace.remarks == []

    def test_end_adds_to_what_is_known_of_the_machine(self) -> None:
        file = io.BytesIO()
        writer = TraceWriter(file, {"machine": {"kernel": "6.18", "page_size": 1}})
        writer.write(self.FIRST)
        writer.finish({"stats": {"allocs": 1}, "machine": {"page_size": 4096, "stats_after": None}})
        assert load(file.getvalue()).machine == {
            "kernel": "6.18",
            "page_size": 4096,
            "stats_after": None,
        }

    def test_recorder_that_was_killed(self) -> None:
        trace = load(written(self.FIRST, self.SECOND, end=False))
        assert len(trace) == 3
        assert trace.stats == self.SECOND.stats
        assert trace.remarks == [
            "the file has no end, as if its recorder was killed: it holds 3 operations, and the "
            "figures are those of them"
        ]

    def test_figures_are_counted_where_the_end_is_missing(self) -> None:
        """Those that cannot be counted are the last ones that were written."""
        claimed = TraceStats(cpus=9, kernel_pages=3, allocs=5)
        (batch,) = trace_file._batches(replace(RECORDED, stats=claimed))
        assert load(written(batch, end=False)).stats == TraceStats(
            events=6, allocs=1, frees=1, cpus=9, lost=7, kernel_failures=1, kernel_created=2,
            kernel_destroyed=1, kernel_pages=3,
        )  # fmt: skip

    def test_lost_events_of_unknown_number_count_once(self) -> None:
        lost = [Event(0, 0, n, NO_INDEX, NO_CPU, LOST) for n in (0, 5, 0)]
        assert load(written(Batch(events=lost), end=False)).stats.lost == 7

    def test_figures_of_a_trace_by_hand(self) -> None:
        data = saved(Trace.from_ops(BY_HAND))
        data = data[: data.index(b"TAIL")]
        assert load(data).stats == Trace.from_ops(BY_HAND).stats
        assert load(data).stats == TraceStats(
            events=6, allocs=2, frees=2, orphan_frees=1, reallocs=1
        )


@cache
def small(name: str) -> bytes:
    """Return a small file."""
    return saved(Trace(RECORDED) if name == "recorded" else Trace.from_ops(BY_HAND, {"cpus": 2}))


@pytest.mark.parametrize("name", ["recorded", "by hand"])
class TestDamage:
    """Files that are cut, or damaged in a single byte."""

    def test_every_cut_leaves_a_prefix_or_is_found(self, name: str) -> None:
        data = small(name)
        whole = load(data)
        rows, tail = data.index(b"ROWS"), data.index(b"TAIL")
        for length in range(8, len(data)):
            if length < tail:
                with pytest.raises(TraceError) as caught:
                    load(data[:length])
                assert str(caught.value) == (
                    "saved: the file is cut before its first operation; copy it again"
                )
            else:
                trace = load(data[:length])
                assert trace == whole
                assert len(trace.remarks) == 1
        assert 8 < rows < tail

    def test_every_damaged_byte_is_found(self, name: str) -> None:
        data = small(name)
        for i in range(8, len(data)):
            with pytest.raises(
                TraceError, match=r"^saved: the file is damaged \(.*; copy it again"
            ):
                load(data[:i] + bytes([data[i] ^ DAMAGE]) + data[i + 1 :])

    @pytest.mark.parametrize("zeroes", [1, 12, 16, 100, 10_000])
    def test_zeroes_at_the_end(self, name: str, zeroes: int) -> None:
        """A file system may leave them after a crash."""
        data = small(name)
        assert load(data + bytes(zeroes)) == load(data)
        trace = load(data[: data.index(b"TAIL")] + bytes(zeroes))
        assert trace == load(data)
        assert len(trace.remarks) == 1

    def test_zeroes_from_any_place_on(self, name: str) -> None:
        data = small(name)
        tail = data.index(b"TAIL")
        for keep in range(tail, len(data)):
            assert load(data[:keep] + bytes(4096)) == load(data)

    def test_zeroes_in_the_middle(self, name: str) -> None:
        data = small(name)
        tail = data.index(b"TAIL")
        for zeroes in 16, 100:
            with pytest.raises(TraceError, match="checksum of a block's head is wrong"):
                load(data[:tail] + bytes(zeroes) + data[tail:])

    @pytest.mark.parametrize(
        "rest",
        [b"x", b"X", bytes(100) + b"x", bytes(BLOCK) + b"x", b"PCPUTRC3", None],
        ids=lambda rest: rest and f"{len(rest)} bytes, {rest[-1:]}",
    )
    def test_something_after_the_end(self, name: str, rest: bytes | None) -> None:
        """Such as a second file: only one of them would be read."""
        with pytest.raises(TraceError, match="something follows the end"):
            load(small(name) + (small(name) if rest is None else rest))

    def test_unknown_blocks_are_skipped(self, name: str) -> None:
        """Later versions may add some."""
        data = small(name)
        for at in data.index(b"ROWS"), data.index(b"TAIL"):
            for more in framed(b"MORE", b"no zlib"), framed(b"\xff\0\n\x1b", b""):
                assert load(data[:at] + more + data[at:]) == load(data)

    def test_blocks_that_are_not_in_their_place(self, name: str) -> None:
        head, rows, tail = re.split(rb"(?=ROWS|TAIL)", small(name))
        magic, head = head[:8], head[8:]
        for wrong in (
            rows + tail,
            rows + head + tail,
            head + head + rows + tail,
            head + rows + head + tail,
            framed(b"MORE", b"") + head + rows + tail,
        ):
            with pytest.raises(TraceError, match=r"damaged \(a block '.*' is not in its place"):
                load(magic + wrong)
        for wrong, match in (
            (b"", "cut before its first operation"),
            (head, "cut before its first operation"),
            (head + tail, "cut before its first operation"),
            (head + tail + rows, "something follows the end"),
            (head + rows + tail + tail, "something follows the end"),
        ):
            with pytest.raises(TraceError, match=match):
                load(magic + wrong)


@pytest.mark.parametrize("name", ["recorded", "by hand"])
@pytest.mark.parametrize("tag", [b"HEAD", b"ROWS", b"TAIL"])
def test_json_damaged_in_every_place(name: str, tag: bytes) -> None:
    """Each value at any depth replaced, removed, doubled: found, or harmless."""
    data = small(name)
    whole = load(data)
    blocks = [(found, value, columns) for found, value, columns in taken_apart(data)]
    (original,) = (value for found, value, _ in blocks if found == tag)
    found = harmless = 0
    for what, text in damaged(original):
        parts = [
            block(each, text.encode() if each == tag else value, columns)
            for each, value, columns in blocks
        ]
        try:
            trace = load(b"PCPUTRC3" + b"".join(parts))
        except TraceError as error:
            found += 1
            message = str(error)
            assert re.match(r"saved: the file is damaged \(.+\); copy it again$", message), what
            assert message.isprintable(), what
            assert len(message) < 700, what
        else:
            harmless += 1
            assert len(list(trace)) == len(whole), what
            for column in trace.columns().values():
                assert len(column) == len(whole), what
            for event in trace.events:
                if event.kind == FAILED:
                    assert trace.kinds[event.value], what
                elif event.kind in (CREATED, DESTROYED):
                    assert trace.bases[event.value] >= 0, what
            assert all(isinstance(task.name, str) for task in trace.tasks), what
            load(saved(trace))
    assert found > 60
    assert harmless > 30


def put(rows: dict[str, Any], place: str, value: Any) -> None:
    """Set a value in the JSON of a block; ``place`` are keys and indices."""
    *way, last = (int(part) if part.isdigit() else part for part in place.split("."))
    for part in way:
        rows = rows[part]  # type: ignore[index]
    rows[last] = value  # type: ignore[index]


class TestIndices:
    """All indices are those of rows that exist; each is one too high here."""

    @pytest.mark.parametrize(
        ("place", "value", "what"),
        [
            ("events.3.2", 2, "kind"),
            ("events.0.2", 2, "chunk"),
            ("events.1.2", 2, "chunk"),
            ("events.6.0", 3, "operation"),
            ("events.0.3", 3, "task"),
            ("events.0.4", 65_536, "CPU"),
            ("events.0.5", 6, "kind of event"),
            ("tables.tasks.1.0", 2, "name"),
            ("stacks_of.0.0", 7, "event"),
            ("stacks_of.0.1", 2, "stack"),
            ("stacks_of.0.1", 2**32 - 1, "stack"),
        ],
    )
    def test_in_json(self, place: str, value: int, what: str) -> None:
        data = small("recorded")
        if value < 2**32 - 1:
            load(edited(data, b"ROWS", lambda rows: put(rows, place, value - 1)))
        data = edited(data, b"ROWS", lambda rows: put(rows, place, value))
        with pytest.raises(TraceError, match=rf"\(there is no {what} {value}\)"):
            load(data)

    @pytest.mark.parametrize("place", ["stacks_of.0.0", "stacks_of.1.0"])
    @pytest.mark.parametrize("row", [2, 7, 2**63, 2**64 - 1])
    def test_row_of_a_stack(self, place: str, row: int) -> None:
        """Of an operation: two; of an event: seven."""

        def edit(rows: dict[str, Any]) -> None:
            rows["stacks_of"] = [[0, 0, 1], [0, 0, 0]]
            put(rows, place, row)

        data = edited(small("recorded"), b"ROWS", edit)
        if (place, row) == ("stacks_of.0.0", 2):
            assert load(data)._data.event_stacks == {2: 0}
        else:
            with pytest.raises(TraceError, match=rf"there is no (operation|event) {row}"):
                load(data)

    @pytest.mark.parametrize(
        ("column", "at", "value", "what"),
        [
            ("tasks", 0, 3, "task"),
            ("stacks", 1, 2, "stack"),
            ("chunks", 0, 2, "chunk"),
            ("chunks", 0, 2**32 - 2, "chunk"),
        ],
    )
    def test_in_columns(self, column: str, at: int, value: int, what: str) -> None:
        columns = {name: items[:] for name, items in RECORDED.columns.items()}
        columns[column][at] = value
        with pytest.raises(TraceError, match=f"there is no {what} {value}"):
            load(saved(Trace(replace(RECORDED, columns=columns))))

    def test_chunks_without_addresses_may_have_any_number(self) -> None:
        """Those of files of version 2."""
        columns: dict[str, Column] = {"chunks": array("I", [2**32 - 2, 7])}
        tables = replace(RECORDED.tables, bases=[])
        data = replace(RECORDED, columns=columns, tables=tables, events=[], event_stacks={})
        trace = load(saved(Trace(data)))
        assert trace.places is not None
        assert trace.places.chunks.tolist() == [2**32 - 2, 7]
        assert "base" not in trace.columns()

    @pytest.mark.parametrize(
        ("offset", "value", "what"),
        [
            (0, 3, "name"),  # the key of the first operation: there are 3 names
            (8, 1, "handle"),  # its handle: there is 1
            (8, 0xFFFFFFFF, "handle"),  # it frees nothing, but is an allocation
            (12, 2, "kind"),  # its kind: there are 2
            (12, 0xFFFFFFFC, "kind"),  # the highest that is a request
            (16 + 8, 1, "fault"),  # the fault of the second operation
            (64 + 8, 1, "handle"),  # of a free
            (80, 3, "name"),
        ],
    )
    def test_in_operations(self, offset: int, value: int, what: str) -> None:
        trace = Trace.from_ops(BY_HAND)
        struct.pack_into("=Q" if what == "name" else "=I", trace._data.ops, offset, value)
        with pytest.raises(TraceError, match=f"there is no {what} {value}"):
            load(saved(trace))

    def test_they_are_checked_in_each_batch(self) -> None:
        first = TestWriter.FIRST
        for second in (
            replace(first, ops=bytearray(struct.pack("=QII", 1, 0, 2))),
            replace(first, ops=bytearray(struct.pack("=QII", 1, 1, 0))),
            replace(first, stacks_of=[StackOf(2, 0, 0)]),
            replace(first, stacks_of=[StackOf(1, 2, 0)]),
            replace(first, events=[Event(0, 0, 0, NO_INDEX, NO_CPU, LOST)]),  # of the first batch
            replace(first, slots=0),
            replace(first, slots=3),
        ):
            with pytest.raises(TraceError, match="damaged"):
                load(written(first, second, end=False))
        assert len(load(written(first, first, end=False))) == 2

    def test_order_of_events(self) -> None:
        events = [Event(before, 0, 0, NO_INDEX, NO_CPU, LOST) for before in (1, 0)]
        with pytest.raises(TraceError, match="events are out of order"):
            load(written(replace(TestWriter.FIRST, events=events)))


class TestValues:
    """Other values of a file that is made to do harm."""

    @pytest.mark.parametrize(
        ("place", "value", "reason"),
        [
            ("rows", 3, "fewer than 3 operations"),
            ("rows", 5000, "fewer than 5000 operations"),
            ("rows", 1, "the contents of a block 'ROWS' are too long"),
            ("rows", 0, "the contents of a block 'ROWS' are too long"),
            ("rows", 2**20 + 1, f"{2**20 + 1} is out of range"),
            ("rows", -1, "-1 is out of range"),
            ("columns.0", "x", "a column 'x' is not known, or is there twice"),
            ("columns.0", "handles", "a column 'handles' is not known, or is there twice"),
            ("columns.2", "chunks", "a column 'chunks' is not known, or is there twice"),
            ("columns", [], "the contents of a block 'ROWS' are too long"),
            ("tick", 0, "0 is out of range"),
            ("tick", 2**64, f"{2**64} is out of range"),
            ("tick", 2**64 - 1, "int too big to convert"),
            ("events.0", [1, 2, 3, 4, 5], "6 integers are needed"),
            ("events.0.1", 2**64, f"{2**64} is out of range"),
            ("stacks_of.0", [1, 2], "3 integers are needed"),
            ("tables.kinds.0.3", ["x"], "flags ['x']"),
            ("tables.kinds.0.3", [["x"]], "flags [['x']]"),
            ("tables.kinds.0.3", ["atomic", "atomic"], "flags ['atomic', 'atomic']"),
            ("tables.kinds.0.3", "atomic", "list is needed, not 'atomic'"),
            ("tables.kinds.0.5", 2**63, f"{2**63} is out of range"),
            ("tables.kinds.0.5", -1, "-1 is out of range"),
            ("tables.kinds.0.0", 2**63, f"{2**63} is out of range"),
            ("tables.kinds.0.4", None, "str is needed, not None"),
            ("tables.names.0", 7, "str is needed, not 7"),
            ("tables.tasks.0", [0], "2 integers are needed"),
            ("tables.tasks.0.1", 2**32, f"{2**32} is out of range"),
            ("tables.bases.0", 2**64, f"{2**64} is out of range"),
            ("stats.lost", 2**64, f"{2**64} is out of range"),
            ("slots", 3, "3 is out of range"),
            ("flags_known", 1, "bool is needed, not 1"),
            ("stacks_of.0.2", 2, "there is no kind of row 2"),
        ],
    )
    def test_of_a_batch(self, place: str, value: Any, reason: str) -> None:
        data = edited(small("recorded"), b"ROWS", lambda rows: put(rows, place, value))
        with pytest.raises(TraceError) as caught:
            load(data)
        assert str(caught.value).startswith(f"saved: the file is damaged ({reason}")
        assert (caught.value.file, caught.value.line) == ("saved", None)

    @pytest.mark.parametrize(
        ("place", "value", "reason"),
        [
            ("names", {}, "list is needed, not {}"),
            ("names", ["a", 1.5], "a name is neither an integer nor a string"),
            ("setup", [], "dict is needed, not []"),
            ("setup", {"cpus": "2"}, "set-up {'cpus': '2'}: a mapping of arguments"),
            ("faults", [["x", {}]], "site 'x': the services that can fail are "),
            ("faults", [["map", []]], "dict is needed, not []"),
            ("machine", [], "dict is needed, not []"),
        ],
    )
    def test_of_the_head(self, place: str, value: Any, reason: str) -> None:
        data = edited(small("by hand"), b"HEAD", lambda head: put(head, place, value))
        with pytest.raises(TraceError) as caught:
            load(data)
        assert str(caught.value).startswith(f"saved: the file is damaged ({reason}")

    def test_figures_that_are_not_those_of_the_operations(self) -> None:
        for name in "allocs", "frees":
            stats = {**vars(RECORDED.stats), name: 2}
            data = edited(small("recorded"), b"TAIL", lambda tail: put(tail, "stats", stats))  # noqa: B023
            with pytest.raises(TraceError, match=r"are claimed, there are \(1, 1\)"):
                load(data)

    def test_what_later_versions_may_add(self) -> None:
        data = small("recorded")
        for tag, place in (
            (b"HEAD", "more"), (b"ROWS", "more"), (b"TAIL", "more"), (b"ROWS", "tables.more"),
            (b"ROWS", "stats.more"), (b"TAIL", "stats.more"),
        ):  # fmt: skip
            data = edited(data, tag, lambda value, place=place: put(value, place, [1]))  # type: ignore[misc]
        assert everything(load(data)) == everything(Trace(RECORDED))

    def test_machine_has_plain_values_only(self) -> None:
        """Objects in objects would be a RecursionError where the figures are copied."""
        deep = json.loads("[" * 900 + "]" * 900)
        for tag in b"HEAD", b"TAIL":
            data = edited(
                small("recorded"), tag, lambda value: put(value, "machine", {"x": deep, "y": 1})
            )
            assert load(data).machine["y"] == 1
            assert "x" not in load(data).machine

    def test_column_that_lacks_a_byte(self) -> None:
        parts = [
            block(tag, value, columns[:-1])
            for tag, value, columns in taken_apart(small("recorded"))
        ]
        with pytest.raises(TraceError, match="fewer than 2 operations"):
            load(b"PCPUTRC3" + b"".join(parts))

    def test_most_operations_of_a_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_reader, "MOST_ROWS", 2)
        assert len(load(small("recorded"))) == 2
        monkeypatch.setattr(file_reader, "MOST_ROWS", 1)
        with pytest.raises(TraceError, match="2 is out of range"):
            load(small("recorded"))

    def test_json_has_a_limit_for_all_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = small("recorded")
        texts = [len(json.dumps(value)) for _, value, _ in taken_apart(edited(data, b"", id))]
        for limit, fits in ((sum(texts), True), (sum(texts) - 1, False)):
            monkeypatch.setattr(file_reader, "JSON", Limit(limit, 0))
            if fits:
                assert len(load(edited(data, b"", id))) == 2
            else:
                with pytest.raises(TraceError, match="expands to far more"):
                    load(edited(data, b"", id))

    def test_skipped_lines(self) -> None:
        skipped = [["x", 0, 0, ""], ["y", 2**64 - 1, 1, "z"]]
        data = edited(small("recorded"), b"TAIL", lambda tail: put(tail, "skipped", skipped))
        assert [[*row] for row in load(data).skipped] == skipped
        for row in ["x", -1, 0, ""], ["x", 0, 2**64, ""], ["x", 0, 0], [1, 0, 0, ""]:
            data = edited(small("recorded"), b"TAIL", lambda tail: put(tail, "skipped", [row]))  # noqa: B023
            with pytest.raises(TraceError, match="damaged"):
                load(data)

    @pytest.mark.parametrize("rest", [b"x", b"1234567"])
    def test_contents_that_are_too_long(self, rest: bytes) -> None:
        for tag in b"HEAD", b"TAIL":
            parts = [
                block(each, value, columns + rest * (each == tag))
                for each, value, columns in taken_apart(small("recorded"))
            ]
            with pytest.raises(TraceError, match=f"block '{tag.decode()}' are too long"):
                load(b"PCPUTRC3" + b"".join(parts))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "the contents of a block 'HEAD' have no end"),
            (zlib.compress(b"\2\0\0\0{}")[:-1], "the contents of a block 'HEAD' have no end"),
            (
                zlib.compress(b"\2\0\0\0{}") + b"x",
                "something follows the contents of a block 'HEAD'",
            ),
            (zlib.compress(b"\2\0\0"), "unpack requires a buffer of 4 bytes"),
            (zlib.compress(b"\3\0\0\0{}"), ""),
            (zlib.compress(b"\1\0\0\0{}"), "Expecting property name"),
            (zlib.compress(b"\xff\xff\xff\xff{}"), "it expands to far more than a trace does"),
            (b"no zlib", "Error -3 while decompressing data"),
        ],
    )
    def test_block_of_other_contents(self, data: bytes, reason: str) -> None:
        with pytest.raises(TraceError) as caught:
            load(b"PCPUTRC3" + framed(b"HEAD", data) + framed(b"ROWS", b""))
        assert str(caught.value).startswith(f"saved: the file is damaged ({reason}")

    def test_values_in_range_are_accepted(self) -> None:
        most = {"kernel_extent": 2**64 - 1, "cpus": 2**64 - 1, "lost": 0}
        data = edited(small("recorded"), b"TAIL", lambda tail: tail["stats"].update(most))
        stats = load(data).stats
        assert (stats.kernel_extent, stats.cpus, stats.lost) == (2**64 - 1, 2**64 - 1, 0)


class TestSave:
    """Writing is atomic."""

    def test_failed_save_leaves_the_old_file(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(OPS).save(saved)
        broken = Trace.from_ops([])
        broken._data.names = [object()]  # type: ignore[list-item]
        with pytest.raises(TypeError):
            broken.save(saved)
        assert len(Trace.load(saved)) == len(OPS)
        assert list(tmp_path.iterdir()) == [saved]

    def test_link_is_written_through(self, tmp_path: Path) -> None:
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_bytes(b"old")
        link.symlink_to(target)
        Trace.from_ops(OPS).save(link)
        assert link.is_symlink()
        assert len(Trace.load(target)) == 7

    def test_longest_name(self, tmp_path: Path) -> None:
        saved = tmp_path / ("n" * 250)
        Trace.from_ops(OPS).save(saved)
        assert len(Trace.load(saved)) == 7

    def test_memory_is_that_of_the_operations(self, tmp_path: Path) -> None:
        n = 300_000
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.ops = bytearray(trace._data.ops) * n
        trace._data.stats = TraceStats(events=n, allocs=n, reallocs=n - 1)
        trace.save(tmp_path / "saved")
        tracemalloc.start()
        assert len(Trace.load(tmp_path / "saved")) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 21 * n + 10e6


class TestCommands:
    """A damaged file is trouble for all commands; a strange one that is valid is not."""

    COMMANDS = (
        ["replay"],
        ["who"],
        ["sizes"],
        ["compare"],
        ["check"],
        ["stats"],
        ["bench", "--trace"],
    )

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # `check` writes there

    @pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
    @pytest.mark.parametrize("tag", [b"HEAD", b"ROWS", b"TAIL"])
    def test_refuse_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], tag: bytes
    ) -> None:
        data = edited(small("by hand"), tag, lambda _: ["no object"])
        (tmp_path / "saved").write_bytes(data)
        assert main([*command, "saved"]) == 2
        assert capsys.readouterr().err == (
            "percpu-ffi: saved: the file is damaged (dict is needed, not ['no object']); "
            "copy it again\n"
        )

    def test_report_refuses_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "saved").write_bytes(small("by hand")[:-1] + b"\0")
        assert main(["report", "saved", "-o", "page.html"]) == 2
        assert "the checksum of a block 'TAIL' is wrong" in capsys.readouterr().err
        assert not (tmp_path / "page.html").exists()

    def test_take_strange_values(self, tmp_path: Path) -> None:
        recorded = small("recorded")
        setup = {"cpus": 2, "page_size": 64, "memory": "none"}
        recorded = edited(recorded, b"HEAD", lambda head: put(head, "setup", setup))
        for what, tag, place, value in (
            ("no CPUs", b"HEAD", "setup.cpus", 0),
            ("a long set-up", b"HEAD", "setup.memory", "n" * 9999),
            ("a later version's set-up", b"HEAD", "setup.policy", "bitmap"),
            ("a call site", b"ROWS", "tables.kinds.1.2", "\n\0\ud7ff\x1b"),
            ("a gfp flag", b"ROWS", "tables.kinds.1.4", "\n\0\ud800"),
            ("a stack", b"ROWS", "tables.stacks.0", "\n\n\n\0"),
            ("a task", b"ROWS", "tables.names.0", "\x1b[31m\ud800"),
            ("sizes", b"ROWS", "tables.kinds.1", [-(2**63), 3, "", ["atomic"], "", 0]),
            ("times", b"ROWS", "tick", 10**15),
            ("figures", b"TAIL", "stats.cpus", 2**64 - 1),
            ("what was skipped", b"TAIL", "skipped.0", ["no kind", 2**64 - 1, 0, "\x1b\ud800"]),
        ):
            data = edited(recorded, tag, lambda head: put(head, place, value))  # noqa: B023
            (tmp_path / "saved").write_bytes(data)
            for command in self.COMMANDS[:-1]:
                assert main([*command, "saved"]) in (0, 1, 2), (what, command)

    def test_say_that_the_end_is_missing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = small("recorded")
        (tmp_path / "saved").write_bytes(data[: data.index(b"TAIL")])
        for command in "replay", "who":
            assert main([command, "--json", "saved"]) == 0
            assert capsys.readouterr().err == (
                "percpu-ffi: the file has no end, as if its recorder was killed: it holds 2 "
                "operations, and the figures are those of them\n"
            )

    def test_all_read_a_trace_without_operations(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of a recording in which allocations failed, and chunks came."""
        events = [RECORDED.events[0], RECORDED.events[3]._replace(before=0)]
        stats = TraceStats(events=2, kernel_failures=1, kernel_created=1)
        data = replace(
            RECORDED,
            ops=bytearray(),
            columns={},
            events=events,
            event_stacks={},
            stats=stats,
            slots=0,
        )
        Trace(data).save(tmp_path / "saved")
        for command in self.COMMANDS[:-1]:
            status = main([*command, "saved"])
            refused = command[0] == "compare"
            assert status == 2 * refused, command
            said = capsys.readouterr().err
            assert ("the trace has no operations" in said) == refused, command
        assert main(["report", "saved", "--png", "x.png"]) == 2
        assert "the trace has no operations" in capsys.readouterr().err
