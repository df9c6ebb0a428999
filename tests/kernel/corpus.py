# SPDX-License-Identifier: GPL-2.0-only
"""Record kernels of Debian for samples/corpus, under QEMU: their boot, and workloads.

PYTHONPATH=tests python -m kernel.corpus 6.1 6.12 --system netns nftables
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from kernel import cpio
from kernel.outcome import Failure, Skip, report
from kernel.packages import find_image, unpack
from kernel.qemu import boot, find_qemu
from kernel.serial import BadData, lost_events, read_section
from percpu_ffi import Trace

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CORPUS = SAMPLES / "corpus"
CPUS = "2"
EVENTS = "percpu:*"
PARAMETERS = ("trace_options=stacktrace", "trace_buf_size=100M")
PROGRAMS = (
    "systemd-sysv,dbus,udev,kmod,iproute2,nftables,iptables,xfsprogs,btrfs-progs,squashfs-tools,"
    "bpftool,mdadm,dmsetup,openssh-server,cron,procps"
)
SERVICE = """\
[Unit]
After=multi-user.target
[Service]
Type=idle
ExecStart=/samples/corpus/guest.sh {workloads}
StandardOutput=null
[Install]
WantedBy=multi-user.target
"""


def main() -> int:
    """Record each kernel."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kernels", nargs="+", metavar="VERSION")
    text = "boot Debian 12 instead of a shell, and run these workloads in it; needs root"
    parser.add_argument("--system", nargs="*", metavar="WORKLOAD", help=text)
    parser.add_argument("--cache", type=Path, default=Path("build/kernel"), help="(%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=CORPUS, help="folder (%(default)s)")
    args = parser.parse_args()
    return max(report(f"Linux {each}", partial(_record, each, args)) for each in args.kernels)


def _record(version: str, args: argparse.Namespace) -> None:
    package = find_image(version)
    tree = unpack([package], args.cache / package)
    kernel = next((tree / "boot").glob("vmlinuz-*"))
    qemu = find_qemu(args.cache)
    with tempfile.TemporaryDirectory(prefix=".corpus-", dir=args.cache) as place:
        folder = Path(place)
        initrd = folder / "initrd"
        if args.system is None:
            _pack_shell(initrd, args.cache)
        else:
            _pack_system(initrd, folder / "root", tree / "lib/modules", args)
        data = boot(qemu, kernel, initrd, CPUS, PARAMETERS, folder, EVENTS)
        names = ["boot"] if args.system is None else ["debian", *args.system]
        for name in names:
            _save(data, name, folder / "text", args.output / f"{name}-{version}.trace")


def _save(data: bytes, name: str, text: Path, file: Path) -> None:
    """Write one of the recordings that a kernel sent.

    Raises:
        Failure: the data is damaged, or the kernel lost events.

    """
    try:
        meta = read_section(data, f"{name}_meta").decode(errors="replace")
        text.write_bytes(read_section(data, f"{name}_trace"))
    except BadData as error:
        raise Failure(f"the recording did not arrive: {error}") from error
    if lost := lost_events(meta):
        raise Failure(f"{name}: the kernel lost {lost:,} events")
    trace = Trace.load(text)
    trace.save(file)
    print(f"  {file.name}: {trace.stats.events:,} events, {file.stat().st_size:,} bytes")


def _pack_shell(initrd: Path, cache: Path) -> None:
    """Write an initramfs whose first process sends the recording of the boot."""
    busybox = unpack(["busybox-static"], cache / "busybox-static") / "bin" / "busybox"
    program = busybox.read_bytes()
    files = {"init": (CORPUS / "guest.sh").read_bytes(), "bin/sh": program, "bin/busybox": program}
    initrd.write_bytes(gzip.compress(cpio.archive(["dev", "proc", "sys", "bin"], files)))


def _pack_system(initrd: Path, root: Path, modules: Path, args: argparse.Namespace) -> None:
    """Write Debian, the modules of the kernel and the workloads as an initramfs."""
    archive = args.cache / "debian12.tar"
    root.mkdir()
    if not archive.exists():
        _run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={PROGRAMS}",
            "bookworm",
            archive,
        )
    _run("tar", "-xf", archive, "-C", root)
    shutil.copytree(modules, root / "usr/lib/modules", symlinks=True, dirs_exist_ok=True)
    for module in modules.iterdir():
        _run("chroot", root, "depmod", module.name)
    shutil.copytree(SAMPLES, root / "samples", ignore=shutil.ignore_patterns("*.trace", "*.xz"))
    units = root / "etc/systemd/system"
    service = units / "corpus.service"
    service.write_text(SERVICE.format(workloads=" ".join(args.system)), encoding="utf-8")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / service.name).symlink_to(f"../{service.name}")
    (root / "init").symlink_to("usr/lib/systemd/systemd")
    _run(
        "sh",
        "-c",
        'cd "$1" && find . | cpio --quiet -o -H newc >"$2"',
        "sh",
        root,
        initrd.resolve(),
    )
    shutil.rmtree(root)


def _run(*command: str | Path) -> None:
    """Run a program.

    Raises:
        Skip: it is missing or fails.

    """
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"{command[0]}: {error}; as root, with Debian's mmdebstrap and cpio?") from error


if __name__ == "__main__":
    sys.exit(main())
