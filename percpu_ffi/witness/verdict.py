# SPDX-License-Identifier: GPL-2.0-only
"""Check a recording: find its start, follow it, and search for another order of its lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import BITMAP
from percpu_ffi.errors import TraceError
from percpu_ffi.trace.steps import Step
from percpu_ffi.witness.follow import Figures, Follower
from percpu_ffi.witness.reorder import reordered
from percpu_ffi.witness.start import Sizes, Start, boot_starts, inferred_start
from percpu_ffi.witness.steps import steps_of

if TYPE_CHECKING:
    from percpu_ffi.geometry import Geometry
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.stats import Dump
    from percpu_ffi.trace import Trace

HEAD = 4000  # steps that decide what was in use at boot
PAGE = 4096  # bytes, of x86
TOLERATED = 1000  # choices for each free that the recording lacks


@dataclass(frozen=True)
class Verdict:
    """What a recording says of the policy."""

    setup: dict[str, Any]
    """The arguments of the allocator."""
    start: Start
    """What was in use before the recording."""
    figures: Figures
    """In the order of the lines."""
    reordered: Figures | None = None
    """In the best order that was found; None: none was searched for."""
    moves: int = 0
    """How many steps that order moves."""


def check_recording(
    trace: Trace,
    maker: Callable[..., PerCpu],
    geometry: Geometry,
    *,
    boot: bool = False,
    dump: Dump | None = None,
    window: int = 0,
    fixes: Sequence[str] = (),
    progress: Callable[[int], object] | None = None,
) -> Verdict:
    """Ask a policy of bitmaps for each choice of a recording.

    Args:
        trace: the recording.
        maker: the class of the allocator.
        geometry: of the recorded machine.
        boot: whether the recording begins at boot.
        dump: ``percpu_stats`` at the start of a recording that does not.
        window: how many lines a decision may be printed late; 0: none.
        fixes: as of the allocator.
        progress: called with the number of steps done since its last call.

    Raises:
        TraceError: it lacks what is needed, or contradicts itself.
        ConfigError: the geometry is impossible.

    """
    setup = {**geometry.setup(BITMAP), "cpus": 1, "fixes": list(fixes), "balance": "manual"}
    setup.setdefault("page_size", PAGE)
    steps = steps_of(trace)

    def follow(
        order: Sequence[Step], start: Start, done: Callable[[int], object] | None = None
    ) -> Figures:
        with maker(**setup) as allocator:
            follower = Follower(allocator, start, steps)
            follower.run(order, done)
            return follower.figures

    sizes = Sizes.of(geometry, setup["page_size"])
    if boot:
        start = _boot_start(steps, sizes, lambda candidate: follow(steps[:HEAD], candidate))
    else:
        start = inferred_start(steps, sizes, dump)
    figures = follow(steps, start, progress)
    if figures.contradiction and figures.lost_frees * TOLERATED > figures.all.choices:
        raise figures.contradiction
    if not window:
        return Verdict(setup, start, figures)

    best, moves = reordered(steps, window, figures, lambda order: follow(order, start))
    return Verdict(setup, start, figures, best, moves)


def _boot_start(steps: Sequence[Step], sizes: Sizes, follow: Callable[[Start], Figures]) -> Start:
    """Return the start from which the most choices are predicted; of equal ones, the least."""

    def predicted(start: Start) -> int:
        try:
            return follow(start).all.chunk_and_offset
        except TraceError:  # which is raised again if no start is better
            return -1

    return max(boot_starts(steps, sizes), key=predicted)
