# SPDX-License-Identifier: GPL-2.0-only
"""Results as text, JSON, CSV, an HTML page and pictures; nothing is computed here."""
