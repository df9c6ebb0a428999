# SPDX-License-Identifier: GPL-2.0-only
"""A whole trace in one call."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from typing import Any

import pytest
from conftest import NETNS, RECORDINGS, SAMPLES, Kind, Make

from percpu_ffi import Allocator, ClosedError, InvalidRequest, Trace, TraceError
from percpu_ffi.replay import parts
from percpu_ffi.trace.operations import FAULT, FREE, OP


@pytest.mark.parametrize("name", RECORDINGS)
def test_samples_replay_without_failure(name: str) -> None:
    trace = Trace.load(SAMPLES / name)
    with Allocator() as a:
        result = a.replay(trace)
    assert result.failures == ()
    assert len(result.pointers) == len(trace)


def test_service_calls_of_netns_churn(kind: Kind) -> None:
    """The service calls of the 2009 file itself for this trace."""
    with kind(cpus=2, static_size=20480, first_chunk="4k") as a:
        a.replay(Trace.load(NETNS))
        assert a.counters() == {
            "kmalloc": 26,
            "kfree": 23,
            "vmalloc": 0,
            "vfree": 0,
            "get_vm_area": 3,
            "free_vm_area": 2,
            "alloc_page": 100,
            "free_page": 64,
            "map": 102,
            "unmap": 4,
            "flush_cache_vmap": 51,
            "flush_cache_vunmap": 0,
            "flush_tlb": 0,
            "warn": 0,
        }
        assert len(a.state().chunks) == 2


def test_replay_does_what_single_calls_do(tiny: Make) -> None:
    trace = Trace.load(NETNS)
    with tiny(page_size=4096, static_size=8192) as a, tiny(page_size=4096, static_size=8192) as b:
        result = a.replay(trace)
        pointers = []
        live: dict[object, int] = {}
        op: Any
        for op in trace:
            if op[0] == "alloc":
                if op[1] in live:
                    b.free(live[op[1]])
                live[op[1]] = b.alloc(op[2], op[3])
                pointers.append(live[op[1]])
            else:
                pointers.append(live.pop(op[1], 0))
                b.free(pointers[-1])
        assert result.failures == ()
        assert result.pointers.tolist() == pointers
        assert a.state() == b.state()
        assert a.counters() == b.counters()


def test_two_runs_give_the_same_pointers(kind: Kind) -> None:
    trace = Trace.load(NETNS)
    runs = []
    for memory in ("mapped", "none"):
        with kind(memory=memory) as a:
            runs.append(a.replay(trace).pointers)
    assert runs[0] == runs[1]
    assert min(runs[0]) > 0


def test_figures(tiny: Make) -> None:
    # 100 bytes, 200 more, 100 fewer, 50 more: the peak is 300
    trace = Trace.from_ops(
        [("alloc", "a", 100, 4), ("alloc", "b", 200, 4), ("free", "a"), ("alloc", "c", 50, 4)]
    )
    with tiny() as a:
        before = time.perf_counter_ns()
        result = a.replay(trace)
        assert result.elapsed_ns <= time.perf_counter_ns() - before
        assert result.peak_live_bytes == 300
        assert result.live_bytes == 250
        assert result.pages_at_peak == result.peak_populated_pages == 2 * 6
        assert result.elapsed_ns > 0


def test_figures_of_a_replay_that_allocates_nothing(tiny: Make) -> None:
    """They are those of the allocator then: two chunks of 16 pages on each of 2 CPUs."""
    with tiny() as a:
        a.alloc_many([960, 1024])
        for ops in ([], [("free", 1)]):
            result = a.replay(Trace.from_ops(ops))
            assert (result.live_bytes, result.peak_live_bytes) == (0, 0)
            pages = (result.pages_at_peak, result.peak_populated_pages, result.populated_pages)
            assert pages == (64, 64, 64)
            assert (result.peak_chunks, result.chunks) == (2, 2)
            assert (result.chunks_created, result.chunks_destroyed) == (0, 0)


def test_first_of_equal_peaks_counts(tiny: Make) -> None:
    # 64 live bytes in one page, later in two
    trace = Trace.from_ops(
        [("alloc", 1, 64, 64), ("free", 1), ("alloc", 2, 32, 64), ("alloc", 3, 32, 64)]
    )
    with tiny() as a:
        result = a.replay(trace)
        assert (result.peak_live_bytes, result.pages_at_peak) == (64, 2 * 2)
        assert (result.peak_populated_pages, result.populated_pages) == (2 * 3, 2 * 3)


def test_faults_of_a_trace_are_set_while_it_runs(tiny: Make) -> None:
    faults = [("inject", "alloc_page", {"nth": 3}), ("inject", "alloc_page", {})]
    allocs = [("alloc", i, 64, 64) for i in range(4)]
    with tiny(cpus=1) as a:
        result = a.replay(Trace.from_ops([faults[0], *allocs]))
        assert [failure.index for failure in result.failures] == [3]
        result = a.replay(Trace.from_ops([faults[0], *allocs[:2], faults[1], *allocs[2:]]))
        assert result.failures == ()


def test_chunks_are_counted_for_the_run_alone(tiny: Make) -> None:
    with tiny() as a:
        a.alloc_many([960, 1024])
        result = a.replay(Trace.from_ops([("alloc", i, 1024, 4) for i in range(3)]))
        assert (result.chunks_created, result.chunks_destroyed, result.chunks) == (3, 0, 5)
        # one empty chunk is kept, and used again
        ops = [("alloc", i, 1024, 4) for i in range(4)] + [("free", i) for i in range(4)]
        result = a.replay(Trace.from_ops(ops))
        assert (result.chunks_created, result.chunks_destroyed, result.chunks) == (4, 3, 6)
        result = a.replay(Trace.from_ops(ops))
        assert (result.chunks_created, result.chunks_destroyed, result.chunks) == (3, 3, 6)


def test_most_chunks_at_one_time(tiny: Make) -> None:
    """Of two empty chunks one is released: three at most, two at the end."""
    ops = [("alloc", "a", 1024, 4), ("alloc", "b", 1024, 4), ("free", "a"), ("free", "b")]
    with tiny() as a:
        result = a.replay(Trace.from_ops(ops))
        assert (result.peak_chunks, result.chunks) == (3, 2)


def test_chunk_of_an_allocation_that_failed_counts(tiny: Make) -> None:
    with tiny() as a:
        a.inject("alloc_page", 1)
        result = a.replay(Trace.from_ops([("alloc", "a", 1024, 4)]))
        assert len(result.failures) == 1
        assert (result.peak_chunks, result.chunks) == (2, 2)
        assert result.populated_pages == 2  # the static area's


def test_orphan_frees_are_skipped(tiny: Make) -> None:
    with tiny() as a:
        result = a.replay(Trace.from_ops([("free", 1), ("alloc", 2, 8, 8), ("free", 3)]))
        assert result.failures == ()
        assert result.pointers.tolist() == [0, 128, 0]


def test_key_that_is_allocated_again_frees_the_old_area(tiny: Make) -> None:
    with tiny() as a:
        result = a.replay(Trace.from_ops([("alloc", 1, 8, 8), ("alloc", 1, 16, 8)]))
        assert a.state().chunks[0].map == (-64, -16, 944)
        assert result.live_bytes == 16


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
def test_run_continues_after_a_failed_operation(tiny: Make) -> None:
    ops = [("alloc", 1, 8, 8), ("alloc", 2, 5000, 8), ("free", 2), ("alloc", 3, 8, 3), ("free", 1)]
    with tiny() as a:
        result = a.replay(Trace.from_ops(ops))
        assert [(failure.index, failure.op) for failure in result.failures] == [
            (1, ops[1]),
            (3, ops[3]),
        ]
        assert all(isinstance(failure.error, InvalidRequest) for failure in result.failures)
        assert "size 5000" in str(result.failures[0].error)
        assert "alignment 3" in str(result.failures[1].error)
        assert result.pointers.tolist() == [128, 0, 0, 0, 128]
        assert a.state().chunks[0].map == (-64, 960)


def test_service_that_fails_is_named(tiny: Make) -> None:
    with tiny() as a:
        a.inject("alloc_page", 1)
        (failure,) = a.replay(Trace.from_ops([("alloc", 1, 8, 8), ("free", 1)])).failures
        assert "alloc_page failed" in str(failure.error)


def test_area_with_a_view_is_not_freed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("percpu_ffi.replay.STEP", 100)
    ops = [("alloc", i, 4, 4) for i in range(100)] + [("free", 0), ("alloc", 0, 8, 8)]

    def look(_done: int) -> None:
        if not views:
            views.append(a.view(a.static_ptr + 8192, 0))

    views: list[memoryview] = []
    with kind() as a:
        result = a.replay(Trace.from_ops(ops), progress=look)
        first = result.pointers[0]
        assert [failure.index for failure in result.failures] == [100, 101]
        assert all(isinstance(failure.error, BufferError) for failure in result.failures)
        assert hex(first) in str(result.failures[0].error)
        views.pop().release()


def test_pointer_that_cannot_be_freed_is_named_after_a_fault_was_set(kind: Kind) -> None:
    """The number of a fault in its trace was taken for that of an area."""
    trace = Trace.from_ops([("alloc", "a", 8, 8), ("inject", "map", {"nth": 9}), ("free", "a")])
    with kind() as a:
        ptr = a.alloc(8)
        a.free(ptr)  # the trace gets it again
        views: list[memoryview] = []
        result = a.replay(trace, lambda _: views.append(a.view(ptr, 0)), stops=[1])
        (failure,) = result.failures
        assert f"area {ptr:#x} has live views" in str(failure.error)
        while views:
            views.pop().release()


def test_ctrl_c_interrupts_a_long_replay() -> None:
    # without a progress function; the whole replay takes a good part of a second
    few = Trace.from_ops([("alloc", 1, 64, 8), ("free", 1)])
    many = Trace(dataclasses.replace(few._data, ops=bytearray(few._data.ops) * 5_000_000))

    def press_ctrl_c(*_: object) -> None:
        if a.work().alloc.operations:  # it has begun
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press_ctrl_c)
    try:
        with Allocator(memory="none") as a:
            signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
            with pytest.raises(KeyboardInterrupt):
                a.replay(many)
            assert 0 < a.work().alloc.operations < 5_000_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_progress_adds_up() -> None:
    trace = Trace.from_ops([("alloc", i, 4, 4) for i in range(150_000)])
    steps: list[int] = []
    with Allocator(memory="none") as a:
        with_progress = a.replay(trace, progress=steps.append)
    with Allocator(memory="none") as a:
        without = a.replay(trace)
    assert sum(steps) == len(trace)
    assert len(steps) > 1
    assert with_progress.pointers == without.pointers
    assert with_progress.peak_live_bytes == without.peak_live_bytes == 600_000


def test_empty_trace(tiny: Make) -> None:
    with tiny() as a:
        assert a.replay(Trace.from_ops([])).pointers.tolist() == []


def test_closed_allocator(tiny: Make) -> None:
    a = tiny()
    a.close()
    with pytest.raises(ClosedError):
        a.replay(Trace.from_ops([("alloc", 1, 8, 8)]))


def test_operations_cannot_be_written_while_they_run() -> None:
    trace = Trace.from_ops([("alloc", 1, 8, 8)])
    assert trace.ops.readonly
    # if it is changed anyway, the checked copy is used
    trace = Trace.from_ops([("alloc", i % 100, 8, 8) for i in range(200_000)])
    good = bytes(trace.ops[16:32])
    bad = OP.pack(0, 0x7FFFFFFF, 0x7FFFFFFF)
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            trace._data.ops[160_016:160_032] = bad
            trace._data.ops[160_016:160_032] = good

    writer = threading.Thread(target=scribble)
    writer.start()
    for _ in range(50):
        with Allocator(memory="none") as a, contextlib.suppress(TraceError):
            a.replay(trace)
    stop.set()
    writer.join()


@pytest.mark.parametrize(
    "op",
    [
        (0, 0xFFFFFFFF, 0),
        (0, 5, FREE),
        (0, 0, 5),
        # one too high: the trace has one handle, one kind and no fault
        (0, 1, 0),
        (0, 1, FREE),
        (0, 0, 1),
        (0, 0, FAULT),
    ],
)
def test_damaged_operations_are_refused(
    tiny: Make, op: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace.from_ops([("alloc", 1, 8, 8), ("free", 1)])
    OP.pack_into(trace._data.ops, OP.size, *op)
    monkeypatch.setattr("percpu_ffi.replay.STEP", 1)
    with tiny() as a:
        before = a.state()
        for progress in (None, lambda _n: None):
            with pytest.raises(TraceError, match="damaged"):
                a.replay(trace, progress)
        assert a.state() == before


def test_parts_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end at the stops, in order, and after as many operations as a part may have."""
    assert list(parts(20, [16, 8, 1, 8, 0, 20, -1, 21])) == [(0, 1), (1, 8), (8, 16), (16, 20)]
    assert list(parts(0, [0, 1])) == [(0, 0)]
    monkeypatch.setattr("percpu_ffi.replay.STEP", 5)
    assert list(parts(16, [10])) == [(0, 5), (5, 10), (10, 15), (15, 16)]
    assert list(parts(15, [7])) == [(0, 5), (5, 7), (7, 12), (12, 15)]


def test_run_stops_at_the_given_operations(tiny: Make) -> None:
    trace = Trace.from_ops([*[("alloc", i, 512, 8) for i in range(4)], ("free", 3), ("free", 2)])
    seen = []
    with tiny() as a:
        at = 0

        def look(done: int) -> None:
            nonlocal at
            at += done
            seen.append((at, a.chunks, a.pages))

        a.replay(trace, look, stops=(4, 1, 1, 0, 99))
    # 1 + 1 areas in two units of 1 KiB: 8 pages of 64 bytes an area on each of 2 CPUs
    assert [at for at, _, _ in seen] == [1, 4, 6]
    assert [chunks for _, chunks, _ in seen] == [1, 3, 3]
    assert seen[0][2] == (1 + 8) * 2
