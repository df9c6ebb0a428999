# SPDX-License-Identifier: GPL-2.0-only
"""``python -m percpu_ffi`` is ``percpu-ffi``."""

import sys

from percpu_ffi.cli import main

if __name__ == "__main__":
    sys.exit(main())
