# SPDX-License-Identifier: GPL-2.0-only
"""Archives in the format of an initramfs, which cpio calls newc.

An entry is a header of the magic number and 13 fields of 8 hexadecimal digits, the name and the
contents, each filled up to a multiple of 4 bytes: Documentation/driver-api/early-userspace/
buffer-format.rst of Linux.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"070701"
END = "TRAILER!!!"
BLOCK = 512  # the size of an archive is a multiple of it


def archive(directories: list[str], programs: Mapping[str, bytes]) -> bytes:
    """Return an archive of empty directories, and of files that everyone may run."""
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in directories]
    entries += [(name, stat.S_IFREG | 0o755, data) for name, data in programs.items()]
    packed = b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))
    return _filled(packed + _entry(0, END, 0, b""), BLOCK)


def _entry(inode: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device of the file and of a node, path, checksum
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = MAGIC + b"".join(b"%08X" % field for field in fields)
    return _filled(header + path, 4) + _filled(data, 4)


def _filled(data: bytes, size: int) -> bytes:
    return data + b"\0" * (-len(data) % size)
