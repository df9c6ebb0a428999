# SPDX-License-Identifier: GPL-2.0-only
"""The package is what it says it is."""

from __future__ import annotations

import ast
import doctest
import re
import sys
from pathlib import Path

import pytest

import percpu_ffi
from percpu_ffi import config, errors, work
from percpu_ffi._core import ffi, lib
from percpu_ffi.embed import builder
from percpu_ffi.trace import operations

ROOT = Path(__file__).resolve().parent.parent


def test_stub_tells_what_the_compiled_module_has() -> None:
    tree = ast.parse(Path(percpu_ffi.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
    (stub,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "_Lib")
    names = {
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node.target)
        for node in stub.body
        if isinstance(node, ast.FunctionDef | ast.AnnAssign)
    }
    compiled = set(dir(lib))
    assert names <= compiled
    assert {name for name in compiled if name.startswith("pcpu_")} <= names


def test_services_and_sites_are_those_of_the_contract() -> None:
    assert config.SERVICES == (
        "kmalloc", "kfree", "vmalloc", "vfree", "get_vm_area", "free_vm_area", "alloc_page",
        "free_page", "map", "unmap", "flush_cache_vmap", "flush_cache_vunmap", "flush_tlb", "warn",
    )  # fmt: skip
    names = [ffi.string(lib.pcpu_service_name(i)) for i in range(lib.PCPU_NR_SERVICES)]
    assert [name.decode() for name in names] == list(config.SERVICES)
    assert config.FAULT_SITES == ("kmalloc", "vmalloc", "get_vm_area", "alloc_page", "map")


def test_layout_of_an_operation_is_that_of_c() -> None:
    assert ffi.sizeof("struct pcpu_op") == operations.OP.size == 16
    assert lib.PCPU_OP_FREE == operations.FREE
    assert lib.PCPU_OP_ORPHAN == operations.ORPHAN


def test_errors_are_one_tree() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
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


def test_version_is_told_once() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{percpu_ffi.__version__}"' in project
    assert ffi.string(lib.pcpu_version()).decode() == percpu_ffi.__version__


def test_core_needs_cffi_alone() -> None:
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


def test_examples_in_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # they name the samples
    for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        result = doctest.testfile(str(path), module_relative=False)
        assert result.failed == 0, path


def source(name: str) -> Path:
    """Find a file of the project, also where the package is installed elsewhere."""
    here = ROOT / name
    return here if here.exists() else Path(percpu_ffi.__file__).parents[1] / name


def test_one_allocation_names_functions_where_they_are() -> None:
    """Each `function()` in a row of its tables stands in one of the files that the row names."""
    text = (ROOT / "docs/one-allocation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \|.*", text, flags=re.M)
    assert len(rows) > 20
    for row in rows:
        step, where = row.rsplit("|", 2)[:2]
        files = re.findall(r"`([\w/.]+)`", where)
        assert files, row
        sources = "".join(source(file).read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(?:Allocator\.)?(\w+)\(\)`", step):
            if name not in {"kmalloc", "malloc", "mprotect"}:  # the kernel's, the C library's
                assert re.search(rf"\b{name}\(", sources), f"{name}() is not in {where}"


def test_python_that_runs_this_is_one_that_is_supported() -> None:
    assert sys.version_info >= (3, 10)
