# SPDX-License-Identifier: GPL-2.0-only
"""QEMU, as it is installed or as its packages are unpacked, and a kernel that it boots."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kernel.outcome import Failure, Skip
from kernel.packages import unpack, with_dependencies

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "qemu-system-x86_64"
PACKAGE = "qemu-system-x86"
MEMORY = "1500M"
LIMIT = 300  # seconds
LAST_LINES = 15  # of the console, in an error

# what a recording needs: the events from the start in buffers that hold all of them, one clock
# for all CPUs, addresses of chunks as they are, those of functions the same in each boot; and an
# end instead of a prompt after a panic
PARAMETERS = (
    "console=ttyS0",
    "panic=-1",
    "loglevel=5",
    "no_hash_pointers",
    "nokaslr",
    "trace_event={events}",
    "trace_buf_size=64M",
    "trace_clock=mono",
)

# also the allocator's background work, of which a check knows when it runs
EVENTS = "percpu:*,workqueue:workqueue_execute_start,workqueue:workqueue_execute_end"


@dataclass(frozen=True)
class Qemu:
    """A program with the options and variables that it needs."""

    program: str
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)


def find_qemu(cache: Path) -> Qemu:
    """Return the installed QEMU, else that of the packages, unpacked in ``cache``.

    Raises:
        Skip: neither is possible.

    """
    if installed := shutil.which(PROGRAM):
        return Qemu(installed)
    folder = cache / PACKAGE
    try:
        if not folder.exists():
            unpack(with_dependencies(PACKAGE), folder)
        qemu = unpacked_qemu(folder)
        _run(qemu, ["-version"], 10)
    except (Skip, Failure) as reason:
        raise Skip(f"no {PROGRAM}: {reason}; to install it: apt-get install {PACKAGE}") from reason
    return qemu


def unpacked_qemu(folder: Path) -> Qemu:
    """Return the QEMU of the packages that are unpacked in ``folder``."""
    libraries = sorted({str(path.parent) for path in folder.rglob("*.so*")})
    data = [folder / "usr/share" / name for name in ("qemu", "seabios")]
    return Qemu(
        str(folder / "usr/bin" / PROGRAM),
        [option for path in data for option in ("-L", str(path))],
        {"LD_LIBRARY_PATH": ":".join(libraries)},
    )


def boot(
    qemu: Qemu,
    kernel: Path,
    initrd: Path,
    cpus: str,
    parameters: Sequence[str],
    folder: Path,
    events: str = EVENTS,
) -> bytes:
    """Boot ``kernel``, wait until it stops, and return what it sent through its second port.

    Args:
        qemu: the program.
        kernel: the image.
        initrd: its initramfs.
        cpus: a value of QEMU's -smp, such as ``2`` or ``1,maxcpus=16``.
        parameters: further words of the kernel's command line.
        folder: where the files ``console`` and ``data`` are written.
        events: what is recorded, as ``trace_event=`` takes it.

    Raises:
        Failure: QEMU fails, or the kernel does not stop in time.

    """
    console, data = folder / "console", folder / "data"
    for port in (console, data):
        port.unlink(missing_ok=True)
    command = arguments(kernel, initrd, cpus, parameters, folder, events)
    _run(qemu, command, LIMIT, console)
    return data.read_bytes()


def arguments(
    kernel: Path,
    initrd: Path,
    cpus: str,
    parameters: Sequence[str],
    folder: Path,
    events: str = EVENTS,
) -> list[str]:
    """Return QEMU's arguments for a boot, as ``boot()`` describes them."""
    machine = f"-M pc -accel tcg -cpu max -smp {cpus} -m {MEMORY} -nographic -no-reboot -nodefaults"
    return [
        *machine.split(), "-kernel", str(kernel), "-initrd", str(initrd),
        "-append", " ".join([*PARAMETERS, *parameters]).format(events=events),
        "-serial", f"file:{folder / 'console'}", "-serial", f"file:{folder / 'data'}",
    ]  # fmt: skip


def _run(qemu: Qemu, arguments: Sequence[str], limit: float, console: Path | None = None) -> None:
    try:
        done = subprocess.run(
            [qemu.program, *qemu.options, *arguments],
            env={**os.environ, **qemu.environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit,
        )  # fmt: skip
    except OSError as error:
        raise Failure(f"{qemu.program}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        last = console.read_text(errors="replace").splitlines() if console else []
        tail = "\n".join(["", *last[-LAST_LINES:]])
        raise Failure(f"the kernel did not stop in {limit} s; its console:{tail}") from error
    if done.returncode:
        raise Failure(f"{qemu.program} ended with status {done.returncode}: {done.stderr.strip()}")
