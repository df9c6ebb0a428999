# SPDX-License-Identifier: GPL-2.0-only
"""Traces: from the text of a kernel, from our own file format, and made by hand."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import re
import struct
import sys
import threading
import tracemalloc
import zlib
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from conftest import SAMPLES
from damage import damaged

from percpu_ffi import ConfigError, PercpuMemoryError, Trace, TraceError, TraceStats
from percpu_ffi._core import ffi, lib
from percpu_ffi.cli import main
from percpu_ffi.trace.file import read_file
from percpu_ffi.trace.source import Blocks
from percpu_ffi.trace.text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable

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


def load(tmp_path: Path, text: str | bytes) -> Trace:
    path = tmp_path / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Trace.load(path)


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
        assert list(trace) == [("alloc", 0x10, 4, 4)]
        assert trace.kinds[0].site == ""

    def test_events_of_the_recording_kernel_itself(self, tmp_path: Path) -> None:
        stats = load(tmp_path, OLD).stats
        assert stats.events == 4  # sched_switch is not counted
        assert (stats.kernel_created, stats.kernel_destroyed, stats.kernel_failures) == (1, 1, 1)

    def test_events_without_operations(self, tmp_path: Path) -> None:
        for line in OLD.splitlines()[0], OLD.splitlines()[2]:
            trace = load(tmp_path, line)
            assert (len(trace), trace.stats.events, trace.slots) == (0, 1, 0)
            assert (trace.times, trace.places, trace.kinds) == (None, None, [])

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


class Library:
    """The functions in C, some of which may be replaced."""

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)


class TestBadText:
    """Invalid text is refused, with file and line."""

    def refused(self, tmp_path: Path, text: str | bytes, match: str) -> TraceError:
        with pytest.raises(TraceError, match=match) as caught:
            load(tmp_path, text)
        assert caught.value.file == str(tmp_path / "trace")
        assert str(tmp_path / "trace") in str(caught.value)
        return caught.value

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
        text = FTRACE.replace(f" {missing}=", f" no_{missing}=")
        assert self.refused(tmp_path, text, f"no `{missing}=`").line == 6

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("size", "16k"),
            ("size", "-16"),
            ("size", ""),
            ("size", "9" * 19),
            ("align", "eight"),
            ("off", "0x10"),
            ("ptr", "000000002bfc887g"),
            ("ptr", "0x"),
            ("base_addr", "1" * 17),
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

    @pytest.mark.parametrize("before", [0, 1, 7])
    def test_line_is_counted_from_the_first_of_the_file(self, tmp_path: Path, before: int) -> None:
        text = "# comment\n" * before + FTRACE.replace("ptr=00000000653913a2", "ptr=x")
        assert self.refused(tmp_path, text, r"`ptr=` is not a number").line == before + 7

    def test_operations_before_the_bad_line(self) -> None:
        """For a recorder, which keeps what it has."""
        stopped = list[Exception]()
        text = FTRACE.replace("ptr=00000000deadbeef", "ptr=x").encode()
        found = read_text([text[:800], text[800:], b"and more\n"], "a name", stopped.append)
        assert [(str(error), type(error)) for error in stopped] == [
            (
                "a name:9: `ptr=` is not a number as kernels print it; the line is damaged",
                TraceError,
            )
        ]
        assert list(Trace(found)) == list(Trace(read_text([FTRACE.encode()], "")))[:3]
        assert (found.stats.frees, found.slots) == (1, 2)

    def test_no_memory_for_the_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class NoReader(Library):
            def pcpu_trace_reader_new(self) -> Any:
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

    @pytest.mark.parametrize("cut", [3, 20, 40, 60, 75])
    def test_cut_in_mid_line(self, tmp_path: Path, cut: int) -> None:
        # a cut inside the last pointer leaves a number, but a shorter one than before
        error = self.refused(tmp_path, FTRACE[: -cut - 1], "cut in mid-line")
        assert error.line == 9

    @pytest.mark.parametrize(
        ("head", "match"),
        [
            (b"PERFILE2" + bytes(100), "perf script"),
            (b"\x17\x08\x44tracing6\0", "trace-cmd report"),
            (b"\x7fELF\0\0\0", "binary"),
            (b"x" * 100_000, "binary"),
        ],
    )
    def test_binary(self, tmp_path: Path, head: bytes, match: str) -> None:
        self.refused(tmp_path, head, match)

    def test_binary_in_the_middle(self, tmp_path: Path) -> None:
        self.refused(tmp_path, FTRACE.encode() + b"\0\n", "binary")

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

    @pytest.mark.parametrize(
        ("data", "tool"),
        [(bz2.compress(FTRACE.encode()), "bunzip2"), (b"\x28\xb5\x2f\xfd", "unzstd")],
    )
    def test_other_compression(self, tmp_path: Path, data: bytes, tool: str) -> None:
        self.refused(tmp_path, data, tool)

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


class TestNotes:
    """When each operation happened, and where the recording kernel had the area."""

    def test_times_are_nanoseconds(self, tmp_path: Path) -> None:
        times = load(tmp_path, FTRACE).times
        assert times is not None
        assert times.tolist() == [522635392000, 522654654000, 522644762000, 522654700000]
        assert (times.format, times.readonly) == ("Q", True)

    def test_places_are_chunks_and_offsets(self, tmp_path: Path) -> None:
        text = FTRACE.replace("94005a45 off=512", "94005a46 off=512")
        places = load(tmp_path, text).places
        assert places is not None
        assert places.chunks.tolist() == [0, 0, 0, 1]
        assert places.offsets.tolist() == [26848, 27008, 26848, 512]
        assert (places.chunks.format, places.offsets.format) == ("I", "I")
        assert places.chunks.readonly
        assert places.offsets.readonly

    def test_there_is_one_for_each_operation(self) -> None:
        trace = Trace.load(SAMPLES / "fork_storm.perf.xz")
        assert trace.times is not None
        assert trace.places is not None
        assert len(trace.times) == len(trace.places.chunks) == len(trace.places.offsets)
        assert len(trace.times) == len(trace)
        assert trace.times.tolist() == sorted(trace.times)

    def test_clock_that_counts_ticks_gives_no_times(self, tmp_path: Path) -> None:
        trace = load(tmp_path, FTRACE.replace("522.", "522"))
        assert trace.times is None
        assert trace.places is not None

    def test_one_time_alone_is_enough(self, tmp_path: Path) -> None:
        times = load(tmp_path, FTRACE.replace("522.6353", "5226353")).times
        assert times is not None
        assert times[:2].tolist() == [2**64 - 1, 522654654000]

    def test_lines_without_a_place(self, tmp_path: Path) -> None:
        text = FTRACE.replace(" base_addr=", " old_base=").replace(" off=", " old_off=")
        trace = load(tmp_path, text)
        assert trace.places is None
        assert trace.times is not None

    def test_an_offset_without_a_chunk(self, tmp_path: Path) -> None:
        places = load(tmp_path, FTRACE.replace(" base_addr=", " old_base=")).places
        assert places is not None
        assert places.chunks.tolist() == [UNKNOWN] * 4
        assert places.offsets[0] == 26848

    def test_by_hand_there_are_none(self) -> None:
        trace = Trace.from_ops(TestOps.OPS)
        assert trace.times is None
        assert trace.places is None

    def test_times_do_not_make_traces_differ(self) -> None:
        early, late, none = (
            Trace.from_ops(TestOps.OPS, times=times) for times in (range(7), range(7, 14), None)
        )
        assert early == late == none
        assert early != Trace.from_ops(TestOps.OPS[:-1], times=range(6))

    def test_recording_equals_its_operations(self, tmp_path: Path) -> None:
        """Without the times, places and call sites that only the recording has."""
        recorded = load(tmp_path, FTRACE)
        assert recorded == Trace.from_ops(recorded)
        assert recorded.times is not None

    def test_by_hand_with_times(self) -> None:
        trace = Trace.from_ops(TestOps.OPS, times=range(7))
        assert trace.times is not None
        assert trace.times.tolist() == list(range(7))
        assert trace.places is None

    def test_times_of_one_trace_may_be_given_to_another(self) -> None:
        trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
        assert Trace.from_ops(trace, times=trace.times).times == trace.times

    @pytest.mark.parametrize("time", [-1, 2**64, 1.5, "now", None])
    def test_no_time(self, time: Any) -> None:
        with pytest.raises(TraceError, match="nanoseconds") as caught:
            Trace.from_ops(TestOps.OPS[:3], times=[1, time, 3])
        assert caught.value.line == 2
        assert repr(time) in str(caught.value)

    @pytest.mark.parametrize(
        ("times", "n", "message"),
        [
            (0, 7, "0 times for 7 operations"),
            (8, 7, "8 times for 7 operations"),
            (1, 2, "1 time for 2 operations"),
            (2, 1, "2 times for 1 operation;"),
            (1000, 1001, "1000 times for 1001 operations"),
        ],
    )
    def test_as_many_times_as_operations(self, times: int, n: int, message: str) -> None:
        with pytest.raises(TraceError, match=message):
            Trace.from_ops([("free", 1)] * n, times=range(times))

    def test_they_do_not_count_when_traces_are_compared(self) -> None:
        trace = Trace.from_ops(TestOps.OPS)
        assert Trace.from_ops(TestOps.OPS, times=range(7)) == trace
        assert Trace.from_ops(TestOps.OPS, times=range(1, 8)) == Trace.from_ops(
            TestOps.OPS, times=range(7)
        )


class TestOps:
    """Traces made by hand."""

    OPS = (
        ("alloc", 1, 64, 8),
        ("alloc", 2, 100, 4),
        ("free", 1),
        ("alloc", 3, 8, 8),
        ("alloc", 2, 16, 8),
        ("free", 99),
        ("free", 3),
    )

    def test_iterating_gives_the_same_tuples(self) -> None:
        assert tuple(Trace.from_ops(self.OPS)) == self.OPS

    def test_figures(self) -> None:
        trace = Trace.from_ops(self.OPS)
        stats = trace.stats
        assert (stats.events, stats.allocs, stats.frees) == (7, 4, 3)
        assert (stats.orphan_frees, stats.reallocs, trace.slots) == (1, 1, 2)

    def test_figures_with_faults(self) -> None:
        ops: list[Any] = [
            ("alloc", 1, 8, 8),
            ("inject", "map", {}),
            ("alloc", 1, 8, 8),
            ("free", 1),
        ]
        trace = Trace.from_ops([*ops, ("inject", "vmalloc", {}), *ops, ("alloc", 2, 8, 8)])
        assert trace.stats == TraceStats(events=10, allocs=5, frees=2, reallocs=2)

    @pytest.mark.parametrize(
        ("ops", "text"),
        [
            ([], "<Trace, 0 allocations, 0 frees, 0 at a time>"),
            ([("alloc", 1, 8, 8), ("free", 1)], "<Trace, 1 allocation, 1 free, 1 at a time>"),
            (
                [("alloc", 1, 8, 8), ("free", 1)] * 1000,
                "<Trace, 1000 allocations, 1000 frees, 1 at a time>",
            ),
        ],
        ids=["empty", "one", "many"],
    )
    def test_repr(self, ops: Any, text: str) -> None:
        assert repr(Trace.from_ops(ops)) == text

    def test_layout_is_that_of_c(self) -> None:
        """Key, handle and kind: see struct pcpu_op in percpu.h."""
        none = 0xFFFFFFFF
        ops: list[Any] = [*self.OPS, ("alloc", 2**64 - 1, 64, 8), ("inject", "map", {})]
        rows = [
            (1, 0, 0),
            (2, 1, 1),
            (1, 0, none),
            (3, 0, 2),  # takes the handle that is free again
            (2, 1, 3),  # keeps its handle
            (99, none, none),
            (3, 0, none),
            (2**64 - 1, 0, 0),
            (0, 0, none - 1),
        ]
        trace = Trace.from_ops(ops)
        assert trace.ops == b"".join(struct.pack("=QII", *row) for row in rows)
        assert trace.ops.readonly
        assert trace.kinds == [(64, 8, ""), (100, 4, ""), (8, 8, ""), (16, 8, "")]
        assert trace.slots == 2

    @pytest.mark.parametrize("key", ["b", -1, 2**64])
    def test_names_are_numbered_in_order(self, key: int | str) -> None:
        ops: Any = [("alloc", 7, 8, 8), ("alloc", key, 8, 8), ("free", 7), ("free", key)]
        numbers = Trace.from_ops(ops).ops.cast("Q")[::2].tolist()
        assert numbers == [0, 1, 0, 1]

    def test_handle_that_was_free_last_is_used_first(self) -> None:
        """As in C: an allocator that is replayed sees the same order."""
        allocs = [("alloc", key, 8, 8) for key in range(6)]
        trace = Trace.from_ops([*allocs[:3], ("free", 0), ("free", 2), *allocs[3:]])
        assert trace.ops.cast("I")[2::4].tolist() == [0, 1, 2, 0, 2, 2, 0, 3]
        assert trace.slots == 4

    @pytest.mark.parametrize("key", [0, 2**64 - 1, -1, 2**64, "name", "näme", ""])
    def test_keys(self, tmp_path: Path, key: int | str) -> None:
        ops = [("alloc", 7, 8, 8), ("alloc", key, 64, 8), ("free", key), ("free", 7)]
        trace = Trace.from_ops(ops)
        assert list(trace) == ops
        trace.save(tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == ops

    def test_sizes_that_no_allocator_serves(self) -> None:
        ops = [("alloc", 1, size, align) for size in (0, -1, 2**40, -(2**63)) for align in (0, 3)]
        assert list(Trace.from_ops(ops)) == ops

    @pytest.mark.parametrize("number", [-(2**63), 2**32 + 8, 2**63 - 1])
    def test_all_of_64_bits_count(self, tmp_path: Path, number: int) -> None:
        ops = [("alloc", 1, number, 8), ("alloc", 2, 8, number)]
        trace = Trace.from_ops(ops)
        assert list(trace) == ops
        trace.save(tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == ops

    def test_later_changes_of_arguments_and_results_have_no_effect(self) -> None:
        plan, quirks = {"nth": 3}, ["rollback"]
        setup: dict[str, Any] = {"cpus": 2, "quirks": quirks}
        ops: list[Any] = [("inject", "map", plan), ("alloc", 1, 8, 8)]
        trace = Trace.from_ops(ops, setup)
        plan["nth"] = setup["cpus"] = 4
        ops.pop()
        quirks.clear()
        for _ in range(2):  # also those of the first time
            assert list(trace) == [("inject", "map", {"nth": 3}), ("alloc", 1, 8, 8)]
            assert trace.faults == [("map", {"nth": 3})]
            assert trace.setup == {"cpus": 2, "quirks": ["rollback"]}
            trace[0][2].clear()  # type: ignore[union-attr, misc]
            trace.faults[0][1].clear()
            trace.setup["quirks"].clear()
            trace.setup.clear()

    def test_equality(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(self.OPS, {"cpus": 2})
        trace.save(tmp_path / "saved")
        assert trace == Trace.load(tmp_path / "saved")
        assert trace != Trace.from_ops(self.OPS, {"cpus": 3})
        assert trace != Trace.from_ops(self.OPS[:-1], {"cpus": 2})
        assert trace != Trace.from_ops([*self.OPS, ("free", 1)], {"cpus": 2})
        assert trace != Trace.from_ops([*self.OPS[:-1], ("free", 2)], {"cpus": 2})
        assert trace != list(trace)
        assert trace == mock.ANY  # which compares equal to anything

    def test_equal_operations_of_other_numbers(self) -> None:
        """The same sequence, with other names and kinds before it in the tables."""
        one, other = (Trace.from_ops(ops) for ops in ([("free", "a")], [("free", "a")] * 2))
        one._data.names = ["b", "a"]
        one._data.ops[:8] = struct.pack("=Q", 1)
        assert one == Trace.from_ops([("free", "a")])
        assert one != other

    def test_index_and_slice(self) -> None:
        trace = Trace.from_ops(self.OPS)
        assert trace[0] == self.OPS[0]
        assert trace[-1] == self.OPS[-1]
        assert trace[2:4] == list(self.OPS[2:4])
        with pytest.raises(IndexError):
            trace[7]
        wrong: Any = "seven"
        with pytest.raises(ConfigError, match=r"^index='seven': an integer or a slice is"):
            trace[wrong]

    @pytest.mark.parametrize("name", ["ops", "times"])
    def test_argument_of_a_wrong_type(self, name: str) -> None:
        arguments: Any = {"ops": self.OPS, name: 5}
        with pytest.raises(ConfigError, match=f"^{name}=5: an iterable of "):
            Trace.from_ops(**arguments)

    def test_empty(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([])
        assert (list(trace), len(trace)) == ([], 0)
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved") == trace

    @pytest.mark.parametrize(
        "setup",
        [
            {"units": 2},
            {"cpus": "many"},
            {"cpus": 2.5},
            {"cpus": None},
            {"memory": 1},
            {"quirks": 1},
            {"page_limit": [1]},
            {"cpus": "many", "nodes": 2},
            [("cpus",)],
            7,
            0,
        ],
        ids=str,
    )
    def test_set_up_of_wrong_names_or_types(self, setup: Any) -> None:
        with pytest.raises(ConfigError, match="arguments of an allocator") as caught:
            Trace.from_ops(self.OPS, setup)
        assert str(caught.value).startswith(f"set-up {setup}: ")
        assert str(caught.value).endswith(f"from {', '.join(self.SETTINGS)}")

    SETTINGS = MappingProxyType(
        {
            "cpus": 2,
            "first_chunk": "embed",
            "free_size": 0,
            "memory": "none",
            "nodes": 1,
            "page_limit": None,
            "page_size": 64,
            "quirks": ["rollback"],
            "static_size": 8,
            "unit_size": 65536,
        }
    )

    def test_all_settings(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(self.OPS, dict(self.SETTINGS))
        trace.save(tmp_path / "saved")
        assert Trace.load(tmp_path / "saved").setup == trace.setup == self.SETTINGS

    def test_values_become_those_of_json(self, tmp_path: Path) -> None:
        """Numbers as numpy's have `__index__` or `__float__`; quirks may be in any collection."""
        setup = {"cpus": Index(2), "quirks": ("b", "c", "a"), "page_size": None}
        plan = {"nth": Index(3), "probability": Fraction(1, 4)}
        trace = Trace.from_ops([("inject", "map", plan), ("alloc", 1, Index(8), Index(4))], setup)
        trace.save(tmp_path / "saved")
        again = Trace.load(tmp_path / "saved")
        assert again.setup == {"cpus": 2, "quirks": ["a", "b", "c"], "page_size": None}
        assert list(again) == [
            ("inject", "map", {"nth": 3, "probability": 0.25}),
            ("alloc", 1, 8, 4),
        ]

    def test_set_up_may_have_any_values_of_their_types(self) -> None:
        setup = {"cpus": 0, "first_chunk": "none", "quirks": ["walk"], "page_limit": None}
        assert Trace.from_ops(self.OPS, setup).setup == setup

    @pytest.mark.parametrize(
        ("site", "plan", "message"),
        [
            ("nowhere", {}, "2: site 'nowhere': the services that can fail are kmalloc, vmalloc, "),
            ("map", 5, "2: fault 5: a mapping of arguments of inject() is needed"),
            ("map", {"n": 3}, "2: fault {'n': 3}: a mapping of arguments of inject() is needed"),
            ("map", {"nth": -1}, "2: nth=-1: an integer from "),
        ],
    )
    def test_invalid_fault(self, site: str, plan: Any, message: str) -> None:
        with pytest.raises(TraceError) as caught:
            Trace.from_ops([("alloc", 1, 8, 8), ("inject", site, plan)])
        assert caught.value.line == 2
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        "op",
        [
            ("realloc", 1),
            ("alloc", 1, 8),
            ("alloc", 1.5, 8, 8),
            ("alloc", 1, 8.0, 8),
            ("alloc", 1, 2**63, 8),
            ("alloc", 1, 8, -(2**63) - 1),
            ("free",),
            ("free", None),
            ("free", 1, 2),
            7,
            "free",
        ],
        ids=str,
    )
    def test_invalid_operation(self, op: Any) -> None:
        with pytest.raises(TraceError) as caught:
            Trace.from_ops([("alloc", 1, 8, 8), op])
        assert caught.value.line == 2
        assert repr(op) in str(caught.value)


class Index:
    """An integer of another type."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what is before the length of an own file's head, the head, and what follows."""
    (length,) = struct.unpack_from("<I", data, 8)
    return data[:8], data[12 : 12 + length], data[12 + length :]


def edit_head(path: Path, edit: Callable[[str], str]) -> None:
    """Replace the text of the head of an own file."""
    before, head, after = split(path.read_bytes())
    text = edit(head.decode()).encode()
    path.write_bytes(before + struct.pack("<I", len(text)) + text + after)


class TestFile:
    """Our own trace file."""

    @pytest.mark.parametrize("name", ["netns_churn.ftrace.xz", "fork_storm.perf.xz"])
    def test_round_trip(self, tmp_path: Path, name: str) -> None:
        trace = Trace.load(SAMPLES / name)
        saved = tmp_path / "saved"
        trace.save(saved)
        again = Trace.load(saved)
        assert again == trace
        assert (again.kinds, again.slots, again.stats) == (trace.kinds, trace.slots, trace.stats)
        assert (again.times, again.places) == (trace.times, trace.places)
        assert again.times is not None
        assert again.places is not None
        assert saved.stat().st_size < (SAMPLES / name).stat().st_size

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
    def test_round_trip_of_any_times(self, tmp_path: Path, times: list[int]) -> None:
        Trace.from_ops(TestOps.OPS, times=times).save(tmp_path / "saved")
        again = Trace.load(tmp_path / "saved")
        assert again.times is not None
        assert again.times.tolist() == times
        assert again.places is None

    def test_of_the_format_before_times(self) -> None:
        # saved from FTRACE by the previous version, which had no times
        old = Path(__file__).parent / "format-1.trace"
        assert old.read_bytes().startswith(b"PCPUTRC1")
        trace = Trace.load(old)
        assert list(trace) == [
            ("alloc", 0x2BFC8874, 16, 8),
            ("alloc", 0x653913A2, 260, 4),
            ("free", 0x2BFC8874),
            ("free", 0xDEADBEEF),
        ]
        assert trace.kinds[0].site == "mm_init+0x2bf/0x4d0"
        assert trace.stats.kernel_extent == 27268
        assert trace.times is None
        assert trace.places is None

    @pytest.mark.parametrize(
        ("times", "magic"), [(None, b"PCPUTRC1"), (range(7), b"PCPUTRC2")], ids=["without", "with"]
    )
    def test_format_is_the_new_one_where_there_are_times(
        self, tmp_path: Path, times: range | None, magic: bytes
    ) -> None:
        Trace.from_ops(TestOps.OPS, times=times).save(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes()[:8] == magic

    def test_compressed_once_more(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(TestOps.OPS)
        trace.save(tmp_path / "saved")
        (tmp_path / "saved.xz").write_bytes(lzma.compress((tmp_path / "saved").read_bytes()))
        assert Trace.load(tmp_path / "saved.xz") == trace

    def test_failed_save_leaves_the_old_file(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS).save(saved)
        broken = Trace.from_ops([])
        broken._data.names = [object()]  # type: ignore[list-item]
        with pytest.raises(TypeError):
            broken.save(saved)
        assert len(Trace.load(saved)) == len(TestOps.OPS)
        assert list(tmp_path.iterdir()) == [saved]

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    @pytest.mark.parametrize("keep", [8, 10, 12, 40, 150, -1, -10])
    def test_cut(self, tmp_path: Path, keep: int, times: range | None) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=times).save(saved)
        saved.write_bytes(saved.read_bytes()[:keep])
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    def test_every_single_damaged_byte_is_found_or_harmless(
        self, tmp_path: Path, times: range | None
    ) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=times).save(saved)
        data = saved.read_bytes()
        for i in range(len(data)):
            saved.write_bytes(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])
            with contextlib.suppress(TraceError):
                trace = Trace.load(saved)
                assert len(list(trace)) == len(trace)
                assert trace.times is None or len(trace.times) == len(trace)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"ops":7', '"ops":7.0'),
            ('"ops":7', '"ops":null'),
            ('"ops":7', '"ops":-7'),
            ('"ops":7', '"ops":6'),
            ('"slots":2', '"slots":-1'),
            ('"slots":2', '"slots":1099511627776'),
            ('"slots":2', '"slots":"2"'),
            ('"kinds":[[64,8,""]', '"kinds":[[64,8]'),
            ('"kinds":[[64,8,""]', '"kinds":[[1.5,8,""]'),
            # `who` sorted call sites that were none, and `"ops"` became a length in C
            ('"kinds":[[64,8,""]', '"kinds":[[64,8,5]'),
            ('"kinds":[[64,8,""]', '"kinds":[[64,8,null]'),
            ('"ops":7', '"ops":9223372036854775808'),
            ('"kinds":[[64,8,""]', '"kinds":[[1180591620717411303424,8,""]'),
            ('"names":null', '"names":5'),
            ('"names":null', '"names":{}'),
            ('"names":null', '"names":{"1":"a"}'),
            ('"names":null', '"names":"abc"'),
            ('"names":null', '"names":["a","b","c"]'),  # there is a key 99
            ('"byteorder":"', '"byteorder":"very '),
            ('"slots":2', '"slots":1'),
            ('"slots":2', '"slots":true'),
            ('"frees":3', '"frees":2'),
            ('"frees":3', '"frees":3,"more":3'),
            ('"setup":{}', '"setup":[["cpus",2]]'),
            ('"setup":{}', '"setup":{"cpus":"two"}'),
            ('"setup":{}', '"setup":{"memory":null}'),
            ('"names":null', '"names":[null]'),
            ('"events":7', '"events":"7"'),
            ('"names":null', '"names":' + "[" * 50000 + "]" * 50000),
            ('"tick":1000', '"tick":0'),
            ('"tick":1000', '"tick":-1'),
            ('"tick":1000', '"tick":1.5'),
            ('"tick":1000', '"tick":18446744073709551616'),
            ('"tick":1000', '"tick":18446744073709551615'),  # 6 of them are no 64-bit time
        ],
    )
    def test_head_that_was_edited(self, tmp_path: Path, old: str, new: str) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=range(0, 7000, 1000)).save(saved)

        def edit(head: str) -> str:
            assert old in head
            return head.replace(old, new)

        edit_head(saved, edit)
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize(
        ("n", "left", "reason"),
        [
            (1, 2, "more than 1 operation"),
            (2, 3, "more than 2 operations"),
            (1, 0, "fewer than 1 operation"),
            (3, 2, "fewer than 3 operations"),
            (1000, 1001, "more than 1000 operations"),
            (1000, 999, "fewer than 1000 operations"),
        ],
    )
    def test_more_or_fewer_operations_than_the_head_has(
        self, tmp_path: Path, n: int, left: int, reason: str
    ) -> None:
        trace = Trace.from_ops([("alloc", key, 8, 8) for key in range(n)])
        trace._data.ops *= 3
        del trace._data.ops[16 * left :]
        trace.save(tmp_path / "saved")
        edit_head(tmp_path / "saved", lambda head: head.replace(f'"ops":{left}', f'"ops":{n}'))
        with pytest.raises(TraceError, match=rf"damaged \({reason}\); save it again$"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ('"ops":7', '"ops":1000', "1000 operations, but 4 allocations and 3 frees"),
            ('"ops":7', '"ops":1', "1 operation, but 4 allocations and 3 frees"),
            ('"allocs":4', '"allocs":1', "7 operations, but 1 allocation and 3 frees"),
            ('"frees":3', '"frees":1', "7 operations, but 4 allocations and 1 free"),
        ],
    )
    def test_figures_that_do_not_add_up(
        self, tmp_path: Path, old: str, new: str, reason: str
    ) -> None:
        Trace.from_ops(TestOps.OPS).save(tmp_path / "saved")
        edit_head(tmp_path / "saved", lambda head: head.replace(old, new))
        with pytest.raises(TraceError, match=rf"damaged \({reason}\); save it again$"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("{", "[1,{", "Expecting ',' delimiter"),
            ('"little"', '"middle"', "byte order 'middle'"),
            ('"slots":2', '"slots":-1', "-1 is out of range"),
            ('"slots":2', '"slots":8', "8 is out of range"),
            ('"slots":2', '"slots":"2"', "int is needed, not '2'"),
            ('"names":null', '"names":{}', "list is needed, not {}"),
            ('"names":null', '"names":[1.5]', "a name is neither an integer nor a string"),
            ('"setup":{}', '"setup":[]', "dict is needed, not []"),
            ('"faults":[]', '"faults":[{}]', "list is needed, not {}"),
            ('"faults":[]', '"faults":[["x",{}]]', "site 'x': the services that can fail are "),
            ('"faults":[]', '"faults":[["map",[]]]', "dict is needed, not []"),
            ('[16,8,""]', "[16,8,1]", "str is needed, not 1"),
            ('[16,8,""]', f'[{2**63},8,""]', f"{2**63} is out of range"),
            ('[16,8,""]', f'[16,{-(2**63) - 1},""]', f"{-(2**63) - 1} is out of range"),
            ('"lost":0', f'"lost":{2**64}', f"{2**64} is out of range"),
            ('"lost":0', '"lost":-1', "-1 is out of range"),
            ('"tick":1', f'"tick":{2**64}', f"{2**64} is out of range"),
            ('"tick":1', '"tick":0', "0 is out of range"),
        ],
    )
    def test_message_has_the_damaged_value(
        self, tmp_path: Path, old: str, new: str, reason: str
    ) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS).save(saved)
        edit_head(saved, lambda head: head.replace(sys.byteorder, "little"))
        if sys.byteorder == "big":
            old = old.replace("little", "big")
        edit_head(saved, lambda head: head.replace(old, new, 1))
        with pytest.raises(TraceError) as caught:
            Trace.load(saved)
        start = f"{saved}: the file is cut or damaged ({reason}"
        assert str(caught.value).startswith(start)
        assert str(caught.value).endswith("; save it again")
        assert (caught.value.file, caught.value.line) == (str(saved), None)

    def test_largest_values_of_a_head(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        ops = [("alloc", key, 2**63 - 1, -(2**63)) for key in ("a", 2**70, "b")]
        Trace.from_ops(ops, times=[2**64 - 2, 0, 2**64 - 2]).save(saved)
        most = 2**64 - 1
        edit_head(saved, lambda head: head.replace('"lost":0', f'"lost":{most}'))
        trace = Trace.load(saved)
        assert list(trace) == ops
        assert (trace.slots, trace.stats.lost) == (3, most)
        assert trace.times is not None
        assert trace.times.tolist() == [2**64 - 2, 0, 2**64 - 2]

    def test_head_without_what_early_versions_did_not_have(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=range(7)).save(saved)
        for part in '"faults":[],', '"setup":{},', ',"tick":1':
            edit_head(saved, lambda head, part=part: head.replace(part, ""))  # type: ignore[misc]
        assert b"tick" not in saved.read_bytes()
        trace = Trace.load(saved)
        assert (list(trace), trace.setup, trace.faults) == (list(TestOps.OPS), {}, [])
        assert trace.times is not None
        assert trace.times.tolist() == list(range(7))

    def test_figures_that_a_head_does_not_have(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops([], {"cpus": 2}).save(saved)
        edit_head(saved, lambda head: re.sub('"stats":{.*?}', '"stats":{}', head))
        assert b'"stats":{}' in saved.read_bytes()
        assert set(asdict(Trace.load(saved).stats).values()) == {0}

    def test_names_without_operations(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([])
        trace._data.names = []
        trace.save(tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == []

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    def test_every_damage_of_operations_or_checksum_is_found(
        self, tmp_path: Path, times: range | None
    ) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=times).save(saved)
        data = saved.read_bytes()
        start = data.index(b"}x") + 1  # of the stream of zlib
        for i in range(start, len(data)):
            saved.write_bytes(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])
            with pytest.raises(TraceError, match="cut or damaged"):
                Trace.load(saved)
        for rest in b"x", data[start:]:
            saved.write_bytes(data + rest)
            with pytest.raises(TraceError, match="something follows the operations"):
                Trace.load(saved)

    def test_a_small_file_may_expand_much(self, tmp_path: Path) -> None:
        """Faults and operations that are all the same, compressed twice."""
        saved = tmp_path / "saved"
        trace = Trace.from_ops([("inject", "map", {"nth": 1})] * 15000)
        trace.save(saved)
        plain = saved.read_bytes()
        saved.write_bytes(lzma.compress(plain))
        assert len(plain) > 120 * saved.stat().st_size
        assert Trace.load(saved) == trace

        n = 100_000
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.ops *= n
        trace._data.stats = TraceStats(events=n, allocs=n, reallocs=n - 1)
        trace.save(saved)
        saved.write_bytes(lzma.compress(saved.read_bytes()))
        assert len(trace.ops) > 1500 * saved.stat().st_size
        assert len(Trace.load(saved)) == n

    def test_a_small_file_that_expands_without_end(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS).save(saved)
        data = saved.read_bytes()
        zeroes = lzma.compress(bytes(1 << 20), preset=0) * 6
        saved.write_bytes(lzma.compress(data[: data.index(b"}x") + 1]) + zeroes)
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)
        saved.write_bytes(lzma.compress(data[:8] + struct.pack("<I", 5 << 20)) + zeroes)
        with pytest.raises(TraceError, match="expands to far more than a trace does"):
            Trace.load(saved)

    @pytest.mark.parametrize(("magic", "other"), [(b"1", b"2"), (b"2", b"1")])
    def test_wrong_format_number(self, tmp_path: Path, magic: bytes, other: bytes) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=range(7) if magic == b"2" else None).save(saved)
        saved.write_bytes(saved.read_bytes().replace(b"PCPUTRC" + magic, b"PCPUTRC" + other))
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize("format_", [1, 2])
    def test_small_file_that_expands_too_much(self, tmp_path: Path, format_: int) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS, times=range(7) if format_ == 2 else None).save(saved)
        data = saved.read_bytes()
        (length,) = struct.unpack_from("<I", data, 8)
        saved.write_bytes(data[: 12 + length] + zlib.compress(bytes(12_000_000)))
        tracemalloc.start()
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000

    def test_missing_kind(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.kinds.clear()
        with pytest.raises(TraceError, match="damaged"):
            list(trace)
        trace.save(tmp_path / "saved")
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (0, 3),  # the key of the first operation: there are 3 names
            (8, 2),  # its handle: there are 2
            (8, 0xFFFFFFFF),  # it frees nothing, but is an allocation
            (12, 2),  # its kind: there are 2
            (12, 0xFFFFFFFE),  # it sets a fault, but with a handle: there is 1
            (16 + 8, 1),  # the fault of the second operation
            (16, 3),  # the key of the second operation
            (32, 3),
            (32 + 12, 2),  # the kind of the third
        ],
    )
    def test_operation_that_names_what_is_not_there(
        self, tmp_path: Path, offset: int, value: int
    ) -> None:
        ops: list[Any] = [("alloc", "a", 8, 8), ("inject", "map", {}), ("alloc", "b", 4, 4)]
        trace = Trace.from_ops(ops)
        if (offset, value) == (12, 0xFFFFFFFE):
            struct.pack_into("=I", trace._data.ops, 8, 1)
        struct.pack_into("=I", trace._data.ops, offset, value)
        trace.save(tmp_path / "saved")
        with pytest.raises(TraceError, match=r"names a handle or a kind|without a name"):
            Trace.load(tmp_path / "saved")

    def test_memory_is_that_of_the_operations(self, tmp_path: Path) -> None:
        n = 300_000
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.ops *= n
        trace._data.stats = TraceStats(events=n, allocs=n, reallocs=n - 1)
        trace.save(tmp_path / "saved")
        tracemalloc.start()
        assert len(Trace.load(tmp_path / "saved")) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 19 * n + 3e6

    def test_link_is_written_through(self, tmp_path: Path) -> None:
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_bytes(b"old")
        link.symlink_to(target)
        Trace.from_ops(TestOps.OPS).save(link)
        assert link.is_symlink()
        assert len(Trace.load(target)) == 7

    def test_longest_name(self, tmp_path: Path) -> None:
        saved = tmp_path / ("n" * 250)
        Trace.from_ops(TestOps.OPS).save(saved)
        assert len(Trace.load(saved)) == 7

    def test_file_of_another_byte_order(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        Trace.from_ops(TestOps.OPS).save(saved)
        other = "big" if sys.byteorder == "little" else "little"
        edit_head(saved, lambda head: head.replace(f'"{sys.byteorder}"', f'"{other}"'))
        with pytest.raises(TraceError, match=f"^{saved}: the file was saved on a {other}-endian"):
            Trace.load(saved)

    def test_head_with_a_wrong_length(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        saved.write_bytes(b"PCPUTRC1" + struct.pack("<I", 0xFFFFFFFF) + b"{}")
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)


class TestDamagedHead:
    """The head of our own file, with each value at any depth replaced, removed, or doubled.

    Where ``"names"`` was an object, commands failed with a KeyError and the status of `diff`.
    """

    OPS = (
        ("alloc", "a", 64, 8),
        ("inject", "map", {"nth": 3}),
        ("alloc", "b", 8, 4),
        ("free", "a"),
        ("free", "?"),
    )
    SETUP = MappingProxyType({"cpus": 2, "page_size": 64, "memory": "none", "quirks": ["rollback"]})
    COMMANDS = (["replay"], ["who"], ["sizes"], ["compare"], ["check"], ["bench", "--trace"])

    @pytest.fixture
    def saved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)  # `check` writes there
        saved = tmp_path / "saved"
        times = range(0, 5000, 1000)
        Trace.from_ops(self.OPS, setup=dict(self.SETUP), times=times).save(saved)
        return saved

    def test_every_damage_is_found_or_harmless(self, saved: Path) -> None:
        before, head, after = split(saved.read_bytes())
        found = harmless = 0
        for what, text in damaged(json.loads(head)):
            data = before + struct.pack("<I", len(text.encode())) + text.encode() + after
            try:
                trace = Trace(read_file(Blocks("saved", io.BytesIO(data), data[:6], None)))
            except TraceError as error:
                found += 1
                message = str(error)
                assert re.match(
                    "saved: the file (is cut or damaged .[^:]|was saved on)", message
                ), what
                assert message.isprintable(), what
                assert len(message) < 600, what
            else:
                harmless += 1
                assert len(list(trace)) == len(self.OPS), what
                assert trace.times is not None, what
                assert trace.times.tolist() == sorted(trace.times), what
        assert found > 4 * harmless > 100

    @pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
    def test_all_commands_refuse_it(
        self, saved: Path, capsys: pytest.CaptureFixture[str], command: list[str]
    ) -> None:
        edit_head(saved, lambda head: re.sub(r'"names":\[.*?\]', '"names":{}', head))
        assert main([*command, str(saved)]) == 2
        message = capsys.readouterr().err
        assert "the file is cut or damaged" in message
        assert message.count("\n") == 1

    def test_no_command_trips_over_a_harmless_one(self, saved: Path) -> None:
        for what, edit in {
            "no CPUs": lambda head: head.replace('"cpus":2', '"cpus":0'),
            "a long set-up": lambda head: head.replace('"none"', '"' + "n" * 9999 + '"'),
            "a call site": lambda head: head.replace('4,""', '4,"\\n\\u0000\\ud7ff"'),
            "sizes": lambda head: head.replace("[64,8", "[-9223372036854775808,3"),
            "figures": lambda head: head.replace('"cpus":0', '"cpus":18446744073709551615'),
        }.items():
            before = saved.read_bytes()
            edit_head(saved, edit)
            assert saved.read_bytes() != before, what
            for command in self.COMMANDS[:-1]:
                assert main([*command, str(saved)]) in (0, 1, 2), what
            saved.write_bytes(before)
