# SPDX-License-Identifier: GPL-2.0-only
"""What a recording says about its machine, as far as this user may read it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

STATS = Path("/sys/kernel/debug/percpu_stats")
POSSIBLE = Path("/sys/devices/system/cpu/possible")
LOG = "/dev/kmsg"
LINE = 8192  # bytes of a message at most: CONSOLE_EXT_LOG_MAX of kernel/printk
BOOT_LINE = re.compile(rb"percpu: (Embedded .*|.* pages/cpu .*)")


def describe_machine() -> dict[str, Any]:
    """Return plain values: ``kernel``, ``possible_cpus``, ``page_size``, ``boot_line``.

    What cannot be found out is left out: the log of the boot may have been overwritten.
    """
    found = {
        "kernel": os.uname().release,
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "possible_cpus": possible_cpus(),
        "boot_line": _boot_line(),
    }
    return {name: value for name, value in found.items() if value is not None}


def possible_cpus() -> int | None:
    """Return the CPUs that the kernel has units for, None if it does not say."""
    with suppress(OSError, ValueError):
        ranges = POSSIBLE.read_text(encoding="ascii").strip().split(",")
        return int(ranges[-1].rpartition("-")[2]) + 1
    return None


def percpu_stats() -> str | None:
    """Return the kernel's own statistics, None if it has none (CONFIG_PERCPU_STATS)."""
    with suppress(OSError):
        return STATS.read_text(encoding="utf-8", errors="replace")
    return None


def _boot_line() -> str | None:
    """Return the line that says how the kernel set up its first chunk."""
    with suppress(OSError):  # BlockingIOError at the end of the log
        log = os.open(LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                with suppress(BrokenPipeError):  # overwritten meanwhile; the next read goes on
                    message = os.read(log, LINE)
                    if not message:  # a container may have another file in its place
                        return None
                    if found := BOOT_LINE.search(message):
                        return found[1].decode(errors="replace").strip()
        finally:
            os.close(log)
    return None
