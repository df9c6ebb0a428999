# SPDX-License-Identifier: GPL-2.0-only
"""Errors, one tree; every message says what was given, what is allowed, what to do.

The functions below the classes word the messages, so that every allocator of
this package says the same of the same mistake.
"""

from __future__ import annotations

import operator
from typing import Any

__all__ = [
    "ClosedError",
    "ConfigError",
    "DoubleFree",
    "InteriorPointer",
    "InvalidPointer",
    "InvalidRequest",
    "InvariantError",
    "OtherUnitPointer",
    "PercpuError",
    "PercpuMemoryError",
    "PercpuWarning",
    "RecordError",
    "StaticPointer",
    "StatsError",
    "TraceError",
    "WildPointer",
]


class PercpuError(Exception):
    """Anything that this package refuses or that failed in it."""


class PercpuMemoryError(PercpuError, MemoryError):
    """A kernel service failed; ``service`` is its name, as in ``counters()``."""

    def __init__(self, message: str, service: str = "host") -> None:
        """Keep the name of the service beside the message."""
        super().__init__(message)
        self.service = service


class InvalidRequest(PercpuError, ValueError):
    """A size or an alignment that cannot be served."""


class InvalidPointer(PercpuError, ValueError):
    """A pointer that does not stand for a live area."""


class WildPointer(InvalidPointer):
    """No chunk covers it."""


class OtherUnitPointer(InvalidPointer):
    """It is the address of another CPU's copy, not a per-CPU pointer."""


class InteriorPointer(InvalidPointer):
    """It points into the middle of an area."""


class StaticPointer(InvalidPointer):
    """It points into the static area, which lives as long as the allocator."""


class DoubleFree(InvalidPointer):
    """No area is allocated there: it was freed before, or never handed out."""


class ConfigError(PercpuError, ValueError):
    """An argument of the constructor, of a fault plan or of a view is out of range."""


class TraceError(PercpuError, ValueError):
    """A trace that cannot be read; ``file`` and ``line`` say where, when known."""

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        """Put the place before the message, as compilers do."""
        place = "".join(f"{part}:" for part in (file, line) if part is not None)
        super().__init__(f"{place} {message}" if place else message)
        self.file = file
        self.line = line


class RecordError(PercpuError):
    """The running kernel cannot be recorded, or the recording cannot be kept."""


class StatsError(TraceError):
    """A dump of percpu_stats that cannot be read; ``file`` and ``line`` likewise."""


class ClosedError(PercpuError):
    """The allocator was closed."""


class InvariantError(PercpuError, AssertionError):
    """Something that must always hold does not: a bug of the allocator, or damage."""


class PercpuWarning(RuntimeWarning):
    """A WARN of the allocator fired; it is counted in ``counters()["warn"]``."""


def shown(value: Any) -> str:
    """Write a value as a message shows it, also an integer too long to be printed."""
    try:
        return repr(value)
    except ValueError:
        return f"<{type(value).__name__} with a number of over 4,300 digits>"


def _hex(pointer: Any) -> str:
    number = _index(pointer)
    return repr(pointer) if number is None else f"{number:#x}"


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def bad_size(size: Any, max_size: int) -> InvalidRequest:
    """Size is no integer from 1 to ``max_size`` bytes."""
    return InvalidRequest(
        f"size {shown(size)}: an area has from 1 to {max_size} bytes (16 pages), as an integer; "
        "split what is larger into several areas"
    )


def bad_align(align: Any, page_size: int) -> InvalidRequest:
    """Alignment is no power of two from 1 to ``page_size`` bytes."""
    return InvalidRequest(
        f"alignment {shown(align)}: it has to be a power of two from 1 to {page_size} (a page), "
        "as an integer; take the next power of two, or a page at most"
    )


def bad_request(size: Any, align: Any, max_size: int, page_size: int) -> InvalidRequest:
    """One of the two is wrong; if both are, it is the size."""
    number = _index(size)
    if number is None or not 1 <= number <= max_size:
        return bad_size(size, max_size)
    return bad_align(align, page_size)


def bad_integers(given: Any, what: str) -> str:
    """Say that something is no buffer of integers."""
    return (
        f"{what} {type(given).__name__}: a C-contiguous buffer of integers is needed "
        "(array, bytes, numpy array), or an iterable of integers up to 64 bits"
    )


def not_a_pointer(pointer: Any) -> InvalidPointer:
    """Pointer is no integer of 64 bits."""
    if _index(pointer) is not None:
        return wild_pointer(pointer)
    return InvalidPointer(f"pointer {pointer!r}: a per-CPU pointer is an integer that alloc() gave")


def wild_pointer(pointer: Any) -> WildPointer:
    """No chunk covers the pointer."""
    return WildPointer(
        f"pointer {_hex(pointer)} is in no chunk of this allocator; pass one that alloc() of "
        "the same allocator gave and free() has not taken back"
    )


def other_unit_pointer(pointer: int) -> OtherUnitPointer:
    """The pointer lies in a chunk, behind its first unit."""
    return OtherUnitPointer(
        f"pointer {_hex(pointer)} is the address of another CPU's copy; pass the per-CPU "
        "pointer that alloc() gave, which names CPU 0's"
    )


def interior_pointer(pointer: int) -> InteriorPointer:
    """The pointer lies behind the start of an area."""
    return InteriorPointer(
        f"pointer {_hex(pointer)} is in the middle of an area; pass the pointer that alloc() gave"
    )


def static_pointer(pointer: int) -> StaticPointer:
    """The pointer lies in the static area."""
    return StaticPointer(
        f"pointer {_hex(pointer)} is in the static area, which is never freed and is looked at "
        "as a whole through static_ptr"
    )


def double_free(pointer: int) -> DoubleFree:
    """Nothing is allocated where the pointer points."""
    return DoubleFree(
        f"pointer {_hex(pointer)}: no area is allocated there, it was freed before or never "
        "handed out; free each pointer once"
    )


def viewed(pointer: int) -> BufferError:
    """Views of the area are alive."""
    return BufferError(
        f"the area at {_hex(pointer)} is being looked at; release its views, and delete slices "
        "and arrays made from them, before it is freed"
    )


def viewed_on_close() -> BufferError:
    """Views of some area are alive."""
    return BufferError(
        "areas of this allocator are being looked at; release their views, and delete slices and "
        "arrays made from them, before it is closed"
    )


def no_view_with_rollback() -> ConfigError:
    """A view could be torn away."""
    return ConfigError(
        "quirk 'rollback': a failing allocation may unmap its neighbours, so no area can be looked "
        "at safely; use address() at your own risk, or an allocator without the quirk"
    )


def bad_cpu(cpu: Any, cpus: int) -> ConfigError:
    """No such CPU."""
    return ConfigError(f"cpu {shown(cpu)}: this allocator has CPUs 0 to {cpus - 1}")


def nothing_mapped() -> ConfigError:
    """Addresses were asked of an allocator that only keeps books."""
    return ConfigError(
        "memory='none' keeps books and maps nothing; create the allocator with memory='mapped' "
        "to look at areas"
    )


def bad_site(site: Any, sites: tuple[str, ...]) -> ConfigError:
    """No such service, or one that cannot fail."""
    return ConfigError(f"site {shown(site)}: the services that can fail are {', '.join(sites)}")


def broken_invariants(found: list[str]) -> InvariantError:
    """Something does not hold that must."""
    return InvariantError(
        f"{len(found)} of the allocator's invariants are broken: " + "; ".join(found)
    )


def closed() -> ClosedError:
    """Use after close."""
    return ClosedError("this allocator is closed and its areas are gone; create a new one")


def busy() -> PercpuError:
    """A call from within a call: by a hook, or by a signal handler in C."""
    return PercpuError(
        "this thread is inside this allocator already, called from a hook or a signal handler in "
        "C; note down there what is to be done, and do it when the call has returned"
    )


def damaged_trace() -> TraceError:
    """The operations of a trace do not fit what they refer to."""
    return TraceError(
        "the trace is damaged: an operation names a slot or a kind that it does not have; "
        "load it from its source and save it again"
    )


def out_of_memory(service: str, size: int, align: int) -> PercpuMemoryError:
    """A kernel service failed while an area was allocated."""
    return PercpuMemoryError(
        f"out of memory: {service} failed for an area of {operator.index(size)} bytes aligned to "
        f"{operator.index(align)}; free areas, or raise the limit or clear the fault that was set",
        service,
    )


def host_out_of_memory() -> PercpuMemoryError:
    """The process itself has no memory or address space left."""
    return PercpuMemoryError(
        "the host gave no memory for the allocator's own needs; close other allocators, or "
        "create it smaller or with memory='none'",
        "host",
    )
