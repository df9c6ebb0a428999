# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi bench``."""

from __future__ import annotations

import argparse

from percpu_ffi.bench.workload import Options
from percpu_ffi.cli.arguments import add_plot, add_policy, add_repeatable
from percpu_ffi.cli.files import InputFile, OutputFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Run workloads through the port, the 2009 file, malloc libraries and others in turn; "
        "print times, ratios, latencies, work counts, memory and performance bounds."
    )
    parser.epilog = (
        "The exit status is 0, 1 if a bound is missed, 2 for trouble, 130 after Ctrl-C; the "
        "results up to then are kept and marked as partial."
    )
    text = "which (default: all)"
    parser.add_argument("workloads", type=str, metavar="WORKLOAD", nargs="*", help=text)
    parser.add_argument("--list", action="store_true", help="list workloads and contenders")
    text = "a contender (default: those of the workload)"
    add_repeatable(parser, "--contender", "contenders", "NAME", text)
    text = "a recording as one more workload, - for standard input"
    add_repeatable(parser, "--trace", "traces", "FILE", text, InputFile())
    defaults = Options()
    for option, metavar, default, what in (
        ("objects", "N", defaults.objects, "allocations; the published measurement has 1048576"),
        ("live", "N", defaults.live, "live areas in a steady state"),
        ("seed", "N", defaults.seed, "seed of all random numbers"),
        ("cpus", "N", defaults.cpus, "CPUs of each allocator"),
        ("repeat", "N", 15, "repetitions of each workload, at least"),
        ("seconds", "S", 2.0, "seconds for each workload, at least"),
    ):
        text = f"{what} (default: %(default)s)"
        parser.add_argument(
            f"--{option}", type=type(default), default=default, metavar=metavar, help=text
        )
    add_policy(parser)
    text = "check the performance bounds (default: if all workloads are run)"
    parser.add_argument("--bounds", action=argparse.BooleanOptionalAction, help=text)
    text = "measure memory, too (default: of steady states and recordings)"
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, help=text)
    text = "write all results to a file"
    parser.add_argument("--json", type=OutputFile(), metavar="OUT", help=text)
    add_plot(parser)
    text = "compare two files of --json instead"
    parser.add_argument(
        "--compare", type=InputFile(), nargs=2, metavar=("A.json", "B.json"), help=text
    )
