# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi check``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from percpu_ffi.cli.arguments import (
    TRACE,
    add_json,
    add_like,
    add_policy,
    add_repeatable,
    add_strict,
)
from percpu_ffi.cli.executors import add_executor
from percpu_ffi.cli.files import InputFile, OutputFile
from percpu_ffi.lockstep import ASPECTS
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.trace.operations import checked_fault, checked_setup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Drive the port in C, the model in Python and your own allocators with the same "
        "operations; stop at the first difference, shorten the trace and show it."
    )
    parser.epilog = "The exit status is 0 without a difference, 1 with one, 2 for trouble."
    parser.add_argument("trace", type=InputFile(), metavar="TRACE", nargs="?", help=TRACE)
    add_strict(parser)
    parser.add_argument("--random", action="store_true", help="random set-ups and operations")
    add_repeatable(
        parser, "--with", "parties", "NAME=MODULE:OBJECT",
        "another party: a class or function that takes the arguments of an allocator",
    )  # fmt: skip
    text = "parties to drive (all)"
    parser.add_argument("--only", type=str, nargs="+", metavar="NAME", help=text)
    text = f"what to compare: {', '.join(ASPECTS)} (all)"
    parser.add_argument(
        "--compare", nargs="+", choices=ASPECTS, default=ASPECTS, metavar="ASPECT", help=text
    )
    text = "how to call: one by one, in batches, or all at once (single; all of them with --random)"
    parser.add_argument("--calls", nargs="+", choices=CALLS, metavar="CALLS", help=text)
    example = '{"cpus": 2, "page_size": 64, "memory": "none"}'
    parser.add_argument(
        "--setup", type=_setup, default={}, metavar="JSON", help=f"set-up, such as {example}"
    )
    add_like(parser)
    add_policy(parser)
    kernel = parser.add_argument_group("a kernel as the witness")
    kernel.add_argument(
        "--against", choices=("kernel",), help="predict the choices that the kernel recorded"
    )
    text = "boot, or a dump of percpu_stats at the start (inferred from the recording)"
    kernel.add_argument("--start", type=InputFile(), metavar="boot|FILE", help=text)
    text = "lines that a decision may be printed late: search for another order (%(default)s)"
    kernel.add_argument("--reorder", type=int, default=0, metavar="N", help=text)
    add_json(kernel)
    text = "where to save the operations that show a difference (%(default)s)"
    parser.add_argument(
        "--save", type=OutputFile(), metavar="FILE", default="difference.trace", help=text
    )
    campaign = parser.add_argument_group("random campaigns")
    for option, kind, default, what in (
        ("--operations", int, 100_000, "number of operations, at least (%(default)s)"),
        ("--seed", int, 0, "seed of all random numbers (%(default)s)"),
        ("--length", int, 1000, "operations on one set-up (%(default)s)"),
        ("--faults", float, 1 / 3, "share of the set-ups with faults (1/3)"),
        ("--case", int, None, "run only this one of the set-ups, in this process"),
    ):
        campaign.add_argument(option, type=kind, default=default, metavar="N", help=what)
    for option, what in (("--sizes", "sizes to choose from"), ("--aligns", "alignments likewise")):
        campaign.add_argument(option, type=int, nargs="+", default=[], metavar="BYTES", help=what)
    add_repeatable(
        campaign, "--plan", "plans", "SITE=JSON",
        'a fault instead of random ones, such as map={"probability": 0.01}', _plan,
    )  # fmt: skip
    text = "save the progress there; continue from it if it exists"
    campaign.add_argument("--resume", type=OutputFile(), metavar="FILE", help=text)
    add_executor(campaign)


def _setup(text: str) -> dict[str, Any]:
    try:
        return checked_setup(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _plan(text: str) -> tuple[str, dict[str, Any]]:
    site, _, plan = text.partition("=")
    try:
        return site, checked_fault(site, json.loads(plan))
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
