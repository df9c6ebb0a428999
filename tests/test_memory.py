# SPDX-License-Identifier: GPL-2.0-only
"""Real per-CPU memory: views, addresses, pins."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import mmap
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import SANITIZED, Kind, in_child

from percpu_ffi import (
    Allocator,
    ConfigError,
    DoubleFree,
    Model,
    PerCpu,
    PercpuMemoryError,
    Trace,
)

if TYPE_CHECKING:
    from collections.abc import Callable


MOST_MAPPINGS = int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))


def mappings() -> int:
    return len(Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())


def test_every_cpu_has_its_own_copy(real: PerCpu) -> None:
    area = real.area(16)
    for cpu, view in enumerate(area):
        view[:] = bytes([cpu + 1]) * 16
    assert [bytes(view) for view in area] == [bytes([n]) * 16 for n in (1, 2, 3)]


def test_area_is_zeroed_also_when_memory_is_used_again(real: PerCpu) -> None:
    with real.area(64) as area:
        for view in area:
            view[:] = b"x" * 64
        del view
    with real.area(64) as again:
        assert again.ptr == area.ptr
        assert all(bytes(view) == bytes(64) for view in again)


def test_area_knows_its_size_and_cpus(real: PerCpu) -> None:
    area = real.area(62, align=4)
    assert area.size == 62
    assert len(area) == 3
    assert [len(view) for view in area] == [62, 62, 62]
    assert repr(area) == f"<Area {area.ptr:#x}, 62 bytes on 3 CPUs>"


def test_area_is_aligned(real: PerCpu) -> None:
    # the second one follows the first one, at the next multiple of 64
    first, second = real.area(8), real.area(16, 64)
    assert (first.ptr % 64, second.ptr) == (0, first.ptr + 64)


def test_area_excludes_bytes_that_were_rounded_in(real: PerCpu) -> None:
    # an area of 14 bytes in a free range of 16: the tail of 2 bytes is no entry of its own
    freed, _after = real.alloc(16), real.alloc(16)
    real.free(freed)
    area = real.area(14)
    assert len(real.view(area.ptr, 0)) == 16
    assert [len(view) for view in area] == [14, 14, 14]


def test_area_with_a_view_can_be_freed_later(real: PerCpu) -> None:
    area = real.area(8)
    with area[1], pytest.raises(BufferError, match="live views"):
        area.free()
    assert "freed" not in repr(area)
    with pytest.raises(BufferError, match="live views"), area:  # the end of the block frees it
        view = area[2]
    view[0] = 7
    view.release()
    area.free()
    assert repr(area).endswith("freed>")
    with area:  # frees it no second time
        pass


def test_area_counts_cpus_as_a_sequence_does(real: PerCpu) -> None:
    area = real.area(8)
    area[-1][0], area[-3][0] = 7, 8
    assert [view[0] for view in area] == [8, 0, 7]
    for cpu in (3, -4):
        with pytest.raises(IndexError, match=f"cpu {cpu}: this area has CPUs 0 to 2"):
            area[cpu]
    with pytest.raises(ConfigError, match=r"cpu='1': an integer is needed"):
        area["1"]  # type: ignore[index]


def test_freed_area_stays_freed_when_its_pointer_is_used_again(real: PerCpu) -> None:
    area = real.area(8)
    area.free()
    other = real.area(8)
    assert other.ptr == area.ptr
    with pytest.raises(DoubleFree):
        area.free()
    with pytest.raises(DoubleFree):
        area[0]
    assert other[0][0] == 0
    assert repr(area).endswith("freed>")


def test_address_is_that_of_the_view(real: PerCpu) -> None:
    ptr = real.alloc(8)
    real.view(ptr, 1)[:] = b"percpu__"
    assert ctypes.string_at(real.address(ptr, 1), 8) == b"percpu__"
    assert real.address(ptr, 2) - real.address(ptr, 1) == real.unit_size
    assert real.address(ptr, 0) % 8 == 0


def test_last_bytes_of_the_last_unit(real: PerCpu) -> None:
    real.alloc(8)
    ptr = real.alloc(real.unit_size)
    with real.view(ptr, 2) as view:
        view[-1] = 7
        assert view[-1] == 7
        assert len(view) == real.unit_size
    assert real.address(ptr, 2) % real.page_size == 0


def test_units_are_aligned_to_pages_above_the_hosts() -> None:
    # the host may align to 2 MiB; mappings in between make it another multiple each time
    models, others = [], []
    for _ in range(3):
        models.append(Model(cpus=1, page_size=64 << 20))
        assert models[-1].address(models[-1].static_ptr, 0) % (64 << 20) == 0
        others.append(mmap.mmap(-1, 6 << 20))


@pytest.mark.parametrize("error", [OSError, ValueError, OverflowError])
def test_host_without_memory_for_the_model(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise error

    with Model(cpus=2) as model:
        ptr = model.alloc(8)
        with monkeypatch.context() as patch:
            patch.setattr("mmap.mmap", no_memory)
            with pytest.raises(PercpuMemoryError, match=r"^the host gave no memory") as caught:
                model.view(ptr, 0)
        assert caught.value.service == "host"
        assert bytes(model.view(ptr, 0)) == bytes(8)


@pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
def test_static_area_carries_its_image(kind: Kind, first_chunk: str) -> None:
    image = bytes(range(256)) * 20
    with kind(2, 8192, first_chunk, static_image=image) as a:  # type: ignore[arg-type]
        for cpu in range(2):
            static = a.view(a.static_ptr, cpu)
            assert bytes(static) == image + bytes(8192 - len(image))
        static[0] = 99
        assert a.view(a.static_ptr, 0)[0] == 0
        del static


@pytest.mark.parametrize(
    "derive",
    [
        lambda view: view,
        lambda view: view[2:4],
        lambda view: view.cast("I"),
        lambda view: np.frombuffer(view, dtype=np.uint32),
        lambda view: np.frombuffer(view, dtype=np.uint8)[::2].reshape(2, 2),
    ],
    ids=["view", "slice", "cast", "numpy", "numpy-of-numpy"],
)
def test_area_with_a_view_is_not_freed(
    real: PerCpu, derive: Callable[[memoryview], object]
) -> None:
    ptr = real.alloc(8)
    held = derive(real.view(ptr, 1))
    before = real.state()
    with pytest.raises(BufferError, match="live views"):
        real.free(ptr)
    with pytest.raises(BufferError, match="live views"):
        real.free_many([ptr])
    with pytest.raises(BufferError, match="live views"):
        real.close()
    assert real.state() == before
    del held
    gc.collect()
    real.free(ptr)


def test_released_view_allows_the_free(real: PerCpu) -> None:
    ptr = real.alloc(8)
    first, second = real.view(ptr, 0), real.view(ptr, 0)
    first.release()
    with pytest.raises(BufferError):
        real.free(ptr)
    with second:
        second[0] = 1
    real.free(ptr)


def test_profiler_that_keeps_frames_keeps_no_pin(real: PerCpu) -> None:
    """The profiler of dask's workers holds the frames of other threads for a moment."""
    frames: list[object] = []
    ptr = real.alloc(64)
    sys.setprofile(lambda frame, _event, _arg: frames.append(frame))
    try:
        view = real.view(ptr, 0)
    finally:
        sys.setprofile(None)
    view.release()
    assert len(frames) > 1
    real.free(ptr)


def test_view_keeps_its_pin_when_the_pointer_object_changes(real: PerCpu) -> None:
    # an array of one integer is an index, and can change: the view unpinned another area
    first, second = real.alloc(8), real.alloc(8)
    pointer = np.array(first)
    view, held = real.view(pointer, 0), real.view(second, 0)  # type: ignore[arg-type]
    pointer[...] = second
    view.release()
    with pytest.raises(BufferError):
        real.free(second)
    real.free(first)
    held.release()


def test_signal_that_raises_loses_no_pin() -> None:
    # pins leaked when a timer raised an exception during the creation of a view
    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Allocator(cpus=1) as a:
            ptr = a.alloc(8)
            rings = 0
            while rings < 200:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0003)
                    while True:
                        a.view(ptr, 0)
                except TimeoutError:
                    rings += 1
            a.free(ptr)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_view_does_not_pin_a_neighbour(real: PerCpu) -> None:
    ptr, neighbour = real.alloc(8), real.alloc(8)
    view = real.view(neighbour, 0)
    real.free(ptr)
    view[0] = 1


def test_view_keeps_the_memory_of_a_deleted_allocator(kind: Kind) -> None:
    allocator = kind(cpus=1)
    view = allocator.view(allocator.alloc(8), 0)
    del allocator
    gc.collect()
    view[:] = b"survives"
    assert bytes(view) == b"survives"


def test_bytes_rounded_into_the_next_page_are_populated(kind: Kind) -> None:
    # |ssss|aaaaaaaaaaaa|..b      s: static, b: in use, 2 bytes into page 2
    # an area that ends with page 1 gets the tail of 2 bytes before b
    with kind(cpus=1, static_size=4096) as a:
        freed = a.alloc(4096 + 2, align=2)
        a.alloc(2, align=2)
        a.free(freed)
        assert a.alloc(4096) == freed
        view = a.view(freed, 0)
        assert len(view) == 4096 + 2
        view[-1] = 1
        view.release()


def test_view_excludes_rounded_bytes_on_an_unpopulated_page(kind: Kind) -> None:
    # the first chunk ends 3 bytes into a page; they go to the area, the page is never populated
    with kind(cpus=1, static_size=4094, unit_size=65536, free_size=5) as a:
        ptr = a.alloc(2, align=1)
        assert a.state().chunks[0].map == (-4094, -5)
        view = a.view(ptr, 0)
        assert len(view) == 2
        view[-1] = 1
        view.release()


def test_error_in_a_block_is_not_hidden_by_its_views(kind: Kind) -> None:
    def divide_by_what_is_there() -> None:
        with kind() as a:
            view = a.view(a.alloc(8), 0)
            view[0] = 1 // view[0]

    with pytest.raises(ZeroDivisionError):
        divide_by_what_is_there()


def test_end_of_a_block_with_live_views_is_an_error(kind: Kind) -> None:
    with pytest.raises(BufferError, match="before closing it"), kind() as a:
        view = a.view(a.alloc(8), 0)
    a.alloc(8)  # it is not closed
    view.release()
    a.close()


def test_page_that_is_not_mapped_faults() -> None:
    with Allocator(cpus=1) as a:
        beyond = a.address(a.alloc(8), 0) + 8192  # same unit, page never populated

        def touch() -> None:
            faulthandler.disable()  # that of pytest would print a report
            ctypes.memset(beyond, 1, 1)

        assert in_child(touch) == -signal.SIGSEGV


def test_forked_process_has_its_own_copy(real: PerCpu) -> None:
    view = real.view(real.alloc(8), 0)

    def write() -> None:
        view[0] = 1

    assert in_child(write) == 0
    assert view[0] == 0


def test_child_forked_during_a_call_of_another_thread_does_not_hang(kind: Kind) -> None:
    # the child inherited a lock that was held by a thread that does not exist in the child
    if kind is Model and SANITIZED:
        pytest.skip("a thread that runs Python holds locks of AddressSanitizer's heap")
    pairs = 500 if kind is Model else 100_000
    trace = Trace.from_ops([("alloc", 0, 8, 8), ("free", 0)] * pairs)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            a.replay(trace)

    with kind(memory="none") as a:
        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(5):
                time.sleep(0.003)  # the worker is in a call most of the time
                assert in_child(lambda: a.free(a.alloc(8))) == 0
        finally:
            stop.set()
            worker.join()


def test_many_large_allocators_leave_address_space_to_others() -> None:
    large = [Allocator(cpus=65536, first_chunk="embed", memory="mapped") for _ in range(4)]
    assert all(a.alloc(8) > 0 for a in large)


def test_larger_pages_than_the_hosts(kind: Kind) -> None:
    with kind(cpus=2, page_size=16384) as a:
        ptr = a.alloc(16384, align=16384)
        assert a.address(ptr, 1) % 16384 == 0
        a.view(ptr, 1)[-1] = 1
        assert a.unit_size == 16 * 16384


def test_mappings_grow_with_chunks_not_with_pages() -> None:
    with Allocator(cpus=4) as a:
        before = mappings()
        for _ in range(100):  # 1 KiB at a time: pages are populated one by one, in every unit
            a.alloc_many([1024] * 64)
        chunks = len(a.state().chunks)
        assert chunks > 95
        assert mappings() - before <= 2 * chunks + 8


def without_mappings(work: Callable[[], None]) -> int:
    """Call a function in a process that can make no more mappings; return its status."""

    def use_them_up() -> None:
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        size = 2 * (MOST_MAPPINGS + 1) * mmap.PAGESIZE
        pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        for page in range(0, size, 2 * mmap.PAGESIZE):
            if mprotect(start + page, mmap.PAGESIZE, mmap.PROT_READ):
                break
        work()

    return in_child(use_them_up)


# "out of memory: map failed", with 22 GB free
@pytest.mark.skipif(SANITIZED or MOST_MAPPINGS > 1 << 17, reason="takes too long")
def test_the_limit_on_mappings_is_named() -> None:
    def work() -> None:
        with pytest.raises(PercpuMemoryError, match=r"\(vm\.max_map_count, \d+\).*'none'"):
            Allocator()
        with pytest.raises(PercpuMemoryError, match=r"vm\.max_map_count") as caught:
            before.alloc(before.max_size)
        assert caught.value.service == "map"
        (failure,) = before.replay(Trace.from_ops([("alloc", 1, before.max_size, 8)])).failures
        assert "vm.max_map_count" in str(failure.error)
        before.inject("map", 1)
        with pytest.raises(PercpuMemoryError, match="map failed for an area of 65536 bytes"):
            before.alloc(before.max_size)
        Allocator(memory="none").close()

    with Allocator() as before:
        before.alloc(8)
        assert without_mappings(work) == 0
        before.alloc(before.max_size)


def test_close_releases_all_memory() -> None:
    Allocator().close()
    before = mappings()
    for _ in range(50):
        with Allocator() as a:
            a.alloc_many([4096] * 50)
    assert mappings() == before


def test_view_is_refused_with_rollback(kind: Kind) -> None:
    # with this quirk a failing neighbour unmaps live pages, as in 2009
    with kind(quirks={"rollback"}) as a:
        ptr = a.alloc(8)
        with pytest.raises(ConfigError, match="rollback"):
            a.view(ptr, 0)
