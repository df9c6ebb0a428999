# SPDX-License-Identifier: GPL-2.0-only
"""The packages that ``make dist`` built, and what is in them."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

NAME = "percpu_ffi"


class Packages(NamedTuple):
    """What is about to be published."""

    version: str  # of csrc/percpu.h
    sdist: Path
    wheel: Path

    def page(self) -> str:
        """Return the page of an index, the body of the wheel's metadata, as Markdown."""
        files = read_wheel(self.wheel)
        (metadata,) = (text for name, text in files.items() if name.endswith("/METADATA"))
        return metadata.decode().partition("\n\n")[2]


def find_packages(version: str, folder: Path) -> Packages:
    """Find the sdist and the wheel of a folder, one of each."""
    found = [sorted(folder.glob(pattern)) for pattern in ("*.tar.gz", "*.whl")]
    if [len(files) for files in found] != [1, 1]:
        raise SystemExit(f"{folder}/ does not hold one sdist and one wheel: make dist")
    return Packages(version, found[0][0], found[1][0])


def read_sdist(path: Path) -> dict[str, bytes]:
    """Return the files of an sdist, without the folder that has its name and version."""
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if contents := archive.extractfile(member):
                files[member.name.partition("/")[2]] = contents.read()
    return files


def read_wheel(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_clone() -> dict[str, bytes]:
    """Return the files that git has in this folder."""
    names = git("ls-files", "-z").split("\0")[:-1]
    return {name: Path(name).read_bytes() for name in names if Path(name).exists()}


def git(*arguments: str) -> str:
    """Return what git prints; nothing if it fails."""
    command = ["git", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
