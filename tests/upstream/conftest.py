# SPDX-License-Identifier: GPL-2.0-only
"""Find the 2009 file, and build the witness from it once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from upstream.witness import WitnessFactory, build

HERE = Path(__file__).resolve().parent


def find_percpu_c() -> Path | None:
    """Return the path in PERCPU_C, if it is set."""
    named = os.environ.get("PERCPU_C")
    return Path(named) if named else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests in this folder if PERCPU_C is not set; a wrong file is an error."""
    if find_percpu_c():
        return
    skip = pytest.mark.skip(
        reason="the kernel's file is not part of the project; give the path of your copy: "
        "make check-upstream PERCPU_C=path/to/mm/percpu.c"
    )
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> WitnessFactory:
    """Make witnesses in which "walk" and "map-null" are fixed, as in the port."""
    percpu_c = find_percpu_c()
    assert percpu_c
    return WitnessFactory(build(percpu_c, tmp_path_factory.mktemp("witness")))


@pytest.fixture(scope="session")
def strict(fixed: WitnessFactory) -> WitnessFactory:
    """Make witnesses that stop before undefined behaviour."""
    return WitnessFactory(fixed.library, fixed=False)
