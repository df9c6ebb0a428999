# SPDX-License-Identifier: GPL-2.0-only
"""What the reports say about a recording: its name, its CPUs, its events, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from percpu_ffi._util.text import plural
from percpu_ffi.config import MAX_CPUS
from percpu_ffi.errors import shown
from percpu_ffi.trace import Skipped, Trace, TraceStats
from percpu_ffi.trace.operations import FAILED

MOST_REQUESTS = 5  # that failed, in a sentence


def short_names(names: Sequence[str]) -> list[str]:
    """Return names of files without their folders and the ending .trace, if they stay distinct."""
    short = [PurePath(name).name.removesuffix(".trace") for name in names]
    return short if len({*short}) == len({*names}) else [*names]


def recorded_on(stats: TraceStats) -> str:
    """Return the number of CPUs, to follow the trace's name; nothing if it is unknown."""
    return f", recorded on {plural(stats.cpus, 'CPU')}" if stats.cpus else ""


def possible_cpus(trace: Trace) -> int | None:
    """Return the possible CPUs of the recorded machine, else those of its events; None: unknown.

    The kernel has a unit for each possible CPU, also for those that are offline.
    """
    cpus = trace.machine.get("possible_cpus")
    if isinstance(cpus, int) and 0 < cpus <= MAX_CPUS:
        return cpus
    return trace.stats.cpus or None


def whose_bytes(copies: int | None) -> str:
    """Return whose bytes are shown, to follow "bytes are those of"."""
    if copies is None:
        return "one CPU's copies"
    return f"the copies of {plural(copies, 'possible CPU')} (--machine)"


class FailedRequest(NamedTuple):
    """Size and alignment of allocations that failed in the recorded kernel, bytes."""

    size: int
    align: int
    atomic: bool

    def __str__(self) -> str:
        return f"{plural(self.size, 'byte')}, aligned to {self.align:,}" + ", atomic" * self.atomic


def failed_requests(trace: Trace) -> Counter[FailedRequest]:
    """Count the allocations that failed in the recorded kernel."""
    kinds = (trace.kinds[event.value] for event in trace.events if event.kind == FAILED)
    return Counter(FailedRequest(kind.size, kind.align, "atomic" in kind.flags) for kind in kinds)


def failure_counts(trace: Trace) -> list[tuple[int, str]]:
    """Return counts and requests of these allocations, the most frequent first."""
    failed = failed_requests(trace)
    rows = [(count, str(request)) for request, count in failed.most_common()]
    others = trace.stats.kernel_failures - failed.total()
    if others > 0:  # versions before 0.2 saved only their number
        rows.append((others, "unknown requests"))
    most = sum(count for count, _ in rows[MOST_REQUESTS:])
    return rows[:MOST_REQUESTS] + [(most, "other requests")] * (most > 0)


def failure_lines(trace: Trace) -> list[str]:
    """Return a sentence about them; none if there were none."""
    rows = failure_counts(trace)
    if not rows:
        return []
    requests = "; ".join(f"{count:,} x {request}" for count, request in rows)
    count = plural(sum(count for count, _ in rows), "allocation")
    return [f"{count} failed in the recorded kernel, and count in no figure: {requests}"]


def recording_figures(trace: Trace) -> dict[str, Any]:
    """Return what ``--json`` says about a recording, under the key ``recording``."""
    stats = trace.stats
    return {
        "events": stats.events,
        "cpus": stats.cpus or None,
        "lost_events": stats.lost,
        "skipped": {row.kind: row.lines for row in trace.skipped},
        "kernel_failures": [
            {**request._asdict(), "count": count}
            for request, count in sorted(failed_requests(trace).items())
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
    if not damage:
        return [f"skipped {', '.join(counts)}"]
    first = min(damage, key=lambda row: row.first)
    return [f"skipped {', '.join(counts)}; line {first.first:,} is the first: {shown(first.text)}"]
