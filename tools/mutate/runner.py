# SPDX-License-Identifier: GPL-2.0-only
"""Run the C tests on mutants, and return which test notices each."""

import queue
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import limits
from .mutants import Mutant
from .programs import Base, Tree
from .reach import Reach

NO_C = "the compiler"  # in place of a test: the mutant is no program and does not count

Killers = dict[Mutant, str | None]  # a test, NO_C, or None for a survivor

# CPU seconds for a test, in addition to some times what it usually takes
ALLOWANCE = {"plain": 1, "sanitized": 5}
TIMES = {"plain": 10, "sanitized": 50}


class Runner:
    """Runs mutants in a stage of STAGES, as many at a time as there are trees."""

    def __init__(self, scratch: Path, jobs: int, stage: str, reach: Reach) -> None:
        """Build the unchanged sources, and check that they pass."""
        self.jobs, self.stage, self.reach = jobs, stage, reach
        self.base = Base(scratch, jobs, stage)
        self.trees: queue.Queue[Tree] = queue.Queue()
        for i in range(jobs):
            self.trees.put(Tree(scratch / f"{stage}-{i}", stage))
        for test in self.base.tests:
            if not self.passes(self.base.tree.path / Path(test).stem, test, self.base.tree):
                raise SystemExit(f"{test} fails without any mutant")

    def killers(self, mutants: list[Mutant], show: bool = False) -> Killers:
        """Return what notices each mutant."""
        with ThreadPoolExecutor(self.jobs) as pool:
            found = pool.map(lambda mutant: self.kill(mutant, show), mutants)
            return dict(zip(mutants, found, strict=True))

    def kill(self, mutant: Mutant, show: bool) -> str | None:
        """Return what notices a mutant."""
        tree = self.trees.get()
        file = tree.path / mutant.file
        try:
            file.write_text(mutant.apply())
            return self.run_tests(tree, mutant, show)
        finally:
            shutil.copy(mutant.file, file)
            self.trees.put(tree)

    def run_tests(self, tree: Tree, mutant: Mutant, show: bool) -> str | None:
        """Return the first test that notices the mutant of a tree."""
        changed = self.base.changed(mutant.file)
        if not all(tree.compile(source) for source in self.base.core if source in changed):
            return NO_C
        self.base.link_core(tree, changed)
        for test in self.reach.tests_for(mutant):
            program = self.base.program(tree, test, changed)
            if not program:
                return NO_C
            if show:
                print(f"{test}:", flush=True)
            if not self.passes(program, test, tree, show):
                return test
        return None

    def passes(self, program: Path, test: str, tree: Tree, show: bool = False) -> bool:
        """Return whether a test passes with a tree's core."""
        seconds = ALLOWANCE[self.stage] + int(TIMES[self.stage] * self.reach.seconds[test])
        return limits.run(program, tree.path, seconds, self.stage == "plain", show)
