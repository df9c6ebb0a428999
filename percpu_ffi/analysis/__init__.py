# SPDX-License-Identifier: GPL-2.0-only
"""Compute figures from traces and replays; ``percpu_ffi.reports`` renders them."""
