# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi replay TRACE``: replay a trace through the allocator."""

from __future__ import annotations

import argparse
import json

from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.arguments import (
    copies_of,
    file_name,
    load_trace,
    setup_of,
)
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.reports.replay import ReplayReport, geometry_of


def run(args: argparse.Namespace) -> int:
    """Read the trace, replay it, print the report."""
    trace = load_trace(args.trace, strict=args.strict)
    setup = setup_of(args, trace)
    copies = copies_of(args, trace)
    with Allocator(**setup) as allocator:
        with progress_bar("replaying", len(trace), "op") as progress:
            result = allocator.replay(trace, progress)
        report = ReplayReport(
            name=file_name(args.trace),
            trace=trace,
            geometry=geometry_of(allocator, setup),
            result=result,
            state=allocator.state(),
            counters=allocator.counters(),
            copies=copies,
        )
    print(json.dumps(report.to_json(), indent=2) if args.json else report.to_text())
    return 0
