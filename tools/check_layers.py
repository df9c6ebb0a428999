# SPDX-License-Identifier: GPL-2.0-only
"""Check that each file of csrc/ includes and calls only files further down in csrc/layers.txt.

``python tools/check_layers.py OBJECTS`` takes the folder with the objects of all C files, each
compiled alone: their undefined symbols are the calls.  Since the order is total, a circle of
files cannot exist.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from amalgamate import CSRC, INCLUDE, resolve

LIST = CSRC / "layers.txt"
FILE = re.compile(r"[\w/]+\.[ch]")

Use = tuple[str, str, str]  # a file, the file that it uses, and how


def layers() -> dict[str, int]:
    """Return the line of each file in the list; the last line is that of the public headers."""
    found: dict[str, int] = {}
    for number, line in enumerate(LIST.read_text(encoding="utf-8").splitlines(), 1):
        for word in line.split():
            if not FILE.fullmatch(word):
                break  # the rest is prose
            found[word] = number
    return found


def includes(file: str) -> Iterator[Use]:
    """Yield what a file includes."""
    path = CSRC / file
    for line in path.read_text(encoding="utf-8").splitlines():
        if (include := INCLUDE.match(line)) and (name := include[1]):
            target = resolve(name, path).relative_to(CSRC).as_posix()
            yield file, target, f'#include "{name}"'


def symbols(objects: Path, file: str) -> tuple[set[str], set[str]]:
    """Return the symbols that the object of a C file defines, and those that it uses."""
    name = objects / "csrc" / Path(file).with_suffix(".o")
    done = subprocess.run(["nm", name], check=True, capture_output=True, text=True)
    rows = [line.split()[-2:] for line in done.stdout.splitlines()]
    return {name for kind, name in rows if kind in "BDRT"}, {n for kind, n in rows if kind == "U"}


def calls(objects: Path, files: list[str]) -> Iterator[Use]:
    """Yield what each C file calls in another."""
    of = {file: symbols(objects, file) for file in files}
    home = {name: file for file, (defined, _) in of.items() for name in defined}
    for file, (_, used) in of.items():
        yield from ((file, home[name], f"{name}()") for name in sorted(used & home.keys()))


def main() -> int:
    """Print each use that goes up, and each file that is in no layer."""
    files = sorted(path.relative_to(CSRC).as_posix() for path in CSRC.glob("**/*.[ch]"))
    layer = layers()
    wrong = [f"{file}: not in {LIST.name}, or gone" for file in layer.keys() ^ set(files)]
    uses = [use for file in files for use in includes(file)]
    uses += calls(Path(sys.argv[1]), [file for file in files if file.endswith(".c")])
    public = max(layer.values())
    for file, target, how in uses:
        if target in layer and layer.get(file, 0) >= layer[target] != public:
            wrong.append(f"{file}: {how} of {target}, which is not further down")
    print("\n".join(wrong) or f"{len(files)} files, {len(uses)} uses: all go down")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
