# SPDX-License-Identifier: GPL-2.0-only
"""A stream that another thread decompresses, a few blocks ahead of the thread that takes them.

        consumer                                worker
        take()   <-- block, block, block ------  stream.read()
                 ------ room for one more ---->
        read()   <-- number of bytes ----------  source.read()
                 ------ bytes of the file ---->

The consumer reads the file, not the worker: what waits for a pipe has to end by Ctrl-C, which
Python raises in the main thread only.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

DEPTH = 4  # blocks without an answer
FIRST = 1 << 18  # bytes of the first block, at most; each next one may have twice as many
# blocks of a long stream that are kept for a while: their memory is in the cache of the consumer's
# core, and another core would be slow to write there
RECENT = 8


class Readable(Protocol):
    """What has bytes to read."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""


class Ahead:
    """The blocks of a stream, from another thread."""

    def __init__(
        self,
        source: Readable,
        stream_of: Callable[[Readable], Readable],
        size: int,
        *,
        alone: bool = False,
    ) -> None:
        """Begin to read.

        Args:
            source: what is read, in the thread that calls :meth:`take`.
            stream_of: returns the stream of a source; the other thread calls it.
            size: bytes of a block, at most.
            alone: do without the other thread.

        """
        self._source = source
        self._size = size
        self._end: BaseException | None = None
        self._taken = 0
        self._recent: deque[bytes] = deque()
        self._worker = _Worker(stream_of, size)
        self._stop = weakref.finalize(self, self._worker.stop)
        self._alone: Readable | None = None
        if alone or not self._worker.started():
            self._alone = stream_of(source)

    def take(self) -> bytes:
        """Return the next block, none at the end.

        Raises:
            ValueError: it is closed.
            Exception: what the source or the stream raises.

        """
        if self._alone:
            return self._alone.read(self._size)
        if self._end:
            raise self._end
        while isinstance(item := self._worker.item(), int):
            self._worker.answers.put(self._source.read(item))
        if isinstance(item, BaseException):
            self._end = item
            raise item
        self._worker.answers.put(b"")
        self._taken += 1
        self._recent.append(item)
        if len(self._recent) > min(RECENT, self._taken // RECENT):
            self._recent.popleft()
        return item

    def close(self) -> None:
        """End the thread; what was not taken is lost."""
        self._stop()
        self._recent.clear()
        self._end = ValueError("read from a closed file")
        if not self._alone:
            self._worker.join()


class _Stopped(Exception):
    """Ends a worker, wherever it is."""


class _Worker(threading.Thread):
    """Reads a stream.  Each item that it sends gets an answer, in the same order."""

    def __init__(self, stream_of: Callable[[Readable], Readable], size: int) -> None:
        super().__init__(name="percpu_ffi decompressor", daemon=True)
        self.answers: SimpleQueue[bytes] = SimpleQueue()
        self._items: SimpleQueue[bytes | int | BaseException] = SimpleQueue()
        self._stream_of = stream_of
        self._size = size
        self._unanswered = 0
        self._input = memoryview(b"")
        self._stopped = False

    def started(self) -> bool:
        """Start; return whether that was possible."""
        try:
            self.start()
        except RuntimeError:  # the host has no more threads, or Python is about to end
            return False
        return True

    def run(self) -> None:
        """Send the blocks, without end an empty one after them, or an exception."""
        try:
            stream = self._stream_of(self)
            size = FIRST  # the consumer of a short file soon has something to do
            while True:
                self._send(stream.read(min(size, self._size)), DEPTH)
                size *= 2
        except _Stopped:
            pass
        except BaseException as error:
            self._items.put(error)

    def item(self) -> bytes | int | BaseException:
        """Return what was sent next; wait for it."""
        if self.is_alive() or not self._items.empty():
            return self._items.get()
        return RuntimeError("the process was forked while it read a file; read it again")

    def read(self, size: int) -> bytes:
        """Return bytes of the source, which the consumer reads in larger parts: it may be busy."""
        self._input = self._input or memoryview(self._send(self._size, 0))
        data, self._input = self._input[:size], self._input[size:]
        return bytes(data)

    def stop(self) -> None:
        """End, at the latest when the current block is complete."""
        self._stopped = True
        self.answers.put(b"")

    def _send(self, item: bytes | int, most: int) -> bytes:
        """Send an item; wait until at most so many have no answer, and return the last answer."""
        self._items.put(item)
        self._unanswered += 1
        answer = b""
        while self._unanswered > most and not self._stopped:
            answer = self.answers.get()
            self._unanswered -= 1
        if self._stopped:
            raise _Stopped
        return answer
