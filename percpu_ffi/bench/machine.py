# SPDX-License-Identifier: GPL-2.0-only
"""What the figures were taken on: enough to judge them by, nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

from percpu_ffi import __version__

__all__ = ["compiler", "describe_machine", "extension_flags"]

# what setup.py adds; of several the last one counts
OPTIMISE = "-O3"


def extension_flags() -> list[str]:
    """Tell the flags that the port is compiled with, as far as they change its code."""
    given = shlex.split(sysconfig.get_config_var("CFLAGS") or "")
    code = re.compile(r"-(m[\w.=-]+|f[\w=-]+|D\w+(=\w*)?)")
    return [*(flag for flag in given if code.fullmatch(flag)), OPTIMISE]


def compiler() -> list[str]:
    """Tell the command of the C compiler, ``$CC``, with its arguments.

    Raises:
        ValueError: it has a quotation mark too many.

    """
    return shlex.split(os.environ.get("CC") or "cc")


def describe_machine() -> dict[str, str]:
    """Describe CPU, kernel, compiler and versions, without the names of hosts and paths."""
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
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "none found; the package may have been built elsewhere"
    return said.partition("\n")[0]


def _threads() -> str:
    """Tell the threads of this process: among several, the port takes its lock."""
    number = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    return (
        "1, so that the port needs no lock" if number == 1 else f"{number}, the port's lock taken"
    )
