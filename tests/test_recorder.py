# SPDX-License-Identifier: GPL-2.0-only
"""The file of a recorder: what it says about its machine, and when it is written."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from test_record import FREE
from test_trace_file import load, taken_apart

from percpu_ffi.errors import RecordError
from percpu_ffi.record import machine, recorder
from percpu_ffi.trace.text import TextReader

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = FREE.format(n=1, off=64, ptr=7).encode()
BOOT = b"Embedded 66 pages/cpu s233472 r8192 d28672 u2097152"


# --- the machine


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0\n", 1), ("0-3\n", 4), ("0-63,128-191\n", 192), ("0,2\n", 3), ("\n", None), ("x", None)],
)
def test_possible_cpus(
    text: str, cpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are units up to that of the highest one."""
    monkeypatch.setattr(machine, "POSSIBLE", tmp_path / "possible")
    monkeypatch.setattr(machine, "LOG", os.devnull)
    assert machine.possible_cpus() is None
    (tmp_path / "possible").write_text(text)
    assert machine.describe_machine().get("possible_cpus") == cpus


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ([b"6,1,0,-;Linux version 6.18\n", b"6,2,0,-;percpu: " + BOOT + b" \n"], BOOT.decode()),
        ([b"6,2,0,-;percpu: 12 4K pages/cpu s24576 r0 d24576\n"],
         "12 4K pages/cpu s24576 r0 d24576"),
        ([b"6,2,0,-;percpu: Embedded \xff\n"], "Embedded \N{REPLACEMENT CHARACTER}"),
        # overwritten while it was read
        ([BrokenPipeError(), b"6,9,0,-;percpu: " + BOOT + b"\n"], BOOT.decode()),
        # the end of the log; of another file in a container
        ([b"6,1,0,-;percpu: max_distance=0x1000\n", BlockingIOError()], None),
        ([b"", b"6,2,0,-;percpu: " + BOOT], None),
        ([OSError(errno.EPERM, "")], None),
    ],
)  # fmt: skip
def test_line_of_the_boot(
    log: list[Any], line: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: int, size: int) -> Any:
        assert size >= 8192  # less is refused for a longer message
        message = log.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    monkeypatch.setattr(machine, "LOG", os.devnull)
    monkeypatch.setattr(os, "read", read)
    opened = len(os.listdir("/proc/self/fd"))
    assert machine.describe_machine().get("boot_line") == line
    assert len(os.listdir("/proc/self/fd")) == opened


def test_log_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "log")
    monkeypatch.setattr(machine, "LOG", str(tmp_path / "log"))
    writer = os.open(tmp_path / "log", os.O_RDWR)
    os.write(writer, b"6,1,0,-;Linux version 6.18\n")
    assert "boot_line" not in machine.describe_machine()
    os.write(writer, b"6,2,0,-;percpu: " + BOOT + b"\n")
    assert machine.describe_machine()["boot_line"] == BOOT.decode()
    os.close(writer)


def test_what_cannot_be_found_out_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "LOG", "POSSIBLE", "STATS":
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert machine.describe_machine() == {
        "kernel": os.uname().release, "page_size": os.sysconf("SC_PAGE_SIZE")
    }  # fmt: skip
    assert machine.percpu_stats() is None
    (tmp_path / "STATS").write_bytes(b"Percpu \xff")
    assert machine.percpu_stats() == "Percpu \N{REPLACEMENT CHARACTER}"


# --- the file


def recording(texts: list[bytes], times: Iterator[float], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Record these texts, after a head of one block; each is read at one of the times."""
    clock = SimpleNamespace(monotonic=lambda: next(times), sleep=lambda _: None)
    monkeypatch.setattr(recorder, "time", clock)
    left = [*texts]
    instance: Any = SimpleNamespace(
        switch=lambda _: None, read=lambda: left.pop(0) if left else b"", lost=lambda: 0
    )
    period: Any = SimpleNamespace(start=lambda: None, over=lambda: not left, seconds=1.5)
    file = io.BytesIO()
    recorder.record(instance, period, file)
    return file.getvalue()


def rows(data: bytes) -> list[int]:
    """Return the number of operations in each block."""
    return [value["rows"] for tag, value, _ in taken_apart(data) if tag == b"ROWS"]


def test_is_written_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless nothing happens.  The last line waits for the next one, which may belong to it."""
    texts = [LINE, LINE, LINE, LINE, LINE, b"", b"", LINE, LINE]
    times = [0, 0.125, 0.25, 0.5, 0.625, 0.875, 1.0, 1.5, 2.0, 2.125, 2.25]
    data = recording(texts, iter(times), monkeypatch)
    assert rows(data) == [1, 3, 1, 2]
    assert len(load(data)) == 7


def test_is_written_earlier_if_much_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of 64 blocks is the head."""
    data = recording([LINE] * 140, iter([0] * 200), monkeypatch)
    assert rows(data) == [62, 64, 14]


def test_has_the_machine_and_its_statistics_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "STATS", tmp_path / "stats")
    (tmp_path / "stats").write_text("before")

    def times() -> Iterator[float]:
        yield from (0, 0)
        (tmp_path / "stats").write_text("after")
        yield 0

    found = load(recording([LINE], times(), monkeypatch)).machine
    assert (found.pop("stats_before"), found.pop("stats_after")) == ("before", "after")
    assert found == machine.describe_machine()


def test_without_an_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match=r"^no percpu event in 1.50 s, and no file was written"):
        recording([b"# a comment\n"], iter([0, 0, 0]), monkeypatch)


def test_without_memory_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before is in the file."""
    texts = [LINE, LINE, LINE]

    class Reader(TextReader):
        def feed(self, text: bytes) -> bool:
            return super().feed(text) and len(texts) > 0

    file = io.BytesIO()
    instance: Any = SimpleNamespace(switch=lambda _: None, read=lambda: texts.pop(0))
    period: Any = SimpleNamespace(start=lambda: None, over=lambda: not texts)
    monkeypatch.setattr(recorder, "TextReader", Reader)
    monkeypatch.setattr(Reader, "finish", lambda _: False)
    monkeypatch.setattr(Reader, "error", lambda _, name: MemoryError(name))
    with pytest.raises(MemoryError, match=r"^trace_pipe$"):
        recorder.record(instance, period, file)
    assert rows(file.getvalue()) == [2, 0]
