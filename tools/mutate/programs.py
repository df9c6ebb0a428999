# SPDX-License-Identifier: GPL-2.0-only
"""Build the C tests against the unchanged sources once, and against a mutant as fast as possible.

The core is a shared object, so a mutant costs one compilation and one link, whatever the number of
tests.  A test that answers calls to the host has the core linked into it.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CC = os.environ.get("CC", "cc")
# uninitialised variables hold the same rubbish in every run, and there are fewer random operations
COMPILE = ["-std=c11", "-fPIC", "-pthread", "-Icsrc", "-DFEW_OPERATIONS"]
COMPILE += ["-ftrivial-auto-var-init=pattern"]
# not a program: a `return` left out, arguments of other types
COMPILE += [f"-Werror={name}" for name in ("return-type", "int-conversion")]
COMPILE += ["-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration"]
STAGES = {
    "plain": ["-O0"],
    "sanitized": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "coverage": ["-O0", "--coverage"],
}


class Tree:
    """A copy of the sources in which one file at a time is a mutant."""

    def __init__(self, path: Path, stage: str) -> None:
        """Copy the sources to a directory."""
        self.path, self.stage = path, stage
        for part in ("csrc", "tests/c"):
            shutil.copytree(part, path / part)

    def compile(self, source: str) -> bool:
        """Compile one file."""
        target = self.object(source)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        command = [CC, *COMPILE, *STAGES[self.stage], "-MMD", "-c", source, "-o", target]
        done = subprocess.run(command, cwd=self.path, check=False, capture_output=True)
        return done.returncode == 0

    def link(self, objects: list[str], *more: str, name: str) -> None:
        """Link a program or a shared object."""
        target = self.path / name
        command = [CC, *STAGES[self.stage], "-pthread", *objects, *more, "-o", str(target)]
        subprocess.run(command, cwd=self.path, check=True)

    def object(self, source: str) -> str:
        """Return the path of a source file's object."""
        return str(self.path / "objects" / source.removesuffix(".c")) + ".o"


class Base:
    """The programs of the unchanged sources."""

    def __init__(self, scratch: Path, jobs: int, stage: str) -> None:
        """Compile all sources and all tests."""
        self.tree = Tree(scratch / f"base-{stage}", stage)
        self.core = [str(path) for path in sorted(Path("csrc").rglob("*.c"))]
        self.tests = [str(path) for path in sorted(Path("tests/c").glob("test_*.c"))]
        sources = self.core + self.tests
        with ThreadPoolExecutor(jobs) as pool:
            if not all(pool.map(self.tree.compile, sources)):
                raise SystemExit("the sources do not compile")
            self.users = {source: self.read_users(source) for source in sources}
            self.link_core(self.tree, set())
            list(pool.map(lambda test: self.link_test(self.tree, test, set()), self.tests))

    def read_users(self, source: str) -> set[str]:
        """Return the files that a source file is made of, itself included."""
        depends = Path(self.tree.object(source)).with_suffix(".d")
        rule = depends.read_text().replace("\\\n", " ")
        return {os.path.normpath(word) for word in rule.split()[1:]}

    def changed(self, file: str) -> set[str]:
        """Return the sources that a change of a file changes."""
        return {source for source, users in self.users.items() if file in users}

    def link_core(self, tree: Tree, changed: set[str]) -> None:
        """Link the core to a shared object, with the changed sources from the tree."""
        soname = "-Wl,-soname,libcore.so"  # the tests find it by this name
        tree.link(self.objects(tree, changed), "-shared", soname, name="libcore.so")

    def link_test(self, tree: Tree, test: str, changed: set[str]) -> None:
        """Link a test."""
        own = self.objects(tree, changed, [test])
        wrapped = wrapped_calls(test)
        if wrapped:
            tree.link(own + self.objects(tree, changed), *wrapped, name=Path(test).stem)
        else:
            tree.link(own, str(self.tree.path / "libcore.so"), name=Path(test).stem)

    def objects(self, tree: Tree, changed: set[str], sources: list[str] | None = None) -> list[str]:
        """Return the objects of sources, by default those of the core."""
        return [
            (tree if source in changed else self.tree).object(source)
            for source in (self.core if sources is None else sources)
        ]

    def program(self, tree: Tree, test: str, changed: set[str]) -> Path | None:
        """Return a test for a tree's core, or None if the mutant is no C there."""
        if test not in changed and not wrapped_calls(test):
            return self.tree.path / Path(test).stem
        if test in changed and not tree.compile(test):
            return None
        self.link_test(tree, test, changed)
        return tree.path / Path(test).stem


def wrapped_calls(test: str) -> list[str]:
    """Return the options that let a test answer calls of the core, mostly those to the host."""
    text = Path(test).read_text()
    if "host_faults.h" in text:
        text += Path("tests/c/host_faults.h").read_text()
    return [f"-Wl,--wrap={name}" for name in sorted(set(re.findall(r"__wrap_(\w+)", text)))]


def compiled_lines(base: Base) -> set[tuple[str, int]]:
    """Return the lines of csrc/ that the preprocessor keeps: not those for other machines."""
    kept: set[tuple[str, int]] = set()
    for source in base.core + base.tests:
        command = [CC, *COMPILE, "-E", "-fdirectives-only", source]
        done = subprocess.run(command, cwd=base.tree.path, check=True, capture_output=True)
        file, line = "", 0
        for text in done.stdout.decode().splitlines():
            marker = re.match(r'# (\d+) "([^"]*)"', text)
            if marker:
                file, line = os.path.normpath(marker[2]), int(marker[1])
                continue
            if text.strip() and file.startswith("csrc/"):
                kept.add((file, line))
            line += 1
    return kept
