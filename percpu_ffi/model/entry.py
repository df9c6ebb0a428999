# SPDX-License-Identifier: GPL-2.0-only
"""The way into a model: one thread at a time, while it is open.

A forked child has the forking thread alone: a lock that another one held would never be
given back.  So a fork waits until nobody is inside any model.
"""

from __future__ import annotations

import os
import threading
import weakref

from percpu_ffi import errors
from percpu_ffi.face import warn

__all__ = ["Entry"]


class Entry:
    """A lock over the whole of a call, as ``pcpu_mutex`` of the 2009 file.

    As a context it refuses those who come after the end, and delivers a WARN that fired
    inside to those who leave.
    """

    def __init__(self) -> None:
        # the thread that is inside may come again: a view can end at any moment
        self.lock = threading.RLock()
        self.closed = False
        self.warning = ""
        _all.add(weakref.ref(self, _all.discard))

    def __enter__(self) -> None:
        self.lock.acquire()
        if self.closed:
            self.lock.release()
            raise errors.closed()

    def __exit__(self, *_error: object) -> None:
        text, self.warning = self.warning, ""
        self.lock.release()
        if text:
            warn(text)


# a plain set: it can be copied in one step while other threads make models, a WeakSet cannot
_all: set[weakref.ref[Entry]] = set()
_held: list[Entry] = []  # during a fork
_forking = threading.RLock()  # two threads that fork would wait for each other's models


def _before_fork() -> None:
    _forking.acquire()
    for reference in list(_all):
        entry = reference()
        if entry:
            entry.lock.acquire()
            _held.append(entry)


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
