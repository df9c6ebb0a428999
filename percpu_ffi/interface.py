# SPDX-License-Identifier: GPL-2.0-only
"""What an allocator looks like from outside, whatever is behind it.

:class:`PerCpu` holds the contract and all that needs no allocator to be told: the
geometry, areas as objects, the end of a ``with`` block, the check of what must hold.
``allocator`` puts the port in C behind it, ``model`` the same in pure Python.
"""

from __future__ import annotations

import contextlib
import operator
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from array import array
from typing import IO, TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._util.text import plural
from percpu_ffi.area import Area
from percpu_ffi.config import FAULT_SITES, Config, FaultPlan
from percpu_ffi.invariants import violations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from percpu_ffi.config import Buffer, FirstChunk, Memory
    from percpu_ffi.replay import Replay
    from percpu_ffi.state import Location, Peaks, State
    from percpu_ffi.trace import Trace
    from percpu_ffi.tracing.event import Record
    from percpu_ffi.tracing.ftrace import Tracing
    from percpu_ffi.work import WorkByCall

__all__ = ["PerCpu"]

INTEGER_FORMATS = frozenset("bBhHiIlLqQnN")


class PerCpu(ABC):
    """A dynamic per-CPU allocator.

    Pointers are integers above 0, the same in every run; sizes and alignments are in
    bytes.  Threads may share an allocator: docs/threads.md.

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

    __slots__ = ("__weakref__", "_config", "_tracing")

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
        self._config = Config.check(
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
        self._tracing: Tracing | None = None
        self._open(self._config)

    def __enter__(self) -> Self:
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

    def __repr__(self) -> str:
        name, config = type(self).__name__, self._config
        try:
            chunks, pages = self.chunks, self.pages
        except errors.ClosedError:
            return f"<{name}, closed>"
        return (
            f"<{name} {config.first_chunk}, {plural(config.cpus, 'CPU')} x {config.unit_size:,} "
            f"bytes, {plural(chunks, 'chunk')}, {plural(pages, 'page')}>"
        )

    def _repr_html_(self) -> str:
        """Draw the chunks, for notebooks; a closed allocator has none."""
        from percpu_ffi.drawing import picture  # noqa: PLC0415 - notebooks alone need it

        try:
            chunks = self.state().chunks
        except errors.ClosedError:
            chunks = ()
        return picture(repr(self), chunks, self.unit_size, self.static_size)

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
    def chunks(self) -> int:
        """Chunks now, the first one included."""
        return len(self.state().chunks)

    @property
    def pages(self) -> int:
        """Page frames that the chunks hold now, of all CPUs, static ones included."""
        return sum(sum(chunk.populated) for chunk in self.state().chunks)

    @property
    @abstractmethod
    def static_ptr(self) -> int:
        """Per-CPU pointer of the static area, for locate(), address() and view()."""

    @abstractmethod
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

    @abstractmethod
    def free(self, ptr: int) -> None:
        """Free the area of a per-CPU pointer; 0 does nothing.

        Raises:
            WildPointer, OtherUnitPointer, StaticPointer, InteriorPointer, DoubleFree:
                the pointer does not stand for a live area.
            BufferError: a view of the area is alive.
            ClosedError: the allocator is closed.

        Source: ``free_percpu`` of the 2009 file.

        """

    @abstractmethod
    def locate(self, ptr: int) -> Location:
        """Tell in which chunk, at which offset, an area lies.

        Raises: as :meth:`free`, but BufferError.
        """

    @abstractmethod
    def address(self, ptr: int, cpu: int) -> int:
        """Tell the real address of one CPU's copy, good until the area is freed.

        Raises: as :meth:`locate`, and ConfigError where there is no such CPU or
            no memory is mapped.
        """

    @abstractmethod
    def view(self, ptr: int, cpu: int) -> memoryview:
        """Look at one CPU's copy: a writable memoryview of bytes.

        It has the length of the area in the map: what was asked for and the few bytes
        that the allocator rounds in.  While it lives, or anything made from it, the area
        cannot be freed.

        Raises: as :meth:`address`; ConfigError also with the quirk ``"rollback"``.
        """

    def area(self, size: int, align: int = 8) -> Area:
        """Allocate an area and return it as an object.

        Raises: as :meth:`alloc`.
        """
        return Area(self, self.alloc(size, align), size)

    @abstractmethod
    def state(self) -> State:
        """Copy out all slots and chunks, as they are at one moment.

        Raises:
            ClosedError: the allocator is closed.

        """

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Count the calls to each kernel service since creation, set-up included.

        Raises:
            ClosedError: the allocator is closed.

        """

    @abstractmethod
    def work(self) -> WorkByCall:
        """Count what was done since creation, for allocations and for frees.

        The counts are those of the file of 2009 for the same requests, whatever the
        implementation does to be faster; :class:`percpu_ffi.Work` tells what each means.
        Requests and pointers that are refused count nothing, nor does a free of 0, nor the
        set-up.  ``a.work() - before`` is what was done in between.

        Raises:
            ClosedError: the allocator is closed.

        """

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
            raise errors.bad_site(site, FAULT_SITES)
        self._inject(site, FaultPlan.check(nth, times, interval, probability, seed))

    @abstractmethod
    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        """Allocate many areas in one call, all or none.

        Args:
            sizes: a buffer of integers of any width, or an iterable of integers.
            align: alignment of all, as in :meth:`alloc`.

        Returns: their pointers, an array of 64-bit integers.

        Raises: as :meth:`alloc`; what was allocated before the failure is freed again.

        """

    @abstractmethod
    def free_many(self, ptrs: Iterable[int] | Buffer) -> None:
        """Free many areas in one call, in the order given, all or none.

        Args:
            ptrs: a buffer of integers of any width, or an iterable of integers.

        Raises: as :meth:`free`, for the first that is wrong, with nothing freed.

        """

    @abstractmethod
    def replay(
        self,
        trace: Trace,
        progress: Callable[[int], object] | None = None,
        stops: Iterable[int] = (),
    ) -> Replay:
        """Run a whole trace through the allocator.

        Areas that the trace does not free stay allocated; faults that it sets stay set.
        A trace of more than 65,536 operations goes in parts: between two of them Ctrl-C is
        heard and other threads have their turn.  What was done until then stays.

        Args:
            trace: the operations.
            progress: called with the number of operations done since its last call; it may
                look at the allocator.
            stops: after how many operations to call it too; what lies outside the trace is
                passed over.

        Returns: pointers, failures and figures; an operation that fails is noted there
            and the run goes on.

        Raises:
            TraceError: the trace is damaged; nothing was run.
            ClosedError: the allocator is closed.

        """

    def percpu_stats(self) -> str:
        """Tell the statistics as Linux does in ``/sys/kernel/debug/percpu_stats``.

        The same fields in the same order and layout, so that whatever reads a kernel's can
        read these: ``percpu_ffi.stats`` does, and ``percpu-ffi stats --diff``.  What each
        means in an allocator of 2009 is told in docs/stats.md.  It is put together from
        several looks at the allocator: with other threads busy they may differ by a call.

        Raises:
            ClosedError: the allocator is closed.

        """
        from percpu_ffi.stats import figures  # noqa: PLC0415 - few need it

        return str(figures(self))

    def trace_to(self, file: str | Path | IO[str]) -> Tracing:
        """Write what happens from now on as the text of ftrace, until that is closed.

        >>> import io
        >>> from percpu_ffi import Allocator
        >>> text = io.StringIO()
        >>> with Allocator() as a, a.trace_to(text) as tracing:
        ...     a.free(a.alloc(64))
        >>> [line.split(": ")[1] for line in text.getvalue().splitlines() if line[0] == " "]
        ['percpu_alloc_percpu', 'percpu_free_percpu']

        Lines are those of a kernel 6.x, one for each event ``percpu:percpu_*``; call sites
        are the Python functions that called, times count from now.  A line is there when its
        call returns.  A forked child is not traced.

        Args:
            file: where to, a path or a file opened for text; a file stays open.

        Returns: the trace, to be closed; closing the allocator does it too.

        Raises:
            OSError: the file cannot be opened.
            ConfigError: a trace is being written already, or text cannot be written to the
                file.
            ClosedError: the allocator is closed.

        """
        from percpu_ffi.tracing.ftrace import start  # noqa: PLC0415 - few need it

        return start(self, file)

    def validate(self, live: Mapping[int, int | Sequence[Buffer]] | None = None) -> None:
        """Check everything that must hold between two calls.

        The sizes in each map add up, the hint is no smaller than the largest hole, no
        entry is 0, no two free ones are neighbours; every chunk stands once on the lists, in
        the slot of its free size, and once in the address tree; each page is held by all CPUs
        or none, and those of areas are held.

        It looks at the state of one moment, so other threads may work meanwhile, unless
        ``live`` is given.

        Args:
            live: all live areas by pointer, with their size in bytes, or with what each
                CPU's copy contains (not compared with the quirk ``"rollback"``, where nothing
                can be looked at).  The map must have these areas and no others.

        Raises:
            InvariantError: something does not hold; the message lists all of it.
            ConfigError: ``live`` is no such mapping.
            ClosedError: the allocator is closed.

        """
        found = violations(self, live)
        if found:
            raise errors.broken_invariants(found)

    @abstractmethod
    def close(self) -> None:
        """Give all memory back; every later call but this raises ClosedError.

        Raises:
            BufferError: a view of some area is alive.

        """

    @abstractmethod
    def _open(self, config: Config) -> None:
        """Set the first chunk up."""

    @abstractmethod
    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        """Set or clear the plan of a site."""

    @abstractmethod
    def _half_done(self) -> int:
        """Count the requests that gave a small gap away and then failed.

        Their chunk may stand in a higher slot than its free size says: docs/errata.md.
        """

    def _peaks(self) -> Peaks:
        """Tell the most and the largest that there ever was."""
        raise NotImplementedError

    def _record(self, *, on: bool) -> None:
        """Keep events from now on, or no more."""
        raise NotImplementedError

    def _recorded(self) -> tuple[Iterable[Record], int]:
        """Take the events that were kept, and tell how many were lost behind them."""
        raise NotImplementedError

    def _checked_cpu(self, cpu: Any) -> int:
        number = integer(cpu)
        if number is None or not 0 <= number < self.cpus:
            raise errors.bad_cpu(cpu, self.cpus)
        return number

    def _bad_request(self, size: Any, align: Any) -> errors.InvalidRequest:
        return errors.bad_request(size, align, self.max_size, self.page_size)


def integer_buffer(given: Any, what: str, error: type[Exception]) -> memoryview:
    """Find the integers in a buffer, or make a buffer of them.

    Raises: ``error`` where there are none.
    """
    try:
        view = memoryview(given)
    except TypeError:
        try:
            view = memoryview(array("q", given))
        except (TypeError, OverflowError):
            raise error(errors.bad_integers(given, what)) from None
    if view.format.lstrip("@=<") not in INTEGER_FORMATS or not view.c_contiguous:
        raise error(errors.bad_integers(given, what))
    return view


def integers(view: memoryview) -> list[int]:
    """Read the integers of such a buffer, in the machine's byte order."""
    data, width, signed = view.tobytes(), view.itemsize, view.format[-1].islower()
    return [
        int.from_bytes(data[i : i + width], sys.byteorder, signed=signed)
        for i in range(0, len(data), width)
    ]


def integer(value: Any) -> int | None:
    """Make an integer of 64 bits, or None."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if -(1 << 63) <= number < 1 << 63 else None


def pointer(value: Any) -> int:
    """Make a pointer of whatever is an integer.

    Raises:
        InvalidPointer: it is none, or one of more than 64 bits.

    """
    number = integer(value)
    if number is None:
        raise errors.not_a_pointer(value)
    return number


_thread = threading.local()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keep WARNs of this thread from becoming Python warnings; they are counted all the same."""
    before = getattr(_thread, "quiet", False)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = before


def warn(text: str) -> None:
    """Turn a WARN into a Python warning that points at the caller of this package.

    Where a filter makes an error of it, the call's own error is the one to be raised.
    """
    if getattr(_thread, "quiet", False):
        return
    package = __name__.partition(".")[0]
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    with contextlib.suppress(errors.PercpuWarning):
        warnings.warn(text, errors.PercpuWarning, stacklevel=level)
