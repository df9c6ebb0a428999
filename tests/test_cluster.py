# SPDX-License-Identifier: GPL-2.0-only
"""``--dask``: a scheduler and two worker processes on this machine, as docs/cluster.md starts them.

The cluster is in a process of its own, since it has threads.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import FORK, NETNS

from percpu_ffi import ConfigError, Model, PercpuError, PercpuMemoryError, TraceError
from percpu_ffi.cli import main
from percpu_ffi.executors import Shared, dask_cluster
from percpu_ffi.executors.dask_cluster import DaskCluster
from percpu_ffi.executors.installed import installed

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

CLUSTER = """
import signal
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    # a task that ends its worker is given up at once, not with the fourth worker
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
    print(cluster.scheduler_address, flush=True)
    signal.pause()
"""
CHECK = ["check", "--random", "--operations=600", "--length=20", "--seed=5"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers, which can import this module."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "cluster.py").write_text(CLUSTER)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": ":".join(paths), "DASK_TEMPORARY_DIRECTORY": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "cluster.py"], cwd=folder, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout
        yield process.stdout.readline().strip()
        os.killpg(process.pid, signal.SIGKILL)  # it would wait for workers that start again


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        CHECK,
        ["compare", NETNS, "--policy=area-map,bitmap", "--cpus=2,4"],
        ["compare", FORK, "--cpus=2", "--with=mine=conftest:OnePage"],
        ["sizes", NETNS, FORK],
    ],
    ids=lambda command: command[0],
)
def test_output_is_that_of_one_machine(
    command: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = printed(capsys, *command, "--jobs=1")
    assert printed(capsys, *command, "--dask", address) == expected


def test_interrupt_cancels_what_the_cluster_has_not_done(address: str, tmp_path: Path) -> None:
    from distributed import Client  # noqa: PLC0415 - an extra

    command = [sys.executable, "-m", "percpu_ffi", "check", "--random", "--operations=9000000"]
    command.append("--length=50")
    state = tmp_path / "state"
    with Client(address, set_as_default=False) as client:
        with subprocess.Popen(
            [*command, "--dask", address, "--resume", str(state)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            wait_until(lambda: any(client.processing().values()) or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        assert process.returncode == 130
        assert error == f"percpu-ffi: stopped; the same command goes on from {state}\n"
        wait_until(lambda: not any(client.processing().values()))


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_shared_object_is_sent_once(address: str) -> None:
    with dask_cluster.dask_cluster(address) as cluster:
        shared = Shared(["the trace"])
        futures = [cluster.submit(_first, shared, n) for n in range(6)]
        assert [future.result() for future in futures] == [f"the trace {n}" for n in range(6)]
        (_, sent) = cluster._sent
        assert cluster._argument(shared) is sent
        assert cluster._argument(Shared(["another"])) is not sent
        assert cluster._argument(7) == 7
        assert sum(cluster.nthreads().values()) == 2


def _first(shared: Shared[list[str]], number: int) -> str:
    return f"{shared.value[0]} {number}"


@pytest.mark.parametrize(
    "error",
    [PercpuMemoryError("full", "map"), TraceError("odd", "file", 3), ConfigError("wrong")],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_sent_as_they_are(error: PercpuError, address: str) -> None:
    """Dask pickles errors in its own way, and failed with one of memory."""
    with (
        dask_cluster.dask_cluster(address) as cluster,
        pytest.raises(type(error)) as caught,
    ):
        cluster.submit(_fail, error).result()
    assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))


def _fail(error: PercpuError) -> None:
    raise error


def test_workers_with_other_versions_are_refused(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_cluster, "installed", lambda: "percpu_ffi 9")
    assert main([*CHECK, "--dask", address]) == 2
    error = capsys.readouterr().err
    assert f"has {installed()}, and this machine percpu_ffi 9; install the same on all" in error
    assert "the worker tcp://127.0.0.1:" in error


class Fatal(Model):
    """Ends its process."""

    def alloc(self, *_: object, **__: object) -> int:
        os._exit(3)


def test_lost_worker_is_one_sentence(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    party = ["--with", f"fatal={__name__}:Fatal", "--only", "model", "fatal"]
    assert main([*CHECK, *party, "--dask", address]) == 2
    error = capsys.readouterr().err
    assert error.startswith("percpu-ffi: a worker was lost in the cases 0 to 9 of seed 5 (Attempt")
    assert error.endswith("--case 0 to --case 9, or with Campaign.case()\n")
    assert error.count("\n") == 1


def test_worker_without_this_package_or_no_worker_at_all() -> None:
    """Dask sends what a worker is asked as code, so that it needs nothing there."""

    class Client:
        def __init__(self, *answers: str) -> None:
            self.answers = answers

        def wait_for_workers(self, number: int, timeout: float) -> None:
            assert (number, timeout) == (1, dask_cluster.TIMEOUT)
            if not self.answers:
                raise TimeoutError

        def run(self, function: Any) -> dict[str, str]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(sys.modules, "percpu_ffi.executors.installed", None)
                answer = function()
            return dict.fromkeys(self.answers, answer)

    with pytest.raises(ConfigError, match=r"^the worker here has no such package \(import of perc"):
        dask_cluster._check_workers(Client("here"), "tcp://host:8786")
    with pytest.raises(ConfigError, match="8786 has no workers; start some: dask worker tcp://h"):
        dask_cluster._check_workers(Client(), "tcp://host:8786")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("host", "missing port number in address 'host'"),
        ("", "missing port number"),
        ("other://host:1", "unknown address scheme 'other'"),
        ("tcp://127.0.0.1:1", "Timed out trying to connect"),
    ],
)
def test_address_without_a_scheduler(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_cluster, "TIMEOUT", 0.2)
    assert main([*CHECK, "--dask", address]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"percpu-ffi: no dask scheduler at {address!r} (")
    assert words in error
    assert error.endswith("give the address that it prints, such as tcp://host:8786\n")


def test_other_service_at_the_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client of dask waits for its answer without end."""
    monkeypatch.setattr(dask_cluster, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(1000)
                connection.recv(1000)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        assert main([*CHECK, "--dask", f"tcp://127.0.0.1:{port}"]) == 2
    assert f"no dask scheduler at 'tcp://127.0.0.1:{port}' (" in capsys.readouterr().err
    thread.join(10)


def test_scheduler_that_is_lost_is_an_error() -> None:
    """Dask would try for half a minute to connect again."""
    future = SimpleNamespace(
        done=lambda: False, cancel=lambda: True, result=lambda timeout=None: timeout
    )
    executor = SimpleNamespace(submit=lambda function, *args: future)
    client = SimpleNamespace(
        status="running", get_executor=lambda **_: executor, nthreads=lambda: {"a": 3}
    )
    cluster = DaskCluster(client, "tcp://host:8786")
    pending = cluster.submit(abs, -1)
    assert pending.result(7) == 7
    assert cluster.nthreads() == {"a": 3}
    client.status = "connecting"
    for call in (lambda: pending.result(7), lambda: cluster.submit(abs, -1), cluster.nthreads):
        with pytest.raises(PercpuError, match="scheduler at tcp://host:8786 is lost; start it aga"):
            call()


def test_missing_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("percpu_ffi._util.optional.find_spec", lambda _name: None)
    assert main([*CHECK, "--dask", "tcp://host:8786"]) == 2
    assert capsys.readouterr().err == (
        "percpu-ffi: a cluster needs dask, the extra 'cluster': pip install 'percpu_ffi[cluster]'\n"
    )


@pytest.mark.parametrize("name", ["distributed.client", "tornado.application"])
def test_dask_logs_again_afterwards(name: str) -> None:
    log = logging.getLogger(name)
    before = log.level
    with dask_cluster._without_logs():
        assert not log.isEnabledFor(logging.CRITICAL)
    assert log.level == before
