# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for pytest: allocators that are checked when the test is over.

They are available as soon as percpu_ffi is installed:

    def test_my_code(percpu):
        ptr = percpu.alloc(64)
        my_code(percpu, ptr)
        percpu.free(ptr)

A test that leaves a live area, or an allocator with a broken invariant, fails.  The mark
``@pytest.mark.percpu(cpus=2, page_size=64, memory="none")`` sets the allocator's arguments;
marks of class and test add up.  The fixtures live as long as one test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from percpu_ffi.testing.watched import Watched

PASSED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "percpu(**setup): arguments of the fixture's allocator")


@pytest.fixture
def percpu_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Watched]]:
    """Make allocators; each is checked when the test is over.

    ``percpu_factory(factory=None, **setup)``: the port in C, or what ``factory`` makes.
    """
    # at the first use: pytest loads this file in every project
    from percpu_ffi.testing.watched import Watched  # noqa: PLC0415

    made: list[Watched] = []
    setup: dict[str, Any] = {}
    for mark in [*request.node.iter_markers("percpu")][::-1]:
        if mark.args:
            raise pytest.UsageError(f"mark percpu{mark.args}: arguments of an allocator by name")
        setup.update(mark.kwargs)

    def make(factory: Any = None, **changes: Any) -> Watched:
        if factory is None:
            from percpu_ffi.allocator import Allocator  # noqa: PLC0415

            factory = Allocator
        made.append(Watched(factory(**{**setup, **changes}), fill=False))
        return made[-1]

    yield make
    # a test that failed or was skipped may leave areas
    passed = request.node.stash.get(PASSED, False)
    problems = [problem for watched in made for problem in _problems(watched, passed)]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Remember whether a test passed."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture
def percpu(percpu_factory: Callable[..., Watched]) -> Watched:
    """An allocator: the port in C."""
    return percpu_factory()


@pytest.fixture
def percpu_model(percpu_factory: Callable[..., Watched]) -> Watched:
    """An allocator: the model in Python."""
    from percpu_ffi.model import Model  # noqa: PLC0415

    return percpu_factory(Model)


def _problems(watched: Watched, passed: bool) -> Iterator[str]:
    """Yield what is wrong with an allocator, and close it."""
    from percpu_ffi._util.text import plural  # noqa: PLC0415
    from percpu_ffi.errors import ClosedError  # noqa: PLC0415

    allocator = watched.allocator
    try:
        watched.check()
        if passed:
            watched.check_nothing_left()
    except ClosedError:
        if passed and watched.sizes:
            yield f"{allocator!r}: was closed with {plural(len(watched.sizes), 'live area')}"
    except AssertionError as error:
        yield f"{allocator!r}: {error}"
    try:
        allocator.close()
    except BufferError as error:
        yield f"{allocator!r}: {error}"
