# SPDX-License-Identifier: GPL-2.0-only
"""An instance in tracefs: buffers and switches of our own, beside all other tracing.

The kernel makes it with a mkdir and takes it away with a rmdir; what others trace is
never touched.  The directory's name carries our process id, so that what a killed
recorder left behind is found by the next one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_ffi.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Instance", "find_tracefs"]

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
NAME = re.compile(r"percpu-ffi-(\d+)-[0-9a-f]+")
EVENTS = "events/percpu"

# the clock that all CPUs share: an area may be freed on another CPU than it was allocated
# on, and the kernel merges what its CPUs wrote by time alone
CLOCK = "mono"

# an instance begins with the options of the main one, and these change the text
OPTIONS = (
    "context-info",
    "nobin",
    "nofields",
    "nohex",
    "nolatency-format",
    "noraw",
    "nostacktrace",
    "nouserstacktrace",
    "noverbose",
    "overwrite",
)

BLOCK = 1 << 16
BUSY_TRIES = 20  # something that looks into it may hold the instance for a moment
BUSY_PAUSE = 0.05  # seconds between two of them

WITH_PERF = """
or record with perf, and read what it prints:
  perf record -e 'percpu:*' -a -- COMMAND
  perf script > my.trace"""


def find_tracefs(given: str | None = None) -> Path:
    """Find where tracefs is mounted: ``given``, or one of the usual places.

    Raises:
        RecordError: it is not there, closed to this user, or has no percpu events.

    """
    places = (given,) if given else PLACES
    for place in map(Path, places):
        if not _exists(place / "instances"):
            continue
        if not _exists(place / EVENTS):
            raise RecordError(
                f"{place / EVENTS} is missing: this kernel has no percpu events; they need Linux "
                "4.13 or newer with CONFIG_EVENT_TRACING"
            )
        return place
    raise RecordError(
        f"no tracefs with instances at {' or '.join(places)}; mount it as root: "
        f"mount -t tracefs nodev {PLACES[0]}{WITH_PERF}"
    )


class Instance:
    """An instance that records the percpu events; made on entry, gone on exit."""

    def __init__(self, tracefs: Path, buffer_kb: int, warn: Callable[[str], object]) -> None:
        """Take the place of tracefs and the size of each CPU's buffer in KiB.

        Args:
            tracefs: what :func:`find_tracefs` found.
            buffer_kb: KiB for each CPU.
            warn: told what does not stop a recording: leftovers, removed or not.

        """
        name = f"percpu-ffi-{os.getpid()}-{secrets.token_hex(2)}"
        self.path = tracefs / "instances" / name
        self._buffer_kb = buffer_kb
        self._warn = warn
        self._pipe = -1

    def __enter__(self) -> Instance:
        """Make the instance, all events off.

        Raises:
            RecordError: the kernel does not let us, or has no memory for the buffers.

        """
        try:
            _remove_stale(self.path.parent, self._warn)
            os.mkdir(self.path)
        except OSError as error:
            raise _refused(self.path, error) from error
        try:
            self._set_up()
        except OSError as error:
            self._remove()
            raise _refused(self.path, error) from error
        except BaseException:
            self._remove()
            raise
        return self

    def _set_up(self) -> None:
        try:
            _write(self.path / "buffer_size_kb", str(self._buffer_kb))
        except OSError as error:
            raise RecordError(
                f"the kernel gives no buffers of {self._buffer_kb} KiB for each CPU "
                f"({error.strerror}); give a smaller --buffer-kb"
            ) from error
        for option in OPTIONS:
            try:
                _write(self.path / "trace_options", option)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a kernel older than the option
                    raise
        _write(self.path / "trace_clock", CLOCK)
        pipe = self.path / "trace_pipe"
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the instance away, and with it the events and the buffers."""
        self._remove()

    def start(self) -> None:
        """Let events come."""
        self._switch("1")

    def stop(self) -> None:
        """Let no more events come; what came can still be read."""
        self._switch("0")

    def read(self) -> bytes:
        """Read the next text of the events, in their order; empty: nothing at the moment."""
        try:
            return os.read(self._pipe, BLOCK)
        except BlockingIOError:
            return b""

    def lost(self) -> int:
        """How many events the kernel had to throw away, by its own count."""
        names = ("overrun", "commit overrun", "dropped events")
        total = 0
        for file in self.path.glob("per_cpu/cpu*/stats"):
            for line in file.read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(": ")
                total += int(value) if name in names else 0
        return total

    def _switch(self, state: str) -> None:
        path = self.path / EVENTS / "enable"
        try:
            _write(path, state)
        except OSError as error:
            raise _refused(path, error) from error

    def _remove(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        for _ in range(BUSY_TRIES):
            try:
                os.rmdir(self.path)  # turns its events off, too
                return
            except OSError as error:
                reason = error
            time.sleep(BUSY_PAUSE)
        with suppress(RecordError):  # what follows is told anyway
            self.stop()
        self._warn(
            f"{self.path} could not be removed ({reason.strerror}): something else reads it; "
            f"end that, then: rmdir {self.path}"
        )


def _remove_stale(instances: Path, warn: Callable[[str], object]) -> None:
    """Remove what recorders left behind that were killed, or could not remove it."""
    for path in instances.iterdir():
        name = NAME.fullmatch(path.name)
        if name and not _alive(int(name[1])):
            try:
                os.rmdir(path)  # busy where the recorder lives on in another container
            except OSError:
                continue
            warn(f"removed {path}, left behind by a recorder that is gone")


def _alive(pid: int) -> bool:
    return pid != os.getpid() and Path(f"/proc/{pid}").exists()


def _write(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)  # never makes a file
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _refused(path, error) from error
    return True


def _refused(path: Path, error: OSError) -> RecordError:
    """Word what the kernel said to the use of ``path``."""
    path = Path(os.fsdecode(error.filename or path))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return RecordError(
            f"{path}: {error.strerror}; recording takes root, outside of containers, on a "
            f"kernel that is not locked down: try sudo{WITH_PERF}"
        )
    return RecordError(f"{path}: {error.strerror}; this kernel's tracefs lets nothing be recorded")
