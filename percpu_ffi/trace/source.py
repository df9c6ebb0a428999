# SPDX-License-Identifier: GPL-2.0-only
"""Files that may be compressed, read in blocks."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from percpu_ffi.errors import TraceError

BLOCK = 1 << 20

GZIP_MAGIC = b"\x1f\x8b"
XZ_MAGIC = b"\xfd7zXZ\0"


class Blocks:
    """The contents of a file in blocks, decompressed.

    ``name`` is for error messages; ``head`` is the first block, which identifies the format.
    """

    def __init__(
        self,
        name: str,
        raw: IO[bytes],
        stream: IO[bytes] | gzip.GzipFile | lzma.LZMAFile,
        progress: Callable[[int], object] | None,
    ) -> None:
        """Read from ``stream``, which takes its bytes from ``raw``."""
        self.name = name
        self._raw = raw
        self._stream = stream
        self._progress = progress
        self._reported = 0
        self.head = self._read()

    def __iter__(self) -> Iterator[bytes]:
        """Return ``head``, then the other blocks."""
        block = self.head
        while block:
            yield block
            block = self._read()

    def _read(self) -> bytes:
        try:
            block = self._stream.read(BLOCK)
        except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(
                f"the compressed file is cut or damaged ({error}); copy it again", self.name
            ) from error
        if self._progress and self._raw.seekable():
            position = self._raw.tell()
            self._progress(position - self._reported)
            self._reported = position
        return block


@contextmanager
def open_source(
    path: str | Path, progress: Callable[[int], object] | None = None
) -> Iterator[Blocks]:
    """Open a file that is plain, gzip or xz according to its first bytes.

    Args:
        path: the file.
        progress: called with the number of bytes of the file read since its last call.

    Raises:
        OSError: the file cannot be read.
        TraceError: a compressed file is cut or damaged.

    """
    with Path(path).open("rb") as raw:
        magic = raw.peek(len(XZ_MAGIC))[: len(XZ_MAGIC)]  # a pipe cannot be rewound
        stream: IO[bytes] | gzip.GzipFile | lzma.LZMAFile = raw
        if magic.startswith(GZIP_MAGIC):
            stream = gzip.GzipFile(fileobj=raw)
        elif magic == XZ_MAGIC:
            stream = lzma.LZMAFile(raw)  # noqa: SIM115 - raw is closed
        yield Blocks(str(path), raw, stream, progress)
