# SPDX-License-Identifier: GPL-2.0-only
"""The contract of an allocator: what its methods take, return and raise.

Only the constructor, the geometry and ``inject()`` are implemented here; ``base`` has what all
allocators share, ``allocator`` and ``model`` the rest.  Their methods inherit the docstrings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Self

from percpu_ffi.config import (
    DEFAULT_FIRST_CHUNK,
    FAULT_SITES,
    Balance,
    Buffer,
    Config,
    FaultPlan,
    FirstChunk,
    Memory,
    Policy,
)
from percpu_ffi.errors import bad_site

if TYPE_CHECKING:
    from array import array
    from pathlib import Path
    from threading import Lock

    from percpu_ffi.area import Area
    from percpu_ffi.replay import Replay
    from percpu_ffi.state import Choice, Location, Peaks, State
    from percpu_ffi.trace import Trace
    from percpu_ffi.tracing.event import Record
    from percpu_ffi.tracing.ftrace import Tracing
    from percpu_ffi.work import WorkByCall


class PerCpu(ABC):
    """A dynamic per-CPU allocator.

    Pointers are integers above 0, the same in every run; sizes and alignments are in
    bytes.  Threads may share an allocator: see docs/threads.md.  After :meth:`close` all
    methods except :meth:`close` raise ClosedError.

    Args:
        cpus: possible CPUs, 1 to 65,536.
        static_size: bytes of the static area at the start of the first chunk.
        first_chunk: how the first chunk is set up: ``"4k"``, ``"embed"`` or ``"remap"``.  Not
            with bitmaps.
        unit_size: bytes of each CPU's unit; 0 leaves it to the set-up.
        free_size: free bytes after the static area in the first chunk; 0 likewise.  Not with
            bitmaps.
        static_image: first bytes of every CPU's static area.
        nodes: NUMA nodes; the CPUs are spread over them in even blocks.
        page_size: bytes; None takes the host's.  Any power of two with ``memory="none"``.
        memory: ``"mapped"`` for real memory, ``"none"`` for bookkeeping only.
        page_limit: page frames that a node has for dynamic areas; None: no limit.
        quirks: ``"rollback"`` keeps one defect of 2009; see docs/errata.md.  Not with bitmaps.
        policy: whose decisions: ``"area-map"``, the 2009 file's, or ``"bitmap"``, those of Linux
            5.14 to 6.x; see docs/bitmap.md.
        reserved_size: bytes of the chunk that is reserved for modules; 0: none.  Only with
            bitmaps, as all that follow.
        dyn_size: bytes of the first chunk; 0: what whole pages leave with 28 KiB added.
        fixes: ``"chunk-hint"`` mends a defect that all measured kernels have.
        balance: ``"auto"``: background work runs at the end of the operation that requests it;
            ``"manual"``: when :meth:`balance` is called.

    Raises:
        ConfigError: an argument is out of range, or they do not fit together.
        PercpuMemoryError: the host has no address space left.

    """

    __slots__ = (
        *("__weakref__", "_config", "_free_size", "_static_ptr", "_trace_claim", "_tracing"),
        "_unit_size",
    )

    def __init__(
        self,
        cpus: int = 4,
        static_size: int = 8192,
        first_chunk: FirstChunk = DEFAULT_FIRST_CHUNK,
        *,
        unit_size: int = 0,
        free_size: int = 0,
        static_image: Buffer | None = None,
        nodes: int = 1,
        page_size: int | None = None,
        memory: Memory = "mapped",
        page_limit: int | None = None,
        quirks: Collection[str] = (),
        policy: Policy = "area-map",
        reserved_size: int = 0,
        dyn_size: int = 0,
        fixes: Collection[str] = (),
        balance: Balance = "auto",
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name != "self"}
        self._create(Config(**arguments))

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None: ...

    @abstractmethod
    def _repr_html_(self) -> str:
        """Draw the chunks, for notebooks; a closed allocator has none."""

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
        return self._unit_size

    @property
    def max_size(self) -> int:
        """Bytes of the largest request: 16 pages; with bitmaps 8."""
        return self._config.max_size

    @property
    def static_size(self) -> int:
        """Bytes of the static area."""
        return self._config.static_size

    @property
    def policy(self) -> str:
        """Whose decisions it takes: ``"area-map"`` or ``"bitmap"``."""
        return self._config.policy

    @property
    def static_ptr(self) -> int:
        """Per-CPU pointer of the static area, for locate(), address() and view()."""
        return self._static_ptr

    @property
    def chunks(self) -> int:
        """Chunks now, the first one included."""
        return len(self.state().chunks)

    @property
    def pages(self) -> int:
        """Page frames that the chunks hold now, of all CPUs, static ones included."""
        return sum(sum(chunk.populated) for chunk in self.state().chunks)

    @property
    def hidden_bytes(self) -> int:
        """Free bytes of one CPU's units in chunks whose contig hint is 0: no search finds them.

        Only with bitmaps; see docs/hidden-space.md.
        """
        return self.state().hidden_bytes

    @abstractmethod
    def alloc(self, size: int, align: int = 8) -> int:
        """Allocate an area of ``size`` bytes on every CPU, zeroed.

        Returns: its per-CPU pointer, above 0.

        Raises:
            InvalidRequest: size is not from 1 byte to 16 pages, or align is not a power of
                two up to a page.
            PercpuMemoryError: a kernel service failed.

        Source: ``__alloc_percpu`` of the 2009 file.

        """

    @abstractmethod
    def alloc_gfp(
        self, size: int, align: int = 8, *, atomic: bool = False, reserved: bool = False
    ) -> int:
        """Allocate as :meth:`alloc`, for a caller that may not sleep, or for a module.

        Args:
            size: bytes.
            align: a power of two, bytes; with bitmaps 0 to 3 are taken for 4.
            atomic: serve it from populated pages only.
            reserved: serve it from the reserved chunk, if there is one.

        Returns: its per-CPU pointer.

        Raises:
            InvalidRequest: as :meth:`alloc`; or a flag is set with ``policy="area-map"``.
            PercpuMemoryError: a kernel service failed; or (``service`` is ``"place"``) there is
                no place for a request with a flag.

        Source: ``pcpu_alloc`` of Linux 5.14 to 6.x.

        """

    @abstractmethod
    def balance(self, first: int = 1, last: int = 4) -> None:
        """Run the background work once; with ``policy="area-map"`` there is none.

        Its steps: 1 destroys all free chunks but one; 2 depopulates empty pages of isolated
        chunks; 3 populates pages for atomic requests; 4 destroys free chunks without pages.

        Args:
            first: the first step to run; 1 begins a run.
            last: the last one.

        Raises:
            ConfigError: there are no such steps.

        Source: ``pcpu_balance_workfn`` of Linux 5.14 to 6.x.

        """

    @abstractmethod
    def follow(
        self,
        size: int,
        align: int,
        kernel: Location | None,
        *,
        atomic: bool = False,
        reserved: bool = False,
        learn: bool = False,
    ) -> Choice:
        """Allocate where a kernel did, and return what the policy chooses; only with bitmaps.

        Args:
            size: bytes.
            align: bytes.
            kernel: chunk and offset where the kernel placed the area; the chunk after the last
                one is created.  None: the kernel found no place.
            atomic: as in :meth:`alloc_gfp`.
            reserved: as in :meth:`alloc_gfp`.
            learn: a chunk that the policy chooses and the kernel passes over is taken to be
                sidelined, for a kernel whose state at the start is not known.

        Raises:
            InvalidRequest: as :meth:`alloc_gfp`; or the policy is the area map's.
            WildPointer: there is no such chunk or offset.
            PercpuMemoryError: the place is not free (``service`` is ``"place"``); or a kernel
                service failed.

        """

    @abstractmethod
    def free(self, ptr: int) -> None:
        """Free the area of a per-CPU pointer; 0 does nothing.

        Raises:
            WildPointer, OtherUnitPointer, StaticPointer, InteriorPointer, DoubleFree:
                the pointer is not that of a live area.
            BufferError: a view of the area is alive.

        Source: ``free_percpu`` of the 2009 file.

        """

    @abstractmethod
    def locate(self, ptr: int) -> Location:
        """Return the chunk and the offset of an area.

        Raises: as :meth:`free`, except BufferError.
        """

    @abstractmethod
    def address(self, ptr: int, cpu: int) -> int:
        """Return the real address of one CPU's copy, valid until the area is freed.

        Raises: as :meth:`locate`, and ConfigError where there is no such CPU or
            no memory is mapped.
        """

    @abstractmethod
    def view(self, ptr: int, cpu: int) -> memoryview:
        """Return one CPU's copy as a writable memoryview of bytes.

        Its length is that of the area in the map: the requested bytes and the few
        that the allocator rounds in.  While the view lives, or anything made from it, the
        area cannot be freed.

        Raises: as :meth:`address`; ConfigError also with the quirk ``"rollback"``.
        """

    @abstractmethod
    def area(self, size: int, align: int = 8) -> Area:
        """Allocate an area and return it as an object.

        Raises: as :meth:`alloc`.
        """

    @abstractmethod
    def state(self) -> State:
        """Return a copy of all slots and chunks, as they are at one moment."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Return the number of calls to each kernel service since creation, set-up included."""

    @abstractmethod
    def work(self) -> WorkByCall:
        """Return the work since creation, for allocations and for frees.

        The counts are those of the 2009 file for the same requests, even where the
        implementation is faster; :class:`percpu_ffi.Work` explains each.  Refused requests
        and pointers count nothing, nor does a free of 0, nor the set-up.
        ``a.work() - before`` is the work done in between.
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
        """Make calls to a kernel service fail; without a plan, clear the one that is set.

        Args:
            site: ``kmalloc``, ``vmalloc``, ``get_vm_area``, ``alloc_page`` or ``map``.
            nth: the first call from now that may fail, from 1.
            times: how often to fail at most, -1 for no limit; by default once if ``nth`` is
                given, else without limit.
            interval: from the nth on, only every interval-th call may fail.
            probability: chance of each of these calls, above 0, up to 1.
            seed: of the random numbers; the same seed gives the same faults.

        Raises:
            ConfigError: no such site, or a value out of range.

        """
        if site not in FAULT_SITES:
            raise bad_site(site, FAULT_SITES)
        self._inject(site, FaultPlan.check(nth, times, interval, probability, seed))

    @abstractmethod
    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        """Allocate many areas in one call, all or none.

        Args:
            sizes: a buffer of integers of any width, or an iterable of integers.
            align: alignment of all, as in :meth:`alloc`.

        Returns: their pointers, an array of 64-bit integers.

        Raises: as :meth:`alloc`; the areas allocated before the failure are freed again.

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
        A trace of more than 65,536 operations runs in parts.  Between two parts Ctrl-C is
        handled and other threads run; the operations done so far stay done.

        Args:
            trace: the operations.
            progress: called with the number of operations done since its last call; it may
                use the allocator.
            stops: numbers of operations after which to call it too; those outside the trace
                are ignored.

        Returns: pointers, failures and figures; an operation that fails is recorded there
            and the run goes on.

        Raises:
            TraceError: the trace is damaged; nothing was run.
            ConfigError: an argument is of a wrong type; nothing was run.

        """

    @abstractmethod
    def percpu_stats(self) -> str:
        """Return the statistics as Linux prints them in ``/sys/kernel/debug/percpu_stats``.

        The fields, their order and their layout are the kernel's, so whatever reads its
        statistics can read these: ``percpu_ffi.stats`` does, and ``percpu-ffi stats --diff``.
        docs/stats.md explains each figure.  They are read in several calls: while other
        threads use the allocator, they may differ by an operation.
        """

    @abstractmethod
    def trace_to(self, file: str | Path | IO[str]) -> Tracing:
        """Write all events from now on in ftrace's text format, until the trace is closed.

        >>> import io
        >>> from percpu_ffi import Allocator
        >>> text = io.StringIO()
        >>> with Allocator() as a, a.trace_to(text) as tracing:
        ...     a.free(a.alloc(64))
        >>> [line.split(": ")[1] for line in text.getvalue().splitlines() if line[0] == " "]
        ['percpu_alloc_percpu', 'percpu_free_percpu']

        The lines are those of a kernel 6.x, one for each event ``percpu:percpu_*``; call sites
        are the Python functions that called, times count from now.  A line is written before
        its call returns.  A forked child is not traced.

        Args:
            file: a path, or a file opened for writing text, which stays open.

        Returns: the trace, to be closed; closing the allocator closes it too.

        Raises:
            OSError: the file cannot be opened.
            ConfigError: the allocator is being traced already, or text cannot be written to
                the file.  Nothing has changed then.

        """

    @abstractmethod
    def validate(self, live: Mapping[int, int | Sequence[Buffer]] | None = None) -> None:
        """Check everything that must hold between two calls.

        The sizes in each map add up, the contig hint is no smaller than the largest free
        range, no entry is 0, no two free ones are neighbours; every chunk is once on the
        lists, in the slot of its free size, and once in the address tree; each page is held
        by all CPUs or none, and those of areas are held.  With bitmaps no hint claims what is in
        use, nothing is free before ``first_free``, empty pages are counted, and isolated chunks
        are on the lists for them; an allocator that follows a kernel may break the first of these.

        The check uses the state of one moment, so other threads may use the allocator
        meanwhile, unless ``live`` is given.

        Args:
            live: all live areas by pointer, with their size in bytes, or with the contents
                of each CPU's copy (not compared with the quirk ``"rollback"``, which allows
                no views).  The map must have these areas and no others.

        Raises:
            InvariantError: something does not hold; the message lists everything.
            ConfigError: ``live`` is no such mapping.

        """

    @abstractmethod
    def close(self) -> None:
        """Release all memory, and end a trace that is being written.  Closing again does nothing.

        Raises:
            BufferError: a view of some area is alive.

        """

    # --- for the other modules of this package

    _config: Config
    """The arguments of the constructor, checked."""
    _unit_size: int
    _static_ptr: int
    _free_size: int
    """Free bytes after the static area when the first chunk was set up."""

    _tracing: Tracing | None
    """The trace that is being written, once it is set up."""
    _trace_claim: Lock
    """Held from the start of a trace to its end."""

    @abstractmethod
    def _create(self, config: Config) -> None:
        """Set up the allocator."""

    @abstractmethod
    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        """Set or clear the plan of a site."""

    @abstractmethod
    def _partial_failure_count(self) -> int:
        """Return how many requests gave a small head away and then failed.

        Their chunk may be in a higher slot than its free size says: see docs/errata.md.
        """

    @abstractmethod
    def _lives(self) -> tuple[int, int]:
        """Return how many chunks were created, the first not counted, and destroyed."""

    @abstractmethod
    def _balance_requested(self) -> bool:
        """Return whether background work is to run."""

    @abstractmethod
    def _peaks(self) -> Peaks:
        """Return the largest numbers and sizes since creation."""

    @abstractmethod
    def _record(self, *, on: bool) -> None:
        """Keep events from now on, or stop and forget those kept."""

    @abstractmethod
    def _recorded(self) -> tuple[Iterable[Record], int]:
        """Take the events kept so far, and the number of those lost after them."""
