# SPDX-License-Identifier: GPL-2.0-only
"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file, in the place of one that is there; a failure leaves that one alone.

    Raises:
        OSError: it cannot be written; the error names ``path``.

    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a pipe or a device: nothing to replace
        target.write_bytes(data)
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
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
