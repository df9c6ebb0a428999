# SPDX-License-Identifier: GPL-2.0-only
"""The module that cffi builds; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["build_sums.py:ffibuilder"])
