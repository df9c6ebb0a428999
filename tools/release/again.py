# SPDX-License-Identifier: GPL-2.0-only
"""Check that a build in another clone, by another user, makes the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .packages import Packages, find_packages, read_sdist, read_wheel

UMASK = 0o077
ZONE = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "2009", "LC_ALL": "C"}


def again(packages: Packages) -> Iterator[str]:
    """Clone the last commit, build it, and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch, "another folder")
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        for path in clone.rglob("*"):
            os.utime(path, (0, 1 << 30), follow_symlinks=False)
        done = subprocess.run(
            [sys.executable, "-m", "build", str(clone)],
            env={**os.environ, **ZONE}, umask=UMASK, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            yield f"the last commit cannot be built: {' '.join(done.stderr.split()[-60:])}"
        else:
            yield from compare(packages, find_packages(packages.version, clone / "dist"))


def compare(first: Packages, second: Packages) -> Iterator[str]:
    """Compare two builds, and name the files that differ."""
    pairs = (
        (first.sdist, second.sdist, read_sdist),
        (first.wheel, second.wheel, read_wheel),
    )
    for one, other, read in pairs:
        if one.read_bytes() != other.read_bytes():
            files, others = read(one), read(other)
            names = [
                name
                for name in sorted(files.keys() | others.keys())
                if files.get(name) != others.get(name)
            ]
            where = ", ".join(names) or "times, modes or order of the files"
            yield f"{one.name} is another one if the last commit is built again: {where}; make dist"
