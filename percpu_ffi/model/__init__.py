# SPDX-License-Identifier: GPL-2.0-only
"""The model: the allocator in pure Python, written from the 2009 file and the rules, to be read.

Start with a policy: ``area_map``, that of 2009, or ``bitmap``, today's.  ``policy`` has what both
share: chunks on slots and by address.  ``model`` has the public functions, ``tree`` the chunks by
address; ``pages`` populates chunks, ``kernel`` has the services below, ``memory`` the contents.  A
``tally`` counts the work.  Nothing here is compiled.
"""

from percpu_ffi.model.model import Model

__all__ = ["Model"]
