# SPDX-License-Identifier: GPL-2.0-only
"""Reader for the text of a kernel: ftrace, perf script, old and new fields."""

from __future__ import annotations

import gc
import gzip
import lzma
import os
import pickle
import threading
import tracemalloc
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES

from percpu_ffi import PercpuMemoryError, Trace, TraceError
from percpu_ffi._core import ffi, lib
from percpu_ffi.trace import Skipped
from percpu_ffi.trace.operations import Batch, Operations
from percpu_ffi.trace.text import TextReader, read_text

if TYPE_CHECKING:
    pass


if TYPE_CHECKING:
    pass

FTRACE = """\
# tracer: nop
#
# entries-in-buffer/entries-written: 4/4   #P:2
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
            bash-2090    [000] .....   522.635392: percpu_alloc_percpu: call_site=mm_init+0x2bf/0x4d0 reserved=0 is_atomic=0 size=16 align=8 base_addr=0000000094005a45 off=26848 ptr=000000002bfc8874 bytes_alloc=64 gfp_flags=GFP_KERNEL
              ip-2094    [001] .....   522.654654: percpu_alloc_percpu: call_site=nf_ct_init+0x1f/0x40 [nf_conntrack] reserved=0 is_atomic=0 size=260 align=4 base_addr=0000000094005a45 off=27008 ptr=00000000653913a2 bytes_alloc=1040 gfp_flags=GFP_KERNEL|__GFP_ZERO
             seq-2093    [001] d..1.   522.644762: percpu_free_percpu: base_addr=0000000094005a45 off=26848 ptr=000000002bfc8874
              ip-2094    [001] .....   522.654700: percpu_free_percpu: base_addr=0000000094005a45 off=512 ptr=00000000deadbeef
"""

PERF = """\
       perf-exec 12683 [000]  1963.707902:      percpu:percpu_alloc_percpu: call_site=mm_init+0x2bf reserved=0 is_atomic=0 size=16 align=8 base_addr=0xffffe8ffffc00000 off=33368 ptr=0x60795bb01258 bytes_alloc=64 gfp_flags=GFP_KERNEL
 my cpu [9] task 12683 [003]  1963.708252:       percpu:percpu_free_percpu: base_addr=0xffffe8ffffc00000 off=33368 ptr=0x60795bb01258
"""

# before Linux 5.19: no call_site, bytes_alloc, gfp_flags
OLD = """\
     kworker/0:1-29    [000] ....     5.000000: percpu_create_chunk: base_addr=00000000aaaaaaaa
     kworker/0:1-29    [000] ....     5.000001: percpu_alloc_percpu: reserved=0 is_atomic=1 size=4 align=4 base_addr=00000000aaaaaaaa off=4096 ptr=0000000000000010
     kworker/0:1-29    [000] ....     5.000002: percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=8 align=8
     kworker/0:1-29    [000] ....     5.000003: sched_switch: prev_comm=percpu_free_percpu
     kworker/0:1-29    [000] ....     5.000004: percpu_destroy_chunk: base_addr=00000000aaaaaaaa
"""


def load(tmp_path: Path, text: str | bytes, *, strict: bool = False) -> Trace:
    path = tmp_path / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Trace.load(path, strict=strict)


class TestText:
    """Both texts that kernels print, old and new."""

    def test_ftrace(self, tmp_path: Path) -> None:
        trace = load(tmp_path, FTRACE)
        assert list(trace) == [
            ("alloc", 0x2BFC8874, 16, 8),
            ("alloc", 0x653913A2, 260, 4),
            ("free", 0x2BFC8874),
            ("free", 0xDEADBEEF),
        ]
        assert trace.stats.events == 4
        assert trace.stats.orphan_frees == 1
        assert trace.stats.cpus == 2

    def test_call_sites_are_kept(self, tmp_path: Path) -> None:
        assert [kind.site for kind in load(tmp_path, FTRACE).kinds] == [
            "mm_init+0x2bf/0x4d0",
            "nf_ct_init+0x1f/0x40 [nf_conntrack]",
        ]

    def test_perf_script(self, tmp_path: Path) -> None:
        trace = load(tmp_path, PERF)
        assert list(trace) == [("alloc", 0x60795BB01258, 16, 8), ("free", 0x60795BB01258)]
        assert trace.stats.cpus == 4

    def test_fields_of_old_kernels(self, tmp_path: Path) -> None:
        trace = load(tmp_path, OLD)
        assert list(trace) == [("alloc", 0x10, 4, 4, ("atomic",))]
        assert trace.kinds[0].site == ""

    def test_events_of_the_recording_kernel_itself(self, tmp_path: Path) -> None:
        stats = load(tmp_path, OLD).stats
        assert stats.events == 4  # sched_switch is not counted
        assert (stats.kernel_created, stats.kernel_destroyed, stats.kernel_failures) == (1, 1, 1)

    def test_events_without_operations(self, tmp_path: Path) -> None:
        for line in OLD.splitlines()[0], OLD.splitlines()[2]:
            trace = load(tmp_path, line)
            assert (len(trace), trace.stats.events, trace.slots) == (0, 1, 0)
            assert (trace.times, trace.places) == (None, None)

    def test_memory_of_the_recording_kernel(self, tmp_path: Path) -> None:
        # offsets 26848 to 26864 and 27008 to 27268: one page of 4 KiB; the second ends it
        stats = load(tmp_path, FTRACE).stats
        assert (stats.kernel_chunks, stats.kernel_pages, stats.kernel_extent) == (1, 1, 27268)

    def test_fields_are_read_by_name_in_any_order(self, tmp_path: Path) -> None:
        text = "x-1 [000] 1.0: percpu_alloc_percpu: ptr=0x10 new_field=7 align=8 xsize=9 size=16\n"
        assert list(load(tmp_path, text)) == [("alloc", 0x10, 16, 8)]

    def test_windows_line_ends(self, tmp_path: Path) -> None:
        assert load(tmp_path, FTRACE.replace("\n", "\r\n")) == load(tmp_path, FTRACE)

    def test_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(FTRACE,))
        writer.start()
        assert len(Trace.load(pipe, progress=lambda n: None)) == 4
        writer.join()

    def test_places_that_no_kernel_has_cost_nothing(self, tmp_path: Path) -> None:
        line = (
            "x-1 [0] 1.0: percpu_alloc_percpu: size=16 align=8 base_addr={0:x} off={1} ptr={0:x}\n"
        )
        trace = load(tmp_path, "".join(line.format(i, 2**32 - 64) for i in range(2000)))
        assert len(trace) == 2000
        assert trace.stats.kernel_pages == 0

    def test_last_line_without_an_end(self, tmp_path: Path) -> None:
        assert load(tmp_path, FTRACE.rstrip("\n")) == load(tmp_path, FTRACE)

    @pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bytes])
    def test_compressed(self, tmp_path: Path, compress: Any) -> None:
        assert load(tmp_path, compress(FTRACE.encode())) == load(tmp_path, FTRACE)

    @pytest.mark.parametrize(
        ("compress", "padding"),
        [(gzip.compress, 0), (gzip.compress, 8), (lzma.compress, 0), (lzma.compress, 8)],
    )
    def test_several_streams_are_one_text(
        self, tmp_path: Path, compress: Any, padding: int
    ) -> None:
        # what followed an xz stream and its padding was ignored
        half = FTRACE.index("            seq-")
        streams = (compress(part.encode()) for part in (FTRACE[:half], "", FTRACE[half:]))
        data = bytes(padding).join(streams) + bytes(padding)
        assert load(tmp_path, data) == load(tmp_path, FTRACE)

    @pytest.mark.parametrize(
        ("line", "lost"),
        [
            ("CPU:1 [LOST 1234 EVENTS]", 1234),
            ("CPU:0 [LOST EVENTS]", 1),
            ("CPU:0 [235 EVENTS DROPPED]", 235),
            ("CPU:0 [EVENTS DROPPED]", 1),
            ("    bash 12 [000] 1963.7: PERF_RECORD_LOST lost 17", 17),
            ("    bash 12 [000] 1963.7: PERF_RECORD_LOST_SAMPLES lost 3", 3),
            ("# entries-in-buffer/entries-written: 100/350   #P:2", 250),
        ],
    )
    def test_lost_events_are_reported(self, tmp_path: Path, line: str, lost: int) -> None:
        assert load(tmp_path, f"{line}\n{FTRACE}").stats.lost == lost

    def test_pointer_allocated_again_keeps_its_handle(self, tmp_path: Path) -> None:
        alloc = "x-1 [000] 1.0: percpu_alloc_percpu: size=16 align=8 ptr=0x10\n"
        trace = load(tmp_path, alloc * 2)
        assert trace.stats.reallocs == 1
        assert trace.slots == 1

    def test_handles_are_reused(self) -> None:
        trace = Trace.load(SAMPLES / "fork_storm.perf.xz")
        assert trace.stats.allocs == 6702
        assert trace.slots == 268

    def test_call_site_that_is_no_utf_8(self, tmp_path: Path) -> None:
        text = FTRACE.encode().replace(b"mm_init", b"mm\xff_init")
        assert load(tmp_path, text).kinds[0].site == "mm\N{REPLACEMENT CHARACTER}_init+0x2bf/0x4d0"

    def test_sizes_of_more_than_32_bits(self, tmp_path: Path) -> None:
        trace = load(
            tmp_path, FTRACE.replace("size=16 align=8", f"size={2**32 + 16} align={2**40}")
        )
        assert trace[0] == ("alloc", 0x2BFC8874, 2**32 + 16, 2**40)

    def test_other_text_before_the_first_event(self, tmp_path: Path) -> None:
        text = "Dear all,\n\nplease find enclosed\n" + FTRACE
        assert load(tmp_path, text) == load(tmp_path, FTRACE)

    def test_blocks_may_end_anywhere(self) -> None:
        """The operations of each block count once, and none is lost between two."""
        whole = read_text([FTRACE.encode()], "a name")
        for i in range(len(FTRACE) + 1):
            parts = read_text([FTRACE[:i].encode(), FTRACE[i:].encode()], "a name")
            assert parts == whole, i
        every = read_text((bytes([byte]) for byte in FTRACE.encode()), "a name")
        assert every == whole

    def test_progress_is_the_bytes_of_the_file(self, tmp_path: Path) -> None:
        data, seen = lzma.compress(FTRACE.encode()), list[int]()
        (tmp_path / "trace").write_bytes(data)
        Trace.load(tmp_path / "trace", seen.append)
        assert sum(seen) == len(data)


class TestWithoutACopy:
    """Columns of a text are views of the memory that the reader in C has filled."""

    @pytest.fixture
    def found(self) -> Operations:
        return read_text([FTRACE.encode()], "a name")

    def test_memory_stays_as_long_as_a_view(self, found: Operations) -> None:
        views = {name: memoryview(column) for name, column in found.columns.items()}
        ops, expected = memoryview(found.ops), pickle.loads(pickle.dumps(found))
        del found
        gc.collect()
        assert all(read_text([FTRACE.encode() * n], "another") for n in range(1, 20))
        assert ops == expected.ops
        assert views == expected.columns

    def test_it_can_be_sent_to_another_process(self, found: Operations) -> None:
        again = pickle.loads(pickle.dumps(found))
        assert again == found
        assert again.columns == found.columns
        assert {type(column) for column in again.columns.values()} == {array}

    def test_more_may_follow(self, found: Operations) -> None:
        n, other = len(found), read_text([FTRACE.encode()], "a name")
        found.extend(Batch(ops=other.ops, columns=other.columns))
        assert found.ops.hex() == other.ops.hex() * 2
        for name, column in other.columns.items():
            assert found.columns[name].tolist() == column.tolist() * 2
        assert len(found) == 2 * n

    def test_then_the_reader_has_nothing_left(self) -> None:
        reader = TextReader()
        assert reader.feed(FTRACE.encode())
        assert len(reader.rest()) > 0
        assert not reader.feed(FTRACE.encode())
        assert len(reader.rest()) == 0


class Library:
    """The functions in C, some of which may be replaced."""

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)


class TestBadText:
    """Invalid text: a strict reader refuses it, with file and line; others skip the line."""

    def refused(self, tmp_path: Path, text: str | bytes, match: str) -> TraceError:
        with pytest.raises(TraceError, match=match) as caught:
            load(tmp_path, text, strict=True)
        assert caught.value.file == str(tmp_path / "trace")
        assert str(tmp_path / "trace") in str(caught.value)
        return caught.value

    def skipped(self, tmp_path: Path, text: str | bytes) -> list[Skipped]:
        """Read a text of which a line is skipped; the other operations are there."""
        trace = load(tmp_path, text)
        assert 0 < trace.stats.events < 4
        assert len(trace) == trace.stats.events
        return trace.skipped

    def test_empty(self, tmp_path: Path) -> None:
        message = "the file is empty: not a trace of the percpu allocator; docs/traces.md explains"
        assert self.refused(tmp_path, "", message).line is None

    @pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
    def test_empty_when_decompressed(self, tmp_path: Path, compress: Any) -> None:
        self.refused(tmp_path, compress(b""), "the file is empty")

    def test_no_trace(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "Dear all,\n\nplease find enclosed\n", "no percpu event in 3 lines")
        self.refused(tmp_path, "Dear all,", "no percpu event in 1 line:")
        self.refused(tmp_path, "\n" * 1000, "no percpu event in 1000 lines:")

    @pytest.mark.parametrize("missing", ["size", "align", "ptr"])
    def test_missing_field(self, tmp_path: Path, missing: str) -> None:
        text = FTRACE.replace(f" {missing}=", f" no_{missing}=", 1)
        assert self.refused(tmp_path, text, f"no `{missing}=`").line == 6
        ((kind, lines, first, start),) = self.skipped(tmp_path, text)
        assert (kind, lines, first) == ("damaged", 1, 6)
        assert start.startswith("bash-2090    [000]")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("size", "16k"),
            ("size", "-16"),
            ("size", ""),
            ("size", "9" * 19),
            ("align", "eight"),
            ("off", "x10"),
            ("ptr", "000000002bfc887g"),
            ("ptr", "0x"),
            ("base_addr", "f" * 17),
        ],
    )
    def test_damaged_number(self, tmp_path: Path, field: str, value: str) -> None:
        old = {
            "size": "16",
            "align": "8",
            "off": "26848",
            "ptr": "000000002bfc8874",
            "base_addr": "0000000094005a45",
        }[field]
        text = FTRACE.replace(f" {field}={old}", f" {field}={value}", 1)
        assert self.refused(tmp_path, text, f"`{field}=` is not a number").line == 6
        assert [row[:3] for row in self.skipped(tmp_path, text)] == [("damaged", 1, 6)]

    @pytest.mark.parametrize("before", [0, 1, 7])
    def test_line_is_counted_from_the_first_of_the_file(self, tmp_path: Path, before: int) -> None:
        text = "# comment\n" * before + FTRACE.replace("ptr=00000000653913a2", "ptr=x")
        assert self.refused(tmp_path, text, r"`ptr=` is not a number").line == before + 7
        assert [row.first for row in self.skipped(tmp_path, text)] == [before + 7]

    def test_operations_before_the_bad_line(self) -> None:
        """For a recorder, which keeps what it has."""
        reader = TextReader(strict=True)
        text = FTRACE.replace("ptr=00000000deadbeef", "ptr=x").encode()
        parts = text[:800], text[800:], b"more\n"  # each line waits for the next one
        assert [reader.feed(part) for part in parts] == [True, True, False]
        assert not reader.finish()
        assert str(reader.error("a name")) == (
            "a name:9: `ptr=` is not a number as kernels print it; the line is damaged"
        )
        batch = reader.take()
        assert (len(batch), batch.stats.frees, batch.slots) == (3, 1, 2)

    def test_lines_so_far(self) -> None:
        reader = TextReader()
        assert reader.lines == 0
        reader.feed(b"one\ntwo\nthr")
        assert reader.lines == 2
        reader.finish()
        assert reader.lines == 3

    def test_no_memory_for_the_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class NoReader(Library):
            def pcpu_trace_reader_new(self, flags: int) -> Any:
                return ffi.NULL

        class NoLine(Library):
            def pcpu_trace_finish(self, reader: Any) -> int:
                return -int(lib.PCPU_T_HOST)

            def pcpu_trace_stop(self, reader: Any, stop: Any) -> None:
                stop.error = lib.PCPU_T_HOST

        for poor in NoReader(), NoLine():
            monkeypatch.setattr("percpu_ffi.trace.text.lib", poor)
            with pytest.raises(PercpuMemoryError, match="the host gave no memory"):
                read_text([FTRACE.encode()], "a name")

    @pytest.mark.parametrize("mask", ["(null)", "(____ptrval____)"])
    def test_masked_pointer(self, tmp_path: Path, mask: str) -> None:
        text = FTRACE.replace("000000002bfc8874", mask)
        self.refused(tmp_path, text, "cannot be distinguished")
        assert [row[:3] for row in self.skipped(tmp_path, text)] == [("masked", 2, 6)]

    @pytest.mark.parametrize("cut", [3, 20, 40, 60, 75])
    def test_cut_in_mid_line(self, tmp_path: Path, cut: int) -> None:
        # a cut inside the last pointer leaves a number, but a shorter one than before
        text = FTRACE[: -cut - 1]
        assert self.refused(tmp_path, text, "cut in mid-line").line == 9
        assert [row[:3] for row in self.skipped(tmp_path, text)] == [("cut", 1, 9)]

    @pytest.mark.parametrize(
        ("head", "match"),
        [
            (b"\x01\0\0\0", "binary"),
            (b"x" * 100_000, "binary"),
        ],
    )
    def test_binary(self, tmp_path: Path, head: bytes, match: str) -> None:
        self.refused(tmp_path, head, match)
        with pytest.raises(TraceError, match=match):
            load(tmp_path, head)

    def test_binary_in_the_middle(self, tmp_path: Path) -> None:
        lines = FTRACE.encode().splitlines(keepends=True)
        text = b"".join([*lines[:7], b"\0\n", *lines[8:]])
        self.refused(tmp_path, text, "binary")
        assert [row[:3] for row in self.skipped(tmp_path, text)] == [("binary", 1, 8)]

    @pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
    def test_compressed_and_cut(self, tmp_path: Path, compress: Any) -> None:
        self.refused(tmp_path, compress(FTRACE.encode())[:-20], "compressed file is cut or damaged")

    @pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
    @pytest.mark.parametrize("garbage", [b"x", b"\0\0\0\0more", FTRACE.encode()])
    def test_garbage_after_compressed_text(
        self, tmp_path: Path, compress: Any, garbage: bytes
    ) -> None:
        data = compress(FTRACE.encode()) + garbage
        self.refused(tmp_path, data, "compressed file is cut or damaged")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Trace.load(tmp_path / "nowhere")


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    text = lzma.decompress((SAMPLES / "fork_storm.perf.xz").read_bytes()) * 8
    path = tmp_path / "trace"
    path.write_bytes(text)
    tracemalloc.start()
    trace = Trace.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) > 20e6
    assert len(trace.ops) == 16 * len(trace)
    assert peak < 36 * len(trace) + 4e6


UNKNOWN = 0xFFFFFFFF  # a chunk that the recording does not contain
