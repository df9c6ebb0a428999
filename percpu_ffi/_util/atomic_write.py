# SPDX-License-Identifier: GPL-2.0-only
"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from percpu_ffi.errors import ConfigError

__all__ = ["check_writable", "is_special", "write_whole"]


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file, in the place of one that is there; a failure leaves that one alone.

    Raises:
        OSError: it cannot be written; the error names ``path``.

    """
    if is_special(path):  # nothing to replace
        Path(path).write_bytes(data)
        return
    target = Path(os.path.realpath(path))
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


def is_special(path: str | Path) -> bool:
    """Tell whether it is there and no file: a pipe, a device, a directory.

    Asked of the path as it is given: ``/dev/stdout`` may lead to a pipe without a name.
    """
    return os.path.exists(path) and not os.path.isfile(path)


def check_writable(option: str, path: str | Path) -> None:
    """Try beforehand whether :func:`write_whole` can, so that nobody waits in vain.

    What is there stays as it is.

    Args:
        option: the option of a command that names it.
        path: the file.

    Raises:
        ConfigError: it cannot.

    """
    target = Path(os.path.realpath(path))
    try:
        if is_special(path):
            if target.is_dir() or not os.access(path, os.W_OK):
                raise PermissionError
            return
        trial = target.with_name(f".{secrets.token_hex(8)}.tmp")
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError:
        raise ConfigError(
            f"{option} {path}: a file in a folder that can be written is needed"
        ) from None
