# SPDX-License-Identifier: GPL-2.0-only
"""What a trace shows: ``compare`` sets geometries side by side."""
