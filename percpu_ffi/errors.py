# SPDX-License-Identifier: GPL-2.0-only
"""Errors and warnings: the classes, and the messages that all allocators share.

Every message says what was given, what is allowed, and what to do.
"""

from __future__ import annotations

import contextlib
import operator
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, ClassVar, Self, TypeVar

from percpu_ffi._util.text import plural

SHOWN = 200  # characters of a value in a message

_E = TypeVar("_E", bound=Exception)


class PercpuError(Exception):
    """Base class of this package's errors."""


class PercpuMemoryError(PercpuError, MemoryError):
    """A kernel service failed; ``service`` is its name, as in ``counters()``."""

    def __init__(self, message: str, service: str = "host") -> None:
        super().__init__(message)
        self.service = service

    def __reduce__(self) -> tuple[Any, ...]:
        # dask makes errors of memory without arguments, which Python refuses
        return type(self), (str(self), self.service)


class InvalidRequest(PercpuError, ValueError):
    """A size or an alignment that cannot be served."""


class InvalidPointer(PercpuError, ValueError):
    """A pointer that is not that of a live area."""

    _message: ClassVar = "pointer {}: a per-CPU pointer is an integer that alloc() returned"

    @classmethod
    def of(cls, pointer: Any) -> Self:
        """Return the error for a pointer, with the message of its class."""
        number = _index(pointer)
        return cls(cls._message.format(shown(pointer) if number is None else _cut(f"{number:#x}")))


class WildPointer(InvalidPointer):
    """No chunk covers it."""

    _message = (
        "pointer {} is in no chunk of this allocator; pass one that alloc() of the same "
        "allocator returned and that has not been freed"
    )


class OtherUnitPointer(InvalidPointer):
    """It is the address of another CPU's copy, not a per-CPU pointer."""

    _message = (
        "pointer {} is the address of another CPU's copy; pass the per-CPU pointer that "
        "alloc() returned, the address of CPU 0's copy"
    )


class InteriorPointer(InvalidPointer):
    """It points into the middle of an area."""

    _message = "pointer {} is in the middle of an area; pass the pointer that alloc() returned"


class StaticPointer(InvalidPointer):
    """It points into the static area, which lives as long as the allocator."""

    _message = (
        "pointer {} is in the static area, which is never freed; view it as a whole through "
        "static_ptr"
    )


class DoubleFree(InvalidPointer):
    """No area is allocated there: it was freed before, or never allocated."""

    _message = (
        "pointer {}: no area is allocated there, it was freed before or never allocated; free "
        "each pointer once"
    )


class ConfigError(PercpuError, ValueError):
    """An argument is of a wrong type, or out of range."""


class PolicyError(PercpuError, ValueError):
    """A policy of the user did what no policy may do, or raised another error."""


class TraceError(PercpuError, ValueError):
    """A trace that cannot be read, with ``file`` and ``line`` where they are known."""

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        # file:line: message, as compilers print it
        place = "".join(f"{part}:" for part in (file, line) if part is not None)
        super().__init__(f"{place} {message}" if place else message)
        self.file = file
        self.line = line


class RecordError(PercpuError):
    """The running kernel cannot be recorded, or the recording cannot be kept."""


class StatsError(TraceError):
    """A dump or a geometry of a kernel that cannot be read; ``file`` and ``line`` likewise."""


class ClosedError(PercpuError):
    """The allocator was closed."""


class InvariantError(PercpuError, AssertionError):
    """An invariant is broken: a bug of the allocator, or damage."""


class PercpuWarning(RuntimeWarning):
    """A WARN of the allocator fired; it is counted in ``counters()["warn"]``."""


def shown(value: Any) -> str:
    """Return a value's repr for a message: of a long one the start, also of one without."""
    try:
        text = repr(value)
    except ValueError:
        return f"<{type(value).__name__} with a number of over 4,300 digits>"
    except Exception:
        return object.__repr__(value)
    return _cut(text)


def describe_error(error: BaseException) -> str:
    """Return the type and the message of an error, or the type alone if ``str()`` fails."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


# --- types of arguments


def wrong_type(name: str, value: Any, needed: str) -> ConfigError:
    """An argument is of a wrong type; ``needed`` is what it may be, as in "a Trace"."""
    return ConfigError(f"{name}={shown(value)}: {needed} is needed")


def check_type(name: str, value: Any, kind: Any, needed: str) -> None:
    """Check the type of an argument: a class, or several.

    Raises:
        ConfigError: it is of another one.

    """
    if not isinstance(value, kind):
        raise wrong_type(name, value, needed)


def check_progress(progress: Any) -> None:
    """Check that ``progress`` can be called with a number, or is None.

    Raises:
        ConfigError: it cannot.

    """
    check_type("progress", progress, (Callable, NoneType), "a function of a number, or None,")


def check_path(path: Any) -> None:
    """Check that ``path`` can be the name of a file, as text: not empty, without NUL.

    Raises:
        ConfigError: it cannot.

    """
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not name or not isinstance(name, str) or "\0" in name:
        raise wrong_type("path", path, "a str or Path, not empty and without NUL characters,")


# --- set-up, requests and pointers


def bad_first_chunk(
    first_chunk: str, static_size: int, unit_size: int, free_size: int, page_size: int
) -> ConfigError:
    """The sizes of the first chunk do not fit together."""
    return ConfigError(
        f"static_size={static_size}, unit_size={unit_size}, free_size={free_size} with "
        f"first_chunk={first_chunk!r}: a unit has from 16 pages ({16 * page_size} bytes) to 1 GiB, "
        f"in whole pages of {page_size}, and holds the static area and the free bytes; the 4k "
        "set-up takes a free_size only with a unit_size; change one of them, or leave it at 0"
    )


def bad_bitmap_unit(
    static_size: int, reserved_size: int, dyn_size: int, unit_size: int, page_size: int
) -> ConfigError:
    """The same with bitmaps."""
    return ConfigError(
        f"static_size={static_size}, reserved_size={reserved_size}, dyn_size={dyn_size}, "
        f"unit_size={unit_size} with policy='bitmap': a unit has from 8 pages ({8 * page_size} "
        f"bytes) to 1 GiB, in whole pages of {page_size}, and holds these three parts (dyn_size=0 "
        "is what remains of whole pages with 28 KiB added; unit_size=0 is 2 MiB at most); change "
        "one of them, or leave it at 0"
    )


def bad_request(size: Any, align: Any, max_size: int, page_size: int) -> InvalidRequest:
    """Size is not from 1 to ``max_size`` bytes, or alignment not a power of two up to a page."""
    number = _index(size)
    if number is None or not 1 <= number <= max_size:
        return InvalidRequest(
            f"size {shown(size)}: an area has from 1 to {max_size} bytes "
            f"({max_size // page_size} pages), as an integer; split a larger one into several areas"
        )
    return InvalidRequest(
        f"alignment {shown(align)}: a power of two from 1 to {page_size} (a page) is needed, as "
        "an integer; take the next power of two, or a page at most"
    )


def no_flags(atomic: bool, reserved: bool) -> InvalidRequest:
    """The area map has no atomic and no reserved requests."""
    names = [name for name, flag in (("atomic", atomic), ("reserved", reserved)) if flag]
    what = " and ".join(f"{name}=True" for name in names) or "follow()"
    return InvalidRequest(
        f"{what}: the kernel of 2009 has no such requests; leave it out, or create the allocator "
        "with policy='bitmap'"
    )


def no_place(size: int, align: int) -> PercpuMemoryError:
    """No chunk has a place for a request that is not allowed to make one."""
    return PercpuMemoryError(
        f"no populated page has a place for {plural(operator.index(size), 'byte', '')} aligned to "
        f"{operator.index(align)}, and an atomic or reserved request makes no chunk; free areas, "
        "run balance(), or request it without these flags",
        "place",
    )


def not_a_pointer(pointer: Any) -> InvalidPointer:
    """Pointer is not an integer of 64 bits."""
    return (InvalidPointer if _index(pointer) is None else WildPointer).of(pointer)


def out_of_memory(service: str, size: int, align: int) -> PercpuMemoryError:
    """A kernel service failed while an area was allocated, or the first chunk set up (size 0)."""
    number = operator.index(size)
    area = f"an area of {plural(number, 'byte', '')} aligned to {operator.index(align)}"
    what = area if number else "the first chunk"
    return PercpuMemoryError(
        f"out of memory: {service} failed for {what}; free areas, or raise the limit or clear the "
        "fault that was set",
        service,
    )


def no_mappings_left() -> PercpuMemoryError:
    """The system allows the process no more mappings, of which real memory needs many."""
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            limit = file.read().strip()
    except OSError:
        limit = "unknown"
    return PercpuMemoryError(
        f"the process has as many mappings as the system allows (vm.max_map_count, {limit}), and "
        "real memory needs about two for each CPU and chunk; raise the limit as root with `sysctl "
        "-w vm.max_map_count=1000000`, or use fewer CPUs, or memory='none' (--memory none)",
        "map",
    )


# --- views


def viewed(pointer: int) -> BufferError:
    """Views of an area are alive that is to be freed."""
    return BufferError(
        f"area {pointer:#x} has live views; release them, and delete slices and arrays made from "
        "them, before freeing it"
    )


# --- other calls


def bad_site(site: Any, sites: tuple[str, ...]) -> ConfigError:
    """No such service, or one that cannot fail."""
    return ConfigError(f"site {shown(site)}: the services that can fail are {', '.join(sites)}")


def not_an_operation(op: Any, number: int | None = None) -> TraceError:
    """An operation of a trace has another form; ``number`` is its place, from 1."""
    return TraceError(
        f"{shown(op)}: an operation is ('alloc', key, size, align), ('free', key) or "
        "('inject', site, arguments), its key an integer or a string",
        line=number,
    )


# --- errors with a fixed message: each name is a function that returns a new exception


def _fixed(kind: Callable[[str], _E], message: str) -> Callable[[], _E]:
    return lambda: kind(message)


closed = _fixed(ClosedError, "this allocator is closed and its areas are gone; create a new one")
# a call from within a call: by a hook, or by a signal handler in C
busy = _fixed(
    PercpuError,
    "this thread is already inside this allocator, called from a hook or a signal handler in C; "
    "only note there what is to be done, and do it after the call has returned",
)
host_out_of_memory = _fixed(
    PercpuMemoryError,
    "the host gave no memory for the allocator's own needs; close other allocators, or create it "
    "smaller or with memory='none'",
)
viewed_on_close = _fixed(
    BufferError,
    "areas of this allocator have live views; release them, and delete slices and arrays made "
    "from them, before closing it",
)
# a failing allocation may unmap what a view shows
no_view_with_rollback = _fixed(
    ConfigError,
    "quirk 'rollback': a failing allocation may unmap its neighbours, so no area can be viewed "
    "safely; use address() at your own risk, or an allocator without the quirk",
)
nothing_mapped = _fixed(
    ConfigError,
    "memory='none' only does the bookkeeping; create the allocator with memory='mapped' to view "
    "areas",
)
damaged_trace = _fixed(
    TraceError,
    "the trace is damaged: an operation names a handle or a kind that it does not have; load it "
    "from its source and save it again",
)

# --- warnings

_thread = threading.local()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress the Python warnings for WARNs of this thread; they are still counted."""
    before = getattr(_thread, "quiet", False)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = before


def warn(text: str) -> None:
    """Turn a WARN into a Python warning that points at the caller of this package.

    Where a filter turns it into an exception, that is dropped: the call raises its own error.
    """
    if getattr(_thread, "quiet", False):
        return
    package = __name__.partition(".")[0]
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    with contextlib.suppress(PercpuWarning):
        warnings.warn(text, PercpuWarning, stacklevel=level)
