# SPDX-License-Identifier: GPL-2.0-only
"""Threads share an allocator; its lock serialises the calls.

With the interpreter's own lock, threads take turns as often as can be set; without it, in a
free-threaded build, they really run in parallel.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
import threading
import time
import warnings
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, pairwise
from subprocess import PIPE, STDOUT
from typing import Any

import pytest
from conftest import SANITIZED, Kind, Make, in_child

from percpu_ffi import (
    Allocator,
    Area,
    ClosedError,
    DoubleFree,
    Model,
    PerCpu,
    PercpuError,
    Trace,
)
from percpu_ffi.testing import Watched

THREADS = 4
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[int], object], threads: int = THREADS) -> list[Any]:
    """Call ``work`` with 0, 1, ... in as many threads, at the same moment; what they return."""

    def begin(number: int) -> object:
        barrier.wait()
        return work(number)

    barrier = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def test_calls_from_many_threads(kind: Kind) -> None:
    def work(seed: int) -> None:
        for i in range(3000):
            ptr = a.alloc(4 + (i * 7 + seed) % 100, 4)
            assert ptr not in live
            live.add(ptr)
            live.remove(ptr)
            a.free(ptr)

    live: set[int] = set()
    with kind() as a, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
        assert all(len(chunk.map) <= 2 for chunk in a.state().chunks)


def test_close_while_others_work(kind: Kind) -> None:
    started = threading.Barrier(THREADS + 1)

    def work() -> str:
        started.wait()
        try:
            while True:
                a.free(a.alloc(64))
                a.state()
        except ClosedError:
            return "closed"

    a = kind()
    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work) for _ in range(THREADS)]
        started.wait()
        time.sleep(0.05)
        a.close()
        assert [future.result() for future in done] == ["closed"] * THREADS


def test_views_and_frees_exclude_each_other(kind: Kind) -> None:
    """Either a view pins its area, or the area is freed and the view refused."""

    def look() -> None:
        while not stop.is_set():
            try:
                with a.view(ptrs[0], 0) as view:
                    view[0] = 1
            except PercpuError:
                pass

    def churn() -> None:
        for _ in range(3000):
            try:
                a.free(ptrs[0])
            except BufferError:
                continue
            ptrs[0] = a.alloc(4096, 4096)
        stop.set()

    stop = threading.Event()
    with kind() as a, ThreadPoolExecutor(THREADS) as pool:
        ptrs = [a.alloc(4096, 4096)]
        looking = [pool.submit(look) for _ in range(THREADS - 1)]
        pool.submit(churn).result()
        for future in looking:
            future.result()


def test_interpreter_runs_on_while_c_works() -> None:
    sizes = array("q", [4]) * 2_000_000

    def work() -> int:
        with Allocator(memory="none") as a:
            start = time.perf_counter_ns()
            a.alloc_many(sizes, 4)
            return time.perf_counter_ns() - start

    def goes_on() -> bool:
        with ThreadPoolExecutor(1) as pool:
            ticks = [time.perf_counter_ns()]
            inside = pool.submit(work)
            while not inside.done():
                ticks.append(time.perf_counter_ns())
            ticks.append(time.perf_counter_ns())
        longest_pause = max(after - before for before, after in pairwise(ticks))
        return longest_pause < inside.result() / 2

    # a busy machine may delay this, but not every time
    assert any(goes_on() for _ in range(20))


def test_lock_is_free_when_a_warning_is_delivered(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(*_args: object, **_kwargs: object) -> None:
        seen.append(a.counters()["warn"])

    seen: list[int] = []
    monkeypatch.setattr(warnings, "showwarning", hook)
    with tiny() as a, warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(PercpuError):
            a.alloc(0)
    assert seen == [1]


def test_each_thread_is_warned_of_its_own_calls(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(*_args: object, **_kwargs: object) -> None:
        seen.append(threading.get_ident())

    def work(number: int) -> int:
        for _ in range(50):
            with pytest.raises(PercpuError):
                a.alloc(0 if number % 2 else 8, align=8 if number % 2 else -1)
        return threading.get_ident()

    seen: list[int] = []
    monkeypatch.setattr(warnings, "showwarning", hook)
    with tiny() as a, warnings.catch_warnings():
        warnings.simplefilter("always")
        threads = together(work)
        assert a.counters()["warn"] == 50 * THREADS
    assert sorted(seen) == sorted(threads * 50)


class TestEverythingAtOnce:
    """Every method in every thread; each thread keeps a list of its own areas."""

    TRACE = Trace.from_ops([("alloc", 0, 200, 8), ("alloc", 1, 3000, 64), ("free", 0), ("free", 1)])

    def test_nothing_is_lost(self, kind: Kind) -> None:
        with kind(cpus=2) as a:
            rounds = 60 if kind is Model else 400
            held = together(lambda number: self.work(a, number + 1, rounds))
            live = {ptr: size for mine in held for ptr, size in mine.items()}
            assert len(live) == sum(map(len, held))
            a.validate(live)
            a.free_many(list(live))
            a.validate({})

    def work(self, a: PerCpu, number: int, rounds: int) -> dict[int, int]:
        dice, mine = random.Random(number), dict[int, int]()
        acts = [self.alloc, self.alloc, self.alloc, self.free, self.free, self.area,
                self.alloc_many, self.free_many, self.replay, self.look]  # fmt: skip
        for _ in range(rounds):
            dice.choice(acts)(a, number, dice, mine)
        return mine

    def take(self, a: PerCpu, number: int, mine: dict[int, int], ptr: int, size: int) -> None:
        """Check that a new area is zero, and write the thread's number to it."""
        for cpu in range(a.cpus):
            with a.view(ptr, cpu) as view:
                assert not any(view[:size])
                view[:size] = bytes([number]) * size
        mine[ptr] = size

    def give(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> int:
        """Return an area of the thread; check that it still contains the thread's number."""
        ptr = dice.choice(list(mine))
        size = mine.pop(ptr)
        for cpu in range(a.cpus):
            with a.view(ptr, cpu) as view:
                assert view[:size] == bytes([number]) * size
        return ptr

    def alloc(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        size = dice.choice([4, 8, 60, 100, 500, 9000])
        self.take(a, number, mine, a.alloc(size), size)

    def free(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        if mine:
            a.free(self.give(a, number, dice, mine))

    def area(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        with a.area(dice.choice([8, 64, 4096])) as area:
            area[-1][0] = number

    def alloc_many(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        for ptr in a.alloc_many([32] * 5):
            self.take(a, number, mine, ptr, 32)

    def free_many(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        a.free_many(array("q", [self.give(a, number, dice, mine) for _ in range(len(mine) // 3)]))

    def replay(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        assert not a.replay(self.TRACE).failures

    def look(self, a: PerCpu, number: int, dice: random.Random, mine: dict[int, int]) -> None:
        a.validate()
        calls = a.counters()
        assert calls["alloc_page"] >= calls["free_page"]
        work = a.work()
        assert work.alloc.operations >= work.free.operations
        for ptr in list(mine)[:3]:
            assert 0 <= a.locate(ptr).offset < a.unit_size
            assert a.address(ptr, 1) - a.address(ptr, 0) == a.unit_size

    def test_calls_until_close(self, kind: Kind) -> None:
        def work(number: int) -> str:
            if number == 0:
                time.sleep(0.05)
                return close()
            try:
                while True:
                    self.work(a, number, 50)
            except ClosedError:
                return "closed"

        def close() -> str:
            while True:
                try:
                    a.close()
                except BufferError:  # there is a view, for a short time
                    continue
                return "closed"

        a = kind(cpus=2)
        assert together(work) == ["closed"] * THREADS


def test_threads_may_close_at_once(kind: Kind) -> None:
    # a second thread that closed a model at the same moment got ClosedError
    for _ in range(200):
        a = kind(memory="none")
        close = a.close
        together(lambda _number: close())  # noqa: B023 - all are done before the next round


class TestArea:
    """Threads share one area.

    Its pointer may be that of another area as soon as it is freed: "is it freed?" and
    the action that depends on it must be one step.  They were two: the second of two threads
    freed the area that had been allocated there meanwhile.
    """

    class Meanwhile:
        """An allocator that lets other threads run before a method does its work."""

        def __init__(self, a: PerCpu, others: Callable[[], object]) -> None:
            self.a, self.others = a, others

        def __getattr__(self, name: str) -> Any:
            return getattr(self.a, name)

        def free(self, ptr: int) -> None:
            self.others()
            self.a.free(ptr)

        def view(self, ptr: int, cpu: int) -> memoryview:
            self.others()
            return self.a.view(ptr, cpu)

    def test_while_one_frees_others_get_double_free(self, real: PerCpu) -> None:
        def others() -> None:
            with pytest.raises(DoubleFree):
                area.free()

        area = Area(self.Meanwhile(real, others), real.alloc(64), 64)  # type: ignore[arg-type]
        area.free()

    def test_view_never_shows_a_later_area(self, real: PerCpu) -> None:
        def others() -> None:
            real.free(ptr)
            area._freed.acquire(blocking=False)
            assert real.alloc(64) == ptr

        ptr = real.alloc(64)
        area = Area(self.Meanwhile(real, others), ptr, 64)  # type: ignore[arg-type]
        with pytest.raises(DoubleFree):
            area[0]
        real.free(ptr)  # no view pins it

    def test_one_of_many_frees_it(self, kind: Kind) -> None:
        def work(_number: int) -> tuple[int, int]:
            try:
                area.free()
            except DoubleFree:
                return 0, a.alloc(64)
            return 1, a.alloc(64)

        with kind(cpus=2) as a:
            for _ in range(200):
                area = a.area(64)
                freed, ptrs = zip(*together(work), strict=True)
                assert sum(freed) == 1
                a.validate(dict.fromkeys(ptrs, 64))
                a.free_many(ptrs)

    def test_view_shows_the_area_or_is_refused(self, kind: Kind) -> None:
        """A view shows the requested area, or the thread gets DoubleFree."""

        def work(number: int) -> None:
            for i in range(100 if kind is Model else 1000):
                if number:
                    look(number)
                else:
                    renew(i % 255 + 1)

        def renew(mark: int) -> None:
            area = a.area(512)
            area[0][:] = bytes([mark]) * 512
            shown[0] = area, mark
            while True:
                try:
                    return area.free()
                except BufferError:
                    time.sleep(0)  # there is a view; give its thread time to release it

        def look(number: int) -> None:
            area, mark = shown[0]
            try:
                view = area[0]
            except PercpuError:
                return
            with view:
                assert view[number] == mark

        with kind(cpus=2) as a:
            shown = [(a.area(512), 0)]
            together(work)

    def test_area_with_a_view_is_not_freed(self, real: PerCpu) -> None:
        area = real.area(8)
        with area[0] as view:
            with pytest.raises(BufferError):
                area.free()
            view[0] = 7
        assert area[0][0] == 7
        area.free()


def test_watched_allocator_with_threads(kind: Kind) -> None:
    # the record of a free could hit the next owner of the same pointer
    def work(number: int) -> list[int]:
        for size in (8, 16, 64) * (5 if kind is Model else 100):
            w.free(w.alloc(size + number))
        return [w.alloc(8), *w.alloc_many([16] * 3)]

    with Watched(kind(cpus=2)) as w:
        kept = list(chain(*together(work)))
        assert sorted(w.sizes) == sorted(kept)
        w.check()
        w.free_all()
        w.check_nothing_left()


def test_faults_hit_any_thread(tiny: Make) -> None:
    """The planned number of calls fails, in any thread."""

    def work(_number: int) -> int:
        failed = 0
        for _ in range(100):
            try:
                a.free(a.alloc(1000))
            except MemoryError:
                failed += 1
        return failed

    with tiny() as a:
        a.inject("alloc_page", 1, times=30)
        assert sum(together(work)) == 30
        a.validate({})


@pytest.mark.skipif(
    SANITIZED, reason="threads that run Python hold locks of AddressSanitizer's heap"
)
def test_fork_while_models_are_created_and_closed() -> None:
    # each model had a lock, and a fork walked the list of all while others grew it: the walk
    # ended with an error, and a child could start with a lock that was never released
    def use(model: Model) -> None:
        model.free(model.alloc(8))

    def work() -> None:
        while not stop.is_set():
            for model in [Model(memory="none") for _ in range(10)]:
                use(model)

    stop = threading.Event()
    models = [Model(memory="none") for _ in range(1000)]
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for model in models[:30]:
            assert in_child(partial(use, model)) == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def run(program: str) -> str:
    """Return the output of a new interpreter, with warnings as errors."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(
        command, env=environment, text=True, check=True, stdout=PIPE, stderr=STDOUT, timeout=90
    ).stdout.strip()


def test_threads_may_load_the_same_name_at_once() -> None:
    """Several threads that load a name of the package at once get the same object."""
    assert run(
        "import threading, percpu_ffi\n"
        "from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "names = percpu_ffi.__all__\n"
        "barrier = threading.Barrier(8)\n"
        "def look(i):\n"
        "    barrier.wait()\n"
        "    found = {n: getattr(percpu_ffi, n) for n in names[i * 3:] + names[:i * 3]}\n"
        "    found['Allocator'](cpus=1).close()\n"
        "    return found\n"
        "with Pool(8) as pool: first, *others = pool.map(look, range(8))\n"
        "print(all(other == first for other in others))"
    ) == "True"  # fmt: skip


def test_end_of_the_interpreter_is_silent() -> None:
    # in a free-threaded build with a thread left, the allocator outlived what its log needed
    assert not run(
        "import threading, time, percpu_ffi\n"
        "a = percpu_ffi.Allocator(memory='none')\n"
        "a.alloc(8)\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
        "time.sleep(0.1)"
    )  # fmt: skip


def test_end_of_the_interpreter_does_not_wait_for_a_thread_inside_a_model() -> None:
    # the view is alive, and ends without the lock that the thread holds
    assert not run(
        "import threading, time, percpu_ffi\n"
        "model = percpu_ffi.Model()\n"
        "view = model.view(model.static_ptr, 0)\n"
        "inside = threading.Event()\n"
        "def stay():\n"
        "    with model._entry:\n"
        "        inside.set()\n"
        "        time.sleep(1000)\n"
        "threading.Thread(target=stay, daemon=True).start()\n"
        "inside.wait()"
    )  # fmt: skip


def test_model_runs_in_an_interpreter_of_its_own() -> None:
    # the port does not: cffi loads in the main interpreter, or in one that shares its lock
    pytest.importorskip("_interpreters", reason="Python 3.13 and later")
    assert run(
        "import _interpreters\n"
        "program = (\n"
        "    'from percpu_ffi import Model\\n'\n"
        "    'with Model() as model: model.free(model.alloc(8))'\n"
        ")\n"
        "interpreter = _interpreters.create('isolated')\n"
        "print(_interpreters.exec(interpreter, program))\n"
        "_interpreters.destroy(interpreter)"
    ) == "None"  # fmt: skip


@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a lock of its own")
def test_import_leaves_the_interpreters_lock_off() -> None:
    assert run(
        "import sys, percpu_ffi; percpu_ffi.Allocator().close(); print(sys._is_gil_enabled())"
    ) == "False"  # fmt: skip
