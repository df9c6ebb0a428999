# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of ``percpu-ffi replay``."""

from __future__ import annotations

import argparse

from percpu_ffi.cli.arguments import (
    add_json,
    add_machine,
    add_memory,
    add_policy,
    add_setup,
    add_trace,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Replay the allocations and frees of a kernel through the allocator of 2009, or of today."
    )
    add_trace(parser)
    setup = add_setup(parser)
    add_memory(setup)
    add_policy(setup)
    add_machine(parser)
    add_json(parser)
