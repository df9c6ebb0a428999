# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C ends every command cleanly at any moment: status 130, and one sentence at most.

`check --random` printed the InvalidStateError of a thread; a command that was still importing
printed where.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

import pytest
from conftest import in_child

import percpu_ffi.cli
from percpu_ffi import Allocator, InvalidRequest, __main__
from percpu_ffi._util import interrupts
from percpu_ffi.executors import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130

# Sends Ctrl-C some time after a module begins to be imported, to the whole group of processes, as
# a terminal does.
INTERRUPT = """
import os, runpy, signal, sys, time

class Interrupt:
    @staticmethod
    def find_spec(name, *_):
        if name != module:
            return
        if not delay:
            os.killpg(0, signal.SIGINT)
        elif os.fork() == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            time.sleep(delay)
            os.killpg(0, signal.SIGINT)
            os._exit(0)

module, delay = sys.argv.pop(1), float(sys.argv.pop(1))
sys.meta_path.insert(0, Interrupt)
"""
AS_MODULE = "runpy.run_module('percpu_ffi', run_name='__main__', alter_sys=True)"
AS_SCRIPT = "from percpu_ffi.__main__ import main; sys.exit(main())"
FIRST = "percpu_ffi._util"  # the first one that the command imports


def start(program: str, module: str, delay: float, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INTERRUPT + program, module, str(delay), *args]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for its end; return its status and what it printed about it."""
    with process:
        _, error = process.communicate(timeout=60)
    return process.returncode, error


def test_script_starts_with_the_module_that_handles_it() -> None:
    (script,) = distribution("percpu_ffi").entry_points.select(group="console_scripts")
    assert script.load() is __main__.main


@pytest.mark.parametrize("program", [AS_MODULE, AS_SCRIPT], ids=["module", "script"])
def test_one_that_an_import_would_drop(program: str) -> None:
    """Python drops an exception in a callback, such as that of a module's lock.

    A command that was importing its handler for the signal went on, one time in some thousand.
    """
    in_callback = f"""
import runpy, signal, sys

class Callback:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

class Importing:
    @staticmethod
    def find_spec(name, *_):
        if name == "{FIRST}.interrupts":
            Callback()

sys.meta_path.insert(0, Importing)
"""
    command = [sys.executable, "-c", in_callback + program, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "")


@pytest.mark.parametrize("program", [AS_MODULE, AS_SCRIPT], ids=["module", "script"])
def test_while_a_module_is_imported(program: str) -> None:
    modules = [FIRST, f"{FIRST}.interrupts", "percpu_ffi.cli", "argparse", "percpu_ffi._core"]
    running = [start(program, module, 0, "check", "--random") for module in modules]
    assert [ends(process) for process in running] == [(INTERRUPTED, "")] * len(modules)


@pytest.mark.parametrize(
    ("sentence", "command"),
    [
        ("percpu-ffi: stopped\n", ["check", "--random", "--operations", "3000000", "--jobs", "2"]),
        ("percpu-ffi: interrupted; ", ["bench", "churn"]),
    ],
)
def test_at_many_moments(sentence: str, command: list[str]) -> None:
    delays = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8)
    running = [start(AS_MODULE, FIRST, delay, *command) for delay in delays]
    for status, error in [ends(process) for process in running]:
        assert status == INTERRUPTED
        assert error == "" or (error.startswith(sentence) and error.count("\n") == 1)


class TestCommand:
    """A command that is interrupted, in a process of its own."""

    def run(self, monkeypatch: pytest.MonkeyPatch, command: Callable[[], Any]) -> int:
        """Run a function as the command line; return the exit status."""
        monkeypatch.setattr(percpu_ffi.cli, "main", command)
        return in_child(lambda: os._exit(__main__.main()))

    @pytest.fixture(autouse=True)
    def _silence(self, capfd: pytest.CaptureFixture[str]) -> Any:
        """Let it print nothing."""
        yield
        assert capfd.readouterr().err == ""

    def test_status_without_an_interrupt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.run(monkeypatch, lambda: 7) == 7

    def test_library_that_makes_another_error_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def work() -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("numpy.core.multiarray failed to import") from None

        assert self.run(monkeypatch, work) == INTERRUPTED

    def test_library_that_drops_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Deleted:
            def __del__(self) -> None:
                signal.raise_signal(signal.SIGINT)

        def work() -> None:
            Deleted()
            time.sleep(60)

        assert self.run(monkeypatch, work) == INTERRUPTED

    @pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
    def test_callback_of_c(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def warn(_text: str) -> None:
            signal.raise_signal(signal.SIGINT)

        def work() -> None:
            with Allocator() as allocator:
                try:
                    allocator.alloc(0)
                except InvalidRequest:
                    time.sleep(60)

        monkeypatch.setattr("percpu_ffi.allocator.warn", warn)
        assert self.run(monkeypatch, work) == INTERRUPTED

    def test_more_of_them_leave_it_time_to_stop(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        """`timeout` sends it twice."""

        def work() -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                (tmp_path / "saved").touch()

        assert self.run(monkeypatch, work) == INTERRUPTED
        assert (tmp_path / "saved").exists()

    def test_one_that_comes_later_ends_it_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def work() -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                time.sleep(0.02)
                signal.raise_signal(signal.SIGINT)
                time.sleep(60)

        monkeypatch.setattr(interrupts, "GRACE", 0.01)
        assert self.run(monkeypatch, work) == INTERRUPTED

    def test_at_exit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def work() -> None:
            __main__.main()
            signal.raise_signal(signal.SIGINT)
            os._exit(0)

        monkeypatch.setattr(percpu_ffi.cli, "main", lambda: 0)
        assert in_child(work) == INTERRUPTED

    def test_one_that_is_ignored_stays_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As under nohup, and for the background processes of a script."""

        def work() -> int:
            signal.raise_signal(signal.SIGINT)
            return 7

        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            assert self.run(monkeypatch, work) == 7
        finally:
            signal.signal(signal.SIGINT, before)


def blocked() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_do_not_receive_it() -> None:
    with WorkerPool(1) as pool:
        assert pool.submit(blocked).result()
    assert not blocked()
