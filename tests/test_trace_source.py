# SPDX-License-Identifier: GPL-2.0-only
"""Files that may be compressed: found out from their first bytes, read in blocks, with limits."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_bombs import with_dictionary

from percpu_ffi import Trace, TraceError
from percpu_ffi.cli import main
from percpu_ffi.trace import source
from percpu_ffi.trace.source import Blocks, Limit, Pieces, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = b"x-1 [000] 1.0: percpu_alloc_percpu: size=16 align=8 ptr=0x10\n"
BLOCK = 1000  # instead of 1 MiB
CONTENTS = random.Random(1).randbytes(20 * BLOCK + 123)  # that do not compress
try:
    zstd: Any = source._zstd("")
except TraceError:  # the extra is not installed
    zstd = None

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": bz2.compress,
}
if zstd:
    # with a checksum, as the program adds it
    PACKED["zstd"] = lambda data: bytes(
        zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
    )
COMPRESSED = [how for how in PACKED if how != "plain"]


class Raw(io.BytesIO):
    """A file of which at most 1 MiB may be read at a time."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 < size <= 1 << 20
        return super().read(size)


def blocks(data: bytes, progress: Callable[[int], object] | None = None) -> Blocks:
    return Blocks("a name", Raw(data), progress)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", BLOCK)


@pytest.mark.parametrize("how", PACKED)
class TestAnyFile:
    def test_contents_come_in_blocks(self, how: str) -> None:
        found = list(blocks(PACKED[how](CONTENTS)))
        assert b"".join(found) == CONTENTS
        assert all(0 < len(block) <= BLOCK for block in found)

    def test_zeroes_expand_in_blocks(self, how: str) -> None:
        found = [len(block) for block in blocks(PACKED[how](bytes(3 * BLOCK + 1)))]
        assert sum(found) == 3 * BLOCK + 1
        assert max(found) <= BLOCK

    def test_head_is_the_first_block(self, how: str) -> None:
        found = blocks(PACKED[how](CONTENTS))
        assert CONTENTS.startswith(found.head)
        assert next(iter(found)) == found.head != b""

    def test_nothing_in_it(self, how: str) -> None:
        found = blocks(PACKED[how](b""))
        assert (found.head, list(found)) == (b"", [])

    def test_progress_is_of_the_file_itself(self, how: str) -> None:
        data, seen = PACKED[how](CONTENTS), list[int]()
        found = blocks(data, seen.append)
        for _ in found:
            assert 0 < sum(seen) == found.taken
        assert found.taken == len(data)

    def test_opened_by_its_contents_not_its_name(self, tmp_path: Path, how: str) -> None:
        for name in ("trace", "trace.gz", "trace.xz", "trace.txt", "-"):
            (tmp_path / name).write_bytes(PACKED[how](b"contents"))
            seen = list[int]()
            with open_source(tmp_path / name, seen.append) as found:
                assert list(found) == [b"contents"]
                assert found.name == str(tmp_path / name)
            assert sum(seen) == (tmp_path / name).stat().st_size


def test_an_empty_file_has_no_bytes_taken() -> None:
    assert blocks(b"").taken == 0


@pytest.mark.parametrize("how", COMPRESSED)
@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(2 * BLOCK)])
def test_streams_one_after_the_other(how: str, padding: bytes) -> None:
    data = padding.join(PACKED[how](part) for part in (b"one ", b"", CONTENTS, b"end")) + padding
    assert b"".join(blocks(data)) == b"one " + CONTENTS + b"end"


@pytest.mark.parametrize("how", COMPRESSED)
@pytest.mark.parametrize("garbage", [b"x", b"X", b"\n", bytes(4) + b"more"])
def test_garbage_after_the_last_stream(how: str, garbage: bytes) -> None:
    with pytest.raises(TraceError, match=r"^a name: the compressed file is cut or damaged"):
        list(blocks(PACKED[how](b"contents") + garbage))


@pytest.mark.parametrize("how", COMPRESSED)
def test_every_cut_is_found(how: str) -> None:
    data = PACKED[how](b"contents")
    for length in range(6, len(data)):
        with pytest.raises(TraceError, match=r"is cut or damaged .*; copy it again$"):
            list(blocks(data[:length]))


# what is not checked: in gzip time, system, level, flag for text; in bzip2 the padding to a byte
UNCHECKED: dict[str, set[int]] = {"gzip": {3, 4, 5, 6, 7, 8, 9}, "bzip2": {-1}}


@pytest.mark.parametrize("how", COMPRESSED)
def test_every_damaged_byte_is_found(how: str) -> None:
    """Those of the checksums too."""
    data = PACKED[how](b"contents")
    unchecked = {i % len(data) for i in UNCHECKED.get(how, ())}
    for i in sorted({*range(6, len(data))} - unchecked):
        damaged = data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :]
        with pytest.raises(TraceError, match="the compressed file") as caught:
            list(blocks(damaged))
        assert caught.value.file == "a name"


@pytest.mark.parametrize("before", [b"", lzma.compress(b"a stream")], ids=["first", "second"])
def test_a_stream_that_needs_too_much_memory(before: bytes) -> None:
    with pytest.raises(TraceError, match=r"needs more than 128 MiB .*; use xz -9 or less"):
        list(blocks(before + with_dictionary(30)))  # 128 MiB, and some more for the decoder


def test_a_stream_that_needs_less() -> None:
    assert list(blocks(with_dictionary(29))) == [b"x"]  # 96 MiB; `xz -9` needs 64


@pytest.mark.skipif(not zstd, reason="needs the extra zstd")
@pytest.mark.parametrize(("log", "fits"), [(27, True), (28, False)])
def test_window_of_zstd(log: int, fits: bool) -> None:
    """`zstd --long=27` needs 128 MiB, `--long=28` twice as much."""
    options = {zstd.CompressionParameter.window_log: log}
    packer = zstd.ZstdCompressor(options=options)
    data = packer.compress(b"contents", packer.FLUSH_BLOCK) + packer.flush()
    if fits:
        assert list(blocks(data)) == [b"contents"]
    else:
        with pytest.raises(TraceError, match=r"needs more than 128 MiB .*; use zstd --long=27 or"):
            list(blocks(data))


def test_zstd_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TraceError) as caught:
        blocks(b"\x28\xb5\x2f\xfd more")
    assert str(caught.value) == (
        "a name: the file is compressed by zstd, which this Python cannot read: pip install "
        "'percpu_ffi[zstd]', or run `unzstd` and read the result"
    )


def test_error_of_the_file_itself() -> None:
    """It is not taken for damage."""

    class Broken(Raw):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "a broken disk")
            return super().read(size)

    for how in COMPRESSED:
        with pytest.raises(OSError, match="a broken disk"):
            Blocks("a name", Broken(PACKED[how](CONTENTS)))


class TestPipe:
    """A pipe gives what there is, and cannot be rewound."""

    @pytest.mark.parametrize("how", PACKED)
    @pytest.mark.parametrize("first", [1, 2, 5, 6, 7])
    def test_contents_that_come_slowly(self, tmp_path: Path, how: str, first: int) -> None:
        """The first bytes, which identify a compressor, may come one by one."""
        data = PACKED[how](CONTENTS)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        def write() -> None:
            with pipe.open("wb", buffering=0) as file:
                file.write(data[:first])
                time.sleep(0.01)
                file.write(data[first:])

        writer = threading.Thread(target=write)
        writer.start()
        with open_source(pipe) as found:
            assert b"".join(found) == CONTENTS
        writer.join()

    def test_fewer_bytes_than_any_magic(self) -> None:
        assert list(blocks(b"x")) == [b"x"]
        assert list(blocks(b"\x1f")) == [b"\x1f"]


class TestStandardInput:
    """The name ``-``."""

    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
        """Let standard input be a file with these bytes."""
        with tempfile.TemporaryFile() as file:

            def give(data: bytes) -> None:
                file.write(data)
                file.seek(0)
                monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))

            yield give

    @pytest.mark.parametrize("how", PACKED)
    def test_is_a_file_like_others(self, given: Callable[[bytes], None], how: str) -> None:
        data, seen = PACKED[how](CONTENTS), list[int]()
        given(data)
        with open_source("-", seen.append) as found:
            assert b"".join(found) == CONTENTS
            assert found.name == "standard input"
        assert sum(seen) == len(data)

    def test_is_left_open(self, given: Callable[[bytes], None]) -> None:
        given(b"contents")
        with open_source("-"):
            pass
        assert not sys.stdin.closed

    def test_error_names_it(self, given: Callable[[bytes], None]) -> None:
        given(b"no trace\n")
        with pytest.raises(TraceError) as caught:
            Trace.load("-")
        assert caught.value.file == "standard input"

    @pytest.mark.parametrize("stdin", [None, io.StringIO("text"), io.TextIOWrapper(io.BytesIO())])
    def test_that_is_closed(self, monkeypatch: pytest.MonkeyPatch, stdin: Any) -> None:
        if isinstance(stdin, io.TextIOWrapper):
            stdin.close()
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(TraceError, match=r"^standard input is closed; give a file"):
            Trace.load("-")

    def test_path_is_a_file_of_that_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as ``./-``."""
        monkeypatch.chdir(tmp_path)
        Path("-").write_bytes(b"contents")
        for path in Path("-"), "./-":
            with open_source(path) as found:
                assert list(found) == [b"contents"]

    @pytest.mark.parametrize(
        "command", ["replay", "who", "sizes", "compare", "check", "stats", "report"]
    )
    def test_every_command_reads_it(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        given: Callable[[bytes], None],
        command: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given(gzip.compress(TEXT))
        options = ["--png", "picture.png"] if command == "report" else []
        assert main([command, "-", *options]) == 0
        printed = capsys.readouterr()
        assert (printed.err, "-," in printed.out) == ("", False)
        if command in ("replay", "who", "sizes", "compare"):
            assert printed.out.find("standard input") >= 0

    def test_can_be_read_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sizes", "-", "-"]) == 2
        assert capsys.readouterr().err == (
            "percpu-ffi: standard input can be read only once; give files for the others\n"
        )

    def test_output_that_is_the_same_file(self, tmp_path: Path) -> None:
        """Standard input is not read: what was redirected there is not lost."""
        file = tmp_path / "file"
        file.write_bytes(TEXT)
        for command in (
            f"report - -o {file} < {file}",
            f"check - --save {file} < {file}",
            f"who - < {file} >> {file}",
        ):
            run = subprocess.run(
                f"{sys.executable} -m percpu_ffi {command}",
                shell=True, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert run.returncode == 2, command
            assert "the file of TRACE" in run.stderr, command
            assert file.read_bytes() == TEXT


class TestInflate:
    """A stream of zlib, in blocks."""

    def test_blocks_are_small(self) -> None:
        for data in CONTENTS, bytes(20 * BLOCK + 1), b"":
            packed = zlib.compress(data)
            for parts in (
                [packed],
                [packed[:9], packed[9:]],
                [packed[i : i + 1] for i in range(len(packed))],
            ):
                found = list(source.inflate(parts, "contents"))
                assert b"".join(found) == data
                assert all(0 < len(block) <= BLOCK for block in found)

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ([zlib.compress(b"x")[:-1]], "the contents have no end"),
            ([], "the contents have no end"),
            ([zlib.compress(b"x") + b"y"], "something follows the contents"),
        ],
    )
    def test_damage(self, parts: list[bytes], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            list(source.inflate(parts, "contents"))


class TestPath:
    """A file that a tool can read itself."""

    def test_of_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("-file").write_bytes(b"contents")
        with open_source("-file") as found:
            assert found.path == str(tmp_path / "-file")

    @pytest.mark.parametrize("how", COMPRESSED)
    def test_compressed_file_has_none(self, tmp_path: Path, how: str) -> None:
        (tmp_path / "file").write_bytes(PACKED[how](b"contents"))
        with open_source(tmp_path / "file") as found:
            assert found.path is None

    def test_standard_input_has_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also where a file has this name."""
        monkeypatch.chdir(tmp_path)
        Path("standard input").write_bytes(b"another file")
        Path("file").write_bytes(b"contents")
        with Path("file").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            with open_source("-") as found:
                assert found.path is None

    def test_other_streams_have_none(self, tmp_path: Path) -> None:
        (tmp_path / "a name").write_bytes(b"x")
        assert blocks(b"contents").path is None
        assert Blocks(str(tmp_path / "a name"), Raw(b"x")).path is None


class TestLimit:
    """The most that may come out of a file: a floor, and a factor for what was read of it."""

    @pytest.fixture
    def packed(self) -> Blocks:
        return blocks(b"ten bytes.")

    @pytest.mark.parametrize("sizes", [[30], [10, 10, 10], [29, 1], [0, 30]])
    def test_up_to_it(self, packed: Blocks, sizes: list[int]) -> None:
        parts = [bytes(size) for size in sizes]
        assert list(packed.limited(parts, Limit(10, 2))) == parts

    @pytest.mark.parametrize("sizes", [[31], [10, 10, 10, 1], [30, 1], [1, 30]])
    def test_one_byte_more(self, packed: Blocks, sizes: list[int]) -> None:
        limited = packed.limited((bytes(size) for size in sizes), Limit(10, 2))
        assert [len(next(limited)) for _ in sizes[:-1]] == sizes[:-1]
        with pytest.raises(ValueError, match="expands to far more"):
            next(limited)

    def test_nothing_read_yet(self) -> None:
        with pytest.raises(ValueError, match="expands to far more"):
            list(blocks(b"").limited([b"1"], Limit(0, 100)))


class TestPieces:
    """Blocks read in pieces of other lengths."""

    BLOCKS = (b"abc", b"d", b"efgh")

    @pytest.mark.parametrize(
        ("lengths", "taken", "rest"),
        [
            ([3], [b"abc"], b"defgh"),
            ([2, 2, 2], [b"ab", b"cd", b"ef"], b"gh"),
            ([0, 5], [b"", b"abcde"], b"fgh"),
            ([1, 1, 6], [b"a", b"b", b"cdefgh"], b""),
            ([8, 1, 1], [b"abcdefgh", b"", b""], b""),
            ([7, 9, 0], [b"abcdefg", b"h", b""], b""),
        ],
    )
    def test_pieces(self, lengths: list[int], taken: list[bytes], rest: bytes) -> None:
        pieces = Pieces(self.BLOCKS)
        assert [pieces.take(length) for length in lengths] == taken
        assert b"".join(pieces) == rest

    def test_what_was_not_taken(self) -> None:
        assert b"".join(Pieces(self.BLOCKS)) == b"abcdefgh"
        assert b"".join(Pieces([])) == b""

    def test_no_more_blocks_than_needed_are_read(self) -> None:
        blocks: Any = iter(self.BLOCKS)
        assert Pieces(blocks).take(2) == b"ab"
        assert next(blocks) == b"d"
