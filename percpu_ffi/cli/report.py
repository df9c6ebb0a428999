# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi report TRACE -o report.html``: a page that shows an allocator over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi._util.text import printable
from percpu_ffi.analysis.timeline import collect
from percpu_ffi.cli.arguments import add_setup, add_trace, geometry_of, load_trace, setup_of
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.cli.replay import Report, to_json
from percpu_ffi.errors import ConfigError, TraceError
from percpu_ffi.outputs import check_library, check_writable
from percpu_ffi.reports.page import make_page
from percpu_ffi.reports.still import make_still

if TYPE_CHECKING:
    import argparse

    from percpu_ffi.analysis.timeline import Timeline

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "report",
        help="make a page that shows a trace's chunks over time",
        description="Replay a trace and make a page of it: memory and fragmentation over time, "
        "every chunk at any moment, sizes, call sites. The page is one file that needs no network.",
    )
    add_trace(parser)
    add_setup(parser)
    parser.add_argument(
        "-o", "--html", metavar="OUT.html", help="the page; needs the extra 'report' (bokeh)"
    )
    for kind in ("png", "svg"):
        parser.add_argument(
            f"--{kind}",
            metavar=f"OUT.{kind}",
            help="a still picture, the chunks at the worst moment; needs the extra 'plot' "
            "(matplotlib)",
        )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look whether it can be done, read the trace, replay it, write what was asked for."""
    outputs = {"-o": args.html, "--png": args.png, "--svg": args.svg}
    outputs = {option: path for option, path in outputs.items() if path is not None}
    if not outputs:
        raise ConfigError("nothing to write: give -o OUT.html, --png OUT.png or --svg OUT.svg")
    taken = {os.path.realpath(args.trace): "the trace itself"}
    for option, path in outputs.items():
        check_library(option, "bokeh" if option == "-o" else "matplotlib")
        check_writable(option, path)
        if what := taken.get(os.path.realpath(path)):
            raise ConfigError(f"{option} {path}: that is {what}; name another file")
        taken[os.path.realpath(path)] = f"the file of {option}"
    trace = load_trace(args.trace)
    if not trace:
        raise TraceError("no operations: there is nothing to show", args.trace)
    setup = setup_of(args, trace)
    with progress_bar("replaying", 2 * len(trace), "op") as progress:
        timeline = collect(trace, setup, progress)
    figures = _figures(timeline, Path(args.trace).name)
    written = []
    for option, path in outputs.items():
        if option == "-o":
            data = make_page(timeline, figures).encode()
        else:
            data = make_still(timeline, figures, option[2:])
        write_whole(path, data)
        written.append(f"{printable(path)}: {len(data):,} bytes")
    print("\n".join(written))
    return 0


def _figures(timeline: Timeline, name: str) -> dict[str, Any]:
    """Give the figures of ``replay --json``; not the speed: it was stopped to look."""
    figures = to_json(
        Report(
            name=name,
            trace=timeline.trace,
            geometry=geometry_of(timeline, timeline.setup),
            result=timeline.result,
            state=timeline.state,
            counters=timeline.counters,
        )
    )
    del figures["operations_per_second"]
    return figures
