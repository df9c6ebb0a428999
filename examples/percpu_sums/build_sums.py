# SPDX-License-Identifier: GPL-2.0-only
"""Build ``percpu_sums._sums``: one function of our own, and all of percpu.h."""

from cffi import FFI

import percpu_ffi

ADD_COPIES = "int add_copies(struct pcpu *pcpu, int64_t ptr, int64_t *sums, int64_t n);"

ffibuilder = FFI()
ffibuilder.include(percpu_ffi.get_ffibuilder())
ffibuilder.cdef(ADD_COPIES)
ffibuilder.set_source(
    "percpu_sums._sums",
    f'#include "percpu.h"\n{ADD_COPIES}',
    sources=["sums.c"],
    include_dirs=[percpu_ffi.get_include()],
    extra_objects=[percpu_ffi.get_library()],
)
