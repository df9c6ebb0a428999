# SPDX-License-Identifier: GPL-2.0-only
"""Record the kernel of this machine during a workload, and check what it chose.

Then measure the space that it does not see.

PYTHONPATH=tests python -m kernel.running --programs build/kernel
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kernel import hidden
from kernel.judge import REORDER, RUNNING, judge
from kernel.outcome import Failure, Skip, report
from percpu_ffi.errors import RecordError
from percpu_ffi.record import find_tracefs

CHURN = Path(__file__).with_name("churn.sh")
STATS = Path("/sys/kernel/debug/percpu_stats")
ATTEMPTS = 3  # to measure the hidden space while other processes run


def main() -> int:
    """Record and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=Path, required=True, help="folder of the programs")
    parser.add_argument("--folder", type=Path, default=Path("build/kernel"), help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of the workload (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of its random steps (%(default)s)")
    args = parser.parse_args()
    return report("check-running-kernel", lambda: _check(args))


def _check(args: argparse.Namespace) -> None:
    ready()
    print(f"Linux {os.uname().release}: {args.steps} steps of seed {args.seed}", flush=True)
    file = args.folder / "running.trace"
    maps = args.programs / "bpf_maps"
    workload = [
        "unshare", "--mount", "sh", str(CHURN), str(args.steps), str(args.seed), str(maps)
    ]  # fmt: skip
    recorder = [sys.executable, "-m", "percpu_ffi", "record", "-o", str(file), "--force"]
    _keep_stats(file.with_suffix(".stats0"))
    done = subprocess.run([*recorder, "--", *workload], check=False)
    if done.returncode:
        raise Failure(f"percpu-ffi record ended with status {done.returncode}")
    _keep_stats(file.with_suffix(".stats1"))
    judge(file, REORDER, RUNNING)
    check_hidden(args.programs / hidden.PROGRAM)


def check_hidden(program: Path) -> None:
    """Measure the hidden space, a few times if another process disturbs.

    Raises:
        Skip: this machine does not let the program measure.
        Failure: the kernel does something else than the policy predicts.

    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            hidden.check(_measure(program))
        except hidden.Disturbed:
            if attempt == ATTEMPTS:
                raise
        else:
            return


def _measure(program: Path) -> str:
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(done.stderr.strip() or f"{program.name} ended with status {done.returncode}")
    return done.stdout


def ready() -> None:
    """Return if this process can record the kernel.

    Raises:
        Skip: it cannot.

    """
    if os.geteuid():
        raise Skip("recording needs root; try sudo make check-running-kernel")
    if not shutil.which("unshare"):
        raise Skip("unshare is not here; it is in Debian's util-linux")
    try:
        find_tracefs()
    except RecordError as error:
        raise Skip(str(error).partition("\n")[0]) from error


def _keep_stats(file: Path) -> None:
    """Write the kernel's own statistics next to the recording, if it has them."""
    if STATS.exists():
        file.write_bytes(STATS.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
