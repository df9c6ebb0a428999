# SPDX-License-Identifier: GPL-2.0-only
"""Look into a trace: who holds the memory, in which sizes, for how long, and what if.

``lives`` goes through a trace once and gives the life of each area.  ``who`` sums lives up
by call site, ``sizes`` by what was asked; ``plot`` draws sizes.  ``timeline`` replays a trace
and keeps what its chunks looked like: ``page`` (with ``charts`` and ``chunks``) makes a page of
it, ``still`` a picture, ``explain`` sentences, ``tally`` sums, ``curves`` few points of many.
``compare`` runs a trace under several geometries, ``side_by_side`` prints what it found.
``gaps`` says what a recording has missed, ``colours`` and ``frame`` are what pictures share.
"""
