# SPDX-License-Identifier: GPL-2.0-only
"""The witness: the unmodified 2009 file, compiled from the user's copy."""
