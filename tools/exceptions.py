# SPDX-License-Identifier: GPL-2.0-only
"""Read the exceptions of a check, each with its reason, and compare them with its findings.

An exception is a block of lines: a file, the source lines that are excepted, and after "=" the
reason.  A list is exact: the check fails for a finding that is not listed, and for an exception
that is not found.  What is found twice is listed twice.
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
            raise SystemExit(f"{path}: no reason for:\n{block}")
        found.append(tuple(key.split("\n")))
    return found


def compare(listed: Iterable[Key], found: Iterable[Key], wrong: str, stale: str) -> bool:
    """Print how the findings differ from the list, and return whether they are equal."""
    known, seen = Counter(listed), Counter(found)
    for text, keys in ((wrong, seen - known), (stale, known - seen)):
        for key, times in sorted(keys.items()):
            repeated = f" ({times} times)" if times > 1 else ""
            print("\n\t".join((f"{text}{repeated}: {key[0]}", *key[1:])))
    return known == seen
