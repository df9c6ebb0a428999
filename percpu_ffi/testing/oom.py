# SPDX-License-Identifier: GPL-2.0-only
"""Every fault: run a workload again and again, and let each of its service calls fail once.

After each run the allocator is checked from all sides: its invariants, the contents of
areas that live on, what it took from its kernel against what it still needs.  Then the
workload has to succeed on the very same allocator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import FAULT_SITES
from percpu_ffi.errors import ConfigError
from percpu_ffi.testing.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from percpu_ffi.lockstep import Maker

__all__ = ["Site", "Sweep", "SweepFailed", "oom_sweep"]


@dataclass(frozen=True)
class Site:
    """A service that was made to fail."""

    name: str
    """As in ``counters()``."""
    calls: int
    """Calls that the workload makes when nothing fails: each was made to fail."""
    single: int
    """Runs in which one call failed."""
    persistent: int
    """Runs in which one call and all later ones failed."""
    raised: int
    """Runs of both kinds in which the workload ended with an error; the others coped."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep did."""

    sites: tuple[Site, ...]
    """One for each service that can fail."""

    @property
    def runs(self) -> int:
        """Runs of the workload in which something failed."""
        return sum(site.single + site.persistent for site in self.sites)

    @property
    def hit(self) -> frozenset[str]:
        """The services that were called, and so made to fail."""
        return frozenset(site.name for site in self.sites if site.calls)

    def __str__(self) -> str:
        lines = [f"{'site':<12}{'calls':>8}{'single':>8}{'lasting':>8}{'raised':>8}"]
        lines += (
            f"{site.name:<12}{site.calls:>8}{site.single:>8}{site.persistent:>8}{site.raised:>8}"
            for site in self.sites
        )
        return "\n".join(lines)


class SweepFailed(AssertionError):
    """After a fault something did not hold; says which one, and what."""


def oom_sweep(
    workload: Callable[[Any], object],
    maker: Maker | None = None,
    *,
    setup: Mapping[str, Any] | None = None,
    fill: bool | None = None,
) -> Sweep:
    """Fail the first call of each service, then the second, until none is left to fail.

    Each call fails alone in one run, and together with all later ones of its service in
    another one.  After each run: the invariants hold, live areas contain what they did, all that
    was taken from the kernel is accounted for; when the rest is freed nothing is left; and
    the workload succeeds on the same allocator.

    Args:
        workload: takes an allocator, a :class:`Watched` one, and uses it.  It may let
            PercpuMemoryError out or cope with it, but not retry without end.  Its calls must be
            the same in every run.
        maker: makes the allocators; None: :class:`percpu_ffi.Allocator`.
        setup: arguments of the allocators; no page limit, which would fail calls of its own.
        fill: whether areas are filled with patterns and these are checked, where there is
            memory; False for a workload that writes to its areas (or tells ``wrote(ptr)``).

    Returns: how often which service failed.

    Raises:
        SweepFailed: something did not hold.
        ConfigError: there is a page limit.

    """
    if (setup or {}).get("page_limit"):
        raise ConfigError(
            "a sweep with page_limit: calls would fail that nobody made fail; leave it out"
        )
    if maker is None:
        from percpu_ffi.allocator import Allocator  # noqa: PLC0415 - it needs the compiled part

        maker = Allocator
    sweeper = Sweeper(workload, maker, dict(setup or {}), fill)
    return Sweep(tuple(sweeper.sweep(site) for site in FAULT_SITES))


class Swept(Watched):
    """What a workload gets: faults are the sweep's business."""

    def inject(self, *_args: Any, **_plan: Any) -> None:
        """Refuse: the count of failures would be wrong."""
        raise ConfigError("a workload that sets faults of its own cannot be swept")


class Sweeper:
    """A sweep under way."""

    def __init__(
        self,
        workload: Callable[[Any], object],
        maker: Maker,
        setup: dict[str, Any],
        fill: bool | None,
    ) -> None:
        self.workload = workload
        self.maker = maker
        self.setup = setup
        self.fill = fill
        with self.maker(**setup) as allocator:
            before = allocator.counters()
            self.workload(Swept(allocator, fill=fill))
            after = allocator.counters()
        self.calls = {site: after[site] - before[site] for site in FAULT_SITES}

    def sweep(self, site: str) -> Site:
        """Fail each call of one service, alone and with all later ones."""
        calls = range(1, self.calls[site] + 1)
        raised = sum(self.run(site, nth, times) for times in (1, -1) for nth in calls)
        return Site(site, len(calls), len(calls), len(calls), raised)

    def run(self, site: str, nth: int, times: int) -> bool:
        """Run the workload with a fault; whether an error came out of it."""
        which = f"call {nth} of {site}" + (" and all later ones" if times < 0 else "")
        try:
            with self.maker(**self.setup) as allocator:
                return self.strike(allocator, site, nth, times)
        except Exception as broken:
            what = "" if isinstance(broken, AssertionError) else f"{type(broken).__name__}: "
            raise SweepFailed(f"after {which} failed: {what}{broken}") from broken

    def strike(self, allocator: Any, site: str, nth: int, times: int) -> bool:
        """Set the fault, run, look at everything, and run again."""
        boot_pages = sum(sum(chunk.populated) for chunk in allocator.state().chunks)
        watched = Swept(allocator, fill=self.fill)
        before = allocator.counters()[site]
        allocator.inject(site, nth, times=times)
        raised = False
        try:
            self.workload(watched)
        except MemoryError:
            raised = True
        allocator.inject(site, None)
        made = allocator.counters()[site] - before
        assert made >= nth, (
            f"the workload made {made} calls of {site}, and {self.calls[site]} when it ran first; "
            "its calls have to be the same in every run"
        )
        failed = dict.fromkeys(FAULT_SITES, 0)
        failed[site] = 1 if times == 1 else made - nth + 1

        self.look(watched, failed, boot_pages)
        watched.free_all()
        self.look(watched, failed, boot_pages)
        watched.check_nothing_left()
        self.workload(watched)
        watched.free_all()
        watched.check_nothing_left()
        self.look(watched, failed, boot_pages)
        return raised

    def look(self, watched: Watched, failed: dict[str, int], boot_pages: int) -> None:
        """Check everything that must hold between two calls."""
        watched.check()
        has, needs = held(watched.allocator, failed), accounted(watched.state(), boot_pages)
        assert has == needs, f"leaked: {has} were taken, {needs} are accounted for"


def held(allocator: Any, failed: dict[str, int]) -> dict[str, int]:
    """Count what an allocator has taken from its kernel and not given back.

    Args:
        allocator: it.
        failed: how many calls of each service failed: they took nothing.

    """
    calls = {**dict.fromkeys(FAULT_SITES, 0), **allocator.counters()}
    return {
        "heap blocks": calls["kmalloc"] + calls["vmalloc"] - calls["kfree"] - calls["vfree"]
        - failed["kmalloc"] - failed["vmalloc"],
        "address ranges": calls["get_vm_area"] - calls["free_vm_area"] - failed["get_vm_area"],
        "page frames": calls["alloc_page"] - calls["free_page"] - failed["alloc_page"],
    }  # fmt: skip


def accounted(state: Any, boot_pages: int) -> dict[str, int]:
    """Count what the chunks that are there need: the same, seen from the other side."""
    others = [chunk for chunk in state.chunks if chunk.id]
    maps = sum(chunk.map_alloc > 0 for chunk in state.chunks)
    return {
        "heap blocks": len(others) + maps,
        "address ranges": len(others),
        "page frames": sum(sum(chunk.populated) for chunk in state.chunks) - boot_pages,
    }
