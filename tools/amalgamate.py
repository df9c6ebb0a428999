# SPDX-License-Identifier: GPL-2.0-only
"""Write the whole C library as two files, percpu.c and percpu.h.

``python tools/amalgamate.py OUTDIR`` reads ``csrc/``.  Headers that ``csrc/percpu.h`` includes are
public and become part of it; all others go into percpu.c, before the C files.  What percpu.h does
not declare is static in percpu.c: the prototypes of private headers become static, and a
definition has the linkage of its prototype.

The same sources give the same bytes.  ``csrc/bench/`` and ``csrc/analysis/`` work with the library
and are not part of it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

CSRC = Path(__file__).resolve().parent.parent / "csrc"
PUBLIC = CSRC / "percpu.h"
FOLDERS = (".", "area_map", "bitmap", "kernel", "rseq", "trace")

INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))')
FEATURE_MACRO = re.compile(r"#define _GNU_SOURCE\b")
# begins a line, where neither a definition nor a member of a struct ends with ");"
PROTOTYPE = re.compile(r"^(?!static\b|typedef\b|extern\b)[a-z_][\w \t*\n]*\([^;{}]*\);", flags=re.M)

ORIGIN = """\
 *
 * Generated from the sources of percpu_ffi: change those, not this file.
 *
 * The first dynamic per-CPU allocator of Linux in userspace: the design and the
 * decisions are those of mm/percpu.c as it entered Linux with commit
 * 8d408b4be37b (Tejun Heo, February 2009); every line here was written anew.
 * Licence: GNU General Public License, version 2 only.
"""
HEAD_H = """\
/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu.h %(version)s - the interface of percpu.c, which is the library.
%(origin)s *
 * For C11 and C++11, or later ones of each.
 */
"""
HEAD_C = """\
/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu.c %(version)s - the library in one file; percpu.h is its interface.
%(origin)s *
 *	cc -O3 -c percpu.c
 *
 * C11 or later, gcc or clang, Linux; a program that links it needs -pthread
 * where threads are not in libc (glibc before 2.34).  All global names begin
 * with pcpu_ and are declared in percpu.h; -DPCPU_HIDDEN
 * -fvisibility=hidden keeps them inside a shared library that contains this file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1	/* mmap's flags, madvise, sysconf, clocks, memmem */
#endif
"""


def resolve(name: str, file: Path) -> Path:
    """Return the header that an include names: in the includer's folder, or in csrc/."""
    sibling = (file.parent / name).resolve()
    return sibling if sibling.exists() else CSRC / name


def body(file: Path) -> str:
    """Return a file without its licence line."""
    return re.sub(r"\A(//|/\*) SPDX[^\n]*\n", "", file.read_text("utf-8"))


def replace_includes(
    file: Path, text: str, local: Callable[[Path, bool], str], system: Callable[[str], str]
) -> str:
    """Return a file's text, each include replaced by what `local` or `system` returns for it.

    A system header within an #if, other than the include guard, is left in place; the second
    argument of `local` is whether the include is within one.
    """
    outside = 1 if file.suffix == ".h" else 0
    depth = 0
    lines = []
    for line in text.splitlines(keepends=True):
        depth += bool(re.match(r"\s*#\s*if", line)) - bool(re.match(r"\s*#\s*endif", line))
        include = INCLUDE.match(line)
        if include and include[1]:
            lines.append(local(resolve(include[1], file), depth > outside))
        elif include and depth == outside:
            lines.append(system(include[2]))
        elif not FEATURE_MACRO.match(line):
            lines.append(line)
    return "".join(lines)


def title(file: Path) -> str:
    """Return the line that names the source that follows."""
    name = f" csrc/{file.relative_to(CSRC).as_posix()} "
    return f"\n/* {name:-^72} */\n\n"


def interface() -> tuple[str, set[Path]]:
    """Return percpu.h with the public headers that it includes, and all these files."""
    public: set[Path] = set()
    system_headers: set[str] = set()

    def system(name: str) -> str:
        if name in system_headers:
            return ""
        system_headers.add(name)
        return f"#include {name}\n"

    def local(file: Path, _conditional: bool = False) -> str:
        if file in public:
            return ""
        public.add(file)
        start = "" if file == PUBLIC else title(file)
        return start + replace_includes(file, body(file), local, system)

    return local(PUBLIC), public


def library(public: set[Path]) -> str:
    """Return percpu.c: system headers, private headers in order of dependency, all C files."""
    seen = set(public)
    system_headers: set[str] = set()
    private = []

    def system(name: str) -> str:
        system_headers.add(name)
        return ""

    def local(file: Path, conditional: bool) -> str:
        if file in seen:
            return ""
        seen.add(file)
        text = title(file) + replace_includes(file, body(file), local, system)
        text = PROTOTYPE.sub(r"static \g<0>", text)
        if conditional:
            return text
        private.append(text)
        return ""

    files = sorted(file for folder in FOLDERS for file in (CSRC / folder).glob("*.c"))
    code = [title(file) + replace_includes(file, body(file), local, system) for file in files]
    includes = [f"#include {name}\n" for name in sorted(system_headers)]
    return "".join(['#include "percpu.h"\n\n', *includes, *private, *code])


def version() -> str:
    """Return the version in percpu.h, such as "0.2.0"."""
    numbers = re.findall(r"#define PCPU_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)", body(PUBLIC))
    return ".".join(numbers)


def main() -> None:
    """Write the two files."""
    parser = argparse.ArgumentParser(description="Write the C library as percpu.c and percpu.h.")
    parser.add_argument("outdir", type=Path, help="the folder, created if it does not exist")
    outdir: Path = parser.parse_args().outdir
    outdir.mkdir(parents=True, exist_ok=True)
    header, public = interface()
    origin = {"version": version(), "origin": ORIGIN}
    for name, text in (
        ("percpu.h", HEAD_H % origin + header),
        ("percpu.c", HEAD_C % origin + library(public)),
    ):
        (outdir / name).write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
