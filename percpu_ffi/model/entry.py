# SPDX-License-Identifier: GPL-2.0-only
"""The way into a model: one thread at a time, while it is open.

A forked child has the forking thread alone: a lock that another one held would never be
given back.  So a fork waits until nobody is inside any model.
"""

from __future__ import annotations

import os
import threading

from percpu_ffi import errors

__all__ = ["Entry"]


class Entry:
    """A lock over the whole of a call, as ``pcpu_mutex`` of the 2009 file.

    As a context it refuses those who come after the end, and delivers a WARN that fired
    inside to those who leave.
    """

    # one for all models: a fork has nothing to look for, and two threads in which views of
    # each other's model end do not wait for each other.  The thread that is inside may come
    # again: a view can end at any moment
    lock = threading.RLock()

    def __init__(self) -> None:
        self.closed = False
        self.warning = ""

    def __enter__(self) -> None:
        self.lock.acquire()
        if self.closed:
            self.lock.release()
            raise errors.closed()

    def __exit__(self, *_error: object) -> None:
        text, self.warning = self.warning, ""
        self.lock.release()
        if text:
            errors.warn(text)


os.register_at_fork(
    before=Entry.lock.acquire,
    after_in_parent=Entry.lock.release,
    after_in_child=Entry.lock.release,
)
