# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages that are downloaded and unpacked, and never installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kernel.outcome import Skip

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE = r"linux-image-{version}\.[\w.+-]+-cloud-amd64"


def newest_image(listed: str, version: str) -> str | None:
    """Return the newest image of kernel ``version``, such as 6.1, in the output of apt-cache.

    Meta packages have no patch level in their names and are left out.
    """
    pattern = re.compile(IMAGE.format(version=re.escape(version)))
    names = [name for line in listed.splitlines() for name in line.split()[:1]]
    images = [name for name in names if pattern.fullmatch(name)]
    return max(images, key=_numbers, default=None)


def find_image(version: str) -> str:
    """Return the package of the newest cloud kernel of ``version`` that apt knows.

    Raises:
        Skip: there is none, or no apt.

    """
    listed = _run(["apt-cache", "search", "--names-only", "^linux-image-.*-cloud-amd64$"])
    name = newest_image(listed, version)
    if name is None:
        raise Skip(
            f"apt knows no package linux-image-{version}.*-cloud-amd64; 6.1 and 6.12 are in Debian "
            "12 (bookworm) and its security updates: add them to the sources and run apt-get update"
        )
    return name


def to_install(simulated: str) -> list[str]:
    """Return the packages that ``apt-get install --simulate`` would install, in its order."""
    return re.findall(r"^Inst (\S+) ", simulated, flags=re.MULTILINE)


def with_dependencies(name: str) -> list[str]:
    """Return package ``name`` and those that it needs and this machine lacks.

    Raises:
        Skip: apt cannot find them, or there is no apt.

    """
    simulate = ["apt-get", "install", "--simulate", "--no-install-recommends", name]
    return to_install(_run(simulate)) or [name]


def unpack(names: Sequence[str], folder: Path) -> Path:
    """Return ``folder`` with the files of the packages in it; download them if it is not there.

    Raises:
        Skip: they cannot be downloaded, or not be unpacked.

    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        _run(["apt-get", "download", *names], partial)
        archives = sorted(partial.glob("*.deb"))
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(partial)])
            archive.unlink()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _numbers(name: str) -> list[int]:
    """Return the numbers of a version, which compare as Debian compares versions like these."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        Skip: it is missing or fails.

    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Skip(
            f"{command[0]} is not here; Debian or one of its derivatives is needed"
        ) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        reason = lines[0][3:] if lines else f"status {done.returncode}"
        raise Skip(f"{' '.join(command[:2])}: {reason}; is there a network? try apt-get update")
    return done.stdout
