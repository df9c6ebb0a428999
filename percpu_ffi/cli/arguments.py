# SPDX-License-Identifier: GPL-2.0-only
"""Arguments common to the trace commands: the trace, the set-up, the output format."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from percpu_ffi._util.text import printable
from percpu_ffi.cli.files import PLOT, InputFile
from percpu_ffi.cli.messages import notify
from percpu_ffi.cli.progress import progress_bar
from percpu_ffi.config import (
    AREA_MAP,
    BITMAP,
    FIRST_CHUNKS,
    FIXES,
    ONLY,
    POLICIES,
    POLICY_NAMES,
    policy_arguments,
)
from percpu_ffi.errors import ConfigError
from percpu_ffi.reports.recording import possible_cpus, skipped_lines
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import STDIN, Blocks, open_source, source_name

if TYPE_CHECKING:
    from percpu_ffi.geometry import Geometry

TRACE = "a recording by ftrace or perf, or a file of this package; - for standard input"
DEFAULT_CPUS = 4  # if the trace names none
SETTINGS = (
    "cpus", "first_chunk", "static_size", "unit_size", "free_size", "page_size", "memory"
)  # fmt: skip
SIZE_LIMIT = 1 << 63
FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class _Report(Protocol):
    """What :func:`print_report` prints."""

    def to_json(self) -> dict[str, Any]: ...
    def to_csv(self) -> str: ...
    def to_text(self) -> str: ...


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the trace."""
    parser.add_argument("trace", type=InputFile(), metavar="TRACE", help=TRACE)
    add_strict(parser)


def add_strict(parser: argparse._ActionsContainer) -> None:
    """Add ``--strict``."""
    text = "refuse a recording with a line that cannot be read, instead of skipping the line"
    parser.add_argument("--strict", action="store_true", help=text)


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def add_formats(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add ``--json`` and ``--csv``, for :func:`print_report`; return their group."""
    formats = parser.add_mutually_exclusive_group()
    add_json(formats)
    formats.add_argument("--csv", action="store_true", help="print the rows as CSV instead")
    return formats


def add_plot(parser: argparse.ArgumentParser) -> None:
    """Add ``--plot``."""
    text = "draw a chart, also .png or .pdf; needs the extra 'plot' (matplotlib)"
    parser.add_argument("--plot", type=PLOT, metavar="OUT.svg", help=text)


def add_machine(parser: argparse._ActionsContainer) -> None:
    """Add ``--machine``, for :func:`copies_of`."""
    text = (
        "multiply bytes by the possible CPUs of the recorded machine; --json has their number "
        "instead"
    )
    parser.add_argument("--machine", action="store_true", help=text)


def copies_of(args: argparse.Namespace, trace: Trace) -> int | None:
    """Return by how many a report multiplies the bytes of one CPU's copies; None: one.

    Raises:
        ConfigError: ``--machine`` is given, and the number of CPUs is not known.

    """
    if not args.machine:
        return None
    if not (cpus := possible_cpus(trace)):
        raise ConfigError(
            "--machine: the recording does not have the number of CPUs; record it with `percpu-ffi "
            "record`, keep the head of ftrace's text, or leave --machine out"
        )
    return None if args.json else cpus


def add_repeatable(
    parser: argparse._ActionsContainer,
    option: str,
    dest: str,
    metavar: str,
    what: str,
    kind: Callable[[str], Any] = str,
) -> None:
    """Add an option that may be repeated; its values become a list."""
    text = f"{what}; may be repeated"
    parser.add_argument(
        option, dest=dest, action="append", default=[], type=kind, metavar=metavar, help=text
    )


def print_report(args: argparse.Namespace, report: _Report) -> None:
    """Print a report in the requested format."""
    if args.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print(report.to_csv() if args.csv else report.to_text())


def load_trace(path: str, what: str = "reading", *, strict: bool = False) -> Trace:
    """Read a trace, show the progress, and report what was not used."""
    with open_input(path, what) as blocks:
        trace = Trace.read(blocks, strict=strict)
    report_skipped(trace)
    return trace


@contextmanager
def open_input(path: str, what: str = "reading") -> Iterator[Blocks]:
    """Open a file, plain or compressed, and show the progress of reading it."""
    total = None if path == STDIN else Path(path).stat().st_size
    with progress_bar(what, total, "B") as progress, open_source(path, progress) as blocks:
        yield blocks


def report_skipped(trace: Trace) -> None:
    """Print what a user of the trace has to know, and what was not used."""
    for line in (*trace.remarks, *skipped_lines(trace.skipped)):
        notify(line)


def short_name(path: str) -> str:
    """Return the name of a file without its folders."""
    return source_name(path) if path == STDIN else Path(path).name


def file_name(path: str) -> str:
    """Return the name of a file in characters that standard output can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return printable(short_name(path)).encode(encoding, "replace").decode(encoding)


def add_setup(parser: argparse.ArgumentParser, *, lists: bool = False) -> argparse._ArgumentGroup:
    """Add an option for each setting of the allocator; with ``lists``, each takes several."""
    about = "defaults are those of the trace, if it has any; sizes are in bytes, or as 64K, 2M, 1G"
    several = "; each option takes several values, A,B,C" if lists else ""
    group = parser.add_argument_group("set-up", about + several)

    for option, parse, metavar, what in (
        ("--cpus", size, "N", "possible CPUs (those of the recording, or 4)"),
        ("--first-chunk", first_chunk, "4k|embed|remap", "the caller that sets it up (4k)"),
        ("--static-size", size, "BYTES", "static area (8192)"),
        ("--unit-size", size, "BYTES", "unit of one CPU (0: automatic)"),
        ("--free-size", size, "BYTES", "free bytes after the static area (0: automatic)"),
        ("--page-size", size, "BYTES", "page (the host's)"),
    ):
        kind = _list_of(parse) if lists else parse
        group.add_argument(option, type=kind, metavar=metavar + ",..." * lists, help=what)
    add_like(group)
    return group


def add_like(group: argparse._ActionsContainer) -> None:
    """Add ``--like`` to the set-up."""
    text = (
        "take the sizes, the page size and the CPUs of the machine with this boot line, dump of "
        "percpu_stats or recording, with bookkeeping only; other options win"
    )
    group.add_argument("--like", type=InputFile(), metavar="FILE", help=text)


def add_policy(group: argparse._ActionsContainer, *, lists: bool = False) -> None:
    """Add ``--policy`` and ``--fixes`` to the set-up; with ``lists``, policies as in A,B+FIX."""
    text = "whose decisions: of 2009, or of Linux 5.14 to 6.x (area-map)"
    if lists:
        kind, shown = _list_of(policy_setup), ",".join(POLICY_NAMES)
        group.add_argument("--policy", type=kind, metavar=shown, help=f"{text}; or several")
    else:
        group.add_argument("--policy", choices=POLICIES, help=text)
    text = "defects to mend, with --policy bitmap; not confirmed by any kernel"
    group.add_argument("--fixes", action="append", choices=FIXES, help=text)


def add_memory(group: argparse._ArgumentGroup) -> None:
    """Add ``--memory`` to the set-up."""
    text = "real memory, or bookkeeping only (mapped)"
    group.add_argument("--memory", choices=("mapped", "none"), help=text)


def policy_setup(text: str) -> dict[str, Any]:
    """Parse a policy with the defects that are mended: ``bitmap+chunk-hint``."""
    if text not in POLICY_NAMES:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: choose from {', '.join(POLICY_NAMES)}")
    return policy_arguments(text)


def given_policy(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of an allocator that ``--policy`` and ``--fixes`` give."""
    given = {"policy": args.policy, "fixes": args.fixes}
    return {name: value for name, value in given.items() if value is not None}


def no_such_fix(fix: str) -> ConfigError:
    """Return the error for ``--fixes`` without bitmaps."""
    return ConfigError(f"--fixes {fix}: only bitmaps have it; add --policy bitmap")


def policy_of(given: Mapping[str, Any], trace: Trace | None = None) -> str:
    """Return the policy: the given one, else that of the trace."""
    return given.get("policy") or (trace.setup.get("policy") if trace else None) or AREA_MAP


def default_setup(like: Geometry | None, trace: Trace, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an allocator: ``--like``, else the trace, else the defaults.

    Args:
        like: the geometry of ``--like``, as :func:`load_like` returns it.
        trace: the trace.
        policy: the policy and its fixes, as :func:`given_policy` returns them.

    """
    own = {"first_chunk": "4k"} if policy_of(policy, trace) == AREA_MAP else {}
    default = {"memory": "mapped", "cpus": trace.stats.cpus or DEFAULT_CPUS, **own}
    return {**default, **known_setup(like, trace, policy)}


def known_setup(like: Geometry | None, trace: Trace, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that ``policy``, ``--like`` and the trace give.

    Those of the trace that only another policy has are left out.
    """
    name = policy_of(policy, trace)
    other = ONLY[BITMAP if name == AREA_MAP else AREA_MAP]
    of_trace = {name: value for name, value in trace.setup.items() if name not in other}
    of_like = like.setup(name) if like else {}
    return {**of_trace, **of_like, **policy}


def load_like(args: argparse.Namespace) -> Geometry | None:
    """Read the geometry of ``--like``, if it is given."""
    if args.like is None:
        return None
    if args.like == STDIN == getattr(args, "trace", None):
        raise ConfigError("standard input can be read only once; give a file for --like")
    from percpu_ffi.geometry import Geometry  # noqa: PLC0415 - it needs the reader of dumps

    return Geometry.load(args.like)


def given_setup(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line gives."""
    given = {name: getattr(args, name, None) for name in SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def setup_of(args: argparse.Namespace, trace: Trace) -> dict[str, Any]:
    """Return the arguments of the allocator: single options, else :func:`default_setup`."""
    default = default_setup(load_like(args), trace, given_policy(args))
    return {**default, **given_setup(args)}


def size(text: str) -> int:
    """Parse an integer with an optional suffix: 64K is 65536."""
    number = text.strip()
    factor = FACTORS.get(number[-1:].upper(), 1)
    try:
        value = int(number if factor == 1 else number[:-1]) * factor
    except ValueError:
        value = SIZE_LIMIT
    if not -SIZE_LIMIT < value < SIZE_LIMIT:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r}: a whole number of up to 63 bits is needed, such as 65536 or 64K "
            "(K, M and G are powers of 1024)"
        )
    return value


def first_chunk(text: str) -> str:
    """Check the name of a first chunk's caller."""
    if text not in FIRST_CHUNKS:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(FIRST_CHUNKS)}")
    return text


def _list_of(parse: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [parse(item) for item in text.split(",")]
