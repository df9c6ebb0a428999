# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi bench``: measure the port beside other allocators."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.bench.contenders import CONTENDERS, choose_contenders
from percpu_ffi.bench.results import load, save
from percpu_ffi.bench.run import Plan, run, start
from percpu_ffi.bench.workloads import Options, make_workloads
from percpu_ffi.cli.messages import tell
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.errors import ConfigError
from percpu_ffi.outputs import check_plot, check_writable
from percpu_ffi.reports.bench import LEGEND, bounds_table, machine_lines, workload_tables
from percpu_ffi.reports.bench_chart import plot
from percpu_ffi.reports.bench_difference import compare

if TYPE_CHECKING:
    from percpu_ffi.bench.results import Results, WorkloadResult

__all__ = ["add_parser"]

MISSED = 1  # exit status
MOST_REPETITIONS = 10_000
MOST_SECONDS = 86_400


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    usual = Options()
    parser = commands.add_parser(
        "bench",
        help="measure the port beside other allocators",
        description="Run workloads through the port, the 2009 file, malloc and others in turn; "
        "print times, ratios, latencies and work counts, and what has to be reached.",
        epilog="The exit status is 0, 1 when a bound is missed, 2 for trouble, 130 when it was "
        "interrupted: what was measured is kept and marked as partial.",
    )
    parser.add_argument("workloads", metavar="WORKLOAD", nargs="*", help="which (default: all)")
    parser.add_argument("--list", action="store_true", help="list workloads and contenders")
    parser.add_argument(
        "--contender",
        dest="contenders",
        action="append",
        default=[],
        metavar="NAME",
        help="who takes part; may be given several times (default: as the workload says)",
    )
    parser.add_argument(
        "--trace",
        dest="traces",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a recording as one more workload, on the machine of all others; may be given "
        "several times",
    )
    for name, what in (
        ("objects", "objects to allocate; the published measurement has 1048576"),
        ("live", "objects alive in a steady state"),
        ("seed", "of all random numbers"),
    ):
        value = getattr(usual, name)
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N",
                            help=f"{what} (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--repeat",
        type=int,
        default=15,
        metavar="N",
        help="repetitions of each workload, at least (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="S",
        help="how long to repeat each, at least (default: %(default)s)",
    )
    parser.add_argument(
        "--bounds",
        action=argparse.BooleanOptionalAction,
        help="look at what has to be reached (default: when all workloads are run)",
    )
    parser.add_argument("--json", metavar="OUT", help="write all figures to a file")
    parser.add_argument(
        "--plot",
        metavar="OUT.svg",
        help="draw a chart, also .png or .pdf; needs the extra 'plot' (matplotlib)",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A.json", "B.json"),
        help="set two files of --json side by side instead",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.compare:
        print("\n".join(compare(*map(load, args.compare))))
        return 0
    if args.list:
        print("\n".join(_list(_options(args))))
        return 0
    plan = _plan(args)
    for option, path in (("--json", args.json), ("--plot", args.plot)):
        if path is not None:
            check_writable(option, path)
    if args.plot:
        check_plot(args.plot)
    results = start(plan)

    def keep(result: WorkloadResult) -> None:
        """Save what is whole so far, marked as partial: nothing that comes can take it away."""
        if args.json:
            save(results, args.json)
        print("\n".join([*workload_tables(result), ""]), flush=True)

    print(f"{LEGEND}\n\n{_how_long(plan)}\n", flush=True)
    run(plan, results, progress_bar, keep)
    if args.json and results.workloads:
        save(results, args.json)
    print("\n".join(_end(results)), flush=True)
    if args.plot and results.workloads:
        plot(results, args.plot)
    if results.partial:
        kept = "what is above is whole, but not all" if results.workloads else "nothing is whole"
        tell(f"interrupted; {kept}")
        raise KeyboardInterrupt
    return MISSED if results.missed else 0


def _plan(args: argparse.Namespace) -> Plan:
    if not 1 <= args.repeat <= MOST_REPETITIONS:
        raise ConfigError(f"--repeat {args.repeat}: from 1 to {MOST_REPETITIONS:,}")
    if not 0 <= args.seconds <= MOST_SECONDS:
        raise ConfigError(f"--seconds {args.seconds}: from 0 to {MOST_SECONDS:,}")
    options = _options(args)
    some = bool(args.workloads or args.traces or args.contenders)
    return Plan(
        make_workloads(args.workloads, args.traces, options),
        list(choose_contenders(args.contenders)),
        options,
        args.repeat,
        args.seconds,
        bounds=not some if args.bounds is None else args.bounds,
    )


def _options(args: argparse.Namespace) -> Options:
    return Options(args.objects, args.live, args.seed)


def _list(options: Options) -> list[str]:
    lines = ["workloads"]
    for make in make_workloads([], [], options):
        workload = make()
        lines.append(f"  {workload.name:<16}{workload.what}")
    lines += ["", "contenders"]
    for contender in CONTENDERS.values():
        why = contender.missing()
        lines.append(f"  {contender.name:<16}{contender.what}")
        if why:
            lines.append(f"  {'':<16}not to be had: {why}")
    return lines


def _how_long(plan: Plan) -> str:
    """Tell how long it takes at least, so that nobody wonders."""
    return (
        f"{plural(len(plan.workloads), 'workload')}, each {plan.repeat:,} times and "
        f"{plan.seconds:g} s at least" + (", then the bounds" if plan.bounds else "")
    )


def _end(results: Results) -> list[str]:
    lines = machine_lines(results)
    lines += [f"{'left out':<12}{note}" for note in results.notes]
    if results.bounds:
        lines += ["", *bounds_table(results.bounds)]
    return lines
