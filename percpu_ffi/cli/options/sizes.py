# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi sizes``."""

from __future__ import annotations

import argparse

from percpu_ffi.cli.arguments import (
    TRACE,
    add_formats,
    add_machine,
    add_plot,
    add_strict,
)
from percpu_ffi.cli.executors import add_executor
from percpu_ffi.cli.files import InputFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Count the allocations of each size and alignment, and those live at the peak, for each "
        "trace and for all traces together."
    )
    parser.add_argument("traces", type=InputFile(), metavar="TRACE", nargs="+", help=TRACE)
    add_strict(parser)
    text = (
        "print one line for each trace, and the histogram of all together, instead of all tables; "
        "with --csv one row for each trace"
    )
    parser.add_argument("--summary", action="store_true", help=text)
    text = "count each caller separately, and name in the histogram those with most areas"
    parser.add_argument("--callers", action="store_true", help=text)
    add_machine(parser)
    add_formats(parser)
    add_plot(parser)
    add_executor(parser)
