# SPDX-License-Identifier: GPL-2.0-only
"""The geometry of the machine that a recording is of."""

from __future__ import annotations

import argparse
from pathlib import Path

from percpu_ffi.cli.arguments import load_like
from percpu_ffi.errors import StatsError
from percpu_ffi.geometry import Geometry
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import STDIN


def recorded_geometry(args: argparse.Namespace, trace: Trace) -> Geometry | None:
    """Return the geometry of ``--like``, of a sibling .meta, or of the recorder; None: unknown."""
    if like := load_like(args):
        return like
    if args.trace != STDIN and (sibling := _sibling(Path(args.trace))):
        return Geometry.load(sibling)
    try:
        return Geometry.from_machine(trace.machine)
    except StatsError:
        return None


def _sibling(path: Path) -> Path | None:
    """Return NAME.meta of NAME.ftrace.xz, if there is one; each suffix may be missing."""
    name = path.name
    while name:
        meta = path.with_name(f"{name}.meta")
        if meta.is_file():
            return meta
        name = name.rpartition(".")[0]
    return None
