# SPDX-License-Identifier: GPL-2.0-only
"""The allocator again in pure Python, written from the 2009 file, to be read.

Start with ``chunk``: one chunk's map, where areas are found, split off and merged.
``model`` has the functions that callers see, and the lists of chunks; ``tree`` has the chunks
by address; ``pages`` gives areas their page frames; ``kernel`` is what all of it runs on.
What is done on the way is counted in a ``tally``.  Nothing here is compiled.
"""

from percpu_ffi.model.model import Model

__all__ = ["Model"]
