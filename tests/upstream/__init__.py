# SPDX-License-Identifier: GPL-2.0-only
"""The witness: the unmodified file of 2009, compiled from where the user has it."""
