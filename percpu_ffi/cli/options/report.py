# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi report``."""

from __future__ import annotations

import argparse

from percpu_ffi.cli.arguments import (
    add_policy,
    add_setup,
    add_trace,
)
from percpu_ffi.cli.files import OutputFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Replay a trace and make a page of it: memory and fragmentation over time, every chunk at "
        "any moment, sizes, call sites. The page is one file and needs no network."
    )
    add_trace(parser)
    text = (
        "no replay: what the recorded kernel itself did, by the chunks and offsets that it "
        "printed; --like or NAME.meta, next to the recording, has its unit size"
    )
    parser.add_argument("--as", dest="whose", choices=("kernel",), help=text)
    add_policy(add_setup(parser))
    text = "the page; needs the extra 'report' (bokeh)"
    parser.add_argument("-o", "--html", type=OutputFile("bokeh"), metavar="OUT.html", help=text)
    text = (
        "a picture with the chunks at the worst moment, or at a kernel's peak; needs the extra "
        "'plot' (matplotlib)"
    )
    for kind in ("png", "svg"):
        parser.add_argument(
            f"--{kind}", type=OutputFile("matplotlib"), metavar=f"OUT.{kind}", help=text
        )
