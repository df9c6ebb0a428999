# SPDX-License-Identifier: GPL-2.0-only
"""Run tests on mutants of one copy of the project, each in a forked process.

runner.py trace PACKAGE OUTPUT TEST_FILE...: run tests and record the lines that each runs.
runner.py run JOBS RESULTS: test mutants, and append a line of JSON for each.

A mutant in the body of a function needs no new start: pytest has collected all tests once, the
child replaces the function's code and runs the tests that cover it.  Every other mutant is
imported anew.  In both cases the mutated file is on the disk too, for tests that start processes.

A test that fails is repeated: only a mutant that fails twice is killed, since the machine may be
busy.  Time is CPU time for the same reason; a test counts as hanging if it uses almost none of it
for a minute.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

SECONDS = 5  # of CPU time that every test may take, and
TIMES = 5  # as often the time that it takes without a mutant
IDLE = 60  # seconds in which a test uses at least IDLE_SHARE of a CPU, or hangs
IDLE_SHARE = 0.01
MOST_DATA = 4 << 30  # bytes, where a mutant takes memory for ever
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

OPTIONS = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "--rootdir=."]
OPTIONS += ["--tb=native", "--assert=plain"]  # a report of the difference may take seconds
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # imported before pytest begins
Job = dict[str, Any]


# --- tests


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def passes(item: pytest.Item) -> bool:
    """Run one test with its fixtures."""
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def first_failure(
    items: dict[str, pytest.Item], tests: list[tuple[str, float]], say: Callable[[str], None]
) -> str:
    """Run tests until one fails twice; return its name, or nothing."""
    for name, seconds in tests:
        if name not in items:
            continue
        say(name)
        limit = time.process_time() + SECONDS + TIMES * seconds
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, resource.RLIM_INFINITY))
        if not passes(items[name]) and not passes(items[name]):
            return str(name)
    return ""


class Loop:
    """A pytest plugin that does something else with the tests than to run them once."""

    def __init__(self, loop: Callable[[dict[str, pytest.Item]], None]) -> None:
        """Take a function of the collected tests."""
        self.loop = loop

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop."""
        self.loop({item.nodeid: item for item in session.items})
        return True


def collect(files: list[str], loop: Callable[[dict[str, pytest.Item]], None]) -> None:
    """Let pytest collect the tests of some files."""
    status = pytest.main([*OPTIONS, *files], plugins=[Loop(loop)])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise RuntimeError(f"pytest ends with {status!r}")


# --- which test runs which line


def trace(package: str, output: str, files: list[str]) -> None:
    """Write what each test covers to a file of JSON."""
    coverage: Any = importlib.import_module("coverage")  # for type checkers, tools/coverage.py
    watch = coverage.Coverage(data_file=None, config_file=False, source=[package])
    tests: dict[str, Any] = {}

    def loop(items: dict[str, pytest.Item]) -> None:
        for name, item in items.items():
            watch.switch_context(name)
            before, started = cpu_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            passed = passes(item) or passes(item)
            forks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > started
            tests[name] = {"passed": passed, "cpu": cpu_seconds() - before, "forks": forks}
            tests[name]["lines"] = {}
        watch.switch_context("")

    watch.start()
    collect(files, loop)
    watch.stop()
    data = watch.get_data()
    imported: dict[str, list[int]] = {}
    for path in data.measured_files():
        file = os.path.relpath(path)
        for line, names in data.contexts_by_lineno(path).items():
            for name in names:
                of = tests[name]["lines"] if name else imported
                of.setdefault(file, []).append(line)
    Path(output).write_text(json.dumps({"tests": tests, "imported": imported}))


# --- children


def descendants(pid: int | str) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield int(child)
                yield from descendants(child)


def used_by(pid: int) -> float:
    """Return the CPU time of a process and its descendants so far, in seconds."""
    ticks = 0
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # of itself and of its ended children
    return ticks / os.sysconf("SC_CLK_TCK")


def in_child(work: Callable[[Callable[[str], None]], str]) -> tuple[str, str]:
    """Fork and work there; return what ended it, which is nothing for a survivor, and the test."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        adopt()
        try:
            found = work(lambda name: write_line(writer, f"test {name}"))
            write_line(writer, "end failed" if found else "end ")
        except BaseException as error:
            write_line(writer, f"end {type(error).__name__}")
        os._exit(0)
    os.close(writer)
    with open(reader, "rb", buffering=0) as pipe:
        text, hangs = read_all(pipe.fileno(), child)
    for left in [child, *descendants(os.getpid())]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0)[0]:
            pass
    *_, last = ["", *(line for line in text.splitlines() if line.startswith("test "))]
    if hangs:
        how = "hangs"
    elif "\nend " in text:
        how = text.rpartition("\nend ")[2].strip()
    else:
        how = "time" if status == -signal.SIGXCPU else f"ends with {status}"
    return how, last.removeprefix("test ")


def write_line(pipe: int, text: str) -> None:
    """Write to a pipe."""
    os.write(pipe, f"\n{text}\n".encode())


def read_all(pipe: int, child: int) -> tuple[str, bool]:
    """Read until the child ends; return the text, and whether it was waited for in vain."""
    text, used, since = b"", 0.0, time.monotonic()
    ended = os.pidfd_open(child)
    try:
        while True:
            ready = select.select([pipe, ended], [], [], 5)[0]
            if pipe in ready and (more := os.read(pipe, 1 << 16)):
                text += more
            elif ended in ready:
                return text.decode(), False
            elif time.monotonic() - since > IDLE:
                now = used_by(child)
                if now - used < IDLE * IDLE_SHARE:
                    return text.decode(), True
                used, since = now, time.monotonic()
    finally:
        os.close(ended)


# --- mutants


def mutant_of(job: Job) -> str:
    """Return the text of the file with the replacement made."""
    text = Path(job["file"]).read_text()
    return f"{text[: job['start']]}{job['new']}{text[job['end'] :]}"


@contextlib.contextmanager
def on_disk(job: Job) -> Iterator[None]:
    """Have the mutant on the disk for a while."""
    file = Path(job["file"])
    text, times = file.read_text(), file.stat()
    try:
        file.write_text(mutant_of(job))
        yield
    finally:
        file.write_text(text)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def run_cold(job: Job, say: Callable[[str], None]) -> str:
    """Import everything, and run the tests file by file, those first that have many fast ones."""
    files: dict[str, list[tuple[str, float]]] = {}
    for name, seconds in job["tests"]:
        files.setdefault(name.partition("::")[0], []).append((name, seconds))
    say("import")
    for file, tests in sorted(files.items(), key=lambda one: worth(one[1]), reverse=True):
        found: list[str] = []
        collect([file], lambda items: found.append(first_failure(items, tests, say)))  # noqa: B023
        if found[0]:
            return found[0]
    return ""


def worth(tests: list[tuple[str, float]]) -> float:
    """Return how many tests a second of CPU time runs, the start included."""
    return len(tests) / (0.5 + sum(seconds for _, seconds in tests))


def codes(code: CodeType, key: tuple[str, int]) -> Iterator[CodeType]:
    """Yield the code objects of functions of this name that begin on this line."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if (inner.co_name, inner.co_firstlineno) == key:
                yield inner
            yield from codes(inner, key)


def replacement(functions: list[FunctionType], job: Job) -> Callable[[], None] | None:
    """Return what gives a function its mutated code; nothing if it has other free variables."""
    name, line = job["function"]
    [new] = codes(compile(mutant_of(job), job["file"], "exec"), (name, line))
    where = os.path.realpath(job["file"])
    mine = [
        function
        for function in functions
        if (function.__code__.co_name, function.__code__.co_firstlineno) == (name, line)
        and os.path.realpath(function.__code__.co_filename) == where
    ]
    if not mine or any(function.__code__.co_freevars != new.co_freevars for function in mine):
        return None

    def replace() -> None:
        for function in mine:
            function.__code__ = new

    return replace


def run(path: str, results: str) -> None:
    """Test the mutants of a file of JSON that no other runner has claimed yet."""
    jobs: list[Job] = json.loads(Path(path).read_text())

    def test(job: Job, work: Callable[[Callable[[str], None]], str]) -> None:
        try:
            os.close(os.open(f"{path}.{job['id']}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        before = cpu_seconds()
        with on_disk(job):
            how, name = in_child(work)
        result = {"id": job["id"], "how": how, "test": name, "cpu": cpu_seconds() - before}
        with open(results, "a") as output:
            output.write(f"{json.dumps(result)}\n")

    def loop(items: dict[str, pytest.Item]) -> None:
        functions = [o for o in gc.get_objects() if isinstance(o, FunctionType)]
        gc.collect()
        gc.freeze()  # a child does not go through what is older than it

        def run_hot(job: Job, replace: Callable[[], None], say: Callable[[str], None]) -> str:
            replace()
            return first_failure(items, job["tests"], say)

        for job in jobs:
            if job["function"] and (replace := replacement(functions, job)):
                test(job, partial(run_hot, job, replace))

    names = {name for job in jobs if job["function"] for name, _ in job["tests"]}
    collected = os.fork()  # what follows imports anew
    if not collected:
        adopt()
        try:
            if names:
                collect(sorted({name.partition("::")[0] for name in names}), loop)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(collected, 0)[1]:
        raise RuntimeError("the tests cannot be collected")
    for job in jobs:
        test(job, partial(run_cold, job))


def adopt() -> None:
    """End with the parent, and become that of processes that lose theirs, to end them."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Trace or run."""
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutants")
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt()
    what, *rest = sys.argv[1:]
    if what == "trace":
        trace(rest[0], rest[1], rest[2:])
    else:
        run(*rest)


if __name__ == "__main__":
    main()
