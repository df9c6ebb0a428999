# SPDX-License-Identifier: GPL-2.0-only
"""The version, read from the C header that defines it, also where nothing is compiled."""

from os.path import dirname, exists

__all__ = ["__version__"]

PACKAGE = dirname(__file__)
# of the sources, or the copy that is installed with the library
HEADERS = (f"{PACKAGE}/../csrc/percpu.h", f"{PACKAGE}/embed/percpu.h")

with open(next(filter(exists, HEADERS)), encoding="utf-8") as _header:
    _DEFINED = _header.read().split("#define PCPU_VERSION_")[1:]

__version__ = ".".join(part.split(None, 2)[1] for part in _DEFINED)  # major, minor, patch
