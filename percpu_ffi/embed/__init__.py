# SPDX-License-Identifier: GPL-2.0-only
"""Paths of the C library, for extensions and programs that build on it.

This folder has ``percpu.h``, the library's source as one file ``percpu.c``, and the shared
library that ``_core`` uses.  All three are made when the package is built.
"""

from __future__ import annotations

from pathlib import Path

from percpu_ffi._version import __version__

__all__ = ["get_include", "get_library", "get_sources"]

HERE = Path(__file__).resolve().parent


def get_include() -> str:
    """Return the folder of ``percpu.h``, for ``include_dirs``."""
    return str(HERE)


def get_sources() -> list[str]:
    """Return the C files of the library, to be compiled into another program.

    That program then has its own copy of the library.  An allocator belongs to the copy that
    made it: to use those of :class:`~percpu_ffi.Allocator`, link to :func:`get_library` instead.
    ``-DPCPU_HIDDEN -fvisibility=hidden`` hides the copy's symbols; otherwise the loader may
    replace them by those of a library loaded with ``RTLD_GLOBAL``.
    """
    return [str(HERE / "percpu.c")]


def get_library() -> str:
    """Return the path of the shared library, for ``ctypes.CDLL`` or ``extra_objects``.

    Its SONAME is its file name, ``libpercpu.so.MAJOR.MINOR``: once it is loaded, for instance by
    ``from percpu_ffi import Allocator``, the loader finds it by that name, and everything linked
    to it shares this copy.
    """
    major, minor = __version__.split(".")[:2]
    return str(HERE / f"libpercpu.so.{major}.{minor}")
