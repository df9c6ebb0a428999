# SPDX-License-Identifier: GPL-2.0-only
"""How long a recording lasts: while a command runs, for a time, until a signal.

A signal never breaks off what the recorder is doing: it is noted, and asked for.  Ctrl-C
reaches the command by itself, since it is in the same process group; other signals are
passed on to it.  It then has a moment to end in, which is still recorded.
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
    from types import FrameType, TracebackType
    from typing import Any

__all__ = ["Span"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 1.0  # seconds after a signal in which the command's end is still recorded
LAST = 5.0  # further seconds until it is left alone
TICK = 0.02  # seconds between two looks at it
BY_SIGNAL = 128  # what shells add to a signal's number


class Span:
    """A command, a time in seconds, or both: what ends first ends the recording.

    On exit it waits for the command, which goes on to its own end but for a signal.
    """

    def __init__(
        self, command: Sequence[str], seconds: float | None, tell: Callable[[str], object]
    ) -> None:
        """Take what ends the recording.

        Args:
            command: a program and its arguments; empty: none.
            seconds: how long at most; None: any time.
            tell: told what becomes of the command.

        """
        self._command = command
        self._limit = math.inf if seconds is None else seconds
        self._tell = tell
        self._child: subprocess.Popen[bytes] | None = None
        self._signal = 0
        self._patience = math.inf  # until when a command may go on after a signal
        self._old: dict[int, Any] = {}
        self._began = self._ended = 0.0

    def __enter__(self) -> Span:
        """Catch the signals that end a recording."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._old[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the command, and let signals act as before."""
        if error and self._child and self._child.poll() is None:  # that may take hours
            self._tell(f"{error}\n{self._command[0]} goes on to its end, unrecorded")
        try:
            self.wait()
        finally:
            for number, handler in self._old.items():
                signal.signal(number, handler)

    def start(self) -> None:
        """Start the command, and the time.

        Raises:
            RecordError: there is no such command.

        """
        self._began = time.monotonic()
        if not self._command or self._signal:
            return
        try:
            self._child = subprocess.Popen(self._command)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RecordError(
                f"{self._command[0]}: {reason}; COMMAND is a program and its arguments, for "
                "anything of the shell write: sh -c '...'"
            ) from error
        if self._signal:  # it came before there was a process for it
            self._child.send_signal(self._signal)

    def over(self) -> bool:
        """Say whether the recording is to end now."""
        now = time.monotonic()
        if self._child is None:
            over = self._signal != 0
        else:
            over = self._child.poll() is not None or now >= self._patience
        if over or now >= self._began + self._limit:
            self._ended = now
            return True
        return False

    @property
    def seconds(self) -> float:
        """How long it lasted, after it is over."""
        return self._ended - self._began

    def wait(self) -> None:
        """Wait for the command's own end, after a signal for a few seconds only."""
        if not self._child:
            return
        while self._child.poll() is None and time.monotonic() < self._patience:
            time.sleep(TICK)
        if self._child.poll() is None:
            self._end(self._child)
        elif self.status:
            self._tell(f"{self._command[0]} ended with status {self.status}")

    @property
    def status(self) -> int:
        """The exit status: that of the command; without one, 0 unless broken off by a signal.

        A signal counts as in shells, 128 and its number.  Without a time, Ctrl-C is how a
        recording without a command is meant to end.
        """
        code = self._child.poll() if self._child else None
        if code is not None:
            return code if code >= 0 else BY_SIGNAL - code
        meant = not self._command and self._signal == signal.SIGINT and self._limit == math.inf
        return BY_SIGNAL + self._signal if self._signal and not meant else 0

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        if self._signal == signal.SIGINT:  # others were passed on when they came
            child.terminate()
        try:
            child.wait(LAST)
        except subprocess.TimeoutExpired:
            self._tell(f"{self._command[0]} (process {child.pid}) does not end; it is left alone")

    def _caught(self, number: int, frame: FrameType | None) -> None:
        again = self._signal != 0
        self._signal = number
        self._patience = time.monotonic() + (0 if again else GRACE)
        if self._child and number != signal.SIGINT:
            self._child.send_signal(number)
