# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi report TRACE -o report.html``: a page that shows the chunks over time."""

from __future__ import annotations

import argparse
from typing import Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import printable
from percpu_ffi.analysis.recorded import read_history
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.timeline import Timeline
from percpu_ffi.cli.arguments import (
    SETTINGS,
    load_trace,
    setup_of,
    short_name,
)
from percpu_ffi.cli.machine import recorded_geometry
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError, TraceError
from percpu_ffi.reports.history import history_figures
from percpu_ffi.reports.page import make_page
from percpu_ffi.reports.recording import failure_lines
from percpu_ffi.reports.replay import timeline_figures
from percpu_ffi.reports.still import make_still
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import source_name

KERNEL = "kernel"  # the value of --as


def run(args: argparse.Namespace) -> int:
    """Read the trace, make its timeline, write the files."""
    outputs = {"-o": args.html, "--png": args.png, "--svg": args.svg}
    outputs = {option: path for option, path in outputs.items() if path is not None}
    if not outputs:
        raise ConfigError("no output: give -o OUT.html, --png OUT.png or --svg OUT.svg")
    if args.whose == KERNEL:
        _refuse_setup(args)
    trace = load_trace(args.trace, strict=args.strict)
    if not trace:
        why = "; ".join(["the trace has no operations", *failure_lines(trace)])
        raise TraceError(why, source_name(args.trace))
    timeline, figures = _of_kernel(args, trace) if args.whose else _of_replay(args, trace)
    written = []
    for option, path in outputs.items():
        if option == "-o":
            data = make_page(timeline, figures).encode()
        else:
            data = make_still(timeline, figures["trace"], option[2:])
        write_whole(path, data)
        written.append(f"{printable(path)}: {len(data):,} bytes")
    print("\n".join(written))
    return 0


def _of_replay(args: argparse.Namespace, trace: Trace) -> tuple[Timeline, dict[str, Any]]:
    with progress_bar("replaying", 2 * len(trace), "op") as progress:
        timeline = collect(trace, setup_of(args, trace), progress)
    return timeline, timeline_figures(timeline, short_name(args.trace))


def _of_kernel(args: argparse.Namespace, trace: Trace) -> tuple[Timeline, dict[str, Any]]:
    geometry = recorded_geometry(args, trace)
    with progress_bar("reading the history", len(trace), "op") as progress:
        timeline = read_history(trace, geometry, progress)
    return timeline, history_figures(timeline, short_name(args.trace))


def _refuse_setup(args: argparse.Namespace) -> None:
    """Refuse the options that set up an allocator."""
    settings = ("policy", "fixes", *SETTINGS)
    if names := [name for name in settings if getattr(args, name, None) is not None]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise ConfigError(
            f"{options} with --as kernel: the history of a kernel has no allocator of ours to set "
            "up; leave it out (--like FILE gives the geometry of the recorded machine)"
        )
