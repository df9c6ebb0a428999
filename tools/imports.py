# SPDX-License-Identifier: GPL-2.0-only
"""Check the imports of the package.

Usage: imports.py

import-linter checks the layers, its contract in pyproject.toml.  The other checks are here:
circles at run time, where imports inside functions count and imports for types only do not; and
who imports the compiled module.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import grimp
from importlinter.cli import lint_imports

import percpu_ffi

PACKAGE = "percpu_ffi"
COMPILED = "_core"
MAY_IMPORT_COMPILED = (
    "allocator",
    "trace.text",
    "trace.rows",
    "analysis.life_columns",
    "bench",
)  # modules and packages


def circles(graph: grimp.ImportGraph) -> list[str]:
    """Return one shortest circle for each module that is in one, as a sentence."""
    found: dict[frozenset[str], str] = {}
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            if path := graph.find_shortest_chain(imported, module):
                found.setdefault(frozenset(path), f"circle: {' -> '.join([module, *path])}")
    return sorted(found.values())


def imports_compiled(path: Path) -> bool:
    """Return whether a file imports the compiled module at run time or for its types."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return any(COMPILED in re.findall(r"\w+", line) for line in imports)


def main() -> int:
    """Print each fault; return the exit status."""
    broken = lint_imports(no_cache=True, no_logo=True)
    faults = circles(grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None))
    folder = Path(percpu_ffi.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        allowed = any(f"{module}.".startswith(f"{name}.") for name in MAY_IMPORT_COMPILED)
        if not allowed and imports_compiled(path):
            faults.append(
                f"{module} imports {PACKAGE}.{COMPILED}; {', '.join(MAY_IMPORT_COMPILED)} may"
            )
    print("\n".join(faults or ["No circles at run time; the compiled module is where it belongs."]))
    return 1 if faults or broken else 0


if __name__ == "__main__":
    sys.exit(main())
