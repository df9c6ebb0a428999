# SPDX-License-Identifier: GPL-2.0-only
"""The policy of Linux 5.14 to 6.x: two bitmaps for each chunk, and hints for each page.

Read ``block`` first: what is known of a page's free runs.  ``chunk`` searches, takes and frees;
``slots`` has the lists of chunks and their empty pages; ``policy`` serves requests; ``balance``
is the background work; ``first_chunk`` the set-up.

Source: ``mm/percpu.c`` by Tejun Heo, Dennis Zhou and Roman Gushchin, as rules; the names are the
kernel's.
"""

from percpu_ffi.model.bitmap.policy import Bitmap

__all__ = ["Bitmap"]
