# SPDX-License-Identifier: GPL-2.0-only
"""The statistics that Linux prints of its allocator in debugfs, ``percpu_stats``.

``text`` finds it in other text, ``dump`` has its data and writes it, ``source`` reads files,
``figures`` takes it from an allocator, ``diff`` compares two.
"""

from percpu_ffi.stats.diff import diff, diff_text, differ
from percpu_ffi.stats.dump import Chunk, Dump
from percpu_ffi.stats.figures import figures

__all__ = ["Chunk", "Dump", "diff", "diff_text", "differ", "figures"]
