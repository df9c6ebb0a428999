# SPDX-License-Identifier: GPL-2.0-only
"""An allocator whose live areas and their contents are known and checked."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, cast

from percpu_ffi._util.integers import integer_buffer, integers
from percpu_ffi._util.text import plural
from percpu_ffi.area import Area
from percpu_ffi.config import AREA_MAP, BITMAP
from percpu_ffi.errors import InvalidPointer, InvalidRequest, wrong_type

if TYPE_CHECKING:
    from array import array

    from percpu_ffi.interface import PerCpu

KEPT_BY_WORK = 2  # chunks: one is free already when the work makes use of an isolated one again
NEEDED = ("alloc", "free", "state", "counters")  # methods


class Watched:
    """The methods of an allocator, with a record of the live areas.

    Each copy of an area is filled with its own pattern, which :meth:`check` expects to find
    again; :meth:`wrote` accepts new contents.  Every other method is that of the allocator.
    Threads may share it: the record and the allocator change together.

    Args:
        allocator: with the methods of :class:`percpu_ffi.PerCpu`, or ``alloc``, ``free``,
            ``state`` and ``counters`` alone.
        fill: whether areas are filled and checked; None: if the allocator has real memory.

    Raises:
        ConfigError: the allocator lacks a method.

    """

    def __init__(self, allocator: Any, *, fill: bool | None = None) -> None:
        if not all(hasattr(allocator, name) for name in NEEDED):
            raise wrong_type("allocator", allocator, f"an object with {', '.join(NEEDED)}")
        self.allocator = allocator
        config = getattr(allocator, "_config", None)
        can_fill = config is not None and config.memory == "mapped" and not config.quirks
        self.fill = can_fill if fill is None else fill
        self.sizes: dict[int, int] = {}
        """Requested bytes of the live areas, by pointer."""
        self._patterns: dict[int, list[bytes]] = {}  # one for each CPU
        self._seeds = count()
        self._lock = threading.RLock()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: Any) -> None:
        self.allocator.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        if name == "allocator":  # copy.copy() has not set it yet
            raise AttributeError(name)
        return getattr(self.allocator, name)

    def __repr__(self) -> str:
        return f"<Watched {self.allocator!r}, {plural(len(self.sizes), 'live area')}>"

    def alloc(self, size: int, align: int = 8) -> int:
        """Allocate, check that the area is zeroed, and fill it.

        Raises: as the allocator does; AssertionError where memory is not zeroed.
        """
        with self._lock:
            ptr: int = self.allocator.alloc(size, align)
            self._add(ptr, size)
            return ptr

    def alloc_gfp(
        self, size: int, align: int = 8, *, atomic: bool = False, reserved: bool = False
    ) -> int:
        """Allocate with flags, as :meth:`alloc`."""
        with self._lock:
            flags = {"atomic": atomic, "reserved": reserved}
            ptr: int = self.allocator.alloc_gfp(size, align, **flags)
            self._add(ptr, size)
            return ptr

    def free(self, ptr: int) -> None:
        """Check an area's contents and free it.

        Raises: as the allocator does; AssertionError where the contents have changed.
        """
        with self._lock:
            self._check_contents(ptr)
            self.allocator.free(ptr)
            self._remove(ptr)

    def alloc_many(self, sizes: Iterable[int], align: int = 8) -> array[int]:
        """Allocate many areas, as :meth:`alloc`."""
        given = integer_buffer(sizes, "sizes", InvalidRequest)
        with self._lock:
            ptrs: array[int] = self.allocator.alloc_many(given, align)
            for ptr, size in zip(ptrs, integers(given), strict=True):
                self._add(ptr, size)
            return ptrs

    def free_many(self, ptrs: Iterable[int]) -> None:
        """Free many areas, as :meth:`free`."""
        given = integer_buffer(ptrs, "pointers", InvalidPointer)
        numbers = integers(given)
        with self._lock:
            for ptr in numbers:
                self._check_contents(ptr)
            self.allocator.free_many(given)
            for ptr in numbers:
                self._remove(ptr)

    def area(self, size: int, align: int = 8) -> Area:
        """Allocate an area as an object, as :meth:`alloc`."""
        return Area(cast("PerCpu", self), self.alloc(size, align), size)

    def wrote(self, ptr: int) -> None:
        """Accept the present contents of an area."""
        with self._lock:
            if ptr in self._patterns:
                self._patterns[ptr] = [self._read(ptr, cpu) for cpu in range(self.allocator.cpus)]

    def free_all(self) -> None:
        """Free every live area, newest first."""
        for ptr in list(self.sizes)[::-1]:
            self.free(ptr)

    def check(self) -> None:
        """Check the allocator's invariants, that no other area is live, and all contents.

        Raises:
            InvariantError: a check failed.

        """
        if hasattr(self.allocator, "validate"):
            with self._lock:
                live: dict[int, int | Sequence[bytes]] = {**self.sizes, **self._patterns}
                self.allocator.validate(live)

    def check_nothing_left(self) -> None:
        """Check that no area is live, and that no more chunks exist than the policy keeps.

        These are the first one and one empty one.  With bitmaps background work may keep two empty
        ones, and any number waits for it if it runs by hand.

        Raises:
            AssertionError: something is left.

        """
        live = [f"{ptr:#x} ({plural(size, 'byte', '')})" for ptr, size in self.sizes.items()]
        more = ", ..." if len(live) > 5 else ""
        assert not live, f"{plural(len(live), 'live area')}: {', '.join(live[:5])}{more}"
        self.check()
        is_bitmap = getattr(self.allocator, "policy", AREA_MAP) == BITMAP
        chunks = [chunk for chunk in self.allocator.state().chunks if chunk.id > 0 or not is_bitmap]
        later = sum(chunk.id > 0 for chunk in chunks)
        if not is_bitmap or self.allocator._config.balance == "auto":
            kept = KEPT_BY_WORK if is_bitmap else 1
            assert later <= kept, f"{plural(later, 'chunk', '')} left in addition to the first"
        for chunk in chunks:
            # without the static one; with bitmaps check() knows what the first chunk hides
            areas = chunk.map if chunk.id else chunk.map[1:]
            used = -sum(min(size, 0) for size in areas)
            assert not used, f"{plural(used, 'byte', '')} of chunk {chunk.id} in use"

    def _add(self, ptr: int, size: int) -> None:
        self.sizes[ptr] = size
        if not self.fill:
            return
        self._patterns[ptr] = patterns = []
        for cpu in range(self.allocator.cpus):
            assert not any(self._read(ptr, cpu)), f"CPU {cpu}'s copy at {ptr:#x} is not zeroed"
            noise = Random(next(self._seeds)).randbytes(size)
            patterns.append(noise.replace(b"\0", b"\1"))  # nothing looks as if it were zeroed
            with self.allocator.view(ptr, cpu) as view:
                view[:size] = patterns[-1]

    def _remove(self, ptr: int) -> None:
        self.sizes.pop(ptr, None)
        self._patterns.pop(ptr, None)

    def _read(self, ptr: int, cpu: int) -> bytes:
        with self.allocator.view(ptr, cpu) as view:
            return bytes(view[: self.sizes[ptr]])

    def _check_contents(self, ptr: int) -> None:
        if not isinstance(ptr, Hashable):
            return  # the allocator refuses it
        for cpu, pattern in enumerate(self._patterns.get(ptr, ())):
            assert self._read(ptr, cpu) == pattern, (
                f"CPU {cpu}'s copy at {ptr:#x} has changed; call wrote(ptr) after a write on "
                "purpose, or use fill=False"
            )
