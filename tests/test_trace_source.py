# SPDX-License-Identifier: GPL-2.0-only
"""Files that may be compressed: found out from their first bytes, read in blocks, with limits."""

from __future__ import annotations

import gzip
import io
import lzma
import random
from typing import TYPE_CHECKING, Any

import pytest
from test_bombs import with_dictionary

from percpu_ffi import TraceError
from percpu_ffi.trace import source
from percpu_ffi.trace.source import Blocks, Limit, Pieces, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 1000  # instead of 1 MiB
CONTENTS = random.Random(1).randbytes(20 * BLOCK + 123)  # that do not compress
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
}


class Raw(io.BytesIO):
    """A file of which at most 1 MiB may be read at a time."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 < size <= 1 << 20
        return super().read(size)


def blocks(data: bytes, progress: Callable[[int], object] | None = None) -> Blocks:
    return Blocks("a name", Raw(data), data[:6], progress)


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
        for name in ("trace", "trace.gz", "trace.xz", "trace.txt"):
            (tmp_path / name).write_bytes(PACKED[how](b"contents"))
            seen = list[int]()
            with open_source(tmp_path / name, seen.append) as found:
                assert list(found) == [b"contents"]
                assert found.name == str(tmp_path / name)
            assert sum(seen) == (tmp_path / name).stat().st_size


def test_an_empty_file_has_no_bytes_taken() -> None:
    assert blocks(b"").taken == 0


@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(2 * BLOCK)])
def test_xz_streams_one_after_the_other(padding: bytes) -> None:
    data = padding.join(PACKED["xz"](part) for part in (b"one ", b"", CONTENTS, b"end")) + padding
    assert b"".join(blocks(data)) == b"one " + CONTENTS + b"end"


@pytest.mark.parametrize("how", ["gzip", "xz"])
@pytest.mark.parametrize("garbage", [b"x", b"X", b"\n", bytes(4) + b"more"])
def test_garbage_after_the_last_stream(how: str, garbage: bytes) -> None:
    with pytest.raises(TraceError, match=r"^a name: the compressed file is cut or damaged"):
        list(blocks(PACKED[how](b"contents") + garbage))


@pytest.mark.parametrize("how", ["gzip", "xz"])
def test_every_cut_is_found(how: str) -> None:
    data = PACKED[how](b"contents")
    for length in range(6, len(data)):
        with pytest.raises(TraceError, match=r"is cut or damaged .*; copy it again$"):
            list(blocks(data[:length]))


# bits of a header of gzip that have no meaning are not checked: time, system, level, flag for text
@pytest.mark.parametrize(("how", "unchecked"), [("gzip", {3, 4, 5, 6, 7, 8, 9}), ("xz", set())])
def test_every_damaged_byte_is_found(how: str, unchecked: set[int]) -> None:
    """Those of the checksums too."""
    data = PACKED[how](b"contents")
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
