# SPDX-License-Identifier: GPL-2.0-only
"""What makes figures uncertain, and what a text without a recording may be."""

from __future__ import annotations

import bz2
import gzip
import lzma
from array import array
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import Trace, TraceError, TraceStats
from percpu_ffi.trace.operations import NO_TIME, Column, Event, Operations, Skipped
from percpu_ffi.trace.remarks import add_remarks, nothing_found
from percpu_ffi.trace.text import read_text

HINT = "docs/traces.md explains how to record one"
MANY = " are reported: many were probably lost; if perf recorded them, "
MANY += "print them with `perf script --show-lost-events`"


def operations(n: int = 0, times: list[int] | None = None, **stats: int) -> Operations:
    columns: dict[str, Column] = {} if times is None else {"times": array("Q", times)}
    events = [Event(0, 5, 0, 0, 0, 0)]
    return Operations(
        ops=bytearray(16 * n), columns=columns, events=events, stats=TraceStats(**stats)
    )


class TestRemarks:
    def remarks(self, found: Operations) -> list[str]:
        add_remarks(found)
        return found.remarks

    def test_nothing_to_remark(self) -> None:
        assert self.remarks(operations(2, [0, 1], allocs=2)) == []
        assert self.remarks(operations()) == []

    @pytest.mark.parametrize(
        ("count", "what"), [(1, "1 operation"), (2, "2 operations"), (2000, "2,000 operations")]
    )
    def test_times_that_run_backwards(self, count: int, what: str) -> None:
        found = operations(10_000, [9, *[8] * 9_999], backwards=count)
        assert self.remarks(found) == [
            f"the time runs backwards at {what}: lifetimes that would be negative are unknown"
        ]
        assert found.columns["times"].tolist()[:2] == [9, 8]
        assert found.events[0].time == 5

    @pytest.mark.parametrize(
        ("first", "backwards", "differences"),
        [
            (0, 3, True),  # of 10 operations, more than a fifth
            (0, 2, False),
            (1, 3, False),  # differences begin with 0
        ],
    )
    def test_times_that_are_differences(
        self, first: int, backwards: int, differences: bool
    ) -> None:
        found = operations(10, [first] * 10, backwards=backwards)
        remarks = self.remarks(found)
        assert len(remarks) == 1
        assert remarks[0].startswith("the times are differences") == differences
        assert ("--deltatime" in remarks[0]) == (backwards == 3)  # perhaps its start is missing
        assert ("times" in found.columns) != differences
        assert found.events[0].time == (NO_TIME if differences else 5)

    def test_of_times_that_are_not_there(self) -> None:
        assert self.remarks(operations(2, backwards=2)) == []

    def test_words_about_differences(self) -> None:
        assert self.remarks(operations(2, [0, 0], backwards=1)) == [
            "the times are differences, as `perf script --deltatime` prints them, and are "
            "ignored: print the recording without this option"
        ]

    @pytest.mark.parametrize(
        ("allocs", "reallocs", "lost", "many"),
        [
            (10, 3, 0, False),  # a few may be
            (10, 4, 0, True),
            (1000, 20, 0, False),  # up to 2 %
            (1000, 21, 0, True),
            (1000, 21, 1, False),  # the recorder reports a loss
            (0, 0, 0, False),
        ],
    )
    def test_reallocations_without_lost_events(
        self, allocs: int, reallocs: int, lost: int, many: bool
    ) -> None:
        remarks = self.remarks(operations(allocs=allocs, reallocs=reallocs, lost=lost))
        expected = f"{reallocs} allocations of pointers still in use, but no lost events{MANY}"
        assert remarks == ([expected] if many else [])

    def test_two_remarks(self) -> None:
        found = operations(2, [9, 8], backwards=1, allocs=4, reallocs=4)
        assert [remark[:9] for remark in self.remarks(found)] == ["the time ", "4 allocat"]


class TestSaved:
    """Remarks are made again where a saved recording is loaded."""

    LINE = "x-1 [0] {}.0: percpu_alloc_percpu: size=8 align=8 base_addr=10 off=0 ptr=20\n"

    def test_recording(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("".join(map(self.LINE.format, (5, 4, 3, 2, 1))))
        trace = Trace.load(tmp_path / "text")
        assert len(trace.remarks) == 2
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved").remarks == trace.remarks

    def test_by_hand(self, tmp_path: Path) -> None:
        """There may be as many re-allocations as one likes."""
        trace = Trace.from_ops([("alloc", 1, 8, 8)] * 5, times=range(5, 0, -1))
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved").remarks == []


def skips(**lines: int) -> list[Skipped]:
    return [Skipped(kind, n, 1, "") for kind, n in lines.items()]


@pytest.mark.parametrize(
    ("lines", "skipped", "what"),
    [
        (0, {}, f"the file is empty: not a trace of the percpu allocator; {HINT}"),
        (1, {"text": 1}, f"no percpu event in 1 line: not a trace of the percpu allocator; {HINT}"),
        (1000, {"text": 1000}, "no percpu event in 1000 lines: not a trace of"),
        (3, {"binary": 1}, f"this is binary data, not the text of a trace; {HINT}"),
        (3, {"binary": 1, "text": 2}, "no percpu event in 3 lines: not a trace"),
        (
            9,
            {"text": 7, "other_event": 2},
            "no percpu event in 9 lines, but 2 events of other kinds: enable those of percpu, too",
        ),
        (9, {"other_event": 1}, "no percpu event in 9 lines, but 1 event of other kinds: "),
        (9, {"damaged": 1}, "no percpu event in 9 lines that can be read; 1 event cannot: not "),
        (
            9,
            {"damaged": 1, "masked": 2, "torn": 3, "cut": 4, "text": 5},
            "no percpu event in 9 lines that can be read; 10 events cannot, 2 of them because "
            "their pointers are masked, as kernels do early at boot: record later, or boot with ",
        ),
        (9, {"other_event": 1, "torn": 2}, "no percpu event in 9 lines that can be read; 2 events"),
    ],
)
def test_text_without_a_recording(lines: int, skipped: dict[str, int], what: str) -> None:
    assert nothing_found(lines, skips(**skipped), b"Dear all,").startswith(what)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"# tracer: nop\n#\n# entries-in-buffer/entries-written: 0/0   #P:2\n", "tracing was off"),
        (b"\nPercpu Memory Statistics\nAllocation Info:\n", "give it to `percpu-ffi stats`"),
        (
            b"5996 0 37152233059346 type: 645\n",
            "ftrace's option raw was on.*`echo 0 > options/raw`",
        ),
        (b"#\n0000176c 00000001 000021ca3d9e68f1 type: 645\r\n\r\n", "ftrace's option hex was on"),
        (b"\x6c\x17\0\0\x01\0\0\0\xf1\x68\x9e\x3d\xca\x21\0\0type: 645\n", "ftrace's option bin"),
        (b"Attaching 1 probe...\n\n@[mm_init]: 7\n", "the output of bpftrace"),
        (b"@: 7\n", "the output of bpftrace"),
        (b"@bytes[sh]: 7\n", "the output of bpftrace"),
        (b"Attaching 1 probe...\nsh 16 0x1000\n", "the output of bpftrace, not the events"),
        (b'{"type": "attached_probes", "data": {"probes": 1}}\n', "the output of bpftrace, not"),
        (b'{"type": "map", "data": {"@": {"sh": 7}}}\n', "the output of bpftrace, not"),
        (b"# tracer: nop\n#\n22578 0 36822077473937 type: 645\n", "option raw was on"),
        (b"00005832 00000000 0000217d4b820841 type: 645\n\n", "option hex was on"),
        (b"# tracer: nop\n#\n\x05\0\0\0x", "option bin was on"),
        (b"sh 7 1.5: call_site=f size=8 align=8 base_addr=0x1 off=8 ptr=0x2\n", "have no names"),
        (b"x\nbase_addr=0x1 off=8 ptr=0x2\n", "have no names"),
        (b"sh 7 1.5: percpu:percpu_alloc_percpu: \n", "have no fields"),
        (b"sh 7 1.5: percpu:percpu_free_percpu:\r\n", "have no fields"),
        (b"# To display the perf.data header info, please use --header\n", "give perf.data itself"),
        (b"From: a\nContent-transfer-encoding: base64\n\nICAg\n", "a mail in base64"),
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "compressed twice"),
        (gzip.compress(lzma.compress(b"x"), mtime=0), "compressed twice"),
        (gzip.compress(bz2.compress(b"x"), mtime=0), "compressed twice"),
        (lzma.compress(b"\x28\xb5\x2f\xfd"), "compressed twice"),
        (lzma.compress(b"x", format=lzma.FORMAT_ALONE), "run `unlzma`"),
        (b"t.txt" + bytes(252) + b"ustar", "a tar archive: unpack it"),
        (b"PK\x03\x04", "a zip archive: unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
        (b"\x04\x22\x4d\x18", "run `unlz4`"),
        (b"\x1f\x9d\x90", "run `uncompress`"),
        (b"\x89LZO\0", "run `lzop -d`"),
        (b"LZIP\x01", "run `lzip -d`"),
        (b"\x7fELF", "this is a program"),
    ],
)
def test_other_files(tmp_path: Path, head: bytes, what: str) -> None:
    (tmp_path / "file").write_bytes(head)
    with pytest.raises(TraceError, match=what) as caught:
        Trace.load(tmp_path / "file")
    assert caught.value.file == str(tmp_path / "file")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    "head",
    [
        b"# entries-in-buffer/entries-written: 0/350   #P:2\n",
        b"a PK\x03\x04",
        b"type: 645\n",
        b"a 5996 0 37152233059346 type: 645\n",
        b"5996 0 37152233059346 type: 645 of 7\n",
        b"me@host: hello\n",
        b" @x: 1\n",
        b"a \x7fELF",
        b"see type: 645\n",
        b"sh-7 1.5: percpu_free_percpu:\nbase_addr= off=8 ptr=0x2\n",
        b"percpu_free_percpu: base_addr=(null) off=8 ptr=0x2\n",
        b"t.txt" + bytes(253) + b"ustar",
    ],
)
def test_not_taken_for_others(head: bytes) -> None:
    assert nothing_found(1, skips(text=1), head).startswith("no percpu event in 1 line: ")


def test_a_recording_may_contain_other_text(tmp_path: Path) -> None:
    """Such as a dump of percpu_stats in front of it."""
    line: Any = TestSaved.LINE.format(1)
    (tmp_path / "text").write_text(f"Percpu Memory Statistics\n@x: 1\n{line}")
    assert len(Trace.load(tmp_path / "text")) == 1


def test_beginning_of_a_text_identifies_it() -> None:
    with pytest.raises(TraceError, match=r"^many: this is a program"):
        read_text([b"\x7fELF\n", b"more\n"], "many")
    with pytest.raises(TraceError, match=r"^many: no percpu event in 2 lines"):
        read_text([b"more\n", b"\x7fELF\n"], "many")
    with pytest.raises(TraceError, match=r"^many: no percpu event"):
        read_text([b"more\n" * (1 << 14) + b"Percpu Memory Statistics\n"], "many")
