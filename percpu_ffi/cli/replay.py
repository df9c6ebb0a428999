# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi replay TRACE``: run a trace through the allocator and tell what happened."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import plural
from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.arguments import (
    add_memory,
    add_setup,
    add_trace,
    geometry_of,
    load_trace,
    name_of,
    setup_of,
)
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.drawing import LEGEND, map_bar
from percpu_ffi.reports.recording import recorded_on

if TYPE_CHECKING:
    import argparse

    from percpu_ffi.replay import Replay
    from percpu_ffi.state import State
    from percpu_ffi.trace import Trace

__all__ = ["add_parser"]

MOST_REASONS = 5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "replay",
        help="run a recorded trace through the allocator",
        description="Run what a kernel asked of its per-CPU allocator through that of 2009.",
    )
    add_trace(parser)
    add_memory(add_setup(parser))
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Report:
    """Everything that is told about a replay."""

    name: str
    trace: Trace
    geometry: dict[str, Any]
    result: Replay
    state: State
    counters: dict[str, int]

    @property
    def utilisation(self) -> float:
        """Share of the populated memory that was asked for, at the peak of live bytes."""
        asked = self.geometry["static_size"] + self.result.peak_live_bytes
        held = self.result.pages_at_peak * self.geometry["page_size"]
        return asked * self.geometry["cpus"] / held if held else 0.0

    @property
    def reasons(self) -> dict[str, int]:
        """Why operations failed, the most frequent reason first."""
        counted = Counter(str(failure.error) for failure in self.result.failures)
        return dict(counted.most_common())

    @property
    def operations_per_second(self) -> int:
        """Operations by the time in the allocator."""
        return round(len(self.trace) * 1e9 / max(self.result.elapsed_ns, 1))


def run(args: argparse.Namespace) -> int:
    """Read the trace, run it, print the report."""
    trace = load_trace(args.trace)
    setup = setup_of(args, trace)
    with Allocator(**setup) as allocator:
        with progress_bar("replaying", len(trace), "op") as progress:
            result = allocator.replay(trace, progress)
        report = Report(
            name=name_of(args.trace),
            trace=trace,
            geometry=geometry_of(allocator, setup),
            result=result,
            state=allocator.state(),
            counters=allocator.counters(),
        )
    print(json.dumps(to_json(report), indent=2) if args.json else to_text(report))
    return 0


def to_json(report: Report) -> dict[str, Any]:
    """The report as one object; the keys are documented in docs/traces.md."""
    stats, result = report.trace.stats, report.result
    return {
        "trace": report.name,
        "geometry": report.geometry,
        "events": stats.events,
        "allocs": stats.allocs,
        "frees": stats.frees,
        "orphan_frees": stats.orphan_frees,
        "reallocs": stats.reallocs,
        "lost_events": stats.lost,
        "failures": len(result.failures),
        "failure_reasons": report.reasons,
        "live_bytes": result.live_bytes,
        "peak_live_bytes": result.peak_live_bytes,
        "chunks_created": result.chunks_created,
        "chunks_destroyed": result.chunks_destroyed,
        "chunks": result.chunks,
        "peak_populated_pages": result.peak_populated_pages,
        "utilisation_at_peak": round(report.utilisation, 4),
        "operations_per_second": report.operations_per_second,
        "kernel": {
            "chunks": stats.kernel_chunks,
            "pages_per_cpu": stats.kernel_pages,
            "extent": stats.kernel_extent,
            "chunks_created": stats.kernel_created,
            "chunks_destroyed": stats.kernel_destroyed,
            "failures": stats.kernel_failures,
        },
        "counters": report.counters,
    }


def to_text(report: Report) -> str:
    """The report for a person, as wide as the terminal."""
    return "\n".join([*_summary(report), "", *_drawing(report)])


def _summary(report: Report) -> list[str]:
    stats, result, geometry = report.trace.stats, report.result, report.geometry
    pages = result.peak_populated_pages
    rows = [
        ("events", stats.events, f"{stats.lost:,} lost by the recorder"),
        ("allocations", stats.allocs, f"{stats.reallocs:,} of pointers not seen freed"),
        ("frees", stats.frees, f"{stats.orphan_frees:,} of pointers never seen"),
        ("failures", len(result.failures), ""),
        *((f"  {count:,} x", None, reason) for reason, count in _most(report.reasons)),
        ("peak live bytes", result.peak_live_bytes, "asked for, in one CPU's copies"),
        (
            "chunks",
            result.chunks,
            f"{result.chunks_created:,} created, {result.chunks_destroyed:,} destroyed, "
            "beside the first",
        ),
        (
            "pages at peak",
            pages,
            f"of {geometry['page_size']:,} bytes, on {plural(geometry['cpus'], 'CPU')}; "
            f"utilisation {report.utilisation:.1%}",
        ),
        (
            "kernel's own",
            stats.kernel_pages * geometry["cpus"],
            f"pages touched, in {plural(stats.kernel_chunks, 'chunk')}, offsets up to "
            f"{stats.kernel_extent:,}",
        ),
        ("speed", report.operations_per_second, "operations a second"),
    ]
    return [
        f"{report.name}{recorded_on(stats)}",
        f"replayed on {plural(geometry['cpus'], 'CPU')}, {geometry['first_chunk']}, "
        f"static area of {geometry['static_size']:,} bytes, "
        f"units of {geometry['unit_size']:,}, memory {geometry['memory']}",
        "",
        *(
            f"  {name:<16} {'' if value is None else f'{value:,}':>12}   {note}".rstrip()
            for name, value, note in rows
        ),
    ]


def _most(reasons: dict[str, int]) -> list[tuple[str, int]]:
    rows = list(reasons.items())
    if len(rows) > MOST_REASONS:
        others = sum(count for _, count in rows[MOST_REASONS:])
        rows[MOST_REASONS:] = [("other reasons", others)]
    return rows


def _drawing(report: Report) -> list[str]:
    unit_size, static_size = report.geometry["unit_size"], report.geometry["static_size"]
    width = shutil.get_terminal_size().columns - 2
    lines = [LEGEND]
    for chunk in report.state.chunks:
        held = sum(1 for cpus in chunk.populated if cpus)
        note = (
            f"chunk {chunk.id}: {chunk.free_size:,} of {unit_size:,} bytes free, "
            f"largest hole up to {chunk.contig_hint:,}, "
            f"{held} of {len(chunk.populated)} pages held"
        )
        lines += [note, f"[{map_bar(chunk, unit_size, static_size, max(width, 1))}]"]
    return lines
