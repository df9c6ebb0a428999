# SPDX-License-Identifier: GPL-2.0-only
"""The declarations of ``percpu.h`` for cffi: for our module, and for those that include it."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

from percpu_ffi.embed import get_include


def declarations(header: str) -> str:
    """Return the text of a header without what only a preprocessor understands."""
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", "", header, flags=re.M | re.S)
    constants = re.findall(r"^#define\s+(\w+)\s+[(\d]", text, flags=re.M)
    text = re.sub(r"\\\n", "", text)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    return text + "".join(f"#define {name} ...\n" for name in constants)


def get_ffibuilder() -> FFI:
    """Return a builder that another module's builder can ``include()``.

    That module then has all declarations of ``percpu.h``: ``struct pcpu *`` is the type of
    :attr:`Allocator.handle <percpu_ffi.Allocator.handle>`, and its ``lib`` has the functions.
    Its own C code has to ``#include "percpu.h"`` and to be linked to :func:`get_library`.

    The functions are those of ``percpu_ffi._core``: those of 64-bit results (``pcpu_alloc``,
    ``pcpu_address``) raise ``LookupError(code)`` for a negative one, with the code in
    ``args[0]``; those of type ``int`` return it.

    >>> from cffi import FFI
    >>> ffibuilder = FFI()
    >>> ffibuilder.include(get_ffibuilder())
    >>> ffibuilder.cdef("int64_t twice(struct pcpu *pcpu, int64_t ptr);")
    """
    ffibuilder = FFI()
    header = Path(get_include(), "percpu.h").read_text(encoding="utf-8")
    ffibuilder.cdef(declarations(header))
    ffibuilder.set_source("percpu_ffi._core", '#include "percpu.h"')
    return ffibuilder
