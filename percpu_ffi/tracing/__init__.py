# SPDX-License-Identifier: GPL-2.0-only
"""Traces of an allocator's events, in ftrace's text format."""
