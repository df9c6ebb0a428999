# SPDX-License-Identifier: GPL-2.0-only
"""A progress bar, if standard error is a terminal and tqdm is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from percpu_ffi._util.terminal import columns, wants_no_colour


@contextmanager
def progress_bar(
    what: str, total: int | None, unit: str
) -> Iterator[Callable[[int], object] | None]:
    """Show how much of ``total`` is done; yield a function to call with each advance.

    A ``total`` of None is unknown.
    """
    if not (sys.stderr and sys.stderr.isatty() and find_spec("tqdm")):
        yield None
        return
    from tqdm import tqdm  # noqa: PLC0415 - an extra

    # tqdm's monitor is a thread, and with several threads each call of the port takes a lock
    tqdm.monitor_interval = 0
    # users may set the colour in TQDM_COLOUR; in the last column the cursor would go to a new line
    look: dict[str, Any] = {"colour": None} if wants_no_colour() else {}
    look["ncols"] = max(columns(sys.stderr) - 1, 1)
    with tqdm(desc=what, total=total, unit=unit, unit_scale=True, leave=False, **look) as bar:
        yield bar.update
