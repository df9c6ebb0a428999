# SPDX-License-Identifier: GPL-2.0-only
"""The public names as help(), type checkers, editors and Sphinx see them."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pytest

import percpu_ffi
from percpu_ffi import Allocator, Area, Model, PerCpu, Trace, Tracing


def test_every_public_name_is_found() -> None:
    assert dir(percpu_ffi) == percpu_ffi.__all__
    assert len(percpu_ffi.__all__) == 36
    for name in percpu_ffi.__all__:
        assert getattr(percpu_ffi, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Allocatr'"):
        percpu_ffi.Allocatr  # type: ignore[attr-defined]  # noqa: B018


# A module with __getattr__ -> Any has every name: misspelt ones came out as Any.
def test_type_checker_reports_a_misspelt_import(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    text = "from percpu_ffi import Allocator, Allocatr\nreveal_type(Allocator)"
    out, _err, status = api.run(["--config-file=", f"--cache-dir={tmp_path}", "-c", text])
    assert status == 1
    assert 'Module "percpu_ffi" has no attribute "Allocatr"; maybe "Allocator"?' in out
    assert "percpu_ffi.allocator.Allocator" in out


@pytest.mark.parametrize("kind", [Allocator, Model, Area, Trace, Tracing])
def test_every_public_method_has_a_docstring(kind: type) -> None:
    public = [name for name in dir(kind) if not name.startswith("_")]
    assert public
    assert [name for name in public if not inspect.getdoc(getattr(kind, name))] == []


# Allocator and Model write no docstring of their own: one text cannot contradict another.
@pytest.mark.parametrize("kind", [Allocator, Model])
def test_methods_inherit_the_docstrings_of_the_interface(kind: type[PerCpu]) -> None:
    for name in ("alloc", "free", "validate", "pages"):
        text = inspect.getdoc(getattr(PerCpu, name))
        assert text
        assert inspect.getdoc(getattr(kind, name)) == text
    assert "Allocate an area of ``size`` bytes" in pydoc.render_doc(kind.alloc)
    assert "Raises" in pydoc.render_doc(kind.free)
