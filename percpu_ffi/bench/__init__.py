# SPDX-License-Identifier: GPL-2.0-only
"""Measure the allocator beside others, in one run, with the work counts that explain it.

``workload``, ``workloads`` and ``gallery`` say what is run, ``contenders`` who runs it,
``measure`` and ``run`` take the figures, ``results`` keeps them, ``report``, ``compare`` and
``plot`` show them, ``bounds`` holds them against what has to be reached.
"""
