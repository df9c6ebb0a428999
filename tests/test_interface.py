# SPDX-License-Identifier: GPL-2.0-only
"""The public classes as help(), editors and Sphinx see them."""

from __future__ import annotations

import inspect
import pydoc

import pytest

from percpu_ffi import Allocator, Area, Model, PerCpu, Trace, Tracing


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
