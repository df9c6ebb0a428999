# SPDX-License-Identifier: GPL-2.0-only
"""The cffi module; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["build_sums.py:ffibuilder"])
