# SPDX-License-Identifier: GPL-2.0-only
"""Docstrings as this project writes them, for napoleon.

* ``docs/traces.md`` is a link.
* ``Returns: what.`` in one paragraph is a field, as napoleon's section is.
* The docstring of an attribute is a sentence: napoleon would take what is before its first colon
  for a type, as in "Bytes; 0: unknown".

Annotations are evaluated, so what is imported for type checkers only is imported here.
"""

from __future__ import annotations

import ast
import builtins
import pkgutil
import re
from contextlib import suppress
from importlib import import_module
from inspect import getsource
from typing import TYPE_CHECKING, Any, get_type_hints

from sphinx import addnodes

import percpu_ffi

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

DOCUMENT = re.compile(r"\bdocs/([\w-]+)\.md\b")
RETURNS = re.compile(r"^(Returns|Yields): (.*(?:\n.+)*)", flags=re.M)
NAPOLEON = 500  # Sphinx' default priority

sentences: dict[str, list[str]] = {}  # by name of the attribute, while napoleon runs


def before(_app: Sphinx, what: str, name: str, _obj: Any, _opts: Any, lines: list[str]) -> None:
    """Turn links and results into reST, and hide what is not for napoleon."""
    text = DOCUMENT.sub(r":doc:`/docs/\1`", "\n".join(lines))
    text = RETURNS.sub(lambda m: f":{m[1].lower()}: {m[2]}".replace("\n", "\n   "), text)
    lines[:] = text.split("\n")
    if what in ("attribute", "data", "property"):
        sentences[name] = lines[:]
        lines.clear()


def after(_app: Sphinx, _what: str, name: str, _obj: Any, _opts: Any, lines: list[str]) -> None:
    """Show again what was hidden."""
    lines += sentences.pop(name, [])


def import_types(_app: Sphinx) -> None:
    """Run what modules have below ``if TYPE_CHECKING:``, once all of them are loaded."""
    modules = []
    for found in pkgutil.walk_packages(percpu_ffi.__path__, "percpu_ffi."):
        with suppress(ImportError):  # of an extra that is not installed
            modules.append(import_module(found.name))
    for module in modules:
        if not (module.__file__ or "").endswith(".py"):
            continue
        for node in ast.parse(getsource(module)).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                code = compile(ast.Module(node.body, []), module.__name__, "exec")
                exec(code, vars(module))
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and hasattr(value, "_field_defaults"):  # a NamedTuple
                with suppress(TypeError):  # array[int], before Python 3.12
                    value.__new__.__annotations__ = get_type_hints(value)


def signature(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _opts: Any, arguments: str | None, result: str
) -> tuple[str | None, str]:
    """Write the default of a field of a dataclass so that Sphinx can parse it."""
    return arguments and arguments.replace("<factory>", "..."), result


def drop_builtins(_app: Sphinx, document: nodes.document) -> None:
    """Do not look for Python's types: Sphinx would take ``Figures.bytes`` for ``bytes``."""
    for node in [*document.findall(addnodes.pending_xref)]:
        if node.get("reftype") == "class" and hasattr(builtins, node["reftarget"]):
            node.replace_self(node.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the extension to Sphinx."""
    app.connect("builder-inited", import_types)
    app.connect("doctree-read", drop_builtins)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", before, priority=NAPOLEON - 1)
    app.connect("autodoc-process-docstring", after, priority=NAPOLEON + 1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
