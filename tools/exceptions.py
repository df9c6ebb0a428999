# SPDX-License-Identifier: GPL-2.0-only
"""Lists of what a check lets pass, each with its reason.

An exception is a block of lines: a file, the source lines that name what passes, and behind
"=" the reason.  A list is exact: what is found and not listed fails the check, and so does what
is listed and not found.  Something that is found twice stands there twice.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

Key = tuple[str, ...]  # file, then source lines without their indentation


def load(path: Path) -> list[Key]:
    """Read a list; comments begin with #."""
    lines = [line.strip() for line in path.read_text().splitlines() if not line.startswith("#")]
    blocks = "\n".join(lines).split("\n\n")
    found: list[Key] = []
    for block in filter(None, (block.strip() for block in blocks)):
        key, _, reason = block.partition("\n=")
        if not reason.strip():
            raise SystemExit(f"{path}: no reason given for:\n{block}")
        found.append(tuple(key.split("\n")))
    return found


def compare(listed: Iterable[Key], found: Iterable[Key], wrong: str, stale: str) -> bool:
    """Print how what was found differs from what is listed; true when it does not."""
    known, seen = Counter(listed), Counter(found)
    for text, keys in ((wrong, seen - known), (stale, known - seen)):
        for key, times in sorted(keys.items()):
            often = f" ({times} times)" if times > 1 else ""
            print("\n\t".join((f"{text}{often}: {key[0]}", *key[1:])))
    return known == seen
