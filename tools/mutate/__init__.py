# SPDX-License-Identifier: GPL-2.0-only
"""Mutation testing of the C core by the C tests; see __main__.py."""
