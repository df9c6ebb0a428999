# SPDX-License-Identifier: GPL-2.0-only
"""What well-known tools find in the packages and in the files about them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .packages import Packages

CITATION = ("--builtin-schema", "vendor.citation-file-format", "CITATION.cff")
# the project has no home yet, and names no author
ACCEPTED = (
    "Your package does not have author data.",
    "Your package does not have author-email data.",
    "Your package should have a 'url' field with a link to the project home page, or a "
    "'project_urls' field, with a dictionary of links, or both.",
)


def run(tool: str, *arguments: str) -> tuple[bool, str]:
    """Run a tool that is a Python module; return whether it failed, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode != 0, done.stdout


def _passes(tool: str, *arguments: str) -> Iterator[str]:
    failed, output = run(tool, *arguments)
    if failed:
        yield f"{tool} {' '.join(arguments)}: {' '.join(output.split())}"


def index(packages: Packages) -> Iterator[str]:
    """Check that an index takes the metadata, and can show the page."""
    yield from _passes("twine", "check", "--strict", str(packages.sdist), str(packages.wheel))


def files(packages: Packages) -> Iterator[str]:
    """Check for files that do not belong in a wheel, and for missing ones."""
    yield from _passes("check_wheel_contents", str(packages.wheel))


def project(_packages: Packages) -> Iterator[str]:
    """Check pyproject.toml against its specification."""
    yield from _passes("validate_pyproject", "pyproject.toml")


def citation(_packages: Packages) -> Iterator[str]:
    """Check CITATION.cff against its schema."""
    yield from _passes("check_jsonschema", *CITATION)


def stable_abi(packages: Packages) -> Iterator[str]:
    """Check that the wheel uses only what the oldest Python of its name has."""
    if "-abi3-" in packages.wheel.name:  # free-threaded builds have no stable ABI
        yield from _passes("abi3audit", "--strict", str(packages.wheel))


def c_libraries(packages: Packages) -> Iterator[str]:
    """Check that the wheel needs the C library alone, so that other hosts can run it."""
    failed, output = run("auditwheel", "show", str(packages.wheel))
    if failed or not re.search(r'"(many|musl)linux', output):
        yield f"auditwheel show {packages.wheel}: {' '.join(output.split())}"


def metadata(packages: Packages) -> Iterator[str]:
    """Check for metadata that is missing, except for the home and the author."""
    _failed, output = run("pyroma", "--file", str(packages.sdist))  # it fails below a rating
    yield from (f"pyroma: {finding}" for finding in pyroma_findings(output))


def pyroma_findings(output: str) -> list[str]:
    """Return the lines of the last part but one, before the rating, that are not accepted."""
    *_, findings, rating, end = ["", "", *re.split(r"^-{30}\n", output, flags=re.M)]
    if not rating.startswith("Final rating: ") or end:
        return [f"its output is not understood: {' '.join(output.split())}"]
    if findings.startswith("Checking "):  # no finding
        return []
    return [line for line in findings.splitlines() if line not in ACCEPTED]
