# SPDX-License-Identifier: GPL-2.0-only
"""Workloads: phases of operations, and the allocator that they are made for.

Operations are ``struct pcpu_op`` of percpu.h, four 32-bit words each: two of a key, which
the benchmark ignores, a handle and a kind.  Whole columns are written at once: a million
operations take a few milliseconds.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import AREA_MAP, BITMAP, MAX_CPUS, policy_arguments
from percpu_ffi.errors import ConfigError
from percpu_ffi.trace.operations import FREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORDS = 4  # of an operation
HANDLE, KIND = 2, 3  # which of them

Kind = tuple[int, int]
"""Size and alignment of an allocation, bytes."""


@dataclass(frozen=True)
class Options:
    """How large the workloads are.

    Raises:
        ConfigError: a number is out of range.

    """

    objects: int = 1 << 16
    """Objects to allocate; 2^20 in the published measurement."""
    live: int = 4096
    """Live objects in a steady state."""
    seed: int = 2009
    """Of all random numbers."""
    policy: str = AREA_MAP
    """Whose decisions ``port``, ``mapped`` and ``model`` take; one of ``POLICY_NAMES``."""
    cpus: int = 4
    """Of each allocator."""

    def __post_init__(self) -> None:
        for name, most in (("objects", 1 << 24), ("live", 1 << 20), ("cpus", MAX_CPUS)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"--{name} {getattr(self, name)}: from 1 to {most:,}")


@dataclass(frozen=True)
class Geometry:
    """Arguments of an allocator, sizes in bytes; the defaults are a small machine of 2009.

    First fit fills chunks one after the other.  The first chunk has the static area and the
    objects that fit after it, each later one a whole unit of objects:

        chunk 0  |SSSS|0|1|2|...            chunk 1  |n0|n0+1|...
    """

    cpus: int = 4
    page_size: int = 4096
    static_size: int = 8192
    policy: str = AREA_MAP

    @property
    def unit(self) -> int:
        """Bytes of a unit: 16 pages, the smallest that the 4k set-up accepts."""
        return 16 * self.page_size

    @property
    def chunk_frames(self) -> int:
        """Page frames of a fully populated chunk."""
        return self.unit // self.page_size * self.cpus

    @property
    def setup(self) -> dict[str, Any]:
        """Arguments of an allocator.

        With bitmaps the units have the same size, and the first one is in use whole.
        """
        policy = policy_arguments(self.policy)
        if policy["policy"] == AREA_MAP:
            policy["first_chunk"] = "4k"
        else:
            policy |= {"unit_size": self.unit, "dyn_size": self.unit - self.static_size}
        return {**vars(self), **policy, "memory": "none"}

    @property
    def bitmap_setup(self) -> dict[str, Any]:
        """The same with bitmaps."""
        return replace(self, policy=BITMAP).setup

    def per_chunk(self, size: int) -> tuple[int, int]:
        """Return how many objects fit the first chunk, and how many each later one."""
        return (self.unit - self.static_size) // size, self.unit // size

    def starts(self, objects: int, size: int) -> list[int]:
        """Return the first object of each chunk."""
        first, later = self.per_chunk(size)
        return [0, *range(first, objects, later)]

    def whole_chunks(self, objects: int, size: int) -> int:
        """Round down to objects that fill whole chunks, at least the first and another one."""
        first, later = self.per_chunk(size)
        return first + later * max((objects - first) // later, 1)

    def first_halves(self, objects: int, size: int) -> list[int]:
        """Return the objects in the first half of their unit."""
        half = self.unit // 2
        chosen = list(range((half - self.static_size) // size))
        for start in self.starts(objects, size)[1:]:
            chosen += range(start, start + half // size)
        return chosen


DEFAULT_GEOMETRY = Geometry()


@dataclass(frozen=True)
class Expected:
    """The work of a phase, by a formula and as counted."""

    phase: str
    counter: str
    """A field of ``Work``."""
    formula: str
    value: int
    """The formula's result for this workload."""
    counted: int | None = None
    """None: not counted."""


@dataclass(frozen=True)
class Phase:
    """Operations that belong together.  The times of phases with the same name are added."""

    name: str
    ops: array[int]
    timed: bool = True

    def __len__(self) -> int:
        return len(self.ops) // WORDS


@dataclass(frozen=True)
class Workload:
    """Something to measure."""

    name: str
    what: str
    """A short description."""
    phases: tuple[Phase, ...]
    kinds: tuple[Kind, ...]
    """Size and alignment by the number that operations refer to."""
    slots: int
    """Handles: the largest number of live areas."""
    contenders: tuple[str, ...] = ("port", "upstream", "malloc", "empty")
    """Names of the default contenders."""
    geometry: Geometry = DEFAULT_GEOMETRY
    expected: tuple[Expected, ...] = ()
    """The work of the area map with that geometry."""
    steady: bool = False
    """Whether its peak is that of a program in use, so that its memory is worth measuring."""
    threads: tuple[int, ...] = ()
    """Numbers of threads that allocate and free areas of the first kind, instead of phases."""

    def with_options(self, options: Options) -> Workload:
        """Return the workload for the policy and the CPUs of the options."""
        geometry = replace(self.geometry, policy=options.policy, cpus=options.cpus)
        expected = self.expected if geometry == self.geometry else ()
        return replace(self, geometry=geometry, expected=expected)


def _ops(handles: Sequence[int], kinds: Iterable[int]) -> array[int]:
    ops = array("I", bytes(4 * WORDS * len(handles)))
    ops[HANDLE::WORDS] = array("I", handles)
    ops[KIND::WORDS] = array("I", kinds)
    return ops


def allocs(handles: Sequence[int], kinds: int | Sequence[int] = 0) -> array[int]:
    """Return operations that allocate: all of one kind, or one kind for each handle."""
    return _ops(handles, [kinds] * len(handles) if isinstance(kinds, int) else kinds)


def frees(handles: Sequence[int]) -> array[int]:
    """Return operations that free, in the order of ``handles``."""
    return _ops(handles, [FREE] * len(handles))


def replacements(handles: Sequence[int], kinds: Sequence[int]) -> array[int]:
    """Return operations that free each handle's area and allocate another one."""
    ops = frees([handle for handle in handles for _ in range(2)])
    ops[WORDS + KIND :: 2 * WORDS] = array("I", kinds)
    return ops
