# SPDX-License-Identifier: GPL-2.0-only
"""Malloc libraries as contenders of the benchmark, where they are installed and where not."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import ConfigError
from percpu_ffi.bench import contenders, libraries
from percpu_ffi.bench.contenders import CONTENDERS, Contender, LibrarySession, choose_contenders
from percpu_ffi.bench.libraries import JEMALLOC, LIBC, MIMALLOC, Library, why_missing
from percpu_ffi.bench.run import Plan, new_results
from percpu_ffi.bench.workload import Geometry, Options, Phase, Workload, allocs, frees
from percpu_ffi.bench.workloads import WORKLOADS
from percpu_ffi.cli import main

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = Library("libabsent.so.9", "libabsent9", lambda _: None)
TLS = "libjemalloc.so.2: cannot allocate memory in static TLS block"

# three CPUs, units of 64 KiB
KINDS = ((100, 8), (100, 256), (65536, 8), (65537, 8))
WORKLOAD = Workload("sample", "", (), KINDS, slots=4, geometry=Geometry(cpus=3))


def copies(session: LibrarySession, handle: int, size: int) -> bytearray:
    """Return the block of a handle, as memory that can be written."""
    array = ctypes.c_ubyte * size
    return array.from_address(session._bench.ptrs[handle])  # type: ignore[return-value]


class TestAreas:
    @pytest.mark.parametrize("name", ["aligned_alloc", "calloc", "mimalloc"])
    def test_area_is_cleared_for_each_cpu(self, name: str) -> None:
        """100 bytes take two cache lines of each of three CPUs, and are cleared when reused."""
        if why := CONTENDERS[name].missing():
            pytest.skip(why)
        with CONTENDERS[name].open(WORKLOAD) as session:
            assert isinstance(session, LibrarySession)
            for _ in range(3):
                session.run(allocs([0]))
                block = copies(session, 0, 3 * 128)
                assert not any(block)
                block[:] = bytes([255]) * len(block)
                session.run(frees([0]))

    @pytest.mark.parametrize("name", ["aligned_alloc", "calloc"])
    def test_alignment(self, name: str) -> None:
        with CONTENDERS[name].open(WORKLOAD) as session:
            assert isinstance(session, LibrarySession)
            session.run(allocs([0, 1], [0, 1]))
            assert session._bench.ptrs[0] % (64 if name == "aligned_alloc" else 16) == 0
            assert session._bench.ptrs[1] % 256 == 0

    def test_largest_request_is_that_of_the_port(self) -> None:
        for name in ("aligned_alloc", "calloc"):
            with CONTENDERS[name].open(WORKLOAD) as session:
                session.run(allocs([0, 1], [2, 3]))
                assert session.failures == 1

    def test_calloc_and_aligned_alloc_are_different_functions(self) -> None:
        for name, calls_calloc in (("aligned_alloc", False), ("calloc", True)):
            with CONTENDERS[name].open(WORKLOAD) as session:
                assert isinstance(session, LibrarySession)
                assert bool(session._functions.calloc) is calls_calloc
                assert session._functions.cpus == 3

    def test_free_memory_is_returned_at_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the areas that are still live."""
        trimmed: list[int] = []
        session = LibrarySession(
            WORKLOAD,
            LIBC._replace(trim=lambda _: trimmed.append(session._bench.ptrs[0])),
            calloc=False,
        )
        session.run(allocs([0]))
        session.close()
        assert trimmed == [0]

    @pytest.mark.parametrize("library", [LIBC, MIMALLOC])
    def test_libraries_can_return_memory(self, library: Library) -> None:
        if why := why_missing(library):
            pytest.skip(why)
        library.trim(libraries.functions_of(library))

    def test_jemalloc_returns_the_memory_of_all_arenas(self) -> None:
        calls: list[Any] = []
        JEMALLOC.trim(type("Fake", (), {"mallctl": lambda *args: calls.append(args)}))
        assert [args[0] for args in calls] == [b"thread.tcache.flush", b"arena.4096.purge"]
        LIBC.trim(object())  # a C library without malloc_trim()


class TestAbsent:
    @pytest.fixture(autouse=True)
    def absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: Contender = contenders._library(ABSENT, "jemalloc", "")
        monkeypatch.setitem(CONTENDERS, "jemalloc", made)

    def test_package_is_named(self) -> None:
        assert why_missing(ABSENT).startswith("libabsent.so.9: ")
        assert why_missing(ABSENT).endswith("; install Debian's package libabsent9")
        assert why_missing(LIBC) == ""

    def test_run_goes_on_without(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "a.json"
        numbers = "--objects 50 --live 5 --repeat 1 --seconds 0 --no-memory"
        assert main(["bench", "churn", *numbers.split(), "--json", str(out)]) == 0
        assert "left out    jemalloc: libabsent.so.9: " in capsys.readouterr().out
        (phase,) = json.loads(out.read_text())["workloads"][0]["phases"]
        assert "jemalloc" not in phase["contenders"]
        assert "calloc" in phase["contenders"]

    def test_named_one_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match=r"^contender jemalloc: .*package libabsent9$"):
            choose_contenders(["jemalloc"])
        notes = new_results(Plan([], ["jemalloc"], Options(), 1, 0, bounds=False)).notes
        assert notes == []


class TestRoom:
    """The thread-local variables of jemalloc find no room, unless it is reserved at the start."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        calls: list[Any] = []
        monkeypatch.setattr(os, "execv", lambda *args: calls.append(args))
        monkeypatch.setattr(sys, "executable", "/bin/python")
        monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "percpu_ffi", "bench"])
        monkeypatch.setenv("GLIBC_TUNABLES", "")
        monkeypatch.setattr(libraries, "functions_of", self.fail)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda *args: calls.append(args))
        return calls

    @staticmethod
    def fail(library: Library) -> None:
        raise OSError(TLS if library is JEMALLOC else "no such file")

    def test_message_has_the_remedy(self, started: list[Any]) -> None:
        remedy = "; start again with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096"
        assert why_missing(JEMALLOC) == TLS + remedy

    @pytest.mark.parametrize("before", ["", "glibc.malloc.check=1"])
    def test_process_starts_again(
        self, started: list[Any], before: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GLIBC_TUNABLES", before)
        libraries.make_room()
        assert started == [
            (signal.SIG_BLOCK, {signal.SIGINT}),
            ("/bin/python", ["/bin/python", "-m", "percpu_ffi", "bench"]),
        ]
        ours = "glibc.rtld.optional_static_tls=4096"
        assert os.environ["GLIBC_TUNABLES"] == (f"{before}:{ours}" if before else ours)

    def test_it_starts_once_only(self, started: list[Any]) -> None:
        """More room does not always help.  Ctrl-C, which waited for the start, acts now."""
        os.environ["GLIBC_TUNABLES"] = "glibc.rtld.optional_static_tls=1"
        libraries.make_room()
        assert started == [(signal.SIG_UNBLOCK, {signal.SIGINT})]

    def test_absent_library_needs_no_room(
        self, started: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(libraries, "functions_of", lambda _: 1 / 0)
        monkeypatch.setattr(libraries, "why_missing", lambda _: "no such file")
        libraries.make_room()
        assert not started


def test_command_finds_what_is_installed(tmp_path: Path) -> None:
    """As a process of its own, which may start again: jemalloc and mimalloc, or their packages."""
    out = tmp_path / "a.json"
    numbers = "churn --objects 50 --live 5 --repeat 1 --seconds 0 --no-memory"
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    result = subprocess.run(
        [sys.executable, "-m", "percpu_ffi", "bench", *numbers.split(), "--json", str(out)],
        capture_output=True, text=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    figures = json.loads(out.read_text())["workloads"][0]["phases"][0]["contenders"]
    for name, package in (("jemalloc", "libjemalloc2"), ("mimalloc", "libmimalloc2.0")):
        assert (name in figures) is (f"install Debian's package {package}" not in result.stdout)
        assert (name in figures) is (f"left out    {name}: " not in result.stdout)


def test_cpus_of_the_options() -> None:
    """The formulas of a workload are those of its own CPUs."""
    made = WORKLOADS["pinned-chunks"](Options(40))
    assert made.with_options(Options(40)).expected == made.expected
    for options in (Options(cpus=2), Options(policy="bitmap")):
        assert made.with_options(options).expected == ()
    many = replace(WORKLOAD, geometry=Geometry()).with_options(Options(cpus=64))
    assert many.geometry == Geometry(cpus=64)
    with CONTENDERS["port"].open(many) as session, CONTENDERS["calloc"].open(many) as calloc:
        assert session._allocator.cpus == 64
        assert isinstance(calloc, LibrarySession)
        assert calloc._functions.cpus == 64


def test_both_policies_have_real_memory() -> None:
    with CONTENDERS["bitmap-mapped"].open(WORKLOAD) as session:
        allocator = session._allocator
        assert (allocator.policy, allocator.cpus) == ("bitmap", 3)
        session.run(allocs([0]))
        assert allocator.address(allocator.alloc(8), 2)


def test_phases_do_not_matter_to_a_library() -> None:
    """The same operations in the same loop as the port: an area is freed when it is replaced."""
    with CONTENDERS["aligned_alloc"].open(WORKLOAD) as session:
        assert session.run(Phase("twice", allocs([0, 0, 1])).ops) > 0
        assert session.failures == 0
