# SPDX-License-Identifier: GPL-2.0-only
"""The matrix of liars: whether each entry point of the comparison finds each lie.

    make liars

Each entry point compares three parties, of which the first, the second or the third reports a wrong
value.  It has to find that before the next call, and to report the aspect and the liar's name.  The
status is 1 if it misses one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from liars import REAL, SIZES, SMALL, Liar, Lie, lies
from upstream import check
from upstream.witness import WitnessFactory, build

from percpu_ffi import Allocator, Trace, cli
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.lockstep import Campaign, Difference, Mix, Totals, drive, lockstep

PLACES = (1, 2, 3)
MARKS = {"": ".", "not applicable": "-"}  # of cells; each other one is a gap
LENGTH = {"single": 90, "many": 150, "replay": 40}  # operations of a random trace
CASES = 10  # of them for each cell


# --- entry points


class Here(Executor):
    """Runs a task in this thread when its result is needed."""

    def __init__(self, _jobs: int | None = None) -> None: ...

    def __enter__(self) -> Here:
        return self

    def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
        """Return a future that runs the task."""
        return Lazy(lambda: function(*args, **named))


class Lazy(Future[Any]):
    """Runs a call when its result is needed."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self._call = call

    def result(self, timeout: float | None = None) -> Any:
        """Return the result."""
        if not self.done():
            self.set_result(self._call())
        return super().result()


class Found(NamedTuple):
    """What an entry point reports."""

    aspect: str
    parties: str


def _found(difference: Difference | None) -> Found | None:
    return Found(difference.aspect, ", ".join(difference.minority)) if difference else None


def _printed(text: str) -> list[Found]:
    found = re.findall(r"^the (\w+)(?: of (.+?))? differs? after", text, flags=re.M)
    return [Found(*words) for words in found]


FILLED = (256, 256, 248, 248, 236, 236, 216, 216, 176, 176)
SCRIPT: list[Any] = [
    *(("alloc", key, size, 4) for key, size in enumerate(FILLED)),
    # two chunks that a free leaves half empty
    *(("alloc", key, 120 + key % 2 * 10, 2) for key in range(10, 14)),
    ("free", 11),
    ("free", 13),
    ("alloc", 20, 257, 8),
    *(
        op
        for number, site in enumerate(FAULT_SITES)
        for op in (("inject", site, {"nth": 1}), ("alloc", 30 + number, 256, 8))
    ),
    *(("alloc", key, 24, 1) for key in range(40, 43)),
    ("free", 0),
    ("free", 1),
    ("alloc", 50, 8, 1),
]
REAL_SCRIPT: list[Any] = [
    *(("alloc", key, 20 + 1000 * key, 8) for key in range(12)),
    *(("free", key) for key in range(12)),
]


make_parser = cli._make_parser


@lru_cache
def _parser_of(requested: tuple[str, ...], names: tuple[str, ...]) -> argparse.ArgumentParser:
    return make_parser(requested, names)


def parser_made_once(requested: Iterable[str], names: Iterable[str]) -> argparse.ArgumentParser:
    """Return the parser of some commands, which takes longer to make than a comparison."""
    return _parser_of(tuple(requested), tuple(names))


@lru_cache
def trace_of(real: bool) -> Trace:
    """Return a trace in which every lie can be told."""
    return Trace.from_ops(REAL_SCRIPT, REAL) if real else Trace.from_ops(SCRIPT, SMALL)


@lru_cache
def saved_trace(real: bool) -> str:
    """Save it in a file."""
    path = Path(_folder().name, f"{real}.trace")
    trace_of(real).save(path)
    return str(path)


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def is_real(lie: Lie) -> bool:
    """Return whether a lie needs real memory."""
    return lie.setup is REAL


def in_lockstep(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _found(lockstep(parties, trace_of(is_real(lie)), calls=lie.calls))


def in_drive(lie: Lie, parties: dict[str, Any]) -> Found | None:
    made = {name: kind(**lie.setup) for name, kind in parties.items()}
    return _found(drive(made, trace_of(is_real(lie)), calls=lie.calls))


def _random(lie: Lie) -> dict[str, Any]:
    """Return the arguments of a campaign in which a lie can be told."""
    # one refused size refuses a whole batch
    sizes = (20, 5020, 9020) if is_real(lie) else SIZES[:-1] * (12 * (lie.calls == "many")) + SIZES
    plans = [(lie.site, {"nth": 2, "times": -1, "interval": 3})] if lie.site else []
    return {
        "length": LENGTH[lie.calls],
        "setup": lie.setup,
        "mix": Mix(sizes, (1, 4, 8), plans),
        "faults": float(bool(lie.site) or lie.method == "inject"),
        "calls": (lie.calls,),
    }


def in_campaign(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _found(Campaign(parties, 1, **_random(lie)).run(Here()).difference)


def in_upstream(lie: Lie, parties: dict[str, Any]) -> Found | None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        check.compare(parties, 1, 0, **_random(lie))
    # the model, the third party, is in the second campaign only
    found = _printed(out.getvalue())
    if not found:
        return None
    in_both = list(parties).index("liar") < 2
    assert len(found) == 1 + in_both
    assert not in_both or found[0] == Found(found[1].aspect, "")  # two parties: each may be wrong
    return found[-1]


def _command(lie: Lie, parties: dict[str, Any], words: Iterable[str]) -> Found | None:
    module: Any = types.ModuleType("parties_of_liars")
    sys.modules["parties_of_liars"] = module
    vars(module).update(parties)
    options = [f"--with={name}=parties_of_liars:{name}" for name in parties]
    save = str(Path(_folder().name, "difference.trace"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = cli.main(
            ["check", *words, *options, "--only", *parties, "--calls", lie.calls, "--save", save]
        )
    found = _printed(out.getvalue())
    assert status == len(found)
    return found[0] if found else None


def in_check(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _command(lie, parties, [saved_trace(is_real(lie))])


def in_check_random(lie: Lie, parties: dict[str, Any]) -> Found | None:
    given = _random(lie)
    mix = given["mix"]
    words = ["--random", "--operations=1", f"--length={given['length']}"]
    words += [f"--setup={json.dumps(lie.setup)}", f"--faults={given['faults']}"]
    words += [f"--plan={site}={json.dumps(plan)}" for site, plan in mix.plans]
    words += ["--sizes", *map(str, mix.sizes), "--aligns", *map(str, mix.aligns)]
    return _command(lie, parties, words)


ENTRIES: dict[str, Callable[[Lie, dict[str, Any]], Found | None]] = {
    "lockstep": in_lockstep,
    "drive": in_drive,
    "Campaign": in_campaign,
    "check TRACE": in_check,
    "check --random": in_check_random,
    "check-upstream": in_upstream,
}


# --- the matrix


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Let the commands run here, without what is slow and shown by other tests."""

    def no_recordings(_parties: Any) -> Totals:
        return Totals()

    def run_with_liar(campaign: Campaign, keep: Path | None) -> Totals:
        return run(campaign, keep) if "liar" in campaign.factories else Totals()

    run = check.run

    def unchanged(_parties: Any, difference: Difference, **_options: Any) -> Difference:
        return difference

    with contextlib.ExitStack() as stack:
        for module in ("percpu_ffi.cli.executors", "upstream.check"):
            stack.enter_context(mock.patch(f"{module}.WorkerPool", Here))
        for module in ("percpu_ffi.cli.check", "upstream.check"):
            stack.enter_context(mock.patch(f"{module}.shorten", unchanged))
        stack.enter_context(mock.patch("percpu_ffi.lockstep.campaign.CASES_A_TASK", CASES))
        stack.enter_context(mock.patch.object(check, "recordings", no_recordings))
        stack.enter_context(mock.patch.object(check, "run", run_with_liar))
        stack.enter_context(mock.patch.object(cli, "_make_parser", parser_made_once))
        stack.callback(os.chdir, Path.cwd())
        os.chdir(_folder().name)
        yield


def cell(lie: Lie, entry: str, place: int, others: tuple[Any, Any] = (Allocator, Allocator)) -> str:
    """Compare a liar with others; return what is wrong with the way it was found, or nothing."""
    if lie.method == "close" and entry == "drive":
        return "not applicable"  # it does not close the allocators
    party = type("Party", (Liar,), {"lie": lie})
    items: list[tuple[str, Any]] = list(zip(("one", "two"), others, strict=True))
    items.insert(place - 1, ("liar", party))
    Liar.first = None
    try:
        found = ENTRIES[entry](lie, dict(items))
    except AssertionError as error:
        return f"{error!r}"
    if Liar.first is None:
        return "it was not told"
    if found is None:
        return "it was not found"
    if found != Found(lie.aspect, "liar"):
        return f"{found.aspect} of {found.parties} were reported, not {lie.aspect} of liar"
    return f"it was found {Liar.first.late} calls late" if Liar.first.late else ""


def print_row(name: str, cells: list[str]) -> None:
    """Print a row, each cell as wide as its entry point."""
    padded = (f"{text:<{max(len(entry), 5)}}" for text, entry in zip(cells, ENTRIES, strict=True))
    print(f"{name:<43}", " ".join(padded).rstrip())


def main() -> int:
    """Print the matrix; with the 2009 file in PERCPU_C the witness is one of the parties."""
    others: tuple[Any, Any] = (Allocator, Allocator)
    if percpu_c := os.environ.get("PERCPU_C"):
        others = (WitnessFactory(build(Path(percpu_c), Path(_folder().name))), Allocator)
    columns = [(entry, place) for entry in ENTRIES for place in PLACES]
    rows = list(lies())
    print_row("", list(ENTRIES))
    print_row("", ["1 2 3"] * len(ENTRIES))
    gaps = []
    with in_this_process():
        for lie in rows:
            wrong = {column: cell(lie, *column, others) for column in columns}
            marks = [MARKS.get(text, "X") for text in wrong.values()]
            print_row(lie.name, [" ".join(marks[at : at + 3]) for at in range(0, len(marks), 3)])
            gaps += [
                f"{lie.name}, {entry}, party {place}: {text}"
                for (entry, place), text in wrong.items()
                if text not in MARKS
            ]
    print(f"{len(rows)} lies, {len(rows) * len(columns)} cells, {len(gaps)} gaps")
    for gap in gaps:
        print(gap)
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
