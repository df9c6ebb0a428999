# SPDX-License-Identifier: GPL-2.0-only
"""Count the instructions of fixed workloads, and compare them with counts.txt.

    counting.py check PROGRAM                   status 1 if a workload costs over 3 % more
    counting.py record PROGRAM                  write counts.txt
    counting.py record PROGRAM --without LEAN   also print the cost of the work counters

PROGRAM is workloads.c linked with the port, LEAN the same without the port's work counters.
callgrind counts the instructions of PROGRAM (the port and moves.c) while counted() runs.  libc is
left out: it differs between machines, and selects its functions by the CPU.  So counts are exactly
the same on all machines that match the first line of counts.txt.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

KEPT = Path(__file__).with_name("counts.txt")
LIMIT = 3.0  # per cent
HEAD = f"{'workload':<16}{'instructions':>15}{'operations':>12}{'each':>9}"

GREW = f"""\
A workload costs over {LIMIT:g} % more than in counts.txt.  Make it cheaper again, or run
`make instructions` and give the reason in the commit message."""
SHRANK = "Some workloads got cheaper: `make instructions` records the new counts."
OTHERS = "counts.txt has other workloads: `make instructions` records the current ones."


class Cost(NamedTuple):
    """The cost of one workload."""

    instructions: int
    operations: int


class Counts(NamedTuple):
    """The costs of all workloads, and the compiler and CPU for which they are valid."""

    builder: str
    costs: dict[str, Cost]


def parse(text: str) -> Counts:
    """Parse the text of counts.txt."""
    builder, _, *rows = text.splitlines()
    words = [row.split() for row in rows]
    return Counts(builder, {name: Cost(int(count), int(ops)) for name, count, ops, _ in words})


def render(counts: Counts) -> str:
    """Return the text of counts.txt; parse() ignores the last column."""
    rows = [
        f"{name:<16}{cost.instructions:>15}{cost.operations:>12}"
        f"{cost.instructions / cost.operations:>9.0f}"
        for name, cost in counts.costs.items()
    ]
    return "\n".join([counts.builder, HEAD, *rows, ""])


def compare(kept: Counts, now: Counts) -> tuple[bool, str]:
    """Return whether nothing grew by more than LIMIT, and a table."""
    operations = {name: cost.operations for name, cost in now.costs.items()}
    if operations != {name: cost.operations for name, cost in kept.costs.items()}:
        return False, OTHERS
    lines = [f"{'workload':<16}{'kept':>15}{'now':>15}{'change':>11}"]
    grew = shrank = False
    for name, (count, _) in now.costs.items():
        before = kept.costs[name].instructions
        percent = 100 * (count - before) / before
        grew |= percent > LIMIT
        shrank |= percent < -LIMIT
        word = "  GREW" if percent > LIMIT else "  shrank" if percent < -LIMIT else ""
        lines.append(f"{name:<16}{before:>15,}{count:>15,}{percent:>+9.2f} %{word}")
    if grew or shrank:
        lines.append(GREW if grew else SHRANK)
    return not grew, "\n".join(lines)


def own_instructions(profile: str, program: Path) -> int:
    """Return the sum of the program's own instructions, without those of the libraries it calls."""
    total = 0
    ours = inclusive = False
    for line in profile.splitlines():
        if line.startswith("ob="):
            ours = line == f"ob={program}"
        elif line.startswith("calls="):
            inclusive = True  # the next line is the cost of the call
        elif line[:1].isdigit():
            if ours and not inclusive:
                total += int(line.split()[1])
            inclusive = False
    return total


def valgrind(tool: str, *command: str | Path) -> str:
    """Run a program under valgrind and return its output."""
    done = subprocess.run(
        ["valgrind", "-q", f"--tool={tool}", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, done.args))} failed:\n{done.stderr}")
    return done.stdout


def count_one(program: Path, name: str) -> int:
    """Count the instructions of one workload."""
    with tempfile.TemporaryDirectory() as directory:
        profile = Path(directory, "profile")
        options = ["--toggle-collect=counted", "--compress-strings=no", "--compress-pos=no"]
        valgrind("callgrind", *options, f"--callgrind-out-file={profile}", program, name)
        count = own_instructions(profile.read_text(), program)
    if not count:
        raise SystemExit(f"{name}: callgrind did not see counted() in {program}")
    return count


def describe(program: Path) -> tuple[str, dict[str, int]]:
    """Return the compiler of a program, and the operations of its workloads."""
    # under valgrind, since the program reports the CPU that it sees
    builder, *rows = valgrind("none", program).splitlines()
    return builder, {name: int(operations) for name, operations in map(str.split, rows)}


def count(program: Path) -> Counts:
    """Count the instructions of all workloads."""
    builder, operations = describe(program)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda name: count_one(program, name), operations)
        costs = zip(operations, map(Cost, found, operations.values()), strict=True)
        return Counts(builder, dict(costs))


def check(program: Path) -> int:
    """Compare with counts.txt, if it is for this compiler and CPU."""
    kept = parse(KEPT.read_text())
    builder, _ = describe(program)
    if builder != kept.builder:
        print(f"instructions: skipped, counts.txt is for {kept.builder}, this is {builder}")
        return 0
    good, table = compare(kept, count(program))
    print(table)
    return not good


def record(program: Path, lean: Path | None) -> int:
    """Write counts.txt, and print the cost of the work counters."""
    now = count(program)
    KEPT.write_text(render(now))
    print(render(now), end="")
    if lean:
        print("\nshare of the port's work counters")
        for name, cost in count(lean).costs.items():
            share = 1 - cost.instructions / now.costs[name].instructions
            print(f"{name:<16}{100 * share:>13.2f} %")
    return 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["check", "record"])
    parser.add_argument("program", type=Path)
    parser.add_argument("--without", type=Path, help="the same program without work counters")
    args = parser.parse_args()
    program: Path = args.program.resolve()
    lean: Path | None = args.without and args.without.resolve()
    if not shutil.which("valgrind"):
        print("instructions: skipped, valgrind is not installed")
        return int(args.what == "record")
    return check(program) if args.what == "check" else record(program, lean)


if __name__ == "__main__":
    sys.exit(main())
