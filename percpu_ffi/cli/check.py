# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi check``: hold the port against the model, and against allocators of your own."""

from __future__ import annotations

import argparse
import importlib
import json
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

from percpu_ffi.allocator import Allocator
from percpu_ffi.cli.messages import tell
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError
from percpu_ffi.lockstep import ASPECTS, Campaign, Mix, lockstep, shorten
from percpu_ffi.lockstep.campaign import WorkerPool
from percpu_ffi.lockstep.drive import told
from percpu_ffi.model import Model
from percpu_ffi.outputs import check_writable
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import checked_fault, checked_setup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from percpu_ffi.lockstep import Difference, Maker

__all__ = ["add_parser"]

DIFFERENT = 1  # exit status
MOST_JOBS = 256


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "check",
        help="hold allocators against each other, operation by operation",
        description="Drive the port in C, the model in Python and allocators of your own through "
        "the same operations; stop at the first difference, shorten and show it.",
        epilog="The exit status is 0 without a difference, 1 with one, 2 for trouble.",
    )
    parser.add_argument("trace", metavar="TRACE", nargs="?", help="a recording, or our own file")
    parser.add_argument("--random", action="store_true", help="random set-ups and operations")
    parser.add_argument(
        "--with",
        dest="parties",
        action="append",
        default=[],
        metavar="NAME=MODULE:OBJECT",
        help="another party: a class or function that takes the arguments of an allocator",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="the parties to drive (default: port, model and all of --with)",
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        choices=ASPECTS,
        default=list(ASPECTS),
        help="what has to be the same after each operation (default: all)",
    )
    parser.add_argument(
        "--setup",
        type=_setup,
        default={},
        metavar="JSON",
        help='arguments of the allocators, such as {"cpus": 2, "page_size": 64, "memory": "none"}',
    )
    parser.add_argument(
        "--save", metavar="FILE", default="difference.trace", help="where a difference is saved"
    )
    campaign = parser.add_argument_group("random campaigns")
    campaign.add_argument("--operations", type=int, default=100_000, help="how many, at least")
    campaign.add_argument("--seed", type=int, default=0, help="of all random numbers")
    campaign.add_argument(
        "--length", type=int, default=1000, help="operations on one set-up (default: %(default)s)"
    )
    campaign.add_argument(
        "--faults", type=float, default=1 / 3, help="share of the set-ups with faults"
    )
    campaign.add_argument(
        "--sizes", type=int, nargs="+", default=[], metavar="BYTES", help="sizes to choose from"
    )
    campaign.add_argument(
        "--aligns", type=int, nargs="+", default=[], metavar="BYTES", help="alignments likewise"
    )
    campaign.add_argument(
        "--plan",
        dest="plans",
        type=_plan,
        action="append",
        default=[],
        metavar="SITE=JSON",
        help='a fault to set instead of random ones, such as map={"probability": 0.01}',
    )
    campaign.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    campaign.add_argument(
        "--resume", metavar="FILE", help="keep there what is done, and go on with what is not"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the trace or the campaign and tell what came of it."""
    if (args.trace is None) == (not args.random):
        raise ConfigError("give either a TRACE or --random")
    if args.resume and not args.random:
        raise ConfigError("--resume goes with --random: a trace is run as a whole")
    check_writable("--save", args.save)
    sys.path.insert(0, os.getcwd())  # as `python -m` does: parties of one's own lie there
    makers = _makers(args)
    return _run_campaign(args, makers) if args.random else _run_trace(args, makers)


def _run_trace(args: argparse.Namespace, makers: Mapping[str, Maker]) -> int:
    trace = Trace.load(args.trace)
    setup = {**_default_setup(trace), **trace.setup, **args.setup}
    trace = Trace.from_ops(trace, setup)
    with progress_bar("checking", len(trace), "op") as progress:
        difference = lockstep(makers, trace, compare=args.compare, progress=progress)
    if difference:
        return _tell(args, makers, difference)
    print(f"{', '.join(makers)}: {len(trace):,} operations, no difference")
    return 0


def _default_setup(trace: Trace) -> dict[str, Any]:
    # bookkeeping is what is compared, and the model has nothing else as fast
    setup: dict[str, Any] = {"memory": "none"}
    if trace.stats.cpus:
        setup["cpus"] = trace.stats.cpus
    return setup


def _run_campaign(args: argparse.Namespace, makers: Mapping[str, Maker]) -> int:
    campaign = Campaign(
        makers,
        operations=args.operations,
        seed=args.seed,
        length=args.length,
        faults=args.faults,
        setup=args.setup,
        compare=tuple(args.compare),
        mix=Mix(args.sizes, args.aligns, args.plans),
    )
    try:
        with (
            _executor(args.jobs) as executor,
            progress_bar("checking", args.operations, "op") as progress,
        ):
            totals = campaign.run(executor, progress=progress, state=args.resume)
    except KeyboardInterrupt:
        hint = f"; the same command goes on from {args.resume}" if args.resume else ""
        tell(f"stopped{hint}")
        raise
    rows = [
        ("parties", ", ".join(makers)),
        ("seed", f"{args.seed}"),
        ("operations", f"{totals.operations:,}"),
        ("geometries", f"{len(totals.geometries):,}"),
        ("faults set", f"{totals.faults:,}"),
        ("operations that failed alike", f"{totals.failures:,}"),
        ("differences", f"{int(totals.difference is not None)}"),
    ]
    print("\n".join(f"{name:<28} {value}" for name, value in rows))
    return _tell(args, makers, totals.difference) if totals.difference else 0


def _tell(args: argparse.Namespace, makers: Mapping[str, Maker], difference: Difference) -> int:
    difference.trace.save(args.save)  # all of it, should shortening fail
    with progress_bar("shortening", len(difference.trace), "op") as progress:
        short = shorten(makers, difference, compare=args.compare, progress=progress)
    print(short)
    short.trace.save(args.save)
    print(f"\n{len(short.trace)} operations show it, saved as {args.save}:")
    for op in short.trace:
        print(f"  {op}")
    return DIFFERENT


def _makers(args: argparse.Namespace) -> dict[str, Maker]:
    makers: dict[str, Maker] = {"port": Allocator, "model": Model}
    for given in args.parties:
        name, equals, place = given.partition("=")
        module, colon, attribute = place.partition(":")
        if not (name and equals and module and colon and attribute):
            raise ConfigError(
                f"party {given!r}: NAME=MODULE:OBJECT is needed, such as mine=mypackage:MyAllocator"
            )
        if name in makers:
            raise ConfigError(f"party {given!r}: there is a {name} already; choose another name")
        try:
            makers[name] = operator.attrgetter(attribute)(importlib.import_module(module))
        except (Exception, SystemExit) as error:
            raise ConfigError(f"party {name!r} cannot be had: {told(error)}") from None
        if not callable(makers[name]):
            raise ConfigError(f"party {name!r}: {place} is no class or function")
    unknown = set(args.only or ()) - makers.keys()
    if unknown:
        raise ConfigError(f"--only {', '.join(sorted(unknown))}: there are {', '.join(makers)}")
    return {name: makers[name] for name in args.only or makers}


def _setup(text: str) -> dict[str, Any]:
    try:
        return checked_setup(json.loads(text))
    except (ValueError, ConfigError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _plan(text: str) -> tuple[str, dict[str, Any]]:
    site, _, plan = text.partition("=")
    try:
        return site, checked_fault(site, json.loads(plan))
    except (ValueError, ConfigError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _executor(jobs: int | None) -> Executor:
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise ConfigError(f"--jobs {jobs}: from 1 to {MOST_JOBS} processes")
    return WorkerPool(jobs)
