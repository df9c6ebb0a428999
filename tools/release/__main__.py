# SPDX-License-Identifier: GPL-2.0-only
"""Check what is about to be published: one line for each check that passes, and all findings.

Usage: python -m release [--package], in the project's folder, with tools/ on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from percpu_ffi import __version__

from . import audit
from .again import again
from .contents import contents
from .packages import Packages, find_packages, git
from .page import page
from .sources import changelog, clean, tag, versions

Check = Callable[[Packages], Iterator[str]]

RELEASE: dict[str, Check] = {
    "CHANGELOG.md has the day of the release": changelog,
    "the tag of the version is checked out": tag,
}
PACKAGE: dict[str, Check] = {
    "all files are committed": clean,
    "the version is the same in all files": versions,
    "the sdist holds the files of the clone": contents,
    "twine: an index takes both packages": audit.index,
    "no link of the index page is dead": page,
    "check-wheel-contents: the wheel's files belong there": audit.files,
    "abi3audit: the wheel works with each Python of its name": audit.stable_abi,
    "auditwheel: the wheel needs the C library alone": audit.c_libraries,
    "validate-pyproject: pyproject.toml": audit.project,
    "pyroma: all metadata is there, except for home and author": audit.metadata,
    "check-jsonschema: CITATION.cff": audit.citation,
    "another build makes the same bytes": again,
}


def main() -> int:
    """Run the checks, and return 1 if one of them found something."""
    parser = argparse.ArgumentParser(prog="release", description="Check the packages in dist/.")
    parser.add_argument(
        "--package", action="store_true", help="leave out the changelog's day and the tag"
    )
    checks = PACKAGE if parser.parse_args().package else RELEASE | PACKAGE
    if not git("rev-parse", "HEAD"):
        raise SystemExit("this folder is no clone: the packages are compared with the last commit")
    return report(checks, find_packages(__version__, Path("dist")))


def report(checks: dict[str, Check], packages: Packages) -> int:
    """Print the result of each check, with the seconds that it took."""
    status = 0
    for name, check in checks.items():
        start = time.monotonic()
        findings = list(check(packages))
        if findings:
            status = 1
        else:
            print(f"  ok  {name} ({time.monotonic() - start:.1f} s)", flush=True)
        for finding in findings:
            print(finding, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
