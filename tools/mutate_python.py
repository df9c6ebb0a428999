# SPDX-License-Identifier: GPL-2.0-only
"""Change one thing of the Python package at a time and see whether its tests notice.

A mutant that all tests pass which cover it is open: either a test is missing, or the mutant does
the same as the original and is listed in tests/equivalent-mutants.txt with the reason.

By default a sample is tested, spread over the files; --all tests all, and so does a file or folder.
mutation/mutants.py says what is mutated and what is not, mutation/runner.py how it is tested.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exceptions
from mutation.mutants import Mutant, mutants_of

EQUIVALENT = Path("tests/equivalent-mutants.txt")
SOURCES = [
    "percpu_ffi/model",
    "percpu_ffi/lockstep",
    "percpu_ffi/analysis",
    "percpu_ffi/custom",
    "percpu_ffi/bench",
    "percpu_ffi/testing",
    "percpu_ffi/trace",
    "percpu_ffi/stats",
    "percpu_ffi/record/machine.py",
    "percpu_ffi/record/recorder.py",
    "percpu_ffi/geometry.py",
    "percpu_ffi/invariants",
    "percpu_ffi/witness",
    "percpu_ffi/reports/witness.py",
    "percpu_ffi/cli/against_kernel.py",
]
# tests of other parts, or of the project as a whole; slow, and few import what is mutated
NOT_RUN = ["amalgamation", "docs", "embed", "interface", "make", "notebook", "notebook_page"]
NOT_RUN += ["package", "report_in_browser", "site"]
SEED, SAMPLE = 2009, 600
SCRATCH = Path("build/mutate-python")
LAST = SCRATCH / "open.json"
RUNNER = "tools/mutation/runner.py"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", ".*_cache", "*.egg-info")

Results = dict[Mutant, dict[str, Any]]


# --- what to test


def files_in(paths: Iterable[str]) -> list[str]:
    """Return the Python files of files and folders."""
    found = [
        str(file)
        for path in map(Path, paths)
        for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
    ]
    if strange := [file for file in found if not file.startswith("percpu_ffi/")]:
        raise SystemExit(f"not mutated: {', '.join(strange)}")
    return found


def sample(mutants: list[Mutant], size: int, seed: str) -> list[Mutant]:
    """Choose mutants, of each file in proportion, and one at least."""
    by_file: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_file.setdefault(mutant.file, []).append(mutant)
    chosen = []
    for file, mine in by_file.items():
        share = max(1, -(-size * len(mine) // len(mutants)))
        chosen += random.Random(f"{seed} {file}").sample(mine, min(share, len(mine)))
    return chosen


# --- which tests


@dataclass
class Coverage:
    """The tests that pass, and what each runs."""

    cpu: dict[str, float]  # seconds, by test
    tests: dict[tuple[str, int], set[str]]  # by file and line
    files: dict[str, set[str]]  # by file
    forks: set[str]  # start other processes, whose lines are unknown
    imported: set[tuple[str, int]]  # lines that run before any test

    def of(self, mutant: Mutant) -> list[tuple[str, float]]:
        """Return the tests of a mutant and their seconds, the fastest first.

        For code outside functions they are those that run any function of the file.
        """
        if self.is_cold(mutant):
            names = self.files.get(mutant.file) or set(self.cpu)
        else:
            here = [self.tests.get((mutant.file, line), set()) for line in mutant.lines]
            names = set().union(*here) or self.forks
        ordered = sorted(names & set(self.cpu), key=lambda name: (self.cpu[name], name))
        return [(name, self.cpu[name]) for name in ordered]

    def is_cold(self, mutant: Mutant) -> bool:
        """Return whether a mutant has to be imported anew."""
        lines = ((mutant.file, line) for line in mutant.lines)
        return mutant.function is None or any(line in self.imported for line in lines)


def coverage(jobs: int) -> Coverage:
    """Find out what each test covers; files of tests that are as they were are not run again."""
    common = hashlib.sha256()
    for source in [Path("tests/conftest.py"), *sorted(Path("percpu_ffi").rglob("*.py"))]:
        common.update(source.read_bytes())
    test_files = [
        file
        for file in sorted(Path("tests").glob("test_*.py"))
        if file.stem.removeprefix("test_") not in NOT_RUN
    ]
    records = {}
    for file in test_files:
        mine = common.copy()
        mine.update(file.read_bytes())
        records[file] = SCRATCH / "coverage" / f"{file.stem}-{mine.hexdigest()[:16]}.json"
    stale = [file for file in test_files if not records[file].exists()]
    if stale:
        print(f"which of {len(stale)} test files covers what?", file=sys.stderr)
        for file in stale:
            for old in (SCRATCH / "coverage").glob(f"{file.stem}-*"):
                old.unlink()
        record([(file, records[file]) for file in stale], jobs)
    return merged(json.loads(path.read_text()) for path in records.values())


def record(pairs: list[tuple[Path, Path]], jobs: int) -> None:
    """Trace files of tests, as many at a time as there are jobs."""
    (SCRATCH / "coverage").mkdir(parents=True, exist_ok=True)
    waiting = sorted(pairs, key=lambda pair: -pair[0].stat().st_size)
    with Trees(jobs) as trees:
        running: dict[Path, subprocess.Popen[str]] = {}
        while waiting or running:
            for tree in trees.paths:
                if tree in running and running[tree].poll() is not None:
                    if running[tree].returncode:
                        raise SystemExit(f"the tests do not run: see {trees.log(tree)}")
                    del running[tree]
                if tree not in running and waiting:
                    test, output = waiting.pop(0)
                    traced = ["trace", "percpu_ffi", str(output.absolute()), str(test)]
                    running[tree] = trees.start(tree, traced)
            time.sleep(0.05)


def merged(records: Iterable[Any]) -> Coverage:
    """Join the records of all test files."""
    result = Coverage({}, {}, {}, set(), set())
    for one in records:
        for name, test in one["tests"].items():
            if not test["passed"]:
                print(f"left out, since it fails without any mutant: {name}", file=sys.stderr)
                continue
            result.cpu[name] = test["cpu"]
            if test["forks"]:
                result.forks.add(name)
            for file, lines in test["lines"].items():
                result.files.setdefault(file, set()).add(name)
                for line in lines:
                    result.tests.setdefault((file, line), set()).add(name)
        for file, lines in one["imported"].items():
            result.imported.update((file, line) for line in lines)
    return result


# --- copies of the project, in which runners work


class Trees:
    """Copies of the project, which go at the end."""

    def __init__(self, count: int) -> None:
        """Copy the project."""
        self.scratch = Path(tempfile.mkdtemp(prefix="mutate-python-"))
        self.paths = [self.scratch / f"tree-{i}" for i in range(count)]
        self.processes: list[subprocess.Popen[str]] = []
        for path in self.paths:
            shutil.copytree(".", path, ignore=NOT_COPIED, symlinks=True)

    def __enter__(self) -> Trees:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the runners and delete the copies; logs of failures stay."""
        for process in self.processes:
            process.terminate()
            process.wait()
        for path in self.paths:
            shutil.rmtree(path, ignore_errors=True)

    def log(self, tree: Path) -> Path:
        """Return the file that a runner's output goes to."""
        return tree.with_suffix(".log")

    def start(self, tree: Path, command: list[str]) -> subprocess.Popen[str]:
        """Start a runner in a copy."""
        environment = os.environ | {
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DEBUG_TEMPROOT": str(self.scratch),
        }
        with self.log(tree).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, RUNNER, *command],
                cwd=tree,
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.processes.append(process)
        return process


def test(mutants: list[Mutant], covered: Coverage, jobs: int) -> Iterator[tuple[Mutant, Any]]:
    """Yield mutants with their results, as they come."""
    with Trees(jobs) as trees:
        work = trees.scratch / "jobs.json"
        work.write_text(
            json.dumps(
                [
                    {
                        "id": i,
                        "file": mutant.file,
                        "start": mutant.start,
                        "end": mutant.end,
                        "new": mutant.new,
                        "function": None if covered.is_cold(mutant) else mutant.function,
                        "tests": covered.of(mutant),
                    }
                    for i, mutant in enumerate(mutants)
                ]
            )
        )
        output = trees.scratch / "results"
        runners = [trees.start(tree, ["run", str(work), str(output)]) for tree in trees.paths]
        left = len(mutants)
        output.touch()
        line = ""
        with output.open() as results:
            while left:
                line += results.readline()
                if line.endswith("\n"):
                    result, line = json.loads(line), ""
                    left -= 1
                    yield mutants[result["id"]], result
                elif any(runner.poll() for runner in runners):
                    raise SystemExit(f"a runner fails: see {trees.scratch}/*.log")
                else:
                    time.sleep(0.1)


# --- what to say


def show(mutant: Mutant) -> None:
    """Print a mutant's diff."""
    old, new = Path(mutant.file).read_text().splitlines(), mutant.apply().splitlines()
    names = mutant.file, f"mutant {mutant.number}"
    print("\n".join(difflib.unified_diff(old, new, *names, lineterm="")), flush=True)


def print_table(killed: list[Mutant], listed: list[Mutant], wrong: list[Mutant]) -> None:
    """Print a line for each file and one for all."""
    print(f"{'file':40}{'mutants':>8}{'killed':>8}{'listed':>8}{'open':>8}")
    kinds = (killed, listed, wrong)
    files = sorted({mutant.file for kind in kinds for mutant in kind})
    for file in [*files, "all"]:
        counts = [sum(file in {mutant.file, "all"} for mutant in kind) for kind in kinds]
        print(f"{file:40}" + "".join(f"{count:8}" for count in (sum(counts), *counts)))


def is_gone(key: exceptions.Key) -> bool:
    """Return whether the line before of an exception is no longer in its file."""
    file = Path(key[0])
    return not file.exists() or key[1] not in " ".join(file.read_text().split())


def run(args: argparse.Namespace) -> int:
    """Test the mutants that the command line selects."""
    start = time.monotonic()
    file, _, number = (args.only or "").partition(":")
    paths = [file] if file else args.paths or SOURCES
    mutants = [mutant for file in files_in(paths) for mutant in mutants_of(file)]
    if args.only:
        mutants = [mutants[int(number)]]
        show(mutants[0])
    elif args.again:
        again = set(map(tuple, json.loads(LAST.read_text())))
        mutants = [mutant for mutant in mutants if mutant.key() in again]
    elif not args.all and (args.sample or not args.paths):
        mutants = sample(mutants, args.sample or SAMPLE, args.seed)

    known = Counter(exceptions.load(EQUIVALENT))
    covered = coverage(args.jobs)
    if args.quick:
        covered.cpu = {name: cpu for name, cpu in covered.cpu.items() if cpu <= args.quick}
    killed, listed, wrong, unlisted = [], [], [], Counter(known)
    for mutant, result in test(mutants, covered, args.jobs):
        if args.only or args.verbose:
            print(result, covered.of(mutant)[:5] if args.only else mutant.key(), flush=True)
        key = mutant.key()
        if result["how"]:
            killed.append(mutant)
        elif unlisted[key] > 0:
            unlisted[key] -= 1
            listed.append(mutant)
        else:
            wrong.append(mutant)
            print(f"{mutant.file}:{mutant.line()}: mutant {mutant.number} survives")
            print(f"\t{key[1]}\n\t{key[2]}", flush=True)

    print_table(killed, listed, wrong)
    print(f"{time.monotonic() - start:.0f} seconds")
    if not args.only:
        LAST.write_text(json.dumps([mutant.key() for mutant in wrong]))
    found = Counter(mutant.key() for mutant in listed)
    noticed = Counter(mutant.key() for mutant in killed)
    stale = [key for key in known if is_gone(key) or (noticed[key] and found[key] < known[key])]
    for key in stale:
        print("\n\t".join((f"listed, but killed or gone: {key[0]}", *key[1:])))
    if wrong:
        print(f"write a test, or a reason into {EQUIVALENT}")
    return 1 if wrong or stale else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="all mutants of files or folders")
    parser.add_argument("--sample", type=int, metavar="N", help=f"so many, by default {SAMPLE}")
    parser.add_argument("--seed", default=SEED, help=f"of the sample, by default {SEED}")
    parser.add_argument("--all", action="store_true", help="no sample")
    parser.add_argument("--again", action="store_true", help="those that were open the last time")
    parser.add_argument("--only", metavar="FILE:N", help="one mutant, its diff and its tests")
    parser.add_argument("--quick", type=float, metavar="S", help="no tests of over S seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--verbose", action="store_true", help="print what kills each mutant")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
