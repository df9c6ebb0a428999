# SPDX-License-Identifier: GPL-2.0-only
"""The allocator: a thin face over the port in C."""

from __future__ import annotations

from array import array
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._core import ffi, lib
from percpu_ffi.config import SERVICES
from percpu_ffi.event import RECORD, Record
from percpu_ffi.face import PerCpu, integer, integer_buffer, pointer, warn
from percpu_ffi.replay_in_c import replay_in_c
from percpu_ffi.state import ChunkState, Location, Peaks, State
from percpu_ffi.work import Work, WorkByCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from percpu_ffi.config import Buffer, Config, FaultPlan
    from percpu_ffi.replay import Replay
    from percpu_ffi.trace import Trace

__all__ = ["Allocator"]

_FIRST_CHUNKS = {
    "4k": lib.PCPU_FIRST_4K,
    "embed": lib.PCPU_FIRST_EMBED,
    "remap": lib.PCPU_FIRST_REMAP,
}
_MEMORIES = {"mapped": lib.PCPU_MEMORY_MAPPED, "none": lib.PCPU_MEMORY_NONE}

_RECORDS = 256  # taken at a time
_COUNTS = len(fields(Work))  # numbers in a struct pcpu_work

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
    lib.PCPU_E_BUSY: errors.busy,
    lib.PCPU_E_ROLLBACK: errors.no_view_with_rollback,
    lib.PCPU_E_NO_MEMORY_MAPPED: errors.nothing_mapped,
    lib.PCPU_E_TRACE: errors.damaged_trace,
    lib.PCPU_E_HOST: errors.host_out_of_memory,
}

# bound once: looking a function up in lib costs a quarter of calling it
_alloc = lib.pcpu_alloc
_free = lib.percpu_ffi_free


# an allocator may outlive the globals of this module at the interpreter's end, not a default
@ffi.def_extern()
def percpu_ffi_log(_arg: Any, about: int, text: Any, a_warn: int = lib.PCPU_LOG_WARN) -> None:
    """Deliver a WARN of C; what else is told there, exceptions tell here."""
    if about == a_warn:
        warn(ffi.string(text).decode())


def _integers(given: Any, what: str, error: type[Exception]) -> tuple[Any, int, int]:
    """Find the integers in a buffer, or make a buffer of them.

    Returns: the C data, bytes of an item (negative when signed), number of items.
    """
    view = integer_buffer(given, what, error)
    width = view.itemsize if view.format[-1].isupper() else -view.itemsize
    return ffi.from_buffer(view), width, view.nbytes // view.itemsize


class Allocator(PerCpu):
    """The port in C of the allocator that entered Linux in February 2009.

    The interpreter's lock is released inside.
    """

    __slots__ = ("_owner", "_pcpu", "_static_ptr")

    def _open(self, config: Config) -> None:
        image = ffi.from_buffer(config.static_image)
        request = ffi.new(
            "struct pcpu_config *",
            {
                "version": lib.PCPU_VERSION,
                "log": lib.percpu_ffi_log,
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
            },
        )
        error = ffi.new("int *")
        pcpu = lib.pcpu_create(request, error)
        if not pcpu:
            if error[0] == -lib.PCPU_E_HOST:
                raise errors.host_out_of_memory()
            raise errors.ConfigError(ffi.string(lib.pcpu_strerror(error[0])).decode())
        # calls with a pointer that owns nothing are faster
        self._owner = ffi.gc(pcpu, lib.pcpu_destroy)
        self._pcpu = pcpu
        self._static_ptr = int(self._info().static_ptr)

    @property
    def static_ptr(self) -> int:
        return self._static_ptr

    @property
    def chunks(self) -> int:
        return int(self._info().chunks)

    @property
    def pages(self) -> int:
        return int(self._info().pages)

    @property
    def handle(self) -> Any:
        """The ``struct pcpu *`` of C, for modules of your own: see :mod:`percpu_ffi.embed`.

        It is good as long as this object or the handle itself is there.  Once :meth:`close` was
        called, each function of ``percpu.h`` refuses it with ``-PCPU_E_CLOSED``.
        """
        return self._owner

    def alloc(self, size: int, align: int = 8) -> int:
        try:
            return _alloc(self._pcpu, size, align)
        except LookupError as refused:
            raise self._refused(refused, size=size, align=align) from None
        except (TypeError, OverflowError):
            raise self._bad_request(size, align) from None

    def free(self, ptr: int) -> None:
        try:
            _free(self._pcpu, ptr)
        except LookupError as refused:
            raise self._refused(refused, ptr=ptr) from None
        except (TypeError, OverflowError):
            raise errors.not_a_pointer(ptr) from None

    def locate(self, ptr: int) -> Location:
        location = ffi.new("struct pcpu_location *")
        error = lib.pcpu_locate(self._pcpu, pointer(ptr), location)
        if error:
            raise self._error(error, ptr=ptr)
        return Location(location.chunk, location.offset)

    def address(self, ptr: int, cpu: int) -> int:
        number = self._checked_cpu(cpu)
        try:
            return lib.pcpu_address(self._pcpu, pointer(ptr), number)
        except LookupError as refused:
            raise self._refused(refused, ptr=ptr) from None

    def view(self, ptr: int, cpu: int) -> memoryview:
        # the pin's end is in place before the pin, and no Python runs in it: a signal that
        # raises in between loses nothing
        number, pinned_ptr = self._checked_cpu(cpu), pointer(ptr)
        pin = ffi.new("struct pcpu_pin *")
        pinned = ffi.gc(pin, lib.pcpu_unpin)
        error = lib.pcpu_pin(self._pcpu, pinned_ptr, number, pin)
        if error:
            raise self._error(error, ptr=ptr)
        # a buffer keeps its pointer alive, and the pointer what it would call at its end
        copy = ffi.gc(ffi.cast("char *", pin.address), [pinned].append)
        return memoryview(ffi.buffer(copy, pin.size))

    def state(self) -> State:
        error = ffi.new("int *")
        snapshot = lib.pcpu_snapshot_take(self._pcpu, error)
        if not snapshot:
            raise self._error(error[0])
        try:
            return _read_state(snapshot)
        finally:
            lib.pcpu_snapshot_free(snapshot)

    def counters(self) -> dict[str, int]:
        calls = ffi.new("uint64_t[]", lib.PCPU_NR_SERVICES)
        error = lib.pcpu_counters(self._pcpu, calls)
        if error:
            raise self._error(error)
        return dict(zip(SERVICES, ffi.unpack(calls, len(SERVICES)), strict=True))

    def work(self) -> WorkByCall:
        n = _COUNTS
        counts = ffi.new("uint64_t[]", 2 * n)
        work = ffi.cast("struct pcpu_work *", counts)
        error = lib.pcpu_work(self._pcpu, work, work + 1)
        if error:
            raise self._error(error)
        each = ffi.unpack(counts, 2 * n)
        return WorkByCall(alloc=Work(*each[:n]), free=Work(*each[n:]))

    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        data, width, n = _integers(sizes, "sizes", errors.InvalidRequest)
        ptrs = array("q", [0]) * n
        at = ffi.new("size_t *")
        alignment = integer(align)
        if alignment is None:
            raise self._bad_request(1, align)
        error = lib.pcpu_alloc_many(
            self._pcpu, data, width, n, alignment, ffi.from_buffer("int64_t[]", ptrs), at
        )
        if error:
            raise self._error(error, size=_item(data, width, at[0]) if n else 0, align=align)
        return ptrs

    def free_many(self, ptrs: Iterable[int] | Buffer) -> None:
        data, width, n = _integers(ptrs, "pointers", errors.InvalidPointer)
        at = ffi.new("size_t *")
        error = lib.pcpu_free_many(self._pcpu, data, width, n, at)
        if error:
            raise self._error(error, ptr=_item(data, width, at[0]) if n else 0)

    def replay(
        self,
        trace: Trace,
        progress: Callable[[int], object] | None = None,
        stops: Iterable[int] = (),
    ) -> Replay:
        return replay_in_c(self._pcpu, trace, self._error, progress, stops)

    def close(self) -> None:
        error = lib.pcpu_close(self._pcpu)
        if error == -lib.PCPU_E_PINNED:
            raise errors.viewed_on_close()
        if error:
            raise self._error(error)

    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        fault = ffi.NULL if plan is None else ffi.new("struct pcpu_fault *", vars(plan))
        error = lib.pcpu_inject(self._pcpu, SERVICES.index(site), fault)
        if error:
            raise self._error(error)

    def _half_done(self) -> int:
        return int(self._info().partial_failures)

    def _peaks(self) -> Peaks:
        info, error = self._info(), ffi.new("int *")
        snapshot = lib.pcpu_snapshot_take(self._pcpu, error)
        if not snapshot:
            raise self._error(error[0])
        try:
            chunks = (snapshot.chunks[i] for i in range(snapshot.nr_chunks))
            largest = {chunk.id: chunk.max_size for chunk in chunks}
        finally:
            lib.pcpu_snapshot_free(snapshot)
        return Peaks(info.max_areas, info.max_chunks, info.min_size, info.max_size_seen, largest)

    def _record(self, *, on: bool) -> None:
        error = (lib.pcpu_record_start if on else lib.pcpu_record_stop)(self._pcpu)
        if error:
            raise self._error(error)

    def _recorded(self) -> tuple[Iterable[Record], int]:
        found: list[Record] = []
        records = ffi.new("struct pcpu_record[]", _RECORDS)
        count, lost = ffi.new("size_t *"), ffi.new("uint64_t *")
        while True:
            error = lib.pcpu_record_take(self._pcpu, records, _RECORDS, count, lost)
            if error:
                raise self._error(error)
            taken = ffi.buffer(records, count[0] * RECORD.size)
            found += map(Record._make, RECORD.iter_unpack(taken))
            if count[0] < _RECORDS:
                return found, lost[0]

    def _info(self) -> Any:
        info = ffi.new("struct pcpu_info *")
        error = lib.pcpu_info(self._pcpu, info)
        if error:
            raise self._error(error)
        return info

    def _refused(self, error: LookupError, **details: Any) -> Exception:
        """Make the exception for what RAISED_ERRORS in build_ffi.py raised; others pass."""
        if type(error) is not LookupError:
            return error
        return self._error(error.args[0], **details)

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
