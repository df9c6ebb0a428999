# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures: allocators of both kinds, and of two sizes.

A test that takes ``kind``, ``tiny``, ``small`` or ``real`` runs twice: against the port in
C and against the model in Python.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Allocator, CustomPolicy, Model, PerCpu
from percpu_ffi.analysis.life_columns import NO_SPAN
from percpu_ffi.analysis.lifetimes import Lives, columns_of
from percpu_ffi.trace import Trace, TraceStats

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

# a child that is forked while threads run inherits the locks of AddressSanitizer's heap
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
RECORDINGS = ("fork_storm.perf.xz", "netns_churn.ftrace.xz", "pinned_cgroups.trace")
NETNS = str(SAMPLES / "netns_churn.ftrace.xz")
FORK = str(SAMPLES / "fork_storm.perf.xz")

# figures of a recording, which all differ
STATS = TraceStats(
    events=4605,
    allocs=2305,
    frees=2300,
    orphan_frees=21,
    reallocs=22,
    lost=23,
    cpus=8,
    kernel_failures=31,
    kernel_created=32,
    kernel_destroyed=33,
    kernel_chunks=34,
    kernel_pages=1100,
    kernel_extent=230_976,
)

Kind = type[PerCpu]
Make = Callable[..., PerCpu]

# two CPUs, pages of 64 bytes, units of 1 KiB, one page of static area:
#   |SSSS|............................................................|
#   0    64                                                        1024
TINY: dict[str, Any] = {"cpus": 2, "static_size": 64, "page_size": 64, "memory": "none"}


class OnePage(CustomPolicy):
    """A policy of a user: each area has a chunk of its own."""

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        chunk = self.create_chunk()
        self.populate(chunk, self.pages_at(0, size))
        return chunk, 0

    def free(self, chunk: int, offset: int) -> None:
        self.destroy_chunk(chunk)


def lifetimes(trace: Trace, lives: Lives) -> list[int | None]:
    """Return the lifetime of each area; None: it is not known."""
    spans = columns_of(trace).spans[: len(lives.born)]
    return [None if span == NO_SPAN else span for span in spans]


def in_child(work: Callable[[], object], seconds: int = 10) -> int:
    """Call a function in a forked process, which ends after ``seconds`` at the latest.

    Returns:
        Its status: 0 for success; below 0 the signal that ended it.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork while threads run
        child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(autouse=True, scope="session")
def _recordings() -> Iterator[None]:
    """Let the benchmark find the recordings, also if it is installed from a wheel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("percpu_ffi.bench.workloads.SAMPLES", SAMPLES)
        yield


@pytest.fixture(autouse=True, scope="session")
def _interrupts() -> None:
    """Let Ctrl-C reach the processes of tests, also in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=[Allocator, Model], ids=["port", "model"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A class of allocators."""
    found: Kind = request.param
    return found


@pytest.fixture
def tiny(kind: Kind) -> Make:
    """A factory of allocators that are so small that every limit is close."""

    def make(**changes: Any) -> PerCpu:
        return kind(**{**TINY, **changes})

    return make


@pytest.fixture
def small(tiny: Make) -> Iterator[PerCpu]:
    """An allocator from ``tiny``."""
    with tiny() as allocator:
        yield allocator


@pytest.fixture
def real(kind: Kind) -> Iterator[PerCpu]:
    """An allocator for three CPUs, with real memory."""
    with kind(cpus=3) as allocator:
        yield allocator


@pytest.fixture
def unchanged() -> Callable[[PerCpu], Any]:
    """Save an allocator's state; the returned function checks that it is unchanged."""

    def remember(allocator: PerCpu) -> Callable[[], None]:
        state, counters = allocator.state(), allocator.counters()
        del counters["warn"]  # a refusal may warn

        def check() -> None:
            assert allocator.state() == state
            after = allocator.counters()
            del after["warn"]
            assert after == counters

        return check

    return remember
