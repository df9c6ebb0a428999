# SPDX-License-Identifier: GPL-2.0-only
"""A second thread reads a stream ahead; it ends with its reader, whatever happens."""

from __future__ import annotations

import lzma
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from conftest import in_child

from percpu_ffi import Trace, TraceError
from percpu_ffi.bench.workload import Options
from percpu_ffi.bench.workloads import recording
from percpu_ffi.cli import main
from percpu_ffi.trace.ahead import DEPTH, RECENT, Ahead
from percpu_ffi.trace.source import Blocks, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENTS = bytes(range(256)) * 64
SIZE = 100


class Source:
    """Bytes, and the threads that read them."""

    def __init__(self, data: bytes = CONTENTS) -> None:
        self.data = data
        self.threads: set[threading.Thread] = set()

    def read(self, size: int, /) -> bytes:
        self.threads.add(threading.current_thread())
        data, self.data = self.data[:size], self.data[size:]
        return data


class Copy:
    """A stream that decompresses nothing, and counts its blocks."""

    made: Copy

    def __init__(self, source: Any) -> None:
        self.source = source
        self.blocks = 0
        self.threads: set[threading.Thread] = set()
        type(self).made = self

    def read(self, size: int, /) -> bytes:
        self.threads.add(threading.current_thread())
        self.blocks += 1
        block: bytes = self.source.read(size)
        return block


class Endless(Copy):
    """One that needs no source."""

    def read(self, size: int, /) -> bytes:
        self.blocks += 1
        return bytes(size)


class Broken(Copy):
    """One that ends with an error after some blocks."""

    def read(self, size: int, /) -> bytes:
        if self.blocks == 3:
            raise EOFError("cut")
        return super().read(size)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "decompressor" in thread.name]


def until(condition: Callable[[], object]) -> None:
    """Wait, a few seconds at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert workers() == []
    yield
    assert workers() == []


@pytest.fixture
def ahead() -> Iterator[Callable[..., Ahead]]:
    """A function that makes one, which is closed at the end."""
    made: list[Ahead] = []

    def make(stream: Any = Copy, source: Any = None) -> Ahead:
        made.append(Ahead(source or Source(), stream, SIZE))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_blocks_come_in_order_and_then_none(ahead: Callable[..., Ahead]) -> None:
    found = ahead()
    blocks = [found.take() for _ in range(-(-len(CONTENTS) // SIZE))]
    assert b"".join(blocks) == CONTENTS
    assert {len(block) for block in blocks[:-1]} == {SIZE}
    assert [found.take() for _ in range(2 * DEPTH)] == [b""] * 2 * DEPTH


def test_the_consumer_reads_the_source(ahead: Callable[..., Ahead]) -> None:
    """So Ctrl-C ends it, and its errors arise as without a second thread."""
    source = Source()
    found = ahead(source=source)
    while found.take():
        pass
    assert source.threads == {threading.current_thread()}
    assert threading.current_thread() not in Copy.made.threads


def test_source_is_read_in_large_parts(ahead: Callable[..., Ahead]) -> None:
    """A decoder wants less; each request waits until the consumer has time.

    ::

        source     |  100  |  100  | ...
        decoder    |30|30|30|10|30|30 ...
    """

    class Small(Copy):
        def read(self, size: int, /) -> bytes:
            return super().read(min(size, 30))

    asked: list[int] = []

    class Asked(Source):
        def read(self, size: int, /) -> bytes:
            asked.append(size)
            return super().read(size)

    found = ahead(Small, Asked(CONTENTS[:200]))
    assert [len(found.take()) for _ in range(9)] == [30, 30, 30, 10, 30, 30, 30, 10, 0]
    assert set(asked) == {SIZE}


def test_it_is_a_few_blocks_ahead(ahead: Callable[..., Ahead]) -> None:
    """Then it waits, so memory does not grow where the consumer is slow."""
    found = ahead(Endless)
    for taken in range(3):
        until(lambda: Copy.made is None or Endless.made.blocks == taken + DEPTH + 1)  # noqa: B023
        time.sleep(0.005)
        assert Endless.made.blocks == taken + DEPTH + 1
        found.take()


def test_blocks_grow(ahead: Callable[..., Ahead], monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer of a short file need not wait for a large block."""
    monkeypatch.setattr("percpu_ffi.trace.ahead.FIRST", 15)
    found = ahead(Endless)
    assert [len(found.take()) for _ in range(5)] == [15, 30, 60, SIZE, SIZE]


@pytest.mark.parametrize(
    ("taken", "kept"), [(RECENT - 1, 0), (3 * RECENT, 3), (100 * RECENT, RECENT)]
)
def test_memory_of_recent_blocks_is_not_yet_used_again(
    ahead: Callable[..., Ahead], taken: int, kept: int
) -> None:
    """Those of a long stream: for a short one, new memory would take longer."""

    class Block:
        """It can be watched."""

    class Blocks(Copy):
        def read(self, size: int, /) -> Any:
            return Block()

    found = ahead(Blocks)
    blocks = [weakref.ref(found.take()) for _ in range(taken)]
    alive = [block() is not None for block in blocks]
    assert alive == [False] * (taken - kept) + [True] * kept


def test_error_of_the_stream_comes_after_its_blocks(ahead: Callable[..., Ahead]) -> None:
    found = ahead(Broken)
    assert b"".join(found.take() for _ in range(3)) == CONTENTS[: 3 * SIZE]
    for _ in range(2):  # it stays
        with pytest.raises(EOFError, match="cut"):
            found.take()
    until(lambda: not workers())


def test_error_of_the_source(ahead: Callable[..., Ahead]) -> None:
    class Bad(Source):
        def read(self, size: int, /) -> bytes:
            raise OSError("a broken disk")

    with pytest.raises(OSError, match="a broken disk"):
        ahead(source=Bad()).take()


@pytest.mark.parametrize("taken", [0, 1, DEPTH + 2])
def test_early_close_ends_a_thread_that_waits(ahead: Callable[..., Ahead], taken: int) -> None:
    found = ahead()
    for _ in range(taken):
        found.take()
    for _ in range(2):
        found.close()
        assert workers() == []
    with pytest.raises(ValueError, match="closed"):
        found.take()


def test_one_that_is_forgotten_ends_too() -> None:
    Ahead(Source(), Copy, SIZE).take()
    until(lambda: not workers())


def test_without_a_second_thread(
    ahead: Callable[..., Ahead], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host has none left, the consumer does all."""

    def refuse(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    found = ahead()
    assert found.take() == CONTENTS[:SIZE]
    assert Copy.made.threads == {threading.current_thread()}


def test_a_forked_process_does_not_wait_for_ever(ahead: Callable[..., Ahead]) -> None:
    """Its copy of the queue is what it has; the thread is that of its parent."""
    found = ahead()
    found.take()

    def take_all() -> None:
        with pytest.raises(RuntimeError, match="forked"):
            list(iter(found.take, b""))
        found.close()

    assert in_child(take_all) == 0
    assert found.take() == CONTENTS[SIZE : 2 * SIZE]


class TestFiles:
    """The thread of a compressed file."""

    TEXT = b"x-1 [000] 1.0: percpu_alloc_percpu: size=16 align=8 ptr=0x10\n"

    @pytest.fixture
    def packed(self, tmp_path: Path) -> str:
        """A recording of some MiB."""
        path = tmp_path / "trace.xz"
        path.write_bytes(lzma.compress(self.TEXT * (3 << 14), preset=0))
        return str(path)

    def test_ends_with_its_file(self, packed: str) -> None:
        with open_source(packed) as blocks:
            assert len(workers()) == 1
            next(iter(blocks))
        assert workers() == []

    def test_ends_if_the_reader_fails(self, packed: str) -> None:
        def fail(_block: bytes) -> None:
            raise ZeroDivisionError

        def read() -> None:
            with open_source(packed) as blocks:
                fail(next(iter(blocks)))

        with pytest.raises(ZeroDivisionError):
            read()

    def test_ends_if_the_text_is_refused(self, tmp_path: Path) -> None:
        """The parser stops at the start of a long file."""
        path = tmp_path / "bad.xz"
        path.write_bytes(lzma.compress(b"\0" + bytes(3 << 20), preset=0))
        with pytest.raises(TraceError, match="binary data"):
            Trace.load(path)
        assert workers() == []

    def test_ends_if_the_file_is_cut(self, packed: str, capsys: pytest.CaptureFixture[str]) -> None:
        with open(packed, "r+b") as file:
            file.truncate(os.path.getsize(packed) - 20)
        assert main(["sizes", packed]) == 2
        assert "is cut or damaged" in capsys.readouterr().err
        assert workers() == []

    def test_plain_file_needs_none(self, tmp_path: Path) -> None:
        (tmp_path / "plain").write_bytes(self.TEXT)
        with open_source(tmp_path / "plain"):
            assert workers() == []

    def test_a_benchmark_has_none(self, packed: str) -> None:
        """With one, each call that it measures would take a lock."""
        with open_source(packed, ahead=False) as blocks:
            assert workers() == []
            assert b"".join(blocks) == self.TEXT * (3 << 14)
        started = list[str]()
        threading.setprofile(lambda *_: started.append("a thread"))
        try:
            recording("a name", packed, Options())
        finally:
            threading.setprofile(None)
        assert started == []

    def test_file_may_be_closed_first(self, packed: str) -> None:
        file = open(packed, "rb")  # noqa: SIM115
        blocks = Blocks("a name", file)
        file.close()
        blocks.close()

    def test_ctrl_c_ends_the_wait_for_a_pipe(self, tmp_path: Path) -> None:
        """The main thread waits for the pipe, so it gets the signal."""
        read, write = os.pipe()
        os.write(write, lzma.compress(self.TEXT)[:40])
        interrupt = threading.Timer(
            0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]
        )
        interrupt.start()
        with open(read, "rb") as file, pytest.raises(KeyboardInterrupt):
            Blocks("a pipe", file)
        interrupt.join()
        os.close(write)
