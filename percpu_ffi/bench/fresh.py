# SPDX-License-Identifier: GPL-2.0-only
"""Call a function in a fresh process: what it allocates or starts has no effect on this one.

Neither multiprocessing nor an executor will do: they start threads, and with several threads in
the process each call of the port takes a lock.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

from percpu_ffi.errors import PercpuError

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessFailed(PercpuError, RuntimeError):
    """The process ended without a result; the message has its last line."""


def in_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of a module in a fresh interpreter, and return what it returns.

    Args:
        function: found by its name in its module.
        args: its arguments, which can be pickled.

    Raises:
        ProcessFailed: it raised an error, or was killed.

    """
    command = [sys.executable, "-m", "percpu_ffi.bench.fresh"]
    call = pickle.dumps((function, args))
    process = subprocess.run(command, input=call, capture_output=True, check=False)
    if process.returncode:
        lines = process.stderr.decode(errors="replace").splitlines() or ["no message"]
        raise ProcessFailed(
            f"{function.__module__}.{function.__name__} in a process of its own: "
            f"exit status {process.returncode}, {lines[-1]}"
        )
    return pickle.loads(process.stdout)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the other process handles it
    warnings.simplefilter("ignore")
    function, args = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps(function(*args)))


if __name__ == "__main__":
    _main()
