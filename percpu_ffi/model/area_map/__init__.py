# SPDX-License-Identifier: GPL-2.0-only
"""The policy of 2009: an array of signed sizes for each chunk, searched for the first fit.

``chunk`` has one chunk's map: where areas are found, split off and merged; ``policy`` the slot
lists, from whose fullest chunk a request is served; ``first_chunk`` the sizes.
"""

from percpu_ffi.model.area_map.policy import AreaMap

__all__ = ["AreaMap"]
