# SPDX-License-Identifier: GPL-2.0-only
"""Compile the 2009 file, which the user provides, into a library.

It is identified by its git blob.  The benchmark and the witness (``tests/upstream``) both use
this.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from typing import TYPE_CHECKING

from percpu_ffi.bench.machine import compiler
from percpu_ffi.errors import ConfigError, PercpuError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOB = "9ac01980cce084f51cde78edd5e0fec534f19023"


class WrongFile(ConfigError):
    """The file is not the 2009 file."""


class CannotCompile(PercpuError, RuntimeError):
    """There is no compiler, or it failed; the message has its command and output."""


def blob_id(data: bytes) -> str:
    """Return the id that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def compile_with(
    percpu_c: Path, define: str, flags: Sequence[str], sources: Sequence[Path], library: Path
) -> Path:
    """Compile a shared library around the file, with ``$CC``.

    Args:
        percpu_c: the unmodified ``mm/percpu.c`` of 24 February 2009.
        define: macro for its path, in quotes.
        flags: for the compiler.
        sources: C files, one of which includes the file by the macro.
        library: the file to write.

    Returns: the library.

    Raises:
        OSError: the file cannot be read.
        WrongFile: it is another file.
        CannotCompile: compilation failed, or there is no compiler.

    """
    given = blob_id(percpu_c.read_bytes())
    if given != BLOB:
        raise WrongFile(
            f"{percpu_c} is git blob {given}; the 2009 file is needed, mm/percpu.c of Linux "
            f"commit 8d408b4be37b, blob {BLOB}: 'git show {BLOB}' prints it in a clone of Linux"
        )
    macro = f'-D{define}="{percpu_c.resolve()}"'
    try:
        command = [*compiler(), *flags, macro, *map(str, sources), "-o", str(library)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, ValueError) as error:
        raise CannotCompile(
            f"there is no C compiler to compile {percpu_c} with: {error}; install gcc, or set CC"
        ) from None
    if result.returncode:
        raise CannotCompile(f"{shlex.join(command)}\n{result.stderr}")
    return library
