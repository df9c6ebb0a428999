# SPDX-License-Identifier: GPL-2.0-only
"""Check that the sdist holds the files of the clone, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .packages import NAME, Packages, read_clone, read_sdist

# what only a clone needs
NOT_PACKED = (
    ".gitignore",  # names what git shall not see
    ".ci/",  # runs in a clone
    ".github/",  # so do these
)
# what setuptools adds: the metadata
ADDED = ("PKG-INFO", "setup.cfg", f"{NAME}.egg-info/")


def contents(packages: Packages) -> Iterator[str]:
    """Compare the sdist of ``make dist`` with this folder."""
    yield from differences(read_sdist(packages.sdist), read_clone())


def differences(sdist: Mapping[str, bytes], clone: Mapping[str, bytes]) -> Iterator[str]:
    """Compare files by name and contents."""
    for name in sorted(sdist.keys() | clone.keys()):
        if name.startswith(ADDED if name in sdist else NOT_PACKED):
            continue
        if name not in sdist:
            yield f"{name} is not in the sdist: add it to MANIFEST.in, or to {__name__}"
        elif name not in clone:
            yield f"{name} is in the sdist, but not in git: remove it, or exclude it in MANIFEST.in"
        elif sdist[name] != clone[name]:
            yield f"{name} differs in the sdist: make dist"
