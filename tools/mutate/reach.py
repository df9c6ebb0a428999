# SPDX-License-Identifier: GPL-2.0-only
"""Find which C test executes which line and function of the core, with gcov.

The result is kept in build/ and used again as long as no source has changed.
"""

import hashlib
import json
import os
import resource
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .mutants import Mutant
from .programs import COMPILE, Base

CACHE = Path("build/mutate")


@dataclass
class Reach:
    """What the tests execute, and how long each takes."""

    seconds: dict[str, float]  # CPU time of each test, without sanitizers
    lines: dict[str, list[str]] = field(default_factory=dict)  # "file:line" -> tests
    functions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # file -> lines

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice a mutant: those that execute its line come first.

        The others execute its function: a compiler counts a statement of several lines at one of
        them.  A table is for all tests that use its file, a macro of a header for all tests.
        """
        lines = mutant.lines()
        exact = self.of_lines(mutant.file, lines)
        near = set(exact)
        for first, last in self.functions.get(mutant.file, ()):
            if first <= lines.start <= last:
                near |= self.of_lines(mutant.file, range(first, last + 1))
        if not near and mutant.file.endswith(".c"):
            for first, last in self.functions.get(mutant.file, ()):
                near |= self.of_lines(mutant.file, range(first, last + 1))
        own = f"tests/c/test_{Path(mutant.file).stem}.c"
        return sorted(
            near or self.seconds,
            key=lambda test: (bool(exact) and test not in exact, test != own, self.seconds[test]),
        )

    def of_lines(self, file: str, lines: range) -> set[str]:
        """Return the tests that execute any of the lines."""
        return {test for n in lines for test in self.lines.get(f"{file}:{n}", ())}


def measure(scratch: Path, jobs: int) -> Reach:
    """Return what the tests of the unchanged sources execute."""
    cache = CACHE / f"reach-{content()}.json"
    if cache.exists():
        return Reach(**json.loads(cache.read_text()))
    base = Base(scratch, jobs, "coverage")
    objects = [base.tree.object(source) for source in base.core + base.tests]
    reach = Reach({})
    functions: dict[str, set[tuple[int, int]]] = {}
    for test in base.tests:
        for counts in base.tree.path.rglob("*.gcda"):
            counts.unlink()
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [base.tree.path / Path(test).stem],
            check=True,
            env={**os.environ, "LD_LIBRARY_PATH": str(base.tree.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        reach.seconds[test] = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        for file in gcov(objects, base.tree.path):
            name = os.path.normpath(file["file"])
            if not name.startswith("csrc/"):
                continue
            spans = {(f["start_line"], f["end_line"]) for f in file["functions"]}
            functions.setdefault(name, set()).update(spans)
            for line in file["lines"]:
                tests = reach.lines.setdefault(f"{name}:{line['line_number']}", [])
                if line["count"] and test not in tests:
                    tests.append(test)
    reach.functions = {name: sorted(spans) for name, spans in functions.items()}
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob("reach-*.json"):
        old.unlink()
    cache.write_text(json.dumps(vars(reach)))
    return reach


def content() -> str:
    """Return a hash of all that the result depends on."""
    text = hashlib.sha256(" ".join(COMPILE).encode())
    for folder in ("csrc", "tests/c"):
        for path in sorted(Path(folder).rglob("*.[ch]")):
            text.update(f"{path}\n".encode() + path.read_bytes())
    return text.hexdigest()[:16]


def gcov(objects: list[str], folder: Path) -> list[Any]:
    """Return what gcov reports for each source file, once for each object that has run."""
    run = [name for name in objects if Path(name).with_suffix(".gcda").exists()]
    command = [os.environ.get("GCOV", "gcov"), "--json-format", "--stdout", *run]
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [file for line in output.splitlines() for file in json.loads(line)["files"]]
