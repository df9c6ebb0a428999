# SPDX-License-Identifier: GPL-2.0-only
"""Values of JSON in trace files, checked one by one: a file may be made to do harm."""

from __future__ import annotations

import struct
import zlib
from typing import Any, TypeVar

from percpu_ffi.errors import shown
from percpu_ffi.trace.operations import FLAGS, Kind, checked_fault

_T = TypeVar("_T")

MAX_REQUEST = 1 << 63  # sizes and alignments are 64-bit integers

# exceptions of reading arbitrary bytes
DAMAGED = (
    struct.error, ValueError, LookupError, TypeError, OverflowError, RecursionError, zlib.error,
)  # fmt: skip


def of(type_: type[_T], value: Any) -> _T:
    """Return a value of exactly this type; True is not an integer.

    Raises:
        TypeError: it is of another type.

    """
    if type(value) is not type_:
        raise TypeError(f"{type_.__name__} is needed, not {shown(value)}")
    return value


def integer(value: Any, low: int, high: int) -> int:
    """Return an integer from ``low`` to ``high - 1``.

    Raises:
        TypeError, ValueError: it is not one.

    """
    number = of(int, value)
    if not low <= number < high:
        raise ValueError(f"{shown(number)} is out of range")
    return number


def request(
    size: Any, align: Any, site: Any, flags: Any = None, gfp: Any = "", bytes_alloc: Any = 0
) -> Kind:
    """Return the request of an allocation.

    Raises:
        TypeError, ValueError: a value is not of its type, or out of range.

    """
    size, align = (integer(n, -MAX_REQUEST, MAX_REQUEST) for n in (size, align))
    flags = of(list, [] if flags is None else flags)
    known = tuple(flag for flag in FLAGS if flag in flags)
    if len(known) != len(flags):
        raise ValueError(f"flags {shown(flags)}")
    bytes_alloc = integer(bytes_alloc, 0, MAX_REQUEST)
    return Kind(size, align, of(str, site), known, of(str, gfp), bytes_alloc)


def fault(site: Any, plan: Any) -> tuple[str, dict[str, Any]]:
    """Return a fault that an operation sets.

    Raises:
        ConfigError, TypeError: it is none.

    """
    return site, checked_fault(site, of(dict, plan))
