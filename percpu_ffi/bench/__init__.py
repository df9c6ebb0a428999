# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: the port and others, measured in one run, with the work that explains it.

``workload``, ``workloads`` and ``worst_cases`` define what is run, ``contenders`` what runs it;
``measure`` and ``run`` take the figures, ``results`` stores them, ``bounds`` checks them
against limits.  ``percpu_ffi.reports`` prints and draws them.
"""
