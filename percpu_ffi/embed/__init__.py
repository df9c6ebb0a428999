# SPDX-License-Identifier: GPL-2.0-only
"""Where the C library lies: what other extensions and programs build on.

This folder holds ``percpu.h``, the library as one file ``percpu.c``, and the library as
``_core`` itself uses it.  All three are made when the package is built.
"""

from __future__ import annotations

from pathlib import Path

from percpu_ffi import __version__

__all__ = ["get_include", "get_library", "get_sources"]

HERE = Path(__file__).resolve().parent


def get_include() -> str:
    """Tell the folder of ``percpu.h``, for ``include_dirs``."""
    return str(HERE)


def get_sources() -> list[str]:
    """Tell the C files of the library, to be compiled into something else.

    What is built so has a copy of the library of its own.  An allocator belongs to the copy that
    made it: to work on those of :class:`~percpu_ffi.Allocator`, link to :func:`get_library`.
    ``-DPCPU_HIDDEN -fvisibility=hidden`` keeps its names in; otherwise the loader may put a copy
    that was loaded with ``RTLD_GLOBAL`` in its place.
    """
    return [str(HERE / "percpu.c")]


def get_library() -> str:
    """Tell the path of the shared library, for ``ctypes.CDLL`` or ``extra_objects``.

    Its SONAME is its file name, ``libpercpu.so.MAJOR.MINOR``: once it is loaded, as it is by
    ``from percpu_ffi import Allocator``, the loader finds it by that name, and all who are linked
    to it share the one copy.
    """
    major, minor = __version__.split(".")[:2]
    return str(HERE / f"libpercpu.so.{major}.{minor}")
