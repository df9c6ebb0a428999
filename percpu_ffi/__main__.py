# SPDX-License-Identifier: GPL-2.0-only
"""The command ``percpu-ffi``, also ``python -m percpu_ffi``.

All imports are in functions: Ctrl-C may come while they run.
"""

import sys

# objects between two searches for garbage; with Python's 700 they take 3 ms while modules load
FEW_COLLECTIONS = 50_000


def main() -> int:
    """Run the command line and return the exit status, 130 after Ctrl-C."""
    try:
        # loaded with Python: importing signal could already drop Ctrl-C, in a callback of a lock
        import _signal as signal  # type: ignore[import-not-found]  # noqa: PLC0415

        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until it is handled
        from percpu_ffi._util.interrupts import run_interruptibly  # noqa: PLC0415

        def run() -> int:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return _run()

        return run_interruptibly(run)
    except KeyboardInterrupt:
        return 130


def _run() -> int:
    import gc  # noqa: PLC0415

    gc.set_threshold(FEW_COLLECTIONS)
    if sys.argv[1:2] == ["bench"]:
        from percpu_ffi.bench.libraries import make_room  # noqa: PLC0415

        make_room()
    from percpu_ffi.cli import main as run  # noqa: PLC0415

    status = run()
    gc.freeze()  # a search for garbage at the end of the process takes 6 ms
    return status


if __name__ == "__main__":
    sys.exit(main())
