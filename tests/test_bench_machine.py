# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's description of the machine, on machines that are made up."""

from __future__ import annotations

import os
import platform
import sysconfig
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from percpu_ffi import __version__
from percpu_ffi.bench import machine
from percpu_ffi.bench.machine import compiler, describe_machine, extension_flags


def test_items_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5} if process == 0 else {3})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    described = describe_machine()
    assert [*described] == [
        "cpu", "cpus", "kernel", "c library", "compiler", "flags", "python", "percpu_ffi",
        "threads",
    ]  # fmt: skip
    assert described["cpus"] == "8, 2 of them usable"
    assert described["kernel"].split() == [
        platform.system(), platform.release(), platform.machine()
    ]  # fmt: skip
    assert described["c library"] == "glibc 2.36"
    assert described["flags"] == " ".join(extension_flags())
    assert described["python"].split()[1] == platform.python_version()
    assert described["percpu_ffi"] == __version__


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (None, []),
        ("", []),
        ("-Wall -g -O2 -Wsign-compare", []),
        ("-march=x86-64 -mtune=generic -msse4.2", ["-march=x86-64", "-mtune=generic", "-msse4.2"]),
        ("-fwrapv -Wall -fstack-protector-strong", ["-fwrapv", "-fstack-protector-strong"]),
        ("-DNDEBUG -D_FORTIFY_SOURCE=2", ["-DNDEBUG", "-D_FORTIFY_SOURCE=2"]),
        # a path would name the machine
        ("-ffile-prefix-map=/build/python=. -I/usr/include/mine", []),
    ],
)
def test_flags_that_change_the_code_are_kept(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, kept: list[str]
) -> None:
    """The optimisation that setup.py adds comes last, since the last one counts."""
    variables = {"CFLAGS": flags}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    assert extension_flags() == [*kept, "-O3"]


def test_compiler_is_cc(monkeypatch: pytest.MonkeyPatch) -> None:
    for named, command in (
        ("ccache 'my gcc' -m64", ["ccache", "my gcc", "-m64"]),
        ("", ["cc"]),
    ):
        monkeypatch.setenv("CC", named)
        assert compiler() == command
    monkeypatch.delenv("CC")
    assert compiler() == ["cc"]


@pytest.mark.parametrize(
    ("script", "described"),
    [
        ('test "$1" = --version && printf "cc 12.2\nCopyright\nmore\n"', "cc 12.2"),
        ("echo broken; false", "none found; the package may have been built elsewhere"),
    ],
)
def test_compiler_is_described_by_its_first_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, described: str
) -> None:
    (tmp_path / "cc").write_text(script)
    monkeypatch.setenv("CC", f"sh '{tmp_path}/cc'")
    assert describe_machine()["compiler"] == described


CPUINFO = "processor\t: 0\nmodel name\t: Abacus 9\nflags\t: fpu\n\nmodel name\t: Abacus 10\n"


@pytest.mark.parametrize("text", [CPUINFO, "processor\t: 0\n", None])
def test_cpu_is_that_of_the_kernel_or_the_architecture(
    monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Kernels of some architectures name no model; other systems have no such file."""

    def read_text(**_: Any) -> str:
        if text is None:
            raise FileNotFoundError
        return text

    files = {"/proc/cpuinfo": SimpleNamespace(read_text=read_text)}
    monkeypatch.setattr(machine, "Path", files.__getitem__)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert describe_machine()["cpu"] == ("Abacus 9" if text == CPUINFO else "riscv64")


def test_threads_decide_on_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port takes its lock as soon as there are two threads."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    number = len(os.listdir("/proc/self/task"))
    assert describe_machine()["threads"] == f"{number}, with the port's lock"
    end.set()
    other.join()
    alone = "1, so that the port needs no lock"
    monkeypatch.setattr(os, "listdir", lambda _: ["4711"])
    assert describe_machine()["threads"] == alone
    # as on a system without /proc
    monkeypatch.setattr(os, "listdir", lambda _: ["4711", "4712"])
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    assert describe_machine()["threads"] == alone
