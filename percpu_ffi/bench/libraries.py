# SPDX-License-Identifier: GPL-2.0-only
"""Malloc libraries: found, loaded, called from C.

They are loaded with ``RTLD_LOCAL``, so that the process keeps its own ``malloc``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi._core import ffi

if TYPE_CHECKING:
    from collections.abc import Callable

TUNABLE = "glibc.rtld.optional_static_tls"
TLS_BYTES = 4096  # jemalloc 5.3 has 2,632 bytes of thread-local variables
TLS_IS_FULL = "static TLS"  # in the message of the loader


class Library(NamedTuple):
    """A library with the functions of C11."""

    file: str | None
    """Its name for the loader; None: the C library of the process."""
    package: str
    """Debian's name."""
    trim: Callable[[Any], object]
    """Returns free memory to the system, as far as the library can."""


def _trim_jemalloc(functions: Any) -> None:
    for name in (b"thread.tcache.flush", b"arena.4096.purge"):  # 4096: of all arenas
        functions.mallctl(name, None, None, None, ctypes.c_size_t(0))


def _trim_libc(functions: Any) -> None:
    if hasattr(functions, "malloc_trim"):  # glibc
        functions.malloc_trim(ctypes.c_size_t(0))


LIBC = Library(None, "libc6", _trim_libc)
JEMALLOC = Library("libjemalloc.so.2", "libjemalloc2", _trim_jemalloc)
MIMALLOC = Library("libmimalloc.so.2", "libmimalloc2.0", lambda functions: functions.mi_collect(1))


@cache
def functions_of(library: Library) -> ctypes.CDLL:
    """Load a library, which stays loaded.

    Raises:
        OSError: it cannot be loaded.

    """
    return ctypes.CDLL(library.file)


def why_missing(library: Library) -> str:
    """Return why a library cannot be loaded, and what to do; or an empty string."""
    try:
        functions_of(library)
    except OSError as error:
        if TLS_IS_FULL in str(error):
            return f"{error}; start again with GLIBC_TUNABLES={TUNABLE}={TLS_BYTES}"
        return f"{error}; install Debian's package {library.package}"
    return ""


def address(library: Library, name: str, signature: Any) -> Any:
    """Return a function of a library, as a function pointer of a cffi type."""
    function = ctypes.cast(functions_of(library)[name], ctypes.c_void_p)
    return ffi.cast(signature, function.value)


def make_room() -> None:
    """Start this process again, if the thread-local variables of jemalloc find no room.

    The C library reserves room for those of libraries that are loaded later when a process
    starts, and by default less than jemalloc needs.  Ctrl-C waits until the new program handles it.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if TUNABLE in tunables:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    elif TLS_IS_FULL in why_missing(JEMALLOC):
        more = f"{TUNABLE}={TLS_BYTES}"
        os.environ["GLIBC_TUNABLES"] = f"{tunables}:{more}" if tunables else more
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
