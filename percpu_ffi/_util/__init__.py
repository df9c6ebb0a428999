# SPDX-License-Identifier: GPL-2.0-only
"""Helpers that do not depend on allocators: text, integers, files, optional libraries."""
