# SPDX-License-Identifier: GPL-2.0-only
"""The machine that figures come from: CPU, kernel, compiler, versions; nothing that names it."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

from percpu_ffi import __version__

# setup.py adds it; the last one of several counts
OPTIMISE = "-O3"


def extension_flags() -> list[str]:
    """Return the flags that the port is compiled with, as far as they change its code."""
    flags = shlex.split(sysconfig.get_config_var("CFLAGS") or "")
    code = re.compile(r"-(m[\w.=-]+|f[\w=-]+|D\w+(=\w*)?)")
    return [*(flag for flag in flags if code.fullmatch(flag)), OPTIMISE]


def compiler() -> list[str]:
    """Return the command of the C compiler, ``$CC``, with its arguments.

    Raises:
        ValueError: its quotation marks do not match.

    """
    return shlex.split(os.environ.get("CC") or "cc")


def describe_machine() -> dict[str, str]:
    """Describe CPU, kernel, compiler and versions, without names of hosts or paths."""
    return {
        "cpu": _cpu(),
        "cpus": f"{os.cpu_count()}, {len(os.sched_getaffinity(0))} of them usable",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "c library": " ".join(platform.libc_ver()),
        "compiler": _compiler(),
        "flags": " ".join(extension_flags()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "percpu_ffi": __version__,
        "threads": _threads(),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found[1] if found else platform.machine()


def _compiler() -> str:
    try:
        command = [*compiler(), "--version"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "none found; the package may have been built elsewhere"
    return output.partition("\n")[0]


def _threads() -> str:
    """Describe the threads of this process: the port takes its lock when there are several."""
    tasks = "/proc/self/task"
    number = len(os.listdir(tasks)) if os.path.isdir(tasks) else 1
    return "1, so that the port needs no lock" if number == 1 else f"{number}, with the port's lock"
