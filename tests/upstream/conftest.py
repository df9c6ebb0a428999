# SPDX-License-Identifier: GPL-2.0-only
"""Finds the file of 2009, and builds the witness from it once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from upstream.witness import WitnessFactory, build

HERE = Path(__file__).resolve().parent


def find_percpu_c() -> Path | None:
    """Return the path of the file, if the user named it."""
    named = os.environ.get("PERCPU_C")
    return Path(named) if named else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is here when there is no file; a wrong one that was named fails."""
    if find_percpu_c():
        return
    skip = pytest.mark.skip(
        reason="the kernel's file is not part of the project; name your copy: "
        "make check-upstream PERCPU_C=path/to/mm/percpu.c"
    )
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def mended(tmp_path_factory: pytest.TempPathFactory) -> WitnessFactory:
    """Makes witnesses that go on where the port does, at "walk" and "map-null"."""
    percpu_c = find_percpu_c()
    assert percpu_c
    return WitnessFactory(build(percpu_c, tmp_path_factory.mktemp("witness")))


@pytest.fixture(scope="session")
def strict(mended: WitnessFactory) -> WitnessFactory:
    """Makes witnesses that stop before a step that is undefined."""
    return WitnessFactory(mended.library, mended=False)
