# SPDX-License-Identifier: GPL-2.0-only
"""The package: its stub, its constants, its metadata."""

from __future__ import annotations

import ast
import doctest
import re
import runpy
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import percpu_ffi
from percpu_ffi import config, errors, work
from percpu_ffi._core import ffi, lib
from percpu_ffi.embed import builder
from percpu_ffi.trace import operations

ROOT = Path(__file__).resolve().parent.parent


def names_of_lib(source: str) -> set[str]:
    """Return each ``X`` of ``lib.X`` in a Python source."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        if isinstance(node.value, ast.Name) and node.value.id == "lib"
    }


def test_names_of_the_compiled_module_exist() -> None:
    """A type checker does not check them: the stub has ``lib: Any``."""
    assert names_of_lib("lib.pcpu_alloc(1); a = [lib.PCPU_E_CPUS]") - set(dir(lib)) == {
        "PCPU_E_CPUS"  # misspelt
    }
    sources = [*Path(percpu_ffi.__file__).parent.rglob("*.py"), *ROOT.glob("tests/**/*.py")]
    text = {path: path.read_text(encoding="utf-8") for path in sources}
    used = {
        (path.name, name)
        for path, source in text.items()
        if "from percpu_ffi._core import" in source
        for name in names_of_lib(source)
    }
    assert len(used) > 50
    assert {(file, name) for file, name in used if name not in dir(lib)} == set()


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("sys", "platform", "darwin"),
        ("sys", "maxsize", 2**31 - 1),
        ("platform", "python_implementation", lambda: "PyPy"),
    ],
)
def test_a_build_for_another_host_is_refused_before_anything_is_compiled(
    monkeypatch: pytest.MonkeyPatch, place: str, name: str, value: object
) -> None:
    monkeypatch.setattr(f"{place}.{name}", value)
    with pytest.raises(SystemExit, match="is for CPython on Linux, on 64-bit machines: this is "):
        runpy.run_path(str(ROOT / "build_ffi.py"))


def test_services() -> None:
    assert config.SERVICES == (
        "kmalloc", "kfree", "vmalloc", "vfree", "get_vm_area", "free_vm_area", "alloc_page",
        "free_page", "map", "unmap", "flush_cache_vmap", "flush_cache_vunmap", "flush_tlb", "warn",
    )  # fmt: skip
    names = [ffi.string(lib.pcpu_service_name(i)) for i in range(lib.PCPU_NR_SERVICES)]
    assert [name.decode() for name in names] == list(config.SERVICES)
    assert config.FAULT_SITES == ("kmalloc", "vmalloc", "get_vm_area", "alloc_page", "map")


def test_layout_of_an_operation() -> None:
    assert ffi.sizeof("struct pcpu_op") == operations.OP.size == 16
    assert lib.PCPU_OP_FREE == operations.FREE
    assert lib.PCPU_OP_ORPHAN == operations.ORPHAN


def test_errors_are_one_tree() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert errors.RecordError in classes
    assert all(issubclass(c, errors.PercpuError | errors.PercpuWarning) for c in classes)
    assert issubclass(errors.PercpuMemoryError, MemoryError)
    for name in (
        "WildPointer",
        "OtherUnitPointer",
        "InteriorPointer",
        "StaticPointer",
        "DoubleFree",
    ):
        assert issubclass(getattr(errors, name), errors.InvalidPointer)


def test_version_is_the_same_everywhere() -> None:
    assert ffi.string(lib.pcpu_version()).decode() == percpu_ffi.__version__
    assert metadata.version("percpu_ffi") == percpu_ffi.__version__


@pytest.mark.parametrize("header", ["csrc/percpu.h", "percpu_ffi/embed/percpu.h"])
def test_version_is_known_before_and_after_a_build(tmp_path: Path, header: str) -> None:
    """The first file is in the sources, the other one in what is installed."""
    package = Path(percpu_ffi.__file__).parent
    for name in ("__init__.py", "__init__.pyi", "_version.py"):
        (tmp_path / "percpu_ffi").mkdir(exist_ok=True)
        shutil.copy(package / name, tmp_path / "percpu_ffi")
    text = Path(percpu_ffi.get_include(), "percpu.h").read_text(encoding="utf-8")
    (tmp_path / header).parent.mkdir(exist_ok=True)
    (tmp_path / header).write_text(re.sub(r"(PCPU_VERSION_PATCH\s+)\d+", r"\g<1>77", text))
    program = "import percpu_ffi; print(percpu_ffi.__version__)"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    major_minor = percpu_ffi.__version__.rpartition(".")[0]
    assert printed.stdout == f"{major_minor}.77\n"


def test_only_dependency_is_cffi() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^dependencies = \["cffi>=[\d.]+"\]$', project, flags=re.M)


def test_every_source_file_names_its_licence() -> None:
    built = {"_core.c", "_sums.c"}
    for folder in ("csrc", "percpu_ffi", "tests", "examples"):
        for path in (ROOT / folder).glob("**/*.*"):
            if path.suffix in (".c", ".h", ".py", ".pyi") and path.name not in built:
                assert "SPDX-License-Identifier: GPL-2.0-only" in path.read_text("utf-8"), path


def test_examples_in_docstrings() -> None:
    for module in (percpu_ffi, builder, work):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed


def test_python_is_a_supported_one() -> None:
    assert sys.version_info >= (3, 11)
