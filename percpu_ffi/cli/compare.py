# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare TRACE``: replay a trace under several policies and geometries."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.outcome import Outcome
from percpu_ffi.cli.arguments import (
    default_setup,
    file_name,
    given_setup,
    load_like,
    load_trace,
    no_such_fix,
    policy_of,
    print_report,
)
from percpu_ffi.cli.executors import chosen_executor, is_worthwhile, text_of
from percpu_ffi.cli.objects import files_of, import_objects
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import AREA_MAP, BITMAP, GEOMETRY, ONLY, POLICY_NAMES
from percpu_ffi.custom import CustomPolicy, Units, check_policy
from percpu_ffi.errors import ConfigError, TraceError, shown
from percpu_ffi.executors import Executor, WorkerPool
from percpu_ffi.geometry import Geometry
from percpu_ffi.reports.geometries import KERNEL, GeometryReport
from percpu_ffi.reports.geometry_summary import GeometrySummary
from percpu_ffi.reports.recording import failure_lines
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import source_name

REFUSED = 1  # exit status: every geometry
MOST_GEOMETRIES = 1000
# operations of all replays; in less time than more than these take, processes do not start
LEAST_STEPS = 1_000_000
LEAST_TEXT = 8 << 20  # bytes of text; less is not worth processes, under a few geometries
OWN_COST = 10  # an operation of a policy of the user, in those of the port
OWN_NAME = re.compile(r"\w[\w.-]{0,19}", re.ASCII)  # of a policy of the user, as tables show it

# without any geometry on the command line; 0 is the automatic size of the policy
DEFAULT_LISTS: dict[str, list[Any]] = {
    "first_chunk": ["4k", "embed", "remap"],
    "unit_size": [0, 256 << 10],
}


def other_inputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the files of the user's own policies."""
    return files_of(args.own, args.executor)


def run(args: argparse.Namespace) -> int:
    """Read the traces, replay each under each geometry, print the tables."""
    if len(args.traces) > 1 and not args.summary:
        raise ConfigError("several traces: add --summary, or give one")
    own, like = _own_policies(args), load_like(args)
    with chosen_executor(args) as executor:
        long = text_of(args.traces) >= LEAST_TEXT
        if isinstance(executor, WorkerPool) and is_worthwhile(args, 2, long):
            executor.prepare()
        reports = [_report(args, like, path, own, executor) for path in args.traces]
    print_report(args, GeometrySummary(reports) if args.summary else reports[0])
    rows = (row for report in reports for row in report.rows)
    return 0 if any(isinstance(row, Outcome) for row in rows) else REFUSED


def _report(
    args: argparse.Namespace,
    like: Geometry | None,
    path: str,
    own: Mapping[str, type[CustomPolicy]],
    executor: Executor,
) -> GeometryReport:
    """Replay a trace under each geometry."""
    trace = load_trace(path, strict=args.strict)
    if not len(trace):
        why = "; ".join(["the trace has no operations", *failure_lines(trace)])
        raise TraceError(why, source_name(path))
    setups = list(itertools.islice(_setups(args, like, trace, own), MOST_GEOMETRIES + 1))
    if len(setups) > MOST_GEOMETRIES:
        raise ConfigError(
            f"more than {MOST_GEOMETRIES:,} geometries; give fewer values, or single geometries "
            "with --geometry"
        )
    steps = len(trace) * sum(OWN_COST if setup.get("policy") in own else 1 for setup in setups)
    where = executor if is_worthwhile(args, len(setups), steps >= LEAST_STEPS, own) else None
    with progress_bar("replaying", len(trace) * len(setups), "op") as progress:
        rows = compare(trace, setups, progress, own, where)
    return GeometryReport(file_name(path), trace, rows)


def _own_policies(args: argparse.Namespace) -> dict[str, type[CustomPolicy]]:
    """Import the policies of ``--with``."""
    form = "NAME=MODULE:CLASS is needed, such as p2=examples.policies.power_of_two:PowerOfTwo"
    own = {}
    for name, place, value in import_objects(args.own, "policy", form, (*POLICY_NAMES, KERNEL)):
        if not OWN_NAME.fullmatch(name):
            raise ConfigError(
                f"policy {shown(name)}: a name has up to 20 letters, digits, and _.- within"
            )
        try:
            check_policy(value)
        except ConfigError:
            raise ConfigError(
                f"policy {name!r}: {place} is no subclass of percpu_ffi.CustomPolicy"
            ) from None
        own[name] = value
    return own


def _setups(
    args: argparse.Namespace, like: Geometry | None, trace: Trace, own: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield all combinations of the given values, then the single geometries, then own policies."""
    policies = args.policy or [{}]
    asked = [*policies, *(one["policy"] for one in args.explicit if "policy" in one)]
    if args.fixes and all(policy_of(policy, trace) != BITMAP for policy in asked):
        raise no_such_fix(args.fixes[0])
    given = given_setup(args) or ({} if args.explicit or args.like else DEFAULT_LISTS)
    for policy in policies:
        lists = {name: given[name] for name in GEOMETRY if name in given}  # the last varies first
        if len(policies) > 1 or given is DEFAULT_LISTS:
            # what only another policy has is meant for that one
            others = ONLY[BITMAP if policy_of(policy, trace) == AREA_MAP else AREA_MAP]
            lists = {name: values for name, values in lists.items() if name not in others}
        default = _default(args, like, trace, policy)
        if lists or args.like or (args.policy and not args.explicit):
            for values in itertools.product(*lists.values()):
                yield {**default, **dict(zip(lists, values, strict=True))}
    for one in args.explicit:
        settings = dict(one)
        policy = settings.pop("policy", policies[0])
        yield {**_default(args, like, trace, policy), **settings}
    default = _of_units(default_setup(like, trace, {"policy": AREA_MAP}))
    lists = _of_units(given)
    for name in own:
        if given or args.like:
            for values in itertools.product(*lists.values()):
                yield {**default, **dict(zip(lists, values, strict=True)), "policy": name}
        for one in args.explicit:
            yield {**default, **_of_units(one), "policy": name}


def _of_units(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a policy of the user has, in the order of a geometry."""
    return {name: settings[name] for name in GEOMETRY if name in Units._fields and name in settings}


def _default(
    args: argparse.Namespace, like: Geometry | None, trace: Trace, policy: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of an allocator with a policy, and with ``--fixes`` if it has them."""
    default = default_setup(like, trace, policy)
    if args.fixes and default.get("policy") == BITMAP:
        default["fixes"] = sorted({*default.get("fixes", ()), *args.fixes})
    return default
