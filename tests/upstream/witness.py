# SPDX-License-Identifier: GPL-2.0-only
"""The witness, with the methods of an Allocator.

The witness is the 2009 file, compiled unchanged, on fake kernel services.  Arguments that the
file cannot handle (unknown pointers, wrong alignments) are refused before the call, with the
errors of the port.  The ``raw`` methods pass all arguments to the file.
"""

from __future__ import annotations

import ctypes
import operator
import os
import shlex
import shutil
import tempfile
from array import array
from ctypes import c_bool, c_char_p, c_double, c_int, c_int64, c_uint64
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from percpu_ffi import ChunkState, Location, State, Work, WorkByCall, errors
from percpu_ffi._util.integers import integers
from percpu_ffi.base import BaseAllocator
from percpu_ffi.bench.percpu_c import compile_with
from percpu_ffi.config import SERVICES, Config, FaultPlan
from upstream.replay import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from percpu_ffi.config import FirstChunk
    from percpu_ffi.replay import Replay
    from percpu_ffi.state import Peaks
    from percpu_ffi.trace import Trace
    from percpu_ffi.tracing.event import Record

__all__ = ["KernelBug", "Undefined", "Witness", "WitnessFactory", "build"]

HERE = Path(__file__).resolve().parent
SOURCES = ("witness.c", "fakes.c", "faults.c", "rbtree.c")
FLAGS = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"),
    # flags of the kernel's build that its code relies on
    *("-fno-strict-aliasing", "-fno-delete-null-pointer-checks"),
)

CALLS = ("alloc", "free", "other")  # enum fake_call

# enum fake_stop_reason
STOP_NO_MEMORY, STOP_BUG = 1, 2


class KernelBug(Exception):
    """A BUG_ON or a panic of the 2009 file fired; the message is its condition."""


class Undefined(Exception):
    """The 2009 file was stopped before a step that C does not define."""


def build(percpu_c: Path, directory: Path) -> Path:
    """Compile the witness with ``$CC`` and ``$CFLAGS``.

    Args:
        percpu_c: the unmodified ``mm/percpu.c`` of 24 February 2009.
        directory: the folder for the library.

    Returns: the path of the library.

    Raises:
        WrongFile: ``percpu_c`` is another file.
        CannotCompile: the compiler failed.

    """
    flags = (*FLAGS, *shlex.split(os.environ.get("CFLAGS", "")))
    includes = ("-I", str(HERE), "-I", str(HERE / "include"))
    return compile_with(
        percpu_c,
        "WITNESS_PERCPU_C",
        [*flags, *includes],
        [HERE / source for source in SOURCES],
        directory / "libwitness.so",
    )


class _Settings(ctypes.Structure):
    """struct witness_settings."""

    _fields_: ClassVar = [
        (name, c_int64)
        for name in (
            *("cpus", "nodes", "page_size", "page_limit", "static_size", "unit_size"),
            *("free_size", "present_pages", "block", "first_area", "pointer_zero", "fixed"),
            "keep_neighbours",
        )
    ]


class _Report(ctypes.Structure):
    """struct fake_report."""

    _fields_: ClassVar = [
        ("stopped", c_int64),
        ("failed", c_int64),
        ("text", c_char_p),
        ("requested", c_uint64),
    ]


class _Work(ctypes.Structure):
    """struct fake_work; its fields have the names and order of those of Work."""

    _fields_: ClassVar = [(field.name, c_uint64) for field in fields(Work)]

    def taken(self) -> Work:
        return Work(*(getattr(self, field.name) for field in fields(Work)))


class _Place(ctypes.Structure):
    """struct witness_place."""

    _fields_: ClassVar = [("chunk", c_int64), ("offset", c_int64)]


class _Library:
    """A copy of the library, for one witness at a time: its state is global.

    Calls hold the GIL, so they do not overlap.
    """

    idle: ClassVar[dict[Path, list[_Library]]] = {}

    def __init__(self, path: Path) -> None:
        # dlopen() loads the same inode only once, so load a copy
        with tempfile.TemporaryDirectory() as directory:
            dll = ctypes.PyDLL(shutil.copy(path, directory))

        def function(name: str, result: Any, *arguments: Any) -> Any:
            symbol = dll[f"witness_{name}"]
            symbol.restype, symbol.argtypes = result, arguments
            return symbol

        self._path = path
        self.unit_size = 0  # computed by the file
        self.setup = function("setup", c_int64, ctypes.POINTER(_Settings))
        self.exit = function("exit", None)
        self.alloc = function("alloc", c_int64, c_uint64, c_uint64)
        self.free = function("free", c_int64, c_int64)
        self.find = function("find", c_bool, c_int64, ctypes.POINTER(_Place))
        self.inject = function(
            "inject", None, c_int, c_uint64, c_uint64, c_int64, c_double, c_uint64
        )
        self.report = function("report", ctypes.POINTER(_Report))().contents
        self.calls = function("calls", ctypes.POINTER(c_uint64 * len(SERVICES)))().contents
        self.works = function("works", ctypes.POINTER(_Work * len(CALLS)))().contents
        self._dump = function("dump", c_int64, ctypes.c_void_p, c_int64)
        self._make_room(1024)

    def _make_room(self, words: int) -> None:
        self._room = words
        self._words = (c_int64 * words)()

    def dump(self) -> list[int]:
        """Return the state in the form of witness_dump()."""
        used: int = self._dump(self._words, self._room)
        if used > self._room:
            self._make_room(2 * used)
            return self.dump()
        if used < 0:
            raise AssertionError("the lists and the address tree hold different chunks")
        return self._words[:used]

    @classmethod
    def acquire(cls, path: Path) -> _Library:
        """Return an idle copy, or load a new one."""
        idle = cls.idle.setdefault(path, [])
        return idle.pop() if idle else cls(path)

    def release(self) -> None:
        """Free the memory of the witness, and make the copy idle."""
        self.exit()
        self.idle[self._path].append(self)


class _Closed:
    """Replaces the library after close(): every use raises ClosedError."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else errors.closed()


class Witness(BaseAllocator):
    """The 2009 file, with the arguments and methods of ``percpu_ffi.Allocator``.

    It has no memory, whatever ``memory`` is.  A WARN is counted, but issues no Python warning.
    It cannot have chunks of 2 GiB or more: defect "int-sizes".

    Args:
        library: the path that :func:`build` returned.
        fixed: fix the defects "walk" and "map-null" as the port does, and "rollback" too
            without the quirk of that name; else a call that runs into the first two raises
            :class:`Undefined`.
        settings: as for an Allocator.

    """

    _library: _Library = cast("_Library", _Closed())

    def __init__(self, *args: Any, library: Path, fixed: bool = True, **settings: Any) -> None:
        self._path, self._fixed = library, fixed
        super().__init__(*args, **settings)

    def _open(self, config: Config) -> None:
        # as setup_pcpu_embed and setup_pcpu_remap of x86; for setup_pcpu_4k the file computes it
        page, unit, free = config.page_size, config.unit_size, config.free_size
        reserved = -(-(config.static_size + (24 << 10)) // page) * page
        if config.first_chunk == "embed":
            unit = unit or max(reserved, 16 * page)
            free = free or max(unit - config.static_size, 0)
        elif config.first_chunk == "remap":
            unit, free = unit or 2 << 20, free or reserved - config.static_size
        # the file accepts a unit that is too small: defect "small-unit"
        if unit and not 16 * page <= unit <= 1 << 30:
            raise config.misfit()
        try:
            self._start(
                config.first_chunk,
                cpus=config.cpus,
                nodes=config.nodes,
                page_size=page,
                page_limit=config.page_limit,
                static_size=config.static_size,
                unit_size=unit,
                free_size=free,
                fixed=self._fixed,
                keep_neighbours=self._fixed and "rollback" not in config.quirks,
            )
        except KernelBug:
            raise config.misfit() from None

    @classmethod
    def raw(
        cls,
        *,
        library: Path,
        first_chunk: FirstChunk = "4k",
        fixed: bool = False,
        **settings: int,
    ) -> Witness:
        """Set up the file without checks, by default with 2 CPUs and pages of 64 bytes.

        Args:
            library: as for the constructor.
            first_chunk: as for the constructor.
            fixed: as for the constructor.
            settings: fields of struct witness_settings.

        """
        self = cls.__new__(cls)
        self._path = library
        given = {"cpus": 2, "nodes": 1, "page_size": 64, "static_size": 64, **settings}
        self._start(first_chunk, fixed=fixed, **given)
        self._config = Config(
            cpus=given["cpus"],
            static_size=given["static_size"],
            first_chunk=first_chunk,
            page_size=given["page_size"],
            memory="none",
            quirks=("rollback",),
        )
        self._tracing = None
        return self

    def _start(self, first_chunk: str, **given: int) -> None:
        page, static_size = given["page_size"], given["static_size"]
        unit_size, free_size = given.get("unit_size", 0), given.get("free_size", 0)
        present = {"4k": static_size, "embed": unit_size, "remap": static_size + free_size}
        settings = {"first_area": page, "present_pages": -(-present[first_chunk] // page)}
        if first_chunk != "4k":
            # the block that the caller mapped comes first, then the vm areas
            settings.update(block=page, first_area=page + unit_size * given["cpus"])
        settings.update(given)

        self._static_ptr = settings.get("block", settings["first_area"]) - settings.get(
            "pointer_zero", 0
        )
        self._live: set[int] = set()
        self._library = _Library.acquire(self._path)
        self._library.unit_size = self._library.setup(_Settings(**settings))
        if not self._library.unit_size:
            error = self._stop_error()
            self._close()
            raise error
        self._unit_size = self._library.unit_size
        self._free_size = self.state().chunks[0].free_size

    def __repr__(self) -> str:
        return f"<Witness {self._config.first_chunk}, {self.cpus} CPUs x {self.unit_size} bytes>"

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        library = self.__dict__.pop("_library", None)
        if library:
            library.release()

    def _alloc(self, size: int, align: int) -> int:
        call = self._library.alloc
        if not self._accepts(size, align):
            self._refuse(size, align)
            raise self._bad_request(size, align)
        ptr: int = call(size, align)
        if not ptr:
            raise self._alloc_error(size, align)
        self._live.add(ptr)
        return ptr

    def _free(self, ptr: int) -> None:
        call = self._library.free
        if ptr:
            if ptr not in self._live:
                raise self._ptr_error(ptr)
            self._live.remove(ptr)
        if call(ptr):
            raise self._stop_error()

    def locate(self, ptr: int) -> Location:
        try:
            number = operator.index(ptr)
        except TypeError:
            raise errors.not_a_pointer(ptr) from None
        place = self._find(number)
        if place is None or (number not in self._live and number != self._static_ptr):
            raise self._ptr_error(number)
        return place

    def state(self) -> State:
        words = self._library.dump()
        nr_slots, unit_pages = words[:2]
        at = 2
        slots = []
        chunks = []
        for _ in range(nr_slots):
            length = words[at]
            at += 1
            ids = []
            for _ in range(length):
                id_, free_size, hint, capacity, immutable, used = words[at : at + 6]
                at += 6
                entries = tuple(words[at : at + used])
                at += used
                populated = tuple(words[at : at + unit_pages])
                at += unit_pages
                ids.append(id_)
                chunks.append(
                    ChunkState(id_, free_size, hint, entries, capacity, immutable != 0, populated)
                )
            slots.append(tuple(ids))
        chunks.sort(key=lambda chunk: chunk.id)
        return State(tuple(slots), tuple(chunks))

    def counters(self) -> dict[str, int]:
        return dict(zip(SERVICES, self._library.calls[:], strict=True))

    def work(self) -> WorkByCall:
        alloc, free, _other = self._library.works
        return WorkByCall(alloc.taken(), free.taken())

    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        if plan is None:
            plan = FaultPlan(nth=1, interval=1, times=0, probability=1.0, seed=0)
        self._library.inject(
            SERVICES.index(site), plan.nth, plan.interval, plan.times, plan.probability, plan.seed
        )

    def _partial_failure_count(self) -> int:
        return 1  # not counted: assume that there may have been one

    def _peaks(self) -> Peaks:
        raise NotImplementedError

    def _record(self, *, on: bool) -> None:
        raise NotImplementedError

    def _recorded(self) -> tuple[Iterable[Record], int]:
        raise NotImplementedError

    def address(self, ptr: int, cpu: int) -> int:
        self._checked_cpu(cpu)
        self.locate(ptr)
        raise errors.nothing_mapped()

    def view(self, ptr: int, cpu: int) -> memoryview:
        self.address(ptr, cpu)
        raise AssertionError("address() always raises")

    def _replay(
        self, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
    ) -> Replay:
        return Run(self).replay(trace, part_done, stops)

    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        wanted = integers(sizes)
        self._check_open()
        # size 1 checks the alignment, since there may be no sizes
        for size in (1, *wanted):
            if not self._accepts(size, align):
                self._refuse(size, align)
                raise self._bad_request(size, align)
        ptrs: array[int] = array("q")
        try:
            for size in wanted:
                ptrs.append(self.alloc(size, align))
        except errors.PercpuMemoryError:
            for ptr in reversed(ptrs):
                self.free(ptr)
            raise
        return ptrs

    def _free_many(self, ptrs: memoryview) -> None:
        given = integers(ptrs)
        self._check_open()
        left = set(self._live)
        for ptr in filter(None, given):
            if ptr not in left:
                raise self._ptr_error(ptr) if ptr not in self._live else errors.DoubleFree.of(ptr)
            left.remove(ptr)
        for ptr in given:
            self.free(ptr)

    def raw_alloc(self, size: int, align: int = 8) -> int:
        """Call ``__alloc_percpu`` with any arguments; 0 is NULL, or an area at pointer 0."""
        library = self._library
        ptr: int = library.alloc(size, align)
        if library.report.stopped:
            raise self._stop_error()
        return ptr

    def raw_free(self, ptr: int) -> None:
        """Call ``free_percpu`` with any pointer."""
        if self._library.free(ptr):
            raise self._stop_error()

    def requested(self) -> int:
        """Return the bytes of the last requested vm area, without the guard page."""
        return int(self._library.report.requested)

    def _check_open(self) -> None:
        _ = self._library.report

    def _accepts(self, size: int, align: int) -> bool:
        """Return whether the port accepts a request."""
        return 0 < size <= self.max_size and 0 < align <= self.page_size and not align & (align - 1)

    def _refuse(self, size: int, align: int) -> None:
        """Call the file if it refuses the request too, with a WARN, so that this is counted."""
        taken = 0 < size <= self.max_size and 0 <= align <= self.page_size
        if not taken and _fits(size, align):
            self._library.alloc(size, align)

    def _stop_error(self) -> Exception:
        report = self._library.report
        text = report.text.decode()
        return KernelBug(text) if report.stopped == STOP_BUG else Undefined(text)

    def _alloc_error(self, size: int, align: int) -> Exception:
        report = self._library.report
        if report.stopped > STOP_NO_MEMORY:
            return self._stop_error()
        if report.failed < 0:
            return AssertionError("__alloc_percpu returned NULL, but no service failed")
        return errors.out_of_memory(SERVICES[report.failed], size, align)

    def _find(self, ptr: int) -> Location | None:
        place = _Place()
        if ptr <= 0 or not _fits(ptr) or not self._library.find(ptr, place):
            return None
        return Location(place.chunk, place.offset)

    def _ptr_error(self, ptr: int) -> errors.InvalidPointer:
        """Return the error for a pointer that is not the start of a live area."""
        place = self._find(ptr)
        if place is None:
            return errors.WildPointer.of(ptr)
        if place.offset >= self.unit_size:
            return errors.OtherUnitPointer.of(ptr)
        if place.chunk == 0 and place.offset < self.static_size:
            return errors.StaticPointer.of(ptr)
        entries = next(chunk.map for chunk in self.state().chunks if chunk.id == place.chunk)
        for start, size in _starts(entries):
            if place.offset < start + abs(size):
                inside = size < 0 and place.offset != start
                return errors.InteriorPointer.of(ptr) if inside else errors.DoubleFree.of(ptr)
        return errors.WildPointer.of(ptr) if entries else errors.DoubleFree.of(ptr)


@dataclass(frozen=True)
class WitnessFactory:
    """Makes witnesses; can be pickled, for the worker processes of a campaign."""

    library: Path
    fixed: bool = True

    def __call__(self, *args: Any, **settings: Any) -> Witness:
        """Make a witness from the arguments of an Allocator."""
        return Witness(*args, **settings, library=self.library, fixed=self.fixed)

    def raw(self, **settings: Any) -> Witness:
        """Make a witness without checks; see :meth:`Witness.raw`."""
        return Witness.raw(**settings, library=self.library, fixed=self.fixed)


def _fits(*numbers: int) -> bool:
    """Return whether all numbers fit into an int64_t."""
    return all(-(1 << 63) <= number < 1 << 63 for number in numbers)


def _starts(entries: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Iterate over a map: yield the offset of each entry, and the entry."""
    start = 0
    for size in entries:
        yield start, size
        start += abs(size)
