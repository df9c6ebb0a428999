# SPDX-License-Identifier: GPL-2.0-only
"""The allocator: a thin face over the port in C."""

from __future__ import annotations

import operator
import sys
import warnings
from array import array
from typing import TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._core import ffi, lib
from percpu_ffi.area import Area
from percpu_ffi.config import FAULT_SITES, Config, FaultPlan
from percpu_ffi.replay import replay
from percpu_ffi.state import ChunkState, Location, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from types import TracebackType

    from percpu_ffi.config import Buffer, FirstChunk, Memory
    from percpu_ffi.replay import Replay
    from percpu_ffi.trace import Trace

__all__ = ["Allocator"]

SERVICES = tuple(
    ffi.string(lib.pcpu_service_name(service)).decode() for service in range(lib.PCPU_NR_SERVICES)
)

_FIRST_CHUNKS = {
    "4k": lib.PCPU_FIRST_4K,
    "embed": lib.PCPU_FIRST_EMBED,
    "remap": lib.PCPU_FIRST_REMAP,
}
_MEMORIES = {"mapped": lib.PCPU_MEMORY_MAPPED, "none": lib.PCPU_MEMORY_NONE}

# errors that a pointer alone explains
_POINTER_ERRORS: dict[int, Callable[[int], Exception]] = {
    lib.PCPU_E_WILD: errors.wild_pointer,
    lib.PCPU_E_OTHER_UNIT: errors.other_unit_pointer,
    lib.PCPU_E_STATIC: errors.static_pointer,
    lib.PCPU_E_INTERIOR: errors.interior_pointer,
    lib.PCPU_E_NOT_LIVE: errors.double_free,
    lib.PCPU_E_PINNED: errors.viewed,
}

# errors that need no explanation
_PLAIN_ERRORS: dict[int, Callable[[], Exception]] = {
    lib.PCPU_E_CLOSED: errors.closed,
    lib.PCPU_E_ROLLBACK: errors.no_view_with_rollback,
    lib.PCPU_E_NO_MEMORY_MAPPED: errors.nothing_mapped,
    lib.PCPU_E_TRACE: errors.damaged_trace,
    lib.PCPU_E_HOST: errors.host_out_of_memory,
}

# bound once: looking a function up in lib costs a quarter of calling it
_alloc = lib.pcpu_alloc
_free = lib.pcpu_free

_INTEGER_FORMATS = frozenset("bBhHiIlLqQnN")


def _callers_level() -> int:
    """Tell how far up the stack the first frame outside of this package is."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__package__", "") == __package__:
        level, frame = level + 1, frame.f_back
    return level


@ffi.def_extern()
def percpu_ffi_warn(_arg: Any, text: Any) -> None:
    """Turn a WARN into a Python warning; an error is raised by the call itself."""
    try:
        message = ffi.string(text).decode()
        warnings.warn(message, errors.PercpuWarning, stacklevel=_callers_level())
    except errors.PercpuWarning:
        # a filter makes errors of warnings, and nothing can be raised through C
        return


def _integers(given: Any, what: str, error: type[Exception]) -> tuple[Any, int, int]:
    """Find the integers in a buffer, or make a buffer of them.

    Returns: the C data, bytes of an item (negative when signed), number of items.
    """
    try:
        view = memoryview(given)
    except TypeError:
        try:
            view = memoryview(array("q", given))
        except (TypeError, OverflowError):
            raise error(errors.bad_integers(given, what)) from None
    code = view.format.lstrip("@=<")
    if code not in _INTEGER_FORMATS or not view.c_contiguous:
        raise error(errors.bad_integers(given, what))
    width = view.itemsize if code.isupper() else -view.itemsize
    return ffi.from_buffer(view), width, view.nbytes // view.itemsize


class Allocator:
    """The dynamic per-CPU allocator that entered Linux in February 2009.

    Pointers are integers above 0, the same in every run; sizes and alignments are in
    bytes.  Threads may share an allocator; the interpreter's lock is released inside.

    Args:
        cpus: possible CPUs, 1 to 65,536.
        static_size: bytes of the static area at the start of the first chunk.
        first_chunk: who sets the first chunk up: ``"4k"``, ``"embed"`` or ``"remap"``.
        unit_size: bytes of each CPU's unit; 0 leaves it to the set-up.
        free_size: bytes behind the static area in the first chunk; 0 likewise.
        static_image: first bytes of every CPU's static area.
        nodes: NUMA nodes, on which the CPUs lie in even blocks.
        page_size: bytes; None takes the host's.  Free with ``memory="none"``.
        memory: ``"mapped"`` for real memory, ``"none"`` for bookkeeping only.
        page_limit: page frames that a node has for dynamic areas.
        quirks: ``"rollback"`` keeps one defect of 2009; see docs/errata.md.

    Raises:
        ConfigError: an argument is out of range, or they do not fit together.
        PercpuMemoryError: the host has no address space left.

    """

    __slots__ = ("__weakref__", "_config", "_pcpu", "_static_ptr")

    def __init__(
        self,
        cpus: int = 4,
        static_size: int = 8192,
        first_chunk: FirstChunk = "4k",
        *,
        unit_size: int = 0,
        free_size: int = 0,
        static_image: Buffer | None = None,
        nodes: int = 1,
        page_size: int | None = None,
        memory: Memory = "mapped",
        page_limit: int | None = None,
        quirks: Collection[str] = (),
    ) -> None:
        config = Config.check(
            cpus,
            static_size,
            first_chunk,
            unit_size,
            free_size,
            static_image,
            nodes,
            page_size,
            memory,
            page_limit,
            quirks,
        )
        image = ffi.from_buffer(config.static_image)
        request = ffi.new(
            "struct pcpu_config *",
            {
                "cpus": config.cpus,
                "static_size": config.static_size,
                "unit_size": config.unit_size,
                "free_size": config.free_size,
                "page_size": config.page_size,
                "nodes": config.nodes,
                "page_limit": config.page_limit,
                "first_chunk": _FIRST_CHUNKS[config.first_chunk],
                "memory": _MEMORIES[config.memory],
                "quirks": lib.PCPU_QUIRK_ROLLBACK if "rollback" in config.quirks else 0,
                "static_image": image,
                "static_image_size": len(config.static_image),
                "warn": lib.percpu_ffi_warn,
            },
        )
        error = ffi.new("int *")
        pcpu = lib.pcpu_create(request, error)
        if not pcpu:
            if error[0] == -lib.PCPU_E_HOST:
                raise errors.host_out_of_memory()
            raise errors.ConfigError(ffi.string(lib.pcpu_strerror(error[0])).decode())
        self._pcpu = ffi.gc(pcpu, lib.pcpu_destroy)
        self._config = config
        info = ffi.new("struct pcpu_info *")
        lib.pcpu_info(self._pcpu, info)
        self._static_ptr = int(info.static_ptr)

    def __repr__(self) -> str:
        info = ffi.new("struct pcpu_info *")
        if lib.pcpu_info(self._pcpu, info):
            return "<Allocator, closed>"
        return (
            f"<Allocator {self._config.first_chunk}, {info.cpus} CPUs x {info.unit_size} bytes, "
            f"{info.chunks} chunks, {info.pages} pages>"
        )

    def __enter__(self) -> Allocator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BufferError:
            # an error on its way holds the views that its frames made: do not hide it;
            # the memory goes with the last of them
            if error is None:
                raise

    @property
    def cpus(self) -> int:
        """Possible CPUs."""
        return self._config.cpus

    @property
    def page_size(self) -> int:
        """Bytes of a page, also the largest alignment."""
        return self._config.page_size

    @property
    def unit_size(self) -> int:
        """Bytes of one CPU's unit in a chunk."""
        return self._config.unit_size

    @property
    def max_size(self) -> int:
        """Bytes of the largest request: 16 pages."""
        return self._config.max_size

    @property
    def static_size(self) -> int:
        """Bytes of the static area."""
        return self._config.static_size

    @property
    def static_ptr(self) -> int:
        """Per-CPU pointer of the static area, for locate(), address() and view()."""
        return self._static_ptr

    def alloc(self, size: int, align: int = 8) -> int:
        """Allocate an area of ``size`` bytes on every CPU, zeroed.

        Returns: its per-CPU pointer, above 0.

        Raises:
            InvalidRequest: size is not from 1 byte to 16 pages, or align is no power of
                two up to a page.
            PercpuMemoryError: a kernel service failed.
            ClosedError: the allocator is closed.

        Source: ``__alloc_percpu`` of the 2009 file.

        """
        try:
            # cffi cuts decimals and some floats down to integers; & refuses them
            size & align
            ptr = _alloc(self._pcpu, size, align)
        except (TypeError, OverflowError):
            raise self._bad_request(size, align) from None
        if ptr > 0:
            return ptr
        raise self._error(ptr, size=size, align=align)

    def free(self, ptr: int) -> None:
        """Free the area of a per-CPU pointer; 0 does nothing.

        Raises:
            WildPointer, OtherUnitPointer, StaticPointer, InteriorPointer, DoubleFree:
                the pointer does not stand for a live area.
            BufferError: a view of the area is alive.
            ClosedError: the allocator is closed.

        Source: ``free_percpu`` of the 2009 file.

        """
        try:
            ptr & 0
            error = _free(self._pcpu, ptr)
        except (TypeError, OverflowError):
            raise errors.not_a_pointer(ptr) from None
        if error:
            raise self._error(error, ptr=ptr)

    def locate(self, ptr: int) -> Location:
        """Tell in which chunk, at which offset, an area lies.

        Raises: as :meth:`free`, but BufferError.
        """
        location = ffi.new("struct pcpu_location *")
        error = self._with_pointer(lib.pcpu_locate, ptr, location)
        if error:
            raise self._error(error, ptr=ptr)
        return Location(location.chunk, location.offset)

    def address(self, ptr: int, cpu: int) -> int:
        """Tell the real address of one CPU's copy, good until the area is freed.

        Raises: as :meth:`locate`, and ConfigError where there is no such CPU or
            no memory is mapped.
        """
        address: int = self._with_pointer(lib.pcpu_address, ptr, self._checked_cpu(cpu))
        if address < 0:
            raise self._error(address, ptr=ptr)
        return address

    def view(self, ptr: int, cpu: int) -> memoryview:
        """Look at one CPU's copy: a writable memoryview of bytes.

        It has the length of the area in the map: what was asked for and the few bytes
        that the allocator rounds in.  While it lives, or anything made from it, the area
        cannot be freed.

        Raises: as :meth:`address`; ConfigError also with the quirk ``"rollback"``.
        """
        # the pin's end is in place before the pin, and no Python runs in it: a signal that
        # raises in between loses nothing
        pin = ffi.new("struct pcpu_pin *")
        pinned = ffi.gc(pin, lib.pcpu_unpin)
        error = self._with_pointer(lib.pcpu_pin, ptr, self._checked_cpu(cpu), pin)
        if error:
            raise self._error(error, ptr=ptr)
        # a buffer keeps its pointer alive, and the pointer what it would call at its end
        copy = ffi.gc(ffi.cast("char *", pin.address), [pinned].append)
        return memoryview(ffi.buffer(copy, pin.size))

    def area(self, size: int, align: int = 8) -> Area:
        """Allocate an area and return it as an object.

        Raises: as :meth:`alloc`.
        """
        return Area(self, self.alloc(size, align), size)

    def state(self) -> State:
        """Copy out all slots and chunks, as they are at one moment.

        Raises:
            ClosedError: the allocator is closed.

        """
        error = ffi.new("int *")
        snapshot = lib.pcpu_snapshot_take(self._pcpu, error)
        if not snapshot:
            raise self._error(error[0])
        try:
            return _read_state(snapshot)
        finally:
            lib.pcpu_snapshot_free(snapshot)

    def counters(self) -> dict[str, int]:
        """Count the calls to each kernel service since creation, set-up included.

        Raises:
            ClosedError: the allocator is closed.

        """
        calls = ffi.new("uint64_t[]", lib.PCPU_NR_SERVICES)
        error = lib.pcpu_counters(self._pcpu, calls)
        if error:
            raise self._error(error)
        return dict(zip(SERVICES, ffi.unpack(calls, len(SERVICES)), strict=True))

    def inject(
        self,
        site: str,
        nth: int | None = None,
        *,
        times: int | None = None,
        interval: int | None = None,
        probability: float | None = None,
        seed: int = 0,
    ) -> None:
        """Let calls to a kernel service fail; with no plan, clear the one that is set.

        Args:
            site: ``kmalloc``, ``vmalloc``, ``get_vm_area``, ``alloc_page`` or ``map``.
            nth: the first call from now that may fail, from 1.
            times: fail at most so often, -1 without limit; once if ``nth`` is given,
                else without limit.
            interval: from the nth on, only every interval-th call may fail.
            probability: chance of each of these calls, above 0, up to 1.
            seed: of the random numbers; the same seed gives the same faults.

        Raises:
            ConfigError: no such site, or a value out of range.
            ClosedError: the allocator is closed.

        """
        if site not in FAULT_SITES:
            raise errors.ConfigError(
                f"site {site!r}: the services that can fail are {', '.join(FAULT_SITES)}"
            )
        plan = FaultPlan.check(nth, times, interval, probability, seed)
        fault = ffi.NULL if plan is None else ffi.new("struct pcpu_fault *", vars(plan))
        error = lib.pcpu_inject(self._pcpu, SERVICES.index(site), fault)
        if error:
            raise self._error(error)

    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        """Allocate many areas in one call, all or none.

        Args:
            sizes: a buffer of integers of any width, or an iterable of integers.
            align: alignment of all, as in :meth:`alloc`.

        Returns: their pointers, an array of 64-bit integers.

        Raises: as :meth:`alloc`; what was allocated before the failure is freed again.

        """
        data, width, n = _integers(sizes, "sizes", errors.InvalidRequest)
        ptrs = array("q", bytes(8 * n))
        at = ffi.new("size_t *")
        try:
            align & 0
            error = lib.pcpu_alloc_many(
                self._pcpu, data, width, n, align, ffi.from_buffer("int64_t[]", ptrs), at
            )
        except (TypeError, OverflowError):
            raise self._bad_request(1, align) from None
        if error:
            raise self._error(error, size=_item(data, width, at[0]) if n else 0, align=align)
        return ptrs

    def free_many(self, ptrs: Iterable[int] | Buffer) -> None:
        """Free many areas in one call, in the order given, all or none.

        Args:
            ptrs: a buffer of integers of any width, or an iterable of integers.

        Raises: as :meth:`free`, for the first that is wrong, with nothing freed.

        """
        data, width, n = _integers(ptrs, "pointers", errors.InvalidPointer)
        at = ffi.new("size_t *")
        error = lib.pcpu_free_many(self._pcpu, data, width, n, at)
        if error:
            raise self._error(error, ptr=_item(data, width, at[0]) if n else 0)

    def replay(self, trace: Trace, progress: Callable[[int], object] | None = None) -> Replay:
        """Run a whole trace through the allocator in one call into C.

        Areas that the trace does not free stay allocated.

        Args:
            trace: the operations.
            progress: called with the number of operations done since its last call;
                the run is cut into several calls then.

        Returns: pointers, failures and figures; an operation that fails is noted there
            and the run goes on.

        Raises:
            ClosedError: the allocator is closed.

        """
        return replay(self._pcpu, trace, self._error, progress)

    def close(self) -> None:
        """Give all memory back; every later call but this raises ClosedError.

        Raises:
            BufferError: a view of some area is alive.

        """
        if lib.pcpu_close(self._pcpu):
            raise errors.viewed_on_close()

    def _with_pointer(self, function: Callable[..., int], ptr: int, *args: Any) -> int:
        """Call C with a pointer of any value."""
        try:
            ptr & 0
            return function(self._pcpu, ptr, *args)
        except (TypeError, OverflowError):
            raise errors.not_a_pointer(ptr) from None

    def _checked_cpu(self, cpu: Any) -> int:
        try:
            number = operator.index(cpu)
        except TypeError:
            number = -1
        if not 0 <= number < self.cpus:
            raise errors.bad_cpu(cpu, self.cpus)
        return number

    def _bad_request(self, size: Any, align: Any) -> errors.InvalidRequest:
        return errors.bad_request(size, align, self.max_size, self.page_size)

    def _error(self, code: int, *, size: Any = 0, align: Any = 0, ptr: int = 0) -> Exception:
        """Make the exception for an error code of C, the one place where this is done."""
        code = -code
        if code in _PLAIN_ERRORS:
            return _PLAIN_ERRORS[code]()
        if code in _POINTER_ERRORS:
            return _POINTER_ERRORS[code](ptr)
        if code >= lib.PCPU_E_NOMEM:
            return errors.out_of_memory(SERVICES[code - lib.PCPU_E_NOMEM], size, align)
        if code == lib.PCPU_E_SIZE:
            return errors.bad_size(size, self.max_size)
        if code == lib.PCPU_E_ALIGN:
            return errors.bad_align(align, self.page_size)
        return errors.ConfigError(ffi.string(lib.pcpu_strerror(-code)).decode())


def _item(data: Any, width: int, at: int) -> int:
    """Read one of the integers that :func:`_integers` found."""
    ctype = f"{'' if width < 0 else 'u'}int{8 * abs(width)}_t *"
    return int(ffi.cast(ctype, data)[at])


def _read_state(snapshot: Any) -> State:
    lengths = ffi.unpack(snapshot.slot_len, snapshot.nr_slots)
    ids = iter(ffi.unpack(snapshot.slot_ids, snapshot.nr_chunks))
    slots = tuple(tuple(next(ids) for _ in range(n)) for n in lengths)
    chunks = []
    for i in range(snapshot.nr_chunks):
        chunk = snapshot.chunks[i]
        chunks.append(
            ChunkState(
                id=chunk.id,
                free_size=chunk.free_size,
                contig_hint=chunk.contig_hint,
                map=tuple(ffi.unpack(chunk.map, chunk.map_used)) if chunk.map_used else (),
                map_alloc=chunk.map_alloc,
                immutable=bool(chunk.immutable),
                populated=tuple(ffi.unpack(chunk.populated, snapshot.unit_pages)),
            )
        )
    return State(slots=slots, chunks=tuple(chunks))
