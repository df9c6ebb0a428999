# SPDX-License-Identifier: GPL-2.0-only
"""Bokeh's JavaScript, inside the page, without addresses that it could load from."""

from __future__ import annotations

import re

# the start of a string; names of namespaces are not addresses
ADDRESS = re.compile(r"""(?<=["'`])https?://(?!www\.w3\.org/)[\w.-]+""")


def inline_bokeh() -> str:
    """Return the script elements with bokeh's core, without widgets.

    The core loads MathJax, fonts and maps from other machines if a text, an icon or a chart needs
    them; the page has none.  Each such address becomes an empty one.
    """
    from bokeh.resources import Resources  # noqa: PLC0415 - an extra

    return ADDRESS.sub("data:,", Resources(mode="inline", components=["bokeh"]).render())
