# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C as the end of a process: at any moment, without a traceback."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable

INTERRUPTED = 128 + signal.SIGINT  # exit status, as shells report it
GRACE = 1.0  # seconds to stop in; `timeout` sends the signal twice
RETRY = 0.01  # seconds


def run_interruptibly(command: Callable[[], int]) -> int:
    """Call a function, which receives Ctrl-C as KeyboardInterrupt; the process has to end then.

    Returns: its exit status, that of an interrupt after Ctrl-C.

    """
    interrupts = _Interrupts()
    status = INTERRUPTED
    try:
        interrupts.install()
        status = command()
    except BaseException:
        if interrupts.since is None:  # libraries turn an interrupt into errors of their own
            raise
    finally:
        interrupts.done = True
    return status if interrupts.since is None else INTERRUPTED


class _Interrupts:
    """What Ctrl-C does: the first one raises KeyboardInterrupt, one after ``GRACE`` exits."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Time of the first one."""
        self.done = False
        """Whether the command has ended, so that the process may exit."""

    def install(self) -> None:
        """Handle the signal, unless it is ignored, as under nohup."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._caught)
            signal.signal(signal.SIGALRM, self._caught)
            sys.unraisablehook = self._unraisable
            # afterwards Python handles no signals, and takes some time
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)

    def _caught(self, _number: int, _frame: object) -> None:
        now = time.monotonic()
        if self.done or (self.since is not None and now > self.since + GRACE):
            os._exit(INTERRUPTED)
        if self.since is None:
            self.since = now
            raise KeyboardInterrupt

    def _unraisable(self, error: sys.UnraisableHookArgs) -> None:
        """Raise KeyboardInterrupt again where Python dropped it: in ``__del__``, in a callback."""
        if self.since is None:
            sys.__unraisablehook__(error)
        elif issubclass(error.exc_type, KeyboardInterrupt):
            self.since = None
            signal.setitimer(signal.ITIMER_REAL, RETRY)  # here it would be dropped again
