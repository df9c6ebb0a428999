# SPDX-License-Identifier: GPL-2.0-only
"""What has to be true before a release: ``make release-check``.

A check is a function that yields one sentence for each thing that is wrong, with what to do.
"""
