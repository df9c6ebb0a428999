# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare TRACE``: replay a trace under several policies and geometries."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

from percpu_ffi.analysis.geometries import GEOMETRY, Outcome, compare
from percpu_ffi.cli.arguments import (
    add_formats,
    add_policy,
    add_repeatable,
    add_setup,
    add_trace,
    default_setup,
    file_name,
    first_chunk,
    given_setup,
    load_trace,
    policy_of,
    policy_setup,
    print_report,
    size,
)
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import AREA_MAP, BITMAP, ONLY
from percpu_ffi.errors import ConfigError, TraceError
from percpu_ffi.reports.geometries import GeometryReport
from percpu_ffi.reports.recording import failure_lines
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import source_name

REFUSED = 1  # exit status: every geometry
MOST_GEOMETRIES = 1000

# without any geometry on the command line; 0 is the automatic size of the policy
DEFAULT_LISTS: dict[str, list[Any]] = {
    "first_chunk": ["4k", "embed", "remap"],
    "unit_size": [0, 256 << 10],
}


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
    add_trace(parser)
    text = f"a single geometry, such as cpus=8,unit_size=128K; the names are {', '.join(GEOMETRY)}"
    group = add_setup(parser, lists=True)
    add_policy(group, lists=True)
    add_repeatable(group, "--geometry", "explicit", "NAME=VALUE,...", text, _geometry)
    add_formats(parser)


def run(args: argparse.Namespace) -> int:
    """Read the trace, replay it under each geometry, print the tables."""
    trace = load_trace(args.trace, strict=args.strict)
    name = file_name(args.trace)
    if not len(trace):
        why = "; ".join(["the trace has no operations", *failure_lines(trace)])
        raise TraceError(why, source_name(args.trace))
    setups = list(itertools.islice(_setups(args, trace), MOST_GEOMETRIES + 1))
    if len(setups) > MOST_GEOMETRIES:
        raise ConfigError(
            f"more than {MOST_GEOMETRIES:,} geometries; give fewer values, or single geometries "
            "with --geometry"
        )
    with progress_bar("replaying", len(trace) * len(setups), "op") as progress:
        rows = list(compare(trace, setups, progress))
    print_report(args, GeometryReport(name, trace, rows))
    return 0 if any(isinstance(row, Outcome) for row in rows) else REFUSED


def _setups(args: argparse.Namespace, trace: Trace) -> Iterator[dict[str, Any]]:
    """Yield all combinations of the given values, then the single geometries."""
    policies = args.policy or [{}]
    asked = [*policies, *(one["policy"] for one in args.explicit if "policy" in one)]
    if args.fixes and all(policy_of(policy, trace) != BITMAP for policy in asked):
        raise ConfigError(f"--fixes {args.fixes[0]}: only bitmaps have it; add --policy bitmap")
    given = given_setup(args) or ({} if args.explicit or args.like else DEFAULT_LISTS)
    for policy in policies:
        lists = {name: given[name] for name in GEOMETRY if name in given}  # the last varies first
        if len(policies) > 1 or given is DEFAULT_LISTS:
            # what only another policy has is meant for that one
            others = ONLY[BITMAP if policy_of(policy, trace) == AREA_MAP else AREA_MAP]
            lists = {name: values for name, values in lists.items() if name not in others}
        default = _default(args, trace, policy)
        if lists or args.like or (args.policy and not args.explicit):
            for values in itertools.product(*lists.values()):
                yield {**default, **dict(zip(lists, values, strict=True))}
    for one in args.explicit:
        own = dict(one)
        policy = own.pop("policy", policies[0])
        yield {**_default(args, trace, policy), **own}


def _default(args: argparse.Namespace, trace: Trace, policy: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of an allocator with a policy, and with ``--fixes`` if it has them."""
    default = default_setup(args, trace, policy)
    if args.fixes and default.get("policy") == BITMAP:
        default["fixes"] = sorted({*default.get("fixes", ()), *args.fixes})
    return default


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
