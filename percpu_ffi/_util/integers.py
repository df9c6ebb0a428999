# SPDX-License-Identifier: GPL-2.0-only
"""Integers that callers pass: single ones, and buffers of them."""

from __future__ import annotations

import operator
import sys
from array import array
from typing import Any

FORMATS = frozenset("bBhHiIlLqQnN")


def integer(value: Any) -> int | None:
    """Return a value as an integer of 64 bits, or None if it is not one."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if -(1 << 63) <= number < 1 << 63 else None


def integer_buffer(given: Any, what: str, error: type[Exception]) -> memoryview:
    """Return a view of a buffer of integers, or of an array made from an iterable.

    Raises: ``error`` with a message about ``what`` where it is neither.
    """
    try:
        try:
            view = memoryview(given)
        except TypeError:
            view = memoryview(array("q", given))
        if view.format.lstrip("@=<") in FORMATS and view.c_contiguous:
            return view
    except (TypeError, OverflowError):
        pass
    raise error(
        f"{what} {type(given).__name__}: a C-contiguous buffer of integers is needed "
        "(array, bytes, numpy array), or an iterable of integers up to 64 bits"
    )


def integers(view: memoryview) -> list[int]:
    """Return the integers of such a buffer, which has the machine's byte order."""
    data, width, signed = view.tobytes(), view.itemsize, view.format[-1].islower()
    return [
        int.from_bytes(data[i : i + width], sys.byteorder, signed=signed)
        for i in range(0, len(data), width)
    ]
