# SPDX-License-Identifier: GPL-2.0-only
"""Binary recordings: printed by the tool that wrote them, which may be missing, fail, or hang.

Programs with the names of perf and trace-cmd take the place of the tools.
"""

from __future__ import annotations

import errno
import gzip
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_recordings import CASES, PAIR, load

from percpu_ffi import Trace, TraceError
from percpu_ffi.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = CASES / "plain.txt"
DAT = b"\x17\x08\x44tracing"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a program of a name and a script first in the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a file that looks like perf's."""
    path = tmp_path / "perf.data"
    path.write_bytes(b"PERFILE2" + bytes(100))
    return path


def test_perf(fake: Callable[[str, str], None]) -> None:
    """It gets the decompressed file as a copy, which is removed then."""
    fake("perf", f'head -c 8 "$7" | grep -q PERFILE2 && echo "# $*" && cat {PLAIN}')
    assert list(load("perf.data.xz")) == PAIR


def test_perf_is_given_these_options(
    fake: Callable[[str, str], None], recording: Path, tmp_path: Path
) -> None:
    """Lost events, the CPUs in the head, times in nanoseconds; files of other users."""
    fake("perf", f'echo "$*" > {tmp_path}/options; cat {PLAIN}')
    assert list(Trace.load(recording)) == PAIR
    options = f"script --header --show-lost-events --ns --force -i {recording}\n"
    assert (tmp_path / "options").read_text() == options


def test_trace_cmd(fake: Callable[[str, str], None], tmp_path: Path) -> None:
    fake("trace-cmd", f'echo "$*" > {tmp_path}/options; cat {CASES / "tabs.txt"}')
    (tmp_path / "trace.dat").write_bytes(DAT + bytes(100))
    assert list(Trace.load(tmp_path / "trace.dat")) == PAIR
    assert (tmp_path / "options").read_text() == f"report -t -i {tmp_path}/trace.dat\n"


@pytest.mark.parametrize("name", ["-o", "a b;c", "perf"])
def test_any_name_of_a_file(
    fake: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    fake("perf", f'head -c 8 "$7" | grep -q PERFILE2 && cat {PLAIN}')
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"PERFILE2")
    assert list(Trace.load(name)) == PAIR


def test_pipe_is_copied(
    fake: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool reads its file several times; the copy is in TMPDIR, and does not stay there."""
    fake("perf", f'cmp "$7" {tmp_path}/original && cat "$7" > /dev/null && cat {PLAIN}')
    (tmp_path / "original").write_bytes(b"PERFILE2" + bytes(range(256)) * 5000)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((tmp_path / "original").read_bytes()))
    writer.start()
    assert list(Trace.load(pipe)) == PAIR
    writer.join()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("magic", "message"),
    [
        (
            b"PERFILE2",
            "this is perf's own file, and perf is not installed: install it (Debian: linux-perf), "
            "or run `perf script --header --show-lost-events --ns --force -i FILE` where it is and "
            "read that",
        ),
        (
            DAT,
            "this is trace-cmd's own file, and trace-cmd is not installed: install it (Debian: "
            "trace-cmd), or run `trace-cmd report -t -i FILE` where it is and read that",
        ),
    ],
    ids=["perf", "trace-cmd"],
)
def test_tool_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: bytes, message: str
) -> None:
    (tmp_path / "file").write_bytes(magic)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TraceError) as caught:
        Trace.load(tmp_path / "file")
    assert str(caught.value) == f"{tmp_path}/file: {message}"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo incompatible file format >&2; exit 7", "perf cannot read it: incompatible file"),
        (f"cat {PLAIN}; echo; echo it is cut >&2; exit 1", "perf cannot read it: it is cut"),
        ("printf '\\033[1mred\\n' >&2; exit 1", "perf cannot read it: ?[1mred"),
        ("printf '\\377red\\n' >&2; exit 1", "perf cannot read it: \N{REPLACEMENT CHARACTER}red"),
        ("exit 1", "perf cannot read it: exit status 1\n"),
        ("exit 0", "its tool prints nothing: the recording has no events, or is cut"),
        ("echo a warning >&2", "its tool prints nothing: the recording has no events, or is cut"),
        ("kill -9 $$", "perf was ended by signal 9 before it had printed everything; run it again"),
        (f"cat {PLAIN}; kill -15 $$", "perf was ended by signal 15 before it had printed every"),
        ("echo '# one line'", "no percpu event in 1 line: not a trace of the percpu allocator"),
    ],
)
def test_tool_that_fails(
    fake: Callable[[str, str], None],
    recording: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    message: str,
) -> None:
    fake("perf", script)
    assert main(["who", str(recording)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"percpu-ffi: {recording}: {message}")
    assert said.count("\n") == 1


def test_tool_whose_error_has_no_end(fake: Callable[[str, str], None], recording: Path) -> None:
    """It is read, or the tool would wait; and not kept."""
    fake("perf", f"yes a warning | head -c 3000000 >&2; cat {PLAIN}; exit 3")
    with pytest.raises(TraceError, match=r"perf cannot read it: a warning$"):
        Trace.load(recording)


def test_error_that_comes_late(
    fake: Callable[[str, str], None], recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for."""

    def listen(pipe: Any, said: list[bytes]) -> None:
        time.sleep(0.05)
        said.append(pipe.read())

    fake("perf", "echo wrong >&2; exit 1")
    monkeypatch.setattr("percpu_ffi.trace.tools._listen", listen)
    with pytest.raises(TraceError, match="perf cannot read it: wrong"):
        Trace.load(recording)


def test_output_of_many_blocks(
    fake: Callable[[str, str], None], recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("percpu_ffi.trace.tools.BLOCK", 10)
    fake("perf", f"cat {PLAIN}")
    assert list(Trace.load(recording)) == PAIR


def test_standard_input_is_not_for_the_tool(
    fake: Callable[[str, str], None], recording: Path
) -> None:
    fake("perf", f"read line && exit 9; cat {PLAIN}")
    kept, (end, other) = os.dup(0), os.pipe()
    os.write(other, b"a line\n")
    os.dup2(end, 0)
    try:
        assert list(Trace.load(recording)) == PAIR
    finally:
        os.dup2(kept, 0)
        for number in kept, end, other:
            os.close(number)


def test_tool_that_prints_forever(fake: Callable[[str, str], None], recording: Path) -> None:
    """A strict reader stops it at the first line that it cannot read, with all that it started."""
    fake(
        "perf", f"cat {PLAIN}; echo 'x-1 [0] 1.0: percpu_free_percpu: ptr=x'; yes more; sleep 1000"
    )
    start = time.monotonic()
    with pytest.raises(TraceError, match="`ptr=` is not a number") as caught:
        Trace.load(recording, strict=True)
    assert caught.value.line == 5
    assert time.monotonic() - start < 10


def test_interrupt_ends_the_tool(
    fake: Callable[[str, str], None], recording: Path, tmp_path: Path
) -> None:
    fake("perf", f"echo $$ > {tmp_path}/pid; cat {PLAIN}; sleep 1000")

    def interrupt() -> None:
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    killer = threading.Thread(target=interrupt)
    killer.start()
    assert main(["who", str(recording)]) == 130
    killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_no_room_for_the_copy(
    fake: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def full(path: str, *args: Any, **options: Any) -> Any:
        assert path.startswith(str(tmp_path))
        return open("/dev/full", *args, **options)

    fake("perf", f"cat {PLAIN}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("percpu_ffi.trace.tools.open", full, raising=False)
    (tmp_path / "small.gz").write_bytes(gzip.compress(b"PERFILE2"))
    with pytest.raises(OSError, match="No space left") as caught:
        Trace.load(tmp_path / "small.gz")
    assert caught.value.errno == errno.ENOSPC
    assert main(["who", str(tmp_path / "small.gz")]) == 2
    assert capsys.readouterr().err == (
        f"percpu-ffi: {tmp_path}: No space left on device; set TMPDIR to a folder with room for "
        "the decompressed recording\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "small.gz"}


def test_damaged_file_is_not_printed(fake: Callable[[str, str], None], tmp_path: Path) -> None:
    """The error is that of the compressed file, not of the tool."""
    fake("perf", f"touch {tmp_path}/called; cat {PLAIN}")
    data = (CASES / "perf.data.xz").read_bytes()
    (tmp_path / "cut.xz").write_bytes(data[: len(data) // 2])
    with pytest.raises(TraceError, match="the compressed file is cut or damaged"):
        Trace.load(tmp_path / "cut.xz")
    assert not (tmp_path / "called").exists()
