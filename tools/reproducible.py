# SPDX-License-Identifier: GPL-2.0-only
"""Build identical packages from identical sources, whatever the user, the folder and the time."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from pathlib import Path

# names of the folder that compilers write for debuggers, and in messages
NO_FOLDER = f"-ffile-prefix-map={Path.cwd()}=."


def set_surroundings() -> None:
    """Set what else depends on the builder: the time in packages, and who may read their files."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(source_date()))
    os.umask(0o022)


def source_date() -> int:
    """Return the time of the last commit, which the files of an sdist have, in seconds."""
    if Path(".git").exists():
        command = ["git", "log", "-1", "--format=%ct"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return int(done.stdout)
    return int(Path("pyproject.toml").stat().st_mtime)


def write_archive(path: Path, folder: str, date: int) -> None:
    """Write a ``.tar.gz`` that depends on names, contents, and which files can be run.

    Args:
        path: the archive.
        folder: what it holds, with this name.
        date: the time of everything in it, seconds since 1970.

    """

    def same(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = date
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=date) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.add(folder, filter=same)  # in order of names
