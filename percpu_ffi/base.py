# SPDX-License-Identifier: GPL-2.0-only
"""What the allocators share: argument checks, areas, traces, validation, repr."""

from __future__ import annotations

import operator
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import IO, TYPE_CHECKING, Any, Self

from percpu_ffi import errors
from percpu_ffi._util.integers import integer, integer_buffer
from percpu_ffi._util.text import plural
from percpu_ffi.area import Area
from percpu_ffi.config import AREA_MAP, BALANCE_STEPS
from percpu_ffi.drawing import picture
from percpu_ffi.interface import PerCpu
from percpu_ffi.invariants import violations
from percpu_ffi.state import Location
from percpu_ffi.stats.figures import figures
from percpu_ffi.trace import Trace
from percpu_ffi.tracing.ftrace import Tracing

if TYPE_CHECKING:
    from array import array
    from pathlib import Path

    from percpu_ffi.config import Buffer, Config
    from percpu_ffi.replay import Replay
    from percpu_ffi.state import Choice


class BaseAllocator(PerCpu):
    """An allocator without its decisions: the common part of port, model and witness."""

    __slots__ = ()

    def _create(self, config: Config) -> None:
        self._config = config
        self._tracing = None
        self._trace_claim = threading.Lock()
        self._open(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self.close()
        except BufferError:
            # an exception under way holds the views that its frames made: do not hide it;
            # the memory is released with the last of them
            if error is None:
                raise

    def __repr__(self) -> str:
        name, config = type(self).__name__, self._config
        kind = config.first_chunk if config.policy == AREA_MAP else config.policy
        try:
            chunks, pages = self.chunks, self.pages
        except errors.ClosedError:
            return f"<{name}, closed>"
        return (
            f"<{name} {kind}, {plural(config.cpus, 'CPU')} x {self.unit_size:,} "
            f"bytes, {plural(chunks, 'chunk')}, {plural(pages, 'page')}>"
        )

    def _repr_html_(self) -> str:
        try:
            chunks = self.state().chunks
        except errors.ClosedError:
            chunks = ()
        return picture(repr(self), chunks, self.unit_size, self.static_size)

    def alloc(self, size: int, align: int = 8) -> int:
        size_, align_ = integer(size), integer(align)
        if size_ is None or align_ is None:
            raise self._bad_request(size, align)
        try:
            with self._traced():
                return self._alloc(size_, align_)
        except errors.InvalidRequest:
            raise self._bad_request(size, align) from None  # with the arguments as given

    def alloc_gfp(
        self, size: int, align: int = 8, *, atomic: bool = False, reserved: bool = False
    ) -> int:
        size_, align_ = integer(size), integer(align)
        if size_ is None or align_ is None:
            raise self._bad_request(size, align)
        if (atomic or reserved) and self.policy == AREA_MAP:
            raise errors.no_flags(atomic, reserved)
        try:
            with self._traced():
                return self._alloc_gfp(size_, align_, bool(atomic), bool(reserved))
        except errors.InvalidRequest:
            raise self._bad_request(size, align) from None  # with the arguments as given

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
        size_, align_, place = integer(size), integer(align), _place(kernel)
        if size_ is None or align_ is None:
            raise self._bad_request(size, align)
        try:
            with self._traced():
                return self._follow(
                    size_,
                    align_,
                    place,
                    atomic=bool(atomic),
                    reserved=bool(reserved),
                    learn=bool(learn),
                )
        except errors.InvalidRequest:
            if self.policy == AREA_MAP:
                raise
            raise self._bad_request(size, align) from None  # with the arguments as given

    def balance(self, first: int = 1, last: int = BALANCE_STEPS) -> None:
        first_, last_ = integer(first), integer(last)
        if first_ is None or last_ is None or not 1 <= first_ <= last_ <= BALANCE_STEPS:
            raise errors.ConfigError(
                f"balance({errors.shown(first)}, {errors.shown(last)}): the steps are 1 to "
                f"{BALANCE_STEPS}, as integers; give the first and the last one"
            )
        with self._traced():
            self._balance(first_, last_)

    def free(self, ptr: int) -> None:
        checked = pointer(ptr)
        with self._traced():
            self._free(checked)

    def area(self, size: int, align: int = 8) -> Area:
        return Area(self, self.alloc(size, align), size)

    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        view = integer_buffer(sizes, "sizes", errors.InvalidRequest)
        alignment = integer(align)
        if alignment is None:
            raise self._bad_request(1, align)
        with self._traced():
            return self._alloc_many(view, alignment)

    def free_many(self, ptrs: Iterable[int] | Buffer) -> None:
        view = integer_buffer(ptrs, "pointers", errors.InvalidPointer)
        with self._traced():
            self._free_many(view)

    def replay(
        self,
        trace: Trace,
        progress: Callable[[int], object] | None = None,
        stops: Iterable[int] = (),
    ) -> Replay:
        errors.check_type("trace", trace, Trace, "a Trace")
        errors.check_progress(progress)
        numbers = _checked_stops(stops)

        def part_done(operations: int) -> None:
            self._drain()
            if progress:
                progress(operations)

        with self._traced():
            return self._replay(trace, part_done, numbers)

    def close(self) -> None:
        tracing = self._tracing
        self._drain()  # its events go with the allocator
        self._close()
        if tracing is not None:
            tracing.close()

    def percpu_stats(self) -> str:
        return str(figures(self))

    def trace_to(self, file: str | Path | IO[str]) -> Tracing:
        return Tracing(self, file)

    def validate(self, live: Mapping[int, int | Sequence[Buffer]] | None = None) -> None:
        found = violations(self, live)
        if found:
            raise errors.InvariantError(
                f"{len(found)} of the allocator's invariants are broken: " + "; ".join(found)
            )

    # --- what the allocators add

    @abstractmethod
    def _open(self, config: Config) -> None:
        """Set up the first chunk, with ``_unit_size``, ``_free_size`` and ``_static_ptr``."""

    @abstractmethod
    def _close(self) -> None:
        """Release all memory, as :meth:`close`."""

    @abstractmethod
    def _alloc(self, size: int, align: int) -> int:
        """Allocate an area; both are integers of 64 bits."""

    @abstractmethod
    def _free(self, ptr: int) -> None:
        """Free an area; the pointer is an integer of 64 bits."""

    @abstractmethod
    def _alloc_many(self, sizes: memoryview, align: int) -> array[int]:
        """Allocate areas of sizes from a buffer of integers."""

    @abstractmethod
    def _free_many(self, ptrs: memoryview) -> None:
        """Free areas by pointers from a buffer of integers."""

    @abstractmethod
    def _replay(
        self, trace: Trace, part_done: Callable[[int], object], stops: Iterable[int]
    ) -> Replay:
        """Run a trace; ``part_done`` is called with the number of operations of each part."""

    # --- what an allocator without bitmaps need not add

    def _alloc_gfp(self, size: int, align: int, atomic: bool, reserved: bool) -> int:
        """Allocate an area, with flags."""
        return self._alloc(size, align)

    def _balance(self, first: int, last: int) -> None:
        """Run steps of the background work."""

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
        """Place an area where a kernel did; the arguments are checked."""
        raise errors.no_flags(atomic, reserved)

    def _lives(self) -> tuple[int, int]:
        raise NotImplementedError

    def _balance_requested(self) -> bool:
        return False

    # --- tracing

    def _traced(self) -> AbstractContextManager[None]:
        """Return the context of a call whose events may have to be written."""
        tracing = self._tracing
        return nullcontext() if tracing is None else tracing.call()

    def _drain(self) -> None:
        tracing = self._tracing
        if tracing is not None:
            tracing.drain()

    # --- checks of arguments

    def _checked_cpu(self, cpu: Any) -> int:
        number = integer(cpu)
        if number is None or not 0 <= number < self.cpus:
            raise errors.ConfigError(
                f"cpu {errors.shown(cpu)}: this allocator has CPUs 0 to {self.cpus - 1}"
            )
        return number

    def _bad_request(self, size: Any, align: Any) -> errors.InvalidRequest:
        return errors.bad_request(size, align, self.max_size, self.page_size)


def _place(kernel: Any) -> Location | None:
    """Return where a kernel placed an area, chunk and offset; None: nowhere."""
    if kernel is None:
        return None
    numbers = [integer(item) for item in kernel] if isinstance(kernel, tuple) else []
    match numbers:
        case [int(chunk), int(offset)]:
            return Location(chunk, offset)
    raise errors.wrong_type("kernel", kernel, "a Location of two integers, or None,")


def _checked_stops(stops: Any) -> list[int]:
    try:
        return [*map(operator.index, stops)]
    except TypeError:
        raise errors.wrong_type("stops", stops, "an iterable of integers") from None


def pointer(value: Any) -> int:
    """Return a pointer, which is an integer of 64 bits.

    Raises:
        InvalidPointer: the value is not.

    """
    number = integer(value)
    if number is None:
        raise errors.not_a_pointer(value)
    return number
