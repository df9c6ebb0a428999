# SPDX-License-Identifier: GPL-2.0-only
"""Print how many branches of csrc/ the C tests take; fail on one that is not taken or listed.

`make coverage` calls it with the objects built for gcov, after the tests have run.  A branch in a
header counts once, and as taken if it is taken in any file that includes the header.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import exceptions

UNREACHED = Path("tests/c/unreached.txt")

Branch = tuple[str, int, int]  # file, line, number within the line


def gcov(objects: list[str]) -> list[Any]:
    """Return what gcov reports for each source file, once for each object."""
    gcov_name = os.environ.get("GCOV", "gcov")
    command = [gcov_name, "--branch-probabilities", "--json-format", "--stdout", *objects]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [file for line in output.splitlines() for file in json.loads(line)["files"]]


def count_branches(files: list[Any]) -> Counter[Branch]:
    """Count how often each branch was taken."""
    taken: Counter[Branch] = Counter()
    for file in files:
        name = os.path.normpath(file["file"])
        if not name.startswith("csrc/"):
            continue
        for line in file["lines"]:
            for i, branch in enumerate(line["branches"]):
                taken[name, line["line_number"], i] += branch["count"]
    return taken


def main() -> int:
    """Print the table, then each branch that should not be missed or listed."""
    taken = count_branches(gcov(sys.argv[1:]))
    total = Counter(name for name, _, _ in taken)
    missed = [branch for branch, count in taken.items() if not count]
    missed_in = Counter(name for name, _, _ in missed)
    for name in sorted(total):
        print(f"{name:28}{total[name] - missed_in[name]:5} of {total[name]:4} branches")
    print(f"{'all':28}{len(taken) - len(missed):5} of {len(taken):4} branches")

    text = {name: Path(name).read_text().splitlines() for name in missed_in}
    found = [(name, text[name][line - 1].strip()) for name, line, _ in missed]
    wrong, stale = "not taken by any C test", "listed, but taken or deleted"
    if exceptions.compare(exceptions.load(UNREACHED), found, wrong, stale):
        return 0
    print(f"write a test, or add the reason to {UNREACHED}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
