# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that gdb corrects while QEMU runs it: ``corrected.gdb``."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from kernel import qemu
from kernel.outcome import Failure, Skip

SCRIPT = Path(__file__).with_name("corrected.gdb")
FUNCTION = re.compile(r"^([0-9a-f]+) t pcpu_block_update$", re.MULTILINE)


def ready() -> None:
    """Return if there is a debugger.

    Raises:
        Skip: there is none.

    """
    if not shutil.which("gdb"):
        raise Skip("gdb is not here; to install it: apt-get install gdb")


def function_address(meta: str) -> str:
    """Return the address of pcpu_block_update(), as in a ``.meta`` text.

    Raises:
        Failure: the kernel has no such symbol.

    """
    if not (found := FUNCTION.search(meta)):
        raise Failure("this kernel has pcpu_block_update() in its callers only: cannot correct it")
    return "0x" + found[1]


def boot(
    machine: qemu.Qemu, kernel: Path, initrd: Path, cpus: str, address: str, folder: Path
) -> bytes:
    """Boot ``kernel``, corrected, without random steps; return what it sent, as ``qemu.boot()``.

    ``address`` is that of pcpu_block_update().

    Raises:
        Failure: gdb or QEMU does not start, or the kernel does not stop in time.

    """
    data = folder / "data"
    data.unlink(missing_ok=True)
    arguments = qemu.arguments(kernel, initrd, cpus, ["STEPS=0"], folder)
    variables = [f"{name}={value}" for name, value in machine.environment.items()]
    # gdb starts QEMU, which could outlive it
    line = shlex.join([
        "timeout", str(qemu.LIMIT), "env", *variables,
        machine.program, *machine.options, *arguments, "-S", "-gdb", "stdio",
    ])  # fmt: skip
    first = [
        "set architecture i386:x86-64", f"set $update = {address}", f"target remote | exec {line}"
    ]  # fmt: skip
    command = ["gdb", "-nx", "--batch", *(word for text in first for word in ("-ex", text))]
    try:
        done = subprocess.run(
            [*command, "-x", str(SCRIPT)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=qemu.LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the kernel did not stop in {qemu.LIMIT} s under gdb") from error
    # not by gdb's status: it may lose the connection when the kernel stops
    if not data.exists():
        raise Failure(f"gdb did not start {qemu.PROGRAM}: {done.stdout.strip()}")
    return data.read_bytes()
