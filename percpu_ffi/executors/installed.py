# SPDX-License-Identifier: GPL-2.0-only
"""What has to be the same on all machines, so that results do not depend on who computes them."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from typing import Any

from percpu_ffi import __version__
from percpu_ffi.errors import ConfigError


def installed() -> str:
    """Return this package's and Python's version, and the size of a page, the default of set-ups.

    Random numbers may depend on the version of Python.
    """
    python = ".".join(map(str, sys.version_info[:2]))
    return f"percpu_ffi {__version__}, Python {python}, pages of {mmap.PAGESIZE} bytes"


def call_if_same(expected: str, function: Callable[..., Any], *args: Any) -> Any:
    """Make a call on a worker.

    Raises:
        ConfigError: something else than ``expected`` is installed there.

    """
    found = installed()
    if found != expected:
        raise differs("a worker", found, expected)
    return function(*args)


def differs(who: str, found: str, expected: str) -> ConfigError:
    """Return the error for a worker on which something else is installed."""
    return ConfigError(
        f"{who} has {found}, and this machine {expected}; install the same on all machines"
    )
