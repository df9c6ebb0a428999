# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi check TRACE --against kernel``: compare the policy with a recorded kernel."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from percpu_ffi._util.text import plural
from percpu_ffi.cli.arguments import file_name, load_trace
from percpu_ffi.cli.machine import recorded_geometry
from percpu_ffi.cli.messages import notify
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import BITMAP
from percpu_ffi.errors import ConfigError
from percpu_ffi.geometry import Geometry
from percpu_ffi.lockstep import Factory
from percpu_ffi.reports.witness import WitnessReport
from percpu_ffi.stats import Dump
from percpu_ffi.stats.source import read_dumps
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import CREATED, DESTROYED, LOST
from percpu_ffi.trace.source import open_source
from percpu_ffi.witness.verdict import check_recording

BOOT = "boot"
MISSED = 1  # exit status


def run_against_kernel(args: argparse.Namespace, makers: Mapping[str, Factory]) -> int:
    """Check a recording and print the outcome."""
    if args.trace is None:
        raise ConfigError("--against kernel requires a TRACE, a recording of a kernel")
    for option in ("random", "setup", "calls"):
        if getattr(args, option):
            raise ConfigError(f"--{option} does not apply to --against kernel: leave it out")
    if len(args.only or ()) > 1:
        raise ConfigError(
            f"--only {' '.join(args.only)}: with --against kernel one party predicts, name it alone"
        )
    if args.policy not in (None, BITMAP):
        raise ConfigError("--against kernel requires --policy bitmap: no kernel of 2009 records")
    if args.reorder < 0:
        raise ConfigError(f"--reorder {args.reorder}: a number of lines from 0 is needed")
    party = (args.only or ["port"])[0]
    trace = load_trace(args.trace, strict=args.strict)
    geometry = _geometry(args, trace)
    remarks = _remarks(trace)
    for remark in remarks:
        notify(remark)
    with progress_bar("following", len(trace), "op") as progress:
        verdict = check_recording(
            trace,
            makers[party],
            geometry,
            boot=args.start == BOOT,
            dump=_dump(args.start),
            window=args.reorder,
            fixes=args.fixes or (),
            progress=progress,
        )
    report = WitnessReport(file_name(args.trace), party, trace, verdict, remarks)
    print(json.dumps(report.to_json(), indent=2) if args.json else report.to_text())
    return 0 if report.all_predicted else MISSED


def _geometry(args: argparse.Namespace, trace: Trace) -> Geometry:
    """Return the geometry of the recorded machine."""
    geometry = recorded_geometry(args, trace)
    if geometry is None:
        raise ConfigError(
            "the geometry of the recorded machine is not known: give its boot line (percpu: "
            "Embedded ...) or a dump of percpu_stats with --like FILE"
        )
    return geometry


def _dump(start: str | None) -> Dump | None:
    if start in (None, BOOT):
        return None
    with open_source(start) as blocks:
        return read_dumps(blocks)[0]


def _remarks(trace: Trace) -> list[str]:
    """Return what weakens the witness, a sentence each."""
    remarks = []
    if trace.stats.allocs and not any(kind.site for kind in trace.kinds):
        remarks.append(
            "the recording has no call_site: its kernel is older than 5.19, or the field was "
            "removed; the policy is confirmed on Linux 6.1, 6.12 and 6.18 only"
        )
    if trace.stats.kernel_chunks > 1 and not any(
        event.kind in (CREATED, DESTROYED) for event in trace.events
    ):
        remarks.append(
            "the recording has no percpu_create_chunk and no percpu_destroy_chunk: if these events "
            "were off, chunks that were created are taken for old ones, and none for new"
        )
    if trace.stats.lost:
        unknown = any(event.kind == LOST and not event.value for event in trace.events)
        lost = plural(trace.stats.lost, "event")
        remarks.append(
            f"the recorder lost {'at least ' * unknown}{lost}: what depends on them is not known"
        )
    return remarks
