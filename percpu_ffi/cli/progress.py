# SPDX-License-Identifier: GPL-2.0-only
"""A progress bar on a terminal; nothing elsewhere, or where tqdm is not installed."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], object] | None]:
    """Show how much of ``total`` is done; gives a function to call with each advance."""
    try:
        from tqdm import tqdm  # noqa: PLC0415 - an extra
    except ImportError:
        yield None
        return
    if not sys.stderr.isatty():
        yield None
        return
    # its monitor is a thread, and among threads every call of the port takes a lock
    tqdm.monitor_interval = 0
    with tqdm(desc=what, total=total, unit=unit, unit_scale=True, leave=False) as bar:
        yield bar.update
