# SPDX-License-Identifier: GPL-2.0-only
"""Look into a trace: who holds the memory, in which sizes, for how long, and what if.

``lives`` goes through a trace once and gives the life of each area.  ``who`` sums lives up
by call site, ``sizes`` by what was asked; ``plot`` draws sizes.  ``words`` has what these
reports say in the same way.  ``compare`` runs a trace under several geometries, and
``side_by_side`` prints what it found.
"""
