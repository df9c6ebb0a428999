# SPDX-License-Identifier: GPL-2.0-only
"""The files of a kernel that is recorded: busybox, its first process, and what that runs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from kernel import cpio

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
MOUNT_POINTS = ["dev", "proc", "sys", "tmp"]


def initramfs(busybox: Path, programs: Sequence[Path]) -> bytes:
    """Return the compressed archive; ``programs`` are static, and go to ``/bin``."""
    files = {
        "init": HERE / "init.sh",
        "bin/churn": HERE / "churn.sh",
        "bin/busybox": busybox,
        **{f"bin/{path.name}": path for path in programs},
    }
    read = {name: path.read_bytes() for name, path in files.items()}
    return gzip.compress(cpio.archive([*MOUNT_POINTS, "bin"], read), mtime=0)
