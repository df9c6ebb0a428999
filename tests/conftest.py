# SPDX-License-Identifier: GPL-2.0-only
"""Allocators of two sizes: one with real memory, one so small that every edge is near."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Allocator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def tiny(**changes: Any) -> Allocator:
    """Two CPUs, pages of 64 bytes, units of 1 KiB, one page of static area.

    |SSSS|............................................................|
    0    64                                                        1024
    """
    settings: dict[str, Any] = {"cpus": 2, "static_size": 64, "page_size": 64, "memory": "none"}
    return Allocator(**{**settings, **changes})


@pytest.fixture
def small() -> Iterator[Allocator]:
    """An allocator of :func:`tiny`."""
    with tiny() as allocator:
        yield allocator


@pytest.fixture
def real() -> Iterator[Allocator]:
    """Three CPUs with real memory."""
    with Allocator(cpus=3) as allocator:
        yield allocator


@pytest.fixture
def unchanged() -> Callable[[Allocator], Any]:
    """A check, made before a refusal and called after it, that nothing has changed."""

    def remember(allocator: Allocator) -> Callable[[], None]:
        state, counters = allocator.state(), allocator.counters()
        del counters["warn"]  # a refusal may well warn

        def check() -> None:
            assert allocator.state() == state
            after = allocator.counters()
            del after["warn"]
            assert after == counters

        return check

    return remember
