# SPDX-License-Identifier: GPL-2.0-only
"""What the reports say about a recording: its CPUs, its events, what is missing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from percpu_ffi._util.text import plural
from percpu_ffi.errors import shown
from percpu_ffi.trace import Skipped, Trace, TraceStats
from percpu_ffi.trace.operations import FAILED


def recorded_on(stats: TraceStats) -> str:
    """Return the number of CPUs, to follow the trace's name; nothing if it is unknown."""
    return f", recorded on {plural(stats.cpus, 'CPU')}" if stats.cpus else ""


def recording_figures(trace: Trace) -> dict[str, Any]:
    """Return what ``--json`` says about a recording, under the key ``recording``."""
    stats, kinds = trace.stats, trace.kinds
    failed = Counter(
        (kind.size, kind.align, "atomic" in kind.flags)
        for kind in (kinds[event.value] for event in trace.events if event.kind == FAILED)
    )
    return {
        "events": stats.events,
        "cpus": stats.cpus or None,
        "lost_events": stats.lost,
        "skipped": {row.kind: row.lines for row in trace.skipped},
        "kernel_failures": [
            {"size": size, "align": align, "atomic": atomic, "count": count}
            for (size, align, atomic), count in sorted(failed.items())
        ],
        "columns": list(trace.columns()),
    }


def missing_events(stats: TraceStats | None) -> dict[str, int | None]:
    """Return the counts of what the recording misses; None: several recordings."""
    return {
        "orphan_frees": stats.orphan_frees if stats else None,
        "reallocs": stats.reallocs if stats else None,
        "lost_events": stats.lost if stats else None,
    }


def caveats(stats: TraceStats) -> list[str]:
    """Return a sentence for each kind of event that the recording misses."""
    lines = []
    if stats.lost:
        lines.append(
            f"{plural(stats.lost, 'lost event')}: areas may be missing, or seem never freed"
        )
    if stats.orphan_frees:
        lines.append(
            f"{plural(stats.orphan_frees, 'free')} of unknown pointers: allocated before the "
            "recording began; excluded from all figures"
        )
    if stats.reallocs:
        lines.append(
            f"{plural(stats.reallocs, 'allocation')} of pointers still in use: the free of the "
            "old area is missing; its lifetime is unknown"
        )
    return lines


def recording_summary(
    output: str, stats: TraceStats, skipped: list[Skipped], seconds: float
) -> str:
    """Return the message at the end of ``percpu-ffi record``."""
    lines = [
        f"{output}: {plural(stats.events, 'event')} in {seconds:.2f} s, "
        f"{plural(stats.allocs, 'allocation')} and {plural(stats.frees, 'free')}, "
        f"{plural(stats.lost, 'event')} lost",
        "the events are those of the whole machine, including the recorder",
    ]
    if stats.lost:
        lines.append("events were lost: give a larger --buffer-kb")
    lines += skipped_lines(skipped)
    return "\n            ".join(lines)


# what is skipped for each reason: a noun, and what follows it
REASONS = {
    "text": ("line", " without an event"),
    "other_event": ("line", " of other events"),
    "damaged": ("damaged event", ""),
    "masked": ("event", " with masked pointers, as kernels print them early at boot"),
    "torn": ("event", " interrupted by another one"),
    "cut": ("cut line", " at the end"),
    "binary": ("line", " of binary data"),
}


def skipped_lines(skipped: list[Skipped]) -> list[str]:
    """Return a sentence about the lines that were skipped; none if there were none."""
    if not skipped:
        return []
    counts = [
        plural(row.lines, noun) + rest
        for row in skipped
        for noun, rest in [REASONS.get(row.kind, (row.kind, ""))]
    ]
    damage = [row for row in skipped if row.kind not in ("text", "other_event")]
    first = f"; line {damage[0].first:,} is the first: {shown(damage[0].text)}" if damage else ""
    return [f"skipped {', '.join(counts)}{first}"]
