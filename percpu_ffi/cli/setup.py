# SPDX-License-Identifier: GPL-2.0-only
"""How the allocator is set up that a trace runs through: options of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from percpu_ffi.trace import Trace

__all__ = ["add_setup", "setup_of"]

DEFAULT_CPUS = 4  # when the trace names none


def add_setup(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
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
    setup.add_argument(
        "--memory", choices=("mapped", "none"), help="real memory or bookkeeping only (mapped)"
    )


def setup_of(args: argparse.Namespace, trace: Trace) -> dict[str, Any]:
    """Arguments of the allocator: what was given, else what the trace has, else what is usual."""
    usual = {"cpus": trace.stats.cpus or DEFAULT_CPUS, "first_chunk": "4k", "memory": "mapped"}
    names = ("cpus", "first_chunk", "static_size", "unit_size", "free_size", "memory")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return {**usual, **trace.setup, **given}
