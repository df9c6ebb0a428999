# SPDX-License-Identifier: GPL-2.0-only
"""Change one place of csrc/ at a time and see whether the C tests notice.

A mutant that all tests pass is a survivor: either a test is missing, or the mutant does the same
as the original and is listed in tests/c/equivalent-mutants.txt with the reason.

The tests run without sanitizers first; what survives meets them again under the address and
undefined behaviour ones.
"""

import argparse
import difflib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import exceptions

from . import reach
from .mutants import Key, Mutant, mutants_of
from .programs import Base, compiled_lines
from .runner import NO_C, Killers, Runner

EQUIVALENT = Path("tests/c/equivalent-mutants.txt")
STAGES = ["plain", "sanitized"]
SAMPLE = 1500  # where only a seed is given
# the contract: no function, and the tests compile the same numbers
CONTRACT = ["percpu.h", "percpu_hooks.h", "percpu_counter.h", "trace/percpu_trace.h"]
FILES = sorted(
    str(path)
    for path in Path("csrc").rglob("*.[ch]")
    if str(path.relative_to("csrc")) not in CONTRACT
)


def main(scratch: Path) -> int:
    """Run the mutants that the command line selects."""
    parser = argparse.ArgumentParser(prog="mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", action="append", choices=FILES, help="only mutants of this file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--only", type=int, metavar="N", help="one mutant, its diff and output")
    parser.add_argument("--sample", type=int, metavar="N", help="so many, spread over the files")
    parser.add_argument("--seed", type=int, help="of the sample, by default 1")
    args = parser.parse_args()

    if args.seed is not None and args.sample is None:
        args.sample = SAMPLE
    start = time.monotonic()
    reached = reach.measure(scratch, args.jobs)
    runners = {
        stage: Runner(scratch, args.jobs if args.only is None else 1, stage, reached)
        for stage in STAGES
    }
    numbered = all_mutants(runners["plain"].base)
    if args.only is not None:
        return show_one(runners, numbered, args.only)

    candidates = [mutant for mutant in numbered if mutant.file in (args.file or FILES)]
    killers: Killers = {}
    if args.sample:
        left = shuffled(candidates, args.seed or 1)
        while left and (missing := args.sample - counted(killers)) > 0:
            killers |= runners["plain"].killers(left[:missing])
            del left[:missing]
    else:
        killers = runners["plain"].killers(candidates)
    survivors = [mutant for mutant, killer in killers.items() if killer is None]
    killers |= runners["sanitized"].killers(survivors)
    listed = exceptions.load(EQUIVALENT)
    print_table(killers, listed)
    print(f"{time.monotonic() - start:.0f} seconds")
    whole = set() if args.sample else set(args.file or FILES)
    return judge(killers, numbered, listed, whole)


def all_mutants(base: Base) -> list[Mutant]:
    """Return the mutants of all files, without code that is not compiled on this machine."""
    compiled = compiled_lines(base)
    return [
        mutant
        for file in FILES
        for mutant in mutants_of(file)
        if any((file, line) in compiled for line in mutant.lines())
    ]


def shuffled(mutants: list[Mutant], seed: int) -> list[Mutant]:
    """Return the mutants in an order of which any beginning is spread over the files."""
    placed: list[tuple[float, Mutant]] = []
    for file in FILES:
        mine = [mutant for mutant in mutants if mutant.file == file]
        random.Random(f"{seed} {file}").shuffle(mine)
        placed += [((i + 0.5) / len(mine), mutant) for i, mutant in enumerate(mine)]
    return [mutant for _, mutant in sorted(placed)]


def counted(killers: Killers) -> int:
    """Return how many mutants are programs."""
    return sum(killer != NO_C for killer in killers.values())


# --- what to print


def show_one(runners: dict[str, Runner], mutants: list[Mutant], number: int) -> int:
    """Print one mutant's diff and what the tests say."""
    mutant = mutants[number]
    old, new = Path(mutant.file).read_text(), mutant.apply()
    names = mutant.file, f"mutant {number}"
    print("\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")))
    for stage, runner in runners.items():
        killer = runner.killers([mutant], show=True)[mutant]
        print(f"{stage}: {'survives' if killer is None else f'killed by {killer}'}", flush=True)
        if killer:
            return 0
    return 1


def print_table(killers: Killers, listed: list[Key]) -> None:
    """Print a line for each file and one for all: mutants, killed, listed, neither."""
    print(f"{'file':26}{'mutants':>8}{'killed':>8}{'listed':>8}{'open':>6}{'no C':>6}")
    for file in [*FILES, "all"]:
        mine = {m: killer for m, killer in killers.items() if file in {m.file, "all"}}
        if not mine:
            continue
        keys = Counter(m.key() for m, killer in mine.items() if killer is None)
        known = (keys & Counter(listed)).total()
        survived = keys.total()
        count = counted(mine)
        print(
            f"{file:26}{count:8}{count - survived:8}{known:8}{survived - known:6}"
            f"{len(mine) - count:6}"
        )


def judge(killers: Killers, numbered: list[Mutant], listed: list[Key], whole: set[str]) -> int:
    """Print the survivors that are not listed, and what is listed in vain; 1 if there are any.

    A sample shows about a line that it is listed in vain when it has all mutants of that key.
    """
    survivors = Counter(mutant.key() for mutant, killer in killers.items() if killer is None)
    killed = Counter(mutant.key() for mutant, killer in killers.items() if killer)
    known, alike = Counter(listed), Counter(mutant.key() for mutant in numbered)
    for number, mutant in enumerate(numbered):
        key = mutant.key()
        if mutant in killers and killers[mutant] is None and survivors[key] > known[key]:
            print(f"{key[0]}:{mutant.lines().start}: mutant {number} survives")
            print(f"\t{key[1]}\n\t{key[2]}")
    stale = [
        key
        for key, times in known.items()
        if (key[0] in whole or key in killed) and times > alike[key] - killed[key]
    ]
    for key in stale:
        print("\n\t".join((f"listed, but killed or gone: {key[0]}", *key[1:])))
    if not stale and survivors <= known:
        return 0
    print(f"write a test, or a reason into {EQUIVALENT}")
    return 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mutate-") as directory:
        sys.exit(main(Path(directory)))
