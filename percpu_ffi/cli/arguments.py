# SPDX-License-Identifier: GPL-2.0-only
"""What commands that look at a trace are given: the trace, the allocator's set-up, the form.

A command takes one set-up, or lists of values for each of its parts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import printable
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import FIRST_CHUNKS
from percpu_ffi.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_ffi.analysis.timeline import Timeline
    from percpu_ffi.interface import PerCpu

__all__ = [
    "TRACE",
    "add_forms",
    "add_memory",
    "add_setup",
    "add_trace",
    "first_chunk",
    "geometry_of",
    "given_setup",
    "load_trace",
    "name_of",
    "setup_of",
    "size",
    "usual_setup",
]

TRACE = "text of ftrace or perf script, or our file"  # what one is, for --help
DEFAULT_CPUS = 4  # when the trace names none
SETTINGS = ("cpus", "first_chunk", "static_size", "unit_size", "free_size")
MOST = 1 << 63
FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the trace."""
    parser.add_argument("trace", metavar="TRACE", help=TRACE)


def add_forms(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose another form than text."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object instead")
    form.add_argument("--csv", action="store_true", help="print the rows as CSV instead")


def load_trace(path: str, what: str = "reading") -> Trace:
    """Read the trace, with a progress bar that says so."""
    with progress_bar(what, Path(path).stat().st_size, "B") as progress:
        return Trace.load(path, progress)


def name_of(path: str) -> str:
    """Name the file, also where its name is no text, or none that the output can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return printable(Path(path).name).encode(encoding, "replace").decode(encoding)


def add_setup(parser: argparse.ArgumentParser, *, lists: bool = False) -> argparse._ArgumentGroup:
    """Add an option for each part of a set-up; with ``lists``, several values for each."""
    group = parser.add_argument_group(
        "set-up", "what is not given is taken from the trace, if that has it; sizes are in bytes, "
        "or as 64K, 2M, 1G" + ("; each takes several values, A,B,C" if lists else "")
    )  # fmt: skip

    def add(option: str, parse: Callable[[str], Any], metavar: str, what: str) -> None:
        kind = _list_of(parse) if lists else parse
        group.add_argument(option, type=kind, metavar=metavar + ",..." * lists, help=what)

    add("--cpus", size, "N", "possible CPUs (as many as were recorded, or 4)")
    add("--first-chunk", first_chunk, "4k|embed|remap", "who sets the first chunk up (4k)")
    add("--static-size", size, "BYTES", "static area (8192)")
    add("--unit-size", size, "BYTES", "unit of a CPU (0, auto)")
    add("--free-size", size, "BYTES", "bytes behind the static area (0, auto)")
    return group


def add_memory(group: argparse._ArgumentGroup) -> None:
    """Add the option of a command that may do without real memory."""
    group.add_argument(
        "--memory", choices=("mapped", "none"), help="real memory or bookkeeping only (mapped)"
    )


def setup_of(args: argparse.Namespace, trace: Trace) -> dict[str, Any]:
    """Arguments of one allocator: what was given, else what the trace has, else what is usual."""
    setup = {"memory": "mapped", **usual_setup(trace), **given_setup(args)}
    memory = getattr(args, "memory", None)
    return {**setup, "memory": memory} if memory else setup


def geometry_of(allocator: PerCpu | Timeline, setup: dict[str, Any]) -> dict[str, Any]:
    """Tell what an allocator was made of, with what it chose itself."""
    return {
        "cpus": allocator.cpus,
        "first_chunk": setup["first_chunk"],
        "static_size": allocator.static_size,
        "unit_size": allocator.unit_size,
        "page_size": allocator.page_size,
        "memory": setup["memory"],
    }


def usual_setup(trace: Trace) -> dict[str, Any]:
    """Arguments of the allocator that nobody gave: what the trace has, else what is usual."""
    return {"cpus": trace.stats.cpus or DEFAULT_CPUS, "first_chunk": "4k", **trace.setup}


def given_setup(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the allocator that were given; lists of them, if those were asked for."""
    return {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}


def size(text: str) -> int:
    """Read a number, also with a suffix: 64K is 65536."""
    number, factor = text.strip(), 1
    if number[-1:].upper() in FACTORS:
        number, factor = number[:-1], FACTORS[number[-1].upper()]
    try:
        value = int(number) * factor
    except ValueError:
        value = MOST
    if not -MOST < value < MOST:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r}: a whole number of up to 63 bits is needed, such as 65536 or 64K "
            "(K, M and G are powers of 1024)"
        )
    return value


def first_chunk(text: str) -> str:
    """Read who sets the first chunk up."""
    if text not in FIRST_CHUNKS:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(FIRST_CHUNKS)}")
    return text


def _list_of(parse: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def parse_all(text: str) -> list[Any]:
        return [parse(item) for item in text.split(",")]

    return parse_all
