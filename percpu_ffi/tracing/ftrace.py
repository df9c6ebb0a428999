# SPDX-License-Identifier: GPL-2.0-only
"""Write the events of an allocator in ftrace's text format.

An allocator that is traced keeps its events, under its lock.  Its methods write them at the end
of each call, after the lock is released: a file that blocks or fails never blocks the allocator.
The lines are in the order of the events, whichever thread writes them.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from percpu_ffi._util.text import plural, printable
from percpu_ffi.errors import ClosedError, ConfigError, check_path, shown
from percpu_ffi.tracing import event

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu

# what tracefs prints before the events; the counts are filled in at the end
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
COUNT_WIDTH = 12  # digits reserved for each of them
UNKNOWN_SITE = "percpu_ffi"  # of calls that began before the trace
PACKAGE = __name__.partition(".")[0]
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Tracing:
    """A trace that is being written; :meth:`close` or the end of a ``with`` block ends it."""

    def __init__(self, allocator: PerCpu, file: str | Path | IO[str]) -> None:
        """Open the file and let the allocator keep its events, or do neither.

        Raises: as :meth:`PerCpu.trace_to`.
        """
        self.events = 0
        """Lines written so far."""
        self.lost = 0
        """Events lost for lack of memory; the trace says where."""
        self._allocator = allocator
        self._cpus = allocator.cpus
        self._file: Any = None
        self._head_at: int | None = None
        self._ours = isinstance(file, str | os.PathLike)
        self._error: Exception | None = None
        self._owner = os.getpid()
        self._started = time.monotonic_ns()
        self._comm = printable(event.own_name())
        self._sites: dict[int, str] = {}  # call site of the call under way, by thread
        # reentrant: a signal handler that interrupts drain() may use the allocator
        self._lock = threading.RLock()
        if not allocator._trace_claim.acquire(blocking=False):
            raise ConfigError(
                "this allocator is being traced already; close that trace before starting another"
            )
        with ExitStack() as undo:
            undo.callback(allocator._trace_claim.release)
            # whatever refuses a trace does so here, before the file is created
            undo.callback(self._stop)
            allocator._record(on=True)
            allocator._recorded()
            allocator._tracing = self
            opened = _opened(file)
            if self._ours:
                undo.callback(opened.close)
            with self._lock:
                self._head_at = opened.tell() if _can_rewind(opened) else None
                self._file = opened
                self._do(self._write_head)
            undo.pop_all()

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self._file is None

    def close(self) -> None:
        """Write the remaining events and end the trace; closing again does nothing.

        Raises:
            OSError, ValueError: the file could not be written; it ends before the first
                failure.  A file object that is not Python's own may raise other exceptions.

        """
        with self._lock, ExitStack() as steps:
            if self._file is None:
                return
            # the last one first; each is taken, whatever the others raise
            steps.callback(self._allocator._trace_claim.release)
            steps.callback(self._finish_file)
            steps.callback(self._stop)
            self.drain()
        if self._error:
            raise self._error

    def _stop(self) -> None:
        try:
            self._allocator._tracing = None
        finally:
            with suppress(ClosedError):
                self._allocator._record(on=False)

    def _finish_file(self) -> None:
        if os.getpid() == self._owner:
            self._do(self._write_head)
        file, self._file = self._file, None
        if self._ours:
            self._do(file.close)

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tracing, {plural(self.events, 'event', '')}{', closed' if self.closed else ''}>"

    def call(self) -> AbstractContextManager[None]:
        """Return the context of a call of the allocator; its lines are written at its end."""
        return self._call(_call_site())

    @contextmanager
    def _call(self, site: str) -> Iterator[None]:
        sites, thread = self._sites, threading.get_native_id()
        before = sites.get(thread)  # of a call that this one interrupts
        sites[thread] = site
        try:
            yield
        finally:
            self.drain()
            if before is None:
                del sites[thread]
            else:
                sites[thread] = before

    def drain(self) -> None:
        """Write the events kept so far; errors are kept for :meth:`close`."""
        with self._lock:
            if self._file is None:
                return
            try:
                records, lost = self._allocator._recorded()
            except ClosedError:
                return
            except Exception as error:  # of a subclass
                self._error = self._error or error
                return
            lines = [self._line(record) for record in records if record.kind in BODIES]
            self.events += len(lines)
            if lost:
                self.lost += lost
                lines.append(f"CPU:0 [LOST {lost} EVENTS]\n")
            # the file is the parent's: a forked child does not write to it
            if lines and os.getpid() == self._owner:
                self._do(lambda: self._file.write("".join(lines)))
                self._do(self._file.flush)

    def _do(self, write: Callable[[], object]) -> None:
        """Write to the file, unless that failed before; keep the first error."""
        if self._error is None:
            try:
                write()
            except Exception as error:  # a caller's file object may raise any
                self._error = error

    def _write_head(self) -> None:
        """Write the head, at the end again with the number of events."""
        if self._head_at is None:
            return
        end = self._file.tell()
        again = end != self._head_at
        counts = f"{self.events}/{self.events + self.lost}".ljust(2 * COUNT_WIDTH + 1)
        self._file.seek(self._head_at)
        self._file.write(HEAD.format(counts=counts, cpus=self._cpus))
        if again:
            self._file.seek(end)
        self._file.flush()

    def _line(self, record: event.Record) -> str:
        us = (record.ns - self._started) // 1000
        name, body = BODIES[record.kind]
        text = body.format(
            site=self._sites.get(record.tid, UNKNOWN_SITE),
            base=record.ptr - record.offset,
            bytes=record.size * self._cpus,
            reserved=bool(record.flags & event.RESERVED),
            atomic=(atomic := bool(record.flags & event.ATOMIC)),
            gfp="GFP_ATOMIC" if atomic else "GFP_KERNEL",
            event=record,
        )
        # the host may have more CPUs than the allocator
        cpu = max(record.cpu, 0) % self._cpus
        seconds = f"{us // 1_000_000:5}.{us % 1_000_000:06}"
        return f"{self._comm:>16}-{record.tid:<7} [{cpu:03}] ..... {seconds}: {name}: {text}\n"


def _opened(file: Any) -> Any:
    """Open a path, or check that text can be written to a file object."""
    if isinstance(file, str | os.PathLike):
        check_path(file)
        return Path(file).open("w", encoding="utf-8", errors="backslashreplace")
    if isinstance(file, io.RawIOBase | io.BufferedIOBase) or "b" in getattr(file, "mode", ""):
        raise ConfigError(f"file {shown(file)}: a trace is text; open it without 'b'")
    try:
        if file.writable() and callable(file.write) and callable(file.flush):
            file.seekable()
            return file
    except (AttributeError, ValueError):  # not a file, or a closed one
        pass
    raise ConfigError(f"file {shown(file)}: a path, or a file open for writing text, is needed")


def _call_site() -> str:
    """Return the name of the innermost function outside this package."""
    frame = sys._getframe(1)
    while frame.f_back and (
        str(frame.f_globals.get("__name__")).partition(".")[0] == PACKAGE
        or frame.f_code.co_name in COMPREHENSIONS
    ):
        frame = frame.f_back
    return re.sub("[ =]", "?", printable(frame.f_code.co_name))  # they separate fields


def _can_rewind(file: Any) -> bool:
    """Return whether the head can be written again at the end; else there is none."""
    return bool(file.seekable()) and "a" not in getattr(file, "mode", "")


# the fields of Linux 6.x
BODIES = {
    event.ALLOC: (
        "percpu_alloc_percpu",
        "call_site={site} reserved={reserved:d} is_atomic={atomic:d} size={event.size} "
        "align={event.align} base_addr={base:016x} off={event.offset} ptr={event.ptr:016x} "
        "bytes_alloc={bytes} gfp_flags={gfp}",
    ),
    event.FREE: (
        "percpu_free_percpu",
        "base_addr={base:016x} off={event.offset} ptr={event.ptr:016x}",
    ),
    event.ALLOC_FAIL: (
        "percpu_alloc_percpu_fail",
        "reserved={reserved:d} is_atomic={atomic:d} size={event.size} align={event.align}",
    ),
    event.CREATE_CHUNK: ("percpu_create_chunk", "base_addr={base:016x}"),
    event.DESTROY_CHUNK: ("percpu_destroy_chunk", "base_addr={base:016x}"),
}
