# SPDX-License-Identifier: GPL-2.0-only
"""Build ``percpu_ffi._core`` with cffi in API mode.

The declarations are those of the C headers that embedders include, so there
is no second list to keep in step.  The allocator itself is not compiled here: the
module is linked to the library in ``percpu_ffi/embed/``, which setup.py builds, so
that all who use it in one process share one copy.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

sys.path.insert(0, str(Path(__file__).resolve().parent))  # builds run without it

from percpu_ffi.embed.builder import declarations

ROOT = Path(__file__).resolve().parent

HEADERS = (
    "csrc/percpu.h",
    "csrc/percpu_counter.h",
    "csrc/percpu_hooks.h",
    "csrc/trace/percpu_trace.h",
    "csrc/bench/measure.h",
    "csrc/kernel/rbtree.h",  # the benchmark hands it to the 2009 file
)

# Called by C when a WARN fires; Python installs the function.
CALLBACKS = """
extern "Python" void percpu_ffi_log(void *arg, int about, const char *text);
"""


def read(header: str) -> str:
    """Give the text of a header."""
    return (ROOT / header).read_text(encoding="utf-8")


# cffi makes an integer of whatever has __int__: Decimal("64.5") is 64 to it.  Here a 64-bit
# argument needs __index__, as everywhere else in Python; that is also quicker to find out.
STRICT_INTEGERS = """
#ifndef _cffi_to_c_i64
#error "this cffi converts arguments by other names: see STRICT_INTEGERS in build_ffi.py"
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

# A negative 64-bit result is an error code: it comes as a LookupError with the code, so that
# nobody has to look at each result.  So that frees can do the same, they have 64 bits too.
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
# the library has the rest; its tree is its own, so the benchmark gets another
C_FILES = ["csrc/bench/measure.c", "csrc/kernel/rbtree.c"]

ffibuilder = FFI()
ffibuilder.cdef(
    "\n".join(declarations(read(header)) for header in HEADERS) + CALLBACKS + FREE + ";"
)
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
    # relative to the project's folder, where setuptools and cffi both run
    include_dirs=["."],
    depends=[*C_FILES, *HEADER_FILES],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-fno-plt"],
    # the library that setup.py puts there
    runtime_library_dirs=["$ORIGIN/embed"],
    py_limited_api=True,
)
