# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi bench``: measure the port and other allocators."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from percpu_ffi.bench.contenders import CONTENDERS, choose_contenders
from percpu_ffi.bench.results import WorkloadResult, load, save
from percpu_ffi.bench.run import Plan, new_results
from percpu_ffi.bench.run import run as measure_all
from percpu_ffi.bench.upstream import percpu_c_named
from percpu_ffi.bench.workload import Options
from percpu_ffi.bench.workloads import make_workloads, samples
from percpu_ffi.cli.arguments import given_policy, no_such_fix
from percpu_ffi.cli.messages import notify
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import AREA_MAP, POLICY_NAMES, policy_name
from percpu_ffi.errors import ConfigError
from percpu_ffi.reports.bench import LEGEND, choices, final_lines, plan_line, workload_tables
from percpu_ffi.reports.bench_chart import plot
from percpu_ffi.reports.bench_difference import difference

MISSED = 1  # exit status
MOST_REPETITIONS = 10_000
MOST_SECONDS = 86_400


def other_inputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the recordings of the package, and the 2009 file that the user may name."""
    for name, path in samples().items():
        yield f"workload {name}", str(path)
    if percpu_c := percpu_c_named():
        yield "PERCPU_C", str(percpu_c)


def run(args: argparse.Namespace) -> int:
    """Measure and print; or list what can be measured; or compare two files."""
    if args.compare:
        print("\n".join(difference(*map(load, args.compare))))
        return 0
    if args.list:
        workloads = (make() for make in make_workloads([], [], _options(args)))
        print("\n".join(choices(workloads, CONTENDERS.values())))
        return 0
    plan = _plan(args)
    results = new_results(plan)

    def keep(result: WorkloadResult) -> None:
        """Save all complete results, marked as partial, before anything can go wrong."""
        if args.json:
            save(results, args.json)
        print("\n".join([*workload_tables(result), ""]), flush=True)

    print(f"{LEGEND}\n\n{plan_line(plan)}\n", flush=True)
    measure_all(plan, results, progress_bar, keep)
    if args.json and results.workloads:
        save(results, args.json)
    print("\n".join(final_lines(results)), flush=True)
    if args.plot and results.workloads:
        plot(results, args.plot)
    if results.partial:
        kept = "the results above are complete" if results.workloads else "there are no results"
        notify(f"interrupted; {kept}")
        raise KeyboardInterrupt
    return MISSED if results.missed else 0


def _plan(args: argparse.Namespace) -> Plan:
    if not 1 <= args.repeat <= MOST_REPETITIONS:
        raise ConfigError(f"--repeat {args.repeat}: from 1 to {MOST_REPETITIONS:,}")
    if not 0 <= args.seconds <= MOST_SECONDS:
        raise ConfigError(f"--seconds {args.seconds}: from 0 to {MOST_SECONDS:,}")
    options = _options(args)
    some = bool(args.workloads or args.traces or args.contenders or args.policy)
    if args.bounds and options.policy != AREA_MAP:
        raise ConfigError(
            "--bounds are those of the area map: leave --policy out, or use --no-bounds"
        )
    return Plan(
        make_workloads(args.workloads, args.traces, options),
        list(choose_contenders(args.contenders)),
        options,
        args.repeat,
        args.seconds,
        bounds=not some if args.bounds is None else args.bounds,
        memory=args.memory,
    )


def _options(args: argparse.Namespace) -> Options:
    policy = policy_name(given_policy(args))
    if policy not in POLICY_NAMES:
        raise no_such_fix(args.fixes[0])
    return Options(args.objects, args.live, args.seed, policy, args.cpus)
