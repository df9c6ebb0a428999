# SPDX-License-Identifier: GPL-2.0-only
"""The witness, with the methods of an Allocator.

The witness is the 2009 file itself, compiled unchanged, on fake kernel services.  Arguments
that the file cannot take (wild pointers, odd alignments) are refused before, with the errors
of the port; the ``raw`` methods let everything through.
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from percpu_ffi.config import FirstChunk
    from percpu_ffi.replay import Replay
    from percpu_ffi.state import Peaks
    from percpu_ffi.tracing.event import Record

__all__ = ["KernelBug", "Undefined", "Witness", "WitnessFactory", "build"]

HERE = Path(__file__).resolve().parent
SOURCES = ("witness.c", "fakes.c", "faults.c", "rbtree.c")
FLAGS = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"),
    # what kernels are built with, and their code counts on
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
        directory: where the library goes.

    Returns: the library.

    Raises:
        WrongFile: it is another file.
        CannotCompile: it does not compile.

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
    """As struct witness_settings."""

    _fields_: ClassVar = [
        (name, c_int64)
        for name in (
            *("cpus", "nodes", "page_size", "page_limit", "static_size", "unit_size"),
            *("free_size", "present_pages", "block", "first_area", "pointer_zero", "mended"),
        )
    ]


class _Report(ctypes.Structure):
    """As struct fake_report."""

    _fields_: ClassVar = [
        ("stopped", c_int64),
        ("failed", c_int64),
        ("text", c_char_p),
        ("asked", c_uint64),
    ]


class _Work(ctypes.Structure):
    """As struct fake_work, whose fields have the names and the order of Work."""

    _fields_: ClassVar = [(field.name, c_uint64) for field in fields(Work)]

    def taken(self) -> Work:
        return Work(*(getattr(self, field.name) for field in fields(Work)))


class _Place(ctypes.Structure):
    """As struct witness_place."""

    _fields_: ClassVar = [("chunk", c_int64), ("offset", c_int64)]


class _Library:
    """A copy of the library, loaded for one witness at a time: its state is global.

    The calls keep the interpreter's lock, so they do not overlap.
    """

    idle: ClassVar[dict[Path, list[_Library]]] = {}

    def __init__(self, path: Path) -> None:
        # the loader knows files by inode: only a copy is loaded again
        with tempfile.TemporaryDirectory() as directory:
            dll = ctypes.PyDLL(shutil.copy(path, directory))

        def function(name: str, result: Any, *arguments: Any) -> Any:
            symbol = dll[f"witness_{name}"]
            symbol.restype, symbol.argtypes = result, arguments
            return symbol

        self._path = path
        self.unit_size = 0  # as the file worked it out
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
    def take(cls, path: Path) -> _Library:
        """Return an idle copy, or load one."""
        idle = cls.idle.setdefault(path, [])
        return idle.pop() if idle else cls(path)

    def give_back(self) -> None:
        """Free its memory and leave it to the next witness."""
        self.exit()
        self.idle[self._path].append(self)


class _Gone:
    """Takes the place of the library after close(): every use raises ClosedError."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else errors.closed()


class Witness(BaseAllocator):
    """The 2009 file, with the arguments and methods of ``percpu_ffi.Allocator``.

    It has no memory, whatever ``memory`` says, and the quirk "rollback" is what it
    does anyway.  A WARN is counted, but no Python warning.  Chunks of 2 GiB and more are
    beyond it: defect "int-sizes".

    Args:
        library: what :func:`build` made.
        mended: treat the defects "walk" and "map-null" as the port does; else a call
            that runs into them ends with :class:`Undefined`.
        settings: as for an Allocator.

    """

    _library: _Library = cast("_Library", _Gone())

    def __init__(self, *args: Any, library: Path, mended: bool = True, **settings: Any) -> None:
        self._path, self._mended = library, mended
        settings["quirks"] = ("rollback",)
        super().__init__(*args, **settings)

    def _open(self, config: Config) -> None:
        # as setup_pcpu_embed and setup_pcpu_remap of x86; setup_pcpu_4k leaves it to the file
        page, unit, free = config.page_size, config.unit_size, config.free_size
        reserved = -(-(config.static_size + (24 << 10)) // page) * page
        if config.first_chunk == "embed":
            unit = unit or max(reserved, 16 * page)
            free = free or max(unit - config.static_size, 0)
        elif config.first_chunk == "remap":
            unit, free = unit or 2 << 20, free or reserved - config.static_size
        # the file takes a unit that is too small: defect "small-unit"
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
                mended=self._mended,
            )
        except KernelBug:
            raise config.misfit() from None

    @classmethod
    def raw(
        cls,
        *,
        library: Path,
        first_chunk: FirstChunk = "4k",
        mended: bool = False,
        **settings: int,
    ) -> Witness:
        """Set up the file without any check, by default with 2 CPUs and pages of 64 bytes.

        Args:
            library: as for the constructor.
            first_chunk: likewise.
            mended: likewise.
            settings: fields of struct witness_settings.

        """
        self = cls.__new__(cls)
        self._path = library
        given = {"cpus": 2, "nodes": 1, "page_size": 64, "static_size": 64, **settings}
        self._start(first_chunk, mended=mended, **given)
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
        brought = {"4k": static_size, "embed": unit_size, "remap": static_size + free_size}
        settings = {"first_area": page, "present_pages": -(-brought[first_chunk] // page)}
        if first_chunk != "4k":
            # the block that the caller mapped comes first, the areas follow
            settings.update(block=page, first_area=page + unit_size * given["cpus"])
        settings.update(given)

        self._static_ptr = settings.get("block", settings["first_area"]) - settings.get(
            "pointer_zero", 0
        )
        self._live: set[int] = set()
        self._library = _Library.take(self._path)
        self._library.unit_size = self._library.setup(_Settings(**settings))
        if not self._library.unit_size:
            error = self._why_stopped()
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
            library.give_back()

    def _alloc(self, size: int, align: int) -> int:
        call = self._library.alloc
        if not self._takes(size, align):
            self._let_it_refuse(size, align)
            raise self._bad_request(size, align)
        ptr: int = call(size, align)
        if not ptr:
            raise self._why_failed(size, align)
        self._live.add(ptr)
        return ptr

    def _free(self, ptr: int) -> None:
        call = self._library.free
        if ptr:
            if ptr not in self._live:
                raise self._why_refused(ptr)
            self._live.remove(ptr)
        if call(ptr):
            raise self._why_stopped()

    def locate(self, ptr: int) -> Location:
        try:
            number = operator.index(ptr)
        except TypeError:
            raise errors.not_a_pointer(ptr) from None
        place = self._find(number)
        if place is None or (number not in self._live and number != self._static_ptr):
            raise self._why_refused(number)
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
        return 1  # it is not counted, and may have happened

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

    def _replay(self, *_arguments: object) -> Replay:
        raise NotImplementedError("drive it: percpu_ffi.lockstep")

    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        wanted = integers(sizes)
        self._check_open()
        # the alignment alone first: there may be no size
        for size in (1, *wanted):
            if not self._takes(size, align):
                self._let_it_refuse(size, align)
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
                raise self._why_refused(ptr) if ptr not in self._live else errors.DoubleFree.of(ptr)
            left.remove(ptr)
        for ptr in given:
            self.free(ptr)

    def raw_alloc(self, size: int, align: int = 8) -> int:
        """Call ``__alloc_percpu`` with anything; 0 is NULL, or a pointer that looks so."""
        library = self._library
        ptr: int = library.alloc(size, align)
        if library.report.stopped:
            raise self._why_stopped()
        return ptr

    def raw_free(self, ptr: int) -> None:
        """Call ``free_percpu`` with anything."""
        if self._library.free(ptr):
            raise self._why_stopped()

    def asked(self) -> int:
        """Return the size of the last requested address range, without the guard page."""
        return int(self._library.report.asked)

    def _check_open(self) -> None:
        _ = self._library.report

    def _takes(self, size: int, align: int) -> bool:
        """Return whether the port takes a request."""
        return 0 < size <= self.max_size and 0 < align <= self.page_size and not align & (align - 1)

    def _let_it_refuse(self, size: int, align: int) -> None:
        """Let the file refuse what it does, with a WARN; it would take other alignments."""
        taken = 0 < size <= self.max_size and 0 <= align <= self.page_size
        if not taken and _fits(size, align):
            self._library.alloc(size, align)

    def _why_stopped(self) -> Exception:
        report = self._library.report
        text = report.text.decode()
        return KernelBug(text) if report.stopped == STOP_BUG else Undefined(text)

    def _why_failed(self, size: int, align: int) -> Exception:
        report = self._library.report
        if report.stopped > STOP_NO_MEMORY:
            return self._why_stopped()
        if report.failed < 0:
            return AssertionError("__alloc_percpu gave NULL, but no service failed")
        return errors.out_of_memory(SERVICES[report.failed], size, align)

    def _find(self, ptr: int) -> Location | None:
        place = _Place()
        if ptr <= 0 or not _fits(ptr) or not self._library.find(ptr, place):
            return None
        return Location(place.chunk, place.offset)

    def _why_refused(self, ptr: int) -> errors.InvalidPointer:
        """Return the error for a pointer that is not that of an area."""
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
    """Makes witnesses; can be pickled, so that it reaches the workers of a campaign."""

    library: Path
    mended: bool = True

    def __call__(self, *args: Any, **settings: Any) -> Witness:
        """Make one, from the arguments of an Allocator."""
        return Witness(*args, **settings, library=self.library, mended=self.mended)

    def raw(self, **settings: Any) -> Witness:
        """Make one without any check; see :meth:`Witness.raw`."""
        return Witness.raw(**settings, library=self.library, mended=self.mended)


def _fits(*numbers: int) -> bool:
    """Return whether C's int64_t can hold them."""
    return all(-(1 << 63) <= number < 1 << 63 for number in numbers)


def _starts(entries: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Go through a map: the offset of each entry, and the entry."""
    start = 0
    for size in entries:
        yield start, size
        start += abs(size)
