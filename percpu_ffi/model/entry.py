# SPDX-License-Identifier: GPL-2.0-only
"""The lock of the models: one thread at a time, while the model is open.

A forked child has only the forking thread: a lock that another thread held would never be
released.  So a fork waits until no thread is inside a model.
"""

from __future__ import annotations

import os
import threading

from percpu_ffi import errors


class Entry:
    """A lock held for a whole call, as ``pcpu_mutex`` of the 2009 file.

    As a context it raises ClosedError after the end, and issues a WARN that fired inside
    when the call is over.
    """

    # one for all models: a fork needs to take only this one, and two threads that each release
    # a view of the other's model cannot deadlock.  Reentrant: a view can end at any moment
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
