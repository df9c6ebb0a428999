# SPDX-License-Identifier: GPL-2.0-only
"""Compare the port and the model with the 2009 file, and print a table.

    python tests/upstream/check.py path/to/mm/percpu.c --operations 10000000

A second campaign, a tenth as long, includes the model.  If there is a difference, the
status is 1 and a shortened trace is saved.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from percpu_ffi import Allocator, Model, Trace  # noqa: E402
from percpu_ffi.bench.percpu_c import CannotCompile, WrongFile  # noqa: E402
from percpu_ffi.cli.progress import progress_bar  # noqa: E402
from percpu_ffi.lockstep import Campaign, Totals, lockstep, shorten  # noqa: E402
from percpu_ffi.lockstep.worker_pool import WorkerPool  # noqa: E402
from upstream.witness import WitnessFactory, build  # noqa: E402

ROLLBACK = {"quirks": ["rollback"]}  # a quirk: the port keeps this defect on request


def main() -> int:
    """Build the witness and run the campaigns."""
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
        two = Campaign(
            {"witness": witness, "port": Allocator}, args.operations, args.seed, setup=ROLLBACK
        )
        three = Campaign(
            {**two.factories, "model": Model},
            -(-args.operations // 10),
            args.seed + 1,
            setup=ROLLBACK,
        )
        print(f"{'':<28}{'operations':>12}{'geometries':>12}{'faults':>10}{'failures':>10}"
              f"{'differences':>13}{'seconds':>9}")  # fmt: skip
        try:
            good = all(
                [
                    run("witness, port", two, args.resume),
                    run("witness, port, model", three, args.resume),
                    recordings(witness),
                ]
            )
        except KeyboardInterrupt:
            where = f"; the same command continues from {args.resume}" if args.resume else ""
            print(f"stopped{where}", file=sys.stderr)
            return 130
    return 0 if good else 1


def run(name: str, campaign: Campaign, keep: Path | None) -> bool:
    """Run a campaign and print its row of the table."""
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
    return totals.difference is None


def recordings(witness: WitnessFactory) -> bool:
    """Run the real recordings with all three set-ups of the first chunk."""
    totals, started = Totals(), time.monotonic()
    samples = ROOT / "samples"
    for path in sorted([*samples.glob("*.xz"), *samples.glob("*.trace")]):
        recorded = Trace.load(path)
        for first_chunk in ("4k", "embed", "remap"):
            setup = {"cpus": 2, "first_chunk": first_chunk, "memory": "none", **ROLLBACK}
            trace = Trace.from_ops(recorded, setup)
            difference = lockstep({"witness": witness, "port": Allocator}, trace)
            totals.add(Totals(1, len(trace), geometries={first_chunk}, difference=difference))
    row("recordings", totals, time.monotonic() - started)
    if totals.difference:
        print(totals.difference)
    return totals.difference is None


def row(name: str, totals: Totals, seconds: float) -> None:
    """Print one row of the table."""
    print(
        f"{name:<28}{totals.operations:>12,}{len(totals.geometries):>12,}{totals.faults:>10,}"
        f"{totals.failures:>10,}{int(totals.difference is not None):>13}{seconds:>9.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
