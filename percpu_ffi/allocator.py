# SPDX-License-Identifier: GPL-2.0-only
"""The allocator: a thin wrapper of the port in C."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._core import ffi, lib
from percpu_ffi.base import BaseAllocator, pointer
from percpu_ffi.config import SERVICES, Config, FaultPlan
from percpu_ffi.errors import warn
from percpu_ffi.replay import Failure, Figures, Replay, parts
from percpu_ffi.state import Block, Choice, ChunkState, Location, Peaks, State, slot_kinds
from percpu_ffi.trace.operations import OP, SPECIAL
from percpu_ffi.tracing.event import RECORD, Record
from percpu_ffi.work import Work, WorkByCall

if TYPE_CHECKING:
    from percpu_ffi.trace import Trace

_FIRST_CHUNKS = {
    "4k": lib.PCPU_FIRST_4K,
    "embed": lib.PCPU_FIRST_EMBED,
    "remap": lib.PCPU_FIRST_REMAP,
}
_POLICIES = {"area-map": lib.PCPU_POLICY_AREA_MAP, "bitmap": lib.PCPU_POLICY_BITMAP}
_MEMORIES = {"mapped": lib.PCPU_MEMORY_MAPPED, "none": lib.PCPU_MEMORY_NONE}

_RECORDS = 256  # events taken from C at a time
_BLOCK = Struct("8i")  # struct pcpu_block_md
_COUNTS = len(fields(Work))  # numbers in a struct pcpu_work

# errors whose message needs only the pointer
_POINTER_ERRORS: dict[int, Callable[[int], Exception]] = {
    lib.PCPU_E_WILD: errors.WildPointer.of,
    lib.PCPU_E_OTHER_UNIT: errors.OtherUnitPointer.of,
    lib.PCPU_E_STATIC: errors.StaticPointer.of,
    lib.PCPU_E_INTERIOR: errors.InteriorPointer.of,
    lib.PCPU_E_NOT_LIVE: errors.DoubleFree.of,
    lib.PCPU_E_PINNED: errors.viewed,
}

# errors with a fixed message
_PLAIN_ERRORS: dict[int, Callable[[], Exception]] = {
    lib.PCPU_E_CLOSED: errors.closed,
    lib.PCPU_E_BUSY: errors.busy,
    lib.PCPU_E_ROLLBACK: errors.no_view_with_rollback,
    lib.PCPU_E_NO_MEMORY_MAPPED: errors.nothing_mapped,
    lib.PCPU_E_TRACE: errors.damaged_trace,
    lib.PCPU_E_HOST: errors.host_out_of_memory,
    lib.PCPU_E_MAPPINGS: errors.no_mappings_left,
    lib.PCPU_E_FLAGS: lambda: errors.no_flags(False, False),
}

# bound once: a lookup in lib costs a quarter of a call
_alloc: Callable[[Any, int, int], int] = lib.pcpu_alloc
_free = lib.percpu_ffi_free


# a_warn is a default: at the interpreter's end an allocator may outlive this module's globals
@ffi.def_extern()
def percpu_ffi_log(_arg: Any, about: int, text: Any, a_warn: int = lib.PCPU_LOG_WARN) -> None:
    """Turn a WARN of C into a Python warning; C's other messages become exceptions."""
    if about == a_warn:
        warn(ffi.string(text).decode())


def _c_integers(view: memoryview) -> tuple[Any, int, int]:
    """Return a buffer of integers as C takes it.

    Returns: the C data, bytes of an item (negative when signed), number of items.  The data is
    a context that ends its use of the view: a view in use crashes CPython's garbage collector
    when an exception keeps the frame of the call in a cycle.
    """
    width = view.itemsize if view.format[-1].isupper() else -view.itemsize
    return ffi.from_buffer(view), width, view.nbytes // view.itemsize


class Allocator(BaseAllocator):
    """The port of the 2009 file in C.  Its calls release the interpreter's lock.

    Arguments and methods are those of :class:`percpu_ffi.PerCpu`.
    """

    __slots__ = ("_owner", "_pcpu", "_untraced")

    def _open(self, config: Config) -> None:
        image = ffi.from_buffer(config.static_image)
        request = ffi.new(
            "struct pcpu_config *",
            {
                **{name: value for name, value in vars(config).items() if name != "balance"},
                "version": lib.PCPU_VERSION,
                "log": lib.percpu_ffi_log,
                "first_chunk": _FIRST_CHUNKS[config.first_chunk],
                "memory": _MEMORIES[config.memory],
                "quirks": lib.PCPU_QUIRK_ROLLBACK if "rollback" in config.quirks else 0,
                "policy": _POLICIES[config.policy],
                "fixes": lib.PCPU_FIX_CHUNK_HINT if "chunk-hint" in config.fixes else 0,
                "manual_balance": config.balance == "manual",
                "static_image": image,
                "static_image_size": len(config.static_image),
            },
        )
        error = ffi.new("int *")
        pcpu = lib.pcpu_create(request, error)
        if not pcpu:
            # all else was checked before
            raise config.misfit() if error[0] == -lib.PCPU_E_CONFIG else self._error(error[0])
        # calls are faster with a pointer that does not own
        self._owner = ffi.gc(pcpu, lib.pcpu_destroy)
        self._pcpu = self._untraced = pcpu
        info = self._info()
        self._unit_size, self._free_size = int(info.unit_size), int(info.free_size)
        self._static_ptr = int(info.static_ptr)

    @property
    def chunks(self) -> int:
        return int(self._info().chunks)

    @property
    def pages(self) -> int:
        return int(self._info().pages)

    @property
    def hidden_bytes(self) -> int:
        return int(self._info().hidden_bytes)

    @property
    def handle(self) -> Any:
        """The ``struct pcpu *`` of C, for your own extension modules: see :mod:`percpu_ffi.embed`.

        It is valid as long as this object or the handle itself exists.  After :meth:`close`
        each function of ``percpu.h`` refuses it with ``-PCPU_E_CLOSED``.
        """
        return self._owner

    # While no trace is written, these two call C at once; C refuses None with a TypeError.  A
    # check of _tracing would cost 4 % of a call.

    def alloc(self, size: int, align: int = 8) -> int:
        try:
            return _alloc(self._untraced, size, align)
        except LookupError as refused:
            raise self._refused(refused, size=size, align=align) from None
        except (TypeError, OverflowError):
            return super().alloc(size, align)

    def free(self, ptr: int) -> None:
        try:
            _free(self._untraced, ptr)
        except LookupError as refused:
            raise self._refused(refused, ptr=ptr) from None
        except (TypeError, OverflowError):
            super().free(ptr)

    def _alloc(self, size: int, align: int) -> int:
        try:
            return _alloc(self._pcpu, size, align)
        except LookupError as refused:
            raise self._refused(refused, size=size, align=align) from None

    def _alloc_gfp(self, size: int, align: int, atomic: bool, reserved: bool) -> int:
        try:
            return int(lib.pcpu_alloc_gfp(self._pcpu, size, align, _flags(atomic, reserved)))
        except LookupError as refused:
            raise self._refused(refused, size=size, align=align) from None

    def _balance(self, first: int, last: int) -> None:
        self._check(lib.pcpu_balance(self._pcpu, first, last))

    def _follow(
        self,
        size: int,
        align: int,
        kernel: Location | None,
        *,
        atomic: bool,
        reserved: bool,
        learn: bool,
    ) -> Choice:
        place = ffi.NULL if kernel is None else ffi.new("struct pcpu_location *", [*kernel])
        chosen = ffi.new("struct pcpu_choice *")
        flags = _flags(atomic, reserved) | (lib.PCPU_LEARN if learn else 0)
        try:
            ptr = lib.pcpu_follow(self._pcpu, size, align, flags, place, chosen)
        except LookupError as refused:
            if kernel is not None or refused.args != (-lib.PCPU_E_NO_PLACE,):
                raise self._refused(refused, size=size, align=align) from None
            ptr = 0
        return Choice(
            ptr,
            Location(chosen.chunk, chosen.offset) if chosen.offset >= 0 else None,
            chosen.offset_there if chosen.offset_there >= 0 else None,
            bool(chosen.learnt),
        )

    def _free(self, ptr: int) -> None:
        try:
            _free(self._pcpu, ptr)
        except LookupError as refused:
            raise self._refused(refused, ptr=ptr) from None

    def locate(self, ptr: int) -> Location:
        location = ffi.new("struct pcpu_location *")
        self._check(lib.pcpu_locate(self._pcpu, pointer(ptr), location), ptr=ptr)
        return Location(location.chunk, location.offset)

    def address(self, ptr: int, cpu: int) -> int:
        number = self._checked_cpu(cpu)
        try:
            return int(lib.pcpu_address(self._pcpu, pointer(ptr), number))
        except LookupError as refused:
            raise self._refused(refused, ptr=ptr) from None

    def view(self, ptr: int, cpu: int) -> memoryview:
        # unpinning is arranged before the area is pinned: a signal handler that raises in
        # between leaks no pin
        number, pinned_ptr = self._checked_cpu(cpu), pointer(ptr)
        pin = ffi.new("struct pcpu_pin *")
        pinned = ffi.gc(pin, lib.pcpu_unpin)
        self._check(lib.pcpu_pin(self._pcpu, pinned_ptr, number, pin), ptr=ptr)
        # the buffer keeps this pointer alive, and its destructor the pin
        copy = ffi.gc(ffi.cast("char *", pin.address), [pinned].append)
        try:
            return memoryview(ffi.buffer(copy, pin.size))
        finally:
            # a profiler that keeps this frame must not keep the pin
            del pinned, copy

    def state(self) -> State:
        with self._snapshot() as snapshot:
            return _read_state(snapshot)

    @contextmanager
    def _snapshot(self) -> Iterator[Any]:
        error = ffi.new("int *")
        snapshot = lib.pcpu_snapshot_take(self._pcpu, error)
        if not snapshot:
            raise self._error(error[0])
        try:
            yield snapshot
        finally:
            lib.pcpu_snapshot_free(snapshot)

    def counters(self) -> dict[str, int]:
        calls = ffi.new("uint64_t[]", lib.PCPU_NR_SERVICES)
        self._check(lib.pcpu_counters(self._pcpu, calls))
        return dict(zip(SERVICES, ffi.unpack(calls, len(SERVICES)), strict=True))

    def work(self) -> WorkByCall:
        n = _COUNTS
        counts = ffi.new("uint64_t[]", 2 * n)
        work = ffi.cast("struct pcpu_work *", counts)
        self._check(lib.pcpu_work(self._pcpu, work, work + 1))
        each = ffi.unpack(counts, 2 * n)
        return WorkByCall(alloc=Work(*each[:n]), free=Work(*each[n:]))

    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        data, width, n = _c_integers(sizes)
        ptrs = array("q", [0]) * n
        at = ffi.new("size_t *")
        with data:
            error = lib.pcpu_alloc_many(
                self._pcpu, data, width, n, align, ffi.from_buffer("int64_t[]", ptrs), at
            )
            if error:
                raise self._error(error, size=_item(data, width, at[0]) if n else 0, align=align)
        return ptrs

    def _free_many(self, ptrs: memoryview) -> None:
        data, width, n = _c_integers(ptrs)
        at = ffi.new("size_t *")
        with data:
            error = lib.pcpu_free_many(self._pcpu, data, width, n, at)
            if error:
                raise self._error(error, ptr=_item(data, width, at[0]) if n else 0)

    def _replay(
        self,
        trace: Trace,
        part_done: Callable[[int], object],
        stops: Iterable[int] = (),
        figures: Figures | None = None,
    ) -> Replay:
        # its length is the buffer's own; not of the view: see _c_integers
        ops = ffi.from_buffer("struct pcpu_op[]", trace.ops.obj)
        n, handles = len(ops), trace.slots
        pointers = array("q", [0]) * n
        kinds = [(kind.size, kind.align, kind.flag_bits) for kind in trace.kinds]
        faults = [_c_fault(site, FaultPlan.check(**plan)) for site, plan in trace.faults]
        inputs = {  # kept alive until the end of the run
            "ops": ops,
            "kinds": ffi.new("struct pcpu_kind[]", kinds),
            "faults": ffi.new("struct pcpu_replay_fault[]", faults),
            "handles": ffi.new("struct pcpu_replay_handle[]", handles),
            "pointers": ffi.from_buffer("int64_t[]", pointers),
            "nr_kinds": len(kinds),
            "nr_faults": len(faults),
            "nr_handles": handles,
        }
        before = self._info()
        if figures:
            first = before.pages, before.chunks, before.hidden_bytes
            inputs["curves"] = ffi.new("struct pcpu_replay_curves *", _after_first(figures, first))
        run = ffi.new("struct pcpu_replay *", inputs)
        self._check(lib.pcpu_replay_check(run, n))

        # between two parts the interpreter handles Ctrl-C, and other threads run
        for start, end in parts(n, stops):
            self._check(lib.pcpu_replay(self._pcpu, run, start, end))
            part_done(end - start)

        after = self._info()
        return Replay(
            pointers=pointers,
            failures=self._failures(trace, pointers) if run.failures else (),
            elapsed_ns=run.elapsed_ns,
            live_bytes=run.live_bytes,
            peak_live_bytes=run.peak_live_bytes,
            pages_at_peak=run.pages_at_peak if run.peak_live_bytes else before.pages,
            peak_populated_pages=max(run.peak_pages, before.pages),
            populated_pages=after.pages,
            chunks_created=after.chunks_created - before.chunks_created,
            chunks_destroyed=after.chunks_destroyed - before.chunks_destroyed,
            chunks=after.chunks,
            peak_chunks=max(run.peak_chunks, before.chunks),
            ignored_flags=run.ignored_flags,
            hidden_bytes=after.hidden_bytes,
            peak_hidden_bytes=max(run.peak_hidden, before.hidden_bytes),
        )

    def _failures(self, trace: Trace, pointers: array[int]) -> tuple[Failure, ...]:
        """Replace each error code in the pointers by 0, and return it as an exception."""
        found = []
        held: dict[int, int] = {}  # pointers by handle, for errors of frees
        for index, (_key, handle, kind) in enumerate(OP.iter_unpack(trace.ops)):
            ptr = pointers[index]
            if ptr < 0:
                op = trace[index]
                details = {"size": op[2], "align": op[3]} if op[0] == "alloc" else {}
                found.append(
                    Failure(index, op, self._error(ptr, ptr=held.get(handle, 0), **details))
                )
                pointers[index] = 0
            elif kind < SPECIAL:
                held[handle] = ptr
        return tuple(found)

    def _close(self) -> None:
        error = lib.pcpu_close(self._pcpu)
        if error == -lib.PCPU_E_PINNED:
            raise errors.viewed_on_close()
        self._check(error)

    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        fault = ffi.NULL if plan is None else ffi.new("struct pcpu_fault *", vars(plan))
        self._check(lib.pcpu_inject(self._pcpu, SERVICES.index(site), fault))

    def _partial_failure_count(self) -> int:
        return int(self._info().partial_failures)

    def _lives(self) -> tuple[int, int]:
        info = self._info()
        return int(info.chunks_created), int(info.chunks_destroyed)

    def _balance_requested(self) -> bool:
        return bool(self._info().balance_requested)

    def _peaks(self) -> Peaks:
        info = self._info()
        with self._snapshot() as snapshot:
            chunks = (snapshot.chunks[i] for i in range(snapshot.nr_chunks))
            largest = {chunk.id: chunk.max_size for chunk in chunks}
        return Peaks(info.max_areas, info.max_chunks, info.min_size, info.max_size_seen, largest)

    def _record(self, *, on: bool) -> None:
        self._check((lib.pcpu_record_start if on else lib.pcpu_record_stop)(self._pcpu))
        self._untraced = None if on else self._pcpu

    def _recorded(self) -> tuple[Iterable[Record], int]:
        found: list[Record] = []
        records = ffi.new("struct pcpu_record[]", _RECORDS)
        count, lost = ffi.new("size_t *"), ffi.new("uint64_t *")
        while True:
            self._check(lib.pcpu_record_take(self._pcpu, records, _RECORDS, count, lost))
            taken = ffi.buffer(records, count[0] * RECORD.size)
            found += map(Record._make, RECORD.iter_unpack(taken))
            if count[0] < _RECORDS:
                return found, lost[0]

    def _info(self) -> Any:
        info = ffi.new("struct pcpu_info *")
        self._check(lib.pcpu_info(self._pcpu, info))
        return info

    def _check(self, error: int, **details: Any) -> None:
        if error:
            raise self._error(error, **details)

    def _refused(self, error: LookupError, **details: Any) -> Exception:
        """Return the exception for one that RAISED_ERRORS of build_ffi.py raised, or itself."""
        if type(error) is not LookupError:
            return error
        return self._error(error.args[0], **details)

    def _error(self, code: int, *, size: Any = 0, align: Any = 0, ptr: int = 0) -> Exception:
        """Return the exception for an error code of C."""
        code = -code
        if code in _PLAIN_ERRORS:
            return _PLAIN_ERRORS[code]()
        if code in _POINTER_ERRORS:
            return _POINTER_ERRORS[code](ptr)
        if code == lib.PCPU_E_NO_PLACE:
            return errors.no_place(size, align)
        if code >= lib.PCPU_E_NOMEM:
            return errors.out_of_memory(SERVICES[code - lib.PCPU_E_NOMEM], size, align)
        if code in (lib.PCPU_E_SIZE, lib.PCPU_E_ALIGN):
            return self._bad_request(size if code == lib.PCPU_E_SIZE else 1, align)
        return errors.ConfigError(ffi.string(lib.pcpu_strerror(-code)).decode())


def _c_fault(site: str, plan: FaultPlan | None) -> dict[str, Any]:
    """Return the fields of a ``struct pcpu_replay_fault``; without a plan it clears the site."""
    if plan is None:
        return {"site": SERVICES.index(site), "clear": True}
    return {"site": SERVICES.index(site), "fault": vars(plan)}


def _flags(atomic: bool, reserved: bool) -> int:
    """Return the flags of a request."""
    return (lib.PCPU_ATOMIC if atomic else 0) | (lib.PCPU_RESERVED if reserved else 0)


def _item(data: Any, width: int, at: int) -> int:
    """Return one of the integers of :func:`_c_integers`."""
    ctype = f"{'' if width < 0 else 'u'}int{8 * abs(width)}_t *"
    return int(ffi.cast(ctype, data)[at])


def _blocks(blocks: Any, n: int) -> tuple[Block, ...]:
    return tuple(map(Block._make, _BLOCK.iter_unpack(ffi.buffer(blocks, n * _BLOCK.size))))


def _after_first(figures: Figures, first: Iterable[int]) -> list[Any]:
    """Set the first item of each column, and return the addresses of the second ones."""
    for column, value in zip(figures, first, strict=True):
        column[0] = value
    return [ffi.from_buffer("int64_t[]", column) + 1 for column in figures]


def _read_state(snapshot: Any) -> State:
    lengths = ffi.unpack(snapshot.slot_len, snapshot.nr_slots)
    ids = iter(ffi.unpack(snapshot.slot_ids, sum(lengths)))
    chunks = (snapshot.chunks[i] for i in range(snapshot.nr_chunks))
    return State(
        slots=tuple(tuple(islice(ids, n)) for n in lengths),
        chunks=tuple(
            ChunkState(
                id=chunk.id,
                free_size=chunk.free_size,
                contig_hint=chunk.contig_hint,
                map=tuple(ffi.unpack(chunk.map, chunk.map_used)) if chunk.map_used else (),
                map_alloc=chunk.map_alloc,
                immutable=bool(chunk.immutable),
                populated=tuple(ffi.unpack(chunk.populated, snapshot.unit_pages)),
                hints=_blocks(ffi.addressof(chunk, "hints"), 1)[0] if chunk.nr_blocks else None,
                blocks=_blocks(chunk.blocks, chunk.nr_blocks) if chunk.nr_blocks else (),
                empty_pages=chunk.empty_pages,
                isolated=bool(chunk.isolated),
            )
            for chunk in chunks
        ),
        kinds=slot_kinds(snapshot.nr_slots) if snapshot.populated_pages else (),
        populated_pages=snapshot.populated_pages,
        empty_pages=snapshot.empty_pages,
        balance_requested=bool(snapshot.balance_requested),
        atomic_failed=bool(snapshot.atomic_failed),
    )
