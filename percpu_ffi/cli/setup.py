# SPDX-License-Identifier: GPL-2.0-only
"""What the commands that replay a trace share: its file and the allocator's set-up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    import argparse

    from percpu_ffi.face import PerCpu
    from percpu_ffi.sight.timeline import Timeline

__all__ = ["add_trace", "geometry_of", "load_trace", "setup_of"]

DEFAULT_CPUS = 4  # when the trace names none
NAMES = ("cpus", "first_chunk", "static_size", "unit_size", "free_size", "memory")


def add_trace(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Describe the trace and the set-up; gives the set-up's group, for more options."""
    parser.add_argument("trace", metavar="TRACE", help="text of ftrace or perf script, or our file")
    setup = parser.add_argument_group(
        "set-up", "what is not given is taken from the trace, if that has it"
    )
    setup.add_argument("--cpus", type=int, help="possible CPUs (as many as were recorded, or 4)")
    setup.add_argument(
        "--first-chunk",
        choices=("4k", "embed", "remap"),
        help="who sets the first chunk up (4k)",
    )
    setup.add_argument("--static-size", type=int, metavar="BYTES", help="static area (8192)")
    setup.add_argument("--unit-size", type=int, metavar="BYTES", help="unit of a CPU (0, auto)")
    setup.add_argument(
        "--free-size", type=int, metavar="BYTES", help="bytes behind the static area (0, auto)"
    )
    return setup


def load_trace(args: argparse.Namespace) -> Trace:
    """Read the trace, with a progress bar."""
    size = Path(args.trace).stat().st_size
    with progress_bar("reading", size, "B") as progress:
        return Trace.load(args.trace, progress)


def setup_of(args: argparse.Namespace, trace: Trace) -> dict[str, Any]:
    """Arguments of the allocator: what was given, else what the trace has, else what is usual."""
    usual = {"cpus": trace.stats.cpus or DEFAULT_CPUS, "first_chunk": "4k", "memory": "mapped"}
    given = {name: getattr(args, name, None) for name in NAMES}
    given = {name: value for name, value in given.items() if value is not None}
    return {**usual, **trace.setup, **given}


def geometry_of(allocator: PerCpu | Timeline, setup: dict[str, Any]) -> dict[str, Any]:
    """Tell what an allocator was made of, with what it chose itself."""
    return {
        "cpus": allocator.cpus,
        "first_chunk": setup["first_chunk"],
        "static_size": allocator.static_size,
        "unit_size": allocator.unit_size,
        "page_size": allocator.page_size,
        "memory": setup["memory"],
    }
