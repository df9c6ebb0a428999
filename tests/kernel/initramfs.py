# SPDX-License-Identifier: GPL-2.0-only
"""The files of a kernel that is recorded: busybox, its first process, and what that runs."""

from __future__ import annotations

import gzip
from pathlib import Path

from kernel import cpio

HERE = Path(__file__).resolve().parent
MOUNT_POINTS = ["dev", "proc", "sys", "tmp"]


def initramfs(busybox: Path, bpf_maps: Path | None) -> bytes:
    """Return the compressed archive; ``bpf_maps`` is a static program, or not there."""
    programs = {
        "init": HERE / "init.sh",
        "bin/churn": HERE / "churn.sh",
        "bin/busybox": busybox,
        "bin/bpf_maps": bpf_maps,
    }
    read = {name: path.read_bytes() for name, path in programs.items() if path}
    return gzip.compress(cpio.archive([*MOUNT_POINTS, "bin"], read), mtime=0)
