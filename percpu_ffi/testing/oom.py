# SPDX-License-Identifier: GPL-2.0-only
"""The fault sweep: run a workload again and again, and let each of its service calls fail once.

After each run the allocator is checked: its invariants, the contents of live areas, and what it
took from its kernel.  Then the workload has to succeed on the same allocator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import plural
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.errors import ConfigError, check_type
from percpu_ffi.testing.watched import Watched

if TYPE_CHECKING:
    from percpu_ffi.lockstep import Factory


@dataclass(frozen=True)
class Site:
    """A service that was made to fail."""

    name: str
    """As in ``counters()``."""
    calls: int
    """Calls in a run without faults.  Each failed alone in one run, and together with all
    later ones in another."""
    raised: int
    """Runs of both kinds in which the workload raised an error; it handled it in the others."""

    @property
    def runs(self) -> int:
        """Runs with a fault of this service."""
        return 2 * self.calls


@dataclass(frozen=True)
class Sweep:
    """What a sweep did."""

    sites: tuple[Site, ...]
    """One for each service that can fail."""

    @property
    def runs(self) -> int:
        """Runs of the workload with a fault."""
        return sum(site.runs for site in self.sites)

    @property
    def hit(self) -> frozenset[str]:
        """The services that were called, and so made to fail."""
        return frozenset(site.name for site in self.sites if site.calls)

    def __str__(self) -> str:
        rows: list[tuple[object, ...]] = [("service", "calls", "runs", "raised")]
        rows += ((site.name, site.calls, site.runs, site.raised) for site in self.sites)
        return "\n".join("{:<12}{:>8}{:>8}{:>8}".format(*row) for row in rows)


class SweepFailed(AssertionError):
    """A check failed after a fault; the message names both."""


def oom_sweep(
    workload: Callable[[Any], object],
    factory: Factory | None = None,
    *,
    setup: Mapping[str, Any] | None = None,
    fill: bool | None = None,
) -> Sweep:
    """Fail the first call of each service, then the second, until none is left to fail.

    Each call fails alone in one run, and together with all later ones of its service in
    another one.  After each run the invariants hold, live areas have their contents, and all
    that was taken from the kernel is accounted for; after the remaining areas are freed
    nothing is left; and the workload succeeds on the same allocator.

    Args:
        workload: takes an allocator, a :class:`Watched` one, and uses it.  It may let
            PercpuMemoryError out or handle it, but not retry forever.  Its calls must be
            the same in every run.
        factory: makes the allocators; None: :class:`percpu_ffi.Allocator`.
        setup: arguments of the allocators; no page limit, which would cause other failures.
        fill: as for :class:`Watched`; False for a workload that writes to its areas (or calls
            ``wrote(ptr)``).

    Returns: how often which service failed.

    Raises:
        SweepFailed: a check failed.
        ConfigError: there is a page limit, or an argument is of a wrong type.

    """
    check_type("workload", workload, Callable, "a function of an allocator")
    check_type("factory", factory, (Callable, NoneType), "a class or function, or None,")
    check_type("setup", setup, (Mapping, NoneType), "a mapping of arguments of an allocator")
    if (setup or {}).get("page_limit"):
        raise ConfigError("a sweep with page_limit: it would cause other failures; leave it out")
    if factory is None:
        from percpu_ffi.allocator import Allocator  # noqa: PLC0415 - it needs the compiled part

        factory = Allocator
    sweeper = Sweeper(workload, factory, dict(setup or {}), fill)
    return Sweep(tuple(map(sweeper.sweep, FAULT_SITES)))


class SweptAllocator(Watched):
    """The allocator of a workload: faults are set by the sweep alone."""

    def inject(self, *_args: Any, **_plan: Any) -> None:
        """Refuse: the number of failures would be wrong."""
        raise ConfigError("a workload that sets faults of its own cannot be swept")


@dataclass
class Sweeper:
    """The arguments of a sweep, and the calls of a run without faults."""

    workload: Callable[[Any], object]
    factory: Factory
    setup: dict[str, Any]
    fill: bool | None

    def __post_init__(self) -> None:
        with self.factory(**self.setup) as allocator:
            before = Counter(allocator.counters())
            self.workload(SweptAllocator(allocator, fill=self.fill))
            self.calls = Counter(allocator.counters()) - before

    def sweep(self, service: str) -> Site:
        """Fail each call of one service, alone and with all later ones."""
        calls = range(1, self.calls[service] + 1)
        raised = sum(self.run(service, nth, times) for times in (1, -1) for nth in calls)
        return Site(service, len(calls), raised)

    def run(self, service: str, nth: int, times: int) -> bool:
        """Run the workload with a fault; return whether it raised an error."""
        try:
            with self.factory(**self.setup) as allocator:
                return self.run_and_check(allocator, service, nth, times)
        except Exception as error:
            fault = f"call {nth} of {service}" + (" and all later ones" if times == -1 else "")
            what = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            raise SweepFailed(f"after {fault} failed: {what}{error}") from error

    def run_and_check(self, allocator: Any, service: str, nth: int, times: int) -> bool:
        """Run the workload with a fault, check, free all, and run it again without."""
        watched = SweptAllocator(allocator, fill=self.fill)
        boot_frames = _frames(allocator)
        before = allocator.counters()[service]
        allocator.inject(service, nth, times=times)
        raised = False
        try:
            self.workload(watched)
        except MemoryError:
            raised = True
        allocator.inject(service)
        made = allocator.counters()[service] - before
        assert made >= nth, (
            f"the workload made {plural(made, 'call', '')} of {service}, and "
            f"{self.calls[service]} in its first run; its calls have to be the same in every run"
        )
        failed = Counter({service: 1 if times == 1 else made - nth + 1})

        _check(watched, failed, boot_frames)
        for again in (False, True):
            if again:
                self.workload(watched)
            watched.free_all()
            _check(watched, failed, boot_frames)
            watched.check_nothing_left()
        return raised


def _check(watched: Watched, failed: Counter[str], boot_frames: int) -> None:
    """Check what must hold between two calls.

    All that was taken from the kernel and not released has to be in a chunk; calls that
    failed took nothing.
    """
    watched.check()
    calls = Counter(watched.allocator.counters())
    calls.subtract(failed)
    taken = {
        "heap blocks": calls["kmalloc"] + calls["vmalloc"] - calls["kfree"] - calls["vfree"],
        "address ranges": calls["get_vm_area"] - calls["free_vm_area"],
        "page frames": calls["alloc_page"] - calls["free_page"],
    }
    chunks = watched.state().chunks
    later = sum(chunk.id > 0 for chunk in chunks)  # the reserved chunk is made at boot
    held = {
        "heap blocks": later + sum(1 for chunk in chunks if chunk.map_alloc),
        "address ranges": later,
        "page frames": _frames(watched) - boot_frames,
    }
    assert taken == held, f"leaked: {taken} were taken, {held} are accounted for"


def _frames(allocator: Any) -> int:
    """Return the number of page frames in all chunks."""
    return sum(sum(chunk.populated) for chunk in allocator.state().chunks)
