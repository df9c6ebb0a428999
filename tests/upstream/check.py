# SPDX-License-Identifier: GPL-2.0-only
"""Compare the port and the model with the 2009 file, and print a table.

    python tests/upstream/check.py path/to/mm/percpu.c --operations 10000000

A second campaign, a tenth as long, includes the model.  The status is 1 if there is a
difference, of which a shortened trace is saved, or if a class of the table was not reached.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from percpu_ffi import Allocator, Model, Trace  # noqa: E402
from percpu_ffi.bench.percpu_c import CannotCompile, WrongFile  # noqa: E402
from percpu_ffi.cli.progress import progress_bar  # noqa: E402
from percpu_ffi.executors import WorkerPool  # noqa: E402
from percpu_ffi.lockstep import Campaign, Factory, Totals, lockstep, shorten  # noqa: E402
from percpu_ffi.lockstep.reach import CLASSES, missed  # noqa: E402
from upstream.witness import WitnessFactory, build  # noqa: E402


def main() -> int:
    """Build the witness and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("percpu_c", type=Path, help="mm/percpu.c of 24 February 2009")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=2009)
    parser.add_argument(
        "--resume", type=Path, help="folder for the progress; an interrupted run continues from it"
    )
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        try:
            witness = WitnessFactory(build(args.percpu_c, Path(directory)))
        except (OSError, WrongFile, CannotCompile) as error:
            print(f"the witness cannot be built: {error}", file=sys.stderr)
            return 1
        parties: dict[str, Factory] = {"witness": witness, "port": Allocator, "model": Model}
        try:
            good = compare(parties, args.operations, args.seed, args.resume)
        except KeyboardInterrupt:
            where = f"; the same command continues from {args.resume}" if args.resume else ""
            print(f"stopped{where}", file=sys.stderr)
            return 130
    return 0 if good else 1


def compare(
    parties: dict[str, Factory],
    operations: int,
    seed: int,
    keep: Path | None = None,
    **arguments: Any,
) -> bool:
    """Run the campaigns and the recordings, and print all tables.

    Args:
        parties: the witness, the port, the model.
        operations: of the campaign without the model; the other one has a tenth.
        seed: of that campaign; the other one has the next.
        keep: folder for the progress.
        arguments: other arguments of both campaigns.

    Returns: whether there was no difference, and every class was reached.

    """
    two = dict(list(parties.items())[:2])
    print(f"{'':<28}{'operations':>12}{'geometries':>12}{'faults':>10}{'failures':>10}"
          f"{'differences':>13}{'seconds':>9}")  # fmt: skip
    all_totals = [
        run(Campaign(two, operations, seed, **arguments), keep),
        run(Campaign(parties, -(-operations // 10), seed + 1, **arguments), keep),
        recordings(two),
    ]
    totals = Totals()
    for each in all_totals:
        totals.add(each)
    for name in CLASSES:
        print(f"{name:<40}{totals.reach[name]:>12,}")
    if classes := missed(totals.reach):
        print(f"not reached: {', '.join(classes)}; run more operations")
    return not classes and totals.difference is None


def run(campaign: Campaign, keep: Path | None) -> Totals:
    """Run a campaign and print its row of the table."""
    name = ", ".join(campaign.factories)
    state = keep / f"{len(campaign.factories)}-parties.json" if keep else None
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with WorkerPool() as pool, progress_bar(name, campaign.operations, "op") as progress:
        totals = campaign.run(pool, progress=progress, state=state)
    row(name, totals, time.monotonic() - started)
    if totals.difference:
        short = shorten(campaign.factories, totals.difference)
        short.trace.save("difference.trace")
        print(f"{short}\nsaved as difference.trace")
    return totals


def recordings(parties: dict[str, Factory], folder: Path = ROOT / "samples") -> Totals:
    """Run the real recordings with all three set-ups of the first chunk."""
    totals, started = Totals(), time.monotonic()
    for path in sorted([*folder.glob("*.xz"), *folder.glob("*.trace")]):
        recorded = Trace.load(path)
        for first_chunk in ("4k", "embed", "remap"):
            setup = {"cpus": 2, "first_chunk": first_chunk, "memory": "none"}
            trace = Trace.from_ops(recorded, setup)
            difference = lockstep(parties, trace)
            totals.add(Totals(1, len(trace), geometries={first_chunk}, difference=difference))
    row("recordings", totals, time.monotonic() - started)
    if totals.difference:
        print(totals.difference)
    return totals


def row(name: str, totals: Totals, seconds: float) -> None:
    """Print one row of the table."""
    print(
        f"{name:<28}{totals.operations:>12,}{len(totals.geometries):>12,}{totals.faults:>10,}"
        f"{totals.failures:>10,}{int(totals.difference is not None):>13}{seconds:>9.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
