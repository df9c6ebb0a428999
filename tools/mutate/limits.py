# SPDX-License-Identifier: GPL-2.0-only
"""Run a program with limits that a busy machine does not reach: of CPU time, not of time.

A program that waits for ever uses no CPU time: it is stopped when all of its threads have slept
for several seconds.
"""

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

MOST_DATA = 1 << 30  # bytes, where a mutant takes memory for ever; sanitizers need more
MOST_SECONDS = 300
MOST_ASLEEP = 6  # checks, one each half second


def run(program: Path, library: Path, cpu_seconds: int, data: bool, show: bool = False) -> bool:
    """Return whether a program succeeds within the limits."""
    output = None if show else subprocess.DEVNULL
    process = subprocess.Popen(
        [program],
        cwd=program.parent,
        env={**os.environ, "LD_LIBRARY_PATH": str(library)},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    if data:
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))
    end = time.monotonic() + MOST_SECONDS
    asleep = 0
    while time.monotonic() < end and asleep < MOST_ASLEEP:
        try:
            status = process.wait(0.5)
        except subprocess.TimeoutExpired:
            asleep = asleep + 1 if sleeps(process.pid) else 0
        else:
            break
    else:
        status = 1
    kill_session(process)
    return status == 0


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """End what a program has left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def sleeps(session: int) -> bool:
    """Return whether all threads of a session sleep."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if fields(stat)[3] != str(session):
                continue
            tasks = list(stat.parent.glob("task/*/stat"))
            if any(fields(task)[0] not in "SZ" for task in tasks):
                return False
        except OSError:
            continue  # it has ended
    return True


def fields(stat: Path) -> list[str]:
    """Return the fields of a stat file after the command's name: state, parent, group, session."""
    return stat.read_text().rpartition(") ")[2].split()
