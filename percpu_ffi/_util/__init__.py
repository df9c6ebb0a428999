# SPDX-License-Identifier: GPL-2.0-only
"""Helpers that know nothing of allocators: text, files, optional libraries."""
