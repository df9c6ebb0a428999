# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare TRACE``: the same trace under several geometries, side by side."""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import csv_text
from percpu_ffi.analysis.geometries import GEOMETRY, Outcome, Refusal, compare, to_plain
from percpu_ffi.cli.arguments import (
    add_forms,
    add_setup,
    add_trace,
    first_chunk,
    given_setup,
    load_trace,
    name_of,
    size,
    usual_setup,
)
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError, TraceError
from percpu_ffi.reports.geometries import KERNEL_PAGE, side_by_side
from percpu_ffi.work import Work

if TYPE_CHECKING:
    from percpu_ffi.trace import Trace

__all__ = ["add_parser"]

REFUSED = 1  # exit status: every geometry
MOST_GEOMETRIES = 1000

# what is compared when nothing is given; 0 is the size that the set-up of 2009 takes itself
USUAL: dict[str, list[Any]] = {
    "first_chunk": ["4k", "embed", "remap"],
    "unit_size": [0, 256 << 10],
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="run a trace under several geometries, side by side",
        description="Run the same trace under several geometries, with books kept and nothing "
        "mapped: all combinations of the values given. Without any: each first chunk, with its "
        "own unit and with one of 256K.",
        epilog="The exit status is 0 when a geometry was possible, 1 when all were refused, 2 for "
        "trouble.",
    )
    add_trace(parser)
    add_setup(parser, lists=True).add_argument(
        "--geometry",
        dest="explicit",
        action="append",
        type=_geometry,
        default=[],
        metavar="NAME=VALUE,...",
        help="one more, or one alone, such as first_chunk=embed,unit_size=128K,cpus=8; the names "
        f"are {', '.join(GEOMETRY)}; may be given several times",
    )
    add_forms(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Report:
    """Everything that is told about a comparison."""

    name: str
    trace: Trace
    rows: list[Outcome | Refusal]


def run(args: argparse.Namespace) -> int:
    """Read the trace, run it under each geometry, print the table."""
    trace = load_trace(args.trace)
    name = name_of(args.trace)
    if not len(trace):
        raise TraceError("there is no operation in it, so there is nothing to compare", name)
    setups = _setups(args, trace)
    with progress_bar("replaying", len(trace) * len(setups), "op") as progress:
        report = Report(name, trace, list(compare(trace, setups, progress)))
    if args.json:
        print(json.dumps(to_json(report), indent=2))
    elif args.csv:
        print(to_csv(report))
    else:
        print("\n".join(side_by_side(report.name, trace, report.rows)))
    possible = any(isinstance(row, Outcome) for row in report.rows)
    return 0 if possible else REFUSED


def _setups(args: argparse.Namespace, trace: Trace) -> list[dict[str, Any]]:
    """Arguments of the allocators: all combinations of what was given, then the single ones."""
    usual = usual_setup(trace)
    given = given_setup(args) or ({} if args.explicit else USUAL)
    lists = {name: given[name] for name in GEOMETRY if name in given}  # the last varies first
    combinations = itertools.product(*lists.values()) if lists else []
    setups = [
        {**usual, **dict(zip(lists, values, strict=True))}
        for values in itertools.islice(combinations, MOST_GEOMETRIES + 1)
    ]
    setups += [{**usual, **one} for one in args.explicit]
    if len(setups) > MOST_GEOMETRIES:
        raise ConfigError(
            f"more than {MOST_GEOMETRIES:,} geometries; give fewer values, or single geometries "
            "with --geometry"
        )
    return setups


def _geometry(text: str) -> dict[str, Any]:
    """Read one geometry."""
    settings: dict[str, Any] = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in GEOMETRY or name in settings:
            raise argparse.ArgumentTypeError(
                f"{item!r}: NAME=VALUE is needed, each name once, from {', '.join(GEOMETRY)}"
            )
        settings[name] = first_chunk(value) if name == "first_chunk" else size(value)
    return settings


def to_json(report: Report) -> dict[str, Any]:
    """The report as one object; the keys are documented in docs/sight.md."""
    stats = report.trace.stats
    return {
        "trace": report.name,
        "allocs": stats.allocs,
        "frees": stats.frees,
        "kernel": {
            "cpus": stats.cpus,
            "chunks": stats.kernel_chunks,
            "chunks_created": stats.kernel_created,
            "chunks_destroyed": stats.kernel_destroyed,
            "bytes_per_cpu": stats.kernel_pages * KERNEL_PAGE,
            "extent": stats.kernel_extent,
            "failures": stats.kernel_failures,
        },
        "geometries": [to_plain(row) for row in report.rows],
    }


def to_csv(report: Report) -> str:
    """A line for each geometry: what is plain of --json, and the kernel's chunks and bytes."""
    rows = [_flat(to_plain(row)) for row in report.rows]
    stats = report.trace.stats
    for row in rows:
        row["kernel_chunks"] = stats.kernel_chunks
        row["kernel_bytes_per_cpu"] = stats.kernel_pages * KERNEL_PAGE
    header = list(rows[0])
    return csv_text(header, ([row[name] for name in header] for row in rows))


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    """Put the counts of work beside the other figures, and leave the reasons of failures out."""
    del figures["failure_reasons"]
    for call in ("alloc", "free"):
        work = figures.pop(f"work_{call}") or {}
        for field in fields(Work):
            figures[f"{call}_{field.name}"] = work.get(field.name)
    return figures
