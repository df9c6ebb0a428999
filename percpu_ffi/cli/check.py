# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi check``: drive allocators in lockstep and compare them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from percpu_ffi._util.text import plural
from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.against_kernel import run_against_kernel
from percpu_ffi.cli.arguments import (
    given_policy,
    known_setup,
    load_like,
    load_trace,
    policy_of,
)
from percpu_ffi.cli.executors import chosen_executor
from percpu_ffi.cli.messages import notify
from percpu_ffi.cli.objects import files_of, import_objects
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError
from percpu_ffi.lockstep import Campaign, Difference, Factory, Mix, lockstep, shorten
from percpu_ffi.lockstep.campaign import MAX_INTEGER
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.model import Model
from percpu_ffi.reports.lockstep import campaign_text, operations_text
from percpu_ffi.trace import Trace

DIFFERENT = 1  # exit status


def other_inputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the files of the user's own parties."""
    return files_of(args.parties, args.executor)


def run(args: argparse.Namespace) -> int:
    """Run the trace or the campaign and print the outcome."""
    if (args.trace is None) == (not args.random) and not args.against:
        raise ConfigError("give either a TRACE or --random")
    for option in ("resume", "case", "executor", "dask"):
        if getattr(args, option) is not None and not args.random:
            raise ConfigError(f"--{option} requires --random")
    for option in ("start", "reorder", "json"):
        if getattr(args, option) and not args.against:
            raise ConfigError(f"--{option} requires --against kernel")
    makers = _makers(args)
    if args.against:
        return run_against_kernel(args, makers)
    return _run_campaign(args, makers) if args.random else _run_trace(args, makers)


def _run_trace(args: argparse.Namespace, makers: Mapping[str, Factory]) -> int:
    trace = load_trace(args.trace, strict=args.strict)
    # the state is compared, and the model has no faster memory
    # the state is compared, and the model has no faster memory
    default: dict[str, Any] = {"memory": "none"}
    if trace.stats.cpus:
        default["cpus"] = trace.stats.cpus
    known = known_setup(load_like(args), trace, given_policy(args))
    trace = Trace.from_ops(trace, {**default, **known, **args.setup})
    return _drive(args, makers, trace, *(args.calls or ["single"]))


def _drive(
    args: argparse.Namespace, makers: Mapping[str, Factory], trace: Trace, *all_calls: str
) -> int:
    """Run a trace in each way to call."""
    for calls in all_calls:
        with progress_bar("checking", len(trace), "op") as progress:
            difference = lockstep(
                makers, trace, compare=args.compare, calls=calls, progress=progress
            )
        if difference:
            return _show(args, makers, difference)
    print(f"{', '.join(makers)}: {plural(len(trace), 'operation')}, no difference")
    return 0


def _run_campaign(args: argparse.Namespace, makers: Mapping[str, Factory]) -> int:
    policy, like = given_policy(args), load_like(args)
    campaign = Campaign(
        makers,
        operations=args.operations,
        seed=args.seed,
        length=args.length,
        faults=args.faults,
        setup={**(like.setup(policy_of(policy)) if like else {}), **policy, **args.setup},
        compare=tuple(args.compare),
        calls=tuple(args.calls or CALLS),
        mix=Mix(args.sizes, args.aligns, args.plans),
    )
    if args.case is not None:
        return _run_case(args, makers, campaign)
    try:
        with (
            chosen_executor(args) as executor,
            progress_bar("checking", args.operations, "op") as progress,
        ):
            totals = campaign.run(executor, progress=progress, state=args.resume)
    except KeyboardInterrupt:
        hint = f"; the same command goes on from {args.resume}" if args.resume else ""
        notify(f"stopped{hint}")
        raise
    print(campaign_text(list(makers), args.seed, totals, campaign.policy))
    return _show(args, makers, totals.difference) if totals.difference else 0


def _run_case(args: argparse.Namespace, makers: Mapping[str, Factory], campaign: Campaign) -> int:
    """Run one of the cases, in this process."""
    if not 0 <= args.case <= MAX_INTEGER:
        raise ConfigError(f"--case {args.case}: from 0 to {MAX_INTEGER}")
    return _drive(args, makers, campaign.case(args.case), campaign.calls_of(args.case))


def _show(args: argparse.Namespace, makers: Mapping[str, Factory], difference: Difference) -> int:
    """Shorten, print and save the trace that shows a difference."""
    difference.trace.save(args.save)  # all of it, in case shortening fails
    with progress_bar("shortening", len(difference.trace), "op") as progress:
        short = shorten(makers, difference, compare=args.compare, progress=progress)
    print(short)
    short.trace.save(args.save)
    print(operations_text(short.trace, args.save))
    return DIFFERENT


def _makers(args: argparse.Namespace) -> dict[str, Factory]:
    makers: dict[str, Factory] = {"port": Allocator, "model": Model}
    form = "NAME=MODULE:OBJECT is needed, such as mine=mypackage:MyAllocator"
    for name, place, value in import_objects(args.parties, "party", form, makers):
        if not callable(value):
            raise ConfigError(f"party {name!r}: {place} is not a class or function")
        makers[name] = value
    unknown = set(args.only or ()) - makers.keys()
    if unknown:
        raise ConfigError(f"--only {', '.join(sorted(unknown))}: there are {', '.join(makers)}")
    return {name: makers[name] for name in args.only or makers}
