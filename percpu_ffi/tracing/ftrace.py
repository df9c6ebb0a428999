# SPDX-License-Identifier: GPL-2.0-only
"""Write what an allocator does as the text that a kernel's ftrace prints of its own.

While nobody traces, nothing of this is in the way of a call: an allocator keeps no records,
and its methods are its own.  :meth:`PerCpu.trace_to` lets it keep them, under its lock, and
changes the object's class to one whose methods write, after each call and without the lock,
what was kept.  So a line tells the order in which things happened, whoever did them, a whole
replay included, and a file that blocks or fails stops nobody inside the allocator.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from percpu_ffi._util.text import printable
from percpu_ffi.errors import ClosedError, ConfigError, shown
from percpu_ffi.tracing import event

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable
    from types import FrameType, TracebackType

    from percpu_ffi.config import Buffer
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.model import Model as Base  # one of those that are traced
    from percpu_ffi.replay import Replay
    from percpu_ffi.trace import Trace
    from percpu_ffi.tracing.event import Record
else:
    Base = object

__all__ = ["Tracing", "start"]

# as tracefs prints it before the events; the first number is filled in at the end
HEAD = """\
# tracer: nop
#
# entries-in-buffer/entries-written: {counts}   #P:{cpus}
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""
COUNT_WIDTH = 12  # digits kept free for each of them
NOBODY = "percpu_ffi"  # call site of what no traced method did
PACKAGE = __name__.partition(".")[0]
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Tracing:
    """A trace that is being written; :meth:`close` or the end of a ``with`` block ends it."""

    def __init__(self, allocator: PerCpu, file: str | Path | IO[str]) -> None:
        """Open the file; :func:`start` does the rest."""
        self.events = 0
        """Lines written so far."""
        self.lost = 0
        """Events that are missing for want of memory; the trace says where."""
        self._allocator = allocator
        self._error: Exception | None = None
        self._owner = os.getpid()
        self._started = time.monotonic_ns()
        self._comm = printable(event.own_name())
        self._sites: dict[int, str] = {}  # who called, by thread
        # a signal handler may come in between and use the allocator
        self._lock = threading.RLock()
        self._ours = isinstance(file, str | os.PathLike)
        self._file: Any = _opened(file)
        self._head_at = self._file.tell() if _can_rewind(self._file) else None
        self._do(self._write_head)

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self._file is None

    def close(self) -> None:
        """Write what is left, and end the trace; more than once does nothing.

        Raises:
            OSError, ValueError: the file could not be written; it ends before that.  A file
                that is none of Python's own may raise others.

        """
        with self._lock:
            if self._file is None:
                return
            self.drain()
            _stop(self._allocator)
            if os.getpid() == self._owner:
                self._do(self._write_head)
            file, self._file = self._file, None
            if self._ours:
                self._do(file.close)
        if self._error:
            raise self._error

    def __enter__(self) -> Tracing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tracing, {self.events} events{', closed' if self.closed else ''}>"

    def enter(self) -> None:
        """Remember who calls, for the lines of this thread."""
        frame = sys._getframe(1)
        while frame.f_back and _is_passed_over(frame):
            frame = frame.f_back
        site = re.sub("[ =]", "?", printable(frame.f_code.co_name))  # these part fields
        self._sites[threading.get_native_id()] = site

    def drain(self) -> None:
        """Write what was kept.  Nothing is raised: the calls that this follows have been done."""
        with self._lock:
            if self._file is None:
                return
            try:
                records, lost = self._allocator._recorded()
            except ClosedError:
                return
            lines = [self._line(one) for one in records if one.kind in BODIES]
            self.events += len(lines)
            if lost:
                self.lost += lost
                lines.append(f"CPU:0 [LOST {lost} EVENTS]\n")
            # the file is the parent's: what a forked child does is not in it
            if lines and os.getpid() == self._owner:
                self._do(lambda: self._file.write("".join(lines)))
                self._do(self._file.flush)

    def _do(self, write: Callable[[], object]) -> None:
        """Do something to the file, unless that failed before; remember why it fails."""
        if self._error is None:
            try:
                write()
            except Exception as error:  # the file may be anybody's
                self._error = error

    def _write_head(self) -> None:
        """Write the head, or write it again when the number of events is known."""
        if self._head_at is None:
            return
        end = self._file.tell()
        again = end != self._head_at
        counts = f"{self.events}/{self.events + self.lost}".ljust(2 * COUNT_WIDTH + 1)
        self._file.seek(self._head_at)
        self._file.write(HEAD.format(counts=counts, cpus=self._allocator.cpus))
        if again:
            self._file.seek(end)
        self._file.flush()

    def _line(self, one: Record) -> str:
        allocator = self._allocator
        us = (one.ns - self._started) // 1000
        name, body = BODIES[one.kind]
        text = body.format(
            site=self._sites.get(one.tid, NOBODY),
            base=one.ptr - one.offset,
            bytes=one.size * allocator.cpus,
            one=one,
        )
        # the machine may have more CPUs than the allocator, which goes for it here
        cpu = max(one.cpu, 0) % allocator.cpus
        seconds = f"{us // 1_000_000:5}.{us % 1_000_000:06}"
        return f"{self._comm:>16}-{one.tid:<7} [{cpu:03}] ..... {seconds}: {name}: {text}\n"


def _opened(file: Any) -> Any:
    """Open a path; look whether text can be written to a file, before anything is changed."""
    if isinstance(file, str | os.PathLike):
        return Path(file).open("w", encoding="utf-8", errors="backslashreplace")
    if isinstance(file, io.RawIOBase | io.BufferedIOBase) or "b" in getattr(file, "mode", ""):
        raise ConfigError(f"file {shown(file)}: a trace is text; open it without 'b'")
    try:
        if file.writable() and callable(file.write) and callable(file.flush):
            file.seekable()
            return file
    except (AttributeError, ValueError):  # no file, or a closed one
        pass
    raise ConfigError(f"file {shown(file)}: a path, or a file open for writing text, is needed")


def _is_passed_over(frame: FrameType) -> bool:
    """Tell whether a call comes from further out: from outside this package, from a function."""
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package == PACKAGE or frame.f_code.co_name in COMPREHENSIONS


def _can_rewind(file: Any) -> bool:
    """Tell whether the head can be written again; what cannot has none, as trace_pipe."""
    return bool(file.seekable()) and "a" not in getattr(file, "mode", "")


# the fields of Linux 6.x
BODIES = {
    event.ALLOC: (
        "percpu_alloc_percpu",
        "call_site={site} reserved=0 is_atomic=0 size={one.size} align={one.align} "
        "base_addr={base:016x} off={one.offset} ptr={one.ptr:016x} bytes_alloc={bytes} "
        "gfp_flags=GFP_KERNEL",
    ),
    event.FREE: (
        "percpu_free_percpu",
        "base_addr={base:016x} off={one.offset} ptr={one.ptr:016x}",
    ),
    event.ALLOC_FAIL: (
        "percpu_alloc_percpu_fail",
        "reserved=0 is_atomic=0 size={one.size} align={one.align}",
    ),
    event.CREATE_CHUNK: ("percpu_create_chunk", "base_addr={base:016x}"),
    event.DESTROY_CHUNK: ("percpu_destroy_chunk", "base_addr={base:016x}"),
}


class _Traced(Base):
    """What an allocator's methods do beside their own work while it is traced."""

    __slots__ = ()

    def alloc(self, size: int, align: int = 8) -> int:
        with _Call(self._tracing):
            return super().alloc(size, align)

    def free(self, ptr: int) -> None:
        with _Call(self._tracing):
            super().free(ptr)

    def alloc_many(self, sizes: Iterable[int] | Buffer, align: int = 8) -> array[int]:
        with _Call(self._tracing):
            return super().alloc_many(sizes, align)

    def free_many(self, ptrs: Iterable[int] | Buffer) -> None:
        with _Call(self._tracing):
            super().free_many(ptrs)

    def replay(
        self,
        trace: Trace,
        progress: Callable[[int], object] | None = None,
        stops: Iterable[int] = (),
    ) -> Replay:
        with _Call(self._tracing) as call:

            def step(done: int) -> None:
                call.drain()
                if progress:
                    progress(done)

            return super().replay(trace, step, stops)

    def close(self) -> None:
        tracing = self._tracing
        if tracing:
            tracing.drain()
        super().close()
        if tracing:
            tracing.close()


class _Call:
    """A call under way: who made it is remembered, and what it did is written."""

    __slots__ = ("_tracing",)

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing  # None: another thread has just ended the trace

    def __enter__(self) -> _Call:
        if self._tracing:
            self._tracing.enter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.drain()

    def drain(self) -> None:
        if self._tracing:
            self._tracing.drain()


@cache
def _traced(kind: type[PerCpu]) -> type[PerCpu]:
    """Make the class of an allocator that is traced: the same, and another layer."""
    names = {"__slots__": (), "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (_Traced, kind), names)


def start(allocator: PerCpu, file: str | Path | IO[str]) -> Tracing:
    """Trace an allocator; see :meth:`PerCpu.trace_to`."""
    if allocator._tracing:
        raise ConfigError(
            "this allocator is being traced already; close that trace before another one begins"
        )
    allocator.counters()  # raises where it is closed, before a file is made
    tracing = Tracing(allocator, file)
    allocator._record(on=True)
    allocator._tracing = tracing
    allocator.__class__ = _traced(type(allocator))
    return tracing


def _stop(allocator: PerCpu) -> None:
    allocator._tracing = None
    allocator.__class__ = type(allocator).__bases__[1]
    with contextlib.suppress(ClosedError):
        allocator._record(on=False)
