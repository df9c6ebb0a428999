# SPDX-License-Identifier: GPL-2.0-only
"""Whether a command can write its output: checked before the work, which may take long."""

from __future__ import annotations

import os
from pathlib import Path

from percpu_ffi._util.atomic_write import is_special
from percpu_ffi._util.optional import PLOT_FORMATS, missing_extra
from percpu_ffi.errors import ConfigError


def check_writable(option: str, path: str | Path) -> None:
    """Check that ``write_whole()`` can write a file; an existing one is left alone.

    Args:
        option: the option of a command that names the file.
        path: the file.

    Raises:
        ConfigError: it cannot be written.

    """
    target = Path(os.path.realpath(path))
    try:
        if is_special(path):
            if target.is_dir() or not os.access(path, os.W_OK):
                raise PermissionError
            return
        trial = target.with_name(f".{os.urandom(8).hex()}.tmp")
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError:
        raise ConfigError(
            f"{option} {path}: a file in a folder that can be written is needed"
        ) from None


def check_library(option: str, library: str) -> None:
    """Check that a library is installed.

    Args:
        option: the option of a command that needs it.
        library: one that an extra of this package brings.

    Raises:
        ConfigError: it is not.

    """
    extra = missing_extra(library)
    if extra:
        raise ConfigError(
            f"{option} needs {library}, the extra '{extra}': pip install 'percpu_ffi[{extra}]'"
        )


def check_plot(path: str | Path) -> None:
    """Check that a chart can be drawn into a file.

    Raises:
        ConfigError: matplotlib is not installed, or the file's suffix is none of
            ``PLOT_FORMATS``.

    """
    if Path(path).suffix not in PLOT_FORMATS:
        raise ConfigError(f"--plot {path}: a file that ends in {', '.join(PLOT_FORMATS)} is needed")
    check_library("--plot", "matplotlib")
