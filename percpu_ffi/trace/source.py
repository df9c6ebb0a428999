# SPDX-License-Identifier: GPL-2.0-only
"""Files and standard input, which may be compressed, read in blocks.

A small file can decompress to any size.  So a block has at most BLOCK bytes, and the memory of
a decoder is limited; the readers of the blocks stop at the first that is damaged.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from percpu_ffi.errors import TraceError

BLOCK = 1 << 20
MEMORY = 128 << 20  # bytes of a decoder; files of `xz -9` need half of them

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
XZ_MAGIC = b"\xfd7zXZ\0"
BZIP2_MAGIC = b"BZh"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Limit(NamedTuple):
    """The most bytes that may come out of a file."""

    floor: int
    """Bytes of any file."""
    factor: int
    """Bytes for each byte of the file."""


class Blocks:
    """The contents of a file in blocks, decompressed.

    ``name`` is for error messages; ``head`` is the first block, which identifies the format;
    ``taken`` is the number of bytes of the file itself that were read so far.
    """

    def __init__(
        self, name: str, raw: IO[bytes], magic: bytes, progress: Callable[[int], object] | None
    ) -> None:
        """Read from ``raw``, which starts with ``magic``."""
        self.name = name
        self.taken = 0
        self._raw = raw
        self._progress = progress
        self._stream, self._damage = _decoder(name, magic, self)
        self.head = self._next()

    def __iter__(self) -> Iterator[bytes]:
        """Return ``head``, then the other blocks."""
        block = self.head
        while block:
            yield block
            block = self._next()

    def read(self, size: int) -> bytes:
        """Read bytes of the file itself."""
        data = self._raw.read(size)
        self.taken += len(data)
        if self._progress:
            self._progress(len(data))
        return data

    def limited(self, parts: Iterable[bytes], limit: Limit) -> Iterator[bytes]:
        """Return what was decompressed, up to the limit.

        Raises:
            ValueError: there is more.

        """
        total = 0
        for part in parts:
            total += len(part)
            if total > limit.floor + limit.factor * self.taken:
                raise ValueError("it expands to far more than a trace does")
            yield part

    def _next(self) -> bytes:
        try:
            return self._stream.read(BLOCK)
        except self._damage as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the file itself
                raise
            what = "is cut or damaged", "copy it again"
            if "limit" in str(error) or "too much memory" in str(error):
                less = "xz -9" if isinstance(error, lzma.LZMAError) else "zstd --long=27"
                what = f"needs more than {MEMORY >> 20} MiB of memory", f"use {less} or less"
            raise TraceError(
                f"the compressed file {what[0]} ({error}); {what[1]}", self.name
            ) from error


def _decoder(
    name: str, magic: bytes, raw: _Readable
) -> tuple[_Readable, tuple[type[Exception], ...]]:
    """Return the decompressed stream of a file, and the exceptions of a damaged one."""
    if magic.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=raw), (EOFError, OSError, zlib.error)  # type: ignore[call-overload]
    if magic == XZ_MAGIC:
        return _XzFile(raw), (EOFError, lzma.LZMAError)
    if magic.startswith(BZIP2_MAGIC):
        return bz2.BZ2File(raw), (EOFError, OSError)  # type: ignore[call-overload]
    if magic.startswith(ZSTD_MAGIC):
        zstd = _zstd(name)
        window = {zstd.DecompressionParameter.window_log_max: MEMORY.bit_length() - 1}
        return zstd.ZstdFile(raw, options=window), (EOFError, zstd.ZstdError)
    return raw, ()


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _XzFile:
    """An xz file as a stream.

    Unlike :class:`lzma.LZMAFile` it limits the decoder's memory, which a header may set to
    4 GiB, and does not ignore what follows a stream: another one, with or without padding, or
    garbage.
    """

    def __init__(self, raw: _Readable) -> None:
        self._raw = raw
        self._input = b""
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end of the file."""
        data = b""
        while not data:
            if self._decoder.eof and not self._next_stream():
                break
            if self._decoder.needs_input and not self._input:
                self._input = self._raw.read(BLOCK)
                if not self._input:
                    raise EOFError("its last stream has no end")
            data = self._decoder.decompress(self._input, size)
            self._input = b""
        return data

    def _next_stream(self) -> bool:
        rest = self._decoder.unused_data
        while not (stream := rest.lstrip(b"\0")):
            rest = self._raw.read(BLOCK)
            if not rest:
                return False
        self._input = stream
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)
        return True


class Pieces:
    """Blocks of bytes that are read in other pieces."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        """Read from ``blocks``."""
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def take(self, n: int) -> bytearray:
        """Return the next ``n`` bytes, fewer at the end."""
        taken = bytearray()
        while len(taken) < n:
            self._rest = self._rest or memoryview(next(self._blocks, b""))
            if not self._rest:
                break
            part = self._rest[: n - len(taken)]
            taken += part
            self._rest = self._rest[len(part) :]
        return taken

    def __iter__(self) -> Iterator[bytes]:
        """Return what was not taken."""
        yield bytes(self._rest)
        yield from self._blocks


def _zstd(name: str) -> Any:
    """Return the module for zstd, part of Python since 3.14.

    Raises:
        TraceError: there is none.

    """
    for module in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(module)
    raise TraceError(
        "the file is compressed by zstd, which this Python cannot read: pip install "
        "'percpu_ffi[zstd]', or run `unzstd` and read the result",
        name,
    )


@contextmanager
def open_source(
    path: str | Path, progress: Callable[[int], object] | None = None
) -> Iterator[Blocks]:
    """Open a file that is plain or compressed according to its first bytes.

    Args:
        path: the file; ``-`` is standard input.
        progress: called with the number of bytes of the file read since its last call.

    Raises:
        OSError: the file cannot be read.
        TraceError: a compressed file is cut or damaged, or needs too much memory.

    """
    with ExitStack() as stack:
        if str(path) != STDIN:
            raw: Any = stack.enter_context(Path(path).open("rb"))
        elif sys.stdin is None:
            raise TraceError("standard input is closed; give a file instead of -")
        else:
            raw = sys.stdin.buffer
            if not hasattr(raw, "peek"):  # a program replaced it
                raw = io.BufferedReader(raw)
        magic = raw.peek()[: len(XZ_MAGIC)]  # a pipe cannot be rewound
        name = "standard input" if str(path) == STDIN else str(path)
        yield Blocks(name, raw, magic, progress)
