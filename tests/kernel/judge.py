# SPDX-License-Identifier: GPL-2.0-only
"""Whether the policy predicted enough of what a kernel chose, by ``percpu-ffi check``.

Lines are printed after the kernel drops its locks.  So a few choices are out of order where an
interrupt or another CPU comes between, and the bounds are not 100 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from kernel.outcome import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

AS_RECORDED = "chunk and offset, as recorded"
REORDERED = "chunk and offset, reordered"
NEW_CHUNKS = "offset in new chunks, given the chunk"
NEW_REORDERED = "offset in new chunks, reordered"
REORDER = ("--reorder", "600")  # lines: CPUs may print in another order than they decided

# the least share of choices that are predicted
BOOT_OF_ONE_CPU = {AS_RECORDED: 0.9995}
BOOT_OF_MORE_CPUS = {AS_RECORDED: 0.993, REORDERED: 0.9999}
RUNNING = {NEW_CHUNKS: 0.993, NEW_REORDERED: 0.999}


def shares(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the predicted choices and all choices, by their description, of a JSON report."""
    choices, new = report["choices"], report["in_new_chunks"]
    found = {
        AS_RECORDED: (report["chunk_and_offset"], choices),
        "offset, given the chunk": (report["offset_given_chunk"], choices),
        NEW_CHUNKS: (new["offset_given_chunk"], new["choices"]),
    }
    if report["reordered"]:
        again = report["reordered"]
        found[REORDERED] = (again["chunk_and_offset"], choices)
        found[NEW_REORDERED] = (again["in_new_chunks"]["offset_given_chunk"], new["choices"])
    return found


def too_low(found: Mapping[str, tuple[int, int]], bounds: Mapping[str, float]) -> list[str]:
    """Return a sentence for each bound that is not reached; without choices it is not."""
    missed = []
    for what, least in bounds.items():
        predicted, choices = found.get(what, (0, 0))
        if not choices:
            missed.append(f"{what}: there was no choice; record more STEPS")
        elif predicted < least * choices:
            missed.append(f"{what}: {predicted / choices:.3%}, below {least:.2%}")
    return missed


def judge(file: Path, options: Sequence[str], bounds: Mapping[str, float]) -> None:
    """Check a recording against the policy and print how many choices were predicted.

    Raises:
        Failure: fewer than ``bounds`` require, or the recording cannot be checked.

    """
    command = ["check", str(file), "--against", "kernel", *options]
    done = subprocess.run(
        [sys.executable, "-m", "percpu_ffi", *command, "--json"],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in {0, 1}:
        raise Failure(f"percpu-ffi {' '.join(command)} ended with status {done.returncode}")
    found = shares(json.loads(done.stdout))
    for what, (predicted, choices) in found.items():
        print(f"  {what + ':':<40} {predicted:,} of {choices:,}")
    if missed := too_low(found, bounds):
        raise Failure("; ".join([*missed, f"for the first miss: percpu-ffi {' '.join(command)}"]))
