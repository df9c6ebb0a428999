# SPDX-License-Identifier: GPL-2.0-only
"""What is said of a recording: on how many CPUs it was made, and what it has missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural

if TYPE_CHECKING:
    from percpu_ffi.trace import TraceStats

__all__ = ["gaps", "recorded_on"]


def recorded_on(stats: TraceStats) -> str:
    """Say on how many CPUs, to follow the trace's name; nothing where that is not told."""
    return f", recorded on {plural(stats.cpus, 'CPU')}" if stats.cpus else ""


def gaps(stats: TraceStats) -> list[str]:
    """Say in sentences what a recording has missed; nothing if it has missed nothing."""
    lines = []
    if stats.lost:
        lines.append(
            f"{plural(stats.lost, 'event')} lost by the recorder: areas may be missing, or seem "
            "never freed"
        )
    if stats.orphan_frees:
        lines.append(
            f"{plural(stats.orphan_frees, 'free')} of pointers never seen: these areas are older "
            "than the trace, and in no figure"
        )
    if stats.reallocs:
        lines.append(
            f"{plural(stats.reallocs, 'allocation')} of pointers not seen freed: the old area "
            "is taken to end there, its lifetime is unknown"
        )
    return lines
