# SPDX-License-Identifier: GPL-2.0-only
"""The 2009 file as a contender, compiled at its first use.

It has the compiler and the flags of the port, and the cheapest services that it can run on
(``upstream.c``).  Its state is global, as in a kernel: one allocator at a time.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from percpu_ffi._core import ffi, lib
from percpu_ffi.bench.machine import extension_flags
from percpu_ffi.bench.percpu_c import compile_with
from percpu_ffi.errors import ConfigError

SOURCE = Path(__file__).resolve().with_name("upstream.c")
PAGE = 4096  # bytes; known at compile time, as in a kernel


def percpu_c_named() -> Path | None:
    """Return the path of the file, if the user named it."""
    named = os.environ.get("PERCPU_C")
    return Path(named) if named else None


@cache
def _library(percpu_c: Path) -> ctypes.CDLL:
    # kernels are built with the last two, and their code relies on it
    flags = [*extension_flags(), "-std=gnu11", "-fno-strict-aliasing", "-w"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for header in re.findall(rb"^#include <(\w+/\w+\.h)>", percpu_c.read_bytes(), re.M):
            empty = directory / header.decode()
            empty.parent.mkdir(exist_ok=True)
            empty.touch()
        shared = ["-shared", "-fPIC", "-fvisibility=hidden", "-I", name]
        path = compile_with(
            percpu_c, "UPSTREAM_PERCPU_C", [*flags, *shared], [SOURCE], directory / "upstream.so"
        )
        library = ctypes.CDLL(str(path))
    int64, pointer = ctypes.c_int64, ctypes.c_void_p
    library.upstream_start.restype = int64
    library.upstream_start.argtypes = [int64, int64, pointer, pointer]
    return library


class Upstream:
    """An allocator made by the 2009 file, bookkeeping only, first chunk ``4k``.

    Raises:
        OSError, WrongFile, CannotCompile: it cannot be built.
        ConfigError: another allocator of it is still open.

    """

    _open = False

    def __init__(self, percpu_c: Path, cpus: int = 4, static_size: int = 8192) -> None:
        if Upstream._open:
            raise ConfigError("the 2009 file has one state: close its other allocator first")
        self._library = _library(percpu_c)
        services = (ffi.addressof(lib, name) for name in ("fake_rb_insert", "fake_rb_erase"))
        addresses = (int(ffi.cast("uintptr_t", service)) for service in services)
        self._chunk_size = self._library.upstream_start(cpus, static_size, *addresses) * cpus
        Upstream._open = True

    def contender(self) -> Any:
        """Return its functions for the benchmark's loop, a ``struct pcpu_contender``."""
        contender = ffi.new("struct pcpu_contender *")
        for name in ("alloc", "free"):
            function = ctypes.cast(self._library[f"upstream_{name}"], ctypes.c_void_p)
            signature = ffi.typeof(getattr(contender, name))
            setattr(contender, name, ffi.cast(signature, function.value))
        return contender[0]

    def locate(self, ptr: int) -> tuple[int, int]:
        """Return the chunk of a pointer, by order of creation, and the offset in it.

        Addresses are never reused here, so they determine both.
        """
        first_end = PAGE + self._chunk_size
        if ptr < first_end:
            return 0, ptr - PAGE
        chunk, offset = divmod(ptr - first_end, self._chunk_size + PAGE)
        return chunk + 1, offset

    def close(self) -> None:
        """Release its memory."""
        self._library.upstream_stop()
        Upstream._open = False
