# SPDX-License-Identifier: GPL-2.0-only
"""What needs a program to be told; everything else is in pyproject.toml."""

import sysconfig

from setuptools import setup

# One wheel for CPython 3.10 and up.  Free-threaded builds have no stable ABI before 3.15: each
# gets a wheel of its own, and cffi leaves the limited API by itself.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
WHEEL = {} if FREE_THREADED else {"py_limited_api": "cp310"}

setup(cffi_modules=["build_ffi.py:ffibuilder"], options={"bdist_wheel": WHEEL})
