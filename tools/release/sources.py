# SPDX-License-Identifier: GPL-2.0-only
"""Checks of the sources: the changelog, the tag, uncommitted changes, the version in each file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from .packages import Packages, git

# files that name the version, and cannot ask for it
PLACES = (
    ("CITATION.cff", r"^version: (\S+)$"),
    ("examples/percpu_sums/pyproject.toml", r"percpu_ffi==([\d.]+)\.\*"),
    ("docs/embedding.md", r"percpu_ffi==([\d.]+)\.\*"),
    ("docs/embedding.md", r"libpercpu\.so\.([\d.]+\d)"),
)


def changelog(packages: Packages) -> Iterator[str]:
    """Check that the newest section is of this version, with the day of its release."""
    title = re.findall(r"^## (.*)$", Path("CHANGELOG.md").read_text("utf-8"), flags=re.M)[0]
    version, _, day = title.partition(", ")
    if version != packages.version or not _is_date(day):
        yield (
            f'CHANGELOG.md begins with the section "{title}": name it '
            f'"{packages.version}, YYYY-MM-DD", after the day of the release'
        )
    elif f"\ndate-released: {day}\n" not in Path("CITATION.cff").read_text("utf-8"):
        yield f'CITATION.cff lacks the day of CHANGELOG.md: write "date-released: {day}"'


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def tag(packages: Packages) -> Iterator[str]:
    """Check that the tag of this version is the commit that is checked out."""
    name = f"v{packages.version}"
    tagged = git("rev-parse", "--quiet", "--verify", f"refs/tags/{name}^{{commit}}")
    if not tagged:
        yield f"there is no tag {name}: git tag -a {name}, once the other checks pass"
    elif tagged != git("rev-parse", "HEAD"):
        yield f"the tag {name} is not the commit that is checked out: git checkout {name}"


def clean(_packages: Packages) -> Iterator[str]:
    """Check that all files are committed: the packages are compared with the last commit."""
    if changes := git("status", "--porcelain").splitlines():
        yield f"{', '.join(line[3:] for line in changes)}: not committed; commit, then make dist"


def versions(packages: Packages) -> Iterator[str]:
    """Check each file that names the version, or major and minor number."""
    for package in (packages.sdist, packages.wheel):
        if package.name.removesuffix(".tar.gz").split("-")[1] != packages.version:
            yield f"{package.name} is not of version {packages.version}: make dist"
    minor = packages.version.rpartition(".")[0]
    for file, pattern in PLACES:
        named = re.findall(pattern, Path(file).read_text("utf-8"), flags=re.M)
        if not named:
            yield f"{file} does not name the version any more: correct PLACES in {__name__}"
        for version in named:
            if version not in (packages.version, minor):
                yield f"{file} names version {version}: csrc/percpu.h has {packages.version}"
