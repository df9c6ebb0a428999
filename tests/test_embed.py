# SPDX-License-Identifier: GPL-2.0-only
"""What other extensions build with: header, sources, library, declarations for cffi.

``examples/`` has the same as a whole package; ``tools/check-embedding.sh`` builds it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cffi import FFI

import percpu_ffi
from percpu_ffi import Allocator
from percpu_ffi._core import ffi, lib
from percpu_ffi.bench.machine import compiler

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def compile_shared(source: Path, *more: str) -> Path:
    """Compile a C file into something that can be loaded, as a build would."""
    if not shutil.which(compiler()[0]):
        pytest.skip("there is no C compiler")
    library = source.with_suffix(".so")
    include = f"-I{percpu_ffi.get_include()}"
    command = [*compiler(), "-shared", "-fPIC", include, str(source), *more, "-o", str(library)]
    subprocess.run(command, check=True)
    return library


def test_version_of_the_header_is_that_of_the_package() -> None:
    header = Path(percpu_ffi.get_include(), "percpu.h").read_text(encoding="utf-8")
    for part, number in zip(
        ("MAJOR", "MINOR", "PATCH"), percpu_ffi.__version__.split("."), strict=True
    ):
        assert f"#define PCPU_VERSION_{part}\t{number}\n" in header


def test_library_is_named_by_major_and_minor_version() -> None:
    major, minor, _patch = percpu_ffi.__version__.split(".")
    assert Path(percpu_ffi.get_library()).name == f"libpercpu.so.{major}.{minor}"


def test_library_is_the_copy_that_python_uses() -> None:
    ours = ctypes.CDLL(percpu_ffi.get_library())
    # a constant string, in a place of its own for each copy
    ours.pcpu_version.restype = ctypes.c_void_p
    assert ours.pcpu_version() == int(ffi.cast("uintptr_t", lib.pcpu_version()))


def test_library_shows_what_the_header_declares_and_nothing_else() -> None:
    command = ["nm", "-D", "--defined-only", percpu_ffi.get_library()]
    shown = {
        line.split()[-1].partition("@")[0]
        for line in subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        if " A " not in line  # names of versions
    }
    header = Path(percpu_ffi.get_include(), "percpu.h").read_text(encoding="utf-8")
    assert "pcpu_alloc" in shown
    assert all(f"{name}(" in header for name in shown)


def test_linked_program_works_on_allocators_of_python(tmp_path: Path) -> None:
    source = tmp_path / "linked.c"
    source.write_text(
        '#include "percpu.h"\nint64_t take(struct pcpu *pcpu) { return pcpu_alloc(pcpu, 8, 8); }\n',
        encoding="utf-8",
    )
    # no path to the library: it is loaded already, and known by its SONAME
    linked = ctypes.CDLL(str(compile_shared(source, percpu_ffi.get_library())))
    linked.take.argtypes, linked.take.restype = [ctypes.c_void_p], ctypes.c_int64
    with Allocator(cpus=2) as allocator:
        handle = int(ffi.cast("uintptr_t", allocator.handle))
        ptr = linked.take(handle)
        allocator.view(ptr, 1)[:] = b"percpu_f"
        allocator.close()
        assert linked.take(handle) == -lib.PCPU_E_CLOSED


def test_sources_make_a_library_of_their_own(tmp_path: Path) -> None:
    source = tmp_path / "whole.c"
    source.write_text(
        "".join(f'#include "{path}"\n' for path in percpu_ffi.get_sources()), encoding="utf-8"
    )
    whole = ctypes.CDLL(str(compile_shared(source, "-pthread")))
    whole.pcpu_version.restype = ctypes.c_char_p
    assert whole.pcpu_version().decode() == percpu_ffi.__version__


@pytest.fixture
def child(tmp_path: Path) -> ModuleType:
    """A cffi module that includes ours and adds a function."""
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").exists():
        pytest.skip("this Python has no Python.h")
    twice = "int64_t twice(struct pcpu *pcpu, int64_t ptr);"
    ffibuilder = FFI()
    ffibuilder.include(percpu_ffi.get_ffibuilder())
    ffibuilder.cdef(twice)
    ffibuilder.set_source(
        "child",
        '#include "percpu.h"\n'
        "static int64_t twice(struct pcpu *pcpu, int64_t size)\n"
        "{ return pcpu_alloc(pcpu, 2 * size, 8); }",
    )
    source = tmp_path / "child.c"
    ffibuilder.emit_c_code(str(source))
    path = compile_shared(source, f"-I{headers}", percpu_ffi.get_library())
    spec = importlib.util.spec_from_file_location("child", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_module_that_includes_ours_accepts_our_handles(child: Any) -> None:
    with Allocator(cpus=2) as allocator:
        area = child.lib.twice(allocator.handle, 8)
        assert len(allocator.view(area, 0)) == 16
        assert child.lib.pcpu_free(allocator.handle, area) == 0


def test_our_functions_raise_there_as_they_do_here(child: Any) -> None:
    with Allocator(cpus=2) as allocator:
        with pytest.raises(LookupError) as refused:
            child.lib.pcpu_alloc(allocator.handle, 8, 3)
        assert refused.value.args == (-child.lib.PCPU_E_ALIGN,)
        # a function of its own returns what C returned
        assert child.lib.twice(allocator.handle, -1) == -child.lib.PCPU_E_SIZE


def test_handle_outlives_its_allocator() -> None:
    handle = Allocator(cpus=2).handle
    assert lib.pcpu_free(handle, lib.pcpu_alloc(handle, 8, 8)) == 0


def test_handle_of_a_closed_allocator_is_refused() -> None:
    with Allocator(cpus=2) as allocator:
        handle = allocator.handle
    with pytest.raises(LookupError) as refused:
        lib.pcpu_alloc(handle, 8, 8)
    assert refused.value.args == (-lib.PCPU_E_CLOSED,)


def test_ctypes_example_has_the_structure_of_the_header() -> None:
    config = runpy.run_path(str(EXAMPLES / "ctypes_view.py"))["Config"]
    theirs = {name: getattr(config, name).offset for name, _type in config._fields_}
    ours = {name: field.offset for name, field in ffi.typeof("struct pcpu_config").fields}
    assert theirs == ours
    assert ctypes.sizeof(config) == ffi.sizeof("struct pcpu_config")


def test_ctypes_example_runs() -> None:
    command = [sys.executable, str(EXAMPLES / "ctypes_view.py")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == "CPU 0: 1 CPU 1: 41\n"


# the example counted the CPUs, and threads ran on CPUs of higher numbers
@pytest.mark.parametrize(
    ("possible", "cpus"),
    [("0\n", 1), ("0-1\n", 2), ("0-3,8-11\n", 12), ("0,2,4-5,7\n", 8), ("0-1023\n", 1024)],
)
def test_example_reads_the_highest_cpu_number(tmp_path: Path, possible: str, cpus: int) -> None:
    text = (EXAMPLES / "counters.c").read_text(encoding="utf-8")
    start = text.index("static int64_t possible_cpus")
    function = text[start : text.index("\n}\n", start) + 3]
    real = "/sys/devices/system/cpu/possible"
    assert real in function
    (tmp_path / "possible").write_text(possible)
    source = tmp_path / "example.c"
    source.write_text(
        "#include <stdint.h>\n#include <stdio.h>\n#include <unistd.h>\n"
        f"{function.replace(real, str(tmp_path / 'possible'))}"
        "int64_t answer(void) { return possible_cpus(); }\n",
        encoding="utf-8",
    )
    example = ctypes.CDLL(str(compile_shared(source)))
    example.answer.restype = ctypes.c_int64
    assert example.answer() == cpus
