# SPDX-License-Identifier: GPL-2.0-only
"""Change one token of the C core at a time and see whether the C tests notice.

A mutant that all tests pass is a survivor: either a test is missing, or the mutant does the same
as the original and is listed in tests/c/equivalent-mutants.txt with the reason.

Each mutant is compiled alone and linked with objects that were built once.  The tests run without
sanitizers first; what survives meets them again under the address and undefined behaviour ones.
"""

import argparse
import difflib
import os
import queue
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import exceptions

EQUIVALENT = Path("tests/c/equivalent-mutants.txt")
FILES = [
    "csrc/area_map/map.h",
    "csrc/area_map/map_scan.c",
    "csrc/area_map/map.c",
    "csrc/area_map/area_map.c",
    "csrc/internal.h",
    "csrc/chunk.c",
    "csrc/populate.c",
]

Swaps = dict[str, tuple[str, ...]]

# what a token becomes; a comparison is moved by one, and reversed
PAIRS = ["== !=", "&& ||", "++ --", "<< >>", "+= -=", "true false", "list_move list_move_tail"]
SWAPS: Swaps = {
    **{old: (new,) for pair in PAIRS for old, new in permutations(pair.split())},
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "*=": ("/=",),
    "|=": ("&=",),
    "?": ("|| 1 ?", "&& 0 ?"),
    "!": ("",),
    "~": ("",),
}
BINARY: Swaps = {"+": ("-",), "-": ("+",), "*": ("/",), "&": ("|",), "|": ("&",)}
UNARY: Swaps = {"-": ("",)}

HIDDEN = re.compile(r'/\*.*?\*/|^#(?:\\\n|[^\n])*$|"(?:\\.|[^"\\])*"', re.DOTALL | re.MULTILINE)
BODY = re.compile(r"^\{$.*?^\}$", re.DOTALL | re.MULTILINE)  # kernel style: a function's braces
TOKEN = re.compile(
    r"[A-Za-z_]\w*|0x[0-9a-fA-F]+|\d+|<<=|>>=|->|[-+*/%&|^<>=!]=|&&|\|\||\+\+|--|<<|>>|\S"
)
CONTROL = {"if", "for", "while", "switch"}
NO_STATEMENT = CONTROL | {"else", "do", "case", "default", "goto", ";", "{", "}"}

CC = os.environ.get("CC", "cc")
# uninitialised variables hold the same rubbish in every run
COMPILE = ["-std=c11", "-g", "-pthread", "-Icsrc", "-ftrivial-auto-var-init=pattern"]
COMPILE += ["-Werror=return-type"]  # else a `return` can be left out and the value still be there
STAGES = {
    "plain": ["-O0"],
    "sanitized": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}
SECONDS = {"plain": 10, "sanitized": 60}  # for one test program; longer is an endless loop
NO_C = "the compiler"  # in place of a test: the mutant is no program and does not count
MOST_DATA = 1 << 30  # bytes, where a mutant takes memory for ever


@dataclass(frozen=True)
class Token:
    """A token and its place in its file."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Mutant:
    """One replacement in one file."""

    file: str
    start: int
    end: int
    new: str

    def apply(self) -> str:
        """Return the text of the whole file with the replacement made."""
        text = Path(self.file).read_text()
        return text[: self.start] + self.new + text[self.end :]

    def key(self) -> exceptions.Key:
        """Return the file and the line before and after; several lines become one."""
        text = visible(self.file)
        begin = text.rfind("\n", 0, self.start) + 1
        end = text.find("\n", self.end)
        after = text[begin : self.start] + self.new + text[self.end : end]
        return self.file, " ".join(text[begin:end].split()), " ".join(after.split())

    def line(self) -> int:
        """Return the number of the line."""
        return Path(self.file).read_text().count("\n", 0, self.start) + 1


Killers = dict[Mutant, str | None]  # a test program, NO_C, or None for a survivor


# --- what to change


def visible(file: str) -> str:
    """Return a source file with comments, strings and preprocessor lines blank."""
    return HIDDEN.sub(lambda m: re.sub(r"\S", " ", m.group()), Path(file).read_text())


def closing(tokens: list[Token], i: int) -> int:
    """Return the index of the parenthesis that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[j].text, 0)
        if not depth:
            return j
    raise ValueError("a parenthesis is not closed")


def find(tokens: list[Token], i: int, text: str) -> int:
    """Return the index of the first token from i on with this text, outside parentheses."""
    while tokens[i].text != text:
        i = closing(tokens, i) + 1 if tokens[i].text == "(" else i + 1
    return i


def token_mutants(tokens: list[Token], i: int) -> Iterator[tuple[int, int, str]]:
    """Yield the replacements of one token."""
    token, text = tokens[i], tokens[i].text
    is_operand = re.match(r"[\w)\]]", tokens[i - 1].text) and tokens[i - 1].text != "return"
    if text == tokens[i - 1].text == "!":
        return  # as without the first one
    news = SWAPS.get(text) or (BINARY if is_operand else UNARY).get(text, ())
    if text.isdigit():
        number = int(text)
        others = dict.fromkeys((number + 1, number - 1, 0))
        news = tuple(str(other) for other in others if other != number)
    for new in news:
        yield token.start, token.end, new


def call_mutants(text: str, tokens: list[Token], i: int) -> Iterator[tuple[int, int, str]]:
    """Yield a plain condition negated, and each argument in place of their maximum."""
    if tokens[i + 1].text != "(" or tokens[i].text not in {"if", "while", "max"}:
        return
    last = closing(tokens, i + 1)
    inside = text[tokens[i + 1].end : tokens[last].start]
    if tokens[i].text != "max":
        # with an operator in it, it is turned round there
        if not re.search("[!<=>]", inside.replace("->", "")):
            yield tokens[i + 1].end, tokens[last].start, f"!({inside})"
        return
    comma = tokens[find(tokens, i + 2, ",")]
    yield tokens[i].start, tokens[last].end, text[tokens[i + 1].end : comma.start]
    yield tokens[i].start, tokens[last].end, text[comma.end : tokens[last].start].strip()


def statement_mutants(tokens: list[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield each statement of a function left out: calls, assignments, jumps."""
    i = 1
    while i < len(tokens):
        first = tokens[i].text
        if first in CONTROL:
            i = closing(tokens, i + 1) + 1
            continue
        if first in {"case", "default"}:
            i = find(tokens, i, ":")
        if first in NO_STATEMENT:
            i += 1
            continue
        end = find(tokens, i, ";")
        if not is_declaration(tokens, i):
            yield tokens[i].start, tokens[end].end, ";"
        i = end + 1


def is_declaration(tokens: list[Token], i: int) -> bool:
    """Return whether a statement begins with `type name` or `type *name`."""
    first, second = tokens[i].text, tokens[i + 1].text
    is_name = re.match(r"[A-Za-z_]", first) is not None
    return is_name and first != "return" and (second == "*" or second[0].isalpha())


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of the source."""
    text = visible(file)
    found: set[tuple[int, int, str]] = set()
    for body in BODY.finditer(text):
        tokens = [Token(m.group(), *m.span()) for m in TOKEN.finditer(text, *body.span())]
        for i in range(1, len(tokens) - 1):
            found.update(token_mutants(tokens, i), call_mutants(text, tokens, i))
        found.update(statement_mutants(tokens))
    return [Mutant(file, *replacement) for replacement in sorted(found)]


# --- compiling and running


class Tree:
    """A copy of the sources in which one file at a time is a mutant."""

    def __init__(self, path: Path) -> None:
        """Copy the sources to a directory."""
        self.path = path
        for part in ("csrc", "tests/c"):
            shutil.copytree(part, path / part)

    def compile(self, source: str, stage: str) -> bool:
        """Compile one file."""
        target = self.object(source, stage)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        command = [CC, *COMPILE, *STAGES[stage], "-MMD", "-c", source, "-o", target]
        done = subprocess.run(command, cwd=self.path, check=False, capture_output=True)
        return done.returncode == 0

    def object(self, source: str, stage: str) -> str:
        """Return the path of a source file's object."""
        return str(self.path / stage / source.removesuffix(".c")) + ".o"


class Base:
    """The objects of the unchanged sources."""

    def __init__(self, scratch: Path, jobs: int, stage: str) -> None:
        """Compile all sources and all tests."""
        self.stage = stage
        self.tree = Tree(scratch / f"base-{stage}")
        self.core = [str(path) for path in sorted(Path("csrc").rglob("*.c"))]
        self.tests = [str(path) for path in sorted(Path("tests/c").glob("test_*.c"))]
        sources = self.core + self.tests
        with ThreadPoolExecutor(jobs) as pool:
            done = pool.map(lambda source: self.tree.compile(source, stage), sources)
        if not all(done):
            raise SystemExit("the sources do not compile")
        self.users = {source: self.read_users(source) for source in sources}

    def read_users(self, source: str) -> set[str]:
        """Return the files that a source file is made of, itself included."""
        depends = Path(self.tree.object(source, self.stage)).with_suffix(".d")
        rule = depends.read_text().replace("\\\n", " ")
        return {os.path.normpath(word) for word in rule.split()[1:]}


def link_flags(test: str) -> list[str]:
    """Let a test that answers calls to the host stand between the core and the host."""
    text = Path(test).read_text()
    if "host_faults.h" in text:
        text += Path("tests/c/host_faults.h").read_text()
    wrapped = set(re.findall(r"__wrap_(\w+)", text))
    return [f"-Wl,--wrap={name}" for name in sorted(wrapped)]


def run_tests(tree: Tree, base: Base, mutant: Mutant | None, show: bool = False) -> str | None:
    """Return the test program that notices a mutant, NO_C, or None for a survivor."""
    stage = base.stage
    changed = {s for s in base.core + base.tests if mutant and mutant.file in base.users[s]}
    of = {source: tree if source in changed else base.tree for source in base.core + base.tests}
    for source in changed & set(base.core):
        if not tree.compile(source, stage):
            return NO_C
    core = [of[source].object(source, stage) for source in base.core]
    near = f"tests/c/test_{Path(mutant.file).stem}.c" if mutant else ""
    for test in sorted(base.tests, key=lambda test: test != near):
        if test in changed and not tree.compile(test, stage):
            return NO_C
        own = of[test].object(test, stage)
        link = [CC, *STAGES[stage], "-pthread", own, *core, *link_flags(test), "-o", "program"]
        subprocess.run(link, cwd=tree.path, check=True)
        if show:
            print(f"{test}:", flush=True)
        try:
            done = subprocess.run(
                ["./program"],
                cwd=tree.path,
                check=False,
                capture_output=not show,
                timeout=SECONDS[stage],
            )
        except subprocess.TimeoutExpired:
            return test
        if done.returncode:
            return test
    return None


class Runner:
    """Runs mutants, as many at a time as there are trees."""

    def __init__(self, scratch: Path, jobs: int) -> None:
        """Make the trees."""
        self.scratch, self.jobs = scratch, jobs
        self.trees: queue.Queue[Tree] = queue.Queue()
        for i in range(jobs):
            self.trees.put(Tree(scratch / f"tree-{i}"))

    def killers(self, mutants: list[Mutant], stage: str, show: bool = False) -> Killers:
        """Return what noticed each mutant, see run_tests()."""
        limit_data(stage == "plain")
        base = Base(self.scratch, self.jobs, stage)
        if run_tests(self.trees.queue[0], base, None):
            raise SystemExit("the tests fail without any mutant")

        def kill(mutant: Mutant) -> str | None:
            tree = self.trees.get()
            file = tree.path / mutant.file
            try:
                file.write_text(mutant.apply())
                return run_tests(tree, base, mutant, show)
            finally:
                shutil.copy(mutant.file, file)
                self.trees.put(tree)

        with ThreadPoolExecutor(self.jobs) as pool:
            return dict(zip(mutants, pool.map(kill, mutants), strict=True))


def limit_data(limited: bool) -> None:
    """Keep the programs started from here from taking all memory; sanitizers need it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA if limited else hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# --- what to say


def show_one(runner: Runner, mutants: list[Mutant], number: int) -> int:
    """Print one mutant's diff and what the tests say."""
    mutant = mutants[number]
    old, new = Path(mutant.file).read_text(), mutant.apply()
    names = mutant.file, f"mutant {number}"
    print("\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")))
    for stage in STAGES:
        killer = runner.killers([mutant], stage, show=True)[mutant]
        print(f"{stage}: {'survives' if killer is None else f'killed by {killer}'}", flush=True)
        if killer:
            return 0
    return 1


def print_table(killers: Killers) -> None:
    """Print a line for each file and one for all."""
    print(f"{'file':26}{'mutants':>8}{'killed':>8}{'survived':>9}{'no C':>6}")
    for file in [*FILES, "all"]:
        mine = [killer for mutant, killer in killers.items() if file in {mutant.file, "all"}]
        if not mine:
            continue
        no_c, survived = mine.count(NO_C), mine.count(None)
        counted = len(mine) - no_c
        print(f"{file:26}{counted:8}{counted - survived:8}{survived:9}{no_c:6}")


def run(scratch: Path) -> int:
    """Run the mutants that the command line selects."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", action="append", choices=FILES, help="only mutants of this file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--only", type=int, metavar="N", help="one mutant, its diff and output")
    args = parser.parse_args()

    start = time.monotonic()
    numbered = [mutant for file in FILES for mutant in mutants_of(file)]
    runner = Runner(scratch, args.jobs if args.only is None else 1)
    if args.only is not None:
        return show_one(runner, numbered, args.only)

    chosen = [mutant for mutant in numbered if mutant.file in (args.file or FILES)]
    killers = runner.killers(chosen, "plain")
    killers |= runner.killers([m for m in chosen if killers[m] is None], "sanitized")
    survivors = [mutant for mutant in chosen if killers[mutant] is None]

    print_table(killers)
    print(f"{time.monotonic() - start:.0f} seconds")
    known = exceptions.load(EQUIVALENT)
    for mutant in survivors:
        if mutant.key() not in known:
            print(f"{mutant.file}:{mutant.line()}: mutant {numbered.index(mutant)} survives")
    wrong, stale = "survives, not listed", "listed, but killed or gone"
    listed = [key for key in known if key[0] in (args.file or FILES)]
    if exceptions.compare(listed, [mutant.key() for mutant in survivors], wrong, stale):
        return 0
    print(f"write a test, or a reason into {EQUIVALENT}")
    return 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mutate-") as directory:
        sys.exit(run(Path(directory)))
