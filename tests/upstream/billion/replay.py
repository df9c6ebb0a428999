# SPDX-License-Identifier: GPL-2.0-only
"""Run operations that the driver in C kept through witness, port and model, and shorten them.

python tests/upstream/billion/replay.py difference-2009-17.ops path/to/mm/percpu.c
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from upstream.witness import WitnessFactory, build  # noqa: E402

from percpu_ffi import Allocator, Model, Trace  # noqa: E402
from percpu_ffi.lockstep import lockstep, shorten  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_ffi.trace import Op


def parse(lines: Iterable[str]) -> tuple[Trace, bool]:
    """Read the file that the driver wrote.

    Returns: its set-up and operations, except for frees of pointers that are refused; and
    whether the witness treated the defects "walk" and "map-null" as the port does.
    """
    setup: dict[str, Any] = {}
    ops: list[Op] = []
    fixed = True
    for line in lines:
        match line.split():
            case ["setup", *fields]:
                given = dict(field.split("=") for field in fields)
                fixed = given.pop("defects") == "fixed"
                quirk, first_chunk = given.pop("quirks"), given.pop("first_chunk")
                setup = {name: int(value) for name, value in given.items()}
                setup["page_limit"] = setup["page_limit"] or None
                setup["first_chunk"], setup["memory"] = first_chunk, "none"
                setup["quirks"] = [] if quirk == "none" else [quirk]
            case ["alloc", key, size, align]:
                ops.append(("alloc", int(key), int(size), int(align)))
            case ["free", key]:
                ops.append(("free", int(key)))
            case ["inject", site, *fields]:
                plan = dict(field.split("=") for field in fields)
                probability = float(plan.pop("probability"))
                numbers = {name: int(value) for name, value in plan.items()}
                ops.append(("inject", site, {**numbers, "probability": probability}))
            case ["clear", site]:
                ops.append(("inject", site, {}))
    return Trace.from_ops(ops, setup), fixed


def main() -> int:
    """Replay a file, and save a shortened trace if there is a difference."""
    ops, percpu_c = map(Path, sys.argv[1:])
    with ops.open() as lines, tempfile.TemporaryDirectory() as directory:
        trace, fixed = parse(lines)
        witness = WitnessFactory(build(percpu_c, Path(directory)), fixed=fixed)
        parties: dict[str, Any] = {"witness": witness, "port": Allocator, "model": Model}
        difference = lockstep(parties, trace)
        if difference is None:
            print(f"{len(trace)} operations: no difference")
            return 0
        short = shorten(parties, difference)
    short.trace.save("difference.trace")
    print(f"{short}\nsaved as difference.trace")
    return 1


if __name__ == "__main__":
    sys.exit(main())
