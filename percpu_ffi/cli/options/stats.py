# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi stats``."""

from __future__ import annotations

import argparse

from percpu_ffi.cli.arguments import (
    add_json,
    add_memory,
    add_policy,
    add_setup,
    add_strict,
)
from percpu_ffi.cli.files import InputFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Replay a trace and print the allocator's statistics in the format of "
        "/sys/kernel/debug/percpu_stats; or print a dump in this format, or compare two."
    )
    parser.epilog = "The exit status is 0, 1 if --diff finds a difference, 2 for trouble."
    what = parser.add_mutually_exclusive_group(required=True)
    text = "a trace, or a text with one dump; - for standard input"
    what.add_argument("trace", type=InputFile(), metavar="TRACE|DUMP", nargs="?", help=text)
    text = "two dumps to compare: of two files, or both of one file or recording; - for stdin"
    what.add_argument("--diff", type=InputFile(), nargs="+", metavar=("A", "B"), help=text)
    add_strict(parser)
    setup = add_setup(parser)
    add_memory(setup)
    add_policy(setup)
    add_json(parser)
