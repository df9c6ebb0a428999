# SPDX-License-Identifier: GPL-2.0-only
"""The public functions: what both policies share, except their decisions.

A call takes the lock, checks its arguments, lets the policy decide, and counts and reports what
was done.  ``policy`` has the chunks, and is where decisions begin.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from percpu_ffi import errors
from percpu_ffi._util.integers import integers
from percpu_ffi.base import BaseAllocator, pointer
from percpu_ffi.config import AREA_MAP, BITMAP
from percpu_ffi.model.area_map import AreaMap
from percpu_ffi.model.bitmap import Bitmap
from percpu_ffi.model.bitmap.follow import Follower
from percpu_ffi.model.entry import Entry
from percpu_ffi.model.kernel import Fault, ServiceFailed
from percpu_ffi.model.pages import pages_of
from percpu_ffi.model.policy import Found, Policy, Request
from percpu_ffi.model.replay import replay_in_model
from percpu_ffi.model.tally import Tally
from percpu_ffi.state import Choice, Location, Peaks, State
from percpu_ffi.tracing.event import ALLOC, ALLOC_FAIL, ATOMIC, FREE, RESERVED, Record
from percpu_ffi.work import WorkByCall

if TYPE_CHECKING:
    from percpu_ffi.config import Config, FaultPlan
    from percpu_ffi.model.chunk import Chunk
    from percpu_ffi.model.memory import Memory
    from percpu_ffi.replay import Replay
    from percpu_ffi.trace import Trace


class Model(BaseAllocator):
    """The allocator in pure Python: same decisions, state and service calls as the port in C.

    It needs no compiled code, and is about a hundred times slower.
    """

    POLICIES: ClassVar[Mapping[str, Callable[..., Policy[Any]]]] = {
        AREA_MAP: AreaMap,
        BITMAP: Bitmap,
    }

    # --- set-up and end

    def _open(self, config: Config) -> None:
        self._entry = Entry()
        self._pins: Counter[int] = Counter()  # views by pointer
        self._alloc_work, self._free_work = Tally(), Tally()
        self._live = self._most_areas = 0  # areas
        self._sizes = (0, 0)  # smallest and largest area so far, as requested
        self._events: list[Record] | None = None  # events, while a trace is written
        self._policy = self.POLICIES[config.policy](config, self._emit)
        self._policy.kernel.work = self._alloc_work
        self._unit_size, self._free_size = self._policy.unit_size, self._policy.free_size
        self._static_ptr = self._policy.first.addr - self._policy.first.base

    def _close(self) -> None:
        with self._entry.lock:
            if self._entry.closed:
                return
            if self._pins:
                raise errors.viewed_on_close()
            self._entry.closed = True
            del self._policy  # and with it all chunks

    # --- allocation

    def _alloc(self, size: int, align: int) -> int:
        with self._entry:
            return self._alloc_percpu(size, align)

    def _alloc_gfp(self, size: int, align: int, atomic: bool, reserved: bool) -> int:
        with self._entry:
            return self._alloc_percpu(size, align, atomic=atomic, reserved=reserved)

    def _check_request(self, size: int, align: int) -> None:
        """Refuse a request that is out of range, with a WARN where the kernel has one."""
        page = self.page_size
        served, by = self._policy.rounded(size, align)
        size_fits = 1 <= served <= self.max_size
        if not size_fits or by < 0 or by > page:
            self._policy.kernel.count("warn")
            self._entry.warning = "illegal size or align for percpu allocation"
        # the 2009 file took alignments that are not a power of two, and misplaced the areas
        if not size_fits or not 1 <= by <= page or by & (by - 1):
            raise self._bad_request(size, align)

    def _alloc_percpu(
        self,
        size: int,
        align: int,
        *,
        atomic: bool = False,
        reserved: bool = False,
        alloc: Callable[[Request], tuple[Chunk, int]] | None = None,
    ) -> int:
        """Allocate (``__alloc_percpu``); ``alloc`` decides where, by default the policy."""
        self._check_request(size, align)
        request = Request(*self._policy.rounded(size, align), atomic, reserved)
        self._begin(self._alloc_work)
        try:
            chunk, offset = (alloc or self._policy.alloc)(request)
            self._count_area(chunk, request.size)
            self._emit(ALLOC, chunk, offset, request)
            chunk.memory.clear(chunk.base + offset, request.size)
        except (ServiceFailed, errors.WildPointer) as failure:
            self._emit(ALLOC_FAIL, request=request)
            if isinstance(failure, ServiceFailed):
                raise failure.error(size, align) from None
            raise
        finally:
            self._policy.settle()
        return int(chunk.addr + offset)

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
        with self._entry:
            if not isinstance(self._policy, Bitmap):
                raise errors.no_flags(atomic=False, reserved=False)
            follower = Follower(self._policy, kernel, learn=learn)
            try:
                ptr = self._alloc_percpu(
                    size, align, atomic=atomic, reserved=reserved, alloc=follower.alloc
                )
            except errors.PercpuMemoryError as error:
                if kernel is not None or error.service != "place":
                    raise
                ptr = 0
            return follower.choice(ptr)

    def _count_area(self, chunk: Chunk, size: int) -> None:
        """Update the figures of :class:`Peaks`."""
        self._live += 1
        self._most_areas = max(self._most_areas, self._live)
        smallest, largest = self._sizes
        self._sizes = min(smallest or size, size), max(largest, size)
        chunk.max_size = max(chunk.max_size, size)

    def _begin(self, work: Tally) -> None:
        """Start an operation, whose work is counted in ``work``."""
        self._policy.kernel.work = work
        work.operations += 1

    def _balance(self, first: int, last: int) -> None:
        with self._entry:
            self._policy.balance(first, last)

    # --- free

    def _free(self, ptr: int) -> None:
        with self._entry:
            self._free_percpu(ptr)

    def _free_percpu(self, ptr: int) -> None:
        """Free an area (``free_percpu``)."""
        if not ptr:
            return
        chunk, offset, size, steps = self._find_freeable(ptr)
        self._begin(self._free_work)
        self._free_work.tree_steps += steps
        self._live -= 1
        self._emit(FREE, chunk, offset, Request(size, 0))
        self._policy.free(chunk, offset)
        self._policy.settle()

    def _find_freeable(self, ptr: int) -> Found:
        found = self._policy.find(ptr)
        if ptr == self.static_ptr:
            raise errors.StaticPointer.of(ptr)
        if self._pins[ptr]:
            raise errors.viewed(ptr)
        return found

    # --- areas, state and events

    def locate(self, ptr: int) -> Location:
        checked = pointer(ptr)
        with self._entry:
            found = self._policy.find(checked)
            return Location(found.chunk.id, found.offset)

    def address(self, ptr: int, cpu: int) -> int:
        number, checked = self._checked_cpu(cpu), pointer(ptr)
        with self._entry:
            memory, offset, _size = self._copies(checked)
            return memory.address(offset, number)

    def view(self, ptr: int, cpu: int) -> memoryview:
        number, checked = self._checked_cpu(cpu), pointer(ptr)
        with self._entry:
            memory, offset, size = self._copies(checked)
            if "rollback" in self._config.quirks:
                raise errors.no_view_with_rollback()
            self._pins[checked] += 1
            return memory.view(offset, size, number, lambda: self._unpin(checked))

    def _unpin(self, ptr: int) -> None:
        with self._entry.lock:
            self._pins[ptr] -= 1
            if not self._pins[ptr]:
                del self._pins[ptr]

    def _copies(self, ptr: int) -> tuple[Memory, int, int]:
        """Return the memory of an area, its offset there, and its bytes in pages that are held."""
        chunk, offset, size, _steps = self._policy.find(ptr)
        if self._config.memory == "none":
            raise errors.nothing_mapped()
        chunk.memory.map()
        for page in pages_of(offset, size, self.page_size):
            if page >= 0 and not chunk.populated[page]:
                size = page * self.page_size - offset
                break
        return chunk.memory, chunk.base + offset, size

    def state(self) -> State:
        with self._entry:
            return self._policy.state()

    @property
    def chunks(self) -> int:
        with self._entry:
            return self._policy.count

    @property
    def pages(self) -> int:
        with self._entry:
            return self._policy.pages

    def counters(self) -> dict[str, int]:
        with self._entry:
            return dict(self._policy.kernel.calls)

    def work(self) -> WorkByCall:
        with self._entry:
            return WorkByCall(self._alloc_work.taken(), self._free_work.taken())

    def _partial_failure_count(self) -> int:
        return self._policy.partial_failures

    def _lives(self) -> tuple[int, int]:
        with self._entry:
            return self._policy.created, self._policy.destroyed

    def _balance_requested(self) -> bool:
        with self._entry:
            return self._policy.balance_requested

    def _peaks(self) -> Peaks:
        with self._entry:
            by_chunk = {chunk.id: chunk.max_size for chunk in self._policy.chunks}
            return Peaks(self._most_areas, self._policy.most_chunks, *self._sizes, by_chunk)

    def _record(self, *, on: bool) -> None:
        with self._entry:
            self._events = [] if on else None

    def _recorded(self) -> tuple[Iterable[Record], int]:
        with self._entry:
            events = self._events or []
            if events:
                self._events = []
            return events, 0

    def _emit(
        self,
        kind: int,
        chunk: Chunk | None = None,
        offset: int = 0,
        request: Request = Request(0, 0),  # noqa: B008 - a constant
    ) -> None:
        """Keep an event, while a trace is written."""
        if self._events is not None:
            size, align, atomic, reserved = request
            flags = ATOMIC * atomic | RESERVED * reserved
            ptr, number = (chunk.addr + offset, chunk.id) if chunk else (0, 0)
            self._events.append(Record.now(kind, ptr, number, offset, size, align, flags))

    def _inject(self, site: str, plan: FaultPlan | None) -> None:
        with self._entry:
            self._arm(site, plan)

    def _arm(self, site: str, plan: FaultPlan | None) -> None:
        self._policy.kernel.faults.pop(site, None)
        if plan:
            self._policy.kernel.faults[site] = Fault(plan)

    # --- many at once

    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        asked = integers(sizes)
        with self._entry:
            for size in (1, *asked):  # the alignment first: there may be no size
                self._check_request(size, align)
            ptrs = array("q")
            try:
                for size in asked:
                    ptrs.append(self._alloc_percpu(size, align))
            except errors.PercpuMemoryError:
                for ptr in reversed(ptrs):
                    self._free_percpu(ptr)
                raise
            return ptrs

    def _free_many(self, ptrs: memoryview) -> None:
        pointers = integers(ptrs)
        with self._entry:
            seen: set[int] = set()
            for ptr in pointers:
                if ptr:
                    self._find_freeable(ptr)
                    if ptr in seen:
                        raise errors.DoubleFree.of(ptr)
                    seen.add(ptr)
            for ptr in pointers:
                self._free_percpu(ptr)

    def _replay(
        self, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
    ) -> Replay:
        return replay_in_model(self, trace, part_done, stops)
