# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi compare``."""

from __future__ import annotations

import argparse
from typing import Any

from percpu_ffi.cli.arguments import (
    TRACE,
    add_formats,
    add_policy,
    add_repeatable,
    add_setup,
    add_strict,
    first_chunk,
    policy_setup,
    size,
)
from percpu_ffi.cli.executors import add_executor
from percpu_ffi.cli.files import InputFile
from percpu_ffi.config import GEOMETRY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Replay a trace under several policies and geometries, with bookkeeping only: all "
        "combinations of the given values. Without a geometry: that of --like, else each first "
        "chunk, with its automatic unit and with one of 256K."
    )
    parser.epilog = (
        "The exit status is 0 if at least one geometry is possible, 1 if all are refused, 2 for "
        "trouble."
    )
    parser.add_argument("traces", type=InputFile(), metavar="TRACE", nargs="+", help=TRACE)
    add_strict(parser)
    text = "print one line for each trace: pages at the peak and at the end; needed for several"
    parser.add_argument("--summary", action="store_true", help=text)
    text = f"a single geometry, such as cpus=8,unit_size=128K; the names are {', '.join(GEOMETRY)}"
    group = add_setup(parser, lists=True)
    add_policy(group, lists=True)
    add_repeatable(group, "--geometry", "explicit", "NAME=VALUE,...", text, _geometry)
    text = "a policy of your own, a class over percpu_ffi.CustomPolicy, under the same geometries"
    add_repeatable(group, "--with", "own", "NAME=MODULE:CLASS", text)
    add_formats(parser)
    add_executor(parser)


def _geometry(text: str) -> dict[str, Any]:
    """Parse the value of ``--geometry``."""
    settings: dict[str, Any] = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in GEOMETRY or name in settings:
            raise argparse.ArgumentTypeError(
                f"{item!r}: NAME=VALUE is needed, each name once, from {', '.join(GEOMETRY)}"
            )
        settings[name] = PARSERS.get(name, size)(value)
    return settings


PARSERS: dict[str, Any] = {"policy": policy_setup, "first_chunk": first_chunk}
