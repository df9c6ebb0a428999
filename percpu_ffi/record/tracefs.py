# SPDX-License-Identifier: GPL-2.0-only
"""An instance in tracefs: buffers and switches of its own, next to all other tracing.

The kernel makes an instance at mkdir and removes it at rmdir; other tracing is never touched.
The directory's name contains our process id, so that the next recorder finds what a killed
one left.
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

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
NAME = re.compile(r"percpu-ffi-(\d+)-[0-9a-f]+")
LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
EVENTS = "events/percpu"

# the clock that all CPUs share: an area may be freed on another CPU than it was allocated
# on, and the kernel merges the events of its CPUs by time alone
CLOCK = "mono"

# an instance starts with the options of the main one, and these change the text
OPTIONS = (
    "context-info",
    "nohash-ptr",  # real addresses, so that chunks have real bases
    "nobin",
    "nofields",
    "nohex",
    "nolatency-format",
    "noraw",
    "nouserstacktrace",
    "noverbose",
    "overwrite",
)

# the allocator's background work; older kernels do not take the name of a function here
WORK = ("workqueue_execute_start", "workqueue_execute_end")
WORK_FUNCTION = "pcpu_balance_workfn"
SYMBOLS = Path("/proc/kallsyms")

BLOCK = 1 << 16
BUSY_TRIES = 20  # another process may have a file of the instance open for a moment
BUSY_PAUSE = 0.05  # seconds between two tries

WITH_PERF = """
or record with perf, and read what it prints:
  perf record -e 'percpu:*' -a -- COMMAND
  perf script > my.trace"""


def find_tracefs(given: str | None = None) -> Path:
    """Find where tracefs is mounted: ``given``, or one of the usual places.

    Raises:
        RecordError: it is not mounted, this user may not read it, or it has no percpu events.

    """
    places = PLACES if given is None else (given,)
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
    """An instance that records the percpu events; made on entry, removed on exit.

    Each CPU has a buffer of ``buffer_kb`` KiB.  ``stacks``: whether each event has its stack.
    ``warn`` is called with messages about problems that do not stop a recording.
    """

    def __init__(
        self,
        tracefs: Path,
        buffer_kb: int,
        warn: Callable[[str], object],
        *,
        stacks: bool = False,
    ) -> None:
        name = f"percpu-ffi-{os.getpid()}-{secrets.token_hex(2)}"
        self.path = tracefs / "instances" / name
        self._buffer_kb = buffer_kb
        self._warn = warn
        self._stacks = stacks
        self._switches = [self.path / EVENTS / "enable"]
        self._pipe = -1

    def __enter__(self) -> Instance:
        """Make the instance, with its events off.

        Raises:
            RecordError: the kernel refuses, or has no memory for the buffers.

        """
        try:
            _remove_stale(self.path.parent, self._warn)
            os.mkdir(self.path)
            try:
                self._set_up()
            except BaseException:
                self.__exit__()
                raise
        except OSError as error:
            raise _refused(self.path, error) from error
        return self

    def _set_up(self) -> None:
        try:
            _write(self.path / "buffer_size_kb", str(self._buffer_kb))
        except OSError as error:
            raise RecordError(
                f"the kernel has no room for buffers of {self._buffer_kb} KiB for each CPU "
                f"({error.strerror}); give a smaller --buffer-kb"
            ) from error
        for option in (*OPTIONS, "stacktrace" if self._stacks else "nostacktrace"):
            try:
                _write(self.path / "trace_options", option)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a kernel older than the option
                    raise
        _write(self.path / "trace_clock", CLOCK)
        self._set_up_work()
        pipe = self.path / "trace_pipe"
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _set_up_work(self) -> None:
        """Record the runs of the allocator's background work, and no other work."""
        for name in WORK:
            event = self.path / "events/workqueue" / name
            for value in (f"function.function == {WORK_FUNCTION}", _address_filter()):
                with suppress(OSError):
                    if value:
                        _write(event / "filter", value)
                        self._switches.append(event / "enable")
                        break

    def __exit__(self, *_error: object) -> None:
        """Remove the instance, with its events and buffers."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        for _ in range(BUSY_TRIES):
            try:
                os.rmdir(self.path)  # also switches its events off
                return
            except OSError as error:
                reason = error
            time.sleep(BUSY_PAUSE)
        with suppress(RecordError):  # the warning below is enough
            self.switch(False)
        self._warn(
            f"{self.path} could not be removed ({reason.strerror}): another process reads it; "
            f"end that, then: rmdir {self.path}"
        )

    def switch(self, on: bool) -> None:
        """Switch the events on or off; what is in the buffers can still be read.

        Raises:
            RecordError: the kernel refuses.

        """
        for path in self._switches:
            try:
                _write(path, str(int(on)))
            except OSError as error:
                raise _refused(path, error) from error

    def read(self) -> bytes:
        """Read the next text of the events, in their order; empty: nothing at the moment."""
        try:
            return os.read(self._pipe, BLOCK)
        except BlockingIOError:
            return b""

    def lost(self) -> int:
        """Return how many events the kernel lost, by its own count."""
        files = self.path.glob("per_cpu/cpu*/stats")
        text = "".join(file.read_text(encoding="ascii") for file in files)
        return sum(map(int, LOST.findall(text)))


def _remove_stale(instances: Path, warn: Callable[[str], object]) -> None:
    """Remove the instances of recorders that were killed, or could not remove them."""
    for path in instances.iterdir():
        name = NAME.fullmatch(path.name)
        if name and (int(name[1]) == os.getpid() or not Path("/proc", name[1]).exists()):
            try:
                os.rmdir(path)  # busy where the recorder runs in another container
            except OSError:
                continue
            warn(f"removed {path}, left by a recorder that no longer runs")


def _address_filter() -> str | None:
    """Return a filter by the address of the function, None if it is not known."""
    with suppress(OSError), SYMBOLS.open(encoding="ascii", errors="replace") as symbols:
        for line in symbols:
            address, _, name = line.split()[:3]
            if name == WORK_FUNCTION and int(address, 16):
                return f"function == 0x{address}"
    return None


def _write(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)  # never creates a file
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
    """Make an error of the kernel's answer about a path."""
    path = Path(os.fsdecode(error.filename or path))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return RecordError(
            f"{path}: {error.strerror}; recording needs root, outside of containers, on a "
            f"kernel that is not locked down: try sudo{WITH_PERF}"
        )
    return RecordError(f"{path}: {error.strerror}; this kernel's tracefs cannot record")
