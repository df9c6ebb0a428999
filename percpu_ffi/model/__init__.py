# SPDX-License-Identifier: GPL-2.0-only
"""The model: the allocator in pure Python, written from the 2009 file, to be read.

Start with ``chunk``: one chunk's map, where areas are found, split off and merged.
``model`` has the public functions and the slot lists, ``first_chunk`` the sizes, ``tree`` the
chunks by address; ``pages`` populates chunks, ``kernel`` has the services below.  A ``tally``
counts the work.  Nothing here is compiled.
"""

from percpu_ffi.model.model import Model

__all__ = ["Model"]
