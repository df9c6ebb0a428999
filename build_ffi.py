# SPDX-License-Identifier: GPL-2.0-only
"""Build ``percpu_ffi._core`` with cffi in API mode.

The declarations come from the C headers that embedders include.  The allocator itself is not
compiled here: the module is linked to the library in ``percpu_ffi/embed/``, which setup.py
builds, so that one process has one copy of it.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

sys.path.insert(0, str(Path(__file__).resolve().parent))  # builds do not have it there

from percpu_ffi.embed.builder import declarations

ROOT = Path(__file__).resolve().parent

# cffi of PyPy has no conversions to replace, so that its functions would not raise an error
PYTHON = platform.python_implementation()
if PYTHON != "CPython" or sys.platform != "linux" or sys.maxsize < 2**32:
    raise SystemExit(
        "percpu_ffi is for CPython on Linux, on 64-bit machines: "
        f"this is {PYTHON} for {sysconfig.get_platform()}"
    )

HEADERS = (
    "csrc/percpu.h",
    "csrc/percpu_counter.h",
    "csrc/percpu_hooks.h",
    "csrc/trace/percpu_trace.h",
    "csrc/analysis/lives.h",
    "csrc/analysis/columns.h",
    "csrc/bench/measure.h",
    "csrc/bench/library.h",
    "csrc/bench/pairs.h",
    "csrc/kernel/rbtree.h",  # the benchmark passes it to the 2009 file
)

# C calls it for each WARN; Python defines the function.
CALLBACKS = """
extern "Python" void percpu_ffi_log(void *arg, int about, const char *text);
"""


# cffi converts with __int__: it takes Decimal("64.5") as 64.  Here a 64-bit argument needs
# __index__, as elsewhere in Python, which is also faster.
STRICT_INTEGERS = """
#ifndef _cffi_to_c_i64
#error "this cffi has another name for the conversion: see STRICT_INTEGERS in build_ffi.py"
#endif
#undef _cffi_to_c_i64
#define _cffi_to_c_i64 percpu_ffi_int64

static int64_t percpu_ffi_int64(PyObject *object)
{
	PyObject *index;
	int64_t value;

	if (PyLong_Check(object))
		return PyLong_AsLongLong(object);
	index = PyNumber_Index(object);
	if (!index)
		return -1;
	value = PyLong_AsLongLong(index);
	Py_DECREF(index);
	return value;
}
"""

# A negative 64-bit result is an error code, raised as a LookupError: callers need not check each
# result.  pcpu_free() returns an int, so a wrapper with 64 bits does the same for it.
RAISED_ERRORS = """
#undef _cffi_from_c_int
#define _cffi_from_c_int(value, type) _Generic((type)0, \\
	int64_t: percpu_ffi_result, \\
	uint64_t: PyLong_FromUnsignedLongLong, \\
	unsigned int: PyLong_FromUnsignedLong, \\
	int: PyLong_FromLong)(value)

static PyObject *percpu_ffi_result(int64_t value)
{
	PyObject *code = PyLong_FromLongLong(value);

	if (value >= 0 || !code)
		return code;
	PyErr_SetObject(PyExc_LookupError, code);
	Py_DECREF(code);
	return NULL;
}
"""
FREE = "int64_t percpu_ffi_free(struct pcpu *pcpu, int64_t ptr)"

HEADER_FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("csrc/**/*.h"))
# The library has the rest.  It does not export its red-black tree and its hash table: the
# benchmark and the analysis get others.
C_FILES = [
    *(f"csrc/analysis/{name}.c" for name in ("lives", "columns")),
    "csrc/trace/table.c",
    *(f"csrc/bench/{name}.c" for name in ("measure", "library", "pairs")),
    "csrc/kernel/rbtree.c",
]

ffibuilder = FFI()
ffibuilder.cdef(
    "\n".join(declarations((ROOT / header).read_text(encoding="utf-8")) for header in HEADERS)
    + CALLBACKS + FREE + ";"
)  # fmt: skip
ffibuilder.set_source(
    "percpu_ffi._core",
    "\n".join(
        [
            STRICT_INTEGERS,
            RAISED_ERRORS,
            *(f'#include "{file}"' for file in C_FILES),
            f"static {FREE} {{ return pcpu_free(pcpu, ptr); }}",
        ]
    ),
    # relative to the project's folder, where setuptools and cffi run
    include_dirs=["."],
    depends=[*C_FILES, *HEADER_FILES],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-fno-plt", "-pthread"],
    extra_link_args=["-pthread"],
    # where setup.py puts the library
    runtime_library_dirs=["$ORIGIN/embed"],
    py_limited_api=True,
)
