# SPDX-License-Identifier: GPL-2.0-only
"""Compile the kernel's own file of 2009 into a library; the file is the user's to bring.

It is known by its git blob.  Both who measure it and who take it as a witness
(``tests/upstream``) build it here.
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

__all__ = ["BLOB", "CannotCompile", "WrongFile", "compile_with"]

BLOB = "9ac01980cce084f51cde78edd5e0fec534f19023"


class WrongFile(ConfigError):
    """The file is not the one of 2009."""


class CannotCompile(PercpuError, RuntimeError):
    """There is no compiler, or it refused; the message has its command and what it said."""


def blob_id(data: bytes) -> str:
    """Name some bytes as git does."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def compile_with(
    percpu_c: Path, define: str, flags: Sequence[str], sources: Sequence[Path], library: Path
) -> Path:
    """Compile a shared library around the file, with ``$CC``.

    Args:
        percpu_c: the unmodified ``mm/percpu.c`` of 24 February 2009.
        define: macro that is to hold its path, in quotes.
        flags: for the compiler.
        sources: C files, one of which includes the file by the macro.
        library: what to make.

    Returns: the library.

    Raises:
        OSError: the file cannot be read.
        WrongFile: it is another file.
        CannotCompile: it does not compile, or there is no compiler.

    """
    given = blob_id(percpu_c.read_bytes())
    if given != BLOB:
        raise WrongFile(
            f"{percpu_c} is git blob {given}; what is needed is mm/percpu.c as it came with Linux "
            f"commit 8d408b4be37b, blob {BLOB}: 'git show {BLOB}' prints it in a clone of Linux"
        )
    arguments = [
        *flags,
        f'-D{define}="{percpu_c.resolve()}"',
        *map(str, sources),
        *("-o", str(library)),
    ]
    try:
        command = [*compiler(), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, ValueError) as error:
        raise CannotCompile(
            f"there is no C compiler to compile {percpu_c} with: {error}; install gcc, or set CC"
        ) from None
    if result.returncode:
        raise CannotCompile(f"{shlex.join(command)}\n{result.stderr}")
    return library
