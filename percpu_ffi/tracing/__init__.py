# SPDX-License-Identifier: GPL-2.0-only
"""Write what an allocator does as the text that ftrace prints of a kernel's allocator."""
