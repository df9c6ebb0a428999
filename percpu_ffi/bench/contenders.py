# SPDX-License-Identifier: GPL-2.0-only
"""The contenders: the allocators that are measured.

A contender opens a :class:`Session` for each repetition of a workload: a fresh allocator,
which runs phase after phase.  All but the model run in the same loop in C.
"""

from __future__ import annotations

import ctypes
import mmap
import time
from abc import ABC, abstractmethod
from array import array
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from percpu_ffi._core import ffi, lib
from percpu_ffi.allocator import Allocator
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.libraries import (
    JEMALLOC,
    LIBC,
    MIMALLOC,
    Library,
    address,
    functions_of,
    why_missing,
)
from percpu_ffi.bench.upstream import PAGE, Upstream, percpu_c_named
from percpu_ffi.bench.workload import Workload, frees
from percpu_ffi.config import BITMAP
from percpu_ffi.errors import ConfigError, PercpuError
from percpu_ffi.model import Model
from percpu_ffi.replay import STEP
from percpu_ffi.trace.operations import FREE, OP, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CONTENDERS", "Contender", "Latencies", "Session", "choose_contenders"]


class Latencies(NamedTuple):
    """The times that the calls of a phase took, nanoseconds."""

    alloc: Histogram
    free: Histogram


class Session(ABC):
    """One allocator while it runs a workload."""

    failures = 0
    """Operations that failed so far."""

    def __init__(self, allocator: Any) -> None:
        self._allocator = allocator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def run(self, ops: array[int]) -> int:
        """Run operations and return the nanoseconds that they took."""

    def run_timed(self, ops: array[int]) -> Latencies | None:
        """Run operations and time each call; return None where that is not possible."""
        self.run(ops)
        return None

    def write(self, sizes: Sequence[int]) -> None:  # noqa: B027, most areas have no memory
        """Write each copy of the live areas, so that it is resident; ``sizes`` are by handle."""

    def work(self) -> Any:
        """Return ``allocator.work()`` so far; None for an allocator that does not count."""
        count = getattr(self._allocator, "work", None)
        return count() if count else None

    def close(self) -> None:
        """Release all memory."""
        self._allocator.close()


class CSession(Session):
    """Runs in the loop of ``csrc/bench/measure.c``, through a ``struct pcpu_contender``.

    Without an ``allocator`` to close, every area is freed at the end.
    """

    def __init__(self, workload: Workload, contender: Any, allocator: Any = None) -> None:
        super().__init__(allocator)
        self._drain = frees(range(workload.slots))
        self._kinds = ffi.new("struct pcpu_kind[]", list(workload.kinds))
        self._ptrs = ffi.new("int64_t[]", workload.slots)
        self._bench = ffi.new(
            "struct pcpu_bench *",
            {"contender": contender, "kinds": self._kinds, "ptrs": self._ptrs},
        )
        self.contender = contender

    @property
    def failures(self) -> int:  # type: ignore[override]
        return int(self._bench.failures)

    def run(self, ops: array[int]) -> int:
        data = ffi.from_buffer("struct pcpu_op[]", ops)
        n, ns = len(data), 0
        for start in range(0, n, STEP):  # Ctrl-C acts between two steps
            ns += lib.pcpu_bench_run(self._bench, data + start, min(STEP, n - start))
        return ns

    def run_timed(self, ops: array[int]) -> Latencies | None:
        counts = [array("Q", [0]) * lib.PCPU_LATENCY_BUCKETS for _ in range(2)]
        alloc, free = (ffi.from_buffer("uint64_t[]", count) for count in counts)
        latency = ffi.new("struct pcpu_latency *", [self.contender, alloc, free])
        self._bench.contender = lib.pcpu_contender_timed(latency)
        try:
            self.run(ops)
        finally:
            self._bench.contender = self.contender
        return Latencies(*map(Histogram.of_all, counts))

    def close(self) -> None:
        if self._allocator is None:
            self.run(self._drain)  # the C library's memory is shared by the process
        else:
            super().close()


class BitmapSession(CSession):
    """The same with bitmaps next to the area map; the work of a workload is that of the port."""

    def work(self) -> None:
        """Return None."""


class MappedSession(CSession):
    """The same with real memory."""

    def write(self, sizes: Sequence[int]) -> None:
        """Write each copy."""
        for ptr in filter(None, self._ptrs):
            for cpu in range(self._allocator.cpus):
                with self._allocator.view(ptr, cpu) as copy:
                    copy[:] = bytes(len(copy))


class LibrarySession(CSession):
    """Runs a malloc library as a per-CPU allocator: ``csrc/bench/library.c``.

    At the end its free memory is returned to the system, so that the next one starts afresh.
    """

    def __init__(self, workload: Workload, library: Library, calloc: bool) -> None:
        functions = ffi.new("struct pcpu_library *")
        for name in ("aligned_alloc", "free", *(["calloc"] if calloc else [])):
            setattr(functions, name, address(library, name, ffi.typeof(getattr(functions, name))))
        functions.cpus, functions.limit = workload.geometry.cpus, workload.geometry.unit
        super().__init__(workload, lib.pcpu_contender_library(functions))
        self._library, self._functions = library, functions

    def write(self, sizes: Sequence[int]) -> None:
        """Write each block; the copies of a CPU are rounded to cache lines."""
        for ptr, size in zip(self._ptrs, sizes, strict=True):
            if ptr:
                ctypes.memset(ptr, 0, self._functions.cpus * -(-size // 64) * 64)

    def close(self) -> None:
        super().close()
        self._library.trim(functions_of(self._library))


class PythonSession(Session):
    """Runs in a loop of Python, for an allocator with ``alloc``, ``free`` and ``close``."""

    def __init__(self, workload: Workload, allocator: Any) -> None:
        super().__init__(allocator)
        self._kinds = workload.kinds
        self._ptrs = [0] * workload.slots

    def run(self, ops: array[int]) -> int:
        alloc, free = self._allocator.alloc, self._allocator.free
        ptrs, kinds = self._ptrs, self._kinds
        start = time.perf_counter_ns()
        for _key, handle, kind in OP.iter_unpack(ops):
            if handle == ORPHAN:
                continue
            if ptrs[handle]:
                free(ptrs[handle])
                ptrs[handle] = 0
            if kind != FREE:
                try:
                    ptrs[handle] = alloc(*kinds[kind])
                except PercpuError:
                    self.failures += 1
        return time.perf_counter_ns() - start


class Contender(NamedTuple):
    """An allocator that can be measured."""

    name: str
    what: str
    """A short description."""
    open: Callable[[Workload], Session]
    missing: Callable[[], str] = lambda: ""
    """Return why it is not available, or an empty string.

    Raises ConfigError when the user named a wrong file.
    """
    memory: bool = False
    """Whether its memory can be measured."""
    threads: bool = False
    """Whether threads can share it."""


def _port(workload: Workload) -> Session:
    allocator = Allocator(**workload.geometry.setup)
    return CSession(workload, _calls(allocator), allocator)


def _bitmap(workload: Workload) -> Session:
    allocator = Allocator(**workload.geometry.bitmap_setup)
    return BitmapSession(workload, _calls(allocator), allocator)


def _calls(allocator: Allocator) -> Any:
    """Return the ``struct pcpu_contender`` of an allocator."""
    contender = {
        "alloc": ffi.addressof(lib, "pcpu_alloc"),
        "free": ffi.addressof(lib, "pcpu_free"),
        "pcpu": allocator._pcpu,
    }
    return ffi.new("struct pcpu_contender *", contender)[0]


def _mapped(workload: Workload) -> Session:
    page_size = max(workload.geometry.page_size, mmap.PAGESIZE)
    allocator = Allocator(**{**workload.geometry.setup, "memory": "mapped", "page_size": page_size})
    return MappedSession(workload, _calls(allocator), allocator)


def _bitmap_mapped(workload: Workload) -> Session:
    return _mapped(replace(workload, geometry=replace(workload.geometry, policy=BITMAP)))


def _model(workload: Workload) -> Session:
    return PythonSession(workload, Model(**workload.geometry.setup))


def _upstream(workload: Workload) -> Session:
    percpu_c, geometry = percpu_c_named(), workload.geometry
    assert percpu_c, "choose_contenders() has checked it"
    if geometry.page_size != PAGE:
        raise ConfigError(f"upstream: only pages of {PAGE} bytes are supported")
    file = Upstream(percpu_c, geometry.cpus, geometry.static_size)
    return CSession(workload, file.contender(), file)


def _why_no_upstream() -> str:
    if percpu_c := percpu_c_named():
        if not percpu_c.is_file():
            raise ConfigError(
                f"PERCPU_C={percpu_c}: there is no such file; name your copy of the 2009 file, "
                "mm/percpu.c, or unset PERCPU_C to do without"
            )
        return ""
    return "the 2009 file is not part of the project: set PERCPU_C to your copy"


def _malloc(workload: Workload) -> Session:
    return CSession(workload, lib.pcpu_contender_malloc())


def _empty(workload: Workload) -> Session:
    return CSession(workload, lib.pcpu_contender_empty())


def _library(library: Library, name: str, what: str, calloc: bool = False) -> Contender:
    def open_session(workload: Workload) -> Session:
        return LibrarySession(workload, library, calloc)

    missing = partial(why_missing, library)
    return Contender(name, what, open_session, missing, memory=True, threads=True)


def _own(name: str, what: str, opener: Callable[[Workload], Session]) -> Contender:
    return Contender(name, what, opener, memory=True, threads=True)


CONTENDERS = {
    contender.name: contender
    for contender in (
        _own("port", "the port, bookkeeping only", _port),
        _own("bitmap", "the port with today's policy, bookkeeping only", _bitmap),
        _own("mapped", "the port with real memory", _mapped),
        _own("bitmap-mapped", "the port with today's policy and real memory", _bitmap_mapped),
        Contender("model", "the model in Python, more than a hundred times slower", _model),
        Contender(
            "upstream",
            "the 2009 file itself with the cheapest services; needs PERCPU_C",
            _upstream,
            _why_no_upstream,
        ),
        _own("malloc", "malloc and free of the C library: one block, not one a CPU", _malloc),
        _library(
            LIBC,
            "aligned_alloc",
            "aligned_alloc and memset of the C library: CPUs x size, rounded up to 64 bytes",
        ),
        _library(LIBC, "calloc", "calloc of the C library, likewise, aligned to 16", calloc=True),
        _library(JEMALLOC, "jemalloc", "aligned_alloc of jemalloc and memset, likewise"),
        _library(MIMALLOC, "mimalloc", "aligned_alloc of mimalloc and memset, likewise"),
        Contender("empty", "two functions that do nothing: loop and calls", _empty, threads=True),
    )
}


def choose_contenders(names: Sequence[str]) -> dict[str, Contender]:
    """Find contenders by name, in the order of :data:`CONTENDERS`.

    Raises:
        ConfigError: a contender does not exist or is not available.

    """
    for name in names:
        if name not in CONTENDERS:
            raise ConfigError(f"contender {name!r}: there are {', '.join(CONTENDERS)}")
        if why := CONTENDERS[name].missing():
            raise ConfigError(f"contender {name}: {why}")
    return {name: contender for name, contender in CONTENDERS.items() if name in names}
