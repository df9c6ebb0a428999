# SPDX-License-Identifier: GPL-2.0-only
"""Record kernels of Debian from their boot on, under QEMU, and check what they chose.

PYTHONPATH=tests python -m kernel.boot 6.1 6.12 --programs build/kernel
"""

from __future__ import annotations

import argparse
import lzma
import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from kernel import debugger, hidden
from kernel.initramfs import initramfs
from kernel.judge import BOOT_OF_MORE_CPUS, BOOT_OF_ONE_CPU, REORDER, judge
from kernel.outcome import Failure, report
from kernel.packages import find_image, unpack
from kernel.qemu import boot, find_qemu
from kernel.serial import BadData, lost_events, read_section

EVENT = b": percpu_"
PROGRAMS = ("bpf_maps", hidden.PROGRAM)


def main() -> int:
    """Record and check each kernel."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kernels", nargs="+", type=_version, metavar="VERSION")
    parser.add_argument("--programs", type=Path, required=True, help="folder of static programs")
    parser.add_argument("--cache", type=Path, default=Path("build/kernel"), help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of the workload (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of its random steps (%(default)s)")
    parser.add_argument("--cpus", default="1", help="2, or 1,maxcpus=16: QEMU's -smp (%(default)s)")
    parser.add_argument(
        "--corrected", action="store_true", help="measure again, with the defect corrected by gdb"
    )
    args = parser.parse_args()
    failed = [
        report(f"check-kernel {version}", partial(_check, version, args))
        for version in args.kernels
    ]
    return max(failed)


def _check(version: str, args: argparse.Namespace) -> None:
    if args.corrected:
        debugger.ready()
    package = find_image(version)
    kernel = next((unpack([package], args.cache / package) / "boot").glob("vmlinuz-*"))
    busybox = unpack(["busybox-static"], args.cache / "busybox-static") / "bin" / "busybox"
    qemu = find_qemu(args.cache)

    print(f"{package}: {args.steps} steps of seed {args.seed}, CPUs: {args.cpus}", flush=True)
    began = time.monotonic()
    parameters = [f"STEPS={args.steps}", f"SEED={args.seed}"]
    with tempfile.TemporaryDirectory(prefix=".boot-", dir=args.cache) as name:
        folder = Path(name)
        initrd = folder / "initrd"
        initrd.write_bytes(initramfs(busybox, [args.programs / name for name in PROGRAMS]))
        data = boot(qemu, kernel, initrd, args.cpus, parameters, folder)
        file, events = save(data, args.cache)
        print(f"  {events:,} events in {time.monotonic() - began:.0f} s: {file}", flush=True)
        hidden.check(save_hidden(data, file, ".hidden_space"))
        if args.corrected:
            address = debugger.function_address(_read_text(data, "meta"))
            again = debugger.boot(qemu, kernel, initrd, args.cpus, address, folder)
            hidden.check_corrected(save_hidden(again, file, ".corrected"))
    if is_one_cpu(args.cpus):
        judge(file, ["--start", "boot"], BOOT_OF_ONE_CPU)
    else:
        judge(file, ["--start", "boot", *REORDER], BOOT_OF_MORE_CPUS)


def save(data: bytes, folder: Path) -> tuple[Path, int]:
    """Write the recording that a kernel sent, and its ``.meta``; return the file, and its events.

    Raises:
        Failure: the data is damaged, or the kernel lost events.

    """
    meta = _read_text(data, "meta")
    trace = _read_section(data, "trace")
    if lost := lost_events(meta):
        raise Failure(f"the kernel lost {lost:,} events; record fewer STEPS")
    file = folder / f"{meta.split()[0]}.ftrace.xz"
    file.write_bytes(lzma.compress(trace))
    file.with_name(file.name.replace(".ftrace.xz", ".meta")).write_text(meta, encoding="utf-8")
    return file, trace.count(EVENT)


def save_hidden(data: bytes, recording: Path, suffix: str) -> str:
    """Write what ``hidden_space`` printed in a kernel next to its recording, and return it.

    Raises:
        Failure: the data is damaged.

    """
    text = _read_text(data, hidden.PROGRAM)
    recording.with_name(recording.name.replace(".ftrace.xz", suffix)).write_text(
        text, encoding="utf-8"
    )
    return text


def is_one_cpu(smp: str) -> bool:
    """Return whether a value of QEMU's -smp starts one CPU."""
    return smp.partition(",")[0] == "1"


def _read_section(data: bytes, name: str) -> bytes:
    try:
        return read_section(data, name)
    except BadData as error:
        raise Failure(f"the recording did not arrive: {error}") from error


def _read_text(data: bytes, name: str) -> str:
    return _read_section(data, name).decode(errors="replace")


def _version(text: str) -> str:
    if re.fullmatch(r"\d+\.\d+", text):
        return text
    raise argparse.ArgumentTypeError(f"{text}: give a version such as 6.1")


if __name__ == "__main__":
    sys.exit(main())
