# SPDX-License-Identifier: GPL-2.0-only
"""The command ``percpu-ffi``, also ``python -m percpu_ffi``: Ctrl-C ends it cleanly at any moment.

Nothing else is loaded before Ctrl-C is handled, so that even the imports can be interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import time

INTERRUPTED = 128 + signal.SIGINT  # as shells report it
GRACE = 1.0  # seconds to stop in; `timeout` sends the signal twice
RETRY = 0.01  # seconds


class Interrupts:
    """What Ctrl-C does: the first one raises KeyboardInterrupt, one after ``GRACE`` exits."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Time of the first one."""
        self.done = False
        """Whether the command has ended: the process may exit at any moment."""

    def install(self) -> None:
        """Handle the signal, unless it is ignored, as under nohup."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._caught)
            signal.signal(signal.SIGALRM, self._caught)
            sys.unraisablehook = self._unraisable

    def _caught(self, _number: int, _frame: object) -> None:
        now = time.monotonic()
        if self.done or (self.since is not None and now > self.since + GRACE):
            os._exit(INTERRUPTED)
        if self.since is None:
            self.since = now
            raise KeyboardInterrupt

    def _unraisable(self, error: sys.UnraisableHookArgs) -> None:
        """Raise KeyboardInterrupt again where Python dropped it: in a callback, in __del__."""
        if self.since is None:
            sys.__unraisablehook__(error)
        elif issubclass(error.exc_type, KeyboardInterrupt):
            self.since = None
            signal.setitimer(signal.ITIMER_REAL, RETRY)  # not here: this too is such a place


def main() -> int:
    """Run the command line and return the exit status."""
    interrupts = Interrupts()
    status = INTERRUPTED
    try:
        interrupts.install()
        from percpu_ffi.cli import main as run  # noqa: PLC0415 - takes a while

        status = run()
    except BaseException:
        # libraries turn an interrupt into errors of their own
        if interrupts.since is None:
            raise
    finally:
        interrupts.done = True
    return status if interrupts.since is None else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
