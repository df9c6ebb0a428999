# SPDX-License-Identifier: GPL-2.0-only
"""Look into a trace: who holds the memory, in which sizes, for how long.

``lives`` goes through a trace once and gives the life of each area.  ``who`` sums lives up
by call site, ``sizes`` by what was asked; ``plot`` draws sizes.  ``words`` has what all
reports say in the same way.
"""
