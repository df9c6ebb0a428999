# SPDX-License-Identifier: GPL-2.0-only
"""Atomic file writes."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file, or replace an existing one; a failure leaves the old file unchanged.

    Raises:
        OSError: it cannot be written; the error names ``path``.

    """
    if is_special(path):  # cannot be replaced
        Path(path).write_bytes(data)
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_special(path: str | Path) -> bool:
    """Return whether the path exists and is not a regular file: a pipe, device or directory.

    The path is not resolved first: ``/dev/stdout`` may lead to a pipe without a name.
    """
    return os.path.exists(path) and not os.path.isfile(path)
