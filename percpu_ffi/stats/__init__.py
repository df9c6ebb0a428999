# SPDX-License-Identifier: GPL-2.0-only
"""Statistics as Linux tells them of its own allocator in debugfs, ``percpu_stats``.

``dump`` is such a text taken apart, and put together again; ``figures`` takes one of an
allocator; ``diff`` lines two of them up.
"""

from percpu_ffi.stats.diff import diff, diff_text
from percpu_ffi.stats.dump import Chunk, Dump
from percpu_ffi.stats.figures import figures

__all__ = ["Chunk", "Dump", "diff", "diff_text", "figures"]
