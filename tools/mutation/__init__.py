# SPDX-License-Identifier: GPL-2.0-only
"""Mutants of Python files, and the process that tests them: see tools/mutate_python.py."""
