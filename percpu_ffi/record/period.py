# SPDX-License-Identifier: GPL-2.0-only
"""The recording period: while a command runs, for a time, until a signal.

A signal never interrupts the recorder: it is noted, and checked between two blocks.  Ctrl-C
reaches the command too, since it is in the same process group; other signals are passed on to
it.  It then has a moment to end, which is still recorded.
"""

from __future__ import annotations

import math
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from percpu_ffi.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 1.0  # seconds after a signal in which the command's end is still recorded
LAST = 5.0  # further seconds to wait for its end
TICK = 0.02  # seconds between two checks
BY_SIGNAL = 128  # shells add it to a signal's number


class Period:
    """Ends with a command (empty: none) or after some seconds, whatever comes first.

    On exit it waits for the command, after a signal for a few seconds only.  ``report`` is
    called with messages about the command.
    """

    def __init__(
        self, command: Sequence[str], seconds: float | None, report: Callable[[str], object]
    ) -> None:
        self._command = command
        self._limit = math.inf if seconds is None else seconds
        self._report = report
        self._child: subprocess.Popen[bytes] | None = None
        self._signal = 0
        self._deadline = math.inf  # of the command after a signal
        self._handlers: dict[int, Any] = {}
        self._began = self._ended = 0.0

    def __enter__(self) -> Period:
        """Catch the signals that end a recording."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                self._handlers[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Wait for the command, then restore the signal handlers."""
        if error and self._child and self._child.poll() is None:  # it may run for hours
            self._report(f"{error}\n{self._command[0]} continues, unrecorded")
        try:
            self.wait()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def start(self) -> None:
        """Start the command, and the time.

        Raises:
            RecordError: the command does not exist.

        """
        self._began = time.monotonic()
        if not self._command or self._signal:
            return
        try:
            self._child = subprocess.Popen(self._command)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RecordError(
                f"{self._command[0]}: {reason}; COMMAND is a program and its arguments; for shell "
                "syntax write: sh -c '...'"
            ) from error
        if self._signal:  # it came before the process existed
            self._child.send_signal(self._signal)

    def over(self) -> bool:
        """Check whether the recording ends now."""
        now = time.monotonic()
        if self._child is None:
            over = self._signal != 0
        else:
            over = self._child.poll() is not None or now >= self._deadline
        if over or now >= self._began + self._limit:
            self._ended = now
            return True
        return False

    @property
    def seconds(self) -> float:
        """Its length, after it is over."""
        return self._ended - self._began

    def wait(self) -> None:
        """Wait for the command's end, after a signal for a few seconds only."""
        if not self._child:
            return
        while self._child.poll() is None and time.monotonic() < self._deadline:
            time.sleep(TICK)
        if self._child.poll() is None:
            if self._signal == signal.SIGINT:  # others were passed on at once
                self._child.terminate()
            try:
                self._child.wait(LAST)
            except subprocess.TimeoutExpired:
                name = f"{self._command[0]} (process {self._child.pid})"
                self._report(f"{name} does not end; it keeps running")
        elif self.status:
            self._report(f"{self._command[0]} ended with status {self.status}")

    @property
    def status(self) -> int:
        """The exit status: of the command; without one, 0 unless a signal ended it early.

        A signal counts as in shells, 128 and its number.  Without a command and a time, Ctrl-C
        is the normal end.
        """
        code = self._child.poll() if self._child else None
        if code is not None:
            return code if code >= 0 else BY_SIGNAL - code
        normal = not self._command and self._signal == signal.SIGINT and self._limit == math.inf
        return BY_SIGNAL + self._signal if self._signal and not normal else 0

    def _caught(self, number: int, frame: FrameType | None) -> None:
        again = self._signal != 0
        self._signal = number
        self._deadline = time.monotonic() + (0 if again else GRACE)
        if self._child and number != signal.SIGINT:
            self._child.send_signal(number)
