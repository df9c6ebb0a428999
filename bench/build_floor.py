# SPDX-License-Identifier: GPL-2.0-only
"""Build ``_floor``, the module of empty calls, with cffi in API mode like the package."""

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent

ffibuilder = FFI()
ffibuilder.cdef("""
struct pcpu;
int64_t floor_alloc(struct pcpu *pcpu, int64_t size, int64_t align);
int floor_free(struct pcpu *pcpu, int64_t ptr);
uint64_t floor_replay(void *pcpu, void *alloc_function, void *free_function,
                      const void *ops, size_t n, const void *kinds, int64_t *ptrs);
""")
ffibuilder.set_source(
    "_floor",
    (ROOT / "bench/floor.c").read_text(encoding="utf-8"),
    include_dirs=[str(ROOT)],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=str(ROOT / "build/bench"))
