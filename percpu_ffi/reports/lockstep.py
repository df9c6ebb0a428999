# SPDX-License-Identifier: GPL-2.0-only
"""Render what ``percpu-ffi check`` found as text."""

from __future__ import annotations

from collections.abc import Sequence

from percpu_ffi._util.text import plural
from percpu_ffi.config import AREA_MAP
from percpu_ffi.lockstep import bitmap_reach
from percpu_ffi.lockstep.campaign import Totals
from percpu_ffi.lockstep.reach import CLASSES
from percpu_ffi.trace import Trace


def campaign_text(parties: Sequence[str], seed: int, totals: Totals, policy: str = AREA_MAP) -> str:
    """Return the totals of a random campaign, and without a difference what it reached."""
    rows = {
        "parties": ", ".join(parties),
        "seed": seed,
        "operations": f"{totals.operations:,}",
        "geometries": f"{len(totals.geometries):,}",
        "faults set": f"{totals.faults:,}",
        "operations that failed alike": f"{totals.failures:,}",
        "differences": int(totals.difference is not None),
    }
    lines = [f"{name:<28} {value}" for name, value in rows.items()]
    if totals.difference is None:
        classes = CLASSES if policy == AREA_MAP else bitmap_reach.CLASSES
        width = max(map(len, classes))
        lines.append("reached")
        lines += [f"  {name:<{width}} {totals.reach[name]:>14,}" for name in classes]
    return "\n".join(lines)


def operations_text(trace: Trace, path: str) -> str:
    """Return the operations that show a difference; they are saved as ``path``."""
    show = "shows" if len(trace) == 1 else "show"
    head = f"\n{plural(len(trace), 'operation', '')} {show} it, saved as {path}:"
    return "\n".join([head, *(f"  {op}" for op in trace)])
