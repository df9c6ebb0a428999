# SPDX-License-Identifier: GPL-2.0-only
"""Recording the running kernel: with a fake tracefs of files, and with the real kernel.

The fake kernel fills an instance when it is made, and removes its files with it:

    tracefs/events/percpu/                      the events exist
    tracefs/instances/percpu-ffi-PID-XXXX/      made by mkdir, with
        buffer_size_kb  trace_clock  trace_options  events/percpu/enable
        per_cpu/cpu0/stats                      the lost events
        trace_pipe                              a FIFO with the text
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Trace
from percpu_ffi.cli import main
from percpu_ffi.errors import RecordError
from percpu_ffi.record import find_tracefs, period, tracefs
from percpu_ffi.record.recorder import LiveText

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOC = (
    "  ip-7  [001] .....  1.000{n}: percpu_alloc_percpu: call_site=mm_init+0x2bf/0x4d0 reserved=0 "
    "is_atomic=0 size=16 align=8 base_addr=0000000094005a45 off={off} ptr=00000000{ptr:08x} "
    "bytes_alloc=64 gfp_flags=GFP_KERNEL\n"
)
FREE = (
    "  ip-7  [000] d..1.  1.000{n}: percpu_free_percpu: base_addr=0000000094005a45 off={off} "
    "ptr=00000000{ptr:08x}\n"
)
TEXT = "".join(
    line.format(n=100 + n, off=4096 + 16 * key, ptr=0x1000 + key)
    for n, (line, key) in enumerate([(ALLOC, 1), (ALLOC, 2), (FREE, 1), (ALLOC, 3), (FREE, 9)])
)


@pytest.fixture(autouse=True)
def _default_signals() -> Iterator[None]:
    """Let signals act, also where the tests run in the background of a script or under nohup."""
    before = {number: signal.getsignal(number) for number in period.SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class FakeKernel:
    """A tracefs of files; ``left`` has the files of the last instance that was removed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.instances = place / "instances"
        self.text = TEXT
        self.overrun = 0
        self.signal: int | None = None  # sent to this process when the instance is made
        self.busy = False
        self.left: dict[str, str] = {}
        self._pipes: list[int] = []
        self.instances.mkdir(parents=True)
        (place / "events/percpu").mkdir(parents=True)

    def fill(self, instance: Path) -> None:
        events = ["events/percpu", *(f"events/workqueue/{name}" for name in tracefs.WORK)]
        for folder in (*events, "per_cpu/cpu0"):
            (instance / folder).mkdir(parents=True)
        for folder in events:
            (instance / folder / "enable").touch()
            (instance / folder / "filter").touch()
        for name in ("buffer_size_kb", "trace_clock", "trace_options"):
            (instance / name).touch()
        (instance / "per_cpu/cpu0/stats").write_text(
            f"entries: 0\noverrun: {self.overrun}\ncommit overrun: 0\nnow ts: 1.5\n"
            "dropped events: 0\nread events: 4\n"
        )
        os.mkfifo(instance / "trace_pipe")
        self._pipes.append(os.open(instance / "trace_pipe", os.O_RDWR))
        os.write(self._pipes[-1], self.text.encode())
        if self.signal:
            threading.Timer(0.05, os.kill, (os.getpid(), self.signal)).start()

    def empty(self, instance: Path) -> None:
        files = [path for path in instance.glob("**/*") if path.is_file()]
        self.left = {str(path.relative_to(instance)): path.read_text() for path in files}
        shutil.rmtree(instance)

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    fake = FakeKernel(tmp_path / "tracefs")
    mkdir, rmdir = os.mkdir, os.rmdir

    def make(path: Any, *args: Any) -> None:
        mkdir(path, *args)
        if Path(path).parent == fake.instances:
            fake.fill(Path(path))

    def remove(path: Any, **options: Any) -> None:
        if options or Path(path).parent != fake.instances:
            rmdir(path, **options)
        elif fake.busy:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        else:
            fake.empty(Path(path))

    monkeypatch.setattr(os, "mkdir", make)
    monkeypatch.setattr(os, "rmdir", remove)
    monkeypatch.setattr(tracefs, "BUSY_PAUSE", 0)
    monkeypatch.chdir(tmp_path)
    yield fake
    fake.close()


def record(kernel: FakeKernel, *args: str) -> int:
    """Run the command with the output t.trace."""
    status = main(["record", "-o", "t.trace", "--tracefs", str(kernel.place), *args])
    if not kernel.busy:
        assert list(kernel.instances.iterdir()) == []
    return status


def shell(script: str) -> tuple[str, ...]:
    return ("--", "sh", "-c", script)


class TestTrace:
    def test_equals_the_trace_of_the_same_text(self, kernel: FakeKernel) -> None:
        assert record(kernel, "--", "true") == 0
        Path("text").write_text(TEXT)
        recorded, read = Trace.load("t.trace"), Trace.load("text")
        assert list(recorded) == list(read)
        assert recorded.kinds == read.kinds
        assert recorded.kinds[0].site.startswith("mm_init+0x2bf")
        assert recorded.stats.orphan_frees == 1

    def test_has_the_number_of_all_cpus(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        online = {"SC_NPROCESSORS_ONLN": 12, "SC_NPROCESSORS_CONF": 16, "SC_PAGE_SIZE": 4096}
        monkeypatch.setattr(os, "sysconf", online.__getitem__)
        record(kernel, "--", "true")
        assert Trace.load("t.trace").stats.cpus == 12

    @pytest.mark.parametrize("in_text", [3, 7])
    def test_counts_lost_events_by_the_text_and_by_the_kernel(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str], in_text: int
    ) -> None:
        kernel.text = f"CPU:1 [LOST {in_text} EVENTS]\n{TEXT}"
        kernel.overrun = 5
        assert record(kernel, "--", "true") == 0
        assert Trace.load("t.trace").stats.lost == max(in_text, 5)
        assert "give a larger --buffer-kb" in capfd.readouterr().err

    def test_counts_each_kind_of_loss_on_each_cpu(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fill(path: Path, fill: Any = kernel.fill) -> None:
            fill(path)
            for cpu, counts in ((0, (1, 20, 300)), (11, (4000, 50_000, 600_000))):
                (path / f"per_cpu/cpu{cpu}").mkdir(exist_ok=True)
                (path / f"per_cpu/cpu{cpu}/stats").write_text(
                    "entries: 7\noverrun: {}\ncommit overrun: {}\nbytes: 8\ndropped events: {}\n"
                    "read events: 9\n".format(*counts)
                )

        monkeypatch.setattr(kernel, "fill", fill)
        assert record(kernel, "--", "true") == 0
        assert Trace.load("t.trace").stats.lost == 654_321

    def test_replaces_an_older_one_if_forced(self, kernel: FakeKernel) -> None:
        Path("t.trace").write_text("old")
        record(kernel, "--force", "--", "true")
        assert len(Trace.load("t.trace")) == 5


class TestLiveText:
    """The text of a recording, with an instance and a period that note what is done."""

    @pytest.fixture(autouse=True)
    def _steps(self) -> None:
        self.steps: list[Any] = []

    def note(self, step: Any, result: Any = None) -> Any:
        self.steps.append(step)
        return result

    def blocks(self, texts: list[bytes], checks: list[bool]) -> list[bytes]:
        """Return the blocks after the header; ``checks`` tell whether the period is over."""
        instance: Any = SimpleNamespace(
            switch=self.note, read=lambda: self.note("read", texts.pop(0))
        )
        a_period: Any = SimpleNamespace(
            start=lambda: self.note("start"), over=lambda: self.note("over?", checks.pop(0))
        )
        return [*LiveText(instance, a_period)][1:]

    def test_begins_before_the_command_and_has_what_is_left_at_the_end(self) -> None:
        texts = [b"one", b"", b"two", b"three", b"four", b""]
        checks = [False, False, False, True]
        assert self.blocks(texts, checks) == [b"one", b"", b"two", b"three", b"four"]
        assert (texts, checks) == ([], [])
        during = ["over?", "read"] * 3
        assert self.steps == [
            *(True, "start", *during, "over?", False),
            *("read", "read", "read"),
        ]

    def test_waits_where_there_is_none_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty block lets the recorder write what it has."""
        monkeypatch.setattr(time, "sleep", lambda _: self.note("sleep"))
        assert self.blocks([b"", b"one", b""], [False, False, True]) == [b"", b"one"]
        assert self.steps[2:8] == ["over?", "read", "sleep", "over?", "read", "over?"]


# what a kernel 6.18 sets for an instance, and what would change the text
OPTIONS = (
    "context-info nobin nofields nohash-ptr nohex nolatency-format noraw nouserstacktrace "
    "noverbose overwrite"
)


class TestInstance:
    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        """What is written to files of tracefs, in this order."""
        written: list[tuple[str, str]] = []

        def write(path: Path, text: str, write: Any = tracefs._write) -> None:
            written.append((path.name, text))
            write(path, text)

        monkeypatch.setattr(tracefs, "_write", write)
        return written

    @pytest.mark.parametrize(
        ("options", "stacks"), [((), "nostacktrace"), (("--stacks",), "stacktrace")]
    )
    def test_is_set_up_before_its_events_are_on(
        self,
        kernel: FakeKernel,
        written: list[tuple[str, str]],
        options: tuple[str, ...],
        stacks: str,
    ) -> None:
        """The text has the format that the reader expects, whatever others set in tracefs."""
        record(kernel, "--buffer-kb", "64", *options, "--", "true")
        assert written[-6:] == [("enable", "1")] * 3 + [("enable", "0")] * 3
        assert sorted(written[:-6]) == sorted(
            [("buffer_size_kb", "64"), ("trace_clock", "mono")]
            + [("filter", "function.function == pcpu_balance_workfn")] * 2
            + [("trace_options", option) for option in (*OPTIONS.split(), stacks)]
        )

    def test_of_an_older_kernel_takes_the_address_of_a_function(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        symbols = tmp_path / "kallsyms"
        symbols.write_text("ffff1 t other\nffff2 t pcpu_balance_workfn\nffff3 t last [mod]\n")
        monkeypatch.setattr(tracefs, "SYMBOLS", symbols)

        def write(path: Path, text: str, write: Any = tracefs._write) -> None:
            if "function.function" in text:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
            write(path, text)

        monkeypatch.setattr(tracefs, "_write", write)
        assert record(kernel, "--", "true") == 0
        for name in tracefs.WORK:
            assert kernel.left[f"events/workqueue/{name}/filter"] == "function == 0xffff2"
            assert kernel.left[f"events/workqueue/{name}/enable"] == "0"

    @pytest.mark.parametrize("symbols", ["0000000000000000 t pcpu_balance_workfn\n", "", None])
    def test_without_the_background_work(
        self,
        kernel: FakeKernel,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        symbols: str | None,
    ) -> None:
        """Addresses are hidden, or there is no such function: other work is not recorded."""
        if symbols is not None:
            (tmp_path / "kallsyms").write_text(symbols)
        monkeypatch.setattr(tracefs, "SYMBOLS", tmp_path / "kallsyms")

        def write(path: Path, text: str, write: Any = tracefs._write) -> None:
            if path.name == "filter":
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
            write(path, text)

        monkeypatch.setattr(tracefs, "_write", write)
        assert record(kernel, "--", "true") == 0
        assert kernel.left[f"events/workqueue/{tracefs.WORK[0]}/enable"] == ""

    @pytest.mark.parametrize(("number", "status"), [(errno.EINVAL, 0), (errno.EIO, 2)])
    def test_may_lack_an_option(
        self,
        kernel: FakeKernel,
        written: list[tuple[str, str]],
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        status: int,
    ) -> None:
        """Older kernels refuse the name of an option; other errors are errors."""

        def write(path: Path, text: str, write: Any = tracefs._write) -> None:
            write(path, text)
            if text == "nofields":
                raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(tracefs, "_write", write)
        assert record(kernel, "--", "true") == status
        assert (("enable", "1") in written) == (status == 0)
        assert (("trace_options", "overwrite") in written) == (status == 0)

    def test_that_is_in_use_for_a_moment_is_removed(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel.busy = True
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            kernel.busy = len(pauses) < 3

        with tracefs.Instance(kernel.place, 64, pytest.fail):
            monkeypatch.setattr(time, "sleep", sleep)
        assert list(kernel.instances.iterdir()) == []
        assert len(pauses) == 3

    def test_of_this_process_that_was_left_is_removed(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        stale = kernel.instances / f"percpu-ffi-{os.getpid()}-beef"
        stale.mkdir()
        record(kernel, "--", "true")
        assert f"removed {stale}" in capfd.readouterr().err

    def test_has_our_clock_and_buffer_and_its_events_are_off_at_the_end(
        self, kernel: FakeKernel
    ) -> None:
        record(kernel, "--buffer-kb", "123", "--", "true")
        assert kernel.left["buffer_size_kb"] == "123"
        assert kernel.left["trace_clock"] == "mono"
        assert kernel.left["events/percpu/enable"] == "0"

    def test_records_while_the_command_runs(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        record(kernel, *shell(f"cat {kernel.instances}/*/events/percpu/enable"))
        assert capfd.readouterr().out == "1"

    def test_of_a_killed_recorder_is_removed(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with subprocess.Popen(["true"]) as gone:
            pass
        stale = kernel.instances / f"percpu-ffi-{gone.pid}-beef"
        stale.mkdir()
        record(kernel, "--", "true")
        assert f"removed {stale}" in capfd.readouterr().err

    def test_of_a_killed_recorder_may_be_in_use(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its recorder runs in another container."""
        kernel.busy = True
        with subprocess.Popen(["true"]) as gone:
            pass
        stale = kernel.instances / f"percpu-ffi-{gone.pid}-beef"
        stale.mkdir()
        tracefs._remove_stale(kernel.instances, pytest.fail)
        assert stale.exists()

    def test_of_others_is_left_alone(self, kernel: FakeKernel) -> None:
        alive = kernel.instances / f"percpu-ffi-{os.getppid()}-beef"
        foreign = kernel.instances / "percpu-ffi-mine"
        alive.mkdir()
        foreign.mkdir()
        main(["record", "-o", "t.trace", "--tracefs", str(kernel.place), "--", "true"])
        assert sorted(kernel.instances.iterdir()) == sorted([alive, foreign])

    def test_that_cannot_be_removed_is_reported_and_its_events_are_off(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        kernel.busy = True
        assert record(kernel, "--", "true") == 0
        (left,) = kernel.instances.iterdir()
        assert f"rmdir {left}" in capfd.readouterr().err
        assert (left / "events/percpu/enable").read_text() == "0"


class TestCommand:
    def test_keeps_its_output_and_its_status(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert record(kernel, *shell("echo out; echo err >&2; exit 1")) == 1
        out, err = capfd.readouterr()
        assert out == "out\n"
        assert err.startswith("err\n")
        assert "t.trace: 5 events in" in err
        assert "sh ended with status 1" in err

    def test_that_succeeds_needs_no_message(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert record(kernel, "--", "true") == 0
        assert "ended" not in capfd.readouterr().err

    def test_status_survives_a_summary_that_cannot_be_printed(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The status was 1 after the terminal was closed."""
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stderr", full)
            assert record(kernel, *shell("exit 3")) == 3
        assert len(Trace.load("t.trace")) == 5

    def test_that_is_killed_counts_as_in_shells(self, kernel: FakeKernel) -> None:
        assert record(kernel, *shell("kill -KILL $$")) == 128 + signal.SIGKILL

    def test_needs_no_dashes_and_may_have_its_own(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert record(kernel, "echo", "-n", "--", "-o") == 0
        assert capfd.readouterr().out == "-- -o"

    def test_continues_when_the_time_is_over(self, kernel: FakeKernel) -> None:
        script = "while [ ! -s t.trace ]; do sleep 0.01; done; exit 4"
        assert record(kernel, "--seconds", "0.01", *shell(script)) == 4

    def test_is_not_waited_for_in_the_length_of_the_recording(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert record(kernel, "--seconds", "0.04", "--", "sleep", "0.2") == 0
        err = capfd.readouterr().err
        assert "unrecorded" not in err
        seconds = re.search(r"5 events in ([\d.]+) s", err)
        assert seconds
        assert 0.04 <= float(seconds[1]) < 0.2

    def test_that_does_not_exist(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert record(kernel, "--", "no-such-command") == 2
        assert "no-such-command: No such file" in capfd.readouterr().err
        assert record(kernel, "--", "true\0") == 2
        assert "true?: embedded null byte" in capfd.readouterr().err
        assert not Path("t.trace").exists()


class TestSignals:
    def test_ctrl_c_ends_a_recording_without_command_and_time(self, kernel: FakeKernel) -> None:
        kernel.signal = signal.SIGINT
        assert record(kernel) == 0
        assert len(Trace.load("t.trace")) == 5

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_end_the_recording_which_is_kept(
        self, kernel: FakeKernel, number: signal.Signals
    ) -> None:
        kernel.signal = number
        assert record(kernel) == 128 + number
        assert len(Trace.load("t.trace")) == 5

    def test_ctrl_c_before_the_time_is_over_sets_the_status(self, kernel: FakeKernel) -> None:
        kernel.signal = signal.SIGINT
        assert record(kernel, "--seconds", "60") == 128 + signal.SIGINT
        assert len(Trace.load("t.trace")) == 5

    def test_are_passed_on_to_the_command(self, kernel: FakeKernel) -> None:
        script = "trap 'exit 7' TERM; kill -TERM $PPID; while :; do sleep 0.01; done"
        assert record(kernel, *shell(script)) == 7
        assert len(Trace.load("t.trace")) == 5

    def test_ctrl_c_that_the_command_ignores_terminates_it_later(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(period, "GRACE", 0.05)
        script = "trap '' INT; kill -INT $PPID; exec sleep 60"
        assert record(kernel, *shell(script)) == 128 + signal.SIGTERM
        assert len(Trace.load("t.trace")) == 5

    def test_second_one_ends_the_time_to_finish(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(period, "GRACE", 5.0)
        script = "trap '' INT; kill -INT $PPID; sleep 0.05; kill -INT $PPID; exec sleep 60"
        before = time.monotonic()
        assert record(kernel, *shell(script)) == 128 + signal.SIGTERM
        assert time.monotonic() - before < 4

    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # the process that keeps running
    def test_command_that_ignores_them_keeps_running(
        self,
        kernel: FakeKernel,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(period, "GRACE", 0.05)
        monkeypatch.setattr(period, "LAST", 0.05)
        script = "trap '' TERM; echo $$; kill -TERM $PPID; exec sleep 60"
        assert record(kernel, *shell(script)) == 128 + signal.SIGTERM
        out, err = capfd.readouterr()
        os.kill(int(out), signal.SIGKILL)
        assert "does not end; it keeps running" in err

    def test_that_were_ignored_stay_ignored(self, kernel: FakeKernel) -> None:
        """As under nohup, and for the background processes of a script."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            assert record(kernel, *shell("kill -INT $PPID; kill -INT $$; exit 5")) == 5
        finally:
            signal.signal(signal.SIGINT, before)

    def test_before_the_command_starts_prevent_it(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fill(path: Path, fill: Any = kernel.fill) -> None:
            fill(path)
            os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(kernel, "fill", fill)
        assert record(kernel, "--", "touch", "started") == 128 + signal.SIGTERM
        assert not Path("started").exists()

    def test_while_the_command_starts_are_passed_on(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(command: Any, start: Any = subprocess.Popen) -> Any:
            signal.raise_signal(signal.SIGTERM)
            return start(command)

        monkeypatch.setattr(subprocess, "Popen", start)
        assert record(kernel, "--", "sleep", "60") == 128 + signal.SIGTERM

    def test_act_as_before_afterwards(self, kernel: FakeKernel) -> None:
        before = [signal.getsignal(number) for number in period.SIGNALS]
        record(kernel, "--", "true")
        assert [signal.getsignal(number) for number in period.SIGNALS] == before


class TestTrouble:
    """One sentence, status 2, no output file, no instance left."""

    def check(self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str], *words: str) -> None:
        assert record(kernel, "--", "touch", "started") == 2
        err = capfd.readouterr().err
        assert all(word in err for word in words), err
        assert "Traceback" not in err
        assert not Path("t.trace").exists()

    def test_no_tracefs(self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]) -> None:
        kernel.place = Path("nowhere")
        self.check(kernel, capfd, "no tracefs", "mount -t tracefs", "perf record -e 'percpu:*'")
        assert not Path("started").exists()

    def test_tracefs_in_the_usual_places(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The first one that there is; a place that is given is the only one."""
        (tmp_path / "file").touch()
        for places, found in (
            (["nowhere", "file", "tracefs"], "tracefs"),
            (["tracefs", "nowhere"], "tracefs"),
        ):
            monkeypatch.setattr(tracefs, "PLACES", places)
            assert find_tracefs() == Path(found)
        with pytest.raises(RecordError, match="no tracefs with instances at nowhere; mount it"):
            find_tracefs("nowhere")
        monkeypatch.setattr(tracefs, "PLACES", ["nowhere", "file"])
        with pytest.raises(RecordError, match="no tracefs with instances at nowhere or file; "):
            find_tracefs()

    @pytest.mark.parametrize(
        ("number", "root"), [(errno.EPERM, True), (errno.EROFS, True), (errno.EBUSY, False)]
    )
    def test_reason_of_a_refusal(
        self,
        kernel: FakeKernel,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        root: bool,
    ) -> None:
        def refuse(path: Path) -> None:
            path.rmdir()
            raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(kernel, "fill", refuse)
        assert record(kernel, "--", "true") == 2
        err = capfd.readouterr().err
        assert f": {os.strerror(number)}; " in err
        assert ("recording needs root" in err) == root

    def test_no_percpu_events(self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]) -> None:
        (kernel.place / "events/percpu").rmdir()
        self.check(kernel, capfd, "this kernel has no percpu events")

    def test_no_root(
        self,
        kernel: FakeKernel,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(path: Path) -> None:
            path.rmdir()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(kernel, "fill", refuse)
        self.check(kernel, capfd, "Permission denied", "sudo", "perf record", "perf script")
        assert not Path("started").exists()

    def test_no_memory_for_the_buffers(
        self,
        kernel: FakeKernel,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fill(path: Path, fill: Any = kernel.fill) -> None:
            fill(path)
            (path / "buffer_size_kb").unlink()
            (path / "buffer_size_kb").symlink_to("/dev/full")

        monkeypatch.setattr(kernel, "fill", fill)
        monkeypatch.setattr(kernel, "empty", shutil.rmtree)
        self.check(kernel, capfd, "4096 KiB", "smaller --buffer-kb")
        assert not Path("started").exists()

    def test_no_event(self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]) -> None:
        kernel.text = ""
        self.check(kernel, capfd, "no percpu event in", "no file was written")

    def test_malformed_line_is_skipped(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A malformed line after an hour discarded the whole hour."""
        *good, last = TEXT.splitlines(keepends=True)
        kernel.text = "".join([*good, last.replace("ptr=", "ptr?"), last])
        assert record(kernel, "--", "true") == 0
        first = f"line {len(good) + 2} is the first: 'ip-7"
        assert f"skipped 1 damaged event; {first}" in capfd.readouterr().err
        Path("same.txt").write_text(TEXT, encoding="utf-8")
        recorded = Trace.load("t.trace")
        assert recorded == Trace.load("same.txt")
        assert [(row.kind, row.lines) for row in recorded.skipped] == [("damaged", 1)]

    def test_full_disk(self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]) -> None:
        assert record(kernel, "-o", "/dev/full", "--", "true") == 2
        assert "/dev/full: No space left on device; the file holds" in capfd.readouterr().err

    def test_existing_file_is_kept(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        Path("t.trace").write_text("precious")
        assert record(kernel, "--", "touch", "started") == 2
        assert (
            "-o t.trace: the file exists; give another name, or --force" in capfd.readouterr().err
        )
        assert Path("t.trace").read_text() == "precious"
        assert not Path("started").exists()

    def test_pipe_gets_the_recording_as_it_comes(self, kernel: FakeKernel) -> None:
        os.mkfifo("pipe")
        with subprocess.Popen("cat pipe > copy", shell=True):
            assert record(kernel, "-o", "pipe", "--", "true") == 0
        assert len(Trace.load("copy")) == 5

    @pytest.mark.parametrize(
        ("output", "reason"), [("no/such/t.trace", "No such file"), (".", "a directory")]
    )
    def test_unwritable_file_is_refused_before_anything_starts(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str], output: str, reason: str
    ) -> None:
        assert record(kernel, "-o", output, "--", "touch", "started") == 2
        assert reason in capfd.readouterr().err
        assert not Path("started").exists()
        assert kernel.left == {}  # there was no instance

    @pytest.mark.parametrize(
        "option",
        ["--seconds=0", "--seconds=-1", "--seconds=inf", "--seconds=soon", "--buffer-kb=0"],
    )
    def test_invalid_numbers(
        self, kernel: FakeKernel, capfd: pytest.CaptureFixture[str], option: str
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            record(kernel, option)
        assert f"{option.partition('=')[2]}: give" in capfd.readouterr().err


# the real kernel


@pytest.fixture
def tracing() -> Iterator[Path]:
    """The real tracefs, for one test at a time: a recorder removes what killed ones left."""
    try:
        place = find_tracefs()
        probe = place / "instances" / f"percpu-ffi-test-{os.getpid()}"
        probe.mkdir()
        probe.rmdir()
    except (RecordError, OSError) as error:
        pytest.skip(f"the kernel cannot be recorded: {str(error).splitlines()[0]}")
    instances = os.open(place / "instances", os.O_RDONLY)
    fcntl.flock(instances, fcntl.LOCK_EX)
    yield place
    os.close(instances)


def settings(tracing: Path) -> dict[str, str]:
    """The settings that a recorder could change."""
    names = ("tracing_on", "current_tracer", "set_event", "trace_clock", "trace_options")
    return {name: (tracing / name).read_text() for name in (*names, "events/enable")}


def ours(tracing: Path, process: subprocess.Popen[str]) -> list[Path]:
    return list((tracing / "instances").glob(f"percpu-ffi-{process.pid}-*"))


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "percpu_ffi", "record", *args],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


FORKS = "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done"
FOREVER = "while :; do /bin/true; done"


class TestRealKernel:
    def test_is_recorded_and_refake(self, tracing: Path, tmp_path: Path) -> None:
        before = settings(tracing)
        with start("-o", str(tmp_path / "t"), "--", "sh", "-c", FORKS) as recorder:
            err = recorder.communicate()[1]
        assert recorder.returncode == 0, err
        assert settings(tracing) == before
        assert ours(tracing, recorder) == []
        trace = Trace.load(tmp_path / "t")
        assert trace.stats.allocs >= 9
        assert trace.stats.lost == 0
        assert re.search(rf"{trace.stats.events:,} events in [\d.]+ s", err)
        assert any("mm_init" in kind.site for kind in trace.kinds)
        assert main(["replay", str(tmp_path / "t")]) == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_settings_are_unchanged_after_a_signal(
        self, tracing: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        before = settings(tracing)
        script = f"touch {tmp_path / 'started'}; {FOREVER}"
        with start("-o", str(tmp_path / "t"), "--", "sh", "-c", script) as recorder:
            while not (tmp_path / "started").exists():
                assert recorder.poll() is None
                time.sleep(0.01)
            time.sleep(0.1)
            os.killpg(recorder.pid, number)  # as a terminal does
            err = recorder.communicate()[1]
        assert recorder.returncode == 128 + number, err
        assert settings(tracing) == before
        assert ours(tracing, recorder) == []
        assert Trace.load(tmp_path / "t").stats.allocs

    def test_instance_of_a_killed_recorder_is_removed(self, tracing: Path, tmp_path: Path) -> None:
        with start("-o", str(tmp_path / "t")) as recorder:
            while not any((i / "trace_pipe").exists() for i in ours(tracing, recorder)):
                assert recorder.poll() is None
                time.sleep(0.01)
            recorder.kill()
        assert len(ours(tracing, recorder)) == 1
        assert main(["record", "-o", str(tmp_path / "u"), *shell(FORKS)]) == 0
        assert ours(tracing, recorder) == []
