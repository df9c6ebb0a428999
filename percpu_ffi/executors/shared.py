# SPDX-License-Identifier: GPL-2.0-only
"""An object that many calls take, such as a trace: pickled once, unpickled once in each process."""

from __future__ import annotations

import os
import pickle
import weakref
from functools import cached_property
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """An argument of many calls; ``value`` is the object.

    The workers of a :class:`WorkerPool` read it from a file in memory, once each.  Other executors
    send its bytes with each call.
    """

    def __init__(self, value: T, key: str | None = None) -> None:
        self.value = value
        self.key = key or os.urandom(16).hex()

    @cached_property
    def pickled(self) -> bytes:
        """The object as bytes."""
        return pickle.dumps(self.value, pickle.HIGHEST_PROTOCOL)

    @cached_property
    def path(self) -> str:
        """The name of a file with the object, for processes of this machine."""
        file = open(os.memfd_create("percpu_ffi"), "wb")  # noqa: SIM115 - as long as this object
        pickle.dump(self.value, file, pickle.HIGHEST_PROTOCOL)  # with few copies of large objects
        file.flush()
        weakref.finalize(self, file.close)
        return f"/proc/{os.getpid()}/fd/{file.fileno()}"

    @classmethod
    def read(cls, path: str, key: str) -> Shared[Any]:
        """Return the object that a file has."""
        with open(path, "rb") as file:
            return cls(pickle.load(file), key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.key, self.pickled)


_latest: Shared[Any] | None = None


def _restore(key: str, pickled: bytes) -> Shared[Any]:
    """Return the object of a key; the latest one is kept."""
    global _latest  # noqa: PLW0603 - one for each process
    found = _latest
    if found is None or found.key != key:
        found = _latest = Shared(pickle.loads(pickled), key)
    return found
