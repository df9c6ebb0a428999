# SPDX-License-Identifier: GPL-2.0-only
"""Files and standard input, which may be compressed, read in blocks.

A small file can decompress to any size.  So a block has at most BLOCK bytes, and the memory of
a decoder is limited; the readers of the blocks stop at the first that is damaged.  Another thread
decompresses, see :mod:`percpu_ffi.trace.ahead`.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from percpu_ffi.errors import TraceError

if TYPE_CHECKING:
    from percpu_ffi.trace.ahead import Ahead, Readable

BLOCK = 1 << 20
INPUT = 1 << 16  # compressed bytes for a decoder, which copies those after the end of a stream
MEMORY = 128 << 20  # bytes of a decoder, as in zstd; files of `xz -9` need half of them

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
        self,
        name: str,
        raw: _Raw,
        progress: Callable[[int], object] | None = None,
        *,
        ahead: bool = True,
    ) -> None:
        """Read from ``raw``, which may be a pipe; ``ahead`` as in :func:`open_source`."""
        self.name = name
        self.taken = 0
        self._raw = raw
        self._progress = progress
        self._magic = raw.read(len(XZ_MAGIC))
        new_decoder, self._damage = _format(name, self._magic)
        self._most = "xz -9" if self._magic == XZ_MAGIC else "zstd --long=27"
        self._ahead: Ahead | None = None
        if new_decoder:
            from percpu_ffi.trace.ahead import Ahead  # noqa: PLC0415 - plain files need no thread

            self._ahead = Ahead(self, partial(_Streams, new_decoder), BLOCK, alone=not ahead)
        try:
            self.head = self._next()
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str | None:
        """The path of the file itself, None if it is compressed, or is a pipe."""
        if not self._ahead and os.path.isfile(self.name):
            with suppress(OSError):  # the raw stream is no file
                if os.path.samestat(os.stat(self.name), os.fstat(self._raw.fileno())):
                    return os.path.abspath(self.name)
        return None

    def __iter__(self) -> Iterator[bytes]:
        """Return ``head``, then the other blocks."""
        block = self.head
        while block:
            yield block
            block = self._next()

    def close(self) -> None:
        """End what reads ahead; the file itself stays open."""
        if self._ahead:
            self._ahead.close()

    def read(self, size: int) -> bytes:
        """Read bytes of the file itself."""
        data, self._magic = self._magic[:size], self._magic[size:]
        if len(data) < size:
            data += self._raw.read(size - len(data))
        self.taken += len(data)
        if self._progress:
            self._progress(len(data))
        return data

    def check(self, total: int, limit: Limit) -> None:
        """Check that so many bytes may come out of what was read so far.

        Raises:
            ValueError: they are more than the limit.

        """
        if total > limit.floor + limit.factor * self.taken:
            raise ValueError("it expands to far more than a trace does")

    def limited(self, parts: Iterable[bytes], limit: Limit) -> Iterator[bytes]:
        """Return what was decompressed, up to the limit.

        Raises:
            ValueError: there is more.

        """
        total = 0
        for part in parts:
            total += len(part)
            self.check(total, limit)
            yield part

    def _next(self) -> bytes:
        try:
            return self._ahead.take() if self._ahead else self.read(BLOCK)
        except self._damage as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the file itself
                raise
            what = "is cut or damaged", "copy it again"
            if "limit" in str(error) or "too much memory" in str(error):
                less = "xz -9" if type(error).__name__ == "LZMAError" else "zstd --long=27"
                what = f"needs more than {MEMORY >> 20} MiB of memory", f"use {less} or less"
            raise TraceError(
                f"the compressed file {what[0]} ({error}); {what[1]}", self.name
            ) from error


def _format(
    name: str, magic: bytes
) -> tuple[Callable[[], Any] | None, tuple[type[Exception], ...]]:
    """Return what makes a decoder for a file, if it is compressed, and exceptions of damage."""
    if magic.startswith(GZIP_MAGIC):
        return _Gzip, (EOFError, zlib.error)
    if magic == XZ_MAGIC:
        import lzma  # noqa: PLC0415 - most runs need one decoder, or none

        return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MEMORY), (EOFError, lzma.LZMAError)
    if magic.startswith(BZIP2_MAGIC):
        import bz2  # noqa: PLC0415

        return bz2.BZ2Decompressor, (EOFError, OSError)
    if magic.startswith(ZSTD_MAGIC):
        zstd = _zstd(name)
        return zstd.ZstdDecompressor, (EOFError, zstd.ZstdError)
    return None, ()


class _Raw(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def fileno(self) -> int: ...


class _Streams:
    """Compressed streams, one after the other, with or without zeroes between them.

    Unlike :class:`lzma.LZMAFile` and others it limits the decoder's memory, which a header may
    set to 4 GiB, and does not ignore what follows a stream.
    """

    def __init__(self, new_decoder: Callable[[], Any], raw: Readable) -> None:
        self._raw = raw
        self._input = b""
        self._new_decoder = new_decoder
        self._decoder = new_decoder()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end of the file."""
        data = b""
        while not data:
            if self._decoder.eof and not self._next_stream():
                break
            if self._decoder.needs_input and not self._input:
                self._input = self._raw.read(INPUT)
                if not self._input:
                    raise EOFError("its last stream has no end")
            data = self._decoder.decompress(self._input, size)
            self._input = b""
        return data

    def _next_stream(self) -> bool:
        rest = self._decoder.unused_data
        while not (stream := rest.lstrip(b"\0")):
            rest = self._raw.read(INPUT)
            if not rest:
                return False
        self._input = stream
        self._decoder = self._new_decoder()
        return True


class _Gzip:
    """A decoder of gzip with the attributes of those of :mod:`lzma` and :mod:`bz2`."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS + 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        block = self._inflater.decompress(self._inflater.unconsumed_tail + data, size)
        self.needs_input = len(block) < size
        return block


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


def inflate(parts: Iterable[bytes | memoryview], what: str) -> Iterator[bytes]:
    """Decompress a stream of zlib in blocks.

    Args:
        parts: the stream, and nothing else.
        what: a plural, for error messages.

    Raises:
        ValueError: there is more, or less.
        zlib.error: it is damaged.

    """
    inflater = zlib.decompressobj()
    for part in parts:
        block = inflater.decompress(part, BLOCK)
        while block:
            yield block
            block = inflater.decompress(inflater.unconsumed_tail, BLOCK)
        if inflater.unused_data:
            raise ValueError(f"something follows the {what}")
    if not inflater.eof:
        raise ValueError(f"the {what} have no end")


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
    path: str | Path, progress: Callable[[int], object] | None = None, *, ahead: bool = True
) -> Iterator[Blocks]:
    """Open a file that is plain or compressed according to its first bytes.

    Args:
        path: the file; the string ``-`` is standard input.
        progress: called with the number of bytes of the file read since its last call.
        ahead: decompress in another thread.  From then on the C library takes locks, and so does
            each call of the port, about 10 ns; also after the thread has ended.

    Raises:
        OSError: the file cannot be read.
        TraceError: a compressed file is cut or damaged, or needs too much memory.

    """
    if path != STDIN:
        with (
            Path(path).open("rb") as file,
            closing(Blocks(str(path), file, progress, ahead=ahead)) as blocks,
        ):
            yield blocks
        return
    stdin = getattr(sys.stdin, "buffer", None)
    if stdin is None or stdin.closed:
        raise TraceError("standard input is closed; give a file instead of -")
    with closing(Blocks(source_name(path), stdin, progress, ahead=ahead)) as blocks:
        yield blocks


def source_name(path: str | Path) -> str:
    """Return the name of a file for messages."""
    return "standard input" if path == STDIN else str(path)
