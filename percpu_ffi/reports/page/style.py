# SPDX-License-Identifier: GPL-2.0-only
"""What the parts of the page share: its files, the look of a chart, how bytes are told."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

__all__ = ["BYTES", "LEFT", "dress", "text_of"]

LEFT = 86  # pixels for what stands left of a chart, so that charts stand below each other

# names a tick of an axis of bytes
BYTES = """
if (tick >= 1048576) return (tick / 1048576).toLocaleString("en") + " MiB"
if (tick >= 1024) return (tick / 1024).toLocaleString("en", {maximumFractionDigits: 1}) + " KiB"
return tick.toString()
"""


def text_of(name: str) -> str:
    """Read a file that lies beside this one."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def dress(chart: Any) -> None:
    """Make a chart of bokeh look like all others."""
    from bokeh.models import CustomJS  # noqa: PLC0415 - the command starts without it

    chart.outline_line_color = None
    chart.grid.grid_line_color = "#e6eaf0"
    chart.axis.axis_line_color = "#9aa5b1"
    chart.axis.minor_tick_line_color = None
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.axis_label_text_color = "#5f6c7b"
    chart.axis.axis_label_text_font_size = "13px"
    chart.axis.major_label_text_font_size = "12px"
    chart.toolbar.autohide = True
    chart.js_on_event("doubletap", CustomJS(args={"chart": chart}, code="chart.reset.emit()"))
    chart.toolbar.logo = None
